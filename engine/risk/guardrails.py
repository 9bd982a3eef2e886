"""The guardrails, in order: each a code, one of the checks, and the orders it applies to.

A guardrail passes a target, moves it towards the current position, or refuses it. An exception in a check, or an
input it lacks, is a refusal (S9).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import lru_cache

from engine.domain.agent import AgentLimits
from engine.domain.decision import Direction
from engine.domain.money import percent, plain
from engine.domain.policy import AccountLimits
from engine.domain.risk import CheckCode, RiskCheck, Verdict
from engine.domain.values import quick_value
from engine.risk import checks as ask
from engine.risk import checks_account as account
from engine.risk import checks_market as market
from engine.risk.inputs import MissingInputError
from engine.risk.leaving import Leaves, Word, adds_exposure, minutes, seconds, times
from engine.risk.situation import Situation

Rule = Callable[[Situation, Decimal], Word]


class Applies(Enum):
    """Which decisions a guardrail is asked about; an exit is never held up by what only concerns entries."""

    EVERY = "every order"
    ASKED = "a draft to buy"
    MORE = "an order that adds exposure"
    ORDER = "every change of position"


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One check. rule: what it does; word() makes a check of its answer."""

    code: CheckCode
    checks: str
    applies: Applies
    limit: str
    default: str
    rule: Rule

    def word(self, leaves: Leaves, observed: str, limit: str, target: Decimal) -> tuple[RiskCheck, Decimal]:
        """Return the check that a rule's answer makes, and the target it leaves."""
        if leaves is True or leaves is target:
            return _said(self.code, _PASS, observed, limit), target
        if isinstance(leaves, Decimal):
            return _said(self.code, _PASS if leaves == target else _REDUCE, observed, limit), leaves
        return _said(self.code, _PASS if leaves else _REFUSE, observed, limit), target


# Most of a decision's checks say what they said the last time; frozen values can be shared.
_said = lru_cache(maxsize=1024)(RiskCheck)
_PASS, _REDUCE, _REFUSE = Verdict.PASS, Verdict.REDUCE, Verdict.REFUSE


def _concerned(s: Situation, target: Decimal) -> tuple[Applies, ...]:
    """Return whose guardrails have a say in a decision that has come to this target."""
    ordered = (Applies.ORDER,) if target != s.current_qty else ()
    if adds_exposure(s, target):
        return (Applies.EVERY, Applies.MORE, Applies.ASKED, *ordered)
    return (Applies.EVERY, Applies.ASKED, *ordered) if s.draft.direction is Direction.BUY else (Applies.EVERY, *ordered)


class _BrokenRuleError(Exception):
    """A guardrail did what none may do."""


@quick_value
class Assessment:
    """What the guardrails left of a target.

    checks: every word up to the first refusal. target: signed, in base; the current position when refused.
    bound_by: the last code that reduced, "" when none did.
    """

    checks: tuple[RiskCheck, ...]
    target: Decimal
    refused: RiskCheck | None
    bound_by: str


_AGENT, _ACCOUNT = AgentLimits(), AccountLimits()
_EVERY, _ASKED, _MORE, _ORDER = Applies.EVERY, Applies.ASKED, Applies.MORE, Applies.ORDER
_C = CheckCode


def _text(value: object) -> str:
    return percent(value) if isinstance(value, Decimal) else str(value)


_COOLDOWN, _REFUSAL = minutes(_AGENT.cooldown_after_loss_ms), minutes(_AGENT.cooldown_after_refusal_ms)
_CASH, _NOTIONAL = f"{percent(ask.HEAD_ROOM_FRAC)} head-room", plain(_AGENT.position_notional_max)
_ALIKE = f"{_ACCOUNT.correlated_positions} above {plain(_ACCOUNT.correlation)}"

