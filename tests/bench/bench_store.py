"""`python -m tests.bench.bench_store`: the store by itself, on made-up events: time a record, proof, bytes a row."""

from __future__ import annotations

import tempfile
from pathlib import Path

from engine.clock import wall_s
from engine.domain.events import Event
from engine.paths import StorePaths
from engine.store.journal import Journal
from engine.store.verify import verify
from tests.store.samples import GENESIS, HELD, LIVE_DATA, MINUTE_MS, OPENING, START_MS, round_trips

HOLDS, ACTS, COMMITS = 500_000, 5_000, 1_000
TAKE_US_MAX, HOLD_BYTES_MAX, ACTED_BYTES_MAX, VERIFY_ROWS_MIN = 4, 100, 700, 200_000


def holds(count: int) -> list[tuple[int, Event]]:
    """Return one hold a minute."""
    return [(START_MS + number * MINUTE_MS, HELD) for number in range(count)]


def measured(folder: Path, events: list[tuple[int, Event]], *, batch: bool = True) -> tuple[float, float]:
    """Record events in a new store; return microseconds and bytes for each, closing counted in."""
    journal = Journal.create(StorePaths(folder), START_MS, GENESIS if batch else LIVE_DATA, *OPENING, batch=batch)
    began = wall_s()
    for ts_ms, event in events:
        journal.record(ts_ms, event)
    journal.close()
    return (wall_s() - began) * 1e6 / len(events), (folder / "store.db").stat().st_size / len(events)


def main() -> None:
    """Print each figure beside its target."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        hold_us, hold_bytes = measured(folder / "holds", holds(HOLDS))
        acted_us, acted_bytes = measured(folder / "acts", round_trips(ACTS))
        commit_us, _bytes = measured(folder / "live", holds(COMMITS), batch=False)
        proof, acted_proof = (verify(StorePaths(folder / name)) for name in ("holds", "acts"))
        began = wall_s()
        Journal.open(StorePaths(folder / "holds"), batch=True).close()
        open_ms = (wall_s() - began) * 1e3
    assert proof.ok
    assert acted_proof.ok
    print(f"a hold, in a batch            {hold_us:10.2f} us     at most {TAKE_US_MAX}")
    print(f"a decision that acted         {acted_us * 4:10.1f} us     its four events, in a batch")
    print(f"a live commit                 {commit_us:10.1f} us     FULL, one hold each")
    print(f"store for a hold              {hold_bytes:10.1f} bytes  at most {HOLD_BYTES_MAX}")
    print(f"store for one that acted      {acted_bytes * 4:10.1f} bytes  at most {ACTED_BYTES_MAX}")
    print(f"verify, holds                 {proof.rows_per_s:10.0f} rows/s at least {VERIFY_ROWS_MIN}")
    print(f"verify, decisions that acted  {acted_proof.rows_per_s:10.0f} rows/s")
    print(f"open after {HOLDS} holds     {open_ms:10.1f} ms")


if __name__ == "__main__":
    main()
