"""Slots: UTC instants, each at most once, over both changes of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, ManualClock
from engine.domain.agent import Schedule
from engine.errors import UsageError
from engine.triggers.schedule import SlotClock, WallSchedule, check_schedule, latest_slot, next_slot
from engine.triggers.weekdays import weekday_names

NEW_YORK = "America/New_York"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def every(interval_ms: int) -> Schedule:
    return Schedule(every_candle=False, interval_ms=interval_ms)


def cron(line: str, zone: str = "UTC") -> Schedule:
    return Schedule(every_candle=False, cron=line, zone=zone)


def slots(schedule: Schedule, after: str, count: int) -> list[str]:
    found, at = [], ms(after)
    for _ in range(count):
        slot = next_slot(schedule, at)
        assert slot is not None
        assert slot > at
        found.append(f"{datetime.fromtimestamp(slot / 1000, UTC):%m-%d %H:%M}")
        at = slot
    return found


def test_an_interval_is_aligned_to_the_epoch() -> None:
    assert slots(every(5 * MINUTE_MS), "2026-01-05 10:02:17", 2) == ["01-05 10:05", "01-05 10:10"]


def test_a_slot_is_never_its_own_successor() -> None:
    assert next_slot(every(10_000), 20_000) == 30_000


def test_a_schedule_of_candles_has_no_slots_of_its_own() -> None:
    assert next_slot(Schedule(), 0) is None
    assert SlotClock({"a": Schedule()}, 0).due(DAY_MS) == []


@given(st.integers(10, 100_000), st.integers(0, 2**41))
def test_interval_slots_are_what_arithmetic_says(seconds: int, after_ms: int) -> None:
    interval_ms = seconds * 1000
    assert next_slot(every(interval_ms), after_ms) == (after_ms // interval_ms + 1) * interval_ms


@pytest.mark.parametrize(
    ("field", "names"),
    [
        ("*", "*"),
        ("0", "sun"),
        ("7", "sun"),
        ("1-5", "mon,tue,wed,thu,fri"),
        ("5-7", "sun,fri,sat"),
        ("MON,wed", "mon,wed"),
        ("*/2", "sun,tue,thu,sat"),
        ("sat-0", "sun,sat"),
        ("0-6", "sun,mon,tue,wed,thu,fri,sat"),
    ],
)
def test_weekdays_count_from_sunday_as_cron_does(field: str, names: str) -> None:
    assert weekday_names(field) == names


def test_weekday_0_is_a_sunday_and_1_a_monday() -> None:
    assert slots(cron("0 12 * * 0"), "2026-01-05 00:00", 1) == ["01-11 12:00"]
    assert slots(cron("0 12 * * 1"), "2026-01-05 00:00", 1) == ["01-05 12:00"]


@pytest.mark.fault("C02")
def test_a_wall_time_that_the_zone_skips_runs_once_when_the_gap_ends() -> None:
    assert slots(cron("30 2 * * *", NEW_YORK), "2026-03-07 12:00", 3) == ["03-08 07:00", "03-09 06:30", "03-10 06:30"]


@pytest.mark.fault("C02")
def test_slots_in_the_gap_coalesce_with_the_one_at_its_end() -> None:
    found = slots(cron("*/30 * * * *", NEW_YORK), "2026-03-08 06:00", 3)
    assert found == ["03-08 06:30", "03-08 07:00", "03-08 07:30"]


@pytest.mark.fault("C03")
def test_a_wall_time_that_comes_twice_runs_the_first_time_only() -> None:
    assert slots(cron("30 1 * * *", NEW_YORK), "2026-11-01 00:00", 2) == ["11-01 05:30", "11-02 06:30"]
    found = slots(cron("*/20 1 * * *", NEW_YORK), "2026-11-01 00:00", 4)
    assert found == ["11-01 05:00", "11-01 05:20", "11-01 05:40", "11-02 06:00"]


@pytest.mark.fault("C03")
def test_a_line_for_every_hour_runs_in_both_of_the_two_hours() -> None:
    found = slots(cron("30 * * * *", NEW_YORK), "2026-11-01 05:00", 3)
    assert found == ["11-01 05:30", "11-01 06:30", "11-01 07:30"]


def test_the_sessions_of_a_week_in_another_zone() -> None:
    found = slots(cron("*/15 9-16 * * 1-5", NEW_YORK), "2026-01-02 21:40", 2)
    assert found == ["01-02 21:45", "01-05 14:00"]


@pytest.mark.fault("C11")
@pytest.mark.parametrize("interval_ms", [0, -5, 1, 1_000, 9_999, 10_500])
def test_an_interval_that_is_too_short_or_odd_is_refused_at_load(interval_ms: int) -> None:
    with pytest.raises(UsageError, match="agent a runs every"):
        SlotClock({"a": every(interval_ms)}, 0)


@pytest.mark.fault("C11")
@pytest.mark.parametrize(
    "line", ["* * * * * *", "* * * *", "61 * * * *", "0 0 1 * 1", "0 0 * * 8", "0 0 * * x", "nonsense", "*/0 * * * *"]
)
def test_a_cron_line_that_cannot_be_read_is_refused_at_load(line: str) -> None:
    with pytest.raises(UsageError, match="agent a has the cron line"):
        check_schedule(cron(line), "agent a")


def test_a_day_that_never_comes_and_an_unknown_zone_are_refused() -> None:
    with pytest.raises(UsageError, match="never comes"):
        check_schedule(cron("0 0 30 2 *"), "agent a")
    with pytest.raises(UsageError, match="Atlantis"):
        check_schedule(cron("0 0 * * *", "Atlantis/Capital"), "agent a")


def test_agents_are_due_in_name_order_and_once_a_slot() -> None:
    clock = SlotClock({"b": every(60_000), "a": every(60_000), "c": every(120_000)}, 0)
    assert clock.due(59_999) == []
    assert clock.due(60_000) == ["a", "b"]
    assert clock.due(60_000) == []
    assert clock.due(120_000) == ["a", "b", "c"]


@pytest.mark.fault("C01", "P21")
@pytest.mark.parametrize("schedule", [every(5 * MINUTE_MS), cron("*/5 * * * *"), cron("*/5 * * * *", NEW_YORK)])
def test_slots_missed_while_suspended_coalesce_into_the_latest(schedule: Schedule) -> None:
    start = ms("2026-01-05 10:00")
    clock = SlotClock({"a": schedule}, start)
    now = start + 8 * HOUR_MS + 90_000
    assert clock.due(now) == ["a"]
    assert clock.slot_ms("a") == start + 8 * HOUR_MS
    assert clock.due(now) == []
    assert clock.next_ms("a") == start + 8 * HOUR_MS + 5 * MINUTE_MS


@pytest.mark.fault("C05")
def test_a_slot_claimed_before_a_restart_is_not_given_again() -> None:
    slot = ms("2026-01-05 10:00")
    clock = SlotClock({"a": every(HOUR_MS)}, slot + MINUTE_MS, claimed={"a": slot})
    assert clock.due(slot + 30 * MINUTE_MS) == []
    assert clock.due(slot + HOUR_MS) == ["a"]


@pytest.mark.fault("C01", "C05")
def test_a_slot_missed_by_a_restart_is_given_once() -> None:
    slot = ms("2026-01-05 10:00")
    clock = SlotClock({"a": every(HOUR_MS)}, slot + 5 * HOUR_MS, claimed={"a": slot})
    assert clock.due(slot + 5 * HOUR_MS) == ["a"]
    assert clock.due(slot + 5 * HOUR_MS + 1) == []


@pytest.mark.fault("P22")
def test_a_clock_that_steps_back_repeats_no_slot() -> None:
    clock = SlotClock({"a": every(60_000)}, 0)
    assert clock.due(600_000) == ["a"]
    assert [name for now in range(0, 660_000, 30_000) for name in clock.due(now)] == []
    assert clock.due(660_000) == ["a"]


def test_without_a_start_the_first_question_starts_the_slots() -> None:
    clock = SlotClock({"a": every(60_000)})
    start = ms("2026-01-05 10:00:30")
    assert clock.due(start) == []
    assert clock.due(start + 30_000) == ["a"]


@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=60))
def test_no_slot_is_ever_given_twice(steps: list[int]) -> None:
    clock = SlotClock({"a": every(60_000), "b": cron("*/2 * * * *")}, 0)
    now, given_slots = 0, {"a": [0], "b": [0]}
    for step in steps:
        now += step
        for name in clock.due(now):
            slot = clock.slot_ms(name)
            assert slot is not None
            assert given_slots[name][-1] < slot <= now
            given_slots[name].append(slot)
    assert given_slots["a"][-1] == now // 60_000 * 60_000


def test_the_latest_slot_looks_back_as_far_as_it_must() -> None:
    assert latest_slot(cron("0 0 1 1 *"), ms("2026-06-01 00:00")) == ms("2026-01-01 00:00")
    assert latest_slot(cron("0 0 29 2 *"), ms("2027-06-01 00:00")) == ms("2024-02-29 00:00")


async def test_the_wall_schedule_runs_each_slot_once_and_knows_the_next() -> None:
    now = ms("2099-01-05 10:00:30")
    clock, ran = ManualClock(now), []

    async def on_slot(agent: str, slot_ms: int) -> None:
        ran.append((agent, slot_ms))

    wall = WallSchedule({"a": every(60_000), "b": cron("0 12 * * 0", NEW_YORK), "c": Schedule()}, on_slot, clock)
    assert wall.next_runs() == {}
    wall.start()
    try:
        assert wall.next_runs() == {"a": ms("2099-01-05 10:01"), "b": ms("2099-01-11 17:00")}
        await wall.fire("a")
        assert ran == []
        clock.advance_ms(30_000)
        await wall.fire("a")
        await wall.fire("a")
        assert ran == [("a", ms("2099-01-05 10:01"))]
    finally:
        wall.shutdown()
        wall.shutdown()
    assert wall.next_runs() == {}
