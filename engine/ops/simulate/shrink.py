"""Cutting a failing schedule down to what it takes, and telling it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from engine.ops.simulate.plan import Schedule

Item = TypeVar("Item")
Fails = Callable[[Schedule], bool]


def shrink(schedule: Schedule, fails: Fails) -> Schedule:
    """Return a schedule of which nothing more can be left out; fails: whether one still breaks the same invariant."""
    while True:
        least = _fewer_acts(_fewer_faults(schedule, fails), fails)
        if least == schedule:
            return schedule
        schedule = least


def _fewer_faults(schedule: Schedule, fails: Fails) -> Schedule:
    return replace(schedule, faults=_least(schedule.faults, lambda kept: fails(replace(schedule, faults=kept))))


def _fewer_acts(schedule: Schedule, fails: Fails) -> Schedule:
    return replace(schedule, acts=_least(schedule.acts, lambda kept: fails(replace(schedule, acts=kept))))


def _least(items: tuple[Item, ...], fails: Callable[[tuple[Item, ...]], bool]) -> tuple[Item, ...]:
    """Leave out ever smaller runs of items for as long as it still fails (delta debugging)."""
    size = len(items)
    while size:
        for kept in _without_each(items, size):
            if fails(kept):
                items = kept
                break
        else:
            size //= 2
            continue
        size = min(size, len(items))
    return items


def _without_each(items: tuple[Item, ...], size: int) -> Iterator[tuple[Item, ...]]:
    for at in range(0, len(items), size):
        yield items[:at] + items[at + size :]


def retell(schedule: Schedule, story: list[str]) -> list[str]:
    """Return the lines a person reads: the faults that matter, then what happened."""
    faults = [f"  {fault}" for fault in schedule.faults] or ["  none"]
    return ["faults that strike:", *faults, "what happened (seconds of virtual time):", *story]
