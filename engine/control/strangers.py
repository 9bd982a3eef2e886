"""Positions that nobody here opened and nobody has asked a stop for: said, and shown, and left to the trader.

No order is sent for them: what they are for, and what may be lost on them, only their owner knows.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.agents.cycle import Desk
from engine.domain.agent import EXTERNAL
from engine.domain.events import Incident
from engine.domain.money import plain
from engine.domain.policy import ProtectionRules
from engine.domain.portfolio import Position
from engine.execution.holdings import is_dust
from engine.execution.protection import is_covered, stop_asked


class Strangers:
    """Watches them for one engine, on its thread. since: instrument -> since when, on the monotonic clock."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._books = desk.journal.books
        self._told: set[str] = set()
        self.since: dict[str, float] = {}

    @property
    def untold(self) -> bool:
        """Tell whether any have still to be said."""
        return len(self._told) < len(self.since)

    def note(self, rules: ProtectionRules) -> None:
        """Note which there are."""
        now = self._desk.clock.mono_ms()
        self.since = {p.instrument: self.since.get(p.instrument, now) for p in self._bare(rules)}
        self._told &= self.since.keys()

    def check(self, rules: ProtectionRules) -> None:
        """Say, once, which have been so for as long as a stop may be missing."""
        now = self._desk.clock.mono_ms()
        for key, since in self.since.items():
            if key not in self._told and now - since >= rules.deadline_ms:
                self._told.add(key)
                self._desk.journal.record(self._desk.clock.now_ms(), Incident(code="UNPROTECTED", text=self._said(key)))

    def _said(self, key: str) -> str:
        held = plain(self._books.position(EXTERNAL, key).qty)
        return (
            f"{EXTERNAL} holds {held} {key}, which nobody here opened, without a stop, and none is guessed: "
            f"`quarterdeck protect {key} --stop PRICE` puts one there, --bare says that none is wanted"
        )

    def _bare(self, rules: ProtectionRules) -> Iterator[Position]:
        books, valuation = self._books, self._desk.surroundings.valuation
        for position in books.open_positions():
            if position.agent != EXTERNAL or position.qty < 0 or is_covered(books, position):
                continue
            asked = books.wishes.of(EXTERNAL, position.instrument)
            if asked.bare or is_dust(books, valuation, position.instrument, position.qty):
                continue
            if stop_asked(books, {}, position, rules, {}) is None:
                yield position
