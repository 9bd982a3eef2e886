"""A refusal is a value: a code, what was observed, and the limit."""

from __future__ import annotations

from enum import StrEnum

from engine.domain.values import quick_value


class Verdict(StrEnum):
    """What a guardrail says; REDUCE only ever moves the target towards the current position."""

    PASS = "PASS"
    REDUCE = "REDUCE"
    REFUSE = "REFUSE"


class CheckCode(StrEnum):
    """Every reason why a trade may be reduced or refused, in the words the screens and exports use."""

    AUTONOMY = "AUTONOMY"
    CONFIDENCE = "CONFIDENCE"
    NOT_ALLOWED = "NOT_ALLOWED"
    BLOCKED = "BLOCKED"
    TRADING_STATE = "TRADING_STATE"
    AGENT_STATE = "AGENT_STATE"
    DUPLICATE_DECISION = "DUPLICATE_DECISION"
    ORDER_WORKING = "ORDER_WORKING"
    INSTRUMENT_BLOCKED = "INSTRUMENT_BLOCKED"
    PRICE_AGE = "PRICE_AGE"
    PRICE_COLLAR = "PRICE_COLLAR"
    DECISION_AGE = "DECISION_AGE"
    PRICE_DRIFT = "PRICE_DRIFT"
    SPREAD = "SPREAD"
    VOLATILITY_INDEX = "VOLATILITY_INDEX"
    MARKET_CLOSED = "MARKET_CLOSED"
    SHORT_NOT_ALLOWED = "SHORT_NOT_ALLOWED"
    STOP_INVALID = "STOP_INVALID"
    STOP_DISTANCE = "STOP_DISTANCE"
    REWARD_RISK = "REWARD_RISK"
    COOLDOWN = "COOLDOWN"
    REFUSAL_COOLDOWN = "REFUSAL_COOLDOWN"
    DAILY_LOSS = "DAILY_LOSS"
    DAILY_PROFIT = "DAILY_PROFIT"
    WIN_RATE = "WIN_RATE"
    AGENT_LOSS = "AGENT_LOSS"
    TRADES_PER_DAY = "TRADES_PER_DAY"
    ACCOUNT_TRADES_PER_DAY = "ACCOUNT_TRADES_PER_DAY"
    OPEN_POSITIONS = "OPEN_POSITIONS"
    VOLATILITY = "VOLATILITY"
    AVERAGE_VOLUME = "AVERAGE_VOLUME"
    CORRELATION = "CORRELATION"
    SIZING = "SIZING"
    SIZE_CAP = "SIZE_CAP"
    RISK_PER_TRADE = "RISK_PER_TRADE"
    POSITION_NOTIONAL = "POSITION_NOTIONAL"
    PORTFOLIO_SHARE = "PORTFOLIO_SHARE"
    GROUP_SHARE = "GROUP_SHARE"
    CAPITAL_SHARE = "CAPITAL_SHARE"
    NET_EXPOSURE = "NET_EXPOSURE"
    GROSS_EXPOSURE = "GROSS_EXPOSURE"
    LEVERAGE = "LEVERAGE"
    VALUE_AT_RISK = "VALUE_AT_RISK"
    BUYING_POWER = "BUYING_POWER"
    QTY_STEP = "QTY_STEP"
    MIN_NOTIONAL = "MIN_NOTIONAL"
    INPUT_MISSING = "INPUT_MISSING"
    INPUT_STALE = "INPUT_STALE"
    HISTORY_TOO_SHORT = "HISTORY_TOO_SHORT"
    CHECK_FAILED = "CHECK_FAILED"


@quick_value
class RiskCheck:
    """One guardrail's word on one decision. observed and limit are texts a person can compare."""

    code: CheckCode
    verdict: Verdict
    observed: str
    limit: str

    @property
    def sentence(self) -> str:
        """Say it on one line, such as "CONFIDENCE refused: 0.41, limit 0.6"."""
        word = {"PASS": "passed", "REDUCE": "reduced", "REFUSE": "refused"}[self.verdict.value]
        return f"{self.code.value} {word}: {self.observed}, limit {self.limit}"
