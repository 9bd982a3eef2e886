"""Manual trades: the trader is an agent too, and passes the same guardrails (R26, R38)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import blake2b

from engine.agents.cycle import item_of
from engine.api import Ticket, TicketPreview
from engine.control.core import Core
from engine.domain.agent import TRADER, AgentConfig, AgentLimits, Protection
from engine.domain.decision import AnsweredBy, DecisionDraft, Direction, Disposition, Outcome
from engine.domain.events import CycleDone, CycleItem, OrderIntended
from engine.domain.intent import Intent
from engine.domain.money import ONE, ZERO, plain
from engine.domain.order import OrderType, Side
from engine.errors import RefusedError
from engine.ids import cycle_id
from engine.risk.approvals import drift_refusal
from engine.risk.gate import Ruling, judge
from engine.risk.situation import Situation
from engine.risk.sizing import protection_prices

PREVIEWS_KEPT = 8


@dataclass(frozen=True, slots=True)
class Judgement:
    """A ticket after the gate, with what it was judged on."""

    cycle: str
    situation: Situation
    ruling: Ruling


def preview(core: Core, ticket: Ticket) -> TicketPreview:
    """Return what the guardrails say to a ticket, sending nothing."""
    judgement = _judge(core, ticket)
    situation, ruling = judgement.situation, judgement.ruling
    qty = ruling.intent.qty if ruling.intent else ZERO
    # a limit as it would be sent, on the tick; a refused one as it was typed
    limit = (ruling.intent.limit_price if ruling.intent else None) or ticket.limit_price
    price = limit or (situation.mark.price if situation.mark else None)
    notional = qty * price if price is not None else ZERO
    stop, target = _protection(ticket, situation)
    shown = preview_digest(ticket, qty)
    core.previews[shown] = price
    while len(core.previews) > PREVIEWS_KEPT:
        core.previews.pop(next(iter(core.previews)))
    return TicketPreview(
        preview_id=shown,
        refused=ruling.intent is None,
        qty=qty,
        price=price,
        notional=notional,
        fee=notional * situation.instrument.taker_fee,
        stop_price=stop,
        target_price=target,
        checks=ruling.assessment.checks,
    )


async def submit(core: Core, ticket: Ticket, preview_id: str) -> str:
    """Send a ticket that was previewed; RefusedError when the guardrails now say otherwise. Returns a sentence."""
    judgement = _judge(core, ticket)
    ruling, situation = judgement.ruling, judgement.situation
    item = item_of(ruling, Disposition.ACTED if ruling.intent else Disposition.REFUSED, "")
    if ruling.intent is None:
        _record(core, judgement.cycle, item)
        refused = ruling.assessment.refused
        raise RefusedError(f"Not sent: {refused.sentence if refused else 'there is nothing to trade'}.")
    _check_preview(core, ticket, ruling.intent, preview_id)
    prepared = core.desk.router.prepare(ruling.intent)
    _record(core, judgement.cycle, item, *prepared.events)
    status = await core.desk.router.send(prepared)
    return f"{ticket.side} {plain(ruling.intent.qty)} {situation.instrument.key}: {status}."


def _check_preview(core: Core, ticket: Ticket, intent: Intent, preview_id: str) -> None:
    """Refuse what is not exactly what the trader saw; a preview is used once, so Send twice sends once (U06)."""
    if preview_digest(ticket, intent.qty) != preview_id or preview_id not in core.previews:
        raise RefusedError(
            f"Not sent: it would now be {plain(intent.qty)}, and that preview is not the last one; preview it again."
        )
    seen = core.previews.pop(preview_id)
    drift = drift_refusal(
        replace(intent, price=seen or intent.price), intent.price, core.policy.limits.decision_drift_frac
    )
    if drift and ticket.order_type is OrderType.MARKET:
        raise RefusedError(f"Not sent: {drift}; preview it again.")


def preview_digest(ticket: Ticket, qty: Decimal) -> str:
    """Return the name of exactly this ticket at exactly this size."""
    return blake2b(f"{ticket!r}\0{plain(qty)}".encode(), digest_size=8).hexdigest()


def trader_config(core: Core, ticket: Ticket, target: Decimal | None) -> AgentConfig:
    """Return the trader as an agent: fully confident, bound by the account's limits, aiming at the ticket's size."""
    limits = AgentLimits(
        confidence_min=ONE,
        trades_per_day=core.policy.limits.trades_per_day,
        position_notional_max=core.books.baseline.start,
        portfolio_share_frac=ONE,
        cooldown_after_loss_ms=0,
        qty_fixed=target,
    )
    return AgentConfig(
        name=TRADER,
        model="manual",
        instruments=tuple(core.books.instruments),
        timeframe_ms=0,
        protection=Protection(stop_frac=ticket.stop_frac, target_frac=ticket.target_frac),
        limits=limits,
    )


def _judge(core: Core, ticket: Ticket) -> Judgement:
    if ticket.instrument not in core.books.instruments:
        known = ", ".join(sorted(core.books.instruments))
        raise RefusedError(f"No instrument {ticket.instrument} here; there are: {known}.")
    if not ticket.qty > 0:
        raise RefusedError(f"Quantity {plain(ticket.qty)} is not above 0; write how many units to trade.")
    if ticket.order_type not in (OrderType.MARKET, OrderType.LIMIT):
        raise RefusedError(f"A ticket is MARKET or LIMIT, not {ticket.order_type}.")
    if (ticket.order_type is OrderType.LIMIT) != (ticket.limit_price is not None):
        raise RefusedError("A LIMIT ticket needs a limit price, and a MARKET ticket has none.")
    now_ms = core.desk.clock.now_ms()
    cycle = _fresh_cycle(core, ticket.instrument, now_ms)
    current = core.books.position(TRADER, ticket.instrument).qty
    buying = ticket.side is Side.BUY
    config = trader_config(core, ticket, current + ticket.qty if buying else None)
    decision_id = f"{cycle}:{ticket.instrument}"
    situation = core.desk.surroundings.gather(config, _draft(ticket), decision_id, now_ms)
    situation = replace(situation, agent_status=core.trader_status)
    return Judgement(cycle, situation, judge(situation, cycle, decision_id))


def _fresh_cycle(core: Core, instrument: str, now_ms: int) -> str:
    """Name the ticket's cycle by its instant; a second trade within one takes the next name, for none trades twice."""
    used = {order.intent_id for order in core.books.all_orders()}
    while f"{cycle_id(TRADER, now_ms)}:{instrument}" in used:
        now_ms += 1
    return cycle_id(TRADER, now_ms)


def _draft(ticket: Ticket) -> DecisionDraft:
    return DecisionDraft(
        instrument=ticket.instrument,
        direction=Direction.BUY if ticket.side is Side.BUY else Direction.SELL,
        rationale="manual ticket",
        confidence=ONE,
        quantity=ticket.qty,
        limit_price=ticket.limit_price,
    )


def _protection(ticket: Ticket, situation: Situation) -> tuple[Decimal | None, Decimal | None]:
    if ticket.side is Side.SELL or (situation.mark is None and ticket.limit_price is None):
        return None, None
    return protection_prices(situation)


def _record(core: Core, cycle: str, item: CycleItem, *more: OrderIntended) -> None:
    done = CycleDone(
        cycle_id=cycle, agent=TRADER, trigger="manual", model="manual", outcome=Outcome.DECIDED,
        answered_by=AnsweredBy.LIVE, detail="", items=(item,),
    )  # fmt: skip
    core.journal.record(core.desk.clock.now_ms(), done, *more)
