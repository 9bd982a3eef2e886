"""The guardrails, in order: each a code, one of the checks, and the orders it applies to.

A guardrail passes a target, moves it towards the current position, or refuses it. An exception in a check, or an
input it lacks, is a refusal (S9).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from engine.domain.agent import AgentLimits
from engine.domain.decision import Direction
from engine.domain.money import percent, plain
from engine.domain.policy import AccountLimits
from engine.domain.risk import CheckCode, RiskCheck, Verdict
from engine.risk import checks as ask
from engine.risk.checks import adds_exposure
from engine.risk.situation import Situation
from engine.risk.sizing import MissingInputError

Rule = Callable[[Situation, Decimal], ask.Word]


class Applies(Enum):
    """Which decisions a guardrail is asked about; an exit is never held up by what only concerns entries."""

    EVERY = "every order"
    ASKED = "a draft to buy"
    MORE = "an order that adds exposure"
    ORDER = "every change of position"


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One check: callable with a situation and a target, answering with its word and the target it leaves."""

    code: CheckCode
    checks: str
    applies: Applies
    limit: str
    default: str
    rule: Rule

    def __call__(self, s: Situation, target: Decimal) -> tuple[RiskCheck, Decimal]:
        leaves, observed, limit = self.rule(s, target)
        if isinstance(leaves, Decimal):
            verdict = Verdict.PASS if leaves == target else Verdict.REDUCE
            return RiskCheck(self.code, verdict, observed, limit), leaves
        return RiskCheck(self.code, Verdict.PASS if leaves else Verdict.REFUSE, observed, limit), target

    def concerns(self, s: Situation, target: Decimal) -> bool:
        """Tell whether the guardrail has a say in this decision."""
        if self.applies is Applies.EVERY:
            return True
        if self.applies is Applies.ORDER:
            return target != s.current_qty
        return adds_exposure(s, target) or (self.applies is Applies.ASKED and s.draft.direction is Direction.BUY)


class _BrokenRuleError(Exception):
    """A guardrail did what none may do."""


@dataclass(frozen=True, slots=True)
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
_AGE, _COLLAR = ask.seconds(_ACCOUNT.price_age_ms), percent(_ACCOUNT.price_collar_frac)
_COOLDOWN, _RISK = ask.minutes(_AGENT.cooldown_after_loss_ms), percent(_ACCOUNT.risk_per_trade_frac)
_SHARE, _GROSS = percent(_AGENT.portfolio_share_frac), percent(_ACCOUNT.gross_exposure_frac)
_CASH, _NOTIONAL = f"{percent(ask.HEAD_ROOM_FRAC)} head-room", plain(_AGENT.position_notional_max)
_C = CheckCode

