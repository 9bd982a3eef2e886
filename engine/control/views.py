"""Build what a user interface sees from the engine's state: values only, nothing that can be changed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from engine.agents.lanes import standing
from engine.agents.manager import RunningAgent
from engine.api import (
    AgentView,
    ApprovalView,
    CertificateView,
    DifferenceView,
    KillGauge,
    MarketView,
    OrderView,
    PositionView,
    Snapshot,
)
from engine.control.core import Core
from engine.control.failing import waits_until
from engine.control.policy_views import policy_view
from engine.control.spending import budget_view
from engine.domain.agent import AgentStatus
from engine.domain.events import DifferenceFound
from engine.domain.intent import Mode
from engine.domain.market import SourceKind
from engine.domain.money import ZERO, plain, signed_frac
from engine.domain.order import Order, OrderRole, Side
from engine.domain.portfolio import Position
from engine.risk.approvals import Waiting
from engine.risk.effects import effect_of
from engine.triggers.schedule import next_slot

CLOSES_SHOWN = 120


def snapshot(core: Core, *, mono_ms: float, progress: float | None, finished: bool) -> Snapshot:
    """Return everything the console shows, as of now on the engine's clock."""
    books, clock = core.books, core.desk.clock
    now_ms, equity = clock.now_ms(), core.watch.equity
    positions = tuple(_position(core, p, now_ms) for p in sorted(books.open_positions(), key=_by_name))
    unrealized = [p.unrealized for p in positions if p.unrealized is not None]
    genesis, status = books.genesis, core.feed_status
    return Snapshot(
        seq=core.journal.seq,
        now_ms=now_ms,
        built_mono_ms=mono_ms,
        mode=genesis.mode if genesis else Mode.PAPER,
        source_kind=core.source.kind,
        source_label=core.source.label,
        source_name=core.source.name,
        feed_text=status.text if status else "",
        connected=status.connected if status else core.source.kind is not SourceKind.LIVE,
        state=core.shown_state,
        state_reason=core.shown_reason,
        state_actor=books.state_actor,
        state_since_ms=books.state_since_ms,
        currency=core.policy.account_currency,
        equity=equity,
        equity_start=books.funded,
        equity_peak=max(core.watch.peak, books.peak_equity),
        day_start=books.day_open,
        day_pnl=None if equity is None else equity - books.day_open,
        realized=books.realized(),
        unrealized=sum(unrealized, ZERO) if len(unrealized) == len(positions) else None,
        fees=dict(books.fees),
        balances=dict(books.balances),
        data_age_ms=None if core.data_ms is None else max(0, now_ms - core.data_ms),
        positions=positions,
        orders=tuple(_order(o, now_ms) for o in books.orders.values()),
        approvals=tuple(_approval(core, w, now_ms) for w in core.desk.approvals.waiting.values()),
        kill=_gauges(core),
        budget=budget_view(core, now_ms),
        agents=tuple(_agent(core, agent, now_ms) for agent in core.agents.values()),
        markets=tuple(_market(core, key, now_ms) for key in sorted(books.instruments)),
        equity_curve=(*core.watch.curve, (now_ms, equity)) if equity is not None else tuple(core.watch.curve),
        certificate=certificate_view(core),
        drill=core.drilled.read(),
        flattening=core.flattening.is_under_way,
        incidents=books.count.incidents,
        blocked={key: why for key in books.instruments if (why := core.desk.surroundings.in_doubt(key))},
        counts={"cycles": sum(a.cycles for a in core.agents.values()), "fills": books.count.fills,
                "orders": books.count.orders, "halts": books.count.halts},
        progress=progress,
        finished=finished,
        differences=tuple(_difference(found) for found in books.differences.values()),
        equity_last=books.marked if books.marked_ms else None,
        equity_last_ms=books.marked_ms or None,
        policy=policy_view(core.governor, now_ms) if core.governor else None,
        keys=core.unlocking.view(now_ms) if core.unlocking else None,
        unprotected=tuple(_unprotected(core)),
        flatten_waits=core.flattening.waiting if core.flattening.is_under_way else (),
    )  # fmt: skip


