"""Take the venue's word on each of our orders, as a start after any end does."""

from __future__ import annotations

from collections.abc import Container

from engine.clock import Clock
from engine.domain.events import OrderResized
from engine.domain.order import Order, OrderStatus
from engine.execution.accounting import FILL_STATES, events_of
from engine.execution.gateway import Gateway, StatusUpdate
from engine.store.journal import Journal


async def take_sizes(journal: Journal, gateway: Gateway, clock: Clock) -> None:
    """Take the venue's word on the quantity of orders before their fills: they end an order that covers its fills."""
    for order in list(journal.books.orders.values()):
        shown = await gateway.find(order.client_order_id)
        if shown is not None and shown.qty != order.qty:
            journal.record(clock.now_ms(), OrderResized(client_order_id=order.client_order_id, qty=shown.qty))


async def settle_orders(journal: Journal, gateway: Gateway, clock: Clock, sending: Container[str] = ()) -> None:
    """Take the venue's word on every working order. sending: ids under way, which are not asked for."""
    for order in list(journal.books.orders.values()):
        if order.client_order_id not in sending:
            await _settle(journal, gateway, clock, order)


async def _settle(journal: Journal, gateway: Gateway, clock: Clock, order: Order) -> None:
    """Take the venue's word on an order. One it does not show was never sent, once its horizon has passed (P03)."""
    shown = await gateway.find(order.client_order_id)
    if shown is not None:
        if shown.status not in FILL_STATES:
            _tell(journal, clock, order, shown.status, shown.reason or "as the venue shows it")
        return
    tier, waited_ms = gateway.tier, clock.now_ms() - order.updated_ms
    asked_before = order.status is not OrderStatus.INTENT_RECORDED or not tier.horizon_ms
    if asked_before and waited_ms >= tier.horizon_ms and tier.finds_by_client_id:
        _tell(journal, clock, order, OrderStatus.NOT_SENT, "the venue does not know it, past its horizon")
    else:
        _tell(journal, clock, order, OrderStatus.UNKNOWN, "the venue does not show it yet")


def _tell(journal: Journal, clock: Clock, order: Order, status: OrderStatus, reason: str) -> None:
    update = StatusUpdate(client_order_ids=(order.client_order_id,), status=status, reason=reason, asked=True)
    events = events_of([update], journal.books, lambda fill: True)
    if events:
        journal.record(clock.now_ms(), *events)
