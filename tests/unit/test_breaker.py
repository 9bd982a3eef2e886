"""A provider's breaker: how often it may fail, how long it is left alone, and who asks first again."""

from __future__ import annotations

import pytest

from engine.clock import ManualClock
from engine.domain.decision import Outcome
from engine.llm.breaker import FAILURES_MAX, REST_MS, REST_MS_MAX, Breaker

DOWN = Outcome.PROVIDER_DOWN


def broken(clock: ManualClock) -> Breaker:
    breaker = Breaker(clock)
    for _ in range(FAILURES_MAX):
        assert breaker.refusal() == ""
        breaker.tell(DOWN)
    return breaker


def test_failures_in_a_row_open_it_and_a_success_between_starts_the_count_anew() -> None:
    breaker = Breaker(ManualClock())
    for _ in range(10):
        for outcome in (*[DOWN] * (FAILURES_MAX - 1), Outcome.DECIDED):
            assert breaker.refusal() == ""
            breaker.tell(outcome)
    assert not breaker.is_open


def test_open_it_lets_nobody_through_until_the_rest_is_over_and_then_one() -> None:
    clock = ManualClock()
    breaker = broken(clock)
    assert "asked again in 30 s" in breaker.refusal()
    clock.advance_ms(REST_MS)
    assert breaker.refusal() == ""
    assert breaker.refusal() != ""
    breaker.tell(Outcome.DECIDED)
    assert (breaker.refusal(), breaker.is_open) == ("", False)


def test_each_first_question_that_fails_doubles_the_rest_up_to_ten_minutes() -> None:
    clock = ManualClock()
    breaker, rest_ms = broken(clock), REST_MS
    for _ in range(8):
        clock.advance_ms(rest_ms)
        assert breaker.refusal() == ""
        breaker.tell(DOWN)
        rest_ms = min(REST_MS_MAX, 2 * rest_ms)
        clock.advance_ms(rest_ms - 1)
        assert breaker.refusal() != ""
        clock.advance_ms(1 - rest_ms)
    assert rest_ms == REST_MS_MAX


def test_a_first_question_that_nobody_waited_for_leaves_the_place_to_the_next() -> None:
    clock = ManualClock()
    breaker = broken(clock)
    clock.advance_ms(REST_MS)
    assert breaker.refusal() == ""
    breaker.tell(None)
    assert breaker.refusal() == ""


@pytest.mark.parametrize("outcome", [Outcome.RATE_LIMITED, Outcome.REFUSED_BY_MODEL, Outcome.TRUNCATED])
def test_an_answer_of_any_kind_is_no_failure_of_the_provider(outcome: Outcome) -> None:
    breaker = Breaker(ManualClock())
    for _ in range(2 * FAILURES_MAX):
        breaker.tell(outcome)
    assert not breaker.is_open
