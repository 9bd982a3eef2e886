"""Every open position of an agent that asked for protection has it resting at the venue (R16)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from engine.domain.agent import EXTERNAL, TRADER, AgentConfig, Distance, Measure, Protection
from engine.domain.books import Books
from engine.domain.money import ZERO
from engine.domain.order import Order, OrderRole, OrderStatus
from engine.domain.portfolio import Position

RESTING = (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)
Who = tuple[str, str]
"""An agent's name, and an instrument's key."""


def asked_of(
    books: Books, agents: Mapping[str, AgentConfig], position: Position, else_frac: Decimal
) -> Protection | None:
    """Return the protection a position should have; None where none was asked for.

    The trader's ask is that of the entry's ticket. What an agent that is not known any more left behind gets a stop
    at else_frac; what nobody here opened is the trader's to look after, and no order is sent for it.
    """
    if position.agent in agents:
        return agents[position.agent].protection if agents[position.agent].protection.stop else None
    if position.agent == EXTERNAL:
        return None
    if position.agent == TRADER:
        return _asked_by_ticket(books, position)
    return Protection(stop_frac=else_frac)


def _asked_by_ticket(books: Books, position: Position) -> Protection | None:
    mine = [o for o in books.all_orders() if (o.agent, o.instrument) == (position.agent, position.instrument)]
    entries = [order for order in mine if order.role is OrderRole.ENTRY and order.filled_qty]
    latest = max(entries, key=lambda order: order.created_ms, default=None)
    stop = next((o.stop_price for o in mine if latest and o.intent_id == f"{latest.intent_id}:stop"), None)
    average = position.average_price
    if stop is None or average is None or not stop < average:
        return None
    return Protection(stop_frac=None, stop_by=Distance(measure=Measure.PRICE, amount=average - stop))


def whole_qty(books: Books, position: Position) -> Decimal:
    """Return what of a position can be traded: its whole steps."""
    return abs(books.instruments[position.instrument].floor_qty(position.qty))


def stops_of(books: Books, position: Position) -> Iterator[Order]:
    """Yield the stops of a position that rest at the venue, as far as we know."""
    wanted = (OrderRole.STOP, position.agent, position.instrument)
    for order in books.orders.values():
        if (order.role, order.agent, order.instrument) == wanted and order.status in RESTING:
            yield order


def is_covered(books: Books, position: Position) -> bool:
    """Tell whether the resting stops of a position cover the whole steps that it holds."""
    return sum((order.open_qty for order in stops_of(books, position)), ZERO) >= whole_qty(books, position)


def in_doubt(books: Books, position: Position) -> bool:
    """Tell whether a stop of a position, or an entry that brings one, is in doubt: another might be one too many."""
    roles = (OrderRole.STOP, OrderRole.ENTRY)
    mine = books.working(position.agent, position.instrument)
    return any(order.role in roles and order.client_order_id in books.in_doubt for order in mine)


def is_growing(books: Books, position: Position) -> bool:
    """Tell whether an entry of a position still works: its own stop grows with it, and must not be replaced."""
    return any(order.role is OrderRole.ENTRY for order in books.working(position.agent, position.instrument))
