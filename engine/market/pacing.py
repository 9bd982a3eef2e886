"""At what pace instants of data come, where they come at a multiple of real speed."""

from __future__ import annotations

from engine.clock import HOUR_MS, Clock
from engine.market.rows import CLOSED_AFTER_BARS

CATCH_UP_MS = 1_000.0
"""Who was held up for no longer makes it up, so that the speed is kept where one bar is more work than the others."""


class Pacer:
    """Waits so that bars come at a multiple of real speed; closed hours last as long as one bar."""

    def __init__(self, clock: Clock, speed: float, interval_ms: int) -> None:
        self._clock, self._speed, self._interval_ms = clock, speed, interval_ms
        self._last_ms: int | None = None
        self._due_mono_ms = 0.0
        self._pauses = 0
        self._skipped_ms = 0

    async def wait_for(self, ts_ms: int) -> None:
        """Wait until an instant of the data is due; the first is due at once."""
        now = self._clock.mono_ms()
        if self._last_ms is None:
            self._due_mono_ms = now
        else:
            self._due_mono_ms += self._real_ms(ts_ms - self._last_ms) / self._speed
            if now - self._due_mono_ms > CATCH_UP_MS:
                self._due_mono_ms = now  # a machine that slept goes on from here: no burst to catch up
            elif self._due_mono_ms > now:
                await self._clock.sleep_ms(self._due_mono_ms - now)
        self._last_ms = ts_ms

    def _real_ms(self, gap_ms: int) -> int:
        if gap_ms <= CLOSED_AFTER_BARS * self._interval_ms:
            return gap_ms
        self._pauses += 1
        self._skipped_ms += gap_ms - self._interval_ms
        return self._interval_ms

    def notes(self) -> list[str]:
        """Say how many closed hours were not waited for."""
        if not self._pauses:
            return []
        return [f"closed hours skipped: {self._skipped_ms / HOUR_MS:.1f} h in {self._pauses} pause(s)"]
