"""Build an engine from plain arguments: who gets what, on one page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from engine.agents.context import frames_read
from engine.agents.cycle import Desk
from engine.agents.keeping import Keeper
from engine.agents.lanes import LaneRunner, second_agents
from engine.agents.manager import hire
from engine.clock import Clock, ManualClock
from engine.config import config_hash
from engine.config.providers import TIMEOUT_MS
from engine.control.admin import AdminSecret
from engine.control.core import Core
from engine.control.governing import Governor, Ruled, registered
from engine.control.stream import Stream
from engine.control.unlocking import Unlocking
from engine.domain.agent import AgentConfig, AgentStatus, Schedule
from engine.domain.books import Books
from engine.domain.caps import caps_of
from engine.domain.events import (
    AgentChanged,
    EngineStarted,
    Event,
    FundsMoved,
    Genesis,
    InstrumentListed,
    RecordingOpened,
    StateChanged,
)
from engine.domain.instrument import Instrument
from engine.domain.intent import Mode
from engine.domain.market import Source, SourceKind
from engine.domain.policy import Policy, TradingState
from engine.domain.prices import NO_PRICES, PriceList
from engine.domain.provider import BUILT_IN, Provider
from engine.domain.valuation import Valuation
from engine.errors import StoreError, UsageError
from engine.execution.heard import HeardGateway
from engine.execution.latch import SendLatch
from engine.execution.paper import PaperGateway
from engine.execution.paper_store import PaperStore
from engine.execution.router import Router
from engine.keys import Keychain, KeyFile, find_key
from engine.llm.client import ModelClient
from engine.llm.journal_meter import JournalMeter
from engine.market.state import MarketState
from engine.paths import StorePaths, config_dir
from engine.risk.approvals import Approvals
from engine.risk.surroundings import Surroundings
from engine.runtime.models import Models
from engine.store.emergency import EmergencyFile
from engine.store.journal import Journal
from engine.store.prompts import PromptStore
from engine.triggers.schedule import SlotClock, WallSchedule, is_timed

SCHEMA = 1
ClientFinder = Callable[[AgentConfig], ModelClient]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an engine is made of. interval_ms: length of the feed's candles; recordings: the files prices come from.

    policy: what the file and the flags ask for; what of it is in force, the store decides (R24). environ: variables
    that may tighten it; none in a replay, which must not depend on the machine. admin: None: the machine's own.
    folder: where the policy came from, so that a file it names is found beside it; None: the working directory.
    prices: of models; empty: none is asked that costs anything. providers: where models answer, by name. ai_timeout_ms:
    of one request to one. ai_barred: why no language model is asked here, "" when they are. keys: where their keys
    are, None: in the keyring and the environment alone.
    """

    policy: Policy
    instruments: tuple[Instrument, ...]
    agents: tuple[AgentConfig, ...]
    source: Source
    interval_ms: int
    recordings: tuple[RecordingOpened, ...] = ()
    prices: PriceList = NO_PRICES
    providers: Mapping[str, Provider] = field(default_factory=lambda: {each.name: each for each in BUILT_IN})
    ai_timeout_ms: int = TIMEOUT_MS
    ai_barred: str = ""
    actor: str = "trader"
    environ: Mapping[str, str] = field(default_factory=dict)
    admin: AdminSecret | None = None
    folder: Path | None = None
    keys: Keychain | None = None


@dataclass(slots=True)
class Parts:
    """A built engine core and what must be closed after it."""

    core: Core
    journal: Journal
    gateway: PaperGateway
    stream: Stream
    paper_store: PaperStore | None
    ruled: Ruled
    models: Models

    def close(self) -> None:
        """Flush and close the store, then the venue's."""
        self.journal.close()
        if self.core.flattening.file is not None:
            self.core.flattening.file.close()
        if self.paper_store is not None:
            self.paper_store.close()


