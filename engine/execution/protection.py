"""Every open position of an agent that asked for protection has it resting at the venue (R16)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from engine.domain.agent import AgentConfig
from engine.domain.books import Books
from engine.domain.money import ZERO
from engine.domain.order import OrderRole, OrderStatus
from engine.domain.portfolio import Position

RESTING = (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED)


def uncovered(books: Books, agents: Iterable[AgentConfig]) -> list[Position]:
    """Return the positions whose resting stops cover less than the whole steps that they hold."""
    wants = {config.name for config in agents if config.protection.stop_frac is not None}
    return [p for p in books.open_positions() if p.agent in wants and _stopped_qty(books, p) < _steps(books, p)]


def _steps(books: Books, position: Position) -> Decimal:
    return abs(books.instruments[position.instrument].floor_qty(position.qty))


def _stopped_qty(books: Books, position: Position) -> Decimal:
    stops = [o for o in books.working(position.agent, position.instrument) if o.role is OrderRole.STOP]
    return sum((order.open_qty for order in stops if order.status in RESTING), ZERO)
