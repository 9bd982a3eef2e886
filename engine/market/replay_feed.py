"""Recordings played as a feed: many files merged in time order, at a multiple of real speed or as fast as it can."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from functools import cached_property
from pathlib import Path

from engine.clock import Clock, ManualClock
from engine.domain.market import Candle, Instant, Source, SourceKind
from engine.errors import UsageError
from engine.market.feed import FeedSummary
from engine.market.pacing import Pacer
from engine.market.recording import Recording
from engine.market.rows import DUPLICATE

_FAR_FUTURE_MS = 1 << 62


class ReplayFeed:
    """Plays recordings as one Feed.

    recordings: (instrument key, file); the key is "" when the file's own column says. clock: what is waited on, the
    machine's; a ManualClock belongs to the engine, so it is neither waited on nor moved. speed: multiples of real time;
    0: never waits and never suspends. warm_bars: so many first instants only warm indicators up, and are not waited
    for. start_ms, end_ms: bars that open before or close after are left out; None: all.
    """

    def __init__(
        self,
        recordings: Iterable[tuple[str, Path | Recording]],
        clock: Clock,
        *,
        speed: float = 0,
        name: str = "",
        warm_bars: int = 0,
        interval_ms: int | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        summary: FeedSummary | None = None,
    ) -> None:
        if not 0 <= speed < float("inf"):
            raise UsageError(
                f"A replay speed of {speed} is not possible; give a multiple such as 60, or 0 for no wait."
            )
        self.recordings = [
            given if isinstance(given, Recording) else Recording(given, key or None, interval_ms=interval_ms)
            for key, given in recordings
        ]
        names = ", ".join(recording.name for recording in self.recordings)
        self.source = Source(kind=SourceKind.REPLAY, name=name or names, speed=speed)
        self.summary = summary or FeedSummary()
        self._clock, self._speed, self._warm_bars = clock, speed, warm_bars
        self._played_ms = 0
        self._start_ms, self._end_ms = start_ms or 0, _FAR_FUTURE_MS if end_ms is None else end_ms
        self._refuse_mixed_intervals()

    @property
    def interval_ms(self) -> int:
        """The shortest bar length there is."""
        return min((recording.interval_ms for recording in self.recordings), default=0)

    @property
    def progress(self) -> float:
        """How much has been played, 0 to 1: by rows when it waits for them, else by the bytes read, which is free."""
        if self._speed and self._rows:
            return min(1.0, (self.summary.bars + self.summary.rows_skipped) / self._rows)
        return min((recording.progress for recording in self.recordings), default=1.0)

    @cached_property
    def _rows(self) -> int:
        """Rows that there are to play; 0 where rows are no bars, or not all are played."""
        if self._start_ms or self._end_ms != _FAR_FUTURE_MS or any(each.is_trades for each in self.recordings):
            return 0
        return sum(recording.count_rows() for recording in self.recordings)

    @property
    def sha256s(self) -> dict[str, str]:
        """File name -> SHA-256 of its bytes."""
        return {recording.name: recording.sha256 for recording in self.recordings}

    def resume_after(self, ts_ms: int) -> None:
        """Let what closed until then only warm indicators up: an earlier run has played it."""
        self._played_ms = ts_ms

    async def events(self) -> AsyncIterator[Instant]:
        """Yield an Instant for each time at which bars closed, each candle once, in time order."""
        instants = self.instants()
        if not self._speed or isinstance(self._clock, ManualClock):
            for instant in instants:
                yield instant
            return
        pacer = Pacer(self._clock, self._speed, self.interval_ms)
        try:
            for instant in instants:
                if not instant.warm:
                    await pacer.wait_for(instant.ts_ms)
                yield instant
        finally:
            self.summary.notes.extend(pacer.notes())

    def instants(self) -> Iterator[Instant]:
        """Yield what events() does, as fast as it is asked for."""
        summary, warm_left, played_ms, make = self.summary, self._warm_bars, self._played_ms, Instant
        for ts_ms, candles in self._merged():
            summary.bars += len(candles)
            summary.last_ts_ms = candles[0].ts_ms
            if summary.first_ts_ms is None:
                summary.first_ts_ms = candles[0].ts_ms
            if warm_left:
                warm_left -= 1
                yield make(ts_ms, candles, True)
            elif ts_ms <= played_ms:
                yield make(ts_ms, candles, True)
            else:
                yield make(ts_ms, candles)

    def _merged(self) -> Iterator[tuple[int, tuple[Candle, ...]]]:
        streams = [self._cut(recording.candles(self.source, self.summary)) for recording in self.recordings]
        if len(streams) == 1 and self.recordings[0].instrument is not None:
            for candle in streams[0]:
                yield candle.ts_ms + candle.interval_ms, (candle,)
            return
        heads = [(stream, candle) for stream in streams if (candle := next(stream, None)) is not None]
        while heads:
            ts_ms = min(candle.ts_ms + candle.interval_ms for _stream, candle in heads)
            closed: list[Candle] = []
            heads = list(_take(heads, ts_ms, closed))
            yield ts_ms, self._once_each(closed)

    def _cut(self, candles: Iterator[Candle]) -> Iterator[Candle]:
        if not self._start_ms and self._end_ms == _FAR_FUTURE_MS:
            return candles
        return self._between(candles)

    def _between(self, candles: Iterator[Candle]) -> Iterator[Candle]:
        for candle in candles:
            if candle.close_ms > self._end_ms:
                return
            if candle.ts_ms >= self._start_ms:
                yield candle

    def _once_each(self, closed: list[Candle]) -> tuple[Candle, ...]:
        if len(closed) == 1:
            return (closed[0],)
        by_key: dict[str, Candle] = {}
        for candle in closed:
            if by_key.setdefault(candle.instrument, candle) is not candle:
                self.summary.skip(DUPLICATE, f"{candle.instrument} at {candle.ts_ms} in a second recording")
        return tuple(by_key[key] for key in sorted(by_key))

    def _refuse_mixed_intervals(self) -> None:
        seen: dict[str, Recording] = {}
        for recording in self.recordings:
            if recording.instrument is None:
                continue
            other = seen.setdefault(recording.instrument, recording)
            if other.interval_ms != recording.interval_ms:
                raise UsageError(
                    f"{other.name} and {recording.name} hold {recording.instrument} in bars of different lengths; "
                    f"replay one of them."
                )


_Head = tuple[Iterator[Candle], Candle]


def _take(heads: list[_Head], ts_ms: int, closed: list[Candle]) -> Iterator[_Head]:
    """Move all that closed at an instant into closed; yield what is next in each stream that goes on."""
    for stream, head in heads:
        candle: Candle | None = head
        while candle is not None and candle.ts_ms + candle.interval_ms <= ts_ms:
            closed.append(candle)
            candle = next(stream, None)
        if candle is not None:
            yield stream, candle
