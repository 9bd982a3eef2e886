"""What the paper venue fills from candles: worked examples. Pool per candle: 10 of 100."""

from dataclasses import replace
from decimal import Decimal

from engine.domain.market import Candle, Instant
from tests.unit.paper_kit import BTC, SETTINGS, SOURCE, Venue


async def test_a_market_order_trades_at_the_open_of_the_next_candle() -> None:
    venue = Venue()
    await venue.buy("e1", 2)
    assert venue.told() == []
    venue.candle(101, 120, 80, 110)
    assert venue.told() == ["e1 BUY 2 @ 101.21 TAKER fee 0.40484 USDT"]
    assert await venue.money() == {"USDT": "9797.17516", "BTC": "2"}  # 10000 - 2 * 101.21 - 0.40484


async def test_a_fill_at_the_open_has_the_open_time_and_one_inside_the_close_time() -> None:
    venue = Venue()
    start_ms = venue.clock.now_ms()
    await venue.buy("e1", 1)
    await venue.buy("e2", 1, limit=95)
    venue.candle(100, 100, 95, 95)
    assert [(f.trade_id, f.ts_ms - start_ms) for f in await venue.gateway.fills_since(0)] == [("p1", 0), ("p2", 60_000)]


async def test_a_candle_that_opened_before_the_order_came_fills_nothing() -> None:
    venue = Venue()
    venue.clock.advance_ms(1)
    await venue.buy("e1", 1)
    await venue.buy("e2", 1, limit=100)
    venue.flat()
    assert venue.told() == []
    venue.flat()
    assert await venue.working() == {}


async def test_latency_keeps_an_order_from_the_candles_that_open_before_it_arrives() -> None:
    venue = Venue(settings=replace(SETTINGS, latency_ms=1))
    await venue.buy("e1", 1)
    venue.flat()
    assert venue.told() == []
    venue.flat()
    assert await venue.status("e1") == "FILLED 1"


async def test_warm_candles_and_candles_without_volume_fill_nothing() -> None:
    venue = Venue()
    await venue.buy("e1", 1)
    venue.flat(volume=0)
    now_ms = venue.clock.now_ms()
    at = Decimal(100)
    bar = Candle(BTC.key, now_ms, 60_000, at, at, at, at, at, SOURCE)
    venue.gateway.on_instant(Instant(now_ms + 60_000, (bar,), warm=True))
    assert venue.told() == []


async def test_a_market_order_larger_than_the_share_fills_over_several_candles() -> None:
    venue = Venue()
    await venue.buy("e1", 25)
    for price in (100, 101, 102):
        venue.flat(price)
    assert venue.told() == [
        "e1 BUY 10 @ 100.2 TAKER fee 2.004 USDT",
        "e1 BUY 10 @ 101.21 TAKER fee 2.0242 USDT",
        "e1 BUY 5 @ 102.21 TAKER fee 1.0221 USDT",
    ]
    assert await venue.status("e1") == "FILLED 25"


async def test_a_partial_fill_shows_as_partially_filled() -> None:
    venue = Venue()
    await venue.buy("e1", 25)
    venue.flat()
    assert await venue.status("e1") == "PARTIALLY_FILLED 10"
    assert await venue.working() == {"e1": "15"}


async def test_all_orders_of_a_candle_share_its_volume_market_then_stops_then_limits() -> None:
    venue = Venue(deposits={"USDT": "10000", "BTC": "50"})
    await venue.sell("limit", 6, limit=105, group="")
    await venue.sell("stop", 6, stop=96, group="")
    await venue.sell("market", 3, group="")
    venue.candle(100, 110, 95, 100)
    assert venue.told() == [
        "market SELL 3 @ 99.8 TAKER fee 0.5988 USDT",
        "stop SELL 6 @ 95.8 TAKER fee 1.1496 USDT",
        "limit SELL 1 @ 105 MAKER fee 0.105 USDT",
    ]


async def test_the_rest_of_a_triggered_stop_is_a_market_order() -> None:
    venue = Venue(deposits={"BTC": "50"})
    await venue.sell("stop", 15, stop=96, group="")
    venue.candle(97, 97, 95, 95)
    venue.candle(120, 121, 119, 120)
    assert venue.told() == [
        "stop SELL 10 @ 95.8 TAKER fee 1.916 USDT",
        "stop SELL 5 @ 119.76 TAKER fee 1.1976 USDT",
    ]


async def test_a_stop_touched_when_no_volume_is_left_is_triggered_all_the_same() -> None:
    venue = Venue(deposits={"BTC": "50"})
    await venue.sell("market", 10, group="")
    await venue.sell("stop", 1, stop=96, group="")
    venue.candle(97, 97, 95, 95)
    venue.flat(100)
    assert venue.told()[1:] == ["stop SELL 1 @ 99.8 TAKER fee 0.1996 USDT"]


async def test_a_limit_that_waited_makes_and_one_through_on_arrival_takes() -> None:
    venue = Venue()
    await venue.buy("waits", 1, limit=95)
    venue.flat(100)
    await venue.buy("arrives", 1, limit=95)
    venue.candle(94, 96, 93, 95)
    assert venue.told() == [
        "waits BUY 1 @ 94 MAKER fee 0.094 USDT",
        "arrives BUY 1 @ 94.1 TAKER fee 0.1882 USDT",
    ]


async def test_a_limit_through_on_arrival_for_which_no_volume_was_left_still_takes() -> None:
    venue = Venue()
    await venue.buy("first", 10)
    await venue.buy("late", 1, limit=95)
    venue.flat(94)
    venue.flat(93)
    assert venue.told()[1:] == ["late BUY 1 @ 93.1 TAKER fee 0.1862 USDT"]


async def test_a_buy_stop_and_a_buy_target_act_from_their_own_sides() -> None:
    venue = Venue()
    await venue.buy("breakout", 1, stop=105)
    await venue.buy("dip", 1, target=90)
    venue.candle(100, 104.99, 90.01, 100)
    assert venue.told() == []
    venue.candle(100, 105, 90, 100)
    assert venue.told() == [
        "breakout BUY 1 @ 105.21 TAKER fee 0.21042 USDT",
        "dip BUY 1 @ 90 MAKER fee 0.09 USDT",
    ]


async def test_a_longer_candle_over_a_time_already_matched_fills_nothing_twice() -> None:
    venue = Venue(BTC)
    await venue.buy("e1", 15)
    venue.flat()
    before = await venue.status("e1")
    venue.clock.advance_ms(-60_000)
    venue.flat()
    assert await venue.status("e1") == before == "PARTIALLY_FILLED 10"