def genesis(plan: Plan, store_id: str) -> tuple[Genesis, FundsMoved, StateChanged]:
    """Return the first rows of a new store: its name, its money, and trading switched on by the trader's own act."""
    policy, asset = plan.policy, cash_asset(plan)
    return (
        Genesis(
            store_id=store_id,
            schema=SCHEMA,
            mode=Mode.PAPER,
            source_kind=plan.source.kind.value,
            account_currency=policy.account_currency,
            usd_peg=policy.usd_peg,
        ),
        FundsMoved(asset=asset, amount=policy.cash, value=policy.cash, reason="starting cash"),
        StateChanged(state=TradingState.ACTIVE, actor=plan.actor, reason="new store"),
    )


def cash_asset(plan: Plan) -> str:
    """Return the asset the starting cash is in: the one all instruments are quoted in."""
    quotes = sorted({instrument.quote for instrument in plan.instruments})
    if not quotes:
        return plan.policy.account_currency
    valuation = Valuation(plan.policy.account_currency, plan.policy.usd_peg)
    strange = [quote for quote in quotes if not valuation.is_money(quote)]
    if len(quotes) > 1 or strange:
        raise UsageError(
            f"The instruments are quoted in {', '.join(quotes)}, but one account can start with cash in one asset that "
            f"is or is pegged to {plan.policy.account_currency}; run them in separate stores."
        )
    return quotes[0]


def assemble(
    plan: Plan, journal: Journal, stream: Stream, clock: Clock, *, durable: bool,
    find_client: ClientFinder | None = None,
) -> Parts:  # fmt: skip
    """Wire a core on an open journal. durable: the paper venue keeps its truth on disk, and a HALT file is obeyed."""
    paths = journal.paths
    books = journal.books
    mode = books.genesis.mode if books.genesis else Mode.PAPER
    ruled = Ruled(books.governance, plan.policy, plan.agents, plan.environ, mode, clock.now_ms())
    policy = ruled.policy
    valuation = Valuation(policy.account_currency, policy.usd_peg)
    meter = JournalMeter(journal, clock, prices=plan.prices, caps=lambda: caps_of(ruled.policy.ai_budget))
    models = models_of(plan, paths, clock)
    agents = [hire(config, (find_client or models.client_for)(config)) for config in ruled.agents]
    seconds = second_agents(ruled.agents, models.shadow_for)
    window = max((agent.bars_needed for agent in (*agents, *seconds.values())), default=1)
    spans = {span for agent in (*agents, *seconds.values()) for span in frames_read(agent, plan.interval_ms)}
    market = MarketState(plan.interval_ms, timeframes=spans, window=window)
    paper_store = PaperStore(paths.paper_db) if durable else None
    listed = {instrument.key: instrument for instrument in plan.instruments}
    gateway = PaperGateway(listed, policy.paper, clock, store=paper_store)
    latch = SendLatch(books, paths.halt_latch if durable else None)
    if books.state is TradingState.HALTED:
        latch.close()
    for instrument in plan.instruments:
        valuation.list_instrument(instrument)
    store_id = books.genesis.store_id if books.genesis else ""
    venue = HeardGateway(gateway)
    surroundings = Surroundings(books, market, valuation, policy, folder=plan.folder or Path())
    router = Router(journal, venue, latch, clock, store_id, surroundings.shortfall)
    desk = Desk(journal, market, surroundings, Approvals(), router, clock, config_hash(policy), meter=meter)
    desk.keeper = Keeper(PromptStore(paths.prompts), always=durable)
    desk.lanes = LaneRunner(desk, seconds, policy.paper) if seconds else None
    slots = slot_clock(plan.agents, books) if isinstance(clock, ManualClock) else None
    core = Core(desk, gateway, latch, policy, agents, plan.source, slots, venue)
    core.governor = Governor(core, ruled, plan.admin or _admin_of(plan))
    if plan.keys is not None:
        core.unlocking = Unlocking(core, plan.keys, models.prepare)
    if durable:
        with suppress(StoreError):  # a disk that is full at the start says so in other ways, and must not stop a halt
            core.flattening.file = EmergencyFile(paths.emergency)
    models.attach(desk, agents)
    return Parts(core, journal, gateway, stream, paper_store, ruled, models)