GUARDRAILS: tuple[Guardrail, ...] = tuple(
    Guardrail(*row)
    for row in (
        (_C.TRADING_STATE, "the engine may trade", _EVERY, "", "", ask.trading_state),
        (_C.AGENT_STATE, "the agent is running", _EVERY, "", "", ask.agent_state),
        (_C.AUTONOMY, "the agent does no more by itself than the account allows", _MORE,
         "autonomy, policy limits.autonomy", _ACCOUNT.autonomy.value, ask.autonomy),
        (_C.CONFIDENCE, "the confidence is there and high enough", _EVERY,
         "limits.confidence_min, policy limits.confidence_min", plain(_AGENT.confidence_min), ask.confidence),
        (_C.NOT_ALLOWED, "the instrument is on the agent's lists", _ASKED,
         "instruments, limits.allowed", "", ask.not_allowed),
        (_C.BLOCKED, "the instrument is not on the block list", _ASKED, "limits.blocked", "", ask.blocked),
        (_C.DUPLICATE_DECISION, "the decision has not traded before", _EVERY, "", "", ask.duplicate_decision),
        (_C.ORDER_WORKING, "no order of the agent is working here", _EVERY, "", "", ask.order_working),
        (_C.INSTRUMENT_BLOCKED, "nothing in the instrument is in doubt", _MORE, "", "", ask.instrument_blocked),
        (_C.MARKET_CLOSED, "the market is known to be open", _EVERY, "calendar", "", ask.market_closed),
        (_C.PRICE_AGE, "the price is fresh, finite, positive", _EVERY,
         "policy limits.price_age", seconds(_ACCOUNT.price_age_ms), ask.price_age),
        (_C.PRICE_COLLAR, "price and limit price are near the median", _ORDER,
         "policy limits.price_collar", _text(_ACCOUNT.price_collar_frac), ask.price_collar),
        (_C.DECISION_AGE, "the decision is not of long ago", _MORE,
         "policy limits.decision_age", seconds(_ACCOUNT.decision_age_ms), market.decision_age),
        (_C.PRICE_DRIFT, "the price is near the one decided on", _MORE,
         "policy limits.decision_drift", _text(_ACCOUNT.decision_drift_frac), market.price_drift),
        (_C.SPREAD, "bid and offer are near each other", _MORE,
         "policy limits.spread", _text(_ACCOUNT.spread_frac), market.spread),
        (_C.VOLATILITY_INDEX, "the volatility index closed low enough the day before", _MORE,
         "policy limits.volatility_index", _text(_ACCOUNT.volatility_index), market.volatility_index),
        (_C.SHORT_NOT_ALLOWED, "nothing is sold that is not held", _EVERY, "", "", ask.short_not_allowed),
        (_C.STOP_INVALID, "stop and target are on their sides of the entry", _ASKED, "", "", ask.stop_invalid),
        (_C.STOP_DISTANCE, "the stop is not too near the real entry", _MORE,
         "policy limits.stop_distance", _text(_ACCOUNT.stop_distance_frac), market.stop_distance),
        (_C.REWARD_RISK, "the way to the target in ways to the stop, from the real entry", _MORE,
         "policy limits.reward_risk", _text(_ACCOUNT.reward_risk), market.reward_risk),
        (_C.COOLDOWN, "the last loss here is long enough ago", _MORE,
         "limits.cooldown_after_loss", _COOLDOWN, ask.cooldown),
        (_C.REFUSAL_COOLDOWN, "the last refusal here is long enough ago", _MORE,
         "limits.cooldown_after_refusal", _REFUSAL, ask.refusal_cooldown),
        (_C.DAILY_LOSS, "the account's loss of the UTC day, open positions included", _MORE,
         "policy limits.daily_loss", _text(_ACCOUNT.daily_loss_frac), account.daily_loss),
        (_C.DAILY_PROFIT, "the account's profit of the UTC day, open positions included", _MORE,
         "policy limits.daily_profit", _text(_ACCOUNT.daily_profit_frac), account.daily_profit),
        (_C.WIN_RATE, "the agent's round trips of 30 days that won, from 10 on", _MORE,
         "policy limits.win_rate", _text(_ACCOUNT.win_rate_frac), account.win_rate),
        (_C.AGENT_LOSS, "the agent's net result of 30 days, of its capital, from 10 round trips on", _MORE,
         "policy limits.agent_loss", _text(_ACCOUNT.agent_loss_frac), account.agent_loss),
        (_C.TRADES_PER_DAY, "the agent's trades of the UTC day", _MORE,
         "limits.trades_per_day", str(_AGENT.trades_per_day), ask.trades_per_day),
        (_C.ACCOUNT_TRADES_PER_DAY, "all trades of the UTC day", _MORE,
         "policy limits.trades_per_day", str(_ACCOUNT.trades_per_day), ask.account_trades_per_day),
        (_C.OPEN_POSITIONS, "positions open at once", _MORE,
         "policy limits.open_positions", str(_ACCOUNT.open_positions), ask.open_positions),
        (_C.VOLATILITY, "the instrument's annualised volatility, of the last 240 bars", _MORE,
         "policy limits.volatility", _text(_ACCOUNT.volatility_frac), market.volatility),
        (_C.AVERAGE_VOLUME, "the value traded a day, of the last 240 bars", _MORE,
         "policy limits.average_volume", _text(_ACCOUNT.average_volume), market.average_volume),
        (_C.CORRELATION, "positions that move alike, this one included, of the last 240 bars", _MORE,
         "policy limits.correlated_positions, correlation", _ALIKE, account.correlated),
        (_C.SIZING, "the agent's sizing method has what it needs", _ASKED,
         "limits.sizing", _AGENT.sizing.value, ask.sizing_method),
        (_C.SIZE_CAP, "the size a draft asks for", _ASKED, "limits.qty_max", "what the capital buys", ask.size_cap),
        (_C.RISK_PER_TRADE, "what is lost at the stop", _ASKED,
         "policy limits.risk_per_trade", _text(_ACCOUNT.risk_per_trade_frac), ask.risk_per_trade),
        (_C.POSITION_NOTIONAL, "the position's worth", _MORE,
         "limits.position_notional_max", _NOTIONAL, ask.position_notional),
        (_C.PORTFOLIO_SHARE, "all agents' part of equity in the instrument", _MORE,
         "limits.portfolio_share", _text(_AGENT.portfolio_share_frac), ask.portfolio_share),
        (_C.GROUP_SHARE, "the instrument's group as a part of equity", _MORE,
         "policy limits.group_share", _text(_ACCOUNT.group_share_frac), account.group_share),
        (_C.CAPITAL_SHARE, "the agent's positions within its capital", _MORE, "capital_share", "", ask.capital_share),
        (_C.NET_EXPOSURE, "bought less sold as a part of equity", _MORE,
         "policy limits.net_exposure", _text(_ACCOUNT.net_exposure_frac), account.net_exposure),
        (_C.GROSS_EXPOSURE, "all positions as a part of equity", _MORE,
         "policy limits.gross_exposure", _text(_ACCOUNT.gross_exposure_frac), ask.gross_exposure),
        (_C.LEVERAGE, "all positions in times of equity", _MORE,
         "policy limits.leverage", times(_ACCOUNT.leverage), account.leverage),
        (_C.VALUE_AT_RISK, "what the account may lose in a day, historically, of the last 240 bars", _MORE,
         "policy limits.value_at_risk, value_at_risk_confidence", _text(_ACCOUNT.value_at_risk_frac),
         account.value_at_risk),
        (_C.BUYING_POWER, "cost, fee and head-room within free cash", _MORE, "", _CASH, ask.buying_power),
        (_C.QTY_STEP, "the order is whole quantity steps", _ORDER, "qty_step", "", ask.qty_step),
        (_C.MIN_NOTIONAL, "the order is worth the venue's minimum", _ORDER, "min_notional", "", ask.min_notional),
    )
)  # fmt: skip


