"""The engine's core: one market event in, everything that follows from it done, in one fixed order.

At an instant: fills of what rested before it, marks, the kill switch, the close of the candle, the slots that are due,
agents in name order; their orders reach the venue after it (DESIGN section 10). Live data and recordings take this
same path; only what drives it differs (R40).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from engine.agents.cycle import Desk, run_cycle
from engine.agents.manager import RunningAgent
from engine.control import failing
from engine.control.acting import act
from engine.control.approving import use
from engine.control.cycles import Cycles
from engine.control.flattening import Flattening
from engine.control.governing import Governor
from engine.control.guarding import Guard
from engine.control.previewed import Seen
from engine.control.shadowing import follow_rejected
from engine.control.unlocking import Unlocking
from engine.control.watching import Watch
from engine.domain.agent import AgentStatus
from engine.domain.events import (
    ApprovalClosed,
    Incident,
    StateChanged,
)
from engine.domain.market import FeedEvent, FeedStatus, Instant, OrderBook, Quote, Source
from engine.domain.policy import Policy, TradingState
from engine.errors import StoreError
from engine.execution.heard import HeardGateway
from engine.execution.latch import SendLatch
from engine.execution.paper import PaperGateway
from engine.execution.reconcile import Reconciler
from engine.execution.resolver import Resolver
from engine.store.drilled import LastDrill
from engine.triggers.schedule import SlotClock

NEVER = -1
# Read at every bar, where a member costs five times what a name does.
_HALTED, _RUNNING = TradingState.HALTED, AgentStatus.RUNNING


class Core:
    """Owns the order of things. Every method runs on the engine's own thread."""

    def __init__(
        self, desk: Desk, gateway: PaperGateway, latch: SendLatch, policy: Policy, agents: Iterable[RunningAgent],
        source: Source, slots: SlotClock | None = None, venue: HeardGateway | None = None,
    ) -> None:  # fmt: skip
        self.desk = desk
        self.journal = desk.journal
        self.books = desk.journal.books
        self.gateway = gateway
        self.latch = latch
        self.policy = policy
        self.agents = {agent.name: agent for agent in sorted(agents, key=lambda one: one.name)}
        self.source = source
        self.slots = slots
        self.venue = venue or HeardGateway(gateway)
        self.reconciler = Reconciler(desk.journal, self.venue, desk.clock)
        self.resolver = Resolver(desk.journal, desk.router, self.venue, desk.clock)
        self.watch = Watch(desk, policy, self.venue, self.halt, partial(act, self))
        self.guard = Guard(desk, policy, self.agents)
        self.governor: Governor | None = None
        self.unlocking: Unlocking | None = None
        self.cycles = Cycles(desk, self._after_cycle, self._cycle_failed)
        self.flattening = Flattening(desk, self.venue, latch, policy)
        self.feed_status: FeedStatus | None = None
        self.data_ms: int | None = None
        self.drilled = LastDrill(desk.journal.paths.drill)
        self.unwritten = ""
        self.previews: dict[str, Seen] = {}
        self._ended = False
        self._calm_seq = NEVER  # the last row that was no hold when nothing was left to do
        self._owed: StateChanged | None = None
        self._on_candle = [a for a in self.agents.values() if a.config.schedule.every_candle]

    def adopt(self, policy: Policy, policy_hash: str) -> None:
        """Let everything that looks at the policy look at another one, from here on."""
        self.policy = self.desk.surroundings.policy = policy
        self.guard.policy = self.flattening.policy = policy
        self.guard.look_again()
        self.desk.policy_hash = policy_hash
        self.watch.adopt(policy)

    @property
    def shown_state(self) -> TradingState:
        """The state a person must see: HALTED as soon as nothing can be sent, before it is on disk."""
        return TradingState.HALTED if self.latch.halted or self.journal.broken else self.books.state

    @property
    def shown_reason(self) -> str:
        """Why trading is in that state; what could not be written comes first."""
        return self.unwritten or self.journal.broken or self.books.state_reason

    @property
    def trader_status(self) -> AgentStatus:
        """The trader is never paused; only the trading state stops a ticket."""
        return AgentStatus.RUNNING

    async def on_event(self, event: FeedEvent) -> None:
        """Take one market event in."""
        if isinstance(event, Instant):
            await self.on_instant(event)
        elif isinstance(event, Quote):
            await self._on_quote(event)
        elif isinstance(event, OrderBook):
            if self.desk.market.on_book(event):
                self.gateway.on_book(event)
                await self._book_fills()
        elif isinstance(event, FeedStatus):
            self.feed_status = event

    async def on_instant(self, instant: Instant) -> None:
        """Take in the candles that closed at an instant, in the order the module's docstring states."""
        market, valuation = self.desk.market, self.desk.surroundings.valuation
        if not instant.warm:
            self.gateway.on_instant(instant)
            if self.gateway.has_news or self.desk.router.owes:
                await self._book_fills()
        for candle in instant.candles:
            valuation.mark(candle.instrument, market.on_candle(candle))
        self.data_ms, self._ended = instant.ts_ms, False
        self.guard.on_candles(instant)
        if self.books.shadows.open:
            follow_rejected(self.desk, self.policy.paper, instant)
        if instant.warm:
            return
        if self.desk.lanes is not None and self.journal.broken is None:
            self.desk.lanes.on_candles(instant.candles)
        if (moved := self.watch.look(instant.ts_ms, confirmed=True)) is not None:
            await moved
        if self.watch.kill.others_moved or not self.watch.health.is_quiet(len(instant.candles)):
            await self.watch.check(instant.ts_ms)
        if self._calm_seq != self.journal.acted_seq or self.slots is not None or self.journal.broken is not None:
            await self._heartbeat_work(instant.ts_ms)
        if self.guard.trailing.is_asked and self.journal.broken is None:
            await self.guard.trailing.on_candles(instant)
        if self.books.state is not _HALTED and not self.latch.halted:
            await self._run_due(instant)
            self.journal.settle()

    async def on_heartbeat(self) -> None:
        """Do what is due by the clock alone: expiries, interval slots, the halt file, a flatten under way."""
        if self.journal.broken is not None:
            self._halt_unwritten(self.journal.broken)
            if self.journal.try_again():
                await self.flattening.mended(self.desk.clock.now_ms())
        if self.books.state is not TradingState.HALTED:
            if self.latch.file_exists:
                await self.halt("HALT file", "a HALT file was put into the store")
            elif self.latch.halted:  # in memory only, so far
                owed = self._owed
                await self.halt(*((owed.actor, owed.reason, owed.evidence) if owed else ("trader", "halted at once")))
        await self.watch.check(self.desk.clock.now_ms())
        await self._heartbeat_work(self.desk.clock.now_ms())
        if self.reconciler.is_due and self.journal.broken is None:
            await self._compare_with_venue()

    async def _compare_with_venue(self) -> None:
        await self._book_fills()
        await self.reconciler.while_running()
        self.resolver.watch()
        await self.halt_on_overfill()

    async def halt_on_overfill(self) -> None:
        """Halt when reconciling has booked more of an order than there was (L5)."""
        if self.reconciler.breach:
            self.desk.router.breach, self.reconciler.breach = self.reconciler.breach, ""
            await self._halt_on_breach()

    async def halt(self, actor: str, reason: str, evidence: str = "") -> bool:
        """Latch memory, then disk (R19). Returns False when trading was halted already; repeating is safe (U11)."""
        self.latch.close()
        if self.books.state is TradingState.HALTED:
            return False
        change = StateChanged(state=TradingState.HALTED, actor=actor, reason=reason, evidence=evidence)
        try:
            self.journal.record(self.desk.clock.now_ms(), change)
            self.unwritten, self._owed = "", None
        except StoreError as error:  # the memory latch holds without a disk (P23); what failed must be seen
            self.unwritten, self._owed = f"{reason}; not written: {error}", change
        return True

    async def catch_up(self, why: str) -> None:
        """After a standstill: hold entries, ask the venue what it did meanwhile, and go on if all is explained."""
        self.latch.held = why
        now_ms = self.desk.clock.now_ms()
        self.watch.health.woke(now_ms)
        self.journal.record(now_ms, Incident(code="STOOD_STILL", text=f"{why}; entries waited for the venue's word"))
        await self._book_fills()
        await self.reconciler.at_start(self.desk.router.sending)
        await self.halt_on_overfill()
        self.latch.held = ""

    def _halt_unwritten(self, problem: str) -> None:
        """What cannot be written down must not trade; the halt itself is written once that works again (P23, P26)."""
        self.latch.close()
        if self._owed is None and self.books.state is not TradingState.HALTED:
            self._owed = StateChanged(state=TradingState.HALTED, actor="store", reason=f"the store failed: {problem}")
            self.unwritten = self._owed.reason

    async def resume(self, actor: str, reason: str) -> None:
        """Let trading go on from here: a person said why (R17). The latch opens once that is on disk."""
        self.watch.rebase()
        change = StateChanged(state=TradingState.ACTIVE, actor=actor, reason=reason)
        self.journal.record(self.desk.clock.now_ms(), change)
        self.unwritten, self._owed = "", None
        self.latch.open()

    async def start_flatten(self, actor: str, reason: str) -> bool:
        """Halt, then close everything; False when a flatten is under way already."""
        began_mono_ms = self.desk.clock.mono_ms()
        await self.halt(actor, reason)
        if not await self.flattening.start(actor, began_mono_ms):
            return False
        await self.flattening.step()
        if self._ended:
            await self.end_of_data()
        return True

    async def take_up(self, now_ms: int) -> None:
        """Take up what a former run left: approvals it asked for expire, a flatten under way goes on."""
        for approval_id in list(self.books.approvals):
            closed = ApprovalClosed(approval_id=approval_id, answer="expired", actor="restart")
            self.journal.record(now_ms, closed)
        await self.resolver.take_up()
        await self.flattening.take_up("restart")
        await self.guard.at_start()
        self.watch.take_up()

    async def approve_all(self, actor: str) -> None:
        """Approve whatever waits, journaled as such: a replay's stand-in for a person (DESIGN section 10)."""
        for approval_id in list(self.desk.approvals.waiting):
            waiting = self.desk.approvals.take(approval_id)
            if waiting is not None:
                await use(self.desk, self.policy, waiting, actor)

    async def end_of_data(self) -> None:
        """Settle what needs a further price that will not come: a flatten under way names its residual."""
        self._ended = True
        await self.flattening.give_up("the recording ended before the next tradable price")

    async def _on_quote(self, quote: Quote) -> None:
        mark = self.desk.market.on_quote(quote)
        if mark is None:
            return
        self.desk.surroundings.valuation.mark(quote.instrument, mark)
        self.watch.health.heard(quote)
        self.data_ms, self._ended = quote.received_ms, False
        self.gateway.on_quote(quote)
        await self._book_fills()
        moved = self.watch.look(self.desk.clock.now_ms(), confirmed=False, instrument=quote.instrument)
        if moved is not None:
            await moved
        await self.flattening.step()
        if self.guard.trailing.is_asked and self.journal.broken is None:
            await self.guard.trailing.on_quote(quote.instrument, mark.price)

    async def _book_fills(self) -> None:
        try:
            self.desk.router.pump()
        except StoreError:  # the fills are kept (P24); prices must go on reaching the kill switch
            if self.journal.broken is None:
                raise
            self._halt_unwritten(self.journal.broken)
        if self.desk.router.breach:
            await self._halt_on_breach()

    async def _halt_on_breach(self) -> None:
        breach, self.desk.router.breach = self.desk.router.breach, ""
        self.journal.record(self.desk.clock.now_ms(), Incident(code="LEDGER_BREACH", text=breach[:300]))
        await self.halt("ledger", breach[:300])

    async def _heartbeat_work(self, now_ms: int) -> None:
        if self.journal.broken is not None:
            await self.flattening.step()
            return
        if self.desk.approvals.waiting:
            self._expire(now_ms)
        if self.books.standing.failing.paused_ms:
            failing.wake(self, now_ms)
        if self.governor is not None and self.governor.waits:
            self.governor.on_clock()
        if self.resolver.has_work:
            await self.resolver.step()
        if self.flattening.is_under_way:
            await self.flattening.step()
        if self.desk.router.breach:
            await self._halt_on_breach()
        if self.guard.has_work:
            await self.guard.beat()
        if self.slots is not None and self.books.state is not TradingState.HALTED:
            for name in self.slots.due(now_ms):
                await self.run_slot(name, now_ms)
        self._calm_seq = NEVER if self._is_busy else self.journal.acted_seq

    @property
    def _is_busy(self) -> bool:
        """Tell whether something is left to do, or may be by the clock alone, though nothing new is written down."""
        return bool(
            self.desk.approvals.waiting
            or self.books.standing.failing.paused_ms
            or (self.governor is not None and self.governor.waits)
            or self.resolver.has_work
            or self.flattening.is_under_way
            or self.desk.router.breach
            or self.guard.has_work
        )

    async def run_slot(self, name: str, slot_ms: int) -> None:
        """Run an agent for a slot of its own schedule, unless trading is halted."""
        if self.shown_state is TradingState.HALTED:
            return
        agent = self.agents[name]
        await self._run(agent, "interval", [key for key in agent.config.instruments if self._is_warm(key, agent)])
        self.journal.settle()

    async def _run_due(self, instant: Instant) -> None:
        """Run the agents whose timeframe closed with this instant, in name order (R28: a slot once)."""
        market = self.desk.market
        for agent in self._on_candle:
            if self.latch.halted:  # by F8 meanwhile: what is left of fifty agents must not hold up the row that says so
                return
            timeframe, mine = agent.config.timeframe_ms, agent.config.instruments
            closed = []
            for candle in instant.candles:
                key = candle.instrument
                if key in mine and market.closed_at(key, timeframe) == instant.ts_ms:
                    closed.append(key)
            if closed:
                await self._run(agent, "candle", closed)

    async def _run(self, agent: RunningAgent, trigger: str, instruments: list[str]) -> None:
        if self.books.agent_status.get(agent.config.name) is not _RUNNING or not instruments:
            return
        if self.books.standing.failing.until_ms and self.desk.clock.now_ms() < failing.waits_until(self, agent):
            return
        if agent.waits:
            await self.cycles.run(agent, trigger, instruments)
            return
        await run_cycle(self.desk, agent, trigger, instruments)
        if self.desk.router.breach or agent.failures:
            await self._after_cycle(agent)

    async def _cycle_failed(self, why: str) -> None:
        await self.halt("engine", why)

    async def _after_cycle(self, agent: RunningAgent) -> None:
        if self.desk.router.breach:
            await self._halt_on_breach()
        if agent.failures:
            failing.after_failure(self, agent)

    def _expire(self, now_ms: int) -> None:
        for waiting in self.desk.approvals.expired(now_ms):
            self.desk.approvals.take(waiting.intent.intent_id)
            closed = ApprovalClosed(approval_id=waiting.intent.intent_id, answer="expired", actor="clock")
            self.journal.record(now_ms, closed)

    def _is_warm(self, instrument: str, agent: RunningAgent) -> bool:
        return self.desk.market.closed_at(instrument, agent.config.timeframe_ms) is not None
