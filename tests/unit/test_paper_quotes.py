"""The paper venue fed with quotes and books."""

from dataclasses import replace

import pytest

from tests.unit.paper_kit import SETTINGS, Venue


async def test_a_market_order_takes_a_fresh_quote_at_once_with_slippage() -> None:
    venue = Venue()
    venue.quote(99, 101)
    await venue.buy("e1", 1)
    assert venue.told() == ["e1 BUY 1 @ 101.11 TAKER fee 0.20222 USDT"]  # 101.101 goes up to the tick
    await venue.sell("x1", 1, reduce=True)
    assert venue.told()[0] == "x1 SELL 1 @ 98.9 TAKER fee 0.1978 USDT"  # 98.901 goes down


async def test_the_answer_to_a_create_comes_before_its_fill() -> None:
    venue = Venue()
    venue.quote(99, 101)
    await venue.buy("e1", 1)
    assert await venue.status("e1") == "FILLED 1"
    assert (await venue.gateway.fills_since(0))[0].ts_ms == venue.clock.now_ms()


async def test_a_quotes_size_is_used_once_and_the_rest_waits_for_the_next_quote() -> None:
    venue = Venue()
    venue.quote(99, 101, 5, 2)
    await venue.buy("e1", 3)
    await venue.buy("e2", 1)
    venue.quote(99, 102, 5, "1.5")
    venue.quote(99, 103, 5, 9)
    assert [text.split(" TAKER")[0] for text in venue.told()] == [
        "e1 BUY 2 @ 101.11",
        "e1 BUY 1 @ 102.11",
        "e2 BUY 0.5 @ 102.11",
        "e2 BUY 0.5 @ 103.11",
    ]


async def test_a_book_is_walked_level_by_level_and_the_rest_waits() -> None:
    venue = Venue()
    venue.book([(99, 5)], [(101, 1), (102, 2), ("102.5", "0.5")])
    await venue.buy("e1", 4)
    assert [text.split(" TAKER")[0] for text in venue.told()] == [
        "e1 BUY 1 @ 101",
        "e1 BUY 2 @ 102",
        "e1 BUY 0.5 @ 102.5",
    ]
    venue.quote(99, 105)  # beside a fresh book a quote is passed over
    assert venue.told() == []
    venue.book([(99, 5)], [(104, 9)])
    assert venue.told() == ["e1 BUY 0.5 @ 104 TAKER fee 0.104 USDT"]


async def test_an_old_quote_fills_nothing_and_the_next_candle_does() -> None:
    venue = Venue()
    venue.quote(99, 101)
    venue.flat()
    await venue.buy("e1", 1)
    assert venue.told() == []
    venue.flat()
    assert venue.told() == ["e1 BUY 1 @ 100.2 TAKER fee 0.2004 USDT"]


async def test_while_quotes_come_in_a_candle_fills_no_market_order() -> None:
    venue = Venue()
    await venue.buy("e1", 1)
    venue.quote(99, 101, 1, 0)
    venue.flat(90)
    assert venue.told() == []
    venue.quote(99, 101)
    assert venue.told() == ["e1 BUY 1 @ 101.11 TAKER fee 0.20222 USDT"]


async def test_latency_keeps_an_order_from_quotes_seen_before_it_arrives() -> None:
    venue = Venue(settings=replace(SETTINGS, latency_ms=1_500))
    venue.quote(99, 101)
    await venue.buy("e1", 1)
    venue.quote(99, 102)
    assert venue.told() == []
    venue.quote(99, 103)
    assert venue.told()[0].startswith("e1 BUY 1 @ 103.11")


async def test_a_limit_takes_what_reaches_it_on_arrival_and_makes_at_its_price_later() -> None:
    venue = Venue()
    venue.quote(99, 101, 5, 1)
    await venue.buy("e1", 3, limit=101)
    venue.quote(99, "101.01")
    venue.quote(99, "100.5", 5, 1)
    venue.book([(90, 1)], [(100, "0.5"), (101, "0.2"), ("101.01", 7)])
    assert venue.told() == [
        "e1 BUY 1 @ 101 TAKER fee 0.202 USDT",
        "e1 BUY 1 @ 101 MAKER fee 0.101 USDT",
        "e1 BUY 0.5 @ 101 MAKER fee 0.0505 USDT",
        "e1 BUY 0.2 @ 101 MAKER fee 0.0202 USDT",
    ]


async def held(stop: int = 95, target: int = 110) -> Venue:
    venue = Venue()
    venue.quote(99, 100)
    await venue.buy("e1", 1, bracket=(stop, target))
    venue.told()
    return venue


@pytest.mark.parametrize(
    ("bids", "stopped"),
    [
        ((95, 95), True),
        ((95, "95.01", 95), False),
        ((95, "95.01", 95, 94), True),
        ((95,), False),
    ],
)
async def test_a_stop_watched_from_quotes_needs_two_samples_in_a_row(bids: tuple[object, ...], stopped: bool) -> None:
    venue = await held()
    for bid in bids:
        venue.quote(bid, 100)
    assert ("e1-stop SELL" in " ".join(venue.told())) is stopped


async def test_a_stop_fills_at_the_quote_that_triggered_it() -> None:
    venue = await held()
    venue.quote(94, 100)
    venue.quote(93, 100)
    assert venue.told() == ["e1-stop SELL 1 @ 92.9 TAKER fee 0.1858 USDT", "e1-target CANCELED: position closed"]


async def test_a_target_fills_on_the_first_quote_that_reaches_it() -> None:
    venue = await held()
    venue.quote("109.99", 111)
    assert venue.told() == []
    venue.quote(110, 111)
    assert venue.told()[0] == "e1-target SELL 1 @ 110 MAKER fee 0.11 USDT"


async def test_a_closed_candle_fills_a_stop_on_touch_beside_quotes() -> None:
    venue = await held()
    venue.flat()
    venue.quote(99, 100)
    venue.candle(99, 100, 95, 99)
    assert venue.told()[0].startswith("e1-stop SELL 1 @ 94.81")


async def test_a_quote_that_is_crossed_or_not_positive_is_passed_over() -> None:
    venue = Venue()
    venue.quote(101, 100)
    venue.quote(0, 100)
    await venue.buy("e1", 1)
    assert venue.told() == []


async def test_of_a_small_quote_the_market_order_is_served_before_an_older_limit() -> None:
    venue = Venue()
    await venue.buy("limit", 1, limit=101)
    await venue.buy("market", 1)
    venue.quote(99, 101, 1, 1)
    assert [text.split(" @")[0] for text in venue.told()] == ["market BUY 1"]


async def test_a_quote_seen_before_a_stop_came_is_no_sample() -> None:
    venue = await held(stop=90)
    venue.quote(94, 100)
    await venue.sell("trail", 1, stop=95, reduce=True)
    venue.told()
    venue.quote(94, 100)
    assert venue.told() == []
    venue.quote(94, 100)
    assert venue.told()[0].startswith("trail SELL 1")


async def test_a_candle_that_is_known_only_after_a_later_quote_is_booked_after_it() -> None:
    venue = Venue()
    start_ms = venue.clock.now_ms()
    await venue.buy("dip", 1, limit=95)
    venue.clock.set_ms(start_ms + 60_500)
    venue.quote(99, 101)
    await venue.buy("e1", 1)
    venue.clock.set_ms(start_ms)
    venue.candle(100, 100, 94, 100)
    learned = await venue.gateway.fills_since(start_ms + 61_000)
    assert {fill.client_order_id for fill in learned} == {"dip", "e1"}
