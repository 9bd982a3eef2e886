"""One recording: candles or trades in a CSV file, read row by row and never held whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from operator import itemgetter
from pathlib import Path

from engine.clock import MINUTE_MS
from engine.domain.market import Candle, Source, SourceKind
from engine.domain.money import ZERO, nearest_price
from engine.errors import UsageError
from engine.market.columns import Columns, read_header
from engine.market.csvfile import CsvFile
from engine.market.feed import FeedSummary
from engine.market.resample import Resampler
from engine.market.rows import RowReader, Track
from engine.market.times import TimeReader, looks_day_first

_ROWS_PROBED = 200
_TOO_LARGE = Decimal("1e18")


@dataclass(frozen=True, slots=True)
class _Shape:
    columns: Columns
    interval_ms: int


def name_key(path: Path) -> str:
    """Return what a file's name says its instrument is: the part before the first underscore or dot.

    >>> name_key(Path("BTCUSDT_1m.csv.gz"))
    'BTCUSDT'
    """
    return path.name.partition(".")[0].partition("_")[0]


class Recording:
    """A CSV file of candles, or of trades that are made into candles of interval_ms.

    instrument: the key of the one instrument in it; None: its instrument (or symbol) column says, through resolve.
    interval_ms None: the most common distance of the first rows; one minute for trades. quantize: the tick prices are
    rounded to, one for all or by instrument; None: as written. dayfirst: times are written 31.12.2017.
    """

    def __init__(
        self,
        path: Path,
        instrument: str | None = None,
        *,
        interval_ms: int | None = None,
        quantize: Decimal | Mapping[str, Decimal] | None = None,
        dayfirst: bool = False,
        resolve: Callable[[str], str] = str,
    ) -> None:
        self.path, self.name, self.instrument = path, path.name, instrument
        self._interval_ms, self._ticks, self._dayfirst, self._resolve = interval_ms, quantize, dayfirst, resolve
        self._file = CsvFile(path)

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file's bytes, as hex."""
        return self._file.sha256

    @property
    def interval_ms(self) -> int:
        """Length of its bars. Raises UsageError when the file cannot be read or does not say."""
        return self._shape.interval_ms

    @property
    def has_instrument_column(self) -> bool:
        """Whether each row names its instrument."""
        return self._shape.columns.instrument is not None

    def instruments(self) -> tuple[str, ...]:
        """Return the keys of the instruments in it, in order; a file whose column says is read through once."""
        if self.instrument is not None:
            return (self.instrument,)
        nowhere = Source(kind=SourceKind.REPLAY, name=self.name)
        return tuple(sorted({candle.instrument for candle in self.candles(nowhere, FeedSummary())}))

    def first_ms(self) -> int:
        """Return the open time of its first sound bar. Raises UsageError when it has none."""
        nowhere = Source(kind=SourceKind.REPLAY, name=self.name)
        candle = next(iter(self.candles(nowhere, FeedSummary())), None)
        if candle is None:
            raise UsageError(f"{self.name} holds no bar that can be used.")
        return candle.ts_ms

    @property
    def is_trades(self) -> bool:
        """Whether it holds trades, not candles."""
        return self._shape.columns.is_trades

    @property
    def progress(self) -> float:
        """How much of the file has been read, 0 to 1."""
        return self._file.progress

    def count_rows(self) -> int:
        """Return how many lines follow the header, without reading what they say."""
        return CsvFile(self.path).count_rows()

    def candles(self, source: Source, summary: FeedSummary) -> Iterator[Candle]:
        """Yield the closed candles in time order; rows that break a rule are counted in the summary.

        Raises UsageError when the file is damaged.
        """
        columns = self._shape.columns
        if columns.instrument is None and self.instrument is None:
            raise UsageError(f"{self.name} has no instrument column; say which instrument it holds.")
        if columns.ignored:
            summary.notes.append(f"{self.name}: columns ignored: {', '.join(columns.ignored)}")
        if self._ticks is not None:
            summary.notes.append(f"{self.name}: prices rounded to the instrument's tick")
        times = TimeReader(dayfirst=self._dayfirst)
        rows = RowReader(
            name=self.name,
            columns=columns,
            times=times,
            step_ms=self.interval_ms,
            instrument=self.instrument,
            resolve=self._resolve,
            ticks=self._ticks,
            source=source,
            summary=summary,
        )
        tracks = {} if columns.is_trades else rows.tracks
        try:
            for batch in self._from_trades(rows, tracks) if columns.is_trades else self._from_candles(rows, times):
                yield from batch
        finally:
            if columns.is_trades:
                summary.notes.append(
                    f"{self.name}: the first and the last bar are left out, for trades do not fill them"
                )
            summary.notes.extend(f"{self.name}: {note}" for key in sorted(tracks) for note in tracks[key].notes())

    def _from_candles(self, rows: RowReader, times: TimeReader) -> Iterator[Iterable[Candle]]:
        track = rows.only if self._shape.columns.instrument is None else None
        for first_row, lines, ordinary in self._file.lines():
            if ordinary and track is not None:
                yield self._fast(first_row, lines, rows, times, track)
            else:
                read = (rows.candle(row, line) for row, line in enumerate(lines, first_row) if line)
                yield (candle for candle in read if candle is not None)

    def _fast(self, first_row: int, lines: list[str], rows: RowReader, times: TimeReader, track: Track) -> list[Candle]:
        """Return what is wholly in order by itself; hand every other row to the RowReader, which knows the rules.

        A run of rows is read in one go: read one by one, each would find the processor's cache cold.
        """
        columns, instrument, tick = self._shape.columns, track.instrument, track.tick
        step, days, clocks = self._shape.interval_ms, times.days, times.clocks
        pick, count, delimiter = itemgetter(*columns.needed), columns.count, columns.delimiter
        number, zero, too_large, make, source = Decimal, ZERO, _TOO_LARGE, Candle, rows.source
        candles: list[Candle] = []
        for row, line in enumerate(lines, first_row):
            try:
                parts = line.split(delimiter)
                t, o, h, l, c, v = pick(parts)  # noqa: E741
                try:
                    ts = int(t) * times.scale if times.scale else days[t[:10]] + clocks[t[10:]]
                except KeyError:  # a day or a time of day that is new to the reader
                    ts = times.read(t)
                opened, high, low, close, volume = number(o), number(h), number(l), number(c), number(v)
                if tick is not None:
                    opened, high = nearest_price(opened, tick), nearest_price(high, tick)
                    low, close = nearest_price(low, tick), nearest_price(close, tick)
                if ts is None or ts != track.due_ms or len(parts) != count:
                    raise ValueError
                if not (
                    zero < low <= opened <= high < too_large and low <= close <= high and zero <= volume < too_large
                ):
                    raise ValueError
            except (ValueError, IndexError, InvalidOperation):
                if line and (candle := rows.candle(row, line)) is not None:
                    candles.append(candle)
                continue
            track.last_ms = ts
            track.due_ms = ts + step
            candles.append(make(instrument, ts, step, opened, high, low, close, volume, source))
        return candles

    def _from_trades(self, rows: RowReader, tracks: dict[str, Track]) -> Iterator[Iterable[Candle]]:
        step = self.interval_ms
        makers: dict[str, Resampler] = {}
        for first_row, lines, _ordinary in self._file.lines():
            for row, line in enumerate(lines, first_row):
                trade = rows.trade(row, line) if line else None
                if trade is None:
                    continue
                if trade.instrument not in makers:
                    makers[trade.instrument] = Resampler(step)
                    tracks[trade.instrument] = Track(trade.instrument, None)
                if closed := makers[trade.instrument].push_trade(trade):
                    tracks[trade.instrument].advance(closed[0].ts_ms, step)
                    yield closed

    @cached_property
    def _shape(self) -> _Shape:
        columns = read_header(self._file.header(), self.name)
        if self._interval_ms is not None:
            return _Shape(columns, self._interval_ms)
        return _Shape(columns, MINUTE_MS if columns.is_trades else self._infer_interval(columns))

    def _infer_interval(self, columns: Columns) -> int:
        latest: dict[str, int] = {}
        distances: Counter[int] = Counter()
        for name, ts_ms in self._first_times(columns):
            distances[ts_ms - latest.get(name, ts_ms)] += 1
            latest[name] = ts_ms
        common = [(count, -distance) for distance, count in distances.items() if distance > 0]
        if not common:
            raise UsageError(f"{self.name} does not show how long its bars are; say so, for example as 1m.")
        return -max(common)[1]

    def _first_times(self, columns: Columns) -> Iterator[tuple[str, int]]:
        times = TimeReader(dayfirst=self._dayfirst)
        _row, lines, _ordinary = next(self._file.lines(), (2, [], True))
        for line in lines[:_ROWS_PROBED]:
            parts = [part.strip().strip('"') for part in line.split(columns.delimiter)]
            if len(parts) != columns.count:
                continue
            ts_ms = times.read(parts[columns.time])
            if ts_ms is not None:
                yield "" if columns.instrument is None else parts[columns.instrument], ts_ms
            elif not self._dayfirst and looks_day_first(parts[columns.time]):
                raise UsageError(
                    f'{self.name} writes times such as "{parts[columns.time]}", which countries read differently; '
                    f"say that the day comes first, or write them as 2017-12-31."
                )
