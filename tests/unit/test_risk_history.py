"""What risk is measured on: worked figures, and what is missing, stale or too short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.market import Candle
from engine.risk.guardrails import assess
from engine.risk.history import correlation, daily_volatility, daily_volume, loss_at_risk, yearly_volatility
from engine.risk.inputs import MissingInputError, ShortHistoryError, StaleInputError
from engine.risk.situation import Situation
from engine.risk.sizing import size
from tests.unit.situations import KEY, D, bars, situation, swinging

ETH = "paper:ETH/USDT"
FLAT_BUT_TWO = [D("-0.05"), D("-0.03"), *[D(0)] * 38]


def grown(returns: Sequence[Decimal]) -> list[Decimal]:
    """Return closes that have these returns, from 100 on."""
    return list(accumulate(returns, lambda price, change: price * (1 + change), initial=D(100)))


def seen(closes: Sequence[object], other: Sequence[object] = (), **parts: Any) -> Situation:
    """A situation whose instrument has these hourly closes, and another one those."""
    span = parts.pop("minutes", 60)
    kept = {KEY: bars(closes, minutes=span), ETH: bars(other, ETH, minutes=span)}
    return situation(history=lambda key: kept.get(key, ()), **parts)


def near(value: Decimal, expected: str) -> bool:
    return abs(value - D(expected)) < D("0.0001")


def test_volatility_is_the_deviation_of_returns_by_the_square_root_of_time() -> None:
    # 1 % up, 1 % down in turn is a deviation of 0.01 an hour: 0.01 x sqrt(24) a day, x sqrt(365) a year.
    s = seen(grown([D("0.01"), D("-0.01")] * 50))
    assert near(daily_volatility(s), "0.04899")
    assert near(yearly_volatility(s), "0.93594")


def test_a_year_has_252_days_of_6_5_hours_where_an_exchange_closes() -> None:
    s = seen(grown([D("0.01"), D("-0.01")] * 50), calendar="XNYS")
    assert near(daily_volatility(s), "0.02550")
    assert near(yearly_volatility(s), "0.40472")


def test_daily_bars_are_a_day() -> None:
    assert near(daily_volatility(seen(grown([D("0.01"), D("-0.01")] * 50), minutes=1440)), "0.01")


def test_value_at_risk_is_the_loss_that_all_but_a_twentieth_stayed_below() -> None:
    # Of 40 hours the second worst lost 3 %: 1,000 x 0.03 x sqrt(24) = 146.97 a day; no position loses nothing.
    loss = loss_at_risk(seen(grown(FLAT_BUT_TWO)), D("0.95"))
    assert near(loss(D(1000)), "146.9694")
    assert loss(D(0)) == 0


def test_value_at_risk_is_of_all_positions_together() -> None:
    mine, other = grown(FLAT_BUT_TWO), grown([-change for change in FLAT_BUT_TWO])
    held = {ETH: D(1000)}
    assert loss_at_risk(seen(mine, other, held=held), D("0.95"))(D(1000)) == 0  # what one loses the other makes
    assert near(loss_at_risk(seen(mine, mine, held=held), D("0.95"))(D(1000)), "293.9388")


def test_correlation_is_one_for_the_same_and_minus_one_for_the_opposite() -> None:
    changes = [D("0.01"), D("-0.02"), D("0.005"), D("0.01")] * 10
    assert near(correlation(seen(grown(changes), grown(changes)), ETH), "1")
    assert near(correlation(seen(grown(changes), grown([-each for each in changes])), ETH), "-1")


def test_correlation_uses_only_the_closes_that_both_have() -> None:
    changes = [D("0.01"), D("-0.02"), D("0.005"), D("0.01")] * 20
    s = seen(grown(changes))
    both = {KEY: s.history(KEY), ETH: bars(grown(changes)[40:], ETH)}
    assert near(correlation(replace(s, history=both.__getitem__), ETH), "1")


def test_volume_is_what_was_traded_a_day() -> None:
    assert daily_volume(seen([D(100)] * 40)) == 10 * 100 * 24


@pytest.mark.parametrize("volume", ["NaN", "Infinity", "-1"])
def test_a_volume_that_is_none_is_missing(volume: str) -> None:
    with pytest.raises(MissingInputError, match="no volume in a bar"):
        daily_volume(situation(history=lambda key: bars([100] * 40, volume=volume)))


def old(minutes: int) -> Sequence[Candle]:
    return tuple(replace(bar, ts_ms=bar.ts_ms - minutes * 60_000) for bar in bars(swinging(60, "0.01")))


@pytest.mark.parametrize("measure", [daily_volatility, yearly_volatility, daily_volume])
@pytest.mark.parametrize(
    ("history", "kind", "why"),
    [
        ((), ShortHistoryError, "0 bars"),
        (bars(swinging(29, "0.01")), ShortHistoryError, "29|28"),
        (old(181), StaleInputError, "last bar 10860s old"),
        (bars([*swinging(59, "0.01"), "NaN"]), MissingInputError, "no price in a bar"),
        (bars([*swinging(59, "0.01"), "0"]), MissingInputError, "no price in a bar"),
    ],
    ids=["none", "too few", "stale", "NaN", "zero"],
)
def test_what_is_missing_stale_or_too_short_raises(measure: Any, history: Any, kind: type, why: str) -> None:
    with pytest.raises(kind, match=why) as raised:
        measure(situation(history=lambda key: history))
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("limits", "history", "code"),
    [
        ({"volatility_frac": D(1)}, (), "HISTORY_TOO_SHORT"),
        ({"volatility_frac": D(1)}, old(181), "INPUT_STALE"),
        ({"value_at_risk_frac": D("0.05")}, bars([100] * 40), "HISTORY_TOO_SHORT"),
        ({"value_at_risk_frac": D("0.05")}, bars([*[100] * 60, "Infinity"]), "INPUT_MISSING"),
        ({"average_volume": D(1)}, bars([100] * 20), "HISTORY_TOO_SHORT"),
    ],
)
def test_a_check_without_its_history_refuses_by_a_code_of_its_own(limits: Any, history: Any, code: str) -> None:
    s = situation(history=lambda key: history, **limits)
    refused = assess(s, size(s).target_qty).refused
    assert refused is not None
    assert refused.code.value == code


def test_an_instrument_that_never_moved_says_nothing_of_how_it_moves_with_others() -> None:
    with pytest.raises(MissingInputError, match="did not move"):
        correlation(seen([D(100)] * 60, swinging(60, "0.01")), ETH)


def test_more_confidence_needs_more_history_and_finds_no_smaller_loss() -> None:
    with pytest.raises(ShortHistoryError, match="199 common returns, 200 needed"):
        loss_at_risk(seen(swinging(200, "0.01")), D("0.99"))
    s = seen(grown([D(n % 7 - 3) / 100 for n in range(230)]))
    assert loss_at_risk(s, D("0.99"))(D(100)) >= loss_at_risk(s, D("0.9"))(D(100))


@settings(max_examples=25)
@given(st.lists(st.decimals("-0.2", "0.2", places=4), min_size=45, max_size=60), st.decimals("0.001", "0.5", places=3))
def test_what_value_at_risk_leaves_is_within_its_limit(changes: list[Decimal], most: Decimal) -> None:
    s = seen(grown(changes), value_at_risk_frac=most)
    ruled = assess(s, size(s).target_qty)
    assert loss_at_risk(s, D("0.95"))(ruled.target * 100) <= most * 100_000
    if ruled.bound_by == "VALUE_AT_RISK" and ruled.target < 500:
        worst = [loss_at_risk(s, D("0.95"))((ruled.target + step) * 100) for step in (D("0.001"),)]
        assert all(loss > most * 100_000 for loss in worst)
