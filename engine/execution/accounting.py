"""From the venue's updates to the journal: each fill once, its effect in the same transaction (R12)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from engine.domain.agent import EXTERNAL
from engine.domain.books import Books
from engine.domain.events import Event, Filled, Incident, OrderResized, OrdersUpdated
from engine.domain.order import Fill, Order, OrderRole, OrderStatus
from engine.execution.gateway import ResizeUpdate, StatusUpdate, VenueUpdate

FILL_STATES = (OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED)


def events_of(updates: Iterable[VenueUpdate], books: Books, seen: Callable[[Fill], bool]) -> list[Event]:
    """Return what the updates mean as journal events. seen: whether a fill is booked already (R12).

    The states FILLED and PARTIALLY_FILLED follow from the fills themselves, so the venue's word on them is not
    written a second time. A fill of an order that is not ours is booked to `external`, and said (E33).
    """
    events: list[Event] = []
    fresh: set[tuple[str, str]] = set()
    orders = _Orders(books)
    for update in updates:
        if isinstance(update, Fill):
            key = (update.instrument, update.trade_id)
            if key not in fresh and not seen(update):
                fresh.add(key)
                events.extend(_fill_events(update, orders))
        elif isinstance(update, StatusUpdate):
            events.extend(_status_events(update, orders))
        else:
            events.extend(_resize_events(update, orders))
    return events


def overfilled(books: Books, events: Iterable[Event]) -> str:
    """Return a sentence naming an order that has filled beyond its quantity, else "" (L5)."""
    for event in events:
        if isinstance(event, Filled):
            order = books.order(event.fill.client_order_id)
            if order is not None and order.filled_qty > order.qty:
                return f"order {order.client_order_id} filled {order.filled_qty} of {order.qty}"
    return ""


class _Orders:
    """Our orders as they stand after the updates of this batch that were read so far."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._moved: dict[str, Order] = {}

    def find(self, client_order_id: str) -> Order | None:
        return self._moved.get(client_order_id) or self._books.order(client_order_id)

    def working(self, client_order_id: str) -> Order | None:
        order = self.find(client_order_id)
        return order if order is not None and order.status.is_working else None

    def keep(self, order: Order) -> None:
        self._moved[order.client_order_id] = order


def _fill_events(fill: Fill, orders: _Orders) -> list[Event]:
    order = orders.find(fill.client_order_id)
    if order is None:
        text = f"fill {fill.trade_id} of {fill.instrument} belongs to no order of ours: booked to {EXTERNAL}"
        return [
            Filled(agent=EXTERNAL, role=OrderRole.ENTRY, fill=fill),
            Incident(code="EXTERNAL_FILL", text=text),
        ]
    orders.keep(order.after_fill(fill, fill.ts_ms))
    events: list[Event] = [Filled(agent=order.agent, role=order.role, fill=fill)]
    if order.status.is_terminal and order.status is not OrderStatus.FILLED:
        text = f"order {order.client_order_id} was {order.status} and filled {fill.qty} all the same"
        events.append(Incident(code="LATE_FILL", text=text))
    return events


def _status_events(update: StatusUpdate, orders: _Orders) -> list[Event]:
    if update.status in FILL_STATES:
        return []
    moving = [order for i in update.client_order_ids if (order := _moving(orders, i, update.status)) is not None]
    for order in moving:
        orders.keep(replace(order, status=update.status))
    ids = tuple(order.client_order_id for order in moving)
    return [OrdersUpdated(client_order_ids=ids, status=update.status, reason=update.reason)] if ids else []


def _moving(orders: _Orders, client_order_id: str, status: OrderStatus) -> Order | None:
    order = orders.working(client_order_id)
    if order is None or order.status is status:
        return None
    return None if status is OrderStatus.OPEN and order.status in FILL_STATES else order


def _resize_events(update: ResizeUpdate, orders: _Orders) -> list[Event]:
    order = orders.working(update.client_order_id)
    if order is None or order.qty == update.qty:
        return []
    orders.keep(replace(order, qty=update.qty))
    return [OrderResized(client_order_id=update.client_order_id, qty=update.qty)]
