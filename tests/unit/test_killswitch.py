"""The kill switch: every rule climbs its tiers where it must, what is not known trips, and quotes need two samples."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.killing import (
    EQUITY_RULES,
    OTHER_RULES,
    KillAction,
    KillLimits,
    KillRule,
    KillTier,
    KillUnit,
    climbed,
    steps_of,
)
from engine.errors import UsageError
from engine.risk.killswitch import EQUITY_UNKNOWN, KillSwitch, Trip, TwoSample

D = Decimal
LIMITS = KillLimits(gain_frac=D("0.15"), loss_frac=D("0.05"), drawdown_frac=D("0.10"), daily_loss_frac=D("0.03"))
START = D(100_000)
ODD = [None, D("NaN"), D("sNaN"), D("Infinity"), D("-Infinity"), D(0), D(-1)]
CLEAR, WARN, REDUCE, HALT, FLATTEN = KillTier
money = st.decimals("0.01", "1000000", places=2)


def moves(equity: str, start: str = "100000", peak: str = "100000", day_start: str = "100000") -> dict[str, Trip]:
    return {trip.rule: trip for trip in KillSwitch(LIMITS).evaluate(D(equity), D(start), D(peak), D(day_start))}


def tiers(switch: KillSwitch, equity: str, *bases: str) -> dict[str, KillTier]:
    """Evaluate, let every move stand, and return where the rules are then."""
    values = [D(each) for each in bases] or [START] * 3
    for trip in switch.evaluate(D(equity), *values):
        switch.take(trip.rule, trip.tier)
    return switch.tiers


def test_ordinary_equity_moves_nothing() -> None:
    assert moves("101234.56") == {}


@pytest.mark.parametrize(
    ("rule", "inputs", "observed"),
    [
        ("gain", ("115000",), "0.15"),
        ("loss", ("95000", "100000", "100000", "95000"), "0.05"),
        ("drawdown", ("108000", "100000", "120000", "108000"), "0.10"),
        ("daily_loss", ("97000",), "0.03"),
        ("daily_profit", ("102000", "100000", "102000", "68000"), "0.5"),
    ],
)
def test_each_rule_flattens_exactly_at_its_limit(rule: str, inputs: tuple[str, ...], observed: str) -> None:
    trip = moves(*inputs)[rule]
    assert (trip.tier, trip.observed) == (FLATTEN, D(observed))
    assert trip.evidence.startswith(f"equity={inputs[0]};start=100000;")


@pytest.mark.parametrize(
    ("rule", "inputs"),
    [
        ("gain", ("114999.99",)),
        ("loss", ("95000.01", "100000", "100000", "95000")),
        ("drawdown", ("108000.01", "100000", "120000", "108000")),
        ("daily_loss", ("97000.01",)),
        ("daily_profit", ("101999.99", "100000", "102000", "68000")),
    ],
)
def test_a_cent_before_its_limit_no_rule_halts(rule: str, inputs: tuple[str, ...]) -> None:
    assert moves(*inputs)[rule].tier is (WARN if rule in ("gain", "daily_profit") else REDUCE)


def test_each_tier_is_said_in_words() -> None:
    said = [moves(equity, day_start=equity)["loss"].sentence for equity in ("80000", "96000", "97000")]
    assert said == [
        "loss 20% reached the limit of 5%",
        "loss 4% reached the mark for entries off of 4%",
        "loss 3% reached the mark for warning of 3%",
    ]


def test_a_tier_is_left_only_once_the_figure_is_below_it_by_the_hysteresis() -> None:
    switch = KillSwitch(LIMITS)
    path = ("97000", "96000", "96399.99", "96400", "97299.99", "97300")
    seen = [dict(tiers(switch, equity, "100000", "100000", equity)).get("loss", CLEAR) for equity in path]
    assert seen == [WARN, REDUCE, REDUCE, WARN, WARN, CLEAR]


def test_a_latched_tier_is_left_by_nobody_but_a_person() -> None:
    switch = KillSwitch(LIMITS)
    tiers(switch, "95000")
    tiers(switch, "100000")
    assert switch.tiers == {"loss": FLATTEN, "daily_loss": FLATTEN}
    switch.begin_anew()
    assert switch.evaluate(START, START, START, START) == ()


def test_thresholds_and_a_hysteresis_of_ones_own_take_the_place_of_the_shares() -> None:
    own = {"loss_warn": D("0.01"), "loss_reduce": D("0.02"), "loss_halt": D("0.04"), "loss_hysteresis": D("0.5")}
    steps = steps_of(KillLimits(thresholds=own), KillRule.LOSS)
    assert [(step.tier, step.at, step.leave) for step in steps] == [
        (WARN, D("0.01"), D("0.005")), (REDUCE, D("0.02"), D("0.01")), (HALT, D("0.04"), D("0.02")),
        (FLATTEN, D("0.05"), D("0.025")),
    ]  # fmt: skip


def test_a_policy_that_only_halts_has_no_tier_that_flattens() -> None:
    limits = KillLimits(action=KillAction.HALT)
    assert {steps_of(limits, rule)[-1].tier for rule in EQUITY_RULES} == {HALT}


@pytest.mark.parametrize("rule", OTHER_RULES)
def test_what_is_not_about_equity_never_flattens(rule: KillRule) -> None:
    switch = KillSwitch(KillLimits())
    limit = switch.limits.limit(rule)
    trip = switch.assess(rule, limit)
    assert trip is not None
    assert trip.tier is (REDUCE if rule is KillRule.LOOP_LAG else HALT)
    below = switch.assess(rule, limit - (1 if rule.unit is not KillUnit.FRAC else D("0.0001")))
    assert below is not None
    assert below.tier is (WARN if rule is KillRule.LOOP_LAG else REDUCE)
    assert switch.assess(rule, D(0)) is None


def test_thresholds_out_of_order_are_refused() -> None:
    with pytest.raises(UsageError, match=r"loss: reduce begins at 6%, above flatten at 5%"):
        KillSwitch(KillLimits(thresholds={"loss_reduce": D("0.06")}))


@pytest.mark.parametrize("equity", ODD, ids=str)
def test_equity_that_is_not_known_trips(equity: Decimal | None) -> None:
    switch = KillSwitch(LIMITS)
    assert switch.evaluate(START, START, START, START) == ()
    (trip,) = switch.evaluate(equity, START, START, START)
    assert (trip.rule, trip.tier) == (EQUITY_UNKNOWN, HALT)
    assert "not known" in trip.sentence


@pytest.mark.parametrize("place", ["start", "peak", "day_start"])
@pytest.mark.parametrize("base", ODD, ids=str)
def test_a_baseline_that_is_not_known_trips(base: Decimal, place: str) -> None:
    switch = KillSwitch(LIMITS)
    bases = {"start": START, "peak": START, "day_start": START}
    assert switch.evaluate(START, **bases) == ()
    (trip,) = switch.evaluate(START, **{**bases, place: base})
    assert trip.rule == EQUITY_UNKNOWN
    assert switch.evaluate(START, **bases) == ()


def test_before_the_first_baselines_everything_trips() -> None:
    zero = D(0)
    (trip,) = KillSwitch(LIMITS).evaluate(START, zero, zero, zero)
    assert trip.rule == EQUITY_UNKNOWN


def test_a_limit_of_0_allows_nothing() -> None:
    (trip,) = KillSwitch(KillLimits(loss_frac=D(0))).evaluate(START, START, START, START)
    assert (trip.rule, trip.tier) == ("loss", FLATTEN)


@pytest.mark.parametrize("frac", ["1", "5", "-0.1", "NaN", "Infinity"])
def test_a_limit_that_can_never_trip_is_refused(frac: str) -> None:
    with pytest.raises(UsageError, match="kill_switch loss"):
        KillSwitch(KillLimits(loss_frac=D(frac)))


def test_a_new_peak_moves_the_drawdown_limit() -> None:
    switch = KillSwitch(LIMITS)
    assert switch.evaluate(D(99_000), START, START, D(99_000)) == ()
    (trip,) = switch.evaluate(D(99_000), START, D(110_000), D(99_000))
    assert (trip.rule, trip.tier) == ("drawdown", FLATTEN)


@given(st.lists(money, min_size=1, max_size=8), money, money, money)
def test_the_held_range_agrees_with_the_rules_written_out(
    path: list[Decimal], start: Decimal, peak: Decimal, day_start: Decimal
) -> None:
    switch, expected = KillSwitch(LIMITS), dict.fromkeys(EQUITY_RULES, CLEAR)
    for equity in path:
        lost = {
            "gain": (equity - start, start),
            "loss": (start - equity, start),
            "drawdown": (peak - equity, peak),
            "daily_loss": (day_start - equity, day_start),
            "daily_profit": (equity - day_start, day_start),
        }
        for rule in EQUITY_RULES:
            figure, base = lost[rule]
            expected[rule] = climbed(steps_of(LIMITS, rule), figure, expected[rule], base)
        found = tiers(switch, str(equity), str(start), str(peak), str(day_start))
        assert found == {rule: tier for rule, tier in expected.items() if tier is not CLEAR}


@given(st.lists(st.decimals(0, 1, places=4), min_size=2, max_size=12))
def test_no_figure_flaps(path: list[Decimal]) -> None:
    steps, now = steps_of(LIMITS, KillRule.LOSS), CLEAR
    for before, figure in pairwise(path):
        came, now = now, climbed(steps, figure, now)
        if now.rank < came.rank:
            assert figure < before or not came.is_latched
            assert all(figure <= step.leave for step in steps if now.rank < step.tier.rank <= came.rank)


def test_gauges_show_how_much_of_each_limit_is_used_and_where_the_tiers_begin() -> None:
    seen = {KillRule.VENUE_FAILURES: D(3)}
    gauges = KillSwitch(LIMITS).gauges(D(98_500), START, D(100_000), START, seen)
    assert [(g.rule, g.observed, g.limit, g.used_frac) for g in gauges] == [
        ("gain", D(0), D("0.15"), D(0)),
        ("loss", D("0.015"), D("0.05"), D("0.3")),
        ("drawdown", D("0.015"), D("0.10"), D("0.15")),
        ("daily_loss", D("0.015"), D("0.03"), D("0.5")),
        ("daily_profit", D(0), D("0.5"), D(0)),
        ("venue_failures", D(3), D(5), D("0.6")),
    ]
    loss = gauges[1]
    assert (loss.warn_at, loss.reduce_at, loss.halt_at, loss.flatten_at) == (D("0.03"), D("0.04"), None, D("0.05"))


def test_gauges_about_equity_are_missing_while_it_is_not_known() -> None:
    assert KillSwitch(LIMITS).gauges(None, START, START, START) == ()
    assert KillSwitch(LIMITS).gauges(START, D(0), START, START) == ()


def trip(tier: KillTier = FLATTEN, was: KillTier = CLEAR) -> tuple[Trip, ...]:
    return (Trip("loss", was, tier, D("0.06"), D("0.05")),)


@pytest.fixture
def two() -> TwoSample:
    return TwoSample(KillSwitch(LIMITS))


@pytest.mark.fault("E28")
def test_one_wild_quote_does_not_trip(two: TwoSample) -> None:
    assert not two.confirm(trip(), confirmed=False)
    assert not two.confirm((), confirmed=False)
    assert not two.confirm(trip(), confirmed=False)


def test_two_quotes_in_a_row_trip(two: TwoSample) -> None:
    assert not two.confirm(trip(), confirmed=False)
    assert two.confirm(trip(), confirmed=False) == trip()


@pytest.mark.fault("E28")
def test_a_second_quote_that_says_more_confirms_only_what_the_first_said(two: TwoSample) -> None:
    assert not two.confirm(trip(WARN), confirmed=False)
    (confirmed,) = two.confirm(trip(FLATTEN), confirmed=False)
    assert (confirmed.tier, confirmed.limit) == (WARN, D("0.03"))
    assert two.confirm(trip(FLATTEN, WARN), confirmed=False) == trip(FLATTEN, WARN)


@pytest.mark.fault("E28")
def test_one_wild_quote_does_not_end_a_tier(two: TwoSample) -> None:
    assert not two.confirm(trip(CLEAR, REDUCE), confirmed=False)
    assert not two.confirm(trip(FLATTEN, REDUCE), confirmed=False)
    assert not two.confirm(trip(CLEAR, REDUCE), confirmed=False)
    assert two.confirm(trip(CLEAR, REDUCE), confirmed=False)


def test_a_closed_candle_trips_at_once(two: TwoSample) -> None:
    assert two.confirm(trip(), confirmed=True)


@pytest.mark.fault("E28")
def test_a_quote_of_another_instrument_repeats_nothing(two: TwoSample) -> None:
    assert not two.confirm(trip(), confirmed=False, instrument="a")
    assert not two.confirm(trip(), confirmed=False, instrument="b")
    assert two.confirm(trip(), confirmed=False, instrument="a")


def test_unknown_equity_trips_at_once(two: TwoSample) -> None:
    assert two.confirm((Trip(EQUITY_UNKNOWN, CLEAR, HALT, D(0), D(0)),), confirmed=False)
