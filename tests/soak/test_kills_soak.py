"""Real kills by the hundred, store after store: each round kills one store's engine ten times and lets it settle.

SOAK_S: seconds, 120 when not given. SOAK_KILLS: how many in all, 500 when not given. SOAK_SEED: what draws them; round
R of a seed is always the same. SOAK_DIR: where what is done is kept, so that the next soak goes on from there; a
directory of the system's temporary files when not given.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from pathlib import Path

import pytest

from tests.flow.kill_kit import Nursery, Rig

SOAK_S = float(os.environ.get("SOAK_S", "120"))
KILLS = int(os.environ.get("SOAK_KILLS", "500"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
A_ROUND = 10

pytestmark = pytest.mark.soak


def test_real_kills_at_random_break_no_invariant(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path(os.environ.get("SOAK_DIR") or Path(tempfile.gettempdir()) / "quarterdeck-soak")
    folder.mkdir(parents=True, exist_ok=True)
    state, until, nursery = folder / f"kills-{SEED}.json", time.monotonic() + SOAK_S, Nursery()
    done = json.loads(state.read_text())["kills"] if state.exists() else 0
    try:
        while done < KILLS and time.monotonic() < until:
            struck = one_round(nursery, done // A_ROUND)
            done += A_ROUND
            state.with_suffix(".new").write_text(json.dumps({"kills": done}))
            state.with_suffix(".new").replace(state)
            with capsys.disabled():
                print(f"\nkills: {done} of {KILLS}, seed {SEED}: {', '.join(struck)}", end="", flush=True)  # noqa: T201
    finally:
        nursery.close()
    with capsys.disabled():
        print(f"\nkills: {done} of {KILLS} done; {state} says where the next soak goes on")  # noqa: T201


def one_round(nursery: Nursery, number: int) -> list[str]:
    """Kill one store's engine ten times; return where. A halt or a flatten comes before the last kills of some."""
    rng = random.Random(f"{SEED}/{number}")
    with tempfile.TemporaryDirectory(prefix="qd-soak-") as folder:
        rig, struck = Rig(nursery, Path(folder) / "a"), []
        for _kill in range(A_ROUND):
            struck.append(rig.die_at_random(rng))
            if rng.random() < 0.3:
                rig.live(bars=rng.randint(2, 60))
                rig.check_settled()
        if rng.random() < 0.4:
            rig.live(bars=80, do=f"{rng.choice(['halt', 'flatten'])}@{rng.randint(20, 70)}")
            assert rig.state() == "HALTED"
            creates = rig.created()
            rig.live(bars=5)
            assert rig.state() == "HALTED"
            assert rig.created() == creates, "a halted engine sent something"
        rig.live(bars=60)
        rig.check_settled()
    return struck
