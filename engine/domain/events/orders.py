"""Events of orders, from the intent to the fill."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from typing import ClassVar

from engine.domain.order import Fill, OrderRole, OrderStatus, OrderType, Side
from engine.domain.values import quick_value


@quick_value
class OrderIntended:
    """An intent and its order row, on disk before the first byte leaves (R9, O2)."""

    KIND: ClassVar[int] = 20
    _: KW_ONLY
    intent_id: str
    client_order_id: str
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


@quick_value
class OrdersUpdated:
    """One or more of our orders changed state together, by the venue's word or ours."""

    KIND: ClassVar[int] = 21
    _: KW_ONLY
    client_order_ids: tuple[str, ...]
    status: OrderStatus
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderResized:
    """The venue changed what a protective order still covers (after a partial fill)."""

    KIND: ClassVar[int] = 22
    client_order_id: str
    qty: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderShown:
    """The venue was asked and works an order that we held for ended: it is ours again (E04)."""

    KIND: ClassVar[int] = 24
    client_order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersResolved:
    """The trader said what became of orders the venue left open (R10). status: NOT_SENT or CANCELED, an assumption."""

    KIND: ClassVar[int] = 25
    client_order_ids: tuple[str, ...]
    status: OrderStatus
    actor: str
    reason: str


@quick_value
class Filled:
    """One fill, and the agent whose order it belongs to."""

    KIND: ClassVar[int] = 23
    _: KW_ONLY
    agent: str
    role: OrderRole
    fill: Fill
