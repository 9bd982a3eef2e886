"""What the market looks like now: last bars, quotes, books and marks, and the bars of each agent's timeframe."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from itertools import islice, takewhile

from engine.domain.market import Candle, OrderBook, Quote
from engine.domain.money import ZERO
from engine.domain.valuation import Mark
from engine.errors import UsageError
from engine.market.resample import Resampler
from engine.market.series import Series

BARS_KEPT = 240
MEDIAN_OF = 21
MEDIAN_LEAST = 5
VENUE_AHEAD_MAX_MS = 60_000
"""A quote stamped further in our future than clocks differ would stay fresh for ever: it is dropped."""
_NOTHING: tuple[Candle, ...] = ()


class _Frame:
    """One timeframe of one instrument. known_ms: the instant at which its latest bar became known."""

    __slots__ = ("closed", "known_ms", "maker", "series")

    def __init__(self, timeframe_ms: int, base_ms: int, window: int) -> None:
        self.maker = None if timeframe_ms == base_ms else Resampler(timeframe_ms)
        self.series = Series(window)
        self.known_ms: int | None = None
        self.closed = _NOTHING


class _Book:
    """All that is known of one instrument."""

    __slots__ = ("charted", "coarse", "depth", "frames", "interval_ms", "last", "mark", "quote", "recent", "series")

    def __init__(self, interval_ms: int, timeframes: Iterable[int], window: int) -> None:
        self.interval_ms = interval_ms
        spans = sorted({interval_ms, *(span for span in timeframes if span % interval_ms == 0)})
        self.frames = {span: _Frame(span, interval_ms, window) for span in spans}
        self.series = self.frames[interval_ms].series
        self.coarse = [frame for frame in self.frames.values() if frame.maker is not None]
        self.recent: deque[Candle] = deque(maxlen=BARS_KEPT)
        self.last: Candle | None = None
        self.quote: Quote | None = None
        self.depth: OrderBook | None = None
        self.mark: Mark | None = None
        self.charted: tuple[Candle | None, tuple[float, ...]] = (None, ())


class MarketState:
    """Takes closed candles, quotes and books in; answers what is known of an instrument.

    interval_ms: length of the feed's candles. timeframes: bar lengths agents read, each a multiple of it, or
    UsageError. window: bars a Series keeps at first; one grows when indicators need more. dropped: rule -> how many
    candles, quotes and books were not believed.
    """

    def __init__(self, interval_ms: int, timeframes: Iterable[int] = (), window: int = 1024) -> None:
        self.interval_ms, self._window = interval_ms, window
        self._timeframes = sorted({*timeframes} - {interval_ms})
        for span in self._timeframes:
            if span % interval_ms or span < interval_ms:
                raise UsageError(
                    f"A timeframe of {span // 1000} s cannot be made of the feed's bars of {interval_ms // 1000} s; "
                    f"choose a multiple of them."
                )
        self._books: dict[str, _Book] = {}
        self.dropped: dict[str, int] = {}

    def on_candle(self, candle: Candle) -> Mark:
        """Take a closed candle in; return the mark it leaves, which is a later quote's when there is one."""
        book = self._books.get(candle.instrument)
        if book is None or book.interval_ms != candle.interval_ms:
            book = self._open_for(candle, book)
        last = book.last
        if last is not None and candle.ts_ms <= last.ts_ms and book.mark is not None:
            self._drop("OUT_OF_ORDER")
            return book.mark
        book.last = candle
        book.recent.append(candle)
        book.series.append(candle)
        if book.coarse:
            _resample(book, candle)
        known_ms = candle.ts_ms + candle.interval_ms
        mark = book.mark
        if mark is None or mark.ts_ms <= known_ms:
            mark = book.mark = Mark(candle.close, known_ms, candle.source)
        return mark

    def on_quote(self, quote: Quote) -> Mark | None:
        """Take a quote in; return its mark, or None when it is not to be believed (E26, E27, E29)."""
        rule = self._rule_broken(quote)
        if rule:
            self._drop(rule)
            return None
        book = self._book(quote.instrument)
        book.quote = quote
        book.mark = Mark(quote.mid, quote.ts_ms, quote.source)
        return book.mark

    def on_book(self, depth: OrderBook) -> bool:
        """Take an order book in; False when it is empty, crossed or older than the last."""
        if not (depth.bids and depth.asks and ZERO < depth.bids[0][0] < depth.asks[0][0]):
            self._drop("CROSSED_BOOK")
            return False
        book = self._book(depth.instrument)
        if book.depth is not None and depth.ts_ms < book.depth.ts_ms:
            self._drop("OUT_OF_ORDER")
            return False
        book.depth = depth
        return True

    def series(self, instrument: str, timeframe_ms: int) -> Series:
        """Return the bars of a timeframe. Raises UsageError for one that its candles cannot make."""
        book = self._books.get(instrument) or self._open(instrument, self.interval_ms)
        frame = book.frames.get(timeframe_ms)
        return (frame or _frame(instrument, book, timeframe_ms)).series

    def closed_at(self, instrument: str, timeframe_ms: int) -> int | None:
        """Return the instant at which the latest bar of a timeframe became known; None before the first."""
        book = self._books.get(instrument)
        if book is None or book.last is None:
            return None
        if timeframe_ms == book.interval_ms:
            return book.last.ts_ms + timeframe_ms
        return _frame(instrument, book, timeframe_ms).known_ms

    def closed_bars(self, instrument: str, timeframe_ms: int) -> tuple[Candle, ...]:
        """Return the bars of a timeframe that the latest candle completed, oldest first; usually one or none."""
        book = self._books.get(instrument)
        if book is None or book.last is None:
            return _NOTHING
        if timeframe_ms == book.interval_ms:
            return (book.last,)
        return _frame(instrument, book, timeframe_ms).closed

    def last_candle(self, instrument: str) -> Candle | None:
        """Return the latest candle of the feed's own length; None before the first."""
        book = self._books.get(instrument)
        return book.last if book else None

    def quote(self, instrument: str) -> Quote | None:
        """Return the latest quote; None before the first."""
        book = self._books.get(instrument)
        return book.quote if book else None

    def order_book(self, instrument: str) -> OrderBook | None:
        """Return the latest order book; None before the first."""
        book = self._books.get(instrument)
        return book.depth if book else None

    def mark(self, instrument: str) -> Mark | None:
        """Return the latest price with its time and source; None before the first."""
        book = self._books.get(instrument)
        return book.mark if book else None

    def median_close(self, instrument: str) -> Decimal | None:
        """Return the median of the last 21 closes; None with fewer than 5, which are no measure of anything (E28)."""
        book = self._books.get(instrument)
        if book is None or len(book.recent) < MEDIAN_LEAST:
            return None
        closes = sorted([candle.close for candle in islice(reversed(book.recent), MEDIAN_OF)])
        return closes[len(closes) // 2]

    def recent_closes(self, instrument: str) -> tuple[float, ...]:
        """Return up to 240 closes for a chart, oldest first."""
        book = self._books.get(instrument)
        if book is None:
            return ()
        seen, closes = book.charted
        if seen is not book.last:  # asked for with every snapshot, of every instrument: what was made once is kept
            fresh = [float(each.close) for each in takewhile(lambda each: each is not seen, reversed(book.recent))]
            book.charted = book.last, (*closes, *reversed(fresh))[-BARS_KEPT:]
        return book.charted[1]

    def recent_bars(self, instrument: str) -> tuple[Candle, ...]:
        """Return up to 240 of the latest bars of the feed's own length, oldest first: what risk is measured on."""
        book = self._books.get(instrument)
        return tuple(book.recent) if book else ()

    def _rule_broken(self, quote: Quote) -> str:
        # written in the positive, and NaN has no order: whatever is not a price fails here
        if not (quote.bid.is_finite() and quote.ask.is_finite() and quote.bid > 0 and quote.ask > 0):
            return "NOT_POSITIVE"
        if quote.bid > quote.ask:
            return "CROSSED"
        if not 0 < quote.ts_ms <= quote.received_ms + VENUE_AHEAD_MAX_MS:
            return "BAD_TIME"
        before = self.quote(quote.instrument)
        return "OUT_OF_ORDER" if before is not None and quote.ts_ms < before.ts_ms else ""

    def _book(self, instrument: str) -> _Book:
        return self._books.get(instrument) or self._open(instrument, self.interval_ms)

    def _open(self, instrument: str, interval_ms: int) -> _Book:
        book = self._books[instrument] = _Book(interval_ms, [self.interval_ms, *self._timeframes], self._window)
        return book

    def _open_for(self, candle: Candle, book: _Book | None) -> _Book:
        if book is not None and book.last is not None:
            raise UsageError(
                f"{candle.instrument} comes in bars of {book.interval_ms // 1000} s and of "
                f"{candle.interval_ms // 1000} s; use one of them."
            )
        fresh = self._open(candle.instrument, candle.interval_ms)
        if book is not None:
            fresh.quote, fresh.depth, fresh.mark = book.quote, book.depth, book.mark
        return fresh

    def _drop(self, rule: str) -> None:
        self.dropped[rule] = self.dropped.get(rule, 0) + 1


def _frame(instrument: str, book: _Book, timeframe_ms: int) -> _Frame:
    frame = book.frames.get(timeframe_ms)
    if frame is None:
        raise UsageError(
            f"{instrument} comes in bars of {book.interval_ms // 1000} s, which cannot make bars of "
            f"{timeframe_ms // 1000} s; change the agent's timeframe."
        )
    return frame


def _resample(book: _Book, candle: Candle) -> None:
    for frame in book.coarse:
        assert frame.maker is not None
        closed = frame.maker.push(candle)
        frame.closed = closed
        if closed:
            frame.known_ms = candle.ts_ms + candle.interval_ms
            for bar in closed:
                frame.series.append(bar)
