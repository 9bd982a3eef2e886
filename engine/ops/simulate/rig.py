"""One life of the engine: the real store, router, latch, gate, reconcile and flatten, wired as the console does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from engine.clock import ManualClock
from engine.domain.agent import AgentConfig, AgentLimits, Protection
from engine.domain.books import Books
from engine.domain.decision import DecisionDraft, Direction
from engine.domain.events import EngineStarted, Incident, StateChanged
from engine.domain.intent import Intent
from engine.domain.money import ONE, round_price
from engine.domain.policy import AccountLimits, Policy, TradingState
from engine.domain.valuation import Mark, Valuation
from engine.errors import QuarterdeckError, StoreError
from engine.execution.flatten import Flatten
from engine.execution.latch import SendLatch
from engine.execution.reconcile import Reconciler
from engine.execution.resolver import Resolver
from engine.execution.router import Prepared, Router
from engine.ids import cycle_id
from engine.market.state import MarketState
from engine.ops.simulate.gateway import GarbledAnswerError, SimGateway
from engine.ops.simulate.plan import AGENTS, INSTRUMENTS, Act
from engine.ops.simulate.stage import SOURCE, SPECS
from engine.paths import StorePaths
from engine.risk.gate import judge
from engine.risk.surroundings import Surroundings
from engine.store.journal import Journal

POLICY = Policy(
    limits=AccountLimits(
        open_positions=20, trades_per_day=1000, gross_exposure_frac=Decimal(9), risk_per_trade_frac=Decimal("0.03"),
        price_collar_frac=Decimal("0.5"), net_exposure_frac=Decimal(9), leverage=Decimal(9),
        group_share_frac=Decimal(9),
    )
)  # fmt: skip
VENUE_ERRORS = (QuarterdeckError, GarbledAnswerError)


@dataclass(frozen=True, slots=True)
class Protocol:
    """The parts that a life is made of; a mutant replaces one of them."""

    name: str = ""
    gateway: type[SimGateway] = SimGateway
    journal: type[Journal] = Journal
    router: type[Router] = Router
    resolver: type[Resolver] = Resolver
    latch: type[SendLatch] = SendLatch
    flatten: type[Flatten] = Flatten
    surroundings: type[Surroundings] = Surroundings
    reconciler: type[Reconciler] = Reconciler


def agent_config(name: str) -> AgentConfig:
    """Return one of the two agents: alfa asks for stop and target, bravo for a stop alone."""
    target = Decimal("0.04") if name == AGENTS[0] else None
    return AgentConfig(
        name=name, model="scripted:simulate", instruments=INSTRUMENTS, timeframe_ms=60_000,
        limits=AgentLimits(
            trades_per_day=1000, position_notional_max=Decimal(6000), portfolio_share_frac=Decimal(1),
            cooldown_after_loss_ms=0,
        ),
        protection=Protection(stop_frac=Decimal("0.02"), target_frac=target),
    )  # fmt: skip


CONFIGS = {name: agent_config(name) for name in AGENTS}


class Rig:
    """An engine from its start to its death. armed: it has reconciled since, and may trade (R14)."""

    def __init__(
        self, protocol: Protocol, journal: Journal, gateway: SimGateway, clock: ManualClock, market: MarketState,
        prices: dict[str, Decimal],
    ) -> None:  # fmt: skip
        self.protocol = protocol
        self.journal = journal
        self.gateway = gateway
        self.clock = clock
        self.prices = prices
        self.armed = False
        self.flattening: Flatten | None = None
        self.owed: StateChanged | None = None
        self.latch = protocol.latch(self.books, journal.paths.halt_latch)
        if self.books.state is TradingState.HALTED:
            self.latch.close()
        self.valuation = Valuation("USD", POLICY.usd_peg)
        for spec in SPECS:
            self.valuation.list_instrument(spec)
        self.surroundings = protocol.surroundings(self.books, market, self.valuation, POLICY)
        store_id = self.books.genesis.store_id if self.books.genesis else ""
        self.router = protocol.router(journal, gateway, self.latch, clock, store_id, self.surroundings.shortfall)
        self.reconciler = protocol.reconciler(journal, gateway, clock)
        self.resolver = protocol.resolver(journal, self.router, gateway, clock)

    @property
    def books(self) -> Books:
        return self.journal.books

    @property
    def paths(self) -> StorePaths:
        return self.journal.paths

    @property
    def halted(self) -> bool:
        """Whether nothing that adds exposure may leave, by anything that says so."""
        return self.latch.halted or self.books.state is TradingState.HALTED or self.paths.halt_latch.exists()

    def mark_prices(self) -> None:
        """Let the account be valued at the venue's prices of now."""
        for key, price in self.prices.items():
            self.valuation.mark(key, Mark(price, self.clock.now_ms(), SOURCE))

    # Starting, as runtime.compose.arm does it.

    async def arm(self) -> None:
        """Reconcile, take up a flatten under way, and only then let trade."""
        self.journal.record(self.clock.now_ms(), EngineStarted(epoch=self.journal.epoch, source_label="SIMULATED"))
        await self.reconciler.at_start()
        self.halt_on_breach()
        await self.resolver.take_up()
        if self.books.flatten_id:
            self.flattening = self._new_flatten("restart")
            await self.flattening.take_up(self.books.flatten_id)
        self.armed = True

    # What agents and the trader do.

    async def enter(self, act: Act) -> None:
        """Let an agent buy: at a limit, or at the market for every third amount; both instruments for every fourth."""
        wanted = INSTRUMENTS if act.amount % 4 == 0 else (act.instrument,)
        await self._decide(act, [self._buy(act, instrument) for instrument in wanted])

    def _buy(self, act: Act, instrument: str) -> DecisionDraft:
        price = self.prices[instrument]
        limit = round_price(price * (ONE - Decimal(act.amount % 5) / 200), Decimal("0.01"), up=False)
        return DecisionDraft(
            instrument=instrument, direction=Direction.BUY, rationale="", confidence=ONE,
            quantity=Decimal(5 + act.amount % 60), limit_price=limit if act.amount % 3 else None,
        )  # fmt: skip

    async def leave(self, act: Act) -> None:
        """Let an agent sell all it has, or half."""
        held = self.books.position(act.agent, act.instrument).qty
        part = (held / 2).quantize(Decimal("0.001")) if act.amount % 2 else None
        draft = DecisionDraft(
            instrument=act.instrument, direction=Direction.SELL, rationale="", confidence=ONE, quantity=part
        )
        await self._decide(act, [draft])

    async def _decide(self, act: Act, drafts: list[DecisionDraft]) -> None:
        """Judge, write all that may leave in one record, then send one after the other, as a cycle does."""
        self.mark_prices()
        now_ms = self.clock.now_ms()
        cycle = cycle_id(act.agent, now_ms)
        orders: list[Prepared] = []
        for draft in drafts:
            order = self._judge(act.agent, cycle, draft, now_ms, [each.intent for each in orders])
            orders += [order] if order is not None else []
        if orders:
            self.journal.record(now_ms, *(event for order in orders for event in order.events))
        for order in orders:
            await self.router.send(order)
            self.halt_on_breach()

    def _judge(
        self, agent: str, cycle: str, draft: DecisionDraft, now_ms: int, beside: Sequence[Intent]
    ) -> Prepared | None:
        decision = f"{cycle}:{draft.instrument}"
        ruling = judge(self.surroundings.gather(CONFIGS[agent], draft, decision, now_ms, beside), cycle, decision)
        return None if ruling.intent is None else self.router.prepare(ruling.intent)

    async def cancel(self, agent: str | None, protection: bool) -> None:
        """Ask for the cancel of an agent's working orders, or of all."""
        wanted = [o for o in self.books.working(agent) if protection or not o.role.is_protection]
        await self.router.cancel([order.client_order_id for order in wanted])

    def halt(self, actor: str, reason: str) -> None:
        """Latch memory, then disk (R19)."""
        self.latch.close()
        if self.books.state is TradingState.HALTED:
            return
        change = StateChanged(state=TradingState.HALTED, actor=actor, reason=reason)
        try:
            self.journal.record(self.clock.now_ms(), change)
            self.owed = None
        except StoreError:
            self.owed = change

    def resume(self) -> None:
        """Let trading go on, as a person may say once nothing stands against it."""
        if self.flattening is not None or not self.latch.halted or self.paths.halt_latch.exists():
            return
        change = StateChanged(state=TradingState.ACTIVE, actor="trader", reason="looked at it")
        self.journal.record(self.clock.now_ms(), change)
        self.owed = None
        self.latch.open()

    async def start_flatten(self) -> None:
        """Halt, then close everything."""
        self.halt("trader", "flatten")
        if self.flattening is None:
            self.mark_prices()
            self.flattening = self._new_flatten("trader")
            await self.flattening.begin()

    def _new_flatten(self, actor: str) -> Flatten:
        return self.protocol.flatten(self.journal, self.router, self.gateway, self.valuation, self.clock, actor)

    # What the clock does.

    async def beat(self) -> None:
        """Do what is due by the clock alone, as control.core does it."""
        if not self.armed:
            await self.arm()
            return
        if self.journal.broken is not None:
            self.journal.try_again()
        if self.books.state is not TradingState.HALTED:
            if self.paths.halt_latch.exists():
                self.halt("HALT file", "a HALT file was put into the store")
            elif self.latch.halted:
                self.halt("trader", self.owed.reason if self.owed else "halted at once")
        self.router.pump()
        self.halt_on_breach()
        self.mark_prices()
        if self.resolver.has_work:
            await self.resolver.step()
        if self.flattening is not None and await self.flattening.step() is not None:
            self.flattening = None
        if self.reconciler.is_due and self.journal.broken is None:
            self.router.pump()
            await self.reconciler.while_running()
            self.resolver.watch()
        self.halt_on_breach()

    async def reconnect(self) -> None:
        """Ask the venue for all that a lost connection may have swallowed (E25)."""
        await self.reconciler.at_start(self.router.sending)
        self.halt_on_breach()

    def halt_on_breach(self) -> None:
        """Halt when an order has filled beyond its quantity (L5)."""
        breach = self.router.breach or self.reconciler.breach
        if breach:
            self.router.breach = self.reconciler.breach = ""
            self.journal.record(self.clock.now_ms(), Incident(code="LEDGER_BREACH", text=breach[:300]))
            self.halt("ledger", breach[:300])
