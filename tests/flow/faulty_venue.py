"""A venue with a truth of its own behind a gateway that fails as told: what was asked, what happened, what is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from engine.clock import ManualClock
from engine.domain.order import Fill, Liquidity, OrderRequest, OrderStatus
from engine.execution.gateway import (
    AmbiguousSendError,
    DuplicateIdError,
    OrderRejectedError,
    StatusUpdate,
    VenueOrder,
    VenueTier,
    VenueUpdate,
)
from tests.unit.desk_kit import CASH, START_MS

TIER = VenueTier(
    finds_by_client_id=True, id_unique_forever=True, horizon_ms=30_000, attaches_brackets=False,
    conditional_orders=True, cancel_all_after=False,
)  # fmt: skip
ACCEPTS = ("", "accepted, then a timeout", "accepted, then a garbled answer", "accepted, then a 5xx")
"""The ways a create can go that leave an order at the venue."""


@dataclass
class FaultyVenue:
    """Truth (orders, trades, money) and the wire to it.

    fault: how the next create goes. invisible_ms: for how long queries do not show a new order. down: how many of
    the next queries and cancels fail. mute: what the venue does is not told by drain(). on_create: called as a create
    arrives.
    """

    clock: ManualClock
    tier: VenueTier = TIER
    venue: str = "fake"
    account: str = "main"
    fault: str = ""
    invisible_ms: int = 0
    down: int = 0
    mute: bool = False
    creates: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    orders: dict[str, VenueOrder] = field(default_factory=dict)
    seen_from: dict[str, int] = field(default_factory=dict)
    trades: list[Fill] = field(default_factory=list)
    told: list[VenueUpdate] = field(default_factory=list)
    on_create: Callable[[], None] = lambda: None

    async def create(self, request: OrderRequest) -> VenueOrder:
        fault, self.fault = self.fault, ""
        self.on_create()
        self.creates.append(request.client_order_id)
        if fault == "rejected":
            raise OrderRejectedError("insufficient funds")
        if fault == "lost on the way":
            raise AmbiguousSendError("timed out")
        if request.client_order_id in self.orders:
            raise DuplicateIdError("clientOrderId is not unique")
        shown = self.accept(request)
        if fault == "filled before the answer":
            self.fill(request.client_order_id)
        if fault == "accepted, then a garbled answer":
            raise KeyError("orderId")
        if fault:
            raise AmbiguousSendError(fault)
        return shown

    def accept(self, request: OrderRequest, qty: str = "") -> VenueOrder:
        """Take an order at the venue, told by nobody."""
        order = VenueOrder(
            client_order_id=request.client_order_id, instrument=request.instrument, side=request.side,
            order_type=request.order_type, qty=Decimal(qty) if qty else request.qty, filled_qty=Decimal(0),
            status=OrderStatus.OPEN,
        )  # fmt: skip
        self.orders[order.client_order_id] = order
        self.seen_from[order.client_order_id] = self.clock.now_ms() + self.invisible_ms
        return order

    def fill(self, order_id: str, qty: str = "1") -> Fill:
        """Trade part of an order, or all of it, or too much."""
        order = self.orders[order_id]
        filled = order.filled_qty + Decimal(qty)
        status = order.status
        if status.is_working:
            status = OrderStatus.FILLED if filled >= order.qty else OrderStatus.PARTIALLY_FILLED
        self.orders[order_id] = replace(order, filled_qty=filled, status=status)
        fill = Fill(
            venue=self.venue, account=self.account, instrument=order.instrument, trade_id=f"t{len(self.trades)}",
            client_order_id=order_id, side=order.side, qty=Decimal(qty), price=Decimal(50_000), fee=Decimal(50),
            fee_asset="USDT", liquidity=Liquidity.TAKER, ts_ms=self.clock.now_ms(),
        )  # fmt: skip
        self.trades.append(fill)
        self._tell(fill)
        return fill

    def end(self, order_id: str, status: OrderStatus = OrderStatus.CANCELED) -> None:
        """End what is open of an order."""
        order = self.orders[order_id]
        if order.status.is_working:
            self.orders[order_id] = replace(order, status=status)
            self._tell(StatusUpdate(client_order_ids=(order_id,), status=status))

    async def cancel(self, client_order_id: str) -> VenueOrder | None:
        self._ask(f"cancel {client_order_id}")
        if client_order_id in self.orders:
            self.end(client_order_id)
        return self._shown(client_order_id)

    async def find(self, client_order_id: str) -> VenueOrder | None:
        self._ask(f"find {client_order_id}")
        return self._shown(client_order_id)

    async def open_orders(self) -> list[VenueOrder]:
        self._ask("open orders")
        return [order for order_id, order in self.orders.items() if order.status.is_working and self._shown(order_id)]

    async def balances(self) -> dict[str, Decimal]:
        held = {"USDT": CASH}
        for fill in self.trades:
            held["BTC"] = held.get("BTC", Decimal(0)) + fill.signed_qty
            held["USDT"] -= fill.signed_qty * fill.price + fill.fee
        return held

    async def fills_since(self, ts_ms: int) -> list[Fill]:
        self._ask("fills")
        return [fill for fill in self.trades if fill.ts_ms >= ts_ms]

    def drain(self) -> list[VenueUpdate]:
        told, self.told = self.told, []
        return told

    def _tell(self, update: VenueUpdate) -> None:
        if not self.mute:
            self.told.append(update)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.down:
            self.down -= 1
            raise TimeoutError(what)

    def _shown(self, order_id: str) -> VenueOrder | None:
        seen = order_id in self.orders and self.seen_from.get(order_id, START_MS) <= self.clock.now_ms()
        return self.orders[order_id] if seen else None
