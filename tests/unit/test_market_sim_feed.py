"""The simulated market: a function of its seed, on the tick, labelled, with jumps and gaps."""

from __future__ import annotations

from decimal import Decimal

import pytest

from engine.clock import MINUTE_MS, ManualClock
from engine.domain.instrument import Instrument
from engine.domain.market import FeedEvent, Instant, OrderBook, Quote, SourceKind
from engine.errors import UsageError
from engine.market.sim_feed import SimulatedFeed

T0 = 1_766_016_000_000


def instrument(symbol: str, tick: str = "0.05") -> Instrument:
    return Instrument(
        venue="paper",
        symbol=symbol,
        base=symbol.partition("/")[0],
        quote="USD",
        price_tick=Decimal(tick),
        qty_step=Decimal("0.001"),
        min_notional=Decimal(5),
        maker_fee=Decimal(0),
        taker_fee=Decimal(0),
    )


ONE, TWO = instrument("AAA/USD"), instrument("BBB/USD", "0.01")


async def run(*instruments: Instrument, seed: int = 7, **options: object) -> tuple[SimulatedFeed, list[FeedEvent]]:
    feed = SimulatedFeed(instruments, seed=seed, clock=ManualClock(), start_ms=T0, **options)  # type: ignore[arg-type]
    return feed, [event async for event in feed.events()]


def instants(events: list[FeedEvent]) -> list[Instant]:
    return [event for event in events if isinstance(event, Instant)]


async def test_the_same_seed_gives_the_same_events_and_another_gives_others() -> None:
    options = {"bars": 200, "emit_quotes": True, "emit_books": True, "gap_chance": 0.1}
    first, second = (await run(ONE, TWO, **options))[1], (await run(TWO, ONE, **options))[1]
    assert first == second
    assert first != (await run(ONE, TWO, seed=8, **options))[1]


async def test_an_instruments_prices_do_not_depend_on_its_company() -> None:
    alone = [one.candles[0] for one in instants((await run(ONE, bars=50))[1])]
    among = [one.candles[0] for one in instants((await run(ONE, TWO, bars=50))[1])]
    assert alone == among


async def test_candles_are_sound_on_the_tick_and_labelled() -> None:
    feed, events = await run(ONE, TWO, bars=500, jump_chance=0.05, volatility=3.0, prices={ONE.key: 0.1})
    assert feed.source.kind is SourceKind.SIMULATED
    assert feed.source.label == "SIMULATED"
    for index, instant in enumerate(instants(events)):
        assert instant.ts_ms == T0 + (index + 1) * 60_000
        for candle, tick in zip(instant.candles, (ONE.price_tick, TWO.price_tick), strict=True):
            assert 0 < candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high
            assert all(price % tick == 0 for price in (candle.open, candle.high, candle.low, candle.close))
            assert candle.volume > 0
            assert candle.source == feed.source
    assert feed.summary.bars == 1000
    assert feed.progress == 1.0


async def test_gaps_leave_bars_out_and_are_counted() -> None:
    feed, events = await run(ONE, bars=300, gap_chance=0.2)
    assert feed.summary.bars + feed.summary.skipped["GAP"] == 300
    assert feed.summary.bars == len(instants(events)) < 300


async def test_jumps_happen_as_often_and_as_far_as_told() -> None:
    calm = instants((await run(TWO, bars=300, jump_chance=0.0, volatility=0.01))[1])
    wild = instants((await run(TWO, bars=300, jump_chance=0.1, jump_frac=0.2, volatility=0.01))[1])

    def moves(found: list[Instant]) -> list[float]:
        return [abs(float(one.candles[0].close / one.candles[0].open) - 1) for one in found]

    assert max(moves(calm)) < 0.001
    assert 10 < sum(move > 0.001 for move in moves(wild)) < 60
    assert max(moves(wild)) <= 0.21


async def test_quotes_and_books_come_before_the_close_and_are_never_crossed() -> None:
    _feed, events = await run(
        ONE, TWO, bars=100, emit_quotes=True, emit_books=True, warm_bars=10, prices={TWO.key: 0.02}
    )
    seen = [event for event in events if isinstance(event, Quote | OrderBook)]
    assert len(seen) == 2 * 2 * 90
    latest = T0
    for event in events:
        assert event.ts_ms >= latest
        latest = event.ts_ms
        if isinstance(event, Quote):
            assert 0 < event.bid < event.ask
        elif isinstance(event, OrderBook):
            assert 0 < event.bids[-1][0] <= event.bids[0][0] < event.asks[0][0] < event.asks[-1][0]
    assert [one.warm for one in instants(events)[:11]] == [True] * 10 + [False]


async def test_quotes_along_a_bar_stay_within_it_and_leave_the_candles_as_they_were() -> None:
    _feed, closes = await run(ONE, TWO, bars=50, emit_quotes=True)
    _feed, ticking = await run(ONE, TWO, bars=50, emit_quotes=True, quotes_per_bar=8)
    assert instants(ticking) == instants(closes)
    quotes = [event for event in ticking if isinstance(event, Quote)]
    assert len(quotes) == 8 * 2 * 50
    assert [each.ts_ms for each in ticking] == sorted(each.ts_ms for each in ticking)
    first = instants(ticking)[0].candles[0]
    mids = [each.mid for each in quotes[:14] if each.instrument == first.instrument]
    assert all(first.low - ONE.price_tick <= mid <= first.high + ONE.price_tick for mid in mids)


async def test_speed_waits_an_interval_from_bar_to_bar_on_the_clock() -> None:

    class Counting:
        def __init__(self) -> None:
            self.slept: list[float] = []

        def now_ms(self) -> int:
            return 0

        def mono_ms(self) -> float:
            return sum(self.slept)

        async def sleep_ms(self, duration_ms: float) -> None:
            self.slept.append(duration_ms)

    clock = Counting()
    feed = SimulatedFeed([ONE], seed=1, clock=clock, start_ms=T0, bars=3, speed=60)
    assert len([event async for event in feed.events()]) == 3
    assert clock.slept == [1000.0] * 2


async def test_a_store_that_lived_ahead_of_the_wall_goes_on_from_there() -> None:
    feed = SimulatedFeed([ONE], seed=1, clock=ManualClock(), start_ms=T0, bars=20, warm_bars=10)
    feed.resume_after(T0 + 100 * MINUTE_MS + 1)
    seen = instants([event async for event in feed.events()])
    assert next(one.ts_ms for one in seen if not one.warm) == T0 + 102 * MINUTE_MS
    feed.resume_after(T0)
    assert instants([event async for event in feed.events()])[0].ts_ms == seen[0].ts_ms


def test_a_start_between_bars_is_refused() -> None:
    with pytest.raises(UsageError, match="start at a multiple"):
        SimulatedFeed([ONE], seed=1, clock=ManualClock(), start_ms=T0 + 1)
