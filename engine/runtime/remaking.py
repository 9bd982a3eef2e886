"""A deterministic decision of a replay, made again: the books from the journal, the market from the recording."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from engine.agents.cycle import instrument_view
from engine.agents.keeping import Kept, features_of
from engine.agents.manager import RunningAgent, hire
from engine.clock import ManualClock
from engine.domain.agent import AgentConfig
from engine.domain.books import Books
from engine.domain.decision import Direction, Outcome
from engine.domain.events import AgentRegistered, CycleDone, PolicyAdopted, RecordingOpened
from engine.domain.intent import Autonomy, Intent
from engine.domain.market import SourceKind
from engine.domain.policy import Policy
from engine.domain.valuation import Valuation
from engine.errors import StoreError, UsageError
from engine.ids import cycle_id
from engine.llm.client import ModelRequest
from engine.llm.router import client_for
from engine.market.recording import Recording
from engine.market.recordings import folder as bundled_folder
from engine.market.replay_feed import ReplayFeed
from engine.market.state import MarketState
from engine.paths import StorePaths, default_store
from engine.risk.gate import judge
from engine.risk.record import listening
from engine.risk.situation import Situation
from engine.risk.surroundings import Seen, Surroundings
from engine.store.past import CycleRows, books_before, last_before
from engine.store.reader import Reader

T = TypeVar("T")


def remade(paths: StorePaths, reader: Reader, rows: CycleRows, files: Iterable[Path]) -> Kept:
    """Return the situations of a replay's cycle. Raises UsageError when the recording is not to be found.

    files: looked through first, then the recordings that came with the program or were imported.
    """
    books = books_before(paths, rows.seq)
    if books.genesis is None or books.genesis.source_kind not in (SourceKind.REPLAY.value, SourceKind.REPLAY.name):
        raise StoreError("nothing was kept of that decision, and only a replay's can be made again from its recording.")
    opened: dict[str, RecordingOpened] = {}
    for event in reader.read(last_before(RecordingOpened, rows.seq)):
        assert isinstance(event, RecordingOpened)
        opened[event.instrument] = event
    agent = hire(config := _agent(reader, rows), client_for(config.model))
    policy = _policy(reader, rows.seq)
    surroundings = _surroundings(agent, policy, books, list(opened.values()), files, rows.ts_ms)
    return _decided(books, surroundings.market, surroundings, agent, rows)


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Return what work comes to that never waits for anything, as no deterministic model does."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    work.close()
    raise StoreError("a deterministic model waited for something, which none may do.")


def read_config(kind: type[T], text: str) -> T:
    """Return the configuration that a journaled canonical text stands for."""
    from pydantic import TypeAdapter, ValidationError  # 0.1 s that only this needs

    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        raise StoreError(
            f"a journaled {kind.__name__} cannot be read by this version: {error.errors()[0]['msg']}"
        ) from None


def _agent(reader: Reader, rows: CycleRows) -> AgentConfig:
    named = [
        each for each in reader.read(last_before(AgentRegistered, rows.seq))
        if isinstance(each, AgentRegistered) and each.agent == rows.event.agent
    ]  # fmt: skip
    if not named:
        raise StoreError(f"the journal does not say how {rows.event.agent} was set up.")
    return read_config(AgentConfig, named[-1].config_json)


def _policy(reader: Reader, seq: int) -> Policy:
    adopted = [each for each in reader.read(last_before(PolicyAdopted, seq)) if isinstance(each, PolicyAdopted)]
    if not adopted:
        raise StoreError("the journal does not say which policy was in force.")
    return read_config(Policy, adopted[-1].policy_json)


def _surroundings(
    agent: RunningAgent,
    policy: Policy,
    books: Books,
    opened: list[RecordingOpened],
    files: Iterable[Path],
    upto_ms: int,
) -> Surroundings:
    """Play the recordings up to an instant into surroundings of their own."""
    recordings = [(each.instrument, _file_of(each, list(files))) for each in opened]
    interval_ms = min(each.interval_ms for each in opened)
    market = MarketState(interval_ms, timeframes=(agent.config.timeframe_ms,), window=agent.bars_needed)
    valuation = Valuation(policy.account_currency, policy.usd_peg)
    for instrument in books.instruments.values():
        valuation.list_instrument(instrument)
    for key in agent.config.instruments:
        agent.indicators[key].compute(market.series(key, agent.config.timeframe_ms))
    feed = ReplayFeed(recordings, ManualClock(), end_ms=upto_ms)
    around = Surroundings(books, market, valuation, policy)
    for key in agent.config.instruments:
        for period in agent.config.protection.periods:
            around.ranges.follow(key, agent.config.timeframe_ms, period)
    _play(feed, around, upto_ms)
    return around


def _play(feed: ReplayFeed, around: Surroundings, upto_ms: int) -> None:
    for instant in feed.instants():
        if instant.ts_ms <= upto_ms:
            for candle in instant.candles:
                around.valuation.mark(candle.instrument, around.market.on_candle(candle))
            around.ranges.take(around.market, instant.candles)


def _file_of(opened: RecordingOpened, files: list[Path]) -> Recording:
    for path in [*files, *_known()]:
        if path in files or (path.is_file() and path.name == opened.name):
            found = Recording(path, opened.instrument or None)
            if found.sha256 == opened.sha256:
                return found
    raise UsageError(
        f"The recording {opened.name} with SHA-256 {opened.sha256[:16]}… is not here; name it with --recording FILE."
    )


def _known() -> Iterator[Path]:
    for folder in (bundled_folder(), default_store().parent / "recordings"):
        yield from sorted(folder.glob("*.csv*"))


def _decided(
    books: Books, market: MarketState, surroundings: Surroundings, agent: RunningAgent, rows: CycleRows
) -> Kept:
    """Ask the model and the gate as the cycle did, one instrument after the other."""
    keys = _instruments(rows)
    cycle = cycle_id(agent.name, rows.ts_ms)
    views = tuple(instrument_view(books, market, surroundings, agent, key) for key in keys)
    request = ModelRequest(agent.name, agent.config.model, rows.ts_ms, views, agent.config.model_settings)
    answer = at_once(agent.client.decide(request))
    situations: list[Situation] = []
    beside: list[Intent] = []
    for draft in answer.drafts if answer.outcome is Outcome.DECIDED else ():
        decision_id = f"{cycle}:{draft.instrument}"
        mark = surroundings.valuation.marks[draft.instrument]
        seen = Seen(mark.price, rows.ts_ms)
        situation = surroundings.gather(agent.config, draft, decision_id, rows.ts_ms, beside, seen=seen)
        situation = listening(situation)
        situations.append(situation)
        ruling = None if draft.direction is Direction.HOLD else judge(situation, cycle, decision_id)
        if ruling and ruling.intent and agent.config.autonomy is Autonomy.AUTO:
            beside.append(ruling.intent)
    return Kept(tuple(situations), features_of(market, agent, keys))


def _instruments(rows: CycleRows) -> list[str]:
    event: Any = rows.event
    if isinstance(event, CycleDone):
        return [item.instrument for item in event.items]
    return [each.partition("=")[0] for each in event.items.split(";")]
