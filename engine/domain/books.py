"""The state that the journal's events add up to: one apply() for running, for recovery and for the proof."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from decimal import Decimal

from engine.domain.agent import EXTERNAL
from engine.domain.asking import ASKING_EVENTS
from engine.domain.beside import BESIDE_EVENTS
from engine.domain.book_state import DAY_MS, BookState
from engine.domain.budget import Purpose
from engine.domain.counts import Baseline
from engine.domain.events import (
    Adjusted,
    AdjustmentKind,
    AgentChanged,
    ApprovalAsked,
    ApprovalClosed,
    AskedBeside,
    BaselineReset,
    BesideDone,
    BudgetPosted,
    Closing,
    CycleDone,
    CycleHeld,
    CycleSkipped,
    DifferenceClosed,
    DifferenceFound,
    DifferenceKind,
    EngineStarted,
    EntriesBlocked,
    EquityMarked,
    Event,
    FeePosted,
    FillCorrected,
    Filled,
    FlattenEnded,
    FlattenProven,
    FlattenStarted,
    FundsMoved,
    Genesis,
    Incident,
    InstrumentListed,
    KeysTried,
    LaneDecided,
    LaneFilled,
    LaneOpened,
    ModelAsked,
    OrderIntended,
    OrderResized,
    OrderShown,
    OrdersResolved,
    OrdersUpdated,
    ProtectionAsked,
    Reconciled,
    ShadowEnded,
    ShadowEntered,
    StateChanged,
    StopTrailed,
)
from engine.domain.lanes import LANE_EVENTS
from engine.domain.ledger import (
    Account,
    Posting,
    correction_postings,
    fee_postings,
    fill_postings,
    spend_postings,
    transfer_postings,
)
from engine.domain.lifecycle import NEWS_OF_STATUS, News, after_fill, after_news, after_size, new_order
from engine.domain.money import ZERO
from engine.domain.order import Fill, Order, OrderRole, OrderStatus
from engine.domain.policy import TradingState
from engine.domain.policy_book import GOVERNANCE_EVENTS, GovernanceEvent
from engine.domain.portfolio import LateMoveError, Move, Position, Trail, move_key
from engine.domain.spending import SPENDING, SpendingEvent, after
from engine.domain.standing import ONLY_HERE
from engine.domain.valuation import money_assets
from engine.ids import client_order_id as id_of

FUNDING_KINDS = (AdjustmentKind.FUNDING, AdjustmentKind.INTEREST)
LASTING = (DifferenceKind.EXTERNAL_ORDER, DifferenceKind.EXTERNAL_POSITION, DifferenceKind.BALANCE_DRIFT)
"""Differences that an explanation leaves as they are, so that it must be remembered."""
CLOSED_ORDERS_KEPT = 512
IN_DOUBT = (OrderStatus.UNKNOWN, OrderStatus.CANCEL_PENDING)


@dataclass(slots=True)
class Books(BookState):
    """The state, and what each event does to it."""

    def apply(self, ts_ms: int, event: Event) -> tuple[Posting, ...]:
        """Take one event in; return the ledger entry it makes, empty for most. Unknown kinds change nothing."""
        self.last_ts_ms = ts_ms
        handler = _HANDLERS.get(type(event))
        return handler(self, ts_ms, event) or () if handler else ()

    def hold(self, ts_ms: int, event: CycleHeld) -> None:
        """Take a hold in, the most frequent event of all, by the short way."""
        self.last_ts_ms = ts_ms
        failing = self.standing.failing
        if failing.in_a_row or failing.by_agent:
            failing.ended(event.agent, failed=False)

    # One handler per kind of event, in the order in which a store's life meets them.

    def _genesis(self, ts_ms: int, event: Genesis) -> None:
        self.genesis = event

    def _started(self, ts_ms: int, event: EngineStarted) -> None:
        self.epoch = event.epoch

    def _listed(self, ts_ms: int, event: InstrumentListed) -> None:
        self.moved = ()
        listed = event.instrument
        self.instruments[listed.key] = listed
        self._block()
        if self.genesis is None or listed.base in self.bases:
            return
        money = money_assets(self.genesis.account_currency, self.genesis.usd_peg)
        if listed.quote in money and listed.base not in money:
            self.bases[listed.base] = listed.key
            held = self.balances.get(listed.base, ZERO)
            if held:  # it came before anything could value it
                self._transfer(ts_ms, EXTERNAL, listed.key, held, ZERO)

    def _funds(self, ts_ms: int, event: FundsMoved) -> tuple[Posting, ...]:
        self.moved = ()
        if event.asset in self.bases:
            self._transfer(ts_ms, EXTERNAL, self.bases[event.asset], event.amount, event.value)
        base = self.baseline
        self.funded += event.value
        base.start += event.value
        base.peak += event.value
        base.day_start += event.value
        self.peak_equity += event.value
        self.day_open += event.value
        return self._post(transfer_postings(event.asset, event.amount))

    def _adjusted(self, ts_ms: int, event: Adjusted) -> tuple[Posting, ...]:
        self.moved = ()
        if event.instrument:
            self._transfer(ts_ms, event.agent, event.instrument, event.amount, event.value)
        if event.kind in FUNDING_KINDS:
            self.funding += event.value
        else:
            self.adjusted += event.value
        other = Account.FUNDING if event.kind in FUNDING_KINDS else Account.ADJUSTED
        return self._post(transfer_postings(event.asset, event.amount, other))

    def _cycle(self, ts_ms: int, event: CycleDone) -> None:
        self.count.cycles += 1
        self.asking.done(event)
        self.memory.decided(ts_ms, event.agent, event.items)
        self.standing.apply(ts_ms, event)

    def _stands(self, ts_ms: int, event: Event) -> None:
        self.standing.apply(ts_ms, event)

    def _intended(self, ts_ms: int, event: OrderIntended) -> None:
        self.orders[event.client_order_id] = new_order(event, ts_ms)
        self.count.orders += 1
        if not event.role.is_protection:
            self.count.intents += 1
        if event.role in (OrderRole.ENTRY, OrderRole.EXIT):
            for scope in (event.agent, ""):
                day, _count = self.trades_today.get(scope, (-1, 0))
                self.trades_today[scope] = (max(day, ts_ms // DAY_MS), self.trades_on(scope, ts_ms) + 1)

    def _updated(self, ts_ms: int, event: OrdersUpdated) -> None:
        self._told(ts_ms, event.client_order_ids, NEWS_OF_STATUS[event.status], event.reason)

    def _shown(self, ts_ms: int, event: OrderShown) -> None:
        self._told(ts_ms, (event.client_order_id,), News.SHOWN, event.reason)

    def _resolved(self, ts_ms: int, event: OrdersResolved) -> None:
        reason = f"by {event.actor}: {event.reason}"
        self._told(ts_ms, event.client_order_ids, NEWS_OF_STATUS[event.status], reason)

    def _told(self, ts_ms: int, client_order_ids: tuple[str, ...], news: News, reason: str) -> None:
        for client_order_id in client_order_ids:
            order = self.order(client_order_id)
            if order is not None:
                after = after_news(order, news, ts_ms, reason)
                if after is not order:
                    self._keep(after)

    def _resized(self, ts_ms: int, event: OrderResized) -> None:
        order = self.orders.get(event.client_order_id)
        if order is not None:
            self._keep(after_size(order, event.qty, ts_ms))

    def _filled(self, ts_ms: int, event: Filled) -> tuple[Posting, ...]:
        fill, key = event.fill, (event.agent, event.fill.instrument)
        before = self.position(*key)
        self._move(self._moves(event.agent, fill))
        if self.positions[key].realized < before.realized:
            self.last_loss_ms[key] = ts_ms
        self.memory.filled(before, self.positions[key], fill, self.instruments[fill.instrument])
        self.count.fills += 1
        if event.role is OrderRole.ENTRY:
            self._entered(event, before)
        self._fill_order(ts_ms, fill)
        if not fill.fee_asset:
            self.fees_pending[fill.instrument, fill.trade_id] = fill
        return self._post(fill_postings(fill, self.instruments[fill.instrument]))

    def _entered(self, event: Filled, before: Position) -> None:
        """Remember, as an entry begins to fill, where the stop and the target that came with it belong."""
        order = self.order(event.fill.client_order_id)
        if order is None or order.filled_qty or self.genesis is None:
            return
        names = (f"{order.intent_id}:stop", f"{order.intent_id}:target")
        stop, target = (self.order(id_of(self.genesis.store_id, name)) for name in names)
        self.wishes.entered(
            (event.agent, order.instrument), stop.stop_price if stop else None, target.limit_price if target else None,
            anew=self.is_dust(before),
        )  # fmt: skip

    def _fill_order(self, ts_ms: int, fill: Fill) -> None:
        order = self.order(fill.client_order_id)
        if order is not None:
            self._keep(after_fill(order, fill, ts_ms))

    def _corrected(self, ts_ms: int, event: FillCorrected) -> tuple[Posting, ...]:
        was, now = event.was, event.now
        self._change(event.agent, was, now)
        order = self.order(was.client_order_id)
        if order is not None:
            cost = order.filled_cost - was.qty * was.price + now.qty * now.price
            qty = order.filled_qty - was.qty + now.qty
            self._keep(replace(order, filled_qty=qty, filled_cost=cost, updated_ms=ts_ms))
        return self._post(correction_postings(was, now, self.instruments[was.instrument]))

    def _fee(self, ts_ms: int, event: FeePosted) -> tuple[Posting, ...]:
        fill = event.fill
        self._change(event.agent, fill, replace(fill, fee=event.fee, fee_asset=event.fee_asset))
        self.fees_pending.pop((fill.instrument, fill.trade_id), None)
        return self._post(fee_postings(event.fee_asset, event.fee)) if event.fee else ()

    # Positions are moved in the venue's order, whatever the order of arrival; see domain/portfolio.

    def _moves(self, agent: str, fill: Fill) -> dict[tuple[str, str], Move]:
        """Return what a fill moves: its own position, and where its fee is in another instrument's base, that too."""
        listed = self.instruments[fill.instrument]
        in_base = fill.fee_asset == listed.base
        key = move_key(fill.ts_ms, fill.trade_id, fill.account)
        moves = {(agent, listed.key): Move(key, fill.signed_qty, fill.price, fill.fee if in_base else ZERO)}
        other = self.bases.get(fill.fee_asset)
        if other is not None and fill.fee and not in_base and fill.fee_asset != listed.quote:
            key = move_key(fill.ts_ms, fill.trade_id, f"{fill.account} {listed.key}")
            moves[EXTERNAL, other] = Move(key, ZERO, None, fill.fee)
        return moves

    def _move(self, moves: dict[tuple[str, str], Move], known: Container[tuple[str, str]] = ()) -> None:
        """Take moves into their trails, all of them or none; known: which of them replace what was there."""
        trails: dict[tuple[str, str], Trail] = {}
        for where, move in moves.items():
            trail = self.trails.get(where, Trail())
            take = trail.with_change if where in known else trail.with_move
            try:
                trails[where] = take(move, Position(*where), self.steps_kept)
            except LateMoveError:
                raise LateMoveError(where) from None
        for where, trail in trails.items():
            self.positions[where] = trail.steps[-1].position
            if not self.positions[where].qty:
                self.wishes.ended(where)
        self.trails.update(trails)
        self.moved = tuple(trails)

    def _change(self, agent: str, was: Fill, now: Fill) -> None:
        old, new = self._moves(agent, was), self._moves(agent, now)
        gone = {where: replace(move, qty=ZERO, fee=ZERO, value=ZERO) for where, move in old.items()}
        self._move(gone | new, known=old)

    def _transfer(self, ts_ms: int, agent: str, instrument: str, qty: Decimal, value: Decimal) -> None:
        key = move_key(ts_ms, f"transfer {self.count.transfers + 1}", "")
        self._move({(agent, instrument): Move(key, qty, None, value=value)})
        self.count.transfers += 1

    def _keep(self, order: Order) -> None:
        order_id, working = order.client_order_id, order.status.is_working
        if order.status in IN_DOUBT or (order.reopened and working):
            self.in_doubt.add(order_id)
        else:
            self.in_doubt.discard(order_id)
        if working:
            self.orders[order_id] = order
            self.closed_orders.pop(order_id, None)
            return
        self.orders.pop(order_id, None)
        self.closed_orders[order_id] = order
        if len(self.closed_orders) > CLOSED_ORDERS_KEPT:
            self.closed_orders.popitem(last=False)

    def _post(self, postings: tuple[Posting, ...]) -> tuple[Posting, ...]:
        for line in postings:
            if line.account is Account.HOLDINGS:
                self.balances[line.asset] = self.balances.get(line.asset, ZERO) + line.amount
                self.count.postings += 1
            elif line.account is Account.FEES:
                self.fees[line.asset] = self.fees.get(line.asset, ZERO) + line.amount
        return postings

    def _found(self, ts_ms: int, event: DifferenceFound) -> None:
        if event.difference_id not in self.differences:
            self.count.differences += 1
            self.count.incidents += event.kind is not DifferenceKind.MISSED_FILL
        self.explained.pop((event.kind, event.subject), None)  # what it explained is no longer how things are
        self.differences[event.difference_id] = event
        self._block()

    def _closed(self, ts_ms: int, event: DifferenceClosed) -> None:
        found = self.differences.pop(event.difference_id, None)
        if found is not None and event.how is Closing.EXPLAINED and found.kind in LASTING:
            self.explained[found.kind, found.subject] = found
        elif found is None:
            kept = {key: each for key, each in self.explained.items() if each.difference_id != event.difference_id}
            self.explained = kept
        self._block()

    def _block(self) -> None:
        self.blocked = {}
        for found in self.differences.values():
            for key, listed in self.instruments.items():
                if found.instrument in ("", key) or found.asset == listed.base:
                    self.blocked.setdefault(key, f"{found.difference_id}: {found.detail}")

    def _held_up(self, ts_ms: int, event: EntriesBlocked) -> None:
        self.held_up.pop(event.instrument, None)
        if event.reason:
            self.held_up[event.instrument] = event.reason

    def _asked(self, ts_ms: int, event: ApprovalAsked) -> None:
        self.approvals[event.approval_id] = event

    def _answered(self, ts_ms: int, event: ApprovalClosed) -> None:
        self.shadows.reject(ts_ms, self.approvals.pop(event.approval_id, None), event)

    def _shadow(self, ts_ms: int, event: ShadowEntered | ShadowEnded) -> None:
        self.shadows.take(event)

    def _state(self, ts_ms: int, event: StateChanged) -> None:
        if event.state is TradingState.HALTED and self.state is not TradingState.HALTED:
            self.count.halts += 1
        self.state, self.state_reason, self.state_actor = event.state, event.reason, event.actor
        self.state_since_ms = ts_ms
        self.standing.apply(ts_ms, event)

    def _agent(self, ts_ms: int, event: AgentChanged) -> None:
        self.agent_status[event.agent] = event.status
        self.standing.apply(ts_ms, event)

    def _equity(self, ts_ms: int, event: EquityMarked) -> None:
        base = self.baseline
        base.peak, base.day, base.day_start = event.peak, event.day, event.day_start
        self.marked, self.marked_ms = event.equity, ts_ms
        self._true_figures(event.peak, event.day, event.day_start)

    def _reset(self, ts_ms: int, event: BaselineReset) -> None:
        self.baseline = Baseline(event.start, event.peak, event.day, event.day_start)
        self._true_figures(event.peak, event.day, event.day_start)
        self.opened = min(self.opened, event.day)  # the clock was set back, and a person has seen it
        self.trades_today = {scope: (min(day, event.day), count) for scope, (day, count) in self.trades_today.items()}

    def _true_figures(self, peak: Decimal, day: int, first: Decimal) -> None:
        self.peak_equity = max(self.peak_equity, peak)
        if day > self.opened:
            self.opened, self.day_open = day, first

    def _flatten_started(self, ts_ms: int, event: FlattenStarted) -> None:
        self.flatten_id = event.flatten_id

    def _flatten_ended(self, ts_ms: int, event: FlattenEnded) -> None:
        self.flatten_id, self.last_certificate = "", event

    def _proven(self, ts_ms: int, event: FlattenProven) -> None:
        self.last_proof = event

    def _reconciled(self, ts_ms: int, event: Reconciled) -> None:
        self.reconciled_ms = event.upto_ms

    def _governed(self, ts_ms: int, event: GovernanceEvent) -> None:
        self.governance.take(ts_ms, event)

    def _asking(self, ts_ms: int, event: ModelAsked | CycleSkipped) -> None:
        self.asking.take(event)
        if isinstance(event, ModelAsked):
            self.lanes.asked(event)

    def _wished(self, ts_ms: int, event: ProtectionAsked | StopTrailed) -> None:
        if isinstance(event, ProtectionAsked):
            self.wishes.asked(event)
        else:
            self.wishes.trailed(event)

    def _beside(self, ts_ms: int, event: AskedBeside | BesideDone) -> None:
        self.beside.take(event)
        if isinstance(event, AskedBeside):
            self.lanes.asked_beside(event)

    def _lane(self, ts_ms: int, event: LaneOpened | LaneFilled | LaneDecided) -> None:
        self.lanes.take(ts_ms, event, self.instruments)
        if isinstance(event, LaneOpened):
            self.beside.forget(Purpose.SHADOW, event.agent)

    def _incident(self, ts_ms: int, event: Incident) -> None:
        self.count.incidents += 1

    def _spend(self, ts_ms: int, event: SpendingEvent) -> tuple[Posting, ...]:
        self.spend = after(self.spend, ts_ms, event)
        return spend_postings(event.usd) if isinstance(event, BudgetPosted) else ()


