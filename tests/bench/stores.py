"""What a replay leaves on disk: bytes for each hold and each decision that acted, and how fast the store is proven."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.bench.candles import write_candles
from tests.bench.child import Result, run_child
from tests.bench.report import Row, middle, spread
from tests.bench.settings import BTC, write_config

HOLD_BYTES_MAX, ACTED_BYTES_MAX, VERIFY_ROWS_MIN = 100, 700, 200_000
AREA = "Store"


def store_bytes(store: Path) -> int:
    """Return the bytes of all files of a closed store."""
    return sum(file.stat().st_size for file in store.iterdir())


def measure_stores(folder: Path, bars: int, rounds: int) -> Iterator[Row]:
    """Replay once with nothing but holds, then with decisions that act, without protection and with it."""
    file = write_candles(folder, bars)
    holds, size = _replayed(folder, file, "holds", holds_only=True)
    each = size / holds["holds"]
    yield Row(
        area=AREA, what="bytes for a hold", value=each, unit="B", at_most=HOLD_BYTES_MAX,
        note=f"{size:,} B of closed store / {holds['holds']:,} holds, the first rows counted in",
    )  # fmt: skip
    for protected in (False, True):
        yield _acted(folder, file, each, protected=protected)
    yield from _proven(folder, rounds)


def _replayed(
    folder: Path, file: Path, name: str, *, holds_only: bool = False, protected: bool = False
) -> tuple[Result, int]:
    home = folder / name
    agent = write_config(home, BTC, holds_only=holds_only, protected=protected)
    result = run_child("ours", "replay", file, agent, home / "store")
    return result, store_bytes(home / "store")


def _acted(folder: Path, file: Path, hold_bytes: float, *, protected: bool) -> Row:
    with_it = "with a stop and a target" if protected else "without protection"
    result, size = _replayed(folder, file, "guarded" if protected else "plain", protected=protected)
    acted, holds = result["acted"], result["holds"]
    return Row(
        area=AREA, what=f"bytes for a decision that acted, {with_it}", value=(size - holds * hold_bytes) / acted,
        unit="B", at_most=ACTED_BYTES_MAX,
        note=f"({size:,} B - {holds:,} holds x {hold_bytes:.1f} B) / {acted:,} that acted; {result['fills']:,} fills",
    )  # fmt: skip


def _proven(folder: Path, rounds: int) -> Iterator[Row]:
    for name, what in (("holds", "holds alone"), ("guarded", "orders, fills and ledger")):
        runs = [run_child("ours", "verify", folder / name / "store") for _ in range(rounds)]
        broken = next((run["breach"] for run in runs if not run["ok"]), "")
        rates = [run["rows"] / run["seconds"] for run in runs]
        by_cpu = max(run["rows"] / run["cpu_s"] for run in runs)
        yield Row(
            area=AREA, what=f"verify, {what}", value=None if broken else middle(rates), unit="rows/s",
            at_least=VERIFY_ROWS_MIN,
            note=broken
            or f"{runs[0]['rows']:,} rows; {spread(rates, 'rows/s')}; a second process walks the chain; {by_cpu:,.0f} "
            "rows a second of this one's CPU time, which minds other work less",
        )  # fmt: skip
