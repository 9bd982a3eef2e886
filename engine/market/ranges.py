"""Average true ranges, in exact money: what stops are measured in (R8: no float becomes a price)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from engine.domain.market import Candle
from engine.domain.money import ZERO, kept
from engine.market.state import MarketState

Frame = tuple[str, int]
"""An instrument's key, and a candle's length in milliseconds."""


@dataclass(slots=True)
class _Ranges:
    """The last true ranges of one frame. close: of the candle before, None at first."""

    recent: deque[Decimal]
    close: Decimal | None = None
    last_ms: int = -1

    def take(self, bar: Candle) -> None:
        if bar.ts_ms <= self.last_ms:
            return
        before = bar.close if self.close is None else self.close
        if self.close is not None:
            self.recent.append(max(bar.high, before) - min(bar.low, before))
        self.close, self.last_ms = bar.close, bar.ts_ms


@dataclass(slots=True)
class TrueRanges:
    """Follows the closed candles of the frames it is told to, warm ones too."""

    _frames: dict[Frame, _Ranges] = field(default_factory=dict)

    def follow(self, instrument: str, timeframe_ms: int, period: int) -> None:
        """Keep so many true ranges of a frame from here on; asking again for more keeps more."""
        before = self._frames.get((instrument, timeframe_ms))
        longest = max(period, before.recent.maxlen or 0) if before else period
        self._frames[instrument, timeframe_ms] = _Ranges(deque(before.recent if before else (), maxlen=longest))

    def take(self, market: MarketState, candles: Iterable[Candle]) -> None:
        """Take in what the latest candles of some instruments have closed."""
        if self._frames:
            for candle in candles:
                for (instrument, timeframe_ms), ranges in self._frames.items():
                    if instrument == candle.instrument:
                        for bar in market.closed_bars(instrument, timeframe_ms):
                            ranges.take(bar)

    def average(self, instrument: str, timeframe_ms: int, period: int) -> Decimal | None:
        """Return the mean of the last true ranges, in quote; None before there are so many.

        A true range is a candle's high less its low, the close before it taken as a price of it too.
        """
        ranges = self._frames.get((instrument, timeframe_ms))
        if ranges is None or len(ranges.recent) < period:
            return None
        recent = list(ranges.recent)[-period:]
        return kept(sum(recent, ZERO) / period)
