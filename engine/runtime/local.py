"""A store's engine for as long as one command takes: no feed, the same start, the same handlers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from engine.api import Command, Flatten, Query, Reply
from engine.clock import Clock, ManualClock, SystemClock
from engine.config import Instruments, load_agents, policy_of
from engine.control.handlers import Handlers
from engine.control.stream import Stream
from engine.domain.market import Source, SourceKind
from engine.paths import StorePaths, config_dir
from engine.runtime.compose import Parts, Plan, arm, assemble
from engine.runtime.reads import StoreReader
from engine.store.journal import Journal


@dataclass(slots=True)
class LocalLink:
    """Commands to a store that no engine owns: this process is its engine for as long as it takes.

    It takes up work, which leaves rows in the journal, only for a command that does something.
    """

    parts: Parts
    plan: Plan
    loop: asyncio.AbstractEventLoop
    armed: bool = False

    def send(self, command: Command) -> Reply:
        """Carry a command out on the store itself."""
        return self.loop.run_until_complete(self._handle(command))

    async def _handle(self, command: Command) -> Reply:
        if not self.armed and not isinstance(command, Query):
            self.armed = True
            await arm(self.parts, self.plan, self.parts.core.desk.clock.now_ms())
        reader = StoreReader(self.parts.journal.paths, self.parts.core)
        try:
            reply = await Handlers(self.parts.core, reader.read).handle(command)
            if isinstance(command, Flatten) and self.parts.core.flatten is not None:
                return replace(reply, text=f"{reply.text} No prices come in here: open the console to let it finish.")
            return reply
        finally:
            await reader.close()


@contextmanager
def local_link(paths: StorePaths) -> Iterator[LocalLink]:
    """Take the lock, and serve one caller as a console's engine would."""
    loop = asyncio.new_event_loop()
    journal = Journal.open(paths)
    parts = None
    try:
        plan = _plan_of(journal)
        parts = assemble(plan, journal, Stream(), _clock_of(plan, journal), durable=True)
        yield LocalLink(parts, plan, loop)
    finally:
        if parts is not None:
            parts.close()
        else:
            journal.close()
        loop.close()


def _clock_of(plan: Plan, journal: Journal) -> Clock:
    """A recording's store has a virtual clock: it stands where the replay stopped, and goes on from there."""
    return ManualClock(journal.books.last_ts_ms) if plan.source.kind is SourceKind.REPLAY else SystemClock()


def _plan_of(journal: Journal) -> Plan:
    """Return a plan for a store without a feed: its own instruments, the configured agents that fit them."""
    books, folder = journal.books, config_dir()
    listed = tuple(books.instruments.values())
    agents = load_agents(folder, Instruments.load(folder)) if folder.is_dir() else ()
    fitting = tuple(agent for agent in agents if all(key in books.instruments for key in agent.instruments))
    kind = SourceKind(books.genesis.source_kind) if books.genesis else SourceKind.REPLAY
    interval_ms = min((agent.timeframe_ms for agent in fitting), default=60_000)
    source = Source(kind=kind, name="no feed")
    return Plan(policy=policy_of(folder), instruments=listed, agents=fitting, source=source, interval_ms=interval_ms)
