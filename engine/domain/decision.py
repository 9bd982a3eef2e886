"""What a model says (a draft) and what the code makes of it (a decision)."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from enum import StrEnum

from engine.domain.money import is_amount, plain
from engine.domain.values import quick_value


class Direction(StrEnum):
    """All that a draft may ask for (R1)."""

    BUY = "buy"
    SELL = "sell"
    FLAT = "flat"
    HOLD = "hold"


class Outcome(StrEnum):
    """How a cycle ended; failures are outcomes of their own, never a silent hold (R2)."""

    DECIDED = "DECIDED"
    PARSE_FAILED = "PARSE_FAILED"
    REFUSED_BY_MODEL = "REFUSED_BY_MODEL"
    TRUNCATED = "TRUNCATED"
    TIMED_OUT = "TIMED_OUT"
    RATE_LIMITED = "RATE_LIMITED"
    PROVIDER_DOWN = "PROVIDER_DOWN"
    WRONG_MODEL = "WRONG_MODEL"
    OVER_BUDGET = "OVER_BUDGET"
    STALE_INPUT = "STALE_INPUT"
    MODEL_ERROR = "MODEL_ERROR"
    KEYS_LOCKED = "KEYS_LOCKED"


class AnsweredBy(StrEnum):
    """Who answered (R7)."""

    LIVE = "LIVE"
    FALLBACK = "FALLBACK"


class Disposition(StrEnum):
    """What became of one decision when its cycle ended."""

    HOLD = "HOLD"
    NO_CHANGE = "NO_CHANGE"
    REFUSED = "REFUSED"
    OBSERVED = "OBSERVED"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    ACTED = "ACTED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionDraft:
    """The strict form at the boundary: a direction, a confidence, and hints that code checks.

    confidence: 0..1, None only for a hold. quantity: a ceiling in base. target_qty: a signed ceiling.
    stop, target, limit_price: prices in quote. trigger_price: the order waits until the market reaches it, then it is a
    market order; a manual ticket's, never a model's.
    """

    instrument: str
    direction: Direction
    rationale: str
    confidence: Decimal | None = None
    quantity: Decimal | None = None
    target_qty: Decimal | None = None
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    stop: Decimal | None = None
    target: Decimal | None = None
    max_slippage_bps: int | None = None

    def misshapen(self) -> str:
        """Say which number is none that money may be kept in, "" when all are: nothing could be written of it (R8).

        >>> DecisionDraft(instrument="X", direction=Direction.BUY, rationale="", stop=Decimal("NaN")).misshapen()
        "stop Decimal('NaN')"
        """
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, Decimal) and is_amount(value)):
                return f"{name} {value!r:.40}"
        return ""


_NUMBERS = ("confidence", "quantity", "target_qty", "limit_price", "trigger_price", "stop", "target")


@quick_value
class Decision:
    """A signed target for the agent's own sub-position in one instrument, sized by code (R1).

    current_qty, target_qty: signed, in base. price: the mark it was sized at, of price_ms; None without one.
    """

    _: KW_ONLY
    decision_id: str
    cycle_id: str
    agent: str
    instrument: str
    direction: Direction
    current_qty: Decimal
    target_qty: Decimal
    confidence: Decimal | None
    rationale: str
    price: Decimal | None
    price_ms: int
    made_ms: int
    limit_price: Decimal | None = None
    stop: Decimal | None = None
    target: Decimal | None = None

    @property
    def delta(self) -> Decimal:
        """What would have to be traded, signed."""
        return self.target_qty - self.current_qty


def describe_action(direction: str, current_qty: Decimal, target_qty: Decimal) -> str:
    """Write a target as a trader reads it.

    >>> describe_action("buy", Decimal("0.1"), Decimal("0.3"))
    'BUY 0.2 (0.1 -> 0.3)'
    >>> describe_action("hold", Decimal("0.1"), Decimal("0.1"))
    'HOLD 0.1'
    """
    delta = target_qty - current_qty
    if not delta:
        return f"{direction.upper()} {plain(current_qty)}"
    word = "BUY" if delta > 0 else "SELL"
    return f"{word} {plain(abs(delta))} ({plain(current_qty)} -> {plain(target_qty)})"
