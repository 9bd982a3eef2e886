"""From the venue's updates to the journal: each fill once, its effect in the same transaction (R12)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.domain.agent import EXTERNAL
from engine.domain.books import Books
from engine.domain.events import Event, Filled, Incident, OrderResized, OrdersUpdated
from engine.domain.order import Fill, OrderRole, OrderStatus
from engine.execution.gateway import ResizeUpdate, StatusUpdate, VenueUpdate

FILL_STATES = (OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED)


def events_of(updates: Iterable[VenueUpdate], books: Books, seen: Callable[[Fill], bool]) -> list[Event]:
    """Return what the updates mean as journal events. seen: whether a fill is booked already (R12).

    The states FILLED and PARTIALLY_FILLED follow from the fills themselves, so the venue's word on them is not
    written a second time. A fill of an order that is not ours is booked to `external`, and said (E33).
    """
    events: list[Event] = []
    fresh: set[tuple[str, str]] = set()
    for update in updates:
        if isinstance(update, Fill):
            key = (update.instrument, update.trade_id)
            if key not in fresh and not seen(update):
                fresh.add(key)
                events.extend(_fill_events(update, books))
        elif isinstance(update, StatusUpdate):
            events.extend(_status_events(update, books))
        else:
            events.extend(_resize_events(update, books))
    return events


def overfilled(books: Books, events: Iterable[Event]) -> str:
    """Return a sentence naming an order that has filled beyond its quantity, else "" (L5)."""
    for event in events:
        if isinstance(event, Filled):
            order = books.order(event.fill.client_order_id)
            if order is not None and order.filled_qty > order.qty:
                return f"order {order.client_order_id} filled {order.filled_qty} of {order.qty}"
    return ""


def _fill_events(fill: Fill, books: Books) -> list[Event]:
    order = books.order(fill.client_order_id)
    if order is None:
        text = f"fill {fill.trade_id} of {fill.instrument} belongs to no order of ours: booked to {EXTERNAL}"
        return [
            Filled(agent=EXTERNAL, role=OrderRole.ENTRY, fill=fill),
            Incident(code="EXTERNAL_FILL", text=text),
        ]
    events: list[Event] = [Filled(agent=order.agent, role=order.role, fill=fill)]
    if order.status.is_terminal and order.status is not OrderStatus.FILLED:
        text = f"order {order.client_order_id} was {order.status} and filled {fill.qty} all the same"
        events.append(Incident(code="LATE_FILL", text=text))
    return events


def _status_events(update: StatusUpdate, books: Books) -> list[Event]:
    if update.status in FILL_STATES:
        return []
    ids = tuple(i for i in update.client_order_ids if _moves(books, i, update.status))
    return [OrdersUpdated(client_order_ids=ids, status=update.status, reason=update.reason)] if ids else []


def _moves(books: Books, client_order_id: str, status: OrderStatus) -> bool:
    order = books.orders.get(client_order_id)
    if order is None or order.status is status:
        return False
    return not (status is OrderStatus.OPEN and order.status in FILL_STATES)


def _resize_events(update: ResizeUpdate, books: Books) -> list[Event]:
    order = books.orders.get(update.client_order_id)
    if order is None or order.qty == update.qty:
        return []
    return [OrderResized(client_order_id=update.client_order_id, qty=update.qty)]
