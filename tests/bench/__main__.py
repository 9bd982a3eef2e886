"""`python -m tests.bench [--quick] [--growth] [--json]`: measure what the design promises, each beside its target."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.bench.bench_growth import measure_growth
from tests.bench.candles import origin, write_candles
from tests.bench.report import Row, as_json, as_table, machine
from tests.bench.settings import BTC, SLOW
from tests.bench.speed import measure_lengths, measure_peers


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured."""

    peer_bars: int
    short_bars: int
    long_bars: int
    store_bars: int
    schedules: int
    oracle_bars: int
    halt_bars: int
    rounds: int
    starts: int
    halts: int
    decisions: int
    answers: int


FULL = Sizes(
    peer_bars=525_600, short_bars=100_000, long_bars=1_000_000, store_bars=525_600, schedules=1_000, oracle_bars=63_643,
    halt_bars=1_000_000, rounds=3, starts=9, halts=100, decisions=500, answers=200_000,
)  # fmt: skip
QUICK = Sizes(
    peer_bars=50_000, short_bars=20_000, long_bars=100_000, store_bars=50_000, schedules=200, oracle_bars=10_000,
    halt_bars=525_600, rounds=1, starts=5, halts=20, decisions=100, answers=20_000,
)  # fmt: skip


def measure(folder: Path, sizes: Sizes) -> Iterator[Row]:
    """Measure everything, one area after the other, so that nothing runs beside what is measured."""
    from tests.bench.asking import measure_asking
    from tests.bench.crowd import measure_keys
    from tests.bench.flattening import measure_flattening
    from tests.bench.halting import measure_halting
    from tests.bench.killing import measure_kill_switch
    from tests.bench.parsing import measure_parsing
    from tests.bench.risking import measure_guardrails
    from tests.bench.simulating import measure_simulator
    from tests.bench.starts import measure_starts
    from tests.bench.stores import measure_stores

    yield from measure_starts(folder / "home", sizes.starts)
    yield from measure_peers(folder, sizes.peer_bars, sizes.rounds)
    yield from _oracle(folder, sizes.oracle_bars)
    yield from measure_lengths(folder, sizes.short_bars, sizes.long_bars, sizes.rounds)
    yield from measure_stores(folder, sizes.store_bars, sizes.rounds)
    yield from measure_flattening(folder, max(3, sizes.rounds))
    yield from measure_simulator(sizes.schedules, sizes.rounds)
    yield from measure_parsing(folder / "parsing", sizes.answers)
    yield from measure_asking(folder / "asking", sizes.decisions, 5 * sizes.rounds)
    yield from measure_guardrails(folder, 4 * sizes.decisions)
    yield from measure_kill_switch(folder, sizes.halts)
    yield from measure_keys(folder / "crowd", sizes.halts)
    yield from measure_halting(folder, write_candles(folder, sizes.halt_bars), sizes.halts)


def _oracle(folder: Path, bars: int) -> Iterator[Row]:
    area, what = "Oracle: backtesting.py on the same minutes", "deals at another bar, side or price"
    if find_spec("backtesting") is None:
        yield Row(area=area, what=what, value=None, unit="", note="not installed: pip install .[bench]")
        return
    from tests.bench.oracle import ours, theirs

    file = write_candles(folder, bars)
    expected, found = theirs(file, BTC), ours(file, BTC, folder / "oracle")
    differing = len(set(expected.deals) ^ set(found.deals))
    yield Row(
        area=area, what=what, value=differing, unit="", at_most=0,
        note=f"{len(found.deals):,} of ours, {len(expected.deals):,} of theirs, in {bars:,} bars from bar {SLOW} on",
    )  # fmt: skip
    apart = float(abs(found.equity - expected.equity))
    yield Row(area=area, what="final equity apart", value=apart, unit="USDT", at_most=0, note=f"ours {found.equity}")


def main() -> int:
    """Measure and print; exit 1 when a target was missed."""
    options = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    options.add_argument("--quick", action="store_true", help="smaller sizes, one round: a minute instead of ten")
    options.add_argument("--growth", action="store_true", help="instead: up to a million fills, half an hour and 2 GB")
    options.add_argument("--json", action="store_true", help="print JSON instead of a table")
    given = options.parse_args()
    sizes, ran_on, rows = QUICK if given.quick else FULL, machine(), []
    with tempfile.TemporaryDirectory(prefix="quarterdeck-bench-") as folder:
        for row in measure_growth(Path(folder)) if given.growth else measure(Path(folder), sizes):
            rows.append(row)
            print(f"{row.area}: {row.what}", file=sys.stderr)
    facts = {"machine": ran_on, "candles": origin(), "sizes": "quick" if given.quick else "full"}
    print(as_json(rows, facts) if given.json else f"{ran_on}\ncandles: {origin()}\n{as_table(rows)}")
    return int(any(row.met is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
