"""The answer parser against bent answers by the million, each held against a checker written in another way.

SOAK_ANSWERS: how many, 2,000,000 when not given. SOAK_SEED: where the stream of them begins.
"""

from __future__ import annotations

import os
import time
from itertools import islice
from random import Random

import pytest

from tests.unit.answer_fuzz import bent, disagreement, outcome

ANSWERS = int(os.environ.get("SOAK_ANSWERS", "2000000"))
SEED = int(os.environ.get("SOAK_SEED", "1"))

pytestmark = pytest.mark.soak


def test_no_bent_answer_crashes_the_parser_or_passes_without_being_valid(capsys: pytest.CaptureFixture[str]) -> None:
    accepted, began = 0, time.monotonic()
    for text in islice(bent(Random(SEED)), ANSWERS):
        found = disagreement(text)
        assert not found, found
        accepted += outcome(text) is not None
    with capsys.disabled():
        took_s = time.monotonic() - began
        print(f"\n{ANSWERS:,} answers, {accepted:,} valid, 0 disagreements, {took_s:.0f} s", flush=True)  # noqa: T201
