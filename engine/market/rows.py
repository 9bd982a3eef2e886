"""The rules a row of a recording must keep; one that breaks a rule is counted and named, never used."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from engine.clock import iso
from engine.domain.market import Candle, Source, TradePrint
from engine.domain.money import ZERO, AmountError, amount, nearest_price
from engine.market.columns import Columns
from engine.market.feed import FeedSummary
from engine.market.times import TimeReader

SHORT_ROW = "SHORT_ROW"
LONG_ROW = "LONG_ROW"
BAD_TIME = "BAD_TIME"
BAD_NUMBER = "BAD_NUMBER"
NAN = "NAN"
NOT_POSITIVE = "NOT_POSITIVE"
HIGH_BELOW_LOW = "HIGH_BELOW_LOW"
NEGATIVE_VOLUME = "NEGATIVE_VOLUME"
DUPLICATE = "DUPLICATE"
OUT_OF_ORDER = "OUT_OF_ORDER"
OTHER_INSTRUMENT = "OTHER_INSTRUMENT"

CLOSED_AFTER_BARS = 30
"""A longer gap than this many bars is taken for closed hours: no venue that trades is silent for so long."""
_NAMED_GAPS = 3
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NOT_A_NUMBER = re.compile(r"[+-]?(?:s?nan\d*|inf|infinity)", re.ASCII | re.IGNORECASE)


class RuleError(Exception):
    """A row breaks the rule this names."""


@dataclass(slots=True)
class Track:
    """One instrument's place in time. due: when the next bar opens if none is missing."""

    instrument: str
    tick: Decimal | None
    last_ms: int = -1
    due_ms: int = -1
    gaps: int = 0
    gap_bars: int = 0
    closed: int = 0
    first_gaps: list[str] = field(default_factory=list)
    first_closed: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)

    def advance(self, ts_ms: int, step_ms: int) -> None:
        """Take the next row's time; raise RuleError when it is not after the last."""
        if ts_ms == self.last_ms:
            raise RuleError(DUPLICATE)
        if ts_ms < self.last_ms:
            raise RuleError(OUT_OF_ORDER)
        if self.last_ms >= 0 and ts_ms > self.due_ms:
            self._note_gap((ts_ms - self.last_ms) // step_ms - 1)
        self.last_ms, self.due_ms = ts_ms, ts_ms + step_ms

    def _note_gap(self, missing: int) -> None:
        where = f"{missing} from {iso(self.due_ms)}"
        if missing > CLOSED_AFTER_BARS:
            self.closed += 1
            names = self.first_closed
        else:
            self.gaps += 1
            self.gap_bars += missing
            names = self.first_gaps
        if len(names) < _NAMED_GAPS:
            names.append(where)

    def notes(self) -> list[str]:
        """Say what is missing, in words."""
        said = []
        if self.gaps:
            first = _some(self.first_gaps, self.gaps)
            said.append(
                f"{self.instrument}: {_count(self.gaps, 'gap')}, {_count(self.gap_bars, 'bar')} missing ({first})"
            )
        if self.closed:
            pauses, first = _count(self.closed, "pause"), _some(self.first_closed, self.closed)
            said.append(
                f"{self.instrument}: {pauses} of more than {CLOSED_AFTER_BARS} bars taken for closed hours ({first})"
            )
        return said


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def _some(names: list[str], count: int) -> str:
    return "; ".join(names) + ("; ..." if count > len(names) else "")


def read_number(text: str) -> Decimal:
    """Read a number's text exactly; raise RuleError NAN or BAD_NUMBER."""
    if _NUMBER.fullmatch(text):
        try:
            return amount(text)
        except AmountError:
            raise RuleError(BAD_NUMBER) from None
    raise RuleError(NAN if _NOT_A_NUMBER.fullmatch(text) else BAD_NUMBER)


class RowReader:
    """Reads rows one by one, with every rule; the fast path of Recording leaves to it all that is out of the ordinary.

    tracks: instrument -> its place in time. only: the one of the instrument the file is said to hold; None: many.
    """

    def __init__(
        self,
        *,
        name: str,
        columns: Columns,
        times: TimeReader,
        step_ms: int,
        instrument: str | None,
        resolve: Callable[[str], str],
        ticks: Decimal | Mapping[str, Decimal] | None,
        source: Source,
        summary: FeedSummary,
    ) -> None:
        self.tracks: dict[str, Track] = {}
        self._name, self._columns, self._times, self._step_ms = name, columns, times, step_ms
        self._resolve, self._ticks, self.source, self._summary = resolve, ticks, source, summary
        self._by_name: dict[str, Track] = {}
        self._latest_ms = -1
        self.only = None if instrument is None else self._track_of(instrument)

    def candle(self, row: int, line: str) -> Candle | None:
        """Return the row's candle; None when a rule left it out."""
        try:
            return self._read_candle(self._fields(line))
        except RuleError as broken:
            self._summary.skip(str(broken), f"{self._name}:{row}")
            return None

    def trade(self, row: int, line: str) -> TradePrint | None:
        """Return the row's trade; None when a rule left it out."""
        try:
            return self._read_trade(self._fields(line))
        except RuleError as broken:
            self._summary.skip(str(broken), f"{self._name}:{row}")
            return None

    def _fields(self, line: str) -> list[str]:
        delimiter = self._columns.delimiter
        parts = next(csv.reader([line], delimiter=delimiter)) if '"' in line else line.split(delimiter)
        if len(parts) != self._columns.count:
            raise RuleError(SHORT_ROW if len(parts) < self._columns.count else LONG_ROW)
        return [part.strip() for part in parts]

    def _read_candle(self, fields: list[str]) -> Candle:
        track, ts_ms = self._track(fields), self._time(fields)
        _, o, h, l, c, v = self._columns.needed  # noqa: E741
        opened, high, low, close = (self._price(fields[place], track) for place in (o, h, l, c))
        volume = read_number(fields[v])
        if not (low <= opened <= high and low <= close <= high):
            raise RuleError(HIGH_BELOW_LOW)
        if not volume >= 0:
            raise RuleError(NEGATIVE_VOLUME)
        self._in_order(ts_ms, track)
        track.advance(ts_ms, self._step_ms)
        return Candle(track.instrument, ts_ms, self._step_ms, opened, high, low, close, volume, self.source)

    def _read_trade(self, fields: list[str]) -> TradePrint:
        track, ts_ms = self._track(fields), self._time(fields)
        _, p, q = self._columns.needed
        price, qty = self._price(fields[p], track), read_number(fields[q])
        if not qty > 0:
            raise RuleError(NOT_POSITIVE)
        self._in_order(ts_ms, track)
        if self._columns.trade_id is not None:
            self._new_id(fields[self._columns.trade_id], ts_ms, track)
        track.last_ms = ts_ms
        return TradePrint(instrument=track.instrument, ts_ms=ts_ms, price=price, qty=qty, source=self.source)

    def _time(self, fields: list[str]) -> int:
        ts_ms = self._times.read(fields[self._columns.time])
        if ts_ms is None:
            raise RuleError(BAD_TIME)
        return ts_ms

    def _price(self, text: str, track: Track) -> Decimal:
        price = read_number(text)
        if track.tick is not None:
            price = nearest_price(price, track.tick)
        if not price > ZERO:
            raise RuleError(NOT_POSITIVE)
        return price

    def _in_order(self, ts_ms: int, track: Track) -> None:
        # over the whole file: instruments that share a file are merged in time order as they stand
        if ts_ms < max(self._latest_ms, track.last_ms):
            raise RuleError(OUT_OF_ORDER)
        self._latest_ms = ts_ms

    def _new_id(self, trade_id: str, ts_ms: int, track: Track) -> None:
        # pages of a download overlap by trades close together; remembering every id would not stay small
        if ts_ms // self._step_ms != track.last_ms // self._step_ms:
            track.ids.clear()
        if trade_id in track.ids:
            raise RuleError(DUPLICATE)
        track.ids.add(trade_id)

    def _track(self, fields: list[str]) -> Track:
        place = self._columns.instrument
        track = self.only if place is None else self._by_name.get(fields[place])
        if track is None and place is not None:
            track = self._meet(fields[place])
        if track is None:
            raise RuleError(OTHER_INSTRUMENT)
        return track

    def _meet(self, name: str) -> Track | None:
        # a file said to hold one instrument is held to its first row's name
        if self.only is None:
            self._by_name[name] = self._track_of(self._resolve(name))
        elif not self._by_name:
            self._by_name[name] = self.only
        return self._by_name.get(name)

    def _track_of(self, instrument: str) -> Track:
        if instrument not in self.tracks:
            ticks = self._ticks
            self.tracks[instrument] = Track(instrument, ticks.get(instrument) if isinstance(ticks, Mapping) else ticks)
        return self.tracks[instrument]
