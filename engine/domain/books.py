"""The state that the journal's events add up to: one apply() for running, for recovery and for the proof."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from engine.domain.agent import AgentStatus
from engine.domain.events import (
    AgentChanged,
    ApprovalAsked,
    ApprovalClosed,
    BaselineReset,
    CycleDone,
    EngineStarted,
    EquityMarked,
    Event,
    Filled,
    FlattenEnded,
    FlattenStarted,
    FundsMoved,
    Genesis,
    Incident,
    InstrumentListed,
    OrderIntended,
    OrderResized,
    OrdersUpdated,
    StateChanged,
)
from engine.domain.instrument import Instrument
from engine.domain.ledger import Account, Posting, fill_postings, transfer_postings
from engine.domain.money import ZERO
from engine.domain.order import Fill, Order, OrderRole, OrderStatus
from engine.domain.policy import TradingState
from engine.domain.portfolio import Position

DAY_MS = 86_400_000
CLOSED_ORDERS_KEPT = 512


@dataclass(slots=True)
class Baseline:
    """What the kill switch measures from; in account currency. day: whole UTC days since 1970."""

    start: Decimal = ZERO
    peak: Decimal = ZERO
    day: int = -1
    day_start: Decimal = ZERO


@dataclass(slots=True)
class Counters:
    """Whole numbers that summaries and screens show. orders: protective ones included; intents: without them."""

    cycles: int = 0
    fills: int = 0
    orders: int = 0
    intents: int = 0
    halts: int = 0
    incidents: int = 0


@dataclass(slots=True)
class Books:
    """Balances, positions, orders, approvals and trading state, in memory.

    closed_orders keeps the last few hundred, for late fills; older ones are in the store's tables.
    funded: deposits less withdrawals, in account currency; profit is what equity has beyond it.
    state is HALTED until the journal says otherwise: absence of proof is "off" (R17).
    """

    genesis: Genesis | None = None
    instruments: dict[str, Instrument] = field(default_factory=dict)
    balances: dict[str, Decimal] = field(default_factory=dict)
    fees: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[tuple[str, str], Position] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    closed_orders: OrderedDict[str, Order] = field(default_factory=OrderedDict)
    approvals: dict[str, ApprovalAsked] = field(default_factory=dict)
    agent_status: dict[str, AgentStatus] = field(default_factory=dict)
    trades_today: dict[str, tuple[int, int]] = field(default_factory=dict)
    last_loss_ms: dict[tuple[str, str], int] = field(default_factory=dict)
    state: TradingState = TradingState.HALTED
    state_reason: str = "no trading state on record"
    state_actor: str = ""
    state_since_ms: int = 0
    flatten_id: str = ""
    last_certificate: FlattenEnded | None = None
    baseline: Baseline = field(default_factory=Baseline)
    funded: Decimal = ZERO
    count: Counters = field(default_factory=Counters)
    epoch: int = 0
    last_ts_ms: int = 0

    def apply(self, ts_ms: int, event: Event) -> tuple[Posting, ...]:
        """Take one event in; return the ledger entry it makes, empty for most. Unknown kinds change nothing."""
        self.last_ts_ms = ts_ms
        handler = _HANDLERS.get(type(event))
        return handler(self, ts_ms, event) or () if handler else ()

    def position(self, agent: str, instrument: str) -> Position:
        """Return an agent's position; flat when it has none."""
        return self.positions.get((agent, instrument)) or Position(agent, instrument)

    def order(self, client_order_id: str) -> Order | None:
        """Return a working or recently closed order of ours."""
        return self.orders.get(client_order_id) or self.closed_orders.get(client_order_id)

    def all_orders(self) -> Iterator[Order]:
        """Yield the working and the recently closed orders of ours."""
        yield from self.orders.values()
        yield from self.closed_orders.values()

    def open_positions(self) -> list[Position]:
        """Return the positions that are not flat."""
        return [position for position in self.positions.values() if position.qty]

    def is_dust(self, position: Position) -> bool:
        """Tell whether a position is below the venue's smallest step, as fees in base leave it: nothing to trade."""
        return abs(position.qty) < self.instruments[position.instrument].qty_step

    def held(self, instrument: str) -> Decimal:
        """Return the account's quantity of an instrument over all agents."""
        return sum((p.qty for (_, key), p in self.positions.items() if key == instrument), ZERO)

    def working(self, agent: str | None = None, instrument: str | None = None) -> list[Order]:
        """Return orders that may still fill, of one agent or instrument if named."""
        return [
            order
            for order in self.orders.values()
            if (agent is None or order.agent == agent) and (instrument is None or order.instrument == instrument)
        ]

    def trades_on(self, scope: str, ts_ms: int) -> int:
        """Return how many trades an agent (or "" for all) made in the UTC day of an instant."""
        day, count = self.trades_today.get(scope, (-1, 0))
        return count if day == ts_ms // DAY_MS else 0

    def realized(self) -> Decimal:
        """Return realised profit over all positions, before fees."""
        return sum((p.realized for p in self.positions.values()), ZERO)

    # One handler per kind of event, in the order in which a store's life meets them.

    def _genesis(self, ts_ms: int, event: Genesis) -> None:
        self.genesis = event

    def _started(self, ts_ms: int, event: EngineStarted) -> None:
        self.epoch = event.epoch

    def _listed(self, ts_ms: int, event: InstrumentListed) -> None:
        self.instruments[event.instrument.key] = event.instrument

    def _funds(self, ts_ms: int, event: FundsMoved) -> tuple[Posting, ...]:
        base = self.baseline
        self.funded += event.value
        base.start += event.value
        base.peak += event.value
        base.day_start += event.value
        return self._post(transfer_postings(event.asset, event.amount))

    def _cycle(self, ts_ms: int, event: CycleDone) -> None:
        self.count.cycles += 1

    def _intended(self, ts_ms: int, event: OrderIntended) -> None:
        self.orders[event.client_order_id] = Order(
            client_order_id=event.client_order_id,
            intent_id=event.intent_id,
            cycle_id=event.cycle_id,
            agent=event.agent,
            instrument=event.instrument,
            side=event.side,
            order_type=event.order_type,
            role=event.role,
            qty=event.qty,
            limit_price=event.limit_price,
            stop_price=event.trigger_price,
            status=OrderStatus.INTENT_RECORDED,
            created_ms=ts_ms,
            updated_ms=ts_ms,
        )
        self.count.orders += 1
        if not event.role.is_protection:
            self.count.intents += 1
        if event.role in (OrderRole.ENTRY, OrderRole.EXIT):
            for scope in (event.agent, ""):
                self.trades_today[scope] = (ts_ms // DAY_MS, self.trades_on(scope, ts_ms) + 1)

    def _updated(self, ts_ms: int, event: OrdersUpdated) -> None:
        for client_order_id in event.client_order_ids:
            order = self.orders.get(client_order_id)
            if order is not None:
                self._keep(replace(order, status=event.status, reason=event.reason, updated_ms=ts_ms))

    def _resized(self, ts_ms: int, event: OrderResized) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None:
            self._keep(replace(order, qty=event.qty, updated_ms=ts_ms))

    def _filled(self, ts_ms: int, event: Filled) -> tuple[Posting, ...]:
        fill = event.fill
        self.count.fills += 1
        self._fill_order(ts_ms, fill)
        self._fill_position(event.agent, fill, ts_ms)
        return self._post(fill_postings(fill, self.instruments[fill.instrument]))

    def _fill_order(self, ts_ms: int, fill: Fill) -> None:
        order = self.order(fill.client_order_id)
        if order is not None:
            self._keep(order.after_fill(fill, ts_ms))

    def _fill_position(self, agent: str, fill: Fill, ts_ms: int) -> None:
        key = (agent, fill.instrument)
        before = self.position(*key)
        after = before.after_fill(fill.signed_qty, fill.price, ts_ms)
        if fill.fee and fill.fee_asset == self.instruments[fill.instrument].base:
            after = after.after_base_fee(fill.fee)
        if after.realized < before.realized:
            self.last_loss_ms[key] = ts_ms
        self.positions[key] = after

    def _keep(self, order: Order) -> None:
        if order.status.is_working:
            self.orders[order.client_order_id] = order
            return
        self.orders.pop(order.client_order_id, None)
        self.closed_orders[order.client_order_id] = order
        if len(self.closed_orders) > CLOSED_ORDERS_KEPT:
            self.closed_orders.popitem(last=False)

    def _post(self, postings: tuple[Posting, ...]) -> tuple[Posting, ...]:
        for line in postings:
            if line.account is Account.HOLDINGS:
                self.balances[line.asset] = self.balances.get(line.asset, ZERO) + line.amount
            elif line.account is Account.FEES:
                self.fees[line.asset] = self.fees.get(line.asset, ZERO) + line.amount
        return postings

    def _asked(self, ts_ms: int, event: ApprovalAsked) -> None:
        self.approvals[event.approval_id] = event

    def _answered(self, ts_ms: int, event: ApprovalClosed) -> None:
        self.approvals.pop(event.approval_id, None)

    def _state(self, ts_ms: int, event: StateChanged) -> None:
        if event.state is TradingState.HALTED and self.state is not TradingState.HALTED:
            self.count.halts += 1
        self.state, self.state_reason, self.state_actor = event.state, event.reason, event.actor
        self.state_since_ms = ts_ms

    def _agent(self, ts_ms: int, event: AgentChanged) -> None:
        self.agent_status[event.agent] = event.status

    def _equity(self, ts_ms: int, event: EquityMarked) -> None:
        base = self.baseline
        base.peak, base.day, base.day_start = event.peak, event.day, event.day_start

    def _reset(self, ts_ms: int, event: BaselineReset) -> None:
        self.baseline = Baseline(event.start, event.peak, event.day, event.day_start)

    def _flatten_started(self, ts_ms: int, event: FlattenStarted) -> None:
        self.flatten_id = event.flatten_id

    def _flatten_ended(self, ts_ms: int, event: FlattenEnded) -> None:
        self.flatten_id, self.last_certificate = "", event

    def _incident(self, ts_ms: int, event: Incident) -> None:
        self.count.incidents += 1


_HANDLERS = {
    Genesis: Books._genesis,
    EngineStarted: Books._started,
    InstrumentListed: Books._listed,
    FundsMoved: Books._funds,
    CycleDone: Books._cycle,
    OrderIntended: Books._intended,
    OrdersUpdated: Books._updated,
    OrderResized: Books._resized,
    Filled: Books._filled,
    ApprovalAsked: Books._asked,
    ApprovalClosed: Books._answered,
    StateChanged: Books._state,
    AgentChanged: Books._agent,
    EquityMarked: Books._equity,
    BaselineReset: Books._reset,
    FlattenStarted: Books._flatten_started,
    FlattenEnded: Books._flatten_ended,
    Incident: Books._incident,
}
