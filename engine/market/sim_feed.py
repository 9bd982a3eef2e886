"""A random market for tests and first steps: seeded, with jumps and gaps, and always labelled SIMULATED (R36)."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from decimal import Decimal

from engine.clock import DAY_MS, MINUTE_MS, Clock, ManualClock
from engine.domain.instrument import Instrument
from engine.domain.market import Candle, FeedEvent, Instant, OrderBook, Quote, Source, SourceKind
from engine.domain.money import nearest_price
from engine.errors import UsageError
from engine.market.feed import FeedSummary
from engine.market.pacing import Pacer

_STEPS_PER_BAR = 8
_LEVELS = 5
_YEAR_MS = 365 * DAY_MS


class _Walk:
    """One instrument's price, as a float that is put on the tick only when it is shown."""

    def __init__(self, instrument: Instrument, rng: random.Random, price: float) -> None:
        self.instrument, self.rng, self.price = instrument, rng, price

    def on_tick(self, price: float) -> Decimal:
        tick = self.instrument.price_tick
        return max(tick, nearest_price(Decimal(f"{price:.12g}"), tick))

    def step(self, deviation: float) -> None:
        self.price *= math.exp(self.rng.gauss(-deviation * deviation / 2, deviation))

    def volume(self) -> Decimal:
        lots = self.rng.lognormvariate(0, 0.8) * 100_000 / self.price
        return self.instrument.floor_qty(Decimal(f"{lots:.8g}"))


