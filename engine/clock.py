"""Time, taken from one place: engine code is given a Clock and asks nothing else (R27).

Instants are whole milliseconds since 1970-01-01T00:00Z. Durations come from a clock that also
counts while the machine is suspended.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
MINUTE_MS = 60_000

_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Clock(Protocol):
    """Where the engine gets instants, durations and waiting from."""

    def now_ms(self) -> int:
        """Return the present instant in UTC milliseconds."""
        ...

    def mono_ms(self) -> float:
        """Return milliseconds on a clock that never steps; only differences mean anything."""
        ...

    async def sleep_ms(self, duration_ms: float) -> None:
        """Wait that many milliseconds of this clock."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def mono_ms(self) -> float:
        return time.clock_gettime_ns(_BOOT_CLOCK) / 1e6

    async def sleep_ms(self, duration_ms: float) -> None:
        await asyncio.sleep(max(0.0, duration_ms) / 1000)


class ManualClock:
    """A clock that moves only when told: replay, simulation and tests run on it."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def mono_ms(self) -> float:
        return float(self._now_ms)

    def set_ms(self, now_ms: int) -> None:
        """Move to an instant; a recording never moves it back."""
        self._now_ms = now_ms

    def advance_ms(self, duration_ms: int) -> None:
        """Move forward by a duration."""
        self._now_ms += duration_ms

    async def sleep_ms(self, duration_ms: float) -> None:
        self._now_ms += int(duration_ms)
        await asyncio.sleep(0)


def wall_s() -> float:
    """Return seconds for measuring how long work took; never enters a journal."""
    return time.perf_counter()


def iso(ts_ms: int) -> str:
    """Write an instant as UTC ISO 8601 with milliseconds.

    >>> iso(1_700_000_000_000)
    '2023-11-14T22:13:20.000Z'
    """
    stamp = datetime.fromtimestamp(ts_ms / 1000, UTC)
    return stamp.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ts_ms % 1000:03d}Z"


def utc_day(ts_ms: int) -> int:
    """Return the number of whole UTC days since 1970; limits per day use it as their window."""
    return ts_ms // DAY_MS