def _unprotected(core: Core) -> Iterator[str]:
    """Yield what no stop guards: positions, and what the venue holds that is not even booked."""
    for (agent, key), why in core.guard.unprotected().items():
        yield f"{agent} {plain(core.books.position(agent, key).qty)} {key}: {why}"
    for found in core.books.differences.values():
        if found.asset and found.instrument and found.venue > found.ours:
            more = f"the venue holds {plain(found.venue - found.ours)} more {found.asset} than is booked"
            yield f"{found.difference_id}: {more}, without a stop of ours: approve it, then protect it"


def _difference(found: DifferenceFound) -> DifferenceView:
    return DifferenceView(
        difference_id=found.difference_id, kind=found.kind.value, instrument=found.instrument, asset=found.asset,
        ours=found.ours, venue=found.venue, detail=found.detail,
    )  # fmt: skip


def _by_name(position: Position) -> tuple[str, str]:
    return position.instrument, position.agent


def _position(core: Core, position: Position, now_ms: int) -> PositionView:
    mark = core.desk.surroundings.valuation.marks.get(position.instrument)
    working = core.books.working(position.agent, position.instrument)
    stop = next((o.stop_price for o in working if o.role is OrderRole.STOP), None)
    target = next((o.limit_price for o in working if o.role is OrderRole.TARGET), None)
    return PositionView(
        agent=position.agent,
        instrument=position.instrument,
        qty=position.qty,
        average_price=position.average_price or ZERO,
        mark=mark.price if mark else None,
        mark_age_ms=max(0, now_ms - mark.ts_ms) if mark else None,
        unrealized=position.unrealized(mark.price) if mark else None,
        realized=position.realized,
        stop_price=stop,
        target_price=target,
        source=mark.source.label if mark else "",
        unprotected=core.guard.unprotected().get((position.agent, position.instrument), ""),
    )


def _order(order: Order, now_ms: int) -> OrderView:
    return OrderView(
        client_order_id=order.client_order_id,
        cycle_id=order.cycle_id,
        agent=order.agent,
        instrument=order.instrument,
        role=order.role,
        side=order.side,
        order_type=order.order_type,
        qty=order.qty,
        filled_qty=order.filled_qty,
        limit_price=order.limit_price,
        stop_price=order.stop_price,
        status=order.status,
        age_ms=max(0, now_ms - order.created_ms),
    )


def _approval(core: Core, waiting: Waiting, now_ms: int) -> ApprovalView:
    intent = waiting.intent
    mark = core.desk.surroundings.valuation.marks.get(intent.instrument)
    signed = intent.qty if intent.side is Side.BUY else -intent.qty
    situation = core.desk.surroundings.gather(waiting.agent, waiting.draft, intent.intent_id, now_ms)
    cash = core.books.balances.get(situation.instrument.quote, ZERO)
    return ApprovalView(
        approval_id=intent.intent_id,
        code=waiting.code,
        cycle_id=intent.cycle_id,
        agent=intent.agent,
        instrument=intent.instrument,
        side=intent.side,
        order_type=intent.order_type,
        qty=intent.qty,
        price=intent.price,
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
        target_price=intent.target_price,
        notional=intent.notional,
        before_qty=waiting.before_qty,
        after_qty=waiting.before_qty + signed,
        confidence=waiting.draft.confidence,
        rationale=waiting.draft.rationale,
        checks=waiting.checks,
        price_now=mark.price if mark else None,
        price_age_ms=max(0, now_ms - mark.ts_ms) if mark else None,
        expires_in_ms=max(0, waiting.expires_ms - now_ms),
        policy=waiting.policy_hash,
        quote_age_ms=max(0, now_ms - waiting.price_ms),
        drift_max_frac=core.policy.limits.decision_drift_frac,
        trigger_price=intent.trigger_price,
        effect=effect_of(situation, intent, cash),
        asked_ms=waiting.asked_ms,
    )


