"""Closed bars of a longer timeframe, from shorter bars or from trades; a bar exists once its time is over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

from engine.domain.market import Candle, Source, TradePrint
from engine.errors import UsageError


class _Bucket:
    """A bar in the making."""

    __slots__ = ("close", "high", "low", "open", "source", "start_ms", "volume")

    def __init__(self, start_ms: int, price: Decimal, high: Decimal, low: Decimal, source: Source) -> None:
        self.start_ms, self.source = start_ms, source
        self.open, self.high, self.low = price, high, low
        self.close, self.volume = price, Decimal(0)

    def add(self, high: Decimal, low: Decimal, close: Decimal, volume: Decimal) -> None:
        if high > self.high:
            self.high = high
        if low < self.low:
            self.low = low
        self.close = close
        self.volume += volume

    def candle(self, instrument: str, timeframe_ms: int) -> Candle:
        return Candle(
            instrument,
            self.start_ms,
            timeframe_ms,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.source,
        )


class Resampler:
    """Builds one instrument's bars of timeframe_ms, which start at whole multiples of it since 1970 UTC.

    A bar that data starts in the middle of is left out; a bar in which some of the data is missing is made of what
    there is. A bar is given out by the first candle or trade that proves its time to be over, never before.
    """

    def __init__(self, timeframe_ms: int) -> None:
        self.timeframe_ms = timeframe_ms
        self._bucket: _Bucket | None = None
        self._first_whole_ms: int | None = None

    def push(self, candle: Candle) -> tuple[Candle, ...]:
        """Take a closed bar in; return the longer bars it completes, oldest first."""
        span = self.timeframe_ms
        if span % candle.interval_ms:
            raise UsageError(
                f"A timeframe of {span} ms cannot be made of {candle.instrument}'s bars of {candle.interval_ms} ms; "
                f"choose a multiple of them."
            )
        start = candle.ts_ms - candle.ts_ms % span
        done = self._turn(start, candle.ts_ms, candle.instrument)
        if self._bucket is None:
            if start < self._first_whole(candle.ts_ms):
                return done
            self._bucket = _Bucket(start, candle.open, candle.high, candle.low, candle.source)
        self._bucket.add(candle.high, candle.low, candle.close, candle.volume)
        if candle.ts_ms + candle.interval_ms >= start + span:
            done = (*done, self._bucket.candle(candle.instrument, span))
            self._bucket = None
        return done

    def push_trade(self, trade: TradePrint) -> tuple[Candle, ...]:
        """Take a trade in; return the bar that its time proves to be over, if any."""
        start = trade.ts_ms - trade.ts_ms % self.timeframe_ms
        done = self._turn(start, trade.ts_ms, trade.instrument)
        if self._bucket is None:
            if start < self._first_whole(trade.ts_ms):
                return done
            self._bucket = _Bucket(start, trade.price, trade.price, trade.price, trade.source)
        self._bucket.add(trade.price, trade.price, trade.price, trade.qty)
        return done

    def _turn(self, start: int, ts_ms: int, instrument: str) -> tuple[Candle, ...]:
        bucket = self._bucket
        if bucket is None or bucket.start_ms == start:
            return ()
        self._bucket = None
        return (bucket.candle(instrument, self.timeframe_ms),)

    def _first_whole(self, ts_ms: int) -> int:
        if self._first_whole_ms is None:
            self._first_whole_ms = -(-ts_ms // self.timeframe_ms) * self.timeframe_ms
        return self._first_whole_ms


def resample(candles: Iterable[Candle], timeframe_ms: int) -> Iterator[Candle]:
    """Yield the closed bars of timeframe_ms that candles of one instrument or many, in time order, add up to."""
    makers: dict[str, Resampler] = {}
    for candle in candles:
        maker = makers.get(candle.instrument)
        if maker is None:
            maker = makers[candle.instrument] = Resampler(timeframe_ms)
        yield from maker.push(candle)
