"""Sizing: worked figures, ceilings, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import accumulate
from operator import mul
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.agent import SizingMethod
from engine.domain.conduct import RoundTrips
from engine.domain.decision import Direction
from engine.domain.market import Candle
from engine.domain.risk import CheckCode
from engine.risk.guardrails import assess
from engine.risk.inputs import StaleInputError
from engine.risk.sizing import Sizing, entry_price, size
from tests.unit.situations import D, bars, quote, situation

CLOSES = list(accumulate([D("1.01"), D("0.99")] * 50, mul, initial=D(100)))
EDGE = RoundTrips(20, 12, D(1_200), D(400))


def hourly(key: str) -> Sequence[Candle]:
    """1 % up and 1 % down in turn, each hour."""
    return bars(CLOSES)


BUY, SELL, FLAT, HOLD = Direction.BUY, Direction.SELL, Direction.FLAT, Direction.HOLD
qtys = st.decimals("0", "1000", places=6)


def test_a_buy_risks_one_percent_of_capital_at_the_stop() -> None:
    # 1 % of 100,000 is 1,000; the stop of 2 % is 2 below 100; 1,000 / 2 = 500.
    assert size(situation(price="100", stop_frac="0.02")) == Sizing(D(500), "RISK_PER_TRADE")


def test_a_hinted_stop_below_the_price_sets_the_distance() -> None:
    assert size(situation(price="100", stop=D(96))).target_qty == D(250)


@pytest.mark.parametrize("stop", ["100", "101", "0", "-5", "NaN", "Infinity"])
def test_a_hinted_stop_that_cannot_be_one_is_not_sized_with(stop: str) -> None:
    assert size(situation(price="100", stop=D(stop), stop_frac="0.05")).target_qty == D(200)


def test_without_any_stop_two_percent_is_assumed() -> None:
    assert size(situation(price="100", stop_frac=None)).target_qty == D(500)


def test_a_stop_within_a_tick_counts_as_one_tick() -> None:
    assert size(situation(price="100", stop=D("99.999999"), price_tick="0.01")).target_qty == D(100_000)


def test_a_target_is_not_an_increment() -> None:
    assert size(situation(current="200")) == Sizing(D(500), "RISK_PER_TRADE")
    assert size(situation(current="500")) == Sizing(D(500), "ALREADY_HELD")
    assert size(situation(current="700")) == Sizing(D(700), "ALREADY_HELD")


@pytest.mark.fault("A12")
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"quantity": D(100)}, Sizing(D(150), "QUANTITY")),
        ({"quantity": D(9_999)}, Sizing(D(500), "RISK_PER_TRADE")),
        ({"target_qty": D(100)}, Sizing(D(100), "TARGET_QTY")),
        ({"target_qty": D(20)}, Sizing(D(50), "ALREADY_HELD")),
        ({"target_qty": D(-5)}, Sizing(D(50), "ALREADY_HELD")),
        ({"quantity": D(100), "target_qty": D(120)}, Sizing(D(120), "TARGET_QTY")),
    ],
)
def test_what_a_draft_asks_for_is_only_ever_a_ceiling(asked: dict[str, Decimal], expected: Sizing) -> None:
    assert size(situation(current="50", **asked)) == expected


def test_a_fixed_quantity_replaces_the_risk() -> None:
    assert size(situation(qty_fixed="1.5", stop_frac=None)) == Sizing(D("1.5"), "QTY_FIXED")
    assert size(situation(qty_fixed="1.5", current="0.5")).target_qty == D("1.5")


def test_the_agents_own_cap_bounds_the_size() -> None:
    assert size(situation(qty_max="7")) == Sizing(D(7), "SIZE_CAP")


def test_the_order_is_whole_steps_even_from_an_odd_position() -> None:
    sizing = size(situation(price="3", stop_frac="0.02", qty_step="0.1", current="0.12345"))
    assert sizing.target_qty == D("16666.62345")


@pytest.mark.fault("E16")
def test_a_size_below_one_step_is_left_for_the_guardrail_to_refuse() -> None:
    sizing = size(situation(price="100", qty_step="1000"))
    assert sizing.target_qty == D(500)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, Sizing(D(0), "SELL_ALL")),
        ({"quantity": D(3)}, Sizing(D(7), "QUANTITY")),
        ({"quantity": D(30)}, Sizing(D(0), "SELL_ALL")),
        ({"target_qty": D(4)}, Sizing(D(4), "TARGET_QTY")),
        ({"target_qty": D(-4)}, Sizing(D(0), "SELL_ALL")),
        ({"target_qty": D(40)}, Sizing(D(10), "ALREADY_HELD")),
        ({"quantity": D("NaN")}, Sizing(D(10), "CHECK_FAILED")),
    ],
)
def test_a_sale_never_goes_below_zero(asked: dict[str, Decimal], expected: Sizing) -> None:
    assert size(situation(direction=SELL, current="10", **asked)) == expected


def test_a_sale_of_nothing_moves_nothing() -> None:
    assert size(situation(direction=SELL)).target_qty == D(0)
    assert size(situation(direction=SELL, current="-0.5")).target_qty == D("-0.5")


def test_flat_is_zero_and_hold_is_where_it_stands() -> None:
    assert size(situation(direction=FLAT, current="10")) == Sizing(D(0), "FLAT")
    assert size(situation(direction=HOLD, current="10")) == Sizing(D(10), "HOLD")


@pytest.mark.parametrize(
    "missing",
    [
        {"price": None},
        {"price": "NaN"},
        {"price": "0"},
        {"capital": None},
        {"capital": "0"},
        {"capital": "NaN"},
        {"stop_frac": "0"},
        {"risk": "NaN"},
        {"risk": "-0.01"},
        {"qty_fixed": "NaN"},
        {"quantity": D(-1)},
        {"quote": "EUR"},
    ],
    ids=str,
)
def test_what_is_missing_leaves_the_position_as_it_is(missing: dict[str, str | None]) -> None:
    assert size(situation(current="3", **missing)) == Sizing(D(3), "CHECK_FAILED")


@given(current=qtys, quantity=st.none() | qtys, target=st.none() | st.decimals("-10", "1000", places=6))
def test_a_size_never_exceeds_risk_or_what_was_asked(
    current: Decimal, quantity: Decimal | None, target: Decimal | None
) -> None:
    sized = size(situation(current=str(current), quantity=quantity, target_qty=target)).target_qty
    assert sized >= current
    assert sized <= max(current, D(500))
    assert quantity is None or sized <= current + quantity
    assert target is None or sized <= max(current, target)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        # 1 % of 100,000 a day; 1 % up, 1 % down an hour is 4.899 % a day: 1,000 / (100 x 0.04899) = 204.124.
        ({"sizing": SizingMethod.VOLATILITY, "history": hourly}, Sizing(D("204.124"), "VOLATILITY_TARGET")),
        ({"sizing": SizingMethod.NOTIONAL, "notional_fixed": D(5_000)}, Sizing(D(50), "NOTIONAL_FIXED")),
        # 12 of 20 won 100 each, 8 lost 50 each: 0.6 - 0.4 / 2 = 40 % of capital, of which at most 10 % or 50 %.
        ({"sizing": SizingMethod.KELLY, "trips": EDGE}, Sizing(D(100), "KELLY")),
        ({"sizing": SizingMethod.KELLY, "trips": EDGE, "kelly_share_frac": D("0.5")}, Sizing(D(400), "KELLY")),
        ({"sizing": SizingMethod.KELLY, "trips": EDGE, "quantity": D(7)}, Sizing(D(7), "QUANTITY")),
        ({"sizing": SizingMethod.KELLY, "trips": RoundTrips(20, 8, D(80), D(120))}, Sizing(D(0), "ALREADY_HELD")),
        ({"sizing": SizingMethod.KELLY, "trips": RoundTrips(19, 19, D(80), D(0))}, Sizing(D(0), "CHECK_FAILED")),
        ({"sizing": SizingMethod.VOLATILITY}, Sizing(D(0), "CHECK_FAILED")),
        ({"sizing": SizingMethod.VOLATILITY, "history": lambda key: bars([100] * 60)}, Sizing(D(0), "CHECK_FAILED")),
    ],
)
def test_each_method_makes_its_own_size(parts: dict[str, Any], expected: Sizing) -> None:
    assert size(situation(price="100", **parts)) == expected


def said(**parts: Any) -> tuple[str, str]:
    """Return what the check of the sizing method observed, and its limit."""
    s = situation(price="100", **parts)
    check = next(each for each in assess(s, size(s).target_qty).checks if each.code is CheckCode.SIZING)
    return check.observed, check.limit


def test_the_checks_say_which_method_was_used_and_how_it_reckoned() -> None:
    assert said() == ("risk: 500", "1% of 100000 at the stop")
    assert said(qty_fixed="2") == ("fixed quantity 2", "qty_fixed")
    assert said(sizing=SizingMethod.VOLATILITY, history=hourly) == ("volatility: 204.12", "1% a day at 4.9%")
    assert said(sizing=SizingMethod.NOTIONAL, notional_fixed=D(5_000)) == ("notional: 50", "5000 a position")
    assert said(sizing=SizingMethod.KELLY, trips=EDGE) == ("kelly: 100", "Kelly 40%, at most 10%")


def test_the_risk_per_trade_holds_every_method() -> None:
    s = situation(price="100", sizing=SizingMethod.NOTIONAL, notional_fixed=D(90_000))
    ruled = assess(s, size(s).target_qty)
    assert (ruled.target, ruled.bound_by) == (D(500), "RISK_PER_TRADE")


@pytest.mark.parametrize(
    ("parts", "entry"),
    [
        ({}, "100.03"),  # the paper venue: half a spread of 2 bps, 1 bp of slippage
        ({"bid_ask": quote(99, "100.5")}, "100.51"),
        ({"limit_price": D(98)}, "98"),
        ({"limit_price": D(110)}, "100.02"),
        ({"limit_price": D(110), "bid_ask": quote(99, "100.5")}, "100.5"),
    ],
)
def test_the_real_entry_is_the_offer_or_a_limit_below_it(parts: dict[str, Any], entry: str) -> None:
    assert entry_price(situation(price="100", **parts)).quantize(D("0.01")) == D(entry)


def test_a_quote_that_is_too_old_is_no_offer() -> None:
    with pytest.raises(StaleInputError, match="quote 91s old"):
        entry_price(situation(bid_ask=quote(99, 101, 91_000)))
