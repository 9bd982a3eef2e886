"""`quarterdeck replay`: recorded data through the very same pipeline, as fast as it can."""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.agents.lanes import standing
from engine.clock import ManualClock, iso, wall_s
from engine.config import Instruments, agents_of, flags_to_policy, load_policy, policy_of, prices_of, providers_of
from engine.control.pauses import spare_what_is_there
from engine.control.stream import Stream
from engine.domain.events import RecordingOpened
from engine.domain.instrument import Instrument
from engine.domain.lane_standing import LaneStanding
from engine.domain.market import Source, SourceKind
from engine.domain.money import ZERO, plain
from engine.domain.policy import Policy
from engine.domain.prices import NO_PRICES
from engine.errors import UsageError
from engine.ids import derived_store_id
from engine.market.feed import FeedSummary
from engine.market.recording import Recording
from engine.market.replay_feed import ReplayFeed
from engine.paths import StorePaths
from engine.runtime.compose import ClientFinder, Parts, Plan, arm, assemble, genesis
from engine.runtime.models import HURRIED
from engine.store.journal import Journal

Progress = Callable[[float, int], None]
PROGRESS_EVERY = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """What to replay and with whom. flags: run-agent's, by name; store None: a throwaway one, removed at the end."""

    files: tuple[Path, ...]
    agents: tuple[str, ...] = ()
    flags: Mapping[str, Any] = field(default_factory=dict)
    policy: Path | None = None
    instrument: tuple[str, ...] = ()
    assume_instrument: bool = False
    seed: int = 0
    store: Path | None = None
    approve_all: bool = False
    config_dir: Path | None = None
    start_ms: int | None = None
    end_ms: int | None = None


def replay(
    options: ReplayOptions, on_progress: Progress | None = None, *, find_client: ClientFinder | None = None
) -> dict[str, Any]:
    """Run recordings through the pipeline and return the summary that `quarterdeck replay --json` prints."""
    if options.store is not None:
        return asyncio.run(_replay(options, options.store, on_progress, find_client))
    with tempfile.TemporaryDirectory(prefix="quarterdeck-") as folder:
        return asyncio.run(_replay(options, Path(folder) / "store", on_progress, find_client))


async def _replay(
    options: ReplayOptions, root: Path, on_progress: Progress | None, find_client: ClientFinder | None
) -> dict[str, Any]:
    began_s = wall_s()
    known = Instruments.load(options.config_dir)
    recordings = recordings_of(options, known)
    plan = plan_of(options, recordings, known)
    clock, stream, paths = ManualClock(), Stream(), StorePaths(root)
    files = [(recording.instrument or "", recording) for recording in recordings]
    feed = ReplayFeed(files, clock, start_ms=options.start_ms, end_ms=options.end_ms)
    clock.set_ms(min(recording.first_ms() for recording in recordings))
    store_id = derived_store_id(str(options.seed), *(row.sha256 for row in plan.recordings))
    journal = Journal.create(paths, clock.now_ms(), *genesis(plan, store_id), batch=True)
    parts = assemble(plan, journal, stream, clock, durable=False, find_client=find_client)
    try:
        await arm(parts, plan, clock.now_ms())
        spare_what_is_there()
        await _drive(parts, feed, clock, approve_all=options.approve_all, on_progress=on_progress)
        journal.sum_up()
        journal.flush()
        return summary(parts, plan, feed.summary, wall_s() - began_s)
    finally:
        parts.close()


async def _drive(
    parts: Parts, feed: ReplayFeed, clock: ManualClock, *, approve_all: bool, on_progress: Progress | None
) -> None:
    core, bars, told = parts.core, 0, PROGRESS_EVERY
    for instant in feed.instants():
        clock.set_ms(instant.ts_ms)
        await core.on_instant(instant)
        bars += len(instant.candles)
        if approve_all and core.desk.approvals.waiting:
            await core.approve_all("replay --approve all")
        if on_progress is not None and bars >= told:
            told = bars + PROGRESS_EVERY
            on_progress(feed.progress, bars)
    await core.end_of_data()
    if on_progress is not None:
        on_progress(1.0, bars)


def recordings_of(options: ReplayOptions, known: Instruments) -> list[Recording]:
    """Open the files, each with the instrument it is of; UsageError when a name means nothing."""
    if len(options.instrument) > len(options.files):
        raise UsageError(
            f"--instrument names {len(options.instrument)} instruments for {len(options.files)} file(s); "
            "give one a file, in the files' order."
        )
    opened = []
    for place, path in enumerate(options.files):
        if not path.is_file():
            raise UsageError(f"There is no file {path}; name a recording in CSV, plain or .gz.")
        opened.append(_open(path, options, place, known))
    return opened


def _open(path: Path, options: ReplayOptions, place: int, known: Instruments) -> Recording:
    def resolve(name: str) -> str:
        return (known.assume(name) if options.assume_instrument else known.resolve(name, where=path.name)).key

    if place < len(options.instrument):
        return Recording(path, known.resolve(options.instrument[place], where="--instrument").key)
    if Recording(path, resolve=resolve).has_instrument_column:
        return Recording(path, resolve=resolve)
    return Recording(path, known.for_file(path, assume=options.assume_instrument).key)


