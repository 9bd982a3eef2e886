"""Kill switch, approvals and orders together: after HALTED is acknowledged nothing that adds exposure leaves."""

from __future__ import annotations

import random
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.domain.decision import Direction
from engine.domain.killing import KillAction
from engine.domain.policy import TradingState
from tests.flow.weaving import KINDS, Weave, interleave

PRICE = st.sampled_from([Decimal(each) for each in (50_000, 50_100, 49_000, 47_000, 44_000)])


class Killing(RuleBasedStateMachine):
    """Whatever begins, goes on or ends, in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="qd-weave-")

    @initialize(action=st.sampled_from(KillAction))
    def open(self, action: KillAction) -> None:
        self.weave = Weave(Path(self.folder.name) / "s", action)

    @rule(kind=st.sampled_from(KINDS), price=PRICE, direction=st.sampled_from([Direction.BUY, Direction.FLAT]))
    def begin(self, kind: str, price: Decimal, direction: Direction) -> None:
        self.weave.begin(kind, price, direction)

    @rule(place=st.integers(0, 4))
    def go_on(self, place: int) -> None:
        self.weave.advance(place)

    @rule(price=PRICE)
    def bar_to_its_end(self, price: Decimal) -> None:
        self.weave.begin("bar", price)
        self.weave.finish()

    @invariant()
    def what_is_halted_in_the_journal_is_halted_at_the_send(self) -> None:
        weave = self.weave
        if weave.books.state is TradingState.HALTED:
            assert weave.core.shown_state is TradingState.HALTED
        if weave.told.acknowledged and not any(task.kind == "resume" for task in weave.tasks):
            assert weave.core.shown_state is TradingState.HALTED

    def teardown(self) -> None:
        self.weave.finish()
        self.weave.close()
        self.folder.cleanup()


TestKilling = Killing.TestCase
TestKilling.settings = settings(
    max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestKilling.pytestmark = [pytest.mark.fault("U06", "U11")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", [1])
def test_interleavings_send_entries_and_halt(tmp_path: Path, seed: int) -> None:
    weave, rng = Weave(tmp_path / "s"), random.Random(seed)
    many(weave, rng, 20)
    assert (weave.told.entries > 3, weave.told.halts > 3) == (True, True)
    weave.close()


def test_latch_that_lets_everything_pass_is_found(tmp_path: Path) -> None:
    weave, rng = Weave(tmp_path / "s"), random.Random(1)
    weave.core.latch.refusal = lambda intent: ""  # type: ignore[method-assign]  # the defect that must be found
    with pytest.raises(AssertionError, match="left after HALTED was acknowledged"):
        many(weave, rng, 50)
    weave.close()


def many(weave: Weave, rng: random.Random, count: int) -> None:
    for _ in range(count):
        interleave(weave, rng)
