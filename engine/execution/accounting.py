"""From the venue's updates to the journal: each fill once, its effect in the same transaction (R12).

What an update means for an order's state is read from the life cycle's table alone; a cell that a person must see
becomes an Incident beside the update, and an order that comes back to life holds entries up in its instrument (E04).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from engine.domain.agent import EXTERNAL
from engine.domain.books import Books
from engine.domain.events import (
    EntriesBlocked,
    Event,
    Filled,
    Incident,
    OrderResized,
    OrderShown,
    OrdersUpdated,
    StateChanged,
)
from engine.domain.lifecycle import NEWS_OF_STATUS, News, after_fill, after_news, after_size, fill_news, step
from engine.domain.order import Fill, Order, OrderRole, OrderStatus
from engine.domain.policy import TradingState
from engine.execution.differences import Findings
from engine.execution.gateway import ResizeUpdate, StatusUpdate, VenueUpdate

FILL_STATES = (OrderStatus.FILLED, OrderStatus.PARTIALLY_FILLED)
WORKING_THERE = (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)
NEVER_THERE = (OrderStatus.NOT_SENT, OrderStatus.REJECTED)


def events_of(updates: Iterable[VenueUpdate], books: Books, seen: Callable[[Fill], bool]) -> list[Event]:
    """Return what the updates mean as journal events. seen: whether a fill is booked already (R12).

    The states FILLED and PARTIALLY_FILLED follow from the fills themselves, so the venue's word on them is not
    written a second time. A fill of an order that is not ours is booked to `external`, and is a difference (E32).
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
        self._findings: Findings | None = None

    @property
    def findings(self) -> Findings:
        self._findings = self._findings or Findings(self._books)
        return self._findings

    @property
    def is_halted(self) -> bool:
        return self._books.state is TradingState.HALTED

    def find(self, client_order_id: str) -> Order | None:
        return self._moved.get(client_order_id) or self._books.order(client_order_id)

    def keep(self, order: Order) -> None:
        self._moved[order.client_order_id] = order


def _fill_events(fill: Fill, orders: _Orders) -> Iterator[Event]:
    order = orders.find(fill.client_order_id)
    if order is None:
        yield Filled(agent=EXTERNAL, role=OrderRole.ENTRY, fill=fill)
        yield from orders.findings.foreign_fill(fill)
        return
    after = after_fill(order, fill, fill.ts_ms)
    orders.keep(after)
    yield Filled(agent=order.agent, role=order.role, fill=fill)
    if after.filled_qty > after.qty:
        text = f"order {order.client_order_id} filled {after.filled_qty} of {after.qty}"
        yield Incident(code="OVERFILL", text=text)
        if not orders.is_halted:  # in the same transaction: a crash in between would let trading go on (L5)
            yield StateChanged(state=TradingState.HALTED, actor="ledger", reason=text)
    elif step(order.status, fill_news(after)).incident:
        text = f"order {order.client_order_id} was {order.status} and filled {fill.qty} all the same"
        yield Incident(code="LATE_FILL", text=text)
    if order.status in NEVER_THERE:
        yield _held_up(order, f"filled {fill.qty}")


def _status_events(update: StatusUpdate, orders: _Orders) -> Iterator[Event]:
    news = NEWS_OF_STATUS[update.status]
    if update.asked and update.status in WORKING_THERE:
        news = News.SHOWN
    elif update.status in FILL_STATES:
        return
    known = [order for i in update.client_order_ids if (order := orders.find(i)) is not None]
    moves = [(order, after_news(order, news, order.updated_ms)) for order in known]
    moved = [(before, after) for before, after in moves if after is not before]
    for _, after in moved:
        orders.keep(after)
    yield from _rows(moved, news, update.reason)
    for order, after in moves:
        yield from _incidents(order, news, after, update.reason)


def _rows(moved: list[tuple[Order, Order]], news: News, reason: str) -> Iterator[Event]:
    """Yield one row for all that came to the same state, and one for each order that came back to life."""
    together: dict[OrderStatus, list[str]] = {}
    for before, after in moved:
        if news is News.SHOWN and before.status.is_terminal:
            yield OrderShown(client_order_id=before.client_order_id, reason=reason)
        else:
            together.setdefault(after.status, []).append(before.client_order_id)
    for status, ids in together.items():
        yield OrdersUpdated(client_order_ids=tuple(ids), status=status, reason=reason)


def _incidents(order: Order, news: News, after: Order, reason: str) -> Iterator[Event]:
    why = f": {reason}" if reason else ""
    if after.status is OrderStatus.UNKNOWN and order.status is not OrderStatus.UNKNOWN:
        yield Incident(code="ORDER_UNKNOWN", text=f"order {order.client_order_id}{why}"[:300])
    if not step(order.status, news).incident:
        return
    text = f"order {order.client_order_id} was {order.status} and the venue says {news}{why}"
    yield Incident(code=_code(order.status, news, after.status), text=text[:300])
    if order.status.is_terminal and (after.status.is_working or order.status in NEVER_THERE):
        yield _held_up(order, f"the venue says {news}")


def _code(before: OrderStatus, news: News, after: OrderStatus) -> str:
    if before is OrderStatus.NOT_SENT:
        return "LATE_ORDER"
    if before.is_terminal and after.is_working:
        return "REOPENED"
    return "ORDER_GONE" if news is News.ABSENT else "CONTRADICTION"


def _held_up(order: Order, what: str) -> EntriesBlocked:
    reason = f"order {order.client_order_id} was {order.status} and {what}"
    return EntriesBlocked(instrument=order.instrument, reason=reason, actor="engine")


def _resize_events(update: ResizeUpdate, orders: _Orders) -> list[Event]:
    order = orders.find(update.client_order_id)
    if order is None or order.status.is_terminal or order.qty == update.qty or update.qty < order.filled_qty:
        return []  # less than has filled: an old message, overtaken
    orders.keep(after_size(order, update.qty, order.updated_ms))
    return [OrderResized(client_order_id=update.client_order_id, qty=update.qty)]