def plan_of(options: ReplayOptions, recordings: list[Recording], known: Instruments) -> Plan:
    """Gather policy, instruments and agents for a set of recordings."""
    listed = _instruments(recordings, known)
    base = _policy(options)
    interval_ms = min(recording.interval_ms for recording in recordings)
    keys = tuple(instrument.key for instrument in listed)
    agents = agents_of(
        options.agents, options.flags, known, config_dir=options.config_dir, pairs=keys, timeframe_ms=interval_ms
    )
    source = Source(kind=SourceKind.REPLAY, name=", ".join(r.name for r in recordings), speed=0)
    return Plan(
        policy=flags_to_policy(options.flags, base),
        instruments=listed,
        agents=agents,
        source=source,
        interval_ms=interval_ms,
        recordings=tuple(
            RecordingOpened(instrument=r.instrument or "", name=r.name, sha256=r.sha256, interval_ms=r.interval_ms)
            for r in recordings
        ),
        prices=prices_of(options.config_dir) if options.config_dir else NO_PRICES,
        actor="replay",
        folder=options.policy.parent if options.policy else options.config_dir,
        providers=providers_of(options.config_dir) if options.config_dir else {},
        ai_barred=HURRIED,
    )


def _policy(options: ReplayOptions) -> Policy:
    if options.policy:
        return load_policy(options.policy)
    return policy_of(options.config_dir) if options.config_dir else Policy()


def _instruments(recordings: list[Recording], known: Instruments) -> tuple[Instrument, ...]:
    keys = sorted({key for recording in recordings for key in recording.instruments()})
    return tuple(known.resolve(key) for key in keys)


def summary(parts: Parts, plan: Plan, fed: FeedSummary, took_s: float) -> dict[str, Any]:
    """Return the one JSON object of a replay: money as texts, times as UTC ISO."""
    core, books = parts.core, parts.journal.books
    agents = list(core.agents.values())
    marks = core.desk.surroundings.valuation
    unrealized = sum((p.unrealized(marks.price(p.instrument) or ZERO) for p in books.open_positions()), ZERO)
    decisions = {
        word: sum(a.decisions.get(word, 0) for a in agents) for word in ("buy", "sell", "flat", "hold", "failed")
    }
    shadows = [standing(books, marks, agent.name) for agent in agents]
    refusals: dict[str, int] = {}
    for agent in agents:
        for code, count in agent.refusals.items():
            refusals[code] = refusals.get(code, 0) + count
    return {
        "source": plan.source.kind.value,
        "instruments": [i.key for i in plan.instruments],
        "assumed": [i.key for i in plan.instruments if i.assumed],
        "first_ts": iso(fed.first_ts_ms) if fed.first_ts_ms is not None else None,
        "last_ts": iso(fed.last_ts_ms) if fed.last_ts_ms is not None else None,
        "bars": fed.bars,
        "rows_skipped": fed.rows_skipped,
        "skipped": dict(sorted(fed.skipped.items())),
        "notes": [*fed.notes, *fed.first_skips],
        "cycles": sum(agent.cycles for agent in agents),
        "decisions": decisions,
        "refusals": dict(sorted(refusals.items())),
        "intents": books.count.intents,
        "orders": books.count.orders,
        "fills": books.count.fills,
        "fees": {asset: plain(qty) for asset, qty in sorted(books.fees.items())},
        "realized_pnl": plain(books.realized()),
        "unrealized_pnl": plain(unrealized),
        "equity_start": plain(books.funded),
        "equity_end": plain(core.watch.equity if core.watch.equity is not None else books.funded),
        "max_drawdown_frac": plain(round(core.watch.max_drawdown_frac, 9)),
        "shadows": [_shadow(each) for each in shadows if each is not None],
        "trading_state": books.state.value,
        "halts": books.count.halts,
        "halt_reason": books.state_reason if books.count.halts else "",
        "certificate": _certificate(parts),
        "journal_rows": parts.journal.seq,
        "journal_hash": parts.journal.tail_hash,
        "wall_s": round(took_s, 3),
        "bars_per_s": round(fed.bars / took_s) if took_s > 0 else 0,
        "rss_mb_max": round(_peak_rss_mb(), 1),
    }


def _shadow(one: LaneStanding) -> dict[str, Any]:
    return {
        "agent": one.agent,
        "model": one.model,
        "agent_net": None if one.agent_net is None else plain(one.agent_net),
        "spent": plain(one.spent),
        "lane_net": None if one.lane_net is None else plain(one.lane_net),
        "lane_spent": plain(one.lane_spent),
        "lane_fills": one.lane_fills,
        "added": None if one.added is None else plain(one.added),
    }


def _certificate(parts: Parts) -> dict[str, Any] | None:
    ended, proof = parts.journal.books.last_certificate, parts.journal.books.last_proof
    if ended is None:
        return None
    return {
        "flatten_id": ended.flatten_id,
        "flat": ended.flat,
        "took_ms": ended.took_ms,
        "lines": [[line.instrument, plain(line.start_qty), plain(line.end_qty), line.reason] for line in ended.lines],
        "steps": {step.name: step.ms for step in proof.steps} if proof else {},
    }


def _peak_rss_mb() -> float:
    peak = Decimal(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return float(peak / (1024 * 1024 if sys.platform == "darwin" else 1024))
