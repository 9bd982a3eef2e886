"""Kill switch, approvals and orders, interleaved at random by the hundred thousand.

SOAK_S: seconds, 120 when not given. SOAK_INTERLEAVINGS: how many in all, 100,000 when not given. What was played is
kept in pytest's cache, so that the next soak goes on from there; `pytest --cache-clear` starts anew.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from engine.domain.killing import KillAction
from tests.flow.weaving import Weave, interleave

SOAK_S = float(os.environ.get("SOAK_S", "120"))
INTERLEAVINGS = int(os.environ.get("SOAK_INTERLEAVINGS", "100000"))
A_STORE = 200
"""Interleavings on one store, before the next begins."""

pytestmark = pytest.mark.soak


@pytest.mark.fault("U06", "U11")
def test_nothing_that_adds_exposure_leaves_after_halted_was_acknowledged(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache, until = request.config.cache, time.monotonic() + SOAK_S
    assert cache is not None
    done, began = cache.get("kill-switch/interleavings", 0), time.monotonic()
    first, entries, creates, halts = done, 0, 0, 0
    while done < INTERLEAVINGS and time.monotonic() < until:
        weave = Weave(tmp_path / str(done), KillAction.HALT if done // A_STORE % 2 else KillAction.HALT_AND_FLATTEN)
        rng = random.Random(done)
        for _ in range(A_STORE):
            interleave(weave, rng)
        done += A_STORE
        entries += weave.told.entries
        creates += len(weave.told.creates)
        halts += weave.told.halts
        weave.close()
        cache.set("kill-switch/interleavings", done)
    rate = (done - first) / (time.monotonic() - began)
    with capsys.disabled():
        print(  # noqa: T201 - a soak tells what it does
            f"\nkill switch: {done:,} of {INTERLEAVINGS:,} interleavings, {rate:.0f}/s; in these {done - first:,}: "
            f"{halts:,} halts acknowledged, {creates:,} creates, {entries:,} of them entries, none after a halt",
            end="", flush=True,
        )  # fmt: skip
