"""Schedules a second of the simulator, on one core and on all of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from engine.ops.simulate.campaign import run_seeds
from tests.bench.report import Row, middle, spread

AREA = "Simulator: schedules of faults and crashes"
IN_MAKE_TEST, WITHIN_S = 5_000, 60


def measure_simulator(schedules: int, rounds: int) -> Iterator[Row]:
    """Play so many schedules, so many times, in one process and then in one a core."""
    cores = os.cpu_count() or 1
    for workers in sorted({1, cores}):
        rates = [_rate(schedules * workers, workers) for _ in range(rounds)]
        yield Row(
            area=AREA, what="one core" if workers == 1 else f"{workers} cores", value=middle(rates), unit="schedules/s",
            at_least=IN_MAKE_TEST / WITHIN_S if workers == cores else None, note=spread(rates, "schedules/s"),
        )  # fmt: skip


def _rate(schedules: int, workers: int) -> float:
    began = time.perf_counter()
    totals = run_seeds(0, schedules, None, workers, None)
    return totals.schedules / (time.perf_counter() - began)
