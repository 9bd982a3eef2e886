"""Every single crash point of a reference scenario, and every pair of a reduced one (P01-P12)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from engine.ops.simulate.plan import AGENTS, BTC, ETH, Act, Do, Fault, Schedule, Site
from engine.ops.simulate.run import Outcome

ALFA, BRAVO = AGENTS
Play = Callable[[Schedule], Outcome]

REFERENCE = Schedule(
    seed=0,
    acts=(
        Act(Do.BUY, ALFA, BTC, 20, 1_000),  # both instruments, at a limit
        Act(Do.MATCH, ALFA, BTC, 1, 1_000),  # in part
        Act(Do.BUY, BRAVO, ETH, 21, 1_000),  # at the market
        Act(Do.MATCH, BRAVO, ETH, 99, 1_000),
        Act(Do.CANCEL, ALFA, BTC, 0, 1_000),
        Act(Do.MATCH, BRAVO, ETH, 98, 1_000),
        Act(Do.SELL, BRAVO, ETH, 1, 1_000),  # half of it
        Act(Do.MATCH, BRAVO, ETH, 97, 1_000),
        Act(Do.STOP_HIT, ALFA, BTC, 0, 1_000),
        Act(Do.MANUAL, ALFA, BTC, 7, 1_000),
        Act(Do.RESTART, ms=1_000),
        Act(Do.FLATTEN, ms=1_000),
        Act(Do.MATCH, BRAVO, ETH, 96, 1_000),
        Act(Do.BEAT, ms=1_000),
    ),
    faults=(),
)
"""A day without a fault: entries with protection, a part, an exit, a stop, a manual trade, a restart, a flatten."""

REDUCED = Schedule(
    seed=0,
    acts=(
        Act(Do.BUY, ALFA, BTC, 21, 1_000),
        Act(Do.MATCH, ALFA, BTC, 99, 1_000),
        Act(Do.FLATTEN, ms=1_000),
        Act(Do.MATCH, ALFA, BTC, 99, 1_000),
        Act(Do.BEAT, ms=1_000),
    ),
    faults=(),
)
"""One entry with its protection, filled and flattened."""


def points(outcome: Outcome) -> Iterator[Fault]:
    """Yield the places where a run could have died."""
    for site, kinds in ((Site.AWAIT, ("crash",)), (Site.SQL, ("crash", "crash after it"))):
        for number in range(1, outcome.visits[site] + 1):
            for kind in kinds:
                yield Fault(site, number, kind)


def singles(play: Play, schedule: Schedule) -> Iterator[Schedule]:
    """Yield a schedule with each single crash."""
    for point in points(play(schedule)):
        yield replace(schedule, faults=(point,))


def pairs(play: Play, schedule: Schedule) -> Iterator[Schedule]:
    """Yield a schedule with each pair of crashes, the second one anywhere after the first: recovery included (P09)."""
    for once in singles(play, schedule):
        (first,) = once.faults
        for second in points(play(once)):
            if _follows(first, second):
                yield replace(schedule, faults=(first, second))


def _follows(first: Fault, second: Fault) -> bool:
    """Tell whether a point is another one; of two at one site, only the later one makes a new pair."""
    return second.number > first.number if second.site is first.site else True
