"""Every open position that protection was asked for has it resting at the venue (R16)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from engine.domain.agent import EXTERNAL, TRADER, AgentConfig
from engine.domain.books import Books
from engine.domain.money import ZERO, nearest_price, round_price
from engine.domain.order import Order, OrderRole, OrderStatus
from engine.domain.policy import ProtectionRules
from engine.domain.portfolio import Position

RESTING = (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)


def stop_asked(
    books: Books, agents: Mapping[str, AgentConfig], position: Position, rules: ProtectionRules,
    atr: Mapping[int, Decimal],
) -> Decimal | None:  # fmt: skip
    """Return the price a position's stop belongs at; None where none was asked for.

    What its latest entry brought or a person asked for since comes first, then what its agent asks for, by its distance
    from the average price. What an agent that is not known any more left behind gets the policy's distance; what nobody
    here opened gets none unless the policy says so: no order is sent on a guess. atr: average true ranges by period.
    """
    wish, average = books.wishes.of(position.agent, position.instrument), position.average_price
    if wish.stop is not None or wish.bare or average is None or not average > 0 or position.agent == TRADER:
        return wish.stop
    config = agents.get(position.agent)
    if config is not None:
        asked = config.protection.stop
        distance = asked.of(average, atr.get(asked.period)) if asked else None
        if asked is None:
            return None
        distance = average * rules.stop_frac if distance is None else distance  # better the policy's stop than none
    elif position.agent != EXTERNAL:
        distance = average * rules.stop_frac
    elif isinstance(rules.external_stop_frac, Decimal):
        distance = average * rules.external_stop_frac
    else:
        return None
    return round_price(average - distance, books.instruments[position.instrument].price_tick, up=True)


def target_asked(
    books: Books, agents: Mapping[str, AgentConfig], position: Position, atr: Mapping[int, Decimal]
) -> Decimal | None:
    """Return the price a position's target belongs at, found as its stop is; None where none was asked for.

    No profit is guessed: without a wish, and without an agent that asks for one, there is no target.
    """
    wish, average = books.wishes.of(position.agent, position.instrument), position.average_price
    config = agents.get(position.agent)
    asked = config.protection.target if config else None
    if wish.target is not None or wish.bare or asked is None or average is None:
        return wish.target
    distance = asked.of(average, atr.get(asked.period))
    tick = books.instruments[position.instrument].price_tick
    return None if distance is None else nearest_price(average + distance, tick)


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


def too_much(books: Books, position: Position) -> bool:
    """Tell whether what rests for a position would sell more than it holds, as after a sale that was not ours."""
    held = whole_qty(books, position)
    roles = (OrderRole.STOP, OrderRole.TARGET)
    return any(sum((o.open_qty for o in stops_of(books, position, role)), ZERO) > held > 0 for role in roles)


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
