"""The meter: no call without a durable hold, no hold above a cap, and every hold posted once."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from engine.domain.budget import Cap, Purpose, Window
from engine.domain.events import AiSwitched, BudgetCapped, BudgetHeld, BudgetPosted, HoldTagged, Incident
from engine.domain.prices import PriceList
from engine.errors import StoreError
from engine.llm.meter import BudgetCode, Usage
from engine.store.verify import verify
from tests.unit.desk_kit import START_MS
from tests.unit.meter_kit import DAY_MS, PRICES, MeterBench, capped

WORST = Decimal("0.0045")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[MeterBench]:
    bench = MeterBench(tmp_path / "store")
    yield bench
    bench.journal.close()


def test_a_hold_reserves_the_worst_case_and_a_post_puts_the_cost_in_its_place(bench: MeterBench) -> None:
    hold = bench.held()
    spend = bench.journal.books.spend
    assert hold.usd == WORST
    assert spend.reserved(Window.DAY) == (WORST, 1100)
    assert bench.meter.post(hold, Usage(input_tokens=900, output_tokens=50, cached_tokens=400)) == Decimal("0.00237")
    spend = bench.journal.books.spend
    assert spend.reserved(Window.MONTH, "agent:a") == (0, 0)
    assert spend.spent(Window.DAY, "provider:acme").usd == Decimal("0.00237")
    assert (spend.total.tokens, spend.total.calls) == (950, 1)


@pytest.mark.fault("A17")
@pytest.mark.parametrize(
    "usage",
    [
        None,
        Usage(input_tokens=0, output_tokens=5),
        Usage(input_tokens=10, output_tokens=0),
        Usage(input_tokens=-5, output_tokens=5),
        Usage(input_tokens=5, output_tokens=-1),
        Usage(input_tokens=5, output_tokens=5, cached_tokens=6),
    ],
)
def test_a_call_without_a_usage_that_can_be_is_charged_in_full_B3(bench: MeterBench, usage: Usage | None) -> None:
    assert bench.meter.post(bench.held(), usage) == WORST
    assert bench.journal.books.spend.total.tokens == 1100


def test_a_hold_posted_twice_is_charged_once(bench: MeterBench) -> None:
    hold = bench.held()
    bench.meter.post(hold, None)
    assert bench.meter.post(hold, None) == 0
    assert bench.journal.books.spend.total.calls == 1


@pytest.mark.fault("A19")
def test_as_many_holds_are_given_as_fit_and_no_more_B2(bench: MeterBench) -> None:
    bench.in_force = capped("0.02")
    given = [bench.hold(agent=f"agent-{number}") for number in range(10)]
    refused = given[4:]
    assert all(getattr(each, "code", None) is BudgetCode.OVER_CAP for each in refused)
    assert bench.refused().sentence == (
        "0.0045 USD more in all would pass the cap of 0.02 USD a day: 0.018 USD is spent or reserved."
    )


def test_the_journal_itself_takes_no_hold_above_a_cap_B2(bench: MeterBench) -> None:
    bench.held()
    stolen = bench.journal.books.spend
    bench.in_force = capped("0.005")
    caps = BudgetCapped(caps=bench.in_force)
    hold = stolen.holds["h1"]
    row = BudgetHeld(
        hold_id="h2", cycle_id="x", agent="a", provider="acme", model="small", input_tokens=1000,
        output_tokens_max=100, rates=hold.rates, usd=WORST,
    )  # fmt: skip
    with pytest.raises(StoreError, match="would pass the cap"):
        bench.journal.record(START_MS, caps, row)
    with pytest.raises(StoreError, match="not the worst case"):
        bench.journal.record(START_MS, replace(row, usd=Decimal("0.0001")))
    assert bench.journal.books.spend == stolen


@pytest.mark.parametrize(
    ("cap", "where"),
    [
        (Cap("provider", Window.DAY, Decimal("0.005"), 10**9), "provider acme"),
        (Cap("provider:acme", Window.MONTH, Decimal("0.005"), 10**9), "provider acme"),
        (Cap("agent:a", Window.DAY, Decimal(1), 1500), "agent a"),
        (Cap("agent", Window.MONTH, Decimal(1), 1500), "agent a"),
    ],
)
def test_a_cap_of_a_provider_or_an_agent_holds_up_its_own_calls_only(bench: MeterBench, cap: Cap, where: str) -> None:
    bench.in_force = capped("1", 10**9, cap)
    bench.held()
    assert f"for {where} would pass" in bench.refused().sentence
    bench.held(agent="b", model="other:one")


def test_without_a_cap_in_all_nothing_is_allowed(bench: MeterBench) -> None:
    bench.in_force = ()
    assert bench.refused().code is BudgetCode.OVER_CAP


@pytest.mark.fault("P22")
def test_a_clock_set_back_opens_no_window_again_S6(bench: MeterBench) -> None:
    bench.in_force = capped("0.005")
    bench.clock.set_ms(START_MS + DAY_MS)
    bench.meter.post(bench.held(), None)
    bench.clock.set_ms(START_MS)
    assert bench.refused().code is BudgetCode.OVER_CAP
    bench.clock.set_ms(START_MS + 2 * DAY_MS)
    bench.held()


def test_a_hold_belongs_to_the_window_it_was_made_in(bench: MeterBench) -> None:
    bench.in_force = capped("0.005")
    hold = bench.held()
    bench.clock.set_ms(START_MS + DAY_MS)
    bench.held()
    bench.meter.post(hold, None)
    spend = bench.journal.books.spend
    assert spend.spent(Window.DAY).usd == 0
    assert spend.spent(Window.MONTH).usd == WORST


@pytest.mark.fault("P11")
def test_what_a_crash_left_open_is_charged_in_full_at_the_next_start_B3(tmp_path: Path) -> None:
    first = MeterBench(tmp_path / "store")
    first.held()
    first.held(agent="b")
    first.journal.close()
    after = MeterBench(tmp_path / "store")
    assert after.meter.post_left_open(START_MS) == 2
    assert after.meter.post_left_open(START_MS) == 0
    assert after.journal.books.spend.spent(Window.DAY).usd == 2 * WORST
    after.journal.close()
    assert verify(after.paths).first_breach is None


@pytest.mark.fault("A18")
def test_a_call_that_costs_more_than_was_held_is_recorded_and_halts_the_models_B6(tmp_path: Path) -> None:
    told: list[object] = []
    bench = MeterBench(tmp_path / "store")
    bench.journal.publish = lambda rows: told.extend(row.event for row in rows)
    hold = bench.held()
    bench.meter.post(hold, Usage(input_tokens=5000, output_tokens=100))
    assert bench.journal.books.spend.total.usd == Decimal("0.0165")
    assert [type(event) for event in told[-3:]] == [BudgetPosted, AiSwitched, Incident]
    refusal = bench.refused()
    assert refusal.code is BudgetCode.AI_OFF
    assert "acme:small used 5,100 tokens for 0.0165 USD where 1,100" in refusal.sentence
    bench.journal.close()
    again = MeterBench(tmp_path / "store")
    assert again.refused().code is BudgetCode.AI_OFF
    again.meter.switch(True, "the bill was read", "trader")
    again.held()
    again.journal.close()


def test_a_provider_that_is_off_until_a_time_is_on_again_by_itself(bench: MeterBench) -> None:
    bench.meter.switch(False, "its spend cap is reached", "acme", provider="acme", until_ms=START_MS + 1000)
    assert bench.refused().sentence == "models are off: its spend cap is reached"
    bench.held(model="other:one")
    bench.clock.set_ms(START_MS + 1000)
    bench.held()


@pytest.mark.fault("A20")
def test_a_model_without_a_price_is_not_asked_and_the_line_to_add_is_said_B5(bench: MeterBench) -> None:
    refusal = bench.refused(model="acme:unheard-of")
    assert refusal.code is BudgetCode.NO_PRICE
    assert 'add [models."acme:unheard-of"] with input, output and cached in USD per million tokens' in refusal.sentence
    assert "ACME_ESTIMATED_COST_USD_PER_1K_TOKENS" in refusal.sentence


@pytest.mark.fault("A20")
def test_prices_of_another_year_are_not_spent_by_B5(bench: MeterBench) -> None:
    bench.meter.prices = PriceList(lines=PRICES.lines, estimates={}, dated_ms=START_MS - 400 * DAY_MS)
    assert "400 days old, too old to spend by" in bench.refused().sentence


def test_an_estimate_from_the_environment_prices_what_the_list_does_not_know(bench: MeterBench) -> None:
    bench.meter.prices = PriceList(lines={}, estimates={"acme": Decimal(2)})
    assert bench.held().usd == Decimal("0.0022")


@pytest.mark.parametrize(("tokens", "out"), [(0, 1), (1, 0), (-1, 5), (10**10, 1)])
def test_counts_that_cannot_be_are_refused(bench: MeterBench, tokens: int, out: int) -> None:
    assert bench.refused(tokens, out).code is BudgetCode.BAD_COUNT


def test_a_store_that_takes_nothing_gives_no_hold_and_keeps_the_reservation(bench: MeterBench) -> None:
    hold = bench.held()
    bench.journal.broken = "the disk is full"
    assert bench.refused().code is BudgetCode.NOT_WRITTEN
    assert bench.meter.post(hold, Usage(input_tokens=900, output_tokens=50)) == WORST
    assert bench.journal.books.spend.reserved(Window.DAY)[0] == WORST
    bench.journal.broken = None
    bench.held()
    assert bench.journal.books.spend.spent(Window.DAY).usd == Decimal("0.00345")


def test_ai_spend_is_in_the_ledger_and_outside_the_trading_account_R38(bench: MeterBench) -> None:
    before = dict(bench.journal.books.balances)
    bench.meter.post(bench.held(), None)
    assert bench.journal.books.balances == before
    bench.journal.flush()
    bench.journal.close()
    assert verify(bench.paths).first_breach is None


def test_a_hold_is_on_disk_when_it_is_given_in_a_replay_too_B1(tmp_path: Path) -> None:
    bench = MeterBench(tmp_path / "store", batch=True)
    bench.held()
    with sqlite3.connect(bench.paths.store_db) as db:
        assert db.execute("SELECT COUNT(*) FROM journal WHERE kind = 97").fetchone() == (1,)
    bench.journal.close()


def test_a_call_longer_than_its_model_takes_is_refused(bench: MeterBench) -> None:
    refusal = bench.refused(200_000, 1)
    assert refusal.code is BudgetCode.TOO_LONG
    assert "more than the 200,000 that acme:small takes" in refusal.sentence


def test_a_switch_off_for_longer_is_not_shortened_by_another(bench: MeterBench) -> None:
    bench.meter.switch(False, "by hand", "trader", provider="acme")
    bench.meter.switch(False, "its cap", "acme", provider="acme", until_ms=START_MS + 1)
    bench.clock.advance_ms(DAY_MS)
    assert bench.refused().sentence == "models are off: by hand"


@pytest.mark.fault("P22")
def test_a_clock_that_ran_a_year_ahead_is_taken_for_seen_when_a_person_switches_models_on(bench: MeterBench) -> None:
    bench.in_force = capped("0.005")
    bench.clock.set_ms(START_MS + 300 * DAY_MS)
    bench.meter.post(bench.held(), None)
    bench.clock.set_ms(START_MS + DAY_MS)
    assert bench.refused().code is BudgetCode.OVER_CAP
    bench.meter.switch(False, "the clock was wrong", "trader")
    bench.meter.switch(True, "the clock is right again", "trader")
    assert bench.refused().code is BudgetCode.OVER_CAP
    bench.clock.set_ms(START_MS + 2 * DAY_MS)
    bench.held()


def test_what_is_asked_beside_trading_is_counted_apart_also_after_a_crash(tmp_path: Path) -> None:
    bench = MeterBench(tmp_path / "store")
    bench.meter.post(bench.held(), Usage(input_tokens=500, output_tokens=50))
    bench.held(purpose=Purpose.RERUN, agent="trader")
    bench.journal.close()
    again = MeterBench(tmp_path / "store")
    assert again.meter.post_left_open(START_MS) == 1
    spend = again.journal.books.spend
    assert spend.spent(Window.DAY, "purpose:rerun").usd == Decimal("0.0045")
    assert (spend.spent(Window.DAY).calls, spend.spent(Window.DAY).cycles) == (2, 1)
    with pytest.raises(StoreError, match="is not open"):
        again.journal.record(START_MS, HoldTagged(hold_id="h2", purpose=Purpose.SHADOW))
    again.journal.close()
    assert verify(again.paths).ok
