"""Any interleaving of proposals, answers, edits and restarts: nothing is loosened but what was approved (R24, S6)."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.domain.governance import PolicyChange
from engine.domain.intent import Mode
from engine.domain.policy_book import PolicyBook
from engine.errors import QuarterdeckError
from engine.governance.document import differences, loosening
from engine.governance.versions import document_of
from tests.unit.governance_kit import PASSPHRASE, Desk, with_cooling, with_positions
from tests.unit.situations import AGENT

COOLING_MS = 600_000
FIELDS = ("limits.open_positions", "limits.trades_per_day")
TRADES = (5, 50, 100, 200)
counts = st.integers(0, 12)
MOSTLY = st.sampled_from((True, True, True, True, False))


class Governing(RuleBasedStateMachine):
    """granted: version -> the diffs that the admin approved on it, rightly, and has not taken back."""

    @initialize(mode=st.sampled_from(list(Mode)), cooling=st.sampled_from((0, COOLING_MS)))
    def begin(self, mode: Mode, cooling: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.base = with_cooling(cooling, with_positions(5))
        self.cooling = cooling
        self.desk = Desk(self.base, mode)
        self.granted: dict[str, tuple[int, int, tuple[PolicyChange, ...]]] = {}
        self.before = self.book.version, document_of(self.book).policy
        self.armed_at = self.desk.clock.now_ms()
        self.trades = AGENT.limits.trades_per_day

    @property
    def book(self) -> PolicyBook:
        return self.desk.books.governance

    @rule(field=st.sampled_from(FIELDS), value=counts)
    def propose(self, field: str, value: int) -> None:
        with contextlib.suppress(QuarterdeckError):
            self.desk.governor.propose({field: str(value)}, "why not")

    @precondition(lambda self: self.book.requests)
    @rule(data=st.data(), right=MOSTLY, seen=MOSTLY)
    def approve(self, data: st.DataObject, right: bool, seen: bool) -> None:
        request = self.book.requests[data.draw(st.sampled_from(sorted(self.book.requests)))]
        on, now_ms = self.book.version, self.desk.clock.now_ms()
        fits = right and seen and request.base_version == on and not request.is_approved
        if fits and now_ms >= self.book.locked_until_ms:
            self.granted[request.request_id] = (on, now_ms, request.changes)
        asked = self.desk.governor.approve(
            request.request_id, request.code if seen else "XXXX", PASSPHRASE if right else "guess", "", "admin"
        )
        with contextlib.suppress(QuarterdeckError):
            self.loop.run_until_complete(asked)

    @precondition(lambda self: self.book.requests)
    @rule(data=st.data())
    def reject(self, data: st.DataObject) -> None:
        request_id = data.draw(st.sampled_from(sorted(self.book.requests)))
        with contextlib.suppress(QuarterdeckError):
            self.loop.run_until_complete(self.desk.governor.reject(request_id, PASSPHRASE, "", "admin"))
            self.granted.pop(request_id, None)

    @rule(ms=st.sampled_from((1, COOLING_MS // 2, COOLING_MS, 86_400_000)))
    def wait(self, ms: int) -> None:
        self.desk.tick(ms)

    @rule(value=st.sampled_from(TRADES))
    def propose_for_the_agent(self, value: int) -> None:
        with contextlib.suppress(QuarterdeckError):
            self.desk.governor.propose({"agents.a.limits.trades_per_day": str(value)}, "why not")

    @rule(
        trades=st.sampled_from(TRADES),
        positions=counts,
        environ=st.sampled_from(({}, {"QUARTERDECK_LIMITS_OPEN_POSITIONS": "2"})),
    )
    def restart(self, trades: int, positions: int, environ: dict[str, str]) -> None:
        self.armed_at = self.desk.clock.now_ms()
        agent = replace(AGENT, limits=replace(AGENT.limits, trades_per_day=trades))
        self.desk.start(with_positions(positions, self.base), environ, agent)

    @invariant()
    def nothing_is_looser_than_what_was_approved(self) -> None:
        version, old = self.before
        new = document_of(self.book).policy
        self.before = self.book.version, new
        assert self.book.breach == ""
        loosened = loosening(differences(old, new))
        if not loosened:
            return
        matching = [on for on, at, changes in self.granted.values() if changes == loosened and self._is_due(on, at)]
        assert matching, (loosened, self.granted)
        assert self.book.version > version

    def _is_due(self, on: int, approved_ms: int) -> bool:
        from_ms = approved_ms + self.cooling
        armed = self.armed_at >= from_ms if self.desk.mode is Mode.LIVE else True
        return self.desk.clock.now_ms() >= from_ms and armed and on < self.book.version

    @invariant()
    def no_agent_runs_looser_than_what_was_approved(self) -> None:
        before, now = self.trades, self.desk.agents["a"].config.limits.trades_per_day
        self.trades = now
        if now > before:
            assert any(
                (change.field, change.new) == ("agents.a.limits.trades_per_day", str(now)) and self._is_due(on, at)
                for on, at, changes in self.granted.values()
                for change in changes
            ), (before, now, self.granted)

    @invariant()
    def what_is_enforced_is_never_looser_than_the_version_in_force(self) -> None:
        assert loosening(differences(document_of(self.book).policy, self.desk.policy)) == ()

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()


TestGoverning = Governing.TestCase
TestGoverning.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