def assess(s: Situation, target: Decimal, guardrails: tuple[Guardrail, ...] = GUARDRAILS) -> Assessment:
    """Ask the guardrails in order, up to the first refusal; a hold is asked nothing.

    A target that is the current position already and not refused means: nothing to trade.
    """
    if s.draft.direction is Direction.HOLD:
        return Assessment((), s.current_qty, None, "")
    if mismatch := _mismatch(s, target):
        return Assessment((_failed(mismatch),), s.current_qty, _failed(mismatch), "")
    said: list[RiskCheck] = []
    bound_by = ""
    concerned = _concerned(s, target)
    for guardrail in guardrails:
        if guardrail.applies not in concerned:
            continue
        check, left = _ask(guardrail, s, target)
        said.append(check)
        if check.verdict is _REFUSE:
            return Assessment(tuple(said), s.current_qty, check, bound_by)
        if left is not target:
            target, concerned = left, _concerned(s, left)
            if check.verdict is _REDUCE:
                bound_by = check.code.value
    return Assessment(tuple(said), target, None, bound_by)


def _ask(guardrail: Guardrail, s: Situation, target: Decimal) -> tuple[RiskCheck, Decimal]:
    # Whatever goes wrong in a check, the answer is no (S9): hence no narrower except.
    try:
        leaves, observed, limit = guardrail.rule(s, target)
        if leaves is True or leaves is target:  # as nearly all, so without a further call
            return _said(guardrail.code, _PASS, observed, limit), target
        check, left = guardrail.word(leaves, observed, limit, target)
        if left is target:
            return check, left
        _require_nearer(s, target, check, left)
    except MissingInputError as error:
        return _failed(f"{guardrail.code.value}: {error}", error.code), s.current_qty
    except InvalidOperation:  # a NaN was compared
        return _failed(f"{guardrail.code.value}: no number", CheckCode.INPUT_MISSING), s.current_qty
    except _BrokenRuleError as error:
        return _failed(f"{guardrail.code.value}: {error}"), s.current_qty
    except Exception as error:
        return _failed(f"{guardrail.code.value}: {type(error).__name__}"), s.current_qty
    if check.verdict is _REDUCE and left == s.current_qty:
        check = RiskCheck(check.code, Verdict.REFUSE, check.observed, check.limit)
    return check, left


