"""The program for as long as SOAK_S says: a month of minutes at full speed, killed at random, on store after store.

SOAK_S: seconds, 120 when not given. SOAK_SEED: what draws the kills; it is printed, and draws the same ones again.
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from engine.runtime import verify
from tests.flow.pty_kit import ROOT, Console, Desk

SOAK_S = float(os.environ.get("SOAK_S", "120"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
RECORDING = ROOT.parent / "shared" / "data" / "candles_1m_btc_2026-01" / "BTCUSDT_1m.csv.gz"
KILLS_MAX = 4
GROWTH_MAX_MIB = 24.0
SETTLED = 0.25
"""By then, of a run, everything that is loaded once has been loaded."""

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not RECORDING.exists(), reason="the BTC recording of ../shared/data is not here"),
]


@dataclass(slots=True)
class Tally:
    """What a soak has done."""

    stores: int = 0
    kills: int = 0
    finished: int = 0
    rows: int = 0
    fills: int = 0
    growths_mib: list[float] = field(default_factory=list)

    def line(self) -> str:
        """Say it on one line."""
        growth = f"{max(self.growths_mib):+.1f} MiB at most" if self.growths_mib else "not measured"
        return (
            f"{self.stores} stores, {self.kills} kills, {self.finished} recordings played to their end, "
            f"{self.rows:,} journal rows and {self.fills:,} fills proven; memory grew {growth}"
        )


@pytest.fixture
def make_desk() -> Iterator[Callable[[], Desk]]:
    """Make a fresh desk; the one before it is closed and thrown away."""
    with tempfile.TemporaryDirectory(prefix="qd-soak-") as folder:
        made: list[Desk] = []

        def make() -> Desk:
            for desk in made:
                desk.close()
            place = Path(folder) / str(len(made))
            place.mkdir()
            made.append(Desk(place, RECORDING, "quick"))
            return made[-1]

        yield make
        for desk in made:
            desk.close()


def test_nothing_is_lost_for_as_long_as_it_runs(
    make_desk: Callable[[], Desk], capsys: pytest.CaptureFixture[str]
) -> None:
    rng, tally, until = random.Random(SEED), Tally(), time.monotonic() + SOAK_S
    while time.monotonic() < until:
        tally.stores += 1
        one_store(make_desk(), rng, until, tally)
        with capsys.disabled():
            print(f"\nsoak, seed {SEED}: {tally.line()}", end="", flush=True)  # noqa: T201 - one line a store, for who watches
    assert tally.kills
    assert not tally.growths_mib or max(tally.growths_mib) < GROWTH_MAX_MIB


def one_store(desk: Desk, rng: random.Random, until: float, tally: Tally) -> None:
    """Kill some consoles on one store, then let one play the recording to its end, or to the end of the time."""
    rows = 0
    for _kill in range(rng.randint(1, KILLS_MAX)):
        console = desk.open(speed=0)
        time.sleep(rng.uniform(0.5, 6))
        console.process.kill()
        assert console.ended() == -signal.SIGKILL
        tally.kills += 1
        rows = proven(desk, rows) if (desk.store / "store.db").exists() else 0
    console = desk.open(speed=0)
    console.shows("ACTIVE")
    if played(desk, console, until, tally):
        tally.finished += 1
    console.press("q")
    assert console.ended() == 0
    tally.rows += proven(desk, rows)
    tally.fills += len(desk.check_books())
    assert desk.ask("incidents") == []


def proven(desk: Desk, rows_before: int) -> int:
    """Verify the store of a console that is gone; returns its rows, which are never fewer than before."""
    report = verify(desk.store)
    assert report.first_breach is None
    assert report.rows >= rows_before
    return report.rows


def played(desk: Desk, console: Console, until: float, tally: Tally) -> bool:
    """Watch a recording being played; says whether it came to its end before the time was up."""
    process, samples = psutil.Process(console.process.pid), []
    while not (finished := desk.ask("status")["finished"]) and time.monotonic() < until:
        console.shows("PAPER")
        samples.append(process.memory_info().rss / 2**20)
        time.sleep(0.25)
    if len(samples) > 20:
        tally.growths_mib.append(samples[-1] - samples[int(len(samples) * SETTLED)])
    return finished
