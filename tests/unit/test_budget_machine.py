"""Every order of holds, answers, failures, crashes, days and changes of caps keeps what B1 to B6 promise."""

from __future__ import annotations

import shutil
import tempfile
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.domain.budget import Cap, Purpose, Window
from engine.llm.meter import BudgetCode, Hold, Usage
from engine.store.verify import verify
from tests.memory import MEMORY
from tests.unit.meter_kit import DAY_MS, TIER, MeterBench, capped

AGENTS = ("a", "b")
MODELS = ("acme:small", "acme:large", "other:one")
HOURS = st.sampled_from((1, 5, 24, 24 * 31, -24))
Open = tuple[Hold, int, int, int, int]


def month(day: int) -> int:
    """Months since 1970, counted the long way."""
    from datetime import UTC, datetime, timedelta

    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
    return at.year * 12 + at.month - 1


class Budget(RuleBasedStateMachine):
    """A meter beside a plain account of what it has let through.

    spent: what was charged, by the day its hold was made in, the latest seen. windows never go back.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="budget-", dir=MEMORY))
        self.bench = MeterBench(self.root / "store", capped("0.05", 20_000))
        self.open: list[Open] = []
        self.spent: list[tuple[int, Decimal, int]] = []
        self.day = -1
        self.billed_above = False
        self.is_off = False

    def teardown(self) -> None:
        self.bench.journal.close()
        assert verify(self.bench.paths).first_breach is None
        shutil.rmtree(self.root)

    def _today(self) -> int:
        self.day = max(self.day, self.bench.clock.now_ms() // DAY_MS)
        return self.day

    def _totals(self, in_window: int, of: object) -> tuple[Decimal, int]:
        key = month if of is month else int
        usd = sum((usd for day, usd, _tokens in self.spent if key(day) == in_window), Decimal(0))
        tokens = sum(tokens for day, _usd, tokens in self.spent if key(day) == in_window)
        for hold, day, asked, answered, _n in self.open:
            if key(day) == in_window:
                usd, tokens = usd + hold.usd, tokens + asked + answered
        return usd, tokens

    @rule(agent=st.sampled_from(AGENTS), model=st.sampled_from(MODELS), asked=st.integers(1, 3000),
          answered=st.integers(1, 900), purpose=st.sampled_from((None, *Purpose)))  # fmt: skip
    def hold(self, agent: str, model: str, asked: int, answered: int, purpose: Purpose | None) -> None:
        day = self._today()
        (usd, tokens), cap = self._totals(day, int), self.bench.in_force[0]
        given = self.bench.hold(asked, answered, agent=agent, model=model, purpose=purpose)
        worst = (TIER.input * asked + TIER.output * answered).scaleb(-6)
        if isinstance(given, Hold):
            assert not self.is_off
            assert given.usd == worst
            assert self.bench.journal.books.spend.holds[given.hold_id].purpose is purpose
            month_usd, month_tokens = self._totals(month(day), month)
            month_cap, total = self.bench.in_force[1], asked + answered
            assert usd + worst <= cap.usd
            assert tokens + total <= cap.tokens
            assert month_usd + worst <= month_cap.usd
            assert month_tokens + total <= month_cap.tokens
            self.open.append((given, day, asked, answered, len(self.open)))
        elif given.code is BudgetCode.AI_OFF:
            assert self.is_off
        else:
            month_usd, month_tokens = self._totals(month(day), month)
            month_cap = self.bench.in_force[1]
            total = asked + answered
            assert (
                usd + worst > cap.usd
                or tokens + total > cap.tokens
                or month_usd + worst > month_cap.usd
                or month_tokens + total > month_cap.tokens
            )

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 99), share=st.integers(1, 100))
    def answer(self, which: int, share: int) -> None:
        hold, day, asked, answered, _n = self.open.pop(which % len(self.open))
        usage = Usage(input_tokens=max(1, asked * share // 100), output_tokens=max(1, answered * share // 100))
        usd = self.bench.meter.post(hold, usage)
        assert usd <= hold.usd
        self.spent.append((day, usd, usage.input_tokens + usage.output_tokens))

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 99))
    def fail(self, which: int) -> None:
        hold, day, asked, answered, _n = self.open.pop(which % len(self.open))
        assert self.bench.meter.post(hold, None) == hold.usd
        self.spent.append((day, hold.usd, asked + answered))

    @precondition(lambda self: self.open)
    @rule()
    def bill_above_the_hold(self) -> None:
        hold, day, asked, answered, _n = self.open.pop()
        usage = Usage(input_tokens=asked + 1, output_tokens=answered + 1)
        usd = self.bench.meter.post(hold, usage)
        assert usd > hold.usd
        self.spent.append((day, usd, asked + answered + 2))
        self.is_off = self.billed_above = True

    @rule()
    def crash_and_start_again(self) -> None:
        self.bench.journal.close()
        again = MeterBench(self.root / "store", self.bench.in_force)
        again.clock.set_ms(self.bench.clock.now_ms())
        self.bench = again
        assert again.meter.post_left_open(again.clock.now_ms()) == len(self.open)
        for hold, day, asked, answered, _n in self.open:
            self.spent.append((day, hold.usd, asked + answered))
        self.open.clear()

    @rule(hours=HOURS)
    def time_passes_or_the_clock_is_set_back(self, hours: int) -> None:
        self._today()
        self.bench.clock.set_ms(self.bench.clock.now_ms() + hours * 3_600_000)

    @rule(cents=st.integers(0, 9), tokens=st.integers(0, 30_000))
    def caps_change(self, cents: int, tokens: int) -> None:
        usd = Decimal(cents) / 100
        self.bench.in_force = (Cap("", Window.DAY, usd, tokens), Cap("", Window.MONTH, usd * 2, tokens * 2))

    @precondition(lambda self: self.is_off and self.bench.clock.now_ms() // DAY_MS >= self.day)
    @rule()
    def a_person_switches_models_on(self) -> None:
        self.bench.meter.switch(True, "looked at the bill", "trader")
        self.is_off = False

    @invariant()
    def the_book_is_what_was_let_through(self) -> None:
        spend = self.bench.journal.books.spend
        assert spend.total.usd == sum((usd for _day, usd, _tokens in self.spent), Decimal(0))
        assert set(spend.holds) == {hold.hold_id for hold, *_rest in self.open}
        held = [day for _hold, day, *_rest in self.open] + [day for day, *_rest in self.spent]
        if held and spend.day == max(held):
            spent, (reserved, tokens) = spend.spent(Window.DAY), spend.reserved(Window.DAY)
            assert (spent.usd + reserved, spent.tokens + tokens) == self._totals(spend.day, int)

    @invariant()
    def spent_and_reserved_are_within_the_highest_cap_there_was_B2(self) -> None:
        spend = self.bench.journal.books.spend
        if self.billed_above:
            return
        for window, most in ((Window.DAY, "0.09"), (Window.MONTH, "0.5")):
            assert spend.spent(window).usd + spend.reserved(window)[0] <= Decimal(most)


Budget.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=(HealthCheck.too_slow,),
    derandomize=True,
)
test_the_budget_holds_in_every_order_of_events = Budget.TestCase
