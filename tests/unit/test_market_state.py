"""Market state: what is believed, what is known when, and the bars of agents' timeframes."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.market import Candle, OrderBook, Quote, Source, SourceKind
from engine.domain.valuation import Mark
from engine.errors import UsageError
from engine.market.resample import resample
from engine.market.state import MarketState

SOURCE = Source(kind=SourceKind.SIMULATED, name="test")
KEY = "paper:X"
MIN = 60_000
T0 = 1_766_016_000_000


def bar(minute: int, close: str = "10", *, span: int = 1, key: str = KEY) -> Candle:
    price = Decimal(close)
    return Candle(key, T0 + minute * MIN, span * MIN, price, price + 1, price - 1, price, Decimal(2), SOURCE)


def quote(ms: int, bid: str = "99", ask: str = "101", received_ms: int | None = None) -> Quote:
    return Quote(
        instrument=KEY,
        ts_ms=T0 + ms,
        received_ms=T0 + (ms if received_ms is None else received_ms),
        bid=Decimal(bid),
        ask=Decimal(ask),
        source=SOURCE,
    )


def test_a_candle_leaves_a_mark_at_its_close_time_with_its_source() -> None:
    state = MarketState(MIN)
    assert state.mark(KEY) is None
    assert state.on_candle(bar(0, "10")) == Mark(Decimal(10), T0 + MIN, SOURCE) == state.mark(KEY)
    assert state.last_candle(KEY) == bar(0, "10")


def test_a_later_quote_is_the_mark_and_an_earlier_candle_does_not_take_it_back() -> None:
    state = MarketState(MIN)
    state.on_candle(bar(0))
    assert state.on_quote(quote(90_000)) == Mark(Decimal(100), T0 + 90_000, SOURCE)
    assert state.on_candle(bar(0, "10", key="paper:Y")).price == 10
    state.on_quote(quote(121_000))
    assert state.on_candle(bar(1, "10")).price == 100
    assert state.on_candle(bar(2, "11")).price == 11


@pytest.mark.fault("E26", "E27", "E29")
@pytest.mark.parametrize(
    ("dropped", "rule"),
    [
        (quote(1_000, bid="0"), "NOT_POSITIVE"),
        (quote(1_000, ask="-1"), "NOT_POSITIVE"),
        (quote(1_000, bid="NaN"), "NOT_POSITIVE"),
        (quote(1_000, ask="Infinity"), "NOT_POSITIVE"),
        (quote(1_000, bid="102", ask="101"), "CROSSED"),
        (replace(quote(1_000), ts_ms=0), "BAD_TIME"),
        (quote(100_000, received_ms=1_000), "BAD_TIME"),
        (quote(400), "OUT_OF_ORDER"),
    ],
)
def test_a_quote_that_cannot_be_true_is_dropped_and_counted(dropped: Quote, rule: str) -> None:
    state = MarketState(MIN)
    good = quote(500)
    assert state.on_quote(good) is not None
    assert state.on_quote(dropped) is None
    assert state.dropped == {rule: 1}
    assert state.quote(KEY) is good
    assert state.mark(KEY) == Mark(Decimal(100), T0 + 500, SOURCE)


@pytest.mark.fault("E29")
@pytest.mark.parametrize(("bids", "asks"), [((), ((2, 1),)), (((2, 1),), ()), (((3, 1),), ((2, 1),))])
def test_an_empty_or_crossed_book_is_dropped(bids: tuple, asks: tuple) -> None:
    state = MarketState(MIN)
    levels = [tuple((Decimal(price), Decimal(qty)) for price, qty in side) for side in (bids, asks)]
    depth = OrderBook(instrument=KEY, ts_ms=T0, bids=levels[0], asks=levels[1], source=SOURCE)
    assert not state.on_book(depth)
    assert state.order_book(KEY) is None
    assert state.dropped == {"CROSSED_BOOK": 1}


def test_a_candle_twice_or_late_changes_nothing() -> None:
    state = MarketState(MIN)
    state.on_candle(bar(0))
    state.on_candle(bar(1, "20"))
    assert state.on_candle(bar(1, "30")).price == 20
    assert state.on_candle(bar(0, "30")).price == 20
    assert state.series(KEY, MIN).count == 2
    assert state.dropped == {"OUT_OF_ORDER": 2}


def test_the_median_is_of_the_last_closes_and_absent_with_too_few() -> None:
    state = MarketState(MIN)
    for minute in range(4):
        state.on_candle(bar(minute, str(10 + minute)))
    assert state.median_close(KEY) is None
    for minute in range(4, 40):
        state.on_candle(bar(minute, str(10 + minute)))
    assert state.median_close(KEY) == 39
    assert state.median_close("paper:Y") is None
    assert state.recent_closes(KEY)[-1] == 49.0


@given(st.lists(st.integers(0, 300), max_size=6))
def test_the_closes_of_a_chart_are_the_same_however_often_they_are_asked_for(steps: list[int]) -> None:
    asked, minute = MarketState(MIN), 0
    for step in steps:
        for _ in range(step):
            asked.on_candle(bar(minute, str(10 + minute)))
            minute += 1
        assert asked.recent_closes(KEY) == tuple(float(10 + each) for each in range(max(0, minute - 240), minute))


def test_bars_of_a_longer_timeframe_come_with_the_candle_that_completes_them() -> None:
    state = MarketState(MIN, timeframes={5 * MIN})
    for minute in range(12):
        state.on_candle(bar(minute, str(10 + minute)))
        known = [T0 + m * MIN for m in (5, 10) if m <= minute + 1]
        assert state.closed_at(KEY, 5 * MIN) == (known[-1] if known else None)
        assert state.closed_at(KEY, MIN) == T0 + (minute + 1) * MIN
        assert len(state.closed_bars(KEY, 5 * MIN)) == (minute in (4, 9))
        assert state.series(KEY, 5 * MIN).count == len(known)
    last = state.series(KEY, 5 * MIN).last
    assert last is not None
    assert (last.ts_ms, last.open, last.high, last.low, last.close, last.volume) == (T0 + 5 * MIN, 15, 20, 14, 19, 10)


def test_a_bar_whose_end_is_missing_is_known_when_the_next_candle_proves_it_over() -> None:
    state = MarketState(MIN, timeframes={5 * MIN})
    for minute in (0, 1, 2, 3):
        state.on_candle(bar(minute))
    assert state.closed_at(KEY, 5 * MIN) is None
    state.on_candle(bar(5))
    assert state.closed_at(KEY, 5 * MIN) == T0 + 6 * MIN
    assert [each.ts_ms for each in state.closed_bars(KEY, 5 * MIN)] == [T0]


@pytest.mark.parametrize("timeframe_ms", [90_000, 30_000, 61_000])
def test_a_timeframe_the_feed_cannot_make_is_refused(timeframe_ms: int) -> None:
    with pytest.raises(UsageError, match="multiple"):
        MarketState(MIN, timeframes={timeframe_ms})


def test_an_instrument_in_longer_bars_serves_only_what_they_can_make() -> None:
    state = MarketState(MIN, timeframes={5 * MIN, 10 * MIN})
    state.on_quote(quote(0))
    state.on_candle(bar(0, span=5))
    state.on_candle(bar(5, span=5))
    assert state.closed_at(KEY, 10 * MIN) == T0 + 10 * MIN
    assert state.quote(KEY) is not None
    with pytest.raises(UsageError, match="cannot make bars of 60 s"):
        state.closed_at(KEY, MIN)
    with pytest.raises(UsageError, match="use one of them"):
        state.on_candle(bar(10))


@given(
    minutes=st.lists(st.integers(0, 400), unique=True, max_size=80).map(sorted),
    span=st.sampled_from([2, 5, 15, 60]),
)
def test_a_longer_bar_never_looks_ahead_and_is_made_of_all_there_was(minutes: list[int], span: int) -> None:
    candles = [bar(minute, str(10 + minute % 7)) for minute in minutes]
    fed: list[Candle] = []

    def feed() -> object:
        for candle in candles:
            fed.append(candle)
            yield candle

    made = []
    for longer in resample(feed(), span * MIN):  # type: ignore[arg-type]
        made.append(longer)
        assert longer.close_ms <= fed[-1].close_ms, "known before its time was over"
        inside = [each for each in candles if longer.ts_ms <= each.ts_ms < longer.close_ms]
        assert all(each in fed for each in inside), "given out before all of it was there"
        assert longer.open == inside[0].open
        assert longer.close == inside[-1].close
        assert longer.high == max(each.high for each in inside)
        assert longer.low == min(each.low for each in inside)
        assert longer.volume == sum(each.volume for each in inside)
    assert [each.ts_ms for each in made] == sorted({each.ts_ms for each in made})
    whole = {
        each.ts_ms - each.ts_ms % (span * MIN)
        for each in candles
        if candles[0].ts_ms <= each.ts_ms - each.ts_ms % (span * MIN)
    }
    over = candles[-1].close_ms if candles else 0
    assert {each.ts_ms for each in made} == {start for start in whole if start + span * MIN <= over}
