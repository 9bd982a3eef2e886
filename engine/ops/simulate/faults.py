"""The faults of one run: each site counts its visits and strikes where the schedule says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable
from types import coroutine

from engine.ops.simulate.plan import Fault, Site


class SimulatedCrash(BaseException):
    """The engine's process died here; nothing may catch it."""


class Violation(BaseException):
    """An invariant does not hold; no code under test may swallow it. code: of the invariant, or of the fault."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class FaultBook:
    """Hands out each fault once. off: nothing strikes any more, and visits are no longer counted."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._planned = {(fault.site, fault.number): fault for fault in faults}
        self.visits: Counter[Site] = Counter()
        self.struck: list[Fault] = []
        self.off = False

    def take(self, site: Site) -> Fault | None:
        """Count a visit; return the fault that strikes at it."""
        if self.off:
            return None
        self.visits[site] += 1
        fault = self._planned.get((site, self.visits[site]))
        if fault is not None:
            self.struck.append(fault)
        return fault


@coroutine
def pause(turns: int) -> Generator[int, None, None]:
    """Suspend the calling task for so many turns of the run."""
    yield turns
