"""When agents run by the clock: slots are UTC instants, each at most once, missed ones coalesced into one (R28).

APScheduler's triggers compute the slots, in a replay too. Three readings are ours, for it has others: cron weekdays
count from Sunday; a wall time that a zone skips runs at the first instant after the gap (C02); one that comes twice
runs the first time only, unless the line leaves the hour open with a "*", and so means every hour there is (C03).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from engine.clock import DAY_MS, HOUR_MS, Clock
from engine.domain.agent import Schedule
from engine.errors import UsageError
from engine.triggers.weekdays import weekday_names

if TYPE_CHECKING:
    from apscheduler.schedulers.asyncio import AsyncIOScheduler
    from apscheduler.triggers.base import BaseTrigger

INTERVAL_MS_MIN = 10_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LOOK_BACK_MS = (HOUR_MS, DAY_MS, 32 * DAY_MS, 366 * DAY_MS, 8 * 366 * DAY_MS)

OnSlot = Callable[[str, int], Awaitable[None]]
"""Told (agent name, slot in UTC ms)."""


def is_timed(schedule: Schedule) -> bool:
    """Tell whether a schedule has slots of its own, and does not run with each candle."""
    return schedule.interval_ms is not None or schedule.cron is not None


def check_schedule(schedule: Schedule, owner: str) -> None:
    """Raise UsageError for an interval under 10 s or not of whole seconds, or an odd cron line (C11)."""
    interval_ms = schedule.interval_ms
    if interval_ms is not None:
        if not (interval_ms >= INTERVAL_MS_MIN and interval_ms % 1000 == 0):
            raise UsageError(f'{owner} runs every {interval_ms} ms; write whole seconds, at least "10s".')
        return
    if schedule.cron is None:
        return
    try:
        slot = next_slot(schedule, 0)
    except (ValueError, LookupError, OSError) as error:
        raise UsageError(
            f'{owner} has the cron line "{schedule.cron}" in "{schedule.zone}", which cannot be read: {error}; '
            'write one such as "*/15 9-16 * * 1-5" (minute, hour, day, month, weekday).'
        ) from None
    if slot is None:
        raise UsageError(f'{owner} has the cron line "{schedule.cron}", whose day never comes; correct day and month.')


def next_slot(schedule: Schedule, after_ms: int) -> int | None:
    """Return the first slot after an instant, in UTC ms; None when there is none. Raises ValueError on a bad line."""
    if not is_timed(schedule):
        return None
    trigger, fixed_hour = _trigger(schedule)
    while True:
        found: datetime | None = trigger.get_next_fire_time(None, _moment(after_ms + 1))
        if found is None:
            return None
        utc = found.astimezone(UTC)
        zone = found.tzinfo or UTC
        local = utc.astimezone(zone)
        if local.replace(tzinfo=None) != found.replace(tzinfo=None):
            return _to_ms(_end_of_gap(found.replace(tzinfo=None), zone))
        if not (fixed_hour and local.fold):
            return _to_ms(utc)
        after_ms = _to_ms(utc)


def latest_slot(schedule: Schedule, now_ms: int) -> int | None:
    """Return the last slot at or before an instant; None when the last eight years have none."""
    if schedule.interval_ms is not None:
        return now_ms // schedule.interval_ms * schedule.interval_ms
    for window_ms in _LOOK_BACK_MS:
        found, slot = None, next_slot(schedule, now_ms - window_ms)
        while slot is not None and slot <= now_ms:
            found, slot = slot, next_slot(schedule, slot)
        if found is not None:
            return found
    return None


class SlotClock:
    """Hands out the slots of agents with a timed schedule; time comes from the caller, real or virtual."""

    def __init__(
        self,
        schedules: Mapping[str, Schedule],
        since_ms: int | None = None,
        claimed: Mapping[str, int] | None = None,
    ) -> None:
        """Raise UsageError on a schedule that check_schedule refuses.

        since_ms: slots after it count; None: those from the first question on. claimed: agent -> the last slot it
        was given before, which is never given again (C05); what was missed since then comes once (C01).
        """
        self._schedules = {name: each for name, each in sorted(schedules.items()) if is_timed(each)}
        for name, schedule in self._schedules.items():
            check_schedule(schedule, f"agent {name}")
        self._last = {name: slot for name, slot in (claimed or {}).items() if name in self._schedules}
        self._next: dict[str, int | None] | None = None
        self._soonest = 0
        if since_ms is not None:
            self._begin(since_ms)

    def due(self, now_ms: int) -> list[str]:
        """Return the agents, in name order, whose slot has come, and count those slots as given."""
        if self._next is None:
            self._begin(now_ms - 1)
        if now_ms < self._soonest:
            return []
        return [name for name in self._schedules if self.claim(name, now_ms) is not None]

    def claim(self, name: str, now_ms: int) -> int | None:
        """Return an agent's latest slot that has come and was not given yet, and count it as given; else None."""
        if self._next is None:
            self._begin(now_ms - 1)
        at = self.next_ms(name)
        if at is None or at > now_ms:
            return None
        schedule = self._schedules[name]
        slot = max(at, latest_slot(schedule, now_ms) or at)
        self._last[name] = slot
        self._set(name, next_slot(schedule, slot))
        return slot

    def next_ms(self, name: str) -> int | None:
        """Return when an agent's next slot comes; None when it has none, or before the first question."""
        return (self._next or {}).get(name)

    def slot_ms(self, name: str) -> int | None:
        """Return the slot an agent was given last; None before its first."""
        return self._last.get(name)

    def _begin(self, since_ms: int) -> None:
        self._next = {}
        for name, schedule in self._schedules.items():
            self._set(name, next_slot(schedule, self._last.get(name, since_ms)))

    def _set(self, name: str, slot: int | None) -> None:
        waiting = self._next if self._next is not None else {}
        waiting[name] = slot
        self._soonest = min((each for each in waiting.values() if each is not None), default=2**63)


