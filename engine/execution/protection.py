"""Every open position of an agent that asked for protection has it resting at the venue (R16)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from engine.domain.agent import EXTERNAL, TRADER, AgentConfig, Distance, Measure, Protection
from engine.domain.books import Books
from engine.domain.money import ZERO, nearest_price
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
    brought, average = _brought(books, position, OrderRole.STOP), position.average_price
    stop = brought.stop_price if brought else None
    if stop is None or average is None or not stop < average:
        return None
    return Protection(stop_frac=None, stop_by=Distance(measure=Measure.PRICE, amount=average - stop))


def target_asked(
    books: Books, agents: Mapping[str, AgentConfig], position: Position, atr: Mapping[int, Decimal]
) -> Decimal | None:
    """Return the price a position's target belongs at: what its latest entry brought, else what its agent asks for.

    None where none was asked for, or nobody can tell any more: no profit is guessed. atr: the agent's average true
    ranges by period.
    """
    brought, average = _brought(books, position, OrderRole.TARGET), position.average_price
    if brought is not None:
        return brought.limit_price
    config = agents.get(position.agent)
    asked = config.protection.target if config else None
    if asked is None or average is None:
        return None
    distance = asked.of(average, atr.get(asked.period))
    tick = books.instruments[position.instrument].price_tick
    return None if distance is None else nearest_price(average + distance, tick)


def _brought(books: Books, position: Position, role: OrderRole) -> Order | None:
    """Return the stop or the target that came with the latest entry of a position, wherever it is by now."""
    mine = [o for o in books.all_orders() if (o.agent, o.instrument) == (position.agent, position.instrument)]
    entries = [order for order in mine if order.role is OrderRole.ENTRY and order.filled_qty]
    latest = max(entries, key=lambda order: order.created_ms, default=None)
    name = f"{latest.intent_id}:{role.value.lower()}" if latest else ""
    return next((order for order in mine if name and order.intent_id == name), None)


def whole_qty(books: Books, position: Position) -> Decimal:
    """Return what of a position can be traded: its whole steps."""
    return abs(books.instruments[position.instrument].floor_qty(position.qty))


def stops_of(books: Books, position: Position, role: OrderRole = OrderRole.STOP) -> Iterator[Order]:
    """Yield the stops, or targets, of a position that rest at the venue, as far as we know."""
    wanted = (role, position.agent, position.instrument)
    for order in books.orders.values():
        if (order.role, order.agent, order.instrument) == wanted and order.status in RESTING:
            yield order


def uncovered(books: Books, position: Position, role: OrderRole = OrderRole.STOP) -> Decimal:
    """Return how much of a position's whole steps no resting stop, or target, covers."""
    covered = sum((order.open_qty for order in stops_of(books, position, role)), ZERO)
    return max(ZERO, whole_qty(books, position) - covered)


def is_covered(books: Books, position: Position) -> bool:
    """Tell whether the resting stops of a position cover the whole steps that it holds."""
    return not uncovered(books, position)


def is_leaving(books: Books, position: Position, price: Decimal | None) -> bool:
    """Tell whether a position is on its way out: its stop acts, or the price has reached it, or it is being closed.

    Its target is dead then, or about to be, and must not be made again: both together would sell one position twice.
    """
    stops = list(stops_of(books, position))
    if any(stop.filled_qty or (price is not None and stop.stop_price and price <= stop.stop_price) for stop in stops):
        return True
    return any(order.role is OrderRole.FLATTEN for order in books.working(position.agent, position.instrument))


def in_doubt(books: Books, position: Position, role: OrderRole = OrderRole.STOP) -> bool:
    """Tell whether a stop, or target, of a position, or an entry that brings one, is in doubt: no second is sent."""
    roles = (role, OrderRole.ENTRY)
    mine = books.working(position.agent, position.instrument)
    return any(order.role in roles and order.client_order_id in books.in_doubt for order in mine)


def is_growing(books: Books, position: Position) -> bool:
    """Tell whether an entry of a position still works: its own stop grows with it, and must not be replaced."""
    return any(order.role is OrderRole.ENTRY for order in books.working(position.agent, position.instrument))


def strays_of(books: Books) -> list[Order]:
    """Return the stops and targets that rest although their position is gone, and nothing works that would open it."""
    return [
        order
        for order in books.orders.values()
        if order.role.is_protection
        and order.status in RESTING
        and not whole_qty(books, books.position(order.agent, order.instrument))
        and not is_growing(books, books.position(order.agent, order.instrument))
    ]
