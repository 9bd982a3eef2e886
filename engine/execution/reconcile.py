"""Ask the venue, explain every difference, and only then let anything trade (R14)."""

from __future__ import annotations

from collections.abc import Container

from engine.clock import Clock
from engine.domain.events import Incident, OrderResized
from engine.domain.money import ZERO, plain
from engine.domain.order import Order, OrderStatus
from engine.execution.accounting import FILL_STATES, events_of
from engine.execution.gateway import Gateway, StatusUpdate
from engine.store.journal import Journal


async def reconcile(journal: Journal, gateway: Gateway, clock: Clock, sending: Container[str] = ()) -> list[str]:
    """Book fills we missed, settle orders by the venue's word, and return what it cannot explain, as sentences.

    sending: ids of orders whose create is under way; they are not asked for.
    """
    gateway.drain()  # what these updates say is asked again below, from the venue's own record
    for order in list(journal.books.orders.values()):
        await _take_size(journal, gateway, clock, order)
    fills = await gateway.fills_since(0)
    events = events_of(fills, journal.books, lambda f: journal.has_fill(f.venue, f.account, f.instrument, f.trade_id))
    if events:
        journal.record(clock.now_ms(), *events)
    for order in list(journal.books.orders.values()):
        if order.client_order_id not in sending:
            await _settle(journal, gateway, clock, order)
    return await _drift(journal, gateway, clock)


async def _take_size(journal: Journal, gateway: Gateway, clock: Clock, order: Order) -> None:
    """Take the venue's word on an order's quantity before its fills: they end an order that covers what they fill."""
    shown = await gateway.find(order.client_order_id)
    if shown is not None and shown.qty != order.qty:
        journal.record(clock.now_ms(), OrderResized(client_order_id=order.client_order_id, qty=shown.qty))


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


async def _drift(journal: Journal, gateway: Gateway, clock: Clock) -> list[str]:
    """Compare balances; a difference is an incident, never an adjustment."""
    venue, ours = await gateway.balances(), journal.books.balances
    drifts = [
        f"{asset}: the venue holds {plain(venue.get(asset, ZERO))}, our fills add up to {plain(ours.get(asset, ZERO))}"
        for asset in sorted({*venue, *ours})
        if venue.get(asset, ZERO) != ours.get(asset, ZERO)
    ]
    if drifts:
        journal.record(clock.now_ms(), *[Incident(code="BALANCE_DRIFT", text=text) for text in drifts])
    return drifts
