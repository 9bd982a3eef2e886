"""Events of decisions: what a cycle came to, and what a person was asked."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from typing import ClassVar

from engine.domain.decision import AnsweredBy, Direction, Disposition, Outcome
from engine.domain.order import OrderRole, OrderType, Side
from engine.domain.risk import RiskCheck
from engine.domain.values import quick_value


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleHeld:
    """A cycle in which every instrument was a hold. items: "instrument=reason" joined by ";".

    Its cycle id follows from the agent and the row's instant, so that a hold costs few bytes.
    """

    KIND: ClassVar[int] = 10
    agent: str
    items: str


@quick_value
class CycleItem:
    """One instrument's part of a cycle. price_ms: close time of the candle, or time of the quote, it was made on.

    features: "name=value" joined by ";". bound_by: the check that decided the size, or "".
    """

    instrument: str
    direction: Direction
    disposition: Disposition
    current_qty: Decimal
    target_qty: Decimal
    confidence: Decimal | None
    price: Decimal | None
    price_ms: int
    rationale: str
    features: str
    bound_by: str
    checks: tuple[RiskCheck, ...]


@quick_value
class CycleDone:
    """One cycle's summary: every phase and check."""

    KIND: ClassVar[int] = 11
    _: KW_ONLY
    cycle_id: str
    agent: str
    trigger: str
    model: str
    outcome: Outcome
    answered_by: AnsweredBy
    detail: str
    items: tuple[CycleItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAsked:
    """An intent waits for a person. digest: hash of order, policy and quote shown (R26)."""

    KIND: ClassVar[int] = 30
    approval_id: str
    cycle_id: str
    agent: str
    instrument: str
    role: OrderRole
    side: Side
    order_type: OrderType
    qty: Decimal
    price: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    target_price: Decimal | None
    digest: str
    expires_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalClosed:
    """How the wait ended: approved, rejected, expired or refused; by whom; with what note."""

    KIND: ClassVar[int] = 31
    approval_id: str
    answer: str
    actor: str
    note: str = ""