_HANDLERS = {
    **dict.fromkeys(SPENDING, Books._spend),
    Genesis: Books._genesis,
    EngineStarted: Books._started,
    InstrumentListed: Books._listed,
    FundsMoved: Books._funds,
    CycleDone: Books._cycle,
    OrderIntended: Books._intended,
    OrdersUpdated: Books._updated,
    OrderResized: Books._resized,
    OrderShown: Books._shown,
    OrdersResolved: Books._resolved,
    Filled: Books._filled,
    EntriesBlocked: Books._held_up,
    ApprovalAsked: Books._asked,
    ApprovalClosed: Books._answered,
    ShadowEntered: Books._shadow,
    ShadowEnded: Books._shadow,
    StateChanged: Books._state,
    AgentChanged: Books._agent,
    EquityMarked: Books._equity,
    BaselineReset: Books._reset,
    FlattenStarted: Books._flatten_started,
    FlattenEnded: Books._flatten_ended,
    FlattenProven: Books._proven,
    Incident: Books._incident,
    ProtectionAsked: Books._wished,
    StopTrailed: Books._wished,
    Reconciled: Books._reconciled,
    Adjusted: Books._adjusted,
    FillCorrected: Books._corrected,
    FeePosted: Books._fee,
    DifferenceFound: Books._found,
    DifferenceClosed: Books._closed,
    **dict.fromkeys(GOVERNANCE_EVENTS, Books._governed),
    **dict.fromkeys(ASKING_EVENTS, Books._asking),
    **dict.fromkeys(BESIDE_EVENTS, Books._beside),
    **dict.fromkeys(LANE_EVENTS, Books._lane),
    **dict.fromkeys(ONLY_HERE, Books._stands),
    KeysTried: lambda books, _ts_ms, event: books.key_tries.take(event),
}
