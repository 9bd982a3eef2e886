"""A store's engine for as long as one command takes: no feed, the same start, the same handlers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from engine.api import AskAgain, Command, Flatten, Query, Reply
from engine.clock import Clock, ManualClock, SystemClock
from engine.config import Instruments, from_canonical, load_agents, policy_of, prices_of, providers_of, timeout_ms_of
from engine.config.providers import TIMEOUT_MS
from engine.control.core import Core
from engine.control.handlers import Handlers
from engine.control.stream import Stream
from engine.domain.market import Source, SourceKind
from engine.domain.order import OrderRole
from engine.domain.policy import Policy
from engine.domain.prices import NO_PRICES
from engine.errors import UsageError
from engine.keys import Keychain
from engine.paths import StorePaths, config_dir
from engine.runtime.asking_again import Again
from engine.runtime.compose import Parts, Plan, arm, assemble
from engine.runtime.reads import StoreReader
from engine.runtime.unlocking import unlock_at_start
from engine.store.journal import Journal

NO_ENGINE = "no engine is running"


@dataclass(slots=True)
class LocalLink:
    """Commands to a store that no engine owns: this process is its engine for as long as it takes.

    It takes up work, which leaves rows in the journal, only for a command that does something. note: what every answer
    must say besides.
    """

    parts: Parts
    plan: Plan
    loop: asyncio.AbstractEventLoop
    armed: bool = False
    note: str = ""

    def send(self, command: Command) -> Reply:
        """Carry a command out on the store itself."""
        return self.loop.run_until_complete(self._handle(command))

    async def _handle(self, command: Command) -> Reply:
        if not self.armed and not _only_asks(command):
            self.armed = True
            await arm(self.parts, self.plan, self.parts.core.desk.clock.now_ms())
            if self.plan.keys is not None:
                await unlock_at_start(self.parts.core, self.plan.keys, self.plan.environ)
        core, paths = self.parts.core, self.parts.journal.paths
        reader = StoreReader(paths, core)
        again = Again(paths, core.desk, self.parts.models)
        try:
            reply = await Handlers(core, reader.read, ask_again=again.ask).handle(command)
            if isinstance(command, Flatten) and core.flattening.is_under_way:
                reply = replace(reply, ok=False, text=_not_done(core))
            return replace(reply, text=f"{reply.text} {self.note}") if self.note else reply
        finally:
            await reader.close()


def _only_asks(command: Command) -> bool:
    """Tell whether a command leaves the store as it is: a query, or the question what another would cost."""
    return isinstance(command, Query) or (isinstance(command, AskAgain) and command.usd_max is None)


def _not_done(core: Core) -> str:
    closing = [order for order in core.books.all_orders() if order.role is OrderRole.FLATTEN]
    if any(order.status.is_working for order in closing):
        what = "the closing orders are at the venue, but no prices come in here that could fill them"
    elif closing:
        what = f"the venue took no closing order ({closing[-1].reason})"
    else:
        what = "no closing order could be sent"
    waits = "".join(f" It waits for {each}." for each in core.flattening.waiting)
    return f"Not flat: trading is HALTED, and {what}; open the console and let it finish.{waits}"


@contextmanager
def local_link(paths: StorePaths, *, anyway: bool = False) -> Iterator[LocalLink]:
    """Take the lock, and serve one caller as a console's engine would. anyway: as of engine.runtime.link.connect."""
    loop = asyncio.new_event_loop()
    journal = Journal.open(paths)
    parts = None
    try:
        parts, plan, note = _parts_of(journal, anyway=anyway)
        yield LocalLink(parts, plan, loop, note=note)
    finally:
        if parts is not None:
            loop.run_until_complete(parts.models.close())
            parts.close()
        else:
            journal.close()
        loop.close()


def _parts_of(journal: Journal, *, anyway: bool) -> tuple[Parts, Plan, str]:
    """Return an engine on a store, its plan and a note. anyway: not even limits that contradict each other stop it."""
    try:
        plan, note = _plan_of(journal), ""
        return _assembled(plan, journal), plan, note
    except UsageError as error:
        if not anyway:
            raise
        plan, note = _bare_plan(journal), f"The configuration was left aside: {error}"
    return _assembled(plan, journal), plan, note


def _assembled(plan: Plan, journal: Journal) -> Parts:
    return assemble(plan, journal, Stream(), _clock_of(plan, journal), durable=True)


def _clock_of(plan: Plan, journal: Journal) -> Clock:
    """A recording's store has a virtual clock: it stands where the replay stopped, and goes on from there."""
    return ManualClock(journal.books.last_ts_ms) if plan.source.kind is SourceKind.REPLAY else SystemClock()


def _plan_of(journal: Journal) -> Plan:
    """Return a plan for a store without a feed: the configuration's agents that fit its instruments."""
    folder = config_dir()
    policy = policy_of(folder)
    agents = load_agents(folder, Instruments.load(folder)) if folder.is_dir() else ()
    fitting = tuple(agent for agent in agents if all(key in journal.books.instruments for key in agent.instruments))
    return replace(
        _bare_plan(journal, policy),
        agents=fitting,
        interval_ms=min((agent.timeframe_ms for agent in fitting), default=60_000),
        environ=os.environ,
        prices=prices_of(folder, os.environ),
        providers=providers_of(folder),
        ai_timeout_ms=timeout_ms_of(),
    )


def _bare_plan(journal: Journal, policy: Policy | None = None) -> Plan:
    """Return a plan of what the journal has alone: what takes risk away must not wait for a file to be mended.

    The limits are the store's: a command is no start, and takes no edit of the policy file in. policy: for a store that
    has none yet.
    """
    books, folder = journal.books, config_dir()
    genesis = books.genesis
    if books.governance.version:
        policy = from_canonical(Policy, books.governance.file_json)
    elif policy is None:
        policy = Policy(account_currency=genesis.account_currency, usd_peg=genesis.usd_peg) if genesis else Policy()
    kind = SourceKind(genesis.source_kind) if genesis else SourceKind.REPLAY
    return Plan(
        policy=policy,
        instruments=tuple(books.instruments.values()),
        agents=(),
        source=Source(kind=kind, name=NO_ENGINE),
        interval_ms=60_000,
        prices=NO_PRICES,
        providers={},
        ai_timeout_ms=TIMEOUT_MS,
        folder=folder,
        keys=Keychain(folder),
    )