def models_of(plan: Plan, paths: StorePaths, clock: Clock) -> Models:
    """Return the way to the plan's language models."""
    store = PromptStore(paths.prompts)
    return Models(
        plan.providers, store, clock.now_ms, timeout_ms=plan.ai_timeout_ms, barred=plan.ai_barred,
        keys=plan.keys or find_key,
    )  # fmt: skip


def _admin_of(plan: Plan) -> AdminSecret:
    """Return the machine's one admin: a command, too, must find the hash where a console with --config has put it."""
    folder, mine = config_dir(), plan.keys.file if plan.keys is not None else None
    return AdminSecret(folder, key_file=mine if mine is not None and mine.folder == folder else KeyFile(folder))


def slot_clock(agents: Iterable[AgentConfig], books: Books) -> SlotClock | None:
    """Return the slots of agents that run by interval or cron, none twice (R28); None without such agents."""
    timed = timed_agents(agents)
    return SlotClock(timed, claimed=dict.fromkeys(timed, books.last_ts_ms)) if timed else None


def wall_schedule(parts: Parts, plan: Plan) -> WallSchedule | None:
    """Return what runs such agents on the machine's clock; None on a virtual one, where slots are asked for."""
    core, timed = parts.core, timed_agents(plan.agents)
    clock = core.desk.clock
    if not timed or isinstance(clock, ManualClock):
        return None
    return WallSchedule(timed, core.run_slot, clock, claimed=dict.fromkeys(timed, core.books.last_ts_ms))


def timed_agents(agents: Iterable[AgentConfig]) -> dict[str, Schedule]:
    """Return name -> schedule of the agents that do not run with each candle."""
    return {agent.name: agent.schedule for agent in agents if is_timed(agent.schedule)}


async def arm(parts: Parts, plan: Plan, now_ms: int) -> None:
    """Take up work on a store that is open: the one way to it, after any end, for consoles, replays and the CLI.

    Opening it took the lock, bumped the epoch, proved the chain's tail and added the journal up. Here a new venue
    account gets its money, what is new is listed, the venue is compared with the journal, and what explains a
    difference is written; an open one holds up entries, not exits. Only then do agents run.
    """
    journal, books, core = parts.journal, parts.journal.books, parts.core
    if _may_fund(books) and not await parts.gateway.balances():
        for asset, qty in books.balances.items():
            if qty > 0:
                parts.gateway.deposit(asset, qty)
    core.flattening.take_in(now_ms)
    journal.record(now_ms, *_news(plan, journal, parts.ruled))
    if core.desk.meter is not None:
        core.desk.meter.post_left_open(now_ms)
    await core.reconciler.at_start()
    await core.halt_on_overfill()
    await core.take_up(now_ms)


def _may_fund(books: Books) -> bool:
    """Tell whether an empty venue account is a new one. One that has traded was lost, which reconciling must say (R14).

    A replay's venue is gone with the replay: whoever opens its store goes on from its books.
    """
    replayed = books.genesis is not None and books.genesis.source_kind == SourceKind.REPLAY.value
    return replayed or not books.count.fills


def _news(plan: Plan, journal: Journal, ruled: Ruled) -> list[Event]:
    """Return the rows that say what this engine has and the journal does not know yet."""
    books = journal.books
    events: list[Event] = [EngineStarted(epoch=journal.epoch, source_label=plan.source.kind.value)]
    events += [InstrumentListed(instrument=i) for i in plan.instruments if books.instruments.get(i.key) != i]
    events += plan.recordings
    events += ruled.news
    for agent in ruled.agents:
        events.append(registered(agent))
        if agent.name not in books.agent_status:
            events.append(AgentChanged(agent=agent.name, status=AgentStatus.RUNNING, actor=plan.actor))
    return events
