"""Live data through the real ccxt, against a double of the venue on the loopback."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from engine.clock import ManualClock, SystemClock
from engine.domain.market import FeedEvent, FeedStatus, Instant, Quote, Source, SourceKind
from engine.errors import UsageError, VenueUnreachableError
from engine.market.ccxt_candles import CandleLine
from engine.market.ccxt_exchange import load_instruments, make_exchange
from engine.market.ccxt_feed import CcxtFeed
from engine.market.feed import FeedSummary
from tests.flow.binance_public import MINUTE_MS, BinancePublic

T0 = 1_766_016_000_000
SOURCE = Source(kind=SourceKind.LIVE, name="binance")
BTC, ETH = "paper:BTC/USDT", "paper:ETH/USDT"


class Reader:
    """Reads a feed in the background and lets a test wait for what it needs to see."""

    def __init__(self, feed: CcxtFeed) -> None:
        self.feed = feed
        self.seen: list[FeedEvent] = []
        self._news = asyncio.Event()

    async def read(self) -> None:
        async for event in self.feed.events():
            self.seen.append(event)
            self._news.set()

    async def until(self, found: Callable[[list[FeedEvent]], object]) -> None:
        async with asyncio.timeout(20):
            while not found(self.seen):
                self._news.clear()
                await self._news.wait()

    @property
    def quotes(self) -> list[Quote]:
        return [event for event in self.seen if isinstance(event, Quote)]

    @property
    def instants(self) -> list[Instant]:
        return [event for event in self.seen if isinstance(event, Instant)]

    @property
    def statuses(self) -> list[FeedStatus]:
        return [event for event in self.seen if isinstance(event, FeedStatus)]


@asynccontextmanager
async def reading(venue: BinancePublic, *keys: str, **options: Any) -> AsyncIterator[Reader]:
    settings = {
        "warm_bars": 3,
        "staleness_ms": 60_000,
        "backoff_ms": (5, 40),
        "settle_ms": 20,
        "retry_ms": 20,
        **options,
    }
    feed = CcxtFeed("binance", keys or (BTC,), clock=SystemClock(), api_urls=venue.api_urls, **settings)
    reader = Reader(feed)
    task = asyncio.create_task(reader.read())
    try:
        yield reader
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def connected(seen: list[FeedEvent]) -> bool:
    statuses = [event for event in seen if isinstance(event, FeedStatus)]
    return bool(statuses) and statuses[-1].connected


def said(reader: Reader, words: str) -> Callable[[list[FeedEvent]], bool]:
    return lambda _seen: any(words in status.text and not status.connected for status in reader.statuses)


async def first_quote(venue: BinancePublic, reader: Reader) -> None:
    await venue.subscribed.wait()
    await venue.ticker()
    await reader.until(lambda _seen: reader.quotes)


async def test_quotes_carry_exact_figures_the_venues_time_and_their_source() -> None:
    async with BinancePublic(T0 + 30_000) as venue, reading(venue) as reader:
        await venue.subscribed.wait()
        await venue.ticker(b="100.100000000000000001", A="nonsense")
        await reader.until(lambda _seen: reader.quotes)
        quote = reader.quotes[0]
        assert (quote.instrument, quote.ts_ms) == (BTC, T0 + 30_000)
        assert (quote.bid, quote.ask) == (Decimal("100.100000000000000001"), Decimal("100.20"))
        assert (quote.bid_qty, quote.ask_qty) == (Decimal("1.5"), None)
        assert quote.source.kind is SourceKind.LIVE
        assert quote.received_ms >= T0  # our own clock, which is not the venue's
        await reader.until(connected)
        assert set(venue.asked) == {"/api/v3/exchangeInfo", "/api/v3/time", "/api/v3/klines", "btcusdt@ticker"}
        assert venue.asked.count("/api/v3/exchangeInfo") == 1


async def test_history_comes_first_as_warm_then_each_bar_when_it_has_closed() -> None:
    async with BinancePublic(T0 + 10 * MINUTE_MS - 300) as venue, reading(venue, BTC, ETH) as reader:
        await reader.until(lambda _seen: len(reader.instants) == 3)
        venue.now_ms = T0 + 10 * MINUTE_MS + 20
        await reader.until(lambda _seen: len(reader.instants) == 4)
        shapes = [((one.ts_ms - T0) // MINUTE_MS, one.warm, len(one.candles)) for one in reader.instants]
        assert shapes == [(7, True, 2), (8, True, 2), (9, True, 2), (10, False, 2)]
        last = reader.instants[-1].candles[0]
        assert (last.instrument, last.close_ms, last.interval_ms) == (BTC, T0 + 10 * MINUTE_MS, MINUTE_MS)
        assert str(last.open) == "100.10"
        assert str(last.volume) == "12.50000000"
        assert reader.feed.summary.bars == 8


@pytest.mark.fault("E25")
async def test_an_outage_is_said_and_its_bars_are_filled_in_once_and_warm() -> None:
    async with BinancePublic(T0 + 10 * MINUTE_MS - 200) as venue, reading(venue) as reader:
        await first_quote(venue, reader)
        await reader.until(lambda _seen: len(reader.instants) == 3 and connected(reader.seen))
        venue.failing = 503
        await reader.until(said(reader, "no candles: binance cannot be reached"))
        assert "[b]" not in reader.statuses[-1].text
        venue.now_ms = T0 + 14 * MINUTE_MS + 1_000
        venue.failing = 0
        await reader.until(lambda _seen: len(reader.instants) == 8 and connected(reader.seen))
        shapes = [((one.ts_ms - T0) // MINUTE_MS, one.warm) for one in reader.instants[3:]]
        assert shapes == [(10, True), (11, True), (12, True), (13, True), (14, False)]


@pytest.mark.fault("E18")
async def test_being_asked_to_slow_down_is_said() -> None:
    async with BinancePublic(T0) as venue:
        venue.failing = 429
        async with reading(venue) as reader:
            await reader.until(said(reader, "asks us to slow down"))
            venue.failing = 0
            await first_quote(venue, reader)
            await reader.until(connected)


async def test_a_dropped_stream_is_said_and_built_anew() -> None:
    async with BinancePublic(T0 + 30_000) as venue, reading(venue) as reader:
        await first_quote(venue, reader)
        await reader.until(connected)
        await venue.drop()
        await reader.until(said(reader, "no quotes: binance"))
        await venue.subscribed.wait()
        count = len(reader.quotes)
        await venue.ticker()
        await reader.until(lambda _seen: len(reader.quotes) > count and connected(reader.seen))
        assert venue.connections == 2


@pytest.mark.fault("E24")
async def test_a_silent_stream_is_noticed_by_our_own_clock_and_built_anew() -> None:
    async with BinancePublic(T0 + 30_000) as venue, reading(venue, staleness_ms=150) as reader:
        await first_quote(venue, reader)
        venue.silent = True
        venue.subscribed.clear()
        await reader.until(said(reader, "no quotes: binance has been silent for 0.15 s"))
        await venue.subscribed.wait()
        assert venue.connections >= 2
        count = len(reader.quotes)
        await venue.ticker()
        await reader.until(lambda _seen: len(reader.quotes) > count)


FRAMES = ['{"e":"24hrTicker"', '{"e":"24hrTicker","s":"BTCUSDT"}', "\x00\x01", '{"s":5,"a":1,"b":2}', "[]"]


@pytest.mark.fault("E48")
async def test_a_frame_that_cannot_be_read_is_no_price_and_does_not_end_the_feed() -> None:
    async with BinancePublic(T0 + 30_000) as venue, reading(venue, staleness_ms=300) as reader:
        await first_quote(venue, reader)
        for frame in FRAMES:
            count = len(reader.quotes)
            await venue.say(frame)
            async with asyncio.timeout(20):
                while len(reader.quotes) == count:  # over the old stream or a new one
                    await venue.subscribed.wait()
                    await venue.ticker(b="100.11")
                    await asyncio.sleep(0.02)
            assert {str(quote.bid) for quote in reader.quotes} == {"100.10", "100.11"}, frame


BAD_TICKERS = [
    ({"b": "0"}, "NO_PRICE"),  # ccxt itself takes 0 for "none"
    ({"a": "-1"}, "NOT_POSITIVE"),
    ({"b": "NaN"}, "NAN"),
    ({"b": None}, "NO_PRICE"),
    ({"a": "x"}, "BAD_NUMBER"),
    ({"C": ..., "E": ...}, "NO_TIMESTAMP"),
]


@pytest.mark.fault("E26", "E27")
async def test_a_quote_without_a_price_or_a_time_is_dropped_and_counted() -> None:
    counted = Counter[str]()
    async with BinancePublic(T0 + 30_000) as venue, reading(venue) as reader:
        await venue.subscribed.wait()
        for place, (fields, rule) in enumerate(BAD_TICKERS, 1):
            good, counted[rule] = f"100.{10 + place}", counted[rule] + 1
            await venue.ticker(**fields)
            await venue.ticker("BTC", b=good)
            await reader.until(lambda _seen, place=place: len(reader.quotes) >= place)
            assert [str(quote.bid) for quote in reader.quotes[place - 1 :]] == [good], fields
            assert reader.feed.summary.skipped == counted, fields


BAD_ROWS = [
    (["0", "200", "50", "100", "1"], "NOT_POSITIVE"),
    (["100", "50", "200", "100", "1"], "HIGH_BELOW_LOW"),
    ([None, "200", "50", "100", "1"], "BAD_NUMBER"),
    (["NaN", "200", "50", "100", "1"], "NAN"),
    (["100", "200", "50", "100", "-1"], "NEGATIVE_VOLUME"),
]


@pytest.mark.fault("E27")
async def test_a_candle_that_breaks_a_rule_is_left_out_and_counted() -> None:
    async with BinancePublic(T0 + 12 * MINUTE_MS + 1_000) as venue:
        for place, (row, _rule) in enumerate(BAD_ROWS, 1):  # every second bar
            bad_ms = T0 + 2 * place * MINUTE_MS
            venue.bad[bad_ms] = [bad_ms, *row, bad_ms + MINUTE_MS - 1, "1", 1, "1", "1", "0"]
        async with reading(venue, warm_bars=11) as reader:
            await reader.until(lambda _seen: len(reader.instants) == 6)
            assert [(one.ts_ms - T0) // MINUTE_MS for one in reader.instants] == [2, 4, 6, 8, 10, 12]
            assert reader.feed.summary.skipped == {rule: 1 for _row, rule in BAD_ROWS}


async def test_a_bar_that_comes_late_warms_up_only_and_time_does_not_go_back() -> None:
    given: list[Instant] = []
    async with BinancePublic(T0 + 9 * MINUTE_MS + 1) as venue:
        line = CandleLine(
            [ETH, BTC], MINUTE_MS, clock=ManualClock(), source=SOURCE, summary=FeedSummary(), emit=given.append,
            warm_bars=1, settle_ms=100, retry_ms=7,
        )  # fmt: skip
        exchange = make_exchange("binance", venue.api_urls)
        assert await line.poll(exchange) == MINUTE_MS - 1 + 100
        venue.missing.add(("ETHUSDT", T0 + 9 * MINUTE_MS))
        venue.now_ms += MINUTE_MS
        assert [await line.poll(exchange) for _try in range(5)] == [7, 7, 7, 7, MINUTE_MS - 1 + 100]
        venue.missing.clear()
        venue.now_ms += 10_000
        await line.poll(exchange)
        await exchange.close()
    shapes = [((one.ts_ms - T0) // MINUTE_MS, one.warm, [c.instrument for c in one.candles]) for one in given]
    assert shapes == [(9, True, [BTC, ETH]), (10, False, [BTC]), (10, True, [ETH])]


async def test_the_list_of_instruments_is_the_venues_own() -> None:
    async with BinancePublic(T0) as venue:
        found = await load_instruments("binance", venue.api_urls)
        assert [one.key for one in found] == ["binance:BTC/USDT", "binance:ETH/USDT"]
        btc = found[0]
        assert (btc.price_tick, btc.qty_step, btc.min_notional) == (Decimal("0.01"), Decimal("0.00001"), Decimal(5))
        assert (btc.base, btc.quote, btc.aliases, btc.calendar) == ("BTC", "USDT", ("BTCUSDT",), "24/7")
        assert btc.taker_fee == Decimal("0.001")
        venue.failing = 503
        with pytest.raises(VenueUnreachableError, match="binance cannot be reached"):
            await load_instruments("binance", venue.api_urls)


async def test_an_unknown_exchange_and_a_bar_length_it_lacks_are_refused() -> None:
    with pytest.raises(UsageError, match="knows no exchange"):
        await anext(aiter(CcxtFeed("binanse", [BTC], clock=SystemClock()).events()))
    with pytest.raises(UsageError, match="has no candles of 7 s"):
        await anext(aiter(CcxtFeed("binance", [BTC], clock=SystemClock(), interval_ms=7_000).events()))
