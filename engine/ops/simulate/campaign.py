"""Many schedules, over the machine's cores, with the totals a person wants to see."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

from engine.clock import wall_s
from engine.errors import UsageError
from engine.ops.simulate.plan import Schedule, draw
from engine.ops.simulate.rig import Protocol
from engine.ops.simulate.run import Outcome, play
from engine.ops.simulate.shrink import retell, shrink
from engine.ops.simulate.stage import make_template, scratch

CHUNK = 50
Progress = Callable[[float, int], None]
"""Told which share of the work is done, and how many schedules that is."""
FAILURES_MAX = 5


@dataclass(slots=True)
class Totals:
    """What schedules did, added up. failures: (schedule, code, sentence) of the first few."""

    schedules: int = 0
    turns: int = 0
    lives: int = 0
    failed: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[Schedule, str, str]] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Take one schedule in."""
        self.schedules += 1
        self.turns += outcome.turns
        self.lives += outcome.lives
        self.struck.update(outcome.struck)
        self.asked.update(outcome.asked)
        if outcome.broken is not None:
            self.failed += 1
            self.failures.append((outcome.schedule, outcome.broken.code, str(outcome.broken)))

    def merge(self, other: Totals) -> None:
        """Take another's sums in."""
        self.schedules += other.schedules
        self.turns += other.turns
        self.lives += other.lives
        self.failed += other.failed
        self.struck.update(other.struck)
        self.asked.update(other.asked)
        self.failures = [*self.failures, *other.failures][:FAILURES_MAX]


class Theatre:
    """Where schedules are played: a directory, and the store that each begins with."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._root = scratch()
        self._template = make_template(self._root / "template")
        self._plays = 0

    def play(self, schedule: Schedule, *, tell: bool = False) -> Outcome:
        """Play one schedule."""
        self._plays += 1
        return play(schedule, self._template, self._root / f"{self._plays}", self.protocol, tell=tell)

    def close(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self._root, ignore_errors=True)

    def __enter__(self) -> Theatre:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def story_of(theatre: Theatre, schedule: Schedule, code: str) -> list[str]:
    """Return a failing schedule's story, cut down to what it takes."""

    def fails(candidate: Schedule) -> bool:
        broken = theatre.play(candidate).broken
        return broken is not None and broken.code == code

    least = shrink(schedule, fails)
    return retell(least, theatre.play(least, tell=True).story)


def play_seeds(first: int, count: int, protocol: Protocol, *, stop_early: bool = False) -> Totals:
    """Play the schedules of consecutive seeds in this process; stop_early: at the first that fails."""
    totals = Totals()
    with Theatre(protocol) as theatre:
        for seed in range(first, first + count):
            totals.add(theatre.play(draw(seed)))
            if totals.failed and (stop_early or totals.failed >= FAILURES_MAX):
                break
    return totals


def protocol_of(mutant: str | None) -> Protocol:
    """Return the protocol as it is, or with one deliberate bug. Raises UsageError for an unknown name."""
    if mutant is None:
        return Protocol()
    from engine.ops.simulate.mutants import MUTANTS  # brings every part that a mutant bends

    if mutant not in MUTANTS:
        raise UsageError(f"there is no mutant {mutant!r}; there are {', '.join(MUTANTS)}.")
    return MUTANTS[mutant].protocol


def _chunk(first: int, count: int, mutant: str | None) -> Totals:
    return play_seeds(first, count, protocol_of(mutant))


def _chunks(first: int, count: int) -> Iterator[tuple[int, int]]:
    for at in range(first, first + count, CHUNK):
        yield at, min(CHUNK, first + count - at)


def run_seeds(first: int, count: int, mutant: str | None, workers: int, progress: Progress | None) -> Totals:
    """Play consecutive seeds on several processes; stops soon after the first failures."""
    totals = Totals()
    if workers < 2 or count <= CHUNK:
        results: Iterable[Totals] = (_chunk(at, size, mutant) for at, size in _chunks(first, count))
        _gather(totals, results, count, progress)
        return totals
    # Spawned, not forked: whoever calls may have threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        starts, sizes = zip(*_chunks(first, count), strict=True)
        _gather(totals, pool.map(_chunk, starts, sizes, [mutant] * len(starts)), count, progress)
        pool.shutdown(cancel_futures=True)
    return totals


def _gather(totals: Totals, results: Iterable[Totals], count: int, progress: Progress | None) -> None:
    for each in results:
        totals.merge(each)
        if progress is not None:
            progress(totals.schedules / count, totals.schedules)
        if totals.failed:
            return


def simulate(
    seed: int = 0, schedules: int = 1, mutant: str | None = None, workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Play the schedules of seed, seed + 1, ... and return the totals; the first failure comes with its story.

    mutant: a deliberate bug to look for. workers: processes; None is one a core.
    """
    began = wall_s()
    protocol = protocol_of(mutant)
    totals = run_seeds(seed, schedules, mutant, workers or os.cpu_count() or 1, progress)
    seconds = wall_s() - began
    result: dict[str, Any] = {
        "ok": not totals.failed,
        "seed": seed,
        "mutant": mutant,
        "schedules": totals.schedules,
        "turns": totals.turns,
        "crashes": sum(n for name, n in totals.struck.items() if "crash" in name),
        "recoveries": totals.lives - totals.schedules,
        "faults": dict(totals.struck.most_common()),
        "checks": dict(sorted(totals.asked.items())),
        "seconds": round(seconds, 3),
        "schedules_per_s": round(totals.schedules / seconds, 1) if seconds else 0.0,
        "failure": None,
    }
    if totals.failures:
        schedule, code, sentence = min(totals.failures, key=lambda failure: failure[0].seed)
        with Theatre(protocol) as theatre:
            story = story_of(theatre, schedule, code)
        result["failure"] = {"seed": schedule.seed, "code": code, "broken": sentence, "story": story}
    elif schedules == 1:
        with Theatre(protocol) as theatre:
            result["story"] = theatre.play(draw(seed), tell=True).story
    return result