GUARDRAILS: tuple[Guardrail, ...] = tuple(
    Guardrail(*row)
    for row in (
        (_C.TRADING_STATE, "the engine may trade", _EVERY, "", "", ask.trading_state),
        (_C.AGENT_STATE, "the agent is running", _EVERY, "", "", ask.agent_state),
        (_C.CONFIDENCE, "the confidence is there and high enough", _EVERY,
         "limits.confidence_min", plain(_AGENT.confidence_min), ask.confidence),
        (_C.NOT_ALLOWED, "the instrument is on the agent's lists", _ASKED,
         "instruments, limits.allowed", "", ask.not_allowed),
        (_C.BLOCKED, "the instrument is not on the block list", _ASKED, "limits.blocked", "", ask.blocked),
        (_C.DUPLICATE_DECISION, "the decision has not traded before", _EVERY, "", "", ask.duplicate_decision),
        (_C.ORDER_WORKING, "no order of the agent is working here", _EVERY, "", "", ask.order_working),
        (_C.INSTRUMENT_BLOCKED, "nothing in the instrument is in doubt", _MORE, "", "", ask.instrument_blocked),
        (_C.MARKET_CLOSED, "the market is known to be open", _EVERY, "calendar", "", ask.market_closed),
        (_C.PRICE_AGE, "the price is fresh, finite, positive", _EVERY, "policy limits.price_age", _AGE, ask.price_age),
        (_C.PRICE_COLLAR, "price and limit price are near the median", _ORDER,
         "policy limits.price_collar", _COLLAR, ask.price_collar),
        (_C.SHORT_NOT_ALLOWED, "nothing is sold that is not held", _EVERY, "", "", ask.short_not_allowed),
        (_C.STOP_INVALID, "stop and target are on their sides of the entry", _ASKED, "", "", ask.stop_invalid),
        (_C.COOLDOWN, "the last loss here is long enough ago", _MORE,
         "limits.cooldown_after_loss", _COOLDOWN, ask.cooldown),
        (_C.TRADES_PER_DAY, "the agent's trades of the UTC day", _MORE,
         "limits.trades_per_day", str(_AGENT.trades_per_day), ask.trades_per_day),
        (_C.ACCOUNT_TRADES_PER_DAY, "all trades of the UTC day", _MORE,
         "policy limits.trades_per_day", str(_ACCOUNT.trades_per_day), ask.account_trades_per_day),
        (_C.OPEN_POSITIONS, "positions open at once", _MORE,
         "policy limits.open_positions", str(_ACCOUNT.open_positions), ask.open_positions),
        (_C.SIZE_CAP, "the size a draft asks for", _ASKED, "limits.qty_max", "what the capital buys", ask.size_cap),
        (_C.RISK_PER_TRADE, "what is lost at the stop", _ASKED,
         "policy limits.risk_per_trade", _RISK, ask.risk_per_trade),
        (_C.POSITION_NOTIONAL, "the position's worth", _MORE,
         "limits.position_notional_max", _NOTIONAL, ask.position_notional),
        (_C.PORTFOLIO_SHARE, "all agents' part of equity in the instrument", _MORE,
         "limits.portfolio_share", _SHARE, ask.portfolio_share),
        (_C.CAPITAL_SHARE, "the agent's positions within its capital", _MORE, "capital_share", "", ask.capital_share),
        (_C.GROSS_EXPOSURE, "all positions as a part of equity", _MORE,
         "policy limits.gross_exposure", _GROSS, ask.gross_exposure),
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
    for guardrail in guardrails:
        answer = _ask(guardrail, s, target)
        if answer is None:
            continue
        check, target = answer
        said.append(check)
        if check.verdict is Verdict.REFUSE:
            return Assessment(tuple(said), s.current_qty, check, bound_by)
        if check.verdict is Verdict.REDUCE:
            bound_by = check.code.value
    return Assessment(tuple(said), target, None, bound_by)


def _ask(guardrail: Guardrail, s: Situation, target: Decimal) -> tuple[RiskCheck, Decimal] | None:
    # Whatever goes wrong in a check, the answer is no (S9): hence no narrower except.
    try:
        if not guardrail.concerns(s, target):
            return None
        check, left = guardrail(s, target)
        if left is not target:
            _require_nearer(s, target, check, left)
    except (MissingInputError, _BrokenRuleError) as error:
        return _failed(f"{guardrail.code.value}: {error}"), s.current_qty
    except Exception as error:
        return _failed(f"{guardrail.code.value}: {type(error).__name__}"), s.current_qty
    if check.verdict is Verdict.REDUCE and left == s.current_qty:
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


def _failed(why: str) -> RiskCheck:
    return RiskCheck(CheckCode.CHECK_FAILED, Verdict.REFUSE, why, "a clear answer")


def table() -> list[tuple[str, str, str, str, str]]:
    """Return a row per guardrail, in order: code, what it checks, what it applies to, its limit's name, the default."""
    return [(g.code.value, g.checks, g.applies.value, g.limit, g.default) for g in GUARDRAILS]
