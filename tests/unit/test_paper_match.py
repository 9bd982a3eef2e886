"""Fill prices, worked by hand: half the spread 0.1 %, slippage 0.1 %, tick 0.01."""

from dataclasses import replace
from decimal import Decimal

import pytest

from engine.domain.market import Candle
from engine.domain.order import Liquidity, Side
from engine.execution.paper_match import Pool, at_limit, at_market, at_stop
from tests.unit.paper_kit import BTC, SETTINGS, SOURCE

TICK = Decimal("0.01")


def bar(open_: str, high: str, low: str) -> Candle:
    return Candle(BTC.key, 0, 60_000, Decimal(open_), Decimal(high), Decimal(low), Decimal(low), Decimal(100), SOURCE)


@pytest.mark.parametrize(
    ("side", "open_", "price"),
    [
        (Side.BUY, "100", "100.20"),
        (Side.SELL, "100", "99.80"),
        (Side.BUY, "33.33", "33.40"),  # 33.39666 goes up
        (Side.SELL, "33.33", "33.26"),  # 33.26334 goes down
        (Side.SELL, "0.01", "0.01"),  # never below one tick
    ],
)
def test_a_market_order_pays_half_spread_and_slippage_rounded_against_us(side: Side, open_: str, price: str) -> None:
    assert at_market(side, Decimal(open_), SETTINGS, TICK) == Decimal(price)


@pytest.mark.parametrize(
    ("side", "stop", "candle", "price"),
    [
        pytest.param(Side.SELL, "95", bar("100", "101", "95"), "94.81", id="touched exactly"),
        pytest.param(Side.SELL, "95", bar("100", "101", "95.01"), None, id="a tick short"),
        pytest.param(Side.SELL, "95", bar("90", "101", "89"), "89.82", id="gap through: the open"),
        pytest.param(Side.BUY, "105", bar("100", "105", "99"), "105.21", id="buy touched exactly"),
        pytest.param(Side.BUY, "105", bar("100", "104.99", "99"), None, id="buy a tick short"),
        pytest.param(Side.BUY, "105", bar("110", "111", "109"), "110.22", id="buy gap through: the open"),
    ],
)
def test_a_stop_fills_at_itself_or_the_worse_open(side: Side, stop: str, candle: Candle, price: str | None) -> None:
    expected = None if price is None else Decimal(price)
    assert at_stop(side, Decimal(stop), candle, SETTINGS, TICK) == expected


@pytest.mark.parametrize(
    ("side", "limit", "rested", "candle", "expected"),
    [
        pytest.param(Side.BUY, "95", True, bar("100", "101", "95"), ("95", "MAKER"), id="touched exactly"),
        pytest.param(Side.BUY, "95", True, bar("100", "101", "95.01"), None, id="a tick short"),
        pytest.param(Side.BUY, "95", True, bar("90", "101", "89"), ("90", "MAKER"), id="gap: the better open"),
        pytest.param(Side.BUY, "95", False, bar("90", "96", "89"), ("90.09", "TAKER"), id="through on arrival"),
        pytest.param(Side.BUY, "95", False, bar("94.99", "96", "89"), ("95", "TAKER"), id="never beyond the limit"),
        pytest.param(Side.BUY, "95", False, bar("96", "97", "94"), ("95", "MAKER"), id="arrives, then is touched"),
        pytest.param(Side.SELL, "105", True, bar("100", "105", "99"), ("105", "MAKER"), id="sell touched exactly"),
        pytest.param(Side.SELL, "105", True, bar("110", "111", "99"), ("110", "MAKER"), id="sell gap"),
        pytest.param(
            Side.SELL, "105", False, bar("110", "111", "99"), ("109.89", "TAKER"), id="sell through on arrival"
        ),
    ],
)
def test_a_limit_fills_at_itself_or_the_better_open(
    side: Side, limit: str, rested: bool, candle: Candle, expected: tuple[str, str] | None
) -> None:
    hit = at_limit(side, Decimal(limit), candle, SETTINGS, TICK, rested=rested)
    assert hit == (None if expected is None else (Decimal(expected[0]), Liquidity(expected[1])))


@pytest.mark.parametrize(
    ("volume", "share", "offer"),
    [("100", "0.1", "10"), ("1.23456", "0.1", "0.123"), ("0.001", "0.1", "0"), ("5", "1", "50"), ("5", "2", "50")],
)
def test_a_candle_offers_its_share_in_whole_steps_and_a_full_share_has_no_limit(
    volume: str, share: str, offer: str
) -> None:
    candle = replace(bar("100", "100", "100"), volume=Decimal(volume))
    assert Pool(candle, Decimal(share), BTC).offer(Decimal(50)) == Decimal(offer)
