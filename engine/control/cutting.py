"""Protection of `external` that covers more than is held is cut: no group lets the venue hold it within that."""

from __future__ import annotations

from dataclasses import dataclass

from engine.agents.cycle import Desk
from engine.control.aiming import WAIT_MAX_MS
from engine.domain.agent import EXTERNAL
from engine.domain.events import Incident
from engine.domain.money import plain
from engine.domain.order import OrderRole
from engine.domain.policy import ProtectionRules
from engine.domain.portfolio import Position
from engine.execution.protection import stops_of, too_much
from engine.execution.stops import rest_stop
from engine.ids import base36

TELL_AT = 2


@dataclass(slots=True)
class _Try:
    """When a cut may be tried next, by the monotonic clock; tries: how often it was."""

    next_mono_ms: float
    tries: int = 0


class Cuts:
    """Cuts what is too large, at once, and again after the deadline while the venue refuses.

    Each wait doubles, to an hour at most; that it did not help is said once.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._tries: dict[str, _Try] = {}

    @property
    def wait(self) -> bool:
        """Tell whether something is still too large."""
        return bool(self._tries)

    async def check(self, rules: ProtectionRules) -> None:
        """Do what is due."""
        desk, now = self._desk, self._desk.clock.mono_ms()
        books = desk.journal.books
        large = {p.instrument: p for p in books.open_positions() if p.agent == EXTERNAL and too_much(books, p)}
        self._tries = {key: self._tries.get(key) or _Try(now) for key in large}
        for key, position in large.items():
            due = self._tries[key]
            if due.next_mono_ms <= now:
                due.next_mono_ms = now + min(WAIT_MAX_MS, rules.deadline_ms * 2**due.tries)
                due.tries += 1
                if due.tries == TELL_AT:
                    self._tell(position)
                await self._cut(position)

    def _tell(self, position: Position) -> None:
        text = (
            f"{EXTERNAL} holds {plain(position.qty)} {position.instrument}, and the venue does not let its stop be cut "
            f"to that; it is asked again, ever more seldom"
        )
        self._desk.journal.record(self._desk.clock.now_ms(), Incident(code="NOT_CUT", text=text))

    async def _cut(self, position: Position) -> None:
        desk, books = self._desk, self._desk.journal.books
        stops = [o.stop_price for o in stops_of(books, position) if o.stop_price is not None]
        await desk.router.cancel([o.client_order_id for o in stops_of(books, position, OrderRole.TARGET)])
        if stops:
            name, price = f"cut.{base36(desk.journal.seq)}", desk.surroundings.valuation.price(position.instrument)
            await rest_stop(desk.journal, desk.router, desk.clock, position, max(stops), price or max(stops), name)
