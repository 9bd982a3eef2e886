"""Measure the market room's hot paths: `python -m tests.tools.bench_market`. Asserts nothing; use a quiet machine."""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterable
from itertools import count
from pathlib import Path

from engine.clock import ManualClock
from engine.domain.market import Candle, Source, SourceKind
from engine.market.feed import FeedSummary
from engine.market.indicators import Indicators
from engine.market.recording import Recording
from engine.market.replay_feed import ReplayFeed
from engine.market.series import Series
from engine.market.state import MarketState

BARS = 525_600
T0 = 1_735_689_600_000
SETS = (["sma:20", "sma:50"], ["rsi:14"], ["ema:20"], ["macd:12,26,9"], ["atr:14"], ["bollinger:20,2"], ["highest:20"])


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def best_of(runs: int, work: Callable[[], object]) -> float:
    took = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return min(took)


def year_of_minutes(folder: Path, name: str, first: str = "") -> Path:
    """Write a year of one-minute bars, as prices in cents; first: a column of text before the others."""
    rng, price, lines = random.Random(1), 50_000.0, []
    for index in range(BARS):
        opened, price = price, price * (1 + rng.gauss(0, 0.0005))
        high, low = max(opened, price) * 1.0001, min(opened, price) * 0.9999
        figures = f"{opened:.2f},{high:.2f},{low:.2f},{price:.2f},{rng.random() * 10:.5f}"
        lines.append(f"{first}{T0 + index * 60_000},{figures}")
    header = ("symbol," if first else "") + "timestamp,open,high,low,close,volume"
    path = folder / name
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def exhaust(values: Iterable[object]) -> int:
    total = count()
    for _ in values:
        next(total)
    return next(total)


async def play(files: list[tuple[str, Path]]) -> int:
    feed, bars = ReplayFeed(files, ManualClock()), 0
    async for instant in feed.events():
        bars += len(instant.candles)
    return bars


def main() -> None:
    source = Source(kind=SourceKind.REPLAY, name="bench")
    with tempfile.TemporaryDirectory() as folder:
        plain = year_of_minutes(Path(folder), "x.csv")
        named = year_of_minutes(Path(folder), "many.csv", first="XXX,")
        for path, key in ((plain, "x"), (named, None)):
            took = best_of(3, lambda p=path, k=key: exhaust(Recording(p, k).candles(source, FeedSummary())))
            say(f"recording {path.name}: {BARS / took:,.0f} rows/s")
        took = best_of(3, lambda: asyncio.run(play([("x", plain)])))
        say(f"replay, one file: {BARS / took:,.0f} bars/s")
        took = best_of(2, lambda: asyncio.run(play([("x", plain), ("y", plain)])))
        say(f"replay, two files: {2 * BARS / took:,.0f} bars/s")
        tracemalloc.start()
        exhaust(Recording(plain, "x").candles(source, FeedSummary()))
        say(f"recording {plain.name}: {tracemalloc.get_traced_memory()[1] / 2**20:.1f} MiB at most while it is read")
        tracemalloc.stop()
        candles = list(Recording(plain, "x").candles(source, FeedSummary()))[:100_000]
    indicators(candles)
    state(candles)


def indicators(candles: list[Candle]) -> None:
    for specs in SETS:
        made = Indicators(specs)

        def run(made: Indicators = made) -> None:
            series = Series(1024)
            for candle in candles:
                series.append(candle)
                made.compute(series)

        say(f"{' '.join(specs)}: {best_of(3, run) / len(candles) * 1e6:.2f} us a bar, its append included")


def state(candles: list[Candle]) -> None:
    for timeframes in ((), (300_000,)):

        def run(timeframes: tuple[int, ...] = timeframes) -> None:
            market = MarketState(60_000, timeframes)
            for candle in candles:
                market.on_candle(candle)

        say(f"on_candle, {1 + len(timeframes)} timeframe(s): {best_of(3, run) / len(candles) * 1e6:.2f} us")


if __name__ == "__main__":
    main()
