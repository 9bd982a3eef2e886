"""Replay: files merged by close time, paced by the clock it is given, warm bars first."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import ManualClock
from engine.domain.market import Instant, SourceKind
from engine.errors import UsageError
from engine.market.recording import Recording
from engine.market.replay_feed import ReplayFeed

T0 = 1_766_016_000_000
MIN = 60_000


class Wall:
    """A clock whose time passes only in its sleeps, and in work that the test says took some."""

    def __init__(self) -> None:
        self.mono = 5_000.0
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return 0

    def mono_ms(self) -> float:
        return self.mono

    async def sleep_ms(self, duration_ms: float) -> None:
        self.slept.append(duration_ms)
        self.mono += duration_ms


def write(folder: Path, name: str, minutes: list[int], span: int = 1) -> Path:
    rows = [f"{T0 + minute * MIN},10,12,9,{10 + minute % 3},5" for minute in minutes]
    path = folder / name
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
    return path


async def play(feed: ReplayFeed) -> list[Instant]:
    return [instant async for instant in feed.events()]


def shape(instants: list[Instant]) -> list[tuple[int, str]]:
    return [((one.ts_ms - T0) // MIN, "".join(candle.instrument for candle in one.candles)) for one in instants]


async def test_files_are_merged_by_close_time_in_instrument_order(tmp_path: Path) -> None:
    files = [
        ("B", write(tmp_path, "b.csv", [0, 1, 2, 3, 4, 5])),
        ("A", write(tmp_path, "a.csv", [1, 2, 4])),
        ("C", Recording(write(tmp_path, "c.csv", [0, 2, 4]), "C", interval_ms=2 * MIN)),
    ]
    feed = ReplayFeed(files, ManualClock())
    assert shape(await play(feed)) == [(1, "B"), (2, "ABC"), (3, "AB"), (4, "BC"), (5, "AB"), (6, "BC")]
    assert (feed.summary.bars, feed.summary.rows_skipped) == (12, 0)
    assert (feed.summary.first_ts_ms, feed.summary.last_ts_ms) == (T0, T0 + 5 * MIN)
    assert feed.progress == 1.0
    assert set(feed.sha256s) == {"a.csv", "b.csv", "c.csv"}
    assert feed.interval_ms == MIN


@given(st.lists(st.lists(st.integers(0, 60), unique=True, min_size=1).map(sorted), min_size=1, max_size=4))
def test_any_files_come_out_in_time_order_with_every_candle_once(layout: list[list[int]]) -> None:
    import asyncio

    with tempfile.TemporaryDirectory() as folder:
        files = [
            (name, Recording(write(Path(folder), f"{name}.csv", minutes), name, interval_ms=MIN))
            for name, minutes in zip("ABCD", layout, strict=False)
        ]
        instants = asyncio.run(play(ReplayFeed(files, ManualClock())))
    times = [one.ts_ms for one in instants]
    assert times == sorted(set(times))
    assert all(candle.close_ms == one.ts_ms for one in instants for candle in one.candles)
    assert [[c.instrument for c in one.candles] for one in instants] == [
        sorted(c.instrument for c in one.candles) for one in instants
    ]
    seen = [(c.instrument, (c.ts_ms - T0) // MIN) for one in instants for c in one.candles]
    assert sorted(seen) == sorted((name, m) for name, minutes in zip("ABCD", layout, strict=False) for m in minutes)


async def test_months_of_one_instrument_join_and_what_both_hold_comes_once(tmp_path: Path) -> None:
    first, second = write(tmp_path, "x1.csv", [0, 1, 2]), write(tmp_path, "x2.csv", [2, 3, 4])
    feed = ReplayFeed([("X", first), ("X", second)], ManualClock())
    assert shape(await play(feed)) == [(1, "X"), (2, "X"), (3, "X"), (4, "X"), (5, "X")]
    assert feed.summary.skipped == {"DUPLICATE": 1}


def test_one_instrument_in_two_bar_lengths_is_refused(tmp_path: Path) -> None:
    minutes, fives = write(tmp_path, "x1.csv", [0, 1, 2]), write(tmp_path, "x5.csv", [0, 5, 10])
    with pytest.raises(UsageError, match="different lengths"):
        ReplayFeed([("X", minutes), ("X", fives)], ManualClock())


async def test_warm_bars_come_first_and_are_not_waited_for(tmp_path: Path) -> None:
    wall = Wall()
    feed = ReplayFeed([("X", write(tmp_path, "x.csv", list(range(6))))], wall, speed=60, warm_bars=3)
    instants = await play(feed)
    assert [one.warm for one in instants] == [True, True, True, False, False, False]
    assert wall.slept == [1000, 1000]


async def test_speed_is_a_multiple_of_real_time_and_work_is_taken_off_the_wait(tmp_path: Path) -> None:
    wall = Wall()
    feed = ReplayFeed([("X", write(tmp_path, "x.csv", [0, 1, 3, 4, 5, 6]))], wall, speed=60)
    async for instant in feed.events():
        if instant.ts_ms == T0 + 4 * MIN:
            wall.mono += 400  # work
        if instant.ts_ms == T0 + 5 * MIN:
            wall.mono += 90_000  # the machine was asleep: no burst of bars to catch up
    assert wall.slept == [1000, 2000, 600, 1000]
    assert feed.source.label == "REPLAY x60"


async def test_a_bar_of_more_work_than_its_pause_is_made_up_for(tmp_path: Path) -> None:
    wall = Wall()
    feed = ReplayFeed([("X", write(tmp_path, "x.csv", list(range(6))))], wall, speed=60)
    async for instant in feed.events():
        wall.mono += 1_700 if instant.ts_ms == T0 + 2 * MIN else 100
    assert wall.slept == [900, 200, 900, 900]
    assert wall.mono == 5_000 + 5 * 1000 + 100


async def test_closed_hours_are_skipped_and_said(tmp_path: Path) -> None:
    wall = Wall()
    feed = ReplayFeed([("X", write(tmp_path, "x.csv", [0, 1, 31, 1000, 1001]))], wall, speed=60)
    await play(feed)
    assert wall.slept == [1000, 30_000, 1000, 1000]
    assert feed.summary.notes[-1] == "closed hours skipped: 16.1 h in 1 pause(s)"


@pytest.mark.parametrize("speed", [0, 60])
async def test_the_engines_manual_clock_is_neither_moved_nor_waited_on(tmp_path: Path, speed: float) -> None:
    clock = ManualClock(123)
    feed = ReplayFeed([("X", write(tmp_path, "x.csv", [0, 1, 2]))], clock, speed=speed)
    assert len(await play(feed)) == 3
    assert clock.now_ms() == 123


async def test_a_replay_without_waits_never_suspends(tmp_path: Path) -> None:
    events = aiter(ReplayFeed([("X", write(tmp_path, "x.csv", [0, 1]))], ManualClock()).events())
    with pytest.raises(StopIteration) as done:
        anext(events).__await__().send(None)
    assert isinstance(done.value.value, Instant)


async def test_start_and_end_cut_the_recording(tmp_path: Path) -> None:
    files = [("X", write(tmp_path, "x.csv", list(range(10))))]
    feed = ReplayFeed(files, ManualClock(), start_ms=T0 + 3 * MIN, end_ms=T0 + 6 * MIN)
    assert [minute for minute, _key in shape(await play(feed))] == [4, 5, 6]
    assert feed.summary.bars == 3


async def test_every_price_carries_the_recordings_source(tmp_path: Path) -> None:
    feed = ReplayFeed([("X", write(tmp_path, "x.csv", [0, 1]))], ManualClock())
    instants = await play(feed)
    assert {candle.source for one in instants for candle in one.candles} == {feed.source}
    assert (feed.source.kind, feed.source.name, feed.source.speed) == (SourceKind.REPLAY, "x.csv", 0)
    assert isinstance(instants[0].candles[0].close, Decimal)


@pytest.mark.parametrize("speed", [-1, float("nan"), float("inf")])
def test_an_impossible_speed_is_refused(speed: float) -> None:
    with pytest.raises(UsageError, match="speed"):
        ReplayFeed([], ManualClock(), speed=speed)


async def test_what_an_earlier_run_has_played_comes_warm_and_is_not_waited_for(tmp_path: Path) -> None:
    wall = Wall()
    feed = ReplayFeed([("A", write(tmp_path, "a.csv", [0, 1, 2, 5, 6]))], wall, speed=60)
    feed.resume_after(T0 + 3 * MIN)
    played = await play(feed)
    assert [((one.ts_ms - T0) // MIN, one.warm) for one in played] == [
        (1, True), (2, True), (3, True), (6, False), (7, False)
    ]  # fmt: skip
    assert wall.slept == [1000.0]
