"""The monitor of targets: the other half of R16. What is asked for rests within the deadline, or is put back.

A missing target costs a profit, never more than the stop allows, so it is no reason to close: what the policy would
close a position without a stop for, it only puts back here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from engine.agents.cycle import Desk
from engine.clock import HOUR_MS
from engine.domain.agent import AgentConfig
from engine.domain.events import Incident
from engine.domain.money import plain
from engine.domain.order import OrderRole
from engine.domain.policy import OnMissing, ProtectionRules
from engine.domain.portfolio import Position
from engine.domain.wishes import Who
from engine.execution.holdings import is_dust
from engine.execution.protection import in_doubt, is_leaving, target_asked, uncovered
from engine.execution.stops import rest_target
from engine.ids import base36

WAIT_MAX_MS = HOUR_MS


@dataclass(slots=True)
class _Lack:
    """A target that is missing since, or was last sent for, on the monotonic clock. tries: sends the venue refused."""

    since_mono_ms: float
    tries: int = 0
    told: bool = False


class Aims:
    """Watches the targets of all positions of one engine, on its thread. missing: who lacks a target."""

    def __init__(self, desk: Desk, configs: Mapping[str, AgentConfig]) -> None:
        self._desk = desk
        self._books = desk.journal.books
        self._configs = configs
        self.missing: dict[Who, _Lack] = {}

    def note(self) -> dict[str, str]:
        """Note who lacks a target and since when; return a sentence for each instrument that this concerns."""
        now, lacking = self._desk.clock.mono_ms(), list(self._lacking())
        self.missing = {who: self.missing.get(who) or _Lack(now) for who in (_who(p) for p, _target in lacking)}
        return {p.instrument: f"{p.agent} has no resting target for its {plain(p.qty)}" for p, _target in lacking}

    async def check(self, rules: ProtectionRules, but: Collection[Who] = (), *, at_once: bool = False) -> None:
        """Act on what is missing for too long.

        but: positions that are being closed. at_once: at a start, where agents that are known wait for no deadline.
        """
        now = self._desk.clock.mono_ms()
        for position, target in list(self._lacking()):
            who = _who(position)
            lack = self.missing.get(who)
            if lack is None or who in but:
                continue
            waited = now - lack.since_mono_ms >= min(WAIT_MAX_MS, rules.deadline_ms * 2**lack.tries)
            if waited or (at_once and position.agent in self._configs):
                await self._act(position, target, lack, rules)

    def _lacking(self) -> Iterator[tuple[Position, Decimal]]:
        """Yield positions without the target they should have, and its price. What is on its way out needs none."""
        books, valuation = self._books, self._desk.surroundings.valuation
        for position in books.open_positions():
            short = uncovered(books, position, OrderRole.TARGET) if position.qty > 0 else None
            if not short or is_dust(books, valuation, position.instrument, short):
                continue
            config = self._configs.get(position.agent)
            known = self._desk.surroundings.atr(config, position.instrument) if config else {}
            target = target_asked(books, self._configs, position, known)
            if target is not None and not is_leaving(books, position, valuation.price(position.instrument)):
                yield position, target

    async def _act(self, position: Position, target: Decimal, lack: _Lack, rules: ProtectionRules) -> None:
        config = self._configs.get(position.agent)
        wanted = (config and config.protection.missing) or rules.missing
        self._tell(position, target, lack, wanted)
        lack.since_mono_ms = self._desk.clock.mono_ms()
        if wanted is OnMissing.ALARM or in_doubt(self._books, position, OrderRole.TARGET):
            return
        desk, name = self._desk, f"aim.{base36(self._desk.journal.seq)}"
        price = desk.surroundings.valuation.price(position.instrument) or target
        if not await rest_target(desk.journal, desk.router, desk.clock, position, target, price, name):
            lack.tries += 1

    def _tell(self, position: Position, target: Decimal, lack: _Lack, wanted: OnMissing) -> None:
        if lack.told:
            return
        lack.told = True
        does = "nobody mends it" if wanted is OnMissing.ALARM else f"one is put at {plain(target)}"
        text = (
            f"{position.agent} holds {plain(position.qty)} {position.instrument} without a resting target for its "
            f"whole quantity; {does}"
        )
        self._desk.journal.record(self._desk.clock.now_ms(), Incident(code="NO_TARGET", text=text))


def _who(position: Position) -> Who:
    return position.agent, position.instrument
