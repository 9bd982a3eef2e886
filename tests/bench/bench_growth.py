"""What grows with history and what must not: start, the newest rows, a day's export, bytes, proof (`--growth`).

A store of N fills has 10 N journal rows: the four of each decision that acted, and holds. All are made up and written
through the journal itself. Start and lists may take twice as long at the largest size as at the smallest.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.clock import DAY_MS, wall_s
from engine.paths import StorePaths
from engine.store import queries
from engine.store.export import export
from engine.store.journal import Journal
from engine.store.reader import Question, Reader
from engine.store.verify import verify
from tests.bench.report import Row, middle, spread
from tests.store.samples import GENESIS, HELD, MINUTE_MS, OPENING, START_MS, round_trips

AREA = "Growth"
ROWS_A_FILL, CHUNK, ROUNDS = 10, 10_000, 5
TIMES_MAX = 2.0
LISTS: dict[str, Callable[[], Question[object]]] = {
    "fills": lambda: queries.fills(50),
    "orders": lambda: queries.orders(50),
    "open orders": lambda: queries.orders(50, open_only=True),
    "decisions": lambda: queries.decisions(50),
    "decisions that acted": lambda: queries.decisions(50, acted_only=True),
    "positions": lambda: queries.positions(open_only=True),
    "states": lambda: queries.states(50),
    "incidents": lambda: queries.incidents(50),
}


def build(paths: StorePaths, fills: int) -> int:
    """Write a store of that many fills, a decision every ten minutes; return its journal rows."""
    journal = Journal.create(paths, START_MS, GENESIS, *OPENING, batch=True)
    for first in range(0, fills, CHUNK):
        acted = iter(round_trips(min(CHUNK, fills - first), start_ms=START_MS + first * 10 * MINUTE_MS, first=first))
        for ts_ms, event in acted:
            journal.record(ts_ms, event)
            if event.KIND == 23:
                for minute in range(ROWS_A_FILL - 4):
                    journal.record(ts_ms + minute * MINUTE_MS, HELD)
    journal.close()
    return journal.seq


def measure_growth(folder: Path, sizes: tuple[int, ...] = (1_000, 100_000, 1_000_000)) -> Iterator[Row]:
    """Measure each size, and the largest against the smallest."""
    start: dict[int, float] = {}
    lists: dict[int, float] = {}
    for fills in sizes:
        paths = StorePaths(folder / f"growth-{fills}")
        rows = build(paths, fills)
        yield from _one(paths, fills, rows, start, lists)
    first, last = sizes[0], sizes[-1]
    for what, found in (("start", start), ("newest rows", lists)):
        yield Row(
            area=AREA, what=f"{what}, {last:,} fills against {first:,}", value=found[last] / found[first], unit="x",
            at_most=TIMES_MAX,
        )  # fmt: skip


def _one(
    paths: StorePaths, fills: int, rows: int, start: dict[int, float], lists: dict[int, float]
) -> Iterator[Row]:  # fmt: skip
    label = f"{fills:,} fills"
    starts = [_timed(lambda: Journal.open(paths, batch=True).close()) for _ in range(ROUNDS)]
    start[fills] = middle(starts)
    yield Row(area=AREA, what=f"start, {label}", value=start[fills], unit="ms", note=spread(starts, "ms"))
    reader = Reader(paths)
    asked = [_timed(lambda: [reader.read(ask()) for ask in LISTS.values()]) for _ in range(ROUNDS)]
    lists[fills] = middle(asked)
    note = f"{', '.join(LISTS)}; {spread(asked, 'ms')}"
    yield Row(area=AREA, what=f"newest rows, {label}", value=lists[fills], unit="ms", note=note)
    day_ms = START_MS // DAY_MS * DAY_MS + DAY_MS * max(1, fills // 288)
    out = io.StringIO()
    took = _timed(lambda: export(reader, "fills", "csv", out, since_ms=day_ms, until_ms=day_ms + DAY_MS))
    lines = out.getvalue().count("\n") - 1
    yield Row(area=AREA, what=f"export of a day's fills, {label}", value=took, unit="ms", note=f"{lines} rows")
    reader.close()
    size = paths.store_db.stat().st_size
    note = f"{size:,} B; {rows:,} journal rows"
    yield Row(area=AREA, what=f"bytes a fill, its holds counted in, {label}", value=size / fills, unit="B", note=note)
    report = verify(paths)
    yield Row(
        area=AREA, what=f"verify, {label}", value=report.rows_per_s, unit="rows/s",
        note=report.first_breach or f"{report.seconds:.1f} s",
    )  # fmt: skip


def _timed(work: Callable[[], object]) -> float:
    began = wall_s()
    work()
    return (wall_s() - began) * 1e3
