"""Build the engines behind a console: the demo's, and the trader's own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from engine.clock import Clock, ManualClock, SystemClock
from engine.config import (
    Instruments,
    agents_of,
    flags_to_policy,
    load_agents,
    policy_of,
    prices_of,
    providers_of,
    timeout_ms_of,
)
from engine.control.engine import Engine
from engine.control.handlers import Handlers
from engine.control.pauses import spare_what_is_there
from engine.control.socket import ControlServer
from engine.control.stream import Stream
from engine.control.upkeep import Upkeep
from engine.domain.agent import AgentConfig
from engine.domain.events import Incident, RecordingOpened
from engine.domain.instrument import Instrument
from engine.domain.policy import Policy
from engine.errors import UsageError
from engine.ids import new_store_id
from engine.keys import Keychain
from engine.market.feed import Feed, ResumableFeed
from engine.market.recording import Recording
from engine.market.replay_feed import ReplayFeed
from engine.paths import StorePaths
from engine.runtime.asking_again import Again
from engine.runtime.compose import Plan, arm, assemble, genesis, wall_schedule
from engine.runtime.hosts import DEMO_WARM_BARS, ConsoleOptions
from engine.runtime.models import HURRIED
from engine.runtime.reads import StoreReader, reading
from engine.runtime.unlocking import unlock_at_start
from engine.store import database
from engine.store.copies import KEPT
from engine.store.journal import Journal
from engine.store.recent import recent

DEMO_AGENTS = Path(__file__).parent / "demo"
SIMULATED_BARS = 100_000
WARM_BARS = 500
QUOTES_PER_BAR = 8
LINES_TAKEN_UP = 300


async def build_demo(stack: AsyncExitStack, root: Path, recording: str, speed: float) -> Engine:
    """Build the demo: bundled agents and limits on a bundled recording, at some multiple of real time."""
    from engine.market.recordings import bundled  # only the demo plays them

    folder = DEMO_AGENTS / recording
    instruments = Instruments.load(None)
    agents = load_agents(folder, instruments)
    feed, clock, plan = _replaying(
        [bundled(recording)], speed, DEMO_WARM_BARS, policy_of(folder), agents, instruments, folder
    )
    return await _serve(stack, root, plan, feed, clock, keeps_backups=False)


async def build_console(stack: AsyncExitStack, options: ConsoleOptions) -> Engine:
    """Build the trader's own console: agents from files or flags, prices from an exchange, a file or a simulation."""
    instruments = Instruments.load(options.config_dir)
    policy = policy_of(options.config_dir)
    if options.flags is not None:
        policy = flags_to_policy(options.flags, policy)
        agents = agents_of(options.agents, options.flags, instruments, config_dir=options.config_dir)
    else:
        agents = load_agents(options.config_dir, instruments)
    if not agents:
        raise UsageError(
            f"There is no agent in {options.config_dir}; `quarterdeck init` writes two to start from, "
            "`quarterdeck demo` needs none."
        )
    recorded = _recorded(options.feed)
    if recorded:
        feed, clock, plan = _replaying(recorded, options.speed, 0, policy, agents, instruments, options.config_dir)
    else:
        feed, clock, plan = _watching(options, policy, agents, instruments)
    plan = replace(plan, prices=prices_of(options.config_dir, os.environ))
    plan = replace(plan, providers=providers_of(options.config_dir), ai_timeout_ms=timeout_ms_of())
    plan = replace(plan, keys=Keychain(options.config_dir))
    return await _serve(stack, options.store, plan, feed, clock)


def _recorded(feed: str) -> list[Path]:
    return [Path(feed)] if Path(feed).is_file() else []


def _replaying(
    files: Sequence[Path], speed: float, warm_bars: int, policy: Policy, agents: Sequence[AgentConfig],
    instruments: Instruments, folder: Path,
) -> tuple[Feed, Clock, Plan]:  # fmt: skip
    listed = [instruments.for_file(path) for path in files]
    recordings = [Recording(path, one.key) for path, one in zip(files, listed, strict=True)]
    pairs = [(one.key, recording) for one, recording in zip(listed, recordings, strict=True)]
    feed = ReplayFeed(pairs, SystemClock(), speed=speed, warm_bars=warm_bars)
    plan = Plan(
        policy=policy,
        instruments=tuple(listed),
        agents=tuple(agents),
        source=feed.source,
        interval_ms=min(recording.interval_ms for recording in recordings),
        environ=os.environ,
        ai_barred=HURRIED,
        recordings=tuple(
            RecordingOpened(instrument=one.key, name=r.name, sha256=r.sha256, interval_ms=r.interval_ms)
            for one, r in zip(listed, recordings, strict=True)
        ),
        folder=folder,
    )
    return feed, ManualClock(min(recording.first_ms() for recording in recordings)), plan


