"""The delta to trade. Only risk/gate.py makes one; the router accepts nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from engine.domain.order import OrderRole, OrderType, Side


class Mode(StrEnum):
    """Where orders go (R4)."""

    PAPER = "PAPER"
    LIVE = "LIVE"


class Autonomy(StrEnum):
    """Who says yes (R4)."""

    OBSERVE = "observe"
    APPROVE = "approve"
    AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """An order that passed the guardrails, or one that only reduces. qty > 0 in base; prices in quote.

    stop_price, target_price: the protection that goes with an entry. trigger_price: where a STOP order becomes a market
    order. price: what it was sized at.
    """

    intent_id: str
    cycle_id: str
    agent: str
    instrument: str
    role: OrderRole
    side: Side
    order_type: OrderType
    qty: Decimal
    price: Decimal
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    reduce_only: bool = False
    created_ms: int = 0

    @property
    def notional(self) -> Decimal:
        """Order value in quote at the price it was sized at."""
        return self.qty * (self.limit_price or self.trigger_price or self.price)
