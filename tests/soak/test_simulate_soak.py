"""The simulator for hours: schedules by the hundred thousand, every crash point, every pair of them.

SOAK_S: seconds for each test, 120 when not given. SOAK_SCHEDULES: how many in all, 500,000 when not given. What was
played is kept in pytest's cache, so that the next soak goes on from there; `pytest --cache-clear` starts anew.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from engine.ops.simulate.campaign import Theatre, run_seeds
from engine.ops.simulate.crashes import REDUCED, REFERENCE, pairs, singles
from engine.ops.simulate.plan import Schedule
from engine.ops.simulate.rig import Protocol

SOAK_S = float(os.environ.get("SOAK_S", "120"))
SCHEDULES = int(os.environ.get("SOAK_SCHEDULES", "500000"))
FIRST_SEED = 1_000_000
BATCH = 2_000
WORKERS = os.cpu_count() or 1

pytestmark = pytest.mark.soak
Say = Callable[[str], None]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Print for whoever watches, whatever pytest captures."""

    def spoken(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", end="", flush=True)  # noqa: T201 - a soak tells what it does

    return spoken


def test_schedules_break_no_invariant(request: pytest.FixtureRequest, say: Say) -> None:
    cache, until = request.config.cache, time.monotonic() + SOAK_S
    assert cache is not None
    done = cache.get("simulate/schedules", 0)
    while done < SCHEDULES and time.monotonic() < until:
        began, count = time.monotonic(), min(BATCH, SCHEDULES - done)
        totals = run_seeds(FIRST_SEED + done, count, None, WORKERS, None)
        assert [(schedule.seed, sentence) for schedule, _code, sentence in totals.failures] == []
        done += count
        cache.set("simulate/schedules", done)
        rate = count / (time.monotonic() - began)
        say(
            f"simulate: {done:,} of {SCHEDULES:,} schedules from seed {FIRST_SEED}, {rate:.0f}/s on {WORKERS} cores; "
            f"in the last {count:,}: {sum(totals.struck.values()):,} faults, {totals.lives - count:,} restarts, "
            f"{sum(totals.asked.values()):,} checks"
        )


@pytest.mark.fault("P01", "P02", "P03", "P04", "P05", "P06", "P08", "P12")
def test_every_single_crash_of_the_reference_scenario(request: pytest.FixtureRequest, say: Say) -> None:
    with Theatre(Protocol()) as theatre:
        play_on(request, say, theatre, "single crashes", singles(theatre.play, REFERENCE))


@pytest.mark.fault("P09")
def test_every_pair_of_crashes_of_the_reduced_scenario(request: pytest.FixtureRequest, say: Say) -> None:
    with Theatre(Protocol()) as theatre:
        play_on(request, say, theatre, "pairs of crashes", pairs(theatre.play, REDUCED))


def play_on(
    request: pytest.FixtureRequest, say: Say, theatre: Theatre, what: str, schedules: Iterator[Schedule]
) -> None:
    """Play the schedules from where the last soak stopped, until all are played or the time is up."""
    cache, until = request.config.cache, time.monotonic() + SOAK_S
    assert cache is not None
    key = f"simulate/{what}"
    done = cache.get(key, 0)
    for schedule in islice(schedules, done, None):
        if time.monotonic() > until:
            say(f"simulate: {done:,} {what}, more are left")
            return
        broken = theatre.play(schedule).broken
        assert broken is None, f"{', '.join(map(str, schedule.faults))}: {broken}"
        done += 1
        cache.set(key, done) if done % 100 == 0 else None
    cache.set(key, done)
    say(f"simulate: {done:,} {what}, all of them")
