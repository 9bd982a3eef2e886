"""A provider that fails again and again is left alone for a while (A04)."""

from __future__ import annotations

from engine.clock import Clock
from engine.domain.decision import Outcome

FAILURES_MAX = 5
REST_MS = 30_000
REST_MS_MAX = 600_000
FAILED = (Outcome.TIMED_OUT, Outcome.PROVIDER_DOWN)


class Breaker:
    """One provider's. Closed it lets all through; open none; after a rest one, whose outcome decides.

    The rest doubles with each first question that fails, up to ten minutes.
    """

    def __init__(self, wall: Clock) -> None:
        self._wall = wall
        self._failures = 0
        self._rest_ms = 0
        self._until_ms = 0.0
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Whether questions are held back."""
        return self._rest_ms > 0

    def refusal(self) -> str:
        """Return why nothing may be asked now, "" when it may; whoever asks then must tell() what came of it."""
        if not self.is_open:
            return ""
        left_ms = self._until_ms - self._wall.mono_ms()
        if left_ms > 0 or self._is_probing:
            left_s = max(1, round(left_ms / 1000))
            return f"it failed {self._failures} times in a row and is asked again in {left_s} s"
        self._is_probing = True
        return ""

    def tell(self, outcome: Outcome | None) -> None:
        """Take in what came of a question; None: nobody waited for it."""
        was_probing, self._is_probing = self._is_probing, False
        if outcome is None:
            return
        if outcome not in FAILED:
            self._failures = self._rest_ms = 0
            return
        self._failures += 1
        if was_probing or self._failures == FAILURES_MAX:
            self._rest_ms = min(REST_MS_MAX, self._rest_ms * 2 or REST_MS)
            self._until_ms = self._wall.mono_ms() + self._rest_ms
