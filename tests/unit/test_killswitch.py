"""The kill switch: every rule trips, what is not known trips, and quotes need two samples."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.policy import KillLimits
from engine.errors import UsageError
from engine.risk.killswitch import EQUITY_UNKNOWN, KillSwitch, Trip, TwoSample

D = Decimal
LIMITS = KillLimits(gain_frac=D("0.15"), loss_frac=D("0.05"), drawdown_frac=D("0.10"), daily_loss_frac=D("0.03"))
START = D(100_000)
ODD = [None, D("NaN"), D("sNaN"), D("Infinity"), D("-Infinity"), D(0), D(-1)]
money = st.decimals("0.01", "1000000", places=2)


def judge(equity: str, start: str = "100000", peak: str = "100000", day_start: str = "100000") -> Trip | None:
    return KillSwitch(LIMITS).evaluate(D(equity), D(start), D(peak), D(day_start))


def test_ordinary_equity_trips_nothing() -> None:
    assert judge("101234.56") is None


@pytest.mark.parametrize(
    ("rule", "inputs", "observed"),
    [
        ("gain", ("115000",), "0.15"),
        ("loss", ("95000", "100000", "100000", "95000"), "0.05"),
        ("drawdown", ("108000", "100000", "120000", "108000"), "0.10"),
        ("daily_loss", ("97000",), "0.03"),
    ],
)
def test_each_rule_trips_exactly_at_its_limit(rule: str, inputs: tuple[str, ...], observed: str) -> None:
    trip = judge(*inputs)
    assert trip is not None
    assert (trip.rule, trip.observed_frac) == (rule, D(observed))
    assert trip.evidence.startswith(f"equity={inputs[0]};start=100000;")


@pytest.mark.parametrize(
    "inputs",
    [
        ("114999.99",),
        ("95000.01", "100000", "100000", "95000"),
        ("108000.01", "100000", "120000", "108000"),
        ("97000.01",),
    ],
)
def test_a_cent_before_its_limit_no_rule_trips(inputs: tuple[str, ...]) -> None:
    assert judge(*inputs) is None


def test_the_first_rule_in_order_is_named_with_its_words() -> None:
    trip = judge("80000")
    assert trip is not None
    assert trip.sentence == "loss 20% reached the limit of 5%"


@pytest.mark.parametrize("equity", ODD, ids=str)
def test_equity_that_is_not_known_trips(equity: Decimal | None) -> None:
    switch = KillSwitch(LIMITS)
    assert switch.evaluate(START, START, START, START) is None
    trip = switch.evaluate(equity, START, START, START)
    assert trip is not None
    assert trip.rule == EQUITY_UNKNOWN
    assert "not known" in trip.sentence


@pytest.mark.parametrize("place", ["start", "peak", "day_start"])
@pytest.mark.parametrize("base", ODD, ids=str)
def test_a_baseline_that_is_not_known_trips(base: Decimal, place: str) -> None:
    switch = KillSwitch(LIMITS)
    bases = {"start": START, "peak": START, "day_start": START}
    assert switch.evaluate(START, **bases) is None
    trip = switch.evaluate(START, **{**bases, place: base})
    assert trip is not None
    assert trip.rule == EQUITY_UNKNOWN
    assert switch.evaluate(START, **bases) is None


def test_before_the_first_baselines_everything_trips() -> None:
    zero = D(0)
    trip = KillSwitch(LIMITS).evaluate(START, zero, zero, zero)
    assert trip is not None
    assert trip.rule == EQUITY_UNKNOWN


def test_a_limit_of_0_allows_nothing() -> None:
    switch = KillSwitch(KillLimits(loss_frac=D(0)))
    trip = switch.evaluate(START, START, START, START)
    assert trip is not None
    assert trip.rule == "loss"


@pytest.mark.parametrize("frac", ["1", "5", "-0.1", "NaN", "Infinity"])
def test_a_limit_that_can_never_trip_is_refused(frac: str) -> None:
    with pytest.raises(UsageError, match="kill_switch loss"):
        KillSwitch(KillLimits(loss_frac=D(frac)))


def test_a_new_peak_moves_the_drawdown_limit() -> None:
    switch = KillSwitch(LIMITS)
    assert switch.evaluate(D(99_000), START, START, D(99_000)) is None
    trip = switch.evaluate(D(99_000), START, D(110_000), D(99_000))
    assert trip is not None
    assert trip.rule == "drawdown"


@given(money, money, money, money)
def test_the_held_thresholds_agree_with_the_rules_written_out(
    equity: Decimal, start: Decimal, peak: Decimal, day_start: Decimal
) -> None:
    expected = next(
        (
            rule
            for rule, trips in (
                ("gain", equity >= start * D("1.15")),
                ("loss", equity <= start * D("0.95")),
                ("drawdown", equity <= peak * D("0.9")),
                ("daily_loss", equity <= day_start * D("0.97")),
            )
            if trips
        ),
        None,
    )
    switch = KillSwitch(LIMITS)
    for _ in range(2):
        trip = switch.evaluate(equity, start, peak, day_start)
        assert (trip.rule if trip else None) == expected
    tripped = [gauge.rule for gauge in switch.gauges(equity, start, peak, day_start) if gauge.tripped]
    assert tripped[:1] == ([expected] if expected else [])


def test_gauges_show_how_much_of_each_limit_is_used() -> None:
    gauges = KillSwitch(LIMITS).gauges(D(98_500), START, D(100_000), START)
    assert [(g.rule, g.observed_frac, g.limit_frac, g.used_frac, g.tripped) for g in gauges] == [
        ("gain", D(0), D("0.15"), D(0), False),
        ("loss", D("0.015"), D("0.05"), D("0.3"), False),
        ("drawdown", D("0.015"), D("0.10"), D("0.15"), False),
        ("daily_loss", D("0.015"), D("0.03"), D("0.5"), False),
    ]


def test_gauges_are_empty_while_equity_is_not_known() -> None:
    assert KillSwitch(LIMITS).gauges(None, START, START, START) == ()
    assert KillSwitch(LIMITS).gauges(START, D(0), START, START) == ()


LOSS = Trip("loss", D("0.06"), D("0.05"), "")


@pytest.mark.fault("E28")
def test_one_wild_quote_does_not_trip() -> None:
    two = TwoSample()
    assert not two.confirm(LOSS, confirmed=False)
    assert not two.confirm(None, confirmed=False)
    assert not two.confirm(LOSS, confirmed=False)


def test_two_quotes_in_a_row_trip() -> None:
    two = TwoSample()
    assert not two.confirm(LOSS, confirmed=False)
    assert two.confirm(LOSS, confirmed=False)


def test_a_closed_candle_trips_at_once() -> None:
    assert TwoSample().confirm(LOSS, confirmed=True)


@pytest.mark.fault("E28")
def test_a_quote_of_another_instrument_repeats_nothing() -> None:
    two = TwoSample()
    assert not two.confirm(LOSS, confirmed=False, instrument="a")
    assert not two.confirm(LOSS, confirmed=False, instrument="b")
    assert two.confirm(LOSS, confirmed=False, instrument="a")


def test_unknown_equity_trips_at_once() -> None:
    assert TwoSample().confirm(Trip(EQUITY_UNKNOWN, D(0), D(0), ""), confirmed=False)