def _watching(
    options: ConsoleOptions, policy: Policy, agents: Sequence[AgentConfig], instruments: Instruments
) -> tuple[Feed, Clock, Plan]:
    keys = sorted({key for agent in agents for key in agent.instruments})
    listed = tuple(instruments.resolve(key) for key in keys)
    interval_ms = min(agent.timeframe_ms for agent in agents)
    make = _simulated if options.feed == "simulated" else _exchange
    feed, clock = make(options, listed, interval_ms)
    plan = Plan(
        policy=policy, instruments=listed, agents=tuple(agents), source=feed.source, interval_ms=interval_ms,
        environ=os.environ, folder=options.config_dir,
        ai_barred=HURRIED if options.feed == "simulated" and options.speed != 1 else "",
    )  # fmt: skip
    return feed, clock, plan


def _simulated(options: ConsoleOptions, listed: Sequence[Instrument], interval_ms: int) -> tuple[Feed, Clock]:
    """A made-up market beside real time: the engine lives on the simulation's clock, only the pace is the machine's."""
    from engine.market.sim_feed import SimulatedFeed  # only when asked for

    wall = SystemClock()
    start_ms = (wall.now_ms() // interval_ms - WARM_BARS) * interval_ms
    feed = SimulatedFeed(
        listed, seed=options.seed, clock=wall, interval_ms=interval_ms, start_ms=start_ms, bars=SIMULATED_BARS,
        speed=options.speed, emit_quotes=True, emit_books=True, warm_bars=WARM_BARS,
        quotes_per_bar=QUOTES_PER_BAR if options.speed else 1,  # who waits for nothing looks at closes only
    )  # fmt: skip
    return feed, ManualClock(start_ms)


def _exchange(options: ConsoleOptions, listed: Sequence[Instrument], interval_ms: int) -> tuple[Feed, Clock]:
    from engine.market.ccxt_feed import CcxtFeed  # ccxt costs 0.5 s

    clock, keys = SystemClock(), [one.key for one in listed]
    return CcxtFeed(options.feed, keys, interval_ms=interval_ms, clock=clock, warm_bars=WARM_BARS), clock


async def _serve(
    stack: AsyncExitStack, root: Path, plan: Plan, feed: Feed, clock: Clock, *, keeps_backups: bool = True
) -> Engine:
    """Open the store, wire the core, reconcile, and listen on the control socket."""
    stream, paths, wall = Stream(), StorePaths(root), SystemClock()
    journal = open_store(paths, plan, clock.now_ms(), stream)
    stack.callback(journal.close)  # a start that is refused from here on must let go of the store
    if isinstance(feed, ResumableFeed) and isinstance(clock, ManualClock):
        feed.resume_after(journal.books.last_ts_ms)
        clock.set_ms(max(clock.now_ms(), journal.books.last_ts_ms))
    parts = assemble(plan, journal, stream, clock, durable=True)
    stack.callback(parts.close)
    await arm(parts, plan, clock.now_ms())
    stack.push_async_callback(parts.models.close)
    if plan.keys is not None:
        await unlock_at_start(parts.core, plan.keys, plan.environ)
    for problem in parts.models.prepare():
        journal.record(clock.now_ms(), Incident(code="MODEL_NOT_READY", text=problem))
    old = plan.prices.warning(wall.now_ms()) if parts.models.askers and not plan.ai_barred else ""
    if old:
        journal.record(clock.now_ms(), Incident(code="PRICES_OLD", text=old))
    reader = StoreReader(paths, parts.core)
    stack.push_async_callback(reader.close)
    upkeep = Upkeep(parts.core, paths, wall, keep=KEPT if keeps_backups else 0)
    again = Again(paths, parts.core.desk, parts.models)
    handlers = Handlers(parts.core, reader.read, upkeep.described_backup, again.ask)
    engine = Engine(parts.core, feed, handlers, stream, wall, wall_schedule(parts, plan), upkeep)
    server = ControlServer(engine, paths.socket)
    await server.start()
    stack.push_async_callback(server.stop)
    spare_what_is_there()
    return engine


def open_store(paths: StorePaths, plan: Plan, now_ms: int, stream: Stream) -> Journal:
    """Open the store, or make a new one; StoreLockedError when another engine owns it."""
    if not database.is_begun(paths):
        return Journal.create(paths, now_ms, *genesis(plan, new_store_id()), publish=stream.publish)
    journal = Journal.open(paths, publish=stream.publish)
    try:
        with reading(paths.root) as reader:
            stream.publish(reader.read(recent(LINES_TAKEN_UP)))
    except BaseException:
        journal.close()
        raise
    made_for = journal.books.genesis.source_kind if journal.books.genesis else ""
    if made_for != plan.source.kind.value:
        journal.close()
        raise UsageError(
            f"The store {paths.root} holds {made_for} data and the feed is {plan.source.kind.value}; "
            "they are never mixed: name another folder with --store."
        )
    return journal