class WallSchedule:
    """Runs the slots on the machine's clock, with APScheduler; overlapping runs are skipped (C04)."""

    def __init__(
        self,
        schedules: Mapping[str, Schedule],
        on_slot: OnSlot,
        clock: Clock,
        claimed: Mapping[str, int] | None = None,
    ) -> None:
        """Take the agents' schedules; the rest as SlotClock does."""
        self._schedules = {name: each for name, each in sorted(schedules.items()) if is_timed(each)}
        self._slots = SlotClock(self._schedules, clock.now_ms(), claimed)
        self._on_slot = on_slot
        self._clock = clock
        self._scheduler: AsyncIOScheduler | None = None

    def start(self) -> None:
        """Begin on the running event loop; a slot missed before comes at once, and once."""
        from apscheduler.jobstores.memory import MemoryJobStore
        from apscheduler.schedulers.asyncio import AsyncIOScheduler

        # Late is better than never, for prices and decisions have ages of their own: no misfire limit.
        limits = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        scheduler = AsyncIOScheduler(timezone=UTC, jobstores={"default": MemoryJobStore()}, job_defaults=limits)
        for name, schedule in self._schedules.items():
            first_ms = self._slots.next_ms(name)
            if first_ms is not None:
                scheduler.add_job(
                    self.fire, _slot_trigger(schedule), args=[name], id=name, next_run_time=_moment(first_ms)
                )
        scheduler.start()
        self._scheduler = scheduler

    async def fire(self, name: str) -> None:
        """Run an agent's slot, if one has come that was not given yet."""
        slot = self._slots.claim(name, self._clock.now_ms())
        if slot is not None:
            await self._on_slot(name, slot)

    def next_runs(self) -> dict[str, int]:
        """Return agent -> when the scheduler will run it next, in UTC ms; empty when it does not run."""
        jobs = self._scheduler.get_jobs() if self._scheduler else []
        return {job.id: _to_ms(job.next_run_time) for job in jobs if job.next_run_time is not None}

    def shutdown(self) -> None:
        """Stop; running cycles are left to end by themselves. Safe to repeat."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None


@lru_cache(maxsize=256)
def _trigger(schedule: Schedule) -> tuple[Any, bool]:
    """Return APScheduler's trigger, and whether the line names its hours."""
    if schedule.interval_ms is not None:
        from apscheduler.triggers.interval import IntervalTrigger

        # From the epoch on, so that "5m" means :00, :05, ... whenever the engine was started.
        return IntervalTrigger(seconds=schedule.interval_ms // 1000, start_date=EPOCH, timezone=UTC), False
    from apscheduler.triggers.cron import CronTrigger

    fields = (schedule.cron or "").split()
    if len(fields) != 5:
        raise ValueError(f"{len(fields)} fields where 5 are needed")
    minute, hour, day, month, weekday = fields
    if not day.startswith("*") and not weekday.startswith("*"):
        raise ValueError("day and weekday are both given, which some read as and, others as or")
    cron = CronTrigger(
        minute=minute,
        hour=hour,
        day=day,
        month=month,
        day_of_week=weekday_names(weekday),
        second=0,
        timezone=schedule.zone,
    )
    return cron, not hour.startswith("*")


def _slot_trigger(schedule: Schedule) -> BaseTrigger:
    from apscheduler.triggers.base import BaseTrigger

    class SlotTrigger(BaseTrigger):
        """Our slots, in the form the scheduler asks for them."""

        # The base declares no return value.
        def get_next_fire_time(  # pyright: ignore[reportIncompatibleMethodOverride]
            self, previous_fire_time: datetime | None, now: datetime
        ) -> datetime | None:
            slot = next_slot(schedule, _to_ms(previous_fire_time or now))
            return None if slot is None else _moment(slot)

    return SlotTrigger()


def _end_of_gap(wall: datetime, zone: tzinfo) -> datetime:
    """Return the first instant after the gap that a wall time falls into."""
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    after = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    offset = before.astimezone(zone).utcoffset()
    minutes = int((after - before) / timedelta(minutes=1))
    ahead = (before + timedelta(minutes=n) for n in range(minutes + 1))
    return next((each for each in ahead if each.astimezone(zone).utcoffset() != offset), after)


def _moment(ts_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ts_ms)


def _to_ms(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(milliseconds=1)