def _require_nearer(s: Situation, target: Decimal, check: RiskCheck, left: Decimal) -> None:
    if not min(s.current_qty, target) <= left <= max(s.current_qty, target):
        raise _BrokenRuleError("moved the target away")
    if check.verdict is Verdict.PASS and left != target:
        raise _BrokenRuleError("moved a target it passed")


def _mismatch(s: Situation, target: Decimal) -> str:
    """Say why a target cannot come from its draft: no order without its decision."""
    if s.draft.instrument != s.instrument.key:
        return "draft of another instrument"
    if not (target.is_finite() and s.current_qty.is_finite()):
        return "no finite target"
    wrong_way = {
        Direction.BUY: target < s.current_qty,
        Direction.SELL: target > s.current_qty,
        Direction.FLAT: adds_exposure(s, target),
    }
    return "target against the draft" if wrong_way[s.draft.direction] else ""


def _failed(why: str, code: CheckCode = CheckCode.CHECK_FAILED) -> RiskCheck:
    return RiskCheck(code, Verdict.REFUSE, why, "a clear answer")


def table() -> list[tuple[str, str, str, str, str]]:
    """Return a row per guardrail, in order: code, what it checks, what it applies to, its limit's name, the default."""
    return [(g.code.value, g.checks, g.applies.value, g.limit, g.default) for g in GUARDRAILS]


def as_markdown() -> str:
    """Return the table as the architecture page shows it."""
    head = ("code", "what is checked", "applies to", "limit", "default")
    rows = [head, ("---",) * len(head), *table()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