class SimulatedFeed:
    """A geometric random walk per instrument; the same arguments give the same events.

    bars: instants until it ends. start_ms: when the first bar opens, a whole multiple of interval_ms. speed: multiples
    of real time by the clock's waiting; 0: never waits. volatility: of the logarithm per year. jump_chance,
    jump_frac: how often a bar jumps, and how far at the most. gap_chance: how often an instrument's bar is missing.
    prices: first price by instrument key; 100 where it says nothing. emit_quotes, emit_books: before each bar's
    close, a quote, and a book five levels deep. quotes_per_bar: 1 to 8 where quotes are emitted, the others evenly
    along the bar's way. warm_bars: as of a replay.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        *,
        seed: int,
        clock: Clock,
        start_ms: int,
        interval_ms: int = MINUTE_MS,
        bars: int = 1000,
        speed: float = 0,
        volatility: float = 0.6,
        jump_chance: float = 0.002,
        jump_frac: float = 0.03,
        gap_chance: float = 0.0,
        prices: dict[str, float] | None = None,
        emit_quotes: bool = False,
        emit_books: bool = False,
        quotes_per_bar: int = 1,
        warm_bars: int = 0,
    ) -> None:
        if interval_ms <= 0 or start_ms % interval_ms:
            raise UsageError(f"A simulation of {interval_ms} ms bars cannot start at {start_ms}; start at a multiple.")
        if not 1 <= quotes_per_bar <= _STEPS_PER_BAR:
            raise UsageError(f"A simulated bar has 1 to {_STEPS_PER_BAR} quotes, not {quotes_per_bar}.")
        self.source = Source(kind=SourceKind.SIMULATED, name=f"seed {seed}", speed=speed)
        self.summary = FeedSummary()
        self.progress = 0.0
        self._clock, self._start_ms, self._interval_ms, self._bars = clock, start_ms, interval_ms, bars
        self._speed, self._warm_bars = speed, warm_bars
        self._deviation = volatility * math.sqrt(interval_ms / _YEAR_MS / _STEPS_PER_BAR)
        self._jump_chance, self._jump_frac, self._gap_chance = jump_chance, jump_frac, gap_chance
        self._emit_quotes, self._emit_books = emit_quotes, emit_books
        self._rounds = quotes_per_bar if emit_quotes else 1
        first = prices or {}
        # a generator each, so that an instrument's prices do not depend on which others there are
        self._walks = [
            _Walk(each, random.Random(f"{seed}:{each.key}"), first.get(each.key, 100.0))
            for each in sorted(instruments, key=lambda one: one.key)
        ]

    def resume_after(self, ts_ms: int) -> None:
        """Let bars that are not warm open at this time at the earliest: an earlier run has lived until then."""
        opens_ms = -(-ts_ms // self._interval_ms) * self._interval_ms
        self._start_ms = max(self._start_ms, opens_ms - self._warm_bars * self._interval_ms)

    async def events(self) -> AsyncIterator[FeedEvent]:
        """Yield quotes and books, where asked for, and an Instant for each bar's close; ends after the last bar."""
        waits = self._speed > 0 and not isinstance(self._clock, ManualClock)
        pacer, part_ms = Pacer(self._clock, self._speed, self._interval_ms), self._interval_ms // self._rounds
        for index in range(self._bars):
            warm = index < self._warm_bars
            opened_ms = self._start_ms + index * self._interval_ms
            for place, events in enumerate(self._bar(opened_ms, warm), 1):
                if waits and not warm:
                    await pacer.wait_for(opened_ms + part_ms * place)
                for event in events:
                    yield event
            self.progress = (index + 1) / self._bars

    def _bar(self, ts_ms: int, warm: bool) -> Iterator[list[FeedEvent]]:
        """Yield what a bar brings, in as many parts as it has quotes; the last part is its close."""
        made = [(walk, *found) for walk in self._walks if (found := self._candle(walk, ts_ms)) is not None]
        candles = tuple(candle for _walk, candle, _path in made)
        if not warm:
            for place in range(1, self._rounds):
                yield [self._on_the_way(walk, path, ts_ms, place) for walk, _candle, path in made]
        events: list[FeedEvent] = []
        if not warm:
            events += [self._quote(walk, candle) for walk, candle, _path in made if self._emit_quotes]
            events += [self._book(walk, candle) for walk, candle, _path in made if self._emit_books]
        if candles:
            self._count(candles)
            events.append(Instant(ts_ms + self._interval_ms, candles, warm))
        yield events

    def _on_the_way(self, walk: _Walk, path: list[float], ts_ms: int, place: int) -> Quote:
        at_ms = ts_ms + self._interval_ms * place // self._rounds
        bid, ask = _touch(walk, walk.on_tick(path[_STEPS_PER_BAR * place // self._rounds]))
        return Quote(
            instrument=walk.instrument.key, ts_ms=at_ms, received_ms=at_ms, bid=bid, ask=ask, source=self.source
        )

    def _candle(self, walk: _Walk, ts_ms: int) -> tuple[Candle, list[float]] | None:
        path = [walk.price]
        for _ in range(_STEPS_PER_BAR):
            walk.step(self._deviation)
            path.append(walk.price)
        if walk.rng.random() < self._jump_chance:
            walk.price *= 1 + walk.rng.uniform(-self._jump_frac, self._jump_frac)
            path.append(walk.price)
        volume, is_missing = walk.volume(), walk.rng.random() < self._gap_chance
        if is_missing:
            self.summary.skipped["GAP"] = self.summary.skipped.get("GAP", 0) + 1
            return None
        opened, high, low, close = (walk.on_tick(price) for price in (path[0], max(path), min(path), path[-1]))
        candle = Candle(walk.instrument.key, ts_ms, self._interval_ms, opened, high, low, close, volume, self.source)
        return candle, path

    def _quote(self, walk: _Walk, candle: Candle) -> Quote:
        bid, ask = _touch(walk, candle.close)
        at_ms = candle.close_ms - 1
        return Quote(
            instrument=candle.instrument, ts_ms=at_ms, received_ms=at_ms, bid=bid, ask=ask, source=self.source,
            bid_qty=walk.volume(), ask_qty=walk.volume(),
        )  # fmt: skip

    def _book(self, walk: _Walk, candle: Candle) -> OrderBook:
        (bid, ask), tick = _touch(walk, candle.close), walk.instrument.price_tick
        bids = tuple((bid - tick * level, walk.volume()) for level in range(_LEVELS) if bid > tick * level)
        asks = tuple((ask + tick * level, walk.volume()) for level in range(_LEVELS))
        return OrderBook(
            instrument=candle.instrument, ts_ms=candle.close_ms - 1, bids=bids, asks=asks, source=self.source
        )  # fmt: skip

    def _count(self, candles: tuple[Candle, ...]) -> None:
        self.summary.bars += len(candles)
        self.summary.last_ts_ms = candles[0].ts_ms
        if self.summary.first_ts_ms is None:
            self.summary.first_ts_ms = candles[0].ts_ms


def _touch(walk: _Walk, close: Decimal) -> tuple[Decimal, Decimal]:
    """Return bid and offer around a close: a tick or a basis point apart, whichever is more."""
    tick = walk.instrument.price_tick
    half = max(tick, nearest_price(close / 20_000, tick))
    bid = max(tick, close - half)
    return bid, max(close + half, bid + tick)
