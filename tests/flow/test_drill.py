"""`quarterdeck drill`: rehearsed on a store of its own, kept beside the trader's, shown in the console."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.api import DrillView
from engine.paths import StorePaths
from engine.runtime import drill
from engine.store.drilled import LastDrill, save_drill
from engine.store.journal import Journal
from screens.widgets.kill import drill_row
from tests.store.samples import LIVE_DATA, OPENING, START_MS

HELD = DrillView(
    at="2026-11-29T13:40:00.000Z", agents=20, positions=11, halts=10, key_to_halt_us=4_200, key_to_halt_worst_us=9_000,
    halt_to_flat_us=282_700, flat=True,
)  # fmt: skip


def test_a_drill_halts_and_flattens_under_load_and_its_record_is_kept_beside_the_journal(tmp_path: Path) -> None:
    paths = StorePaths(tmp_path / "store")
    journal = Journal.create(paths, START_MS, LIVE_DATA, *OPENING)  # an engine that has the store while it is drilled
    seq, last = journal.seq, LastDrill(paths.drill)
    assert last.read() is None
    held = drill(paths.root, agents=3, halts=2)
    assert (held["flat"], held["agents"], held["halts"]) == (True, 3, 2)
    assert held["positions"] >= 1
    assert 0 < held["key_to_halt_us"] <= held["key_to_halt_worst_us"]
    kept = last.read()
    assert kept is not None
    assert (kept.halt_to_flat_us, kept.at, held["kept_in"]) == (held["halt_to_flat_us"], held["at"], str(paths.drill))
    assert (journal.seq, paths.drill.stat().st_mode & 0o777) == (seq, 0o600)
    journal.close()


def test_the_kill_pane_says_when_the_last_drill_was_and_what_it_took() -> None:
    ((text, ink),) = drill_row(HELD, 90)
    assert (text, ink) == ("Drill 2026-11-29: key to halt 4 ms, halt to flat 283 ms, 11 positions", "dim")


@pytest.mark.parametrize("written", [b"", b"{}", b"[1]", b'{"at": 5}', b"\xff"])
def test_a_record_that_cannot_be_read_is_no_record(tmp_path: Path, written: bytes) -> None:
    paths = StorePaths(tmp_path)
    last = LastDrill(paths.drill)
    save_drill(paths, HELD)
    assert last.read() == HELD
    paths.drill.write_bytes(written)
    assert last.read() is None
