"""Everything a person may read or command from a shell, with or without an engine running."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from engine.api import Command, Query, Reply
from engine.clock import SystemClock
from engine.config import Instruments, load_agents, policy_of
from engine.control import views
from engine.control.core import Core
from engine.control.handlers import Handlers
from engine.control.socket import send_over
from engine.control.stream import Stream
from engine.control.wire import to_json
from engine.domain.market import Source, SourceKind
from engine.errors import StoreError, UsageError
from engine.paths import StorePaths, config_dir
from engine.runtime.compose import Parts, Plan, arm, assemble
from engine.store import queries
from engine.store.explain import explain
from engine.store.export import export as export_table
from engine.store.reader import AsyncReader, Question, Reader
from engine.store.database import exists
from engine.store.journal import Journal
from engine.store.lock import lock_owner
from engine.store.verify import VerifyReport
from engine.store.verify import verify as verify_store

ANSWER_WITHIN_S = 2.0
ROWS_SHOWN = 50
LIVE_VIEWS = ("status", "agents", "approvals")


class StoreReader:
    """Answers queries inside a running engine: what is live from the core, what is past from the store."""

    def __init__(self, paths: StorePaths, core: Core) -> None:
        self._core = core
        self._reader = AsyncReader(paths)

    async def read(self, name: str, args: dict[str, str]) -> Any:
        """Answer one query with rows or fields that JSON can carry."""
        if name in LIVE_VIEWS:
            return live_view(self._core, name)
        return await self._reader.read(question(name, args))

    async def close(self) -> None:
        """Close the read connection."""
        await self._reader.close()


def question(name: str, args: dict[str, str]) -> Question[Any]:
    """Return the store's question behind a reading command; UsageError for one that there is not."""
    agent, instrument = args.get("agent"), args.get("instrument")
    limit = int(args.get("limit", ROWS_SHOWN))
    if name == "explain":
        return explain(args.get("cycle", ""))
    if name == "decisions":
        acted = args.get("acted_only", "").lower() == "true"
        return queries.decisions(limit, agent=agent, acted_only=acted, instrument=instrument)
    if name == "positions":
        return _only(queries.positions(open_only=True), agent, instrument, limit)
    plain_lists = {"orders": queries.orders, "fills": queries.fills, "ledger": queries.ledger,
                   "states": queries.states, "incidents": queries.incidents}  # fmt: skip
    if name not in plain_lists:
        raise UsageError(f"No table {name!r}; there are: decisions, positions, explain, {', '.join(plain_lists)}.")
    return _only(plain_lists[name](limit if not (agent or instrument) else None), agent, instrument, limit)


def _only(asked: Question[Any], agent: str | None, instrument: str | None, limit: int) -> Question[Any]:
    rows = yield from asked
    kept = [
        row
        for row in rows
        if agent in (None, row.get("agent", row.get("agent_id"))) and instrument in (None, row.get("instrument"))
    ]
    return kept[:limit]


def live_view(core: Core, name: str) -> Any:
    """Return the status, the agents or the waiting approvals, as JSON can carry them."""
    shown = views.snapshot(core, mono_ms=SystemClock().mono_ms(), progress=None, finished=False)
    if name == "status":
        return to_json(shown)
    return to_json(shown.agents if name == "agents" else shown.approvals)


@dataclass(slots=True)
class SocketLink:
    """Commands to the engine that owns the store."""

    paths: StorePaths

    def send(self, command: Command) -> Reply:
        """Send a command; StoreLockedError when the engine does not answer within 2 s."""
        return send_over(self.paths.socket, command, ANSWER_WITHIN_S)


@dataclass(slots=True)
class LocalLink:
    """Commands to a store that no engine owns: this process is its engine for as long as it takes."""

    parts: Parts
    loop: asyncio.AbstractEventLoop

    def send(self, command: Command) -> Reply:
        """Carry a command out on the store itself."""
        return self.loop.run_until_complete(self._handle(command))

    async def _handle(self, command: Command) -> Reply:
        reader = StoreReader(self.parts.journal.paths, self.parts.core)
        try:
            return await Handlers(self.parts.core, reader.read).handle(command)
        finally:
            await reader.close()


@contextmanager
def connect(store: Path) -> Iterator[SocketLink | LocalLink]:
    """Reach a store's engine: over its socket while the lock is held, else by taking the lock."""
    paths = StorePaths(store)
    if not exists(paths):
        raise StoreError(f"There is no store in {store}; `quarterdeck` or `quarterdeck demo` makes one.")
    if lock_owner(paths) is not None:
        yield SocketLink(paths)
        return
    with _local(paths) as link:
        yield link


@contextmanager
def _local(paths: StorePaths) -> Iterator[LocalLink]:
    loop = asyncio.new_event_loop()
    journal = Journal.open(paths)
    parts = None
    try:
        plan = _plan_of(journal)
        clock = SystemClock()
        parts = assemble(plan, journal, Stream(), clock, durable=True)
        loop.run_until_complete(arm(parts, plan, clock.now_ms()))
        yield LocalLink(parts, loop)
    finally:
        if parts is not None:
            parts.close()
        else:
            journal.close()
        loop.close()


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


def query(store: Path, name: str, args: dict[str, str]) -> Any:
    """Answer a reading command, from the running engine or from the store."""
    with connect(store) as link:
        reply = link.send(Query(name=name, args=args))
    if not reply.ok:
        raise StoreError(reply.text)
    return reply.data


def export(store: Path, table: str, fmt: str, out: TextIO) -> int:
    """Write a whole table; returns the number of rows. Reads beside a running engine, on its own connection."""
    paths = StorePaths(store)
    if not exists(paths):
        raise StoreError(f"There is no store in {store}; name one with --store.")
    reader = Reader(paths)
    try:
        return export_table(reader, table, fmt, out)
    finally:
        reader.close()


def verify(store: Path) -> VerifyReport:
    """Prove a store's chain and ledger; StoreError when there is none."""
    paths = StorePaths(store)
    if not exists(paths):
        raise StoreError(f"There is no store in {store}; name one with --store.")
    return verify_store(paths)