def _gauges(core: Core) -> tuple[KillGauge, ...]:
    base = core.books.baseline
    watch = core.watch
    gauges = watch.kill.gauges(watch.equity, base.start, watch.peak, base.day_start, watch.health.seen)
    return tuple(
        KillGauge(
            rule=g.rule.value,
            unit=g.unit,
            tier=g.tier,
            observed=g.observed,
            limit=g.limit,
            used_frac=g.used_frac,
            tripped=g.tier.is_latched,
            warn_at=g.warn_at,
            reduce_at=g.reduce_at,
            halt_at=g.halt_at,
            flatten_at=g.flatten_at,
        )
        for g in gauges
    )


def _agent(core: Core, agent: RunningAgent, now_ms: int) -> AgentView:
    books, config = core.books, agent.config
    mine = [p for p in books.positions.values() if p.agent == config.name]
    return AgentView(
        name=config.name,
        model=config.model,
        autonomy=config.autonomy,
        status=books.agent_status.get(config.name, AgentStatus.STOPPED),
        instruments=config.instruments,
        phase=agent.phase,
        cycles=agent.cycles,
        trades_today=books.trades_on(config.name, now_ms),
        trades_per_day=config.limits.trades_per_day,
        realized=sum((p.realized for p in mine), ZERO),
        unrealized=_open_profit(core, mine),
        last=agent.last,
        last_ms=agent.last_ms,
        failures=books.standing.failing.by_agent.get(config.name, 0),
        waits_until_ms=_still(waits_until(core, agent), now_ms),
        next_slot_ms=next_slot(config.schedule, now_ms),
        shadow=standing(books, core.desk.surroundings.valuation, config.name),
        outcomes=books.asking.of(config.name),
    )


def _still(until_ms: int, now_ms: int) -> int | None:
    return until_ms if until_ms > now_ms else None


def _open_profit(core: Core, positions: list[Position]) -> Decimal | None:
    total = ZERO
    for position in positions:
        if position.qty:
            price = core.desk.surroundings.valuation.price(position.instrument)
            if price is None:
                return None
            total += position.unrealized(price)
    return total


def _market(core: Core, key: str, now_ms: int) -> MarketView:
    mark = core.desk.surroundings.valuation.marks.get(key)
    closes = tuple(core.desk.market.recent_closes(key))[-CLOSES_SHOWN:]
    change = _change(mark.price, Decimal(repr(closes[0]))) if mark and closes else None
    return MarketView(
        instrument=key,
        price=mark.price if mark else None,
        price_age_ms=max(0, now_ms - mark.ts_ms) if mark else None,
        change_frac=change,
        closes=closes,
        source=mark.source.label if mark else "",
        assumed=core.books.instruments[key].assumed,
    )


def _change(price: Decimal, before: Decimal) -> Decimal:
    return signed_frac(price - before, before)


def certificate_view(core: Core) -> CertificateView | None:
    """Return the last flatten's certificate; None before the first."""
    ended = core.books.last_certificate
    if ended is None:
        return None
    lines = tuple((line.instrument, line.start_qty, line.end_qty, line.reason) for line in ended.lines)
    proof = core.books.last_proof
    proven = proof is not None and proof.flatten_id == ended.flatten_id
    return CertificateView(
        flatten_id=ended.flatten_id,
        flat=ended.flat,
        took_ms=ended.took_ms,
        lines=lines,
        steps=tuple((step.name, step.ms) for step in proof.steps) if proof and proven else (),
        proofs=tuple(
            (one.instrument, one.asked_ms, one.held, one.working, one.sold, one.cost) for one in proof.proofs
        ) if proof and proven else (),
        ended_ms=max((one.asked_ms for one in proof.proofs), default=0) if proof and proven else 0,
        held_since=_held_since(core, {line.instrument: line.end_qty for line in ended.lines}),
    )  # fmt: skip


def _held_since(core: Core, left: dict[str, Decimal]) -> bool:
    """Tell whether more is held of anything than a flatten left of it."""
    held: dict[str, Decimal] = {}
    for position in core.books.open_positions():
        held[position.instrument] = held.get(position.instrument, ZERO) + position.qty
    return any(abs(qty) > abs(left.get(key, ZERO)) for key, qty in held.items())
