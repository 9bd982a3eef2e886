"""Trades that wait, answered in every order, by several hands, while price, policy, clock and trading state move."""

from __future__ import annotations

import tempfile
from collections.abc import Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine import api
from engine.agents.cycle import Desk
from engine.control.core import Core
from engine.control.handlers import Handlers
from engine.domain.agent import AgentConfig, AgentLimits, AgentStatus
from engine.domain.decision import DecisionDraft, Direction
from engine.domain.events import AgentChanged
from engine.domain.market import Candle, Instant, Source, SourceKind
from engine.domain.policy import Policy, TradingState
from engine.domain.valuation import Mark, Valuation
from engine.ids import client_order_id
from engine.market.state import MarketState
from engine.risk.approvals import Approvals, Waiting, digest_of
from engine.risk.gate import judge
from engine.risk.surroundings import Surroundings
from tests.unit.desk_kit import BTC, START_MS, STORE_ID, Bench, FakeVenue

MINUTE_MS = 60_000
TTL_MS = 5 * MINUTE_MS
SOURCE = Source(kind=SourceKind.SIMULATED, name="test")
LIMITS = AgentLimits(qty_fixed=Decimal("0.001"), confidence_min=Decimal(0))
POLICY = Policy()
ANY = st.integers(0, 1_000)


class Market(FakeVenue):
    """A fake venue that no candle moves."""

    def on_instant(self, instant: Instant) -> None:
        """Do nothing."""


def done(work: Coroutine[Any, Any, Any]) -> Any:
    """Drive what never suspends to its end."""
    try:
        work.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited for something")


class Queue(RuleBasedStateMachine):
    """One engine before a venue that takes everything; asked: every trade that ever waited, by id."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.bench = bench = Bench(Path(self.folder.name) / "s", Market())
        valuation, market = Valuation("USD", ("USDT",)), MarketState(MINUTE_MS)
        valuation.list_instrument(BTC)
        self.around = Surroundings(bench.books, market, valuation, POLICY)
        self.desk = Desk(bench.journal, market, self.around, Approvals(), bench.router, bench.clock, "policy 0")
        self.core = Core(self.desk, bench.venue, bench.latch, POLICY, [], SOURCE)  # type: ignore[arg-type]
        self.handlers = Handlers(self.core, self._nothing)
        self.asked: dict[str, Waiting] = {}
        self.sent: set[str] = set()
        self.price = Decimal(50_000)
        for place in range(6):
            at = START_MS + (place - 6) * MINUTE_MS
            market.on_candle(
                Candle(BTC.key, at, MINUTE_MS, self.price, self.price, self.price, self.price, Decimal(1), SOURCE)
            )
        self._mark()

    async def _nothing(self, name: str, args: dict[str, str]) -> Any:
        raise AssertionError(f"nothing here reads {name} {args}")

    def teardown(self) -> None:
        self.bench.journal.close()
        self.folder.cleanup()

    def _mark(self) -> None:
        self.around.valuation.mark(BTC.key, Mark(self.price, self.bench.clock.now_ms(), SOURCE))

    @rule()
    def ask(self) -> None:
        name, now_ms = f"a{len(self.asked)}", self.bench.clock.now_ms()
        running = AgentChanged(agent=name, status=AgentStatus.RUNNING, actor="test")
        self.bench.journal.record(now_ms, running)
        agent = AgentConfig(name=name, model="m", instruments=(BTC.key,), timeframe_ms=MINUTE_MS, limits=LIMITS)
        draft = DecisionDraft(instrument=BTC.key, direction=Direction.BUY, rationale="why", confidence=Decimal(1))
        decision_id = f"{name}.1:{BTC.key}"
        ruling = judge(self.around.gather(agent, draft, decision_id, now_ms), f"{name}.1", decision_id)
        if ruling.intent is None:
            return  # halted, or the price is too old: there is nothing to ask about
        price_ms = self.around.valuation.marks[BTC.key].ts_ms
        waiting = Waiting(
            intent=ruling.intent, agent=agent, draft=draft, checks=ruling.assessment.checks, before_qty=Decimal(0),
            digest=digest_of(ruling.intent, self.desk.policy_hash, price_ms), expires_ms=now_ms + TTL_MS,
            policy_hash=self.desk.policy_hash, price_ms=price_ms, asked_ms=now_ms,
        )  # fmt: skip
        self.bench.journal.record(now_ms, self.desk.approvals.ask(waiting))
        self.asked[decision_id] = waiting

    @rule(part=st.integers(-20, 20))
    def move(self, part: int) -> None:
        self.price = Decimal(50_000) + 50 * part
        self._mark()

    @rule(later_s=st.integers(1, 400))
    def wait(self, later_s: int) -> None:
        self.bench.clock.advance_ms(later_s * 1000)
        self._mark()

    @rule()
    def tick(self) -> None:
        done(self.core.on_heartbeat())

    @rule(version=st.integers(0, 1))
    def adopt(self, version: int) -> None:
        self.desk.policy_hash = f"policy {version}"

    @rule()
    def halt(self) -> None:
        assert done(self.handlers.handle(api.Halt())).ok

    @rule()
    def resume(self) -> None:
        assert done(self.handlers.handle(api.Resume(reason="seen to"))).ok

    @precondition(lambda self: self.asked)
    @rule(which=ANY, right=st.booleans(), hand=st.sampled_from(["here", "there"]))
    def approve(self, which: int, right: bool, hand: str) -> None:
        approval_id = sorted(self.asked)[which % len(self.asked)]
        waiting, was = self.asked[approval_id], approval_id in self.desk.approvals.waiting
        code = waiting.code if right else "????"
        reply = done(self.handlers.handle(api.Approve(approval_id=approval_id, code=code, actor=hand)))
        if reply.ok:
            assert was
            assert right
            assert approval_id not in self.sent
            assert self.bench.clock.now_ms() < waiting.expires_ms
            assert self.desk.policy_hash == waiting.policy_hash
            assert abs(self.price / waiting.intent.price - 1) <= POLICY.limits.decision_drift_frac
            assert self.bench.books.state is TradingState.ACTIVE
            self.sent.add(approval_id)
        elif not right:
            assert (approval_id in self.desk.approvals.waiting) == was

    @precondition(lambda self: self.asked)
    @rule(which=ANY)
    def reject(self, which: int) -> None:
        approval_id = sorted(self.asked)[which % len(self.asked)]
        was = approval_id in self.desk.approvals.waiting
        assert done(self.handlers.handle(api.Reject(approval_id=approval_id, note="no"))).ok == was

    @invariant()
    def what_left_was_approved_and_left_once(self) -> None:
        created = [request.client_order_id for request in self.bench.venue.created]
        assert sorted(created) == sorted(client_order_id(STORE_ID, each) for each in self.sent)

    @invariant()
    def memory_and_journal_agree_on_what_waits(self) -> None:
        assert set(self.desk.approvals.waiting) == set(self.bench.books.approvals)


@pytest.mark.fault("U06", "U07", "U08", "U09")
class TestQueue(Queue.TestCase):
    settings = settings(max_examples=12, stateful_step_count=30, deadline=None)
