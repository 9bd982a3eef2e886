"""An entry that waits at the paper venue until the market reaches it, then buys at market (STOP, not protective)."""

from __future__ import annotations

import pytest

from engine.execution.gateway import OrderRejectedError
from tests.unit.paper_kit import Venue


async def test_entry_stop_waits_until_it_is_touched_then_pays_spread_and_slippage() -> None:
    venue = Venue()
    await venue.buy("e1", 1, stop=105)
    venue.candle(100, 104.99, 99, 104)
    assert (venue.told(), await venue.working()) == ([], {"e1": "1"})
    venue.candle(104, 106, 103, 105.5)
    assert venue.told() == ["e1 BUY 1 @ 105.21 TAKER fee 0.21042 USDT"]


async def test_entry_stop_that_the_market_gaps_over_pays_the_open() -> None:
    venue = Venue()
    await venue.buy("e1", 1, stop=105)
    venue.candle(110, 111, 109, 110)
    assert venue.told() == ["e1 BUY 1 @ 110.22 TAKER fee 0.22044 USDT"]


async def test_entry_stop_reserves_its_price_with_slippage_and_fee_from_the_start() -> None:
    venue = Venue()
    await venue.buy("e1", 90, stop=105)  # 90 x 105.21 and 0.2 % are 9,487.84 of 10,000
    with pytest.raises(OrderRejectedError, match="512"):
        await venue.buy("e2", 6, limit=99)
    await venue.buy("e3", 5, limit=99)


async def test_entry_stop_beyond_the_cash_after_a_gap_buys_what_there_is_money_for_and_ends() -> None:
    venue = Venue()
    await venue.buy("e1", 90, stop=105)
    venue.candle(120, 121, 119, 120, volume=10_000)
    filled, ended = venue.told()
    assert filled.startswith("e1 BUY 83 @ 120.24 TAKER")
    assert ended == "e1 CANCELED: not enough USDT"
    assert float((await venue.money())["USDT"]) >= 0


async def test_entry_stop_brings_its_protection_once_it_fills() -> None:
    venue = Venue()
    await venue.buy("e1", 1, stop=105, bracket=(102, 110))
    assert await venue.status("e1-stop") == "SUBMITTING 0"
    venue.candle(104, 106, 103, 105.5)
    assert await venue.working() == {"e1-stop": "1", "e1-target": "1"}
    venue.candle(105, 105, 101, 102)
    assert await venue.working() == {}
    assert (await venue.money())["USDT"].startswith("9996.")


async def test_entry_stop_watched_from_quotes_takes_two_in_a_row() -> None:
    venue = Venue()
    await venue.buy("e1", 1, stop=105)
    venue.quote(105, 105.1)
    assert venue.told() == []
    venue.quote(105, 105.1)
    assert venue.told() == ["e1 BUY 1 @ 105.21 TAKER fee 0.21042 USDT"]
