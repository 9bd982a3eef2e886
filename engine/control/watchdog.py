"""Notice that the engine's loop stands still, from outside of it (P36), and what a suspended machine missed (P21)."""

from __future__ import annotations

import threading
from collections.abc import Callable

from engine.clock import Clock

STALL_MS = 5_000.0


class Watchdog:
    """A thread that holds entries when the loop has not beaten for a while.

    hold: called on that thread, at most once for each standstill; it may only set an attribute. wall: counts suspended
    time as well, so that a machine that slept is a loop that stood still. lag_ms: how long the last beat took to come.
    """

    def __init__(self, wall: Clock, hold: Callable[[str], None], stall_ms: float = STALL_MS) -> None:
        self._wall = wall
        self._hold = hold
        self._stall_ms = stall_ms
        self._beat_ms = wall.mono_ms()
        self.lag_ms = 0
        self._is_held = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="quarterdeck-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._beat_ms = self._wall.mono_ms()
        self._thread.start()

    def beat(self) -> float:
        """Say that the loop moves; return for how many milliseconds it stood still, 0 when it was not too long."""
        now_ms = self._wall.mono_ms()
        gap_ms, self._beat_ms = now_ms - self._beat_ms, now_ms
        self.lag_ms = round(gap_ms)
        was_held, self._is_held = self._is_held, False
        return gap_ms if was_held or gap_ms > self._stall_ms else 0.0

    def stop(self) -> None:
        """Stop watching; safe to repeat, and without a start."""
        self._stop.set()

    def _watch(self) -> None:
        while not self._stop.wait(self._stall_ms / 4000):
            gap_ms = self._wall.mono_ms() - self._beat_ms
            if gap_ms > self._stall_ms and not self._is_held:
                self._is_held = True
                self._hold(f"the engine has not moved for {gap_ms / 1000:.0f} s")
