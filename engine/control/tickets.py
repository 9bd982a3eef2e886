"""Manual trades: the trader is an agent too, and passes the same guardrails (R26, R38)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from hashlib import blake2b

from engine.agents.cycle import item_of
from engine.api import Ticket, TicketPreview
from engine.config import policy_fields
from engine.control.core import Core
from engine.control.previewed import Seen
from engine.control.ticket_rules import check_form, named, qty_in_base
from engine.domain.agent import TRADER, AgentConfig, AgentLimits, Protection
from engine.domain.decision import AnsweredBy, DecisionDraft, Direction, Disposition, Outcome
from engine.domain.events import CycleDone, CycleItem, OrderIntended
from engine.domain.intent import Intent
from engine.domain.money import ONE, ZERO, plain, signed_frac
from engine.domain.order import OrderType, Side
from engine.domain.risk import RiskCheck
from engine.errors import RefusedError
from engine.ids import cycle_id
from engine.risk.approvals import drift_refusal
from engine.risk.effects import effect_of
from engine.risk.gate import Ruling, judge
from engine.risk.guardrails import table
from engine.risk.situation import Situation
from engine.risk.sizing import protection_prices

PREVIEWS_KEPT = 8


@dataclass(frozen=True, slots=True)
class Judgement:
    """A ticket after the gate, with what it was judged on. qty: what it asks for, in base."""

    cycle: str
    qty: Decimal
    situation: Situation
    ruling: Ruling


def preview(core: Core, ticket: Ticket) -> TicketPreview:
    """Return what the guardrails say to a ticket, sending nothing."""
    ticket = named(core, ticket)
    judgement = _judge(core, ticket, None)
    situation, intent = judgement.situation, judgement.ruling.intent
    qty = intent.qty if intent else ZERO
    price = _price(ticket, judgement)
    notional = qty * price if price is not None else ZERO
    stop, target = _protection(ticket, situation)
    cash = core.books.balances.get(situation.instrument.quote, ZERO)
    return TicketPreview(
        preview_id=_keep(core, ticket, qty, Seen(price, judgement.qty)),
        refused=intent is None,
        asked_qty=judgement.qty,
        qty=qty,
        price=price,
        notional=notional,
        fee=notional * situation.instrument.taker_fee,
        stop_price=stop,
        target_price=target,
        checks=judgement.ruling.assessment.checks,
        stop_frac=_distance(stop, price),
        target_frac=_distance(target, price),
        effect=effect_of(situation, intent, cash) if intent else None,
    )


def way_out(refused: RiskCheck) -> str:
    """Say how a refusal may be answered: never passed, only its limit changed, and by whom."""
    limit = next((row[3] for row in table() if row[0] == refused.code.value), "").removeprefix("policy ")
    if limit in policy_fields():  # the trader's own limits are the account's
        named = f"--set {limit}=... --reason ..."
        return f"A refusal cannot be passed, only its limit changed: quarterdeck policy propose {named}"
    return "A refusal cannot be passed; a limit that the policy sets can be changed: quarterdeck policy propose."


async def submit(core: Core, ticket: Ticket, preview_id: str) -> str:
    """Send a ticket that was previewed; RefusedError when the guardrails now say otherwise. Returns a sentence."""
    ticket = named(core, ticket)
    judgement = _judge(core, ticket, core.previews.get(preview_id))
    ruling, situation = judgement.ruling, judgement.situation
    item = item_of(ruling, Disposition.ACTED if ruling.intent else Disposition.REFUSED, "")
    if ruling.intent is None:
        _record(core, judgement.cycle, item)
        refused = ruling.assessment.refused
        if refused is None:
            raise RefusedError("Not sent: there is nothing to trade.")
        raise RefusedError(f"Not sent: {refused.sentence}. {way_out(refused)}")
    _check_preview(core, ticket, ruling.intent, preview_id)
    prepared = core.desk.router.prepare(ruling.intent)
    _record(core, judgement.cycle, item, *prepared.events)
    status = await core.desk.router.send(prepared)
    return f"{ticket.side} {plain(ruling.intent.qty)} {situation.instrument.key}: {status}."


def _price(ticket: Ticket, judgement: Judgement) -> Decimal | None:
    """The order's own price as it would be sent, on the tick; a refused one's as it was typed; else the mark."""
    intent, mark = judgement.ruling.intent, judgement.situation.mark
    sent = (intent.limit_price or intent.trigger_price) if intent else None
    return sent or ticket.limit_price or ticket.trigger_price or (mark.price if mark else None)


def _distance(level: Decimal | None, price: Decimal | None) -> Decimal | None:
    return None if level is None or price is None or not price > 0 else signed_frac(abs(price - level), price)


def _keep(core: Core, ticket: Ticket, qty: Decimal, seen: Seen) -> str:
    shown = preview_digest(ticket, qty)
    core.previews.pop(shown, None)
    core.previews[shown] = seen
    while len(core.previews) > PREVIEWS_KEPT:
        core.previews.pop(next(iter(core.previews)))
    return shown


def _check_preview(core: Core, ticket: Ticket, intent: Intent, preview_id: str) -> None:
    """Refuse what is not exactly what the trader saw; a preview is used once, so Send twice sends once (U06)."""
    if preview_digest(ticket, intent.qty) != preview_id or preview_id not in core.previews:
        raise RefusedError(
            f"Not sent: it would now be {plain(intent.qty)}, and that preview is not the last one; preview it again."
        )
    seen = core.previews.pop(preview_id)
    drift = drift_refusal(
        replace(intent, price=seen.price or intent.price), intent.price, core.policy.limits.decision_drift_frac
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


def _judge(core: Core, ticket: Ticket, seen: Seen | None) -> Judgement:
    """Put a ticket through the gate. seen: its preview, whose quantity stays what it was; None: reckon it now."""
    check_form(core, ticket)
    qty = seen.qty if seen is not None else qty_in_base(core, ticket)
    now_ms = core.desk.clock.now_ms()
    cycle = _fresh_cycle(core, ticket.instrument, now_ms)
    current = core.books.position(TRADER, ticket.instrument).qty
    buying = ticket.side is Side.BUY
    config = trader_config(core, ticket, current + qty if buying else None)
    decision_id = f"{cycle}:{ticket.instrument}"
    situation = core.desk.surroundings.gather(config, _draft(ticket, qty), decision_id, now_ms)
    situation = replace(situation, agent_status=core.trader_status)
    return Judgement(cycle, qty, situation, judge(situation, cycle, decision_id))


def _fresh_cycle(core: Core, instrument: str, now_ms: int) -> str:
    """Name the ticket's cycle by its instant; a second trade within one takes the next name, for none trades twice."""
    used = {order.intent_id for order in core.books.all_orders()}
    while f"{cycle_id(TRADER, now_ms)}:{instrument}" in used:
        now_ms += 1
    return cycle_id(TRADER, now_ms)


def _draft(ticket: Ticket, qty: Decimal) -> DecisionDraft:
    return DecisionDraft(
        instrument=ticket.instrument,
        direction=Direction.BUY if ticket.side is Side.BUY else Direction.SELL,
        rationale="manual ticket",
        confidence=ONE,
        quantity=qty,
        limit_price=ticket.limit_price,
        trigger_price=ticket.trigger_price,
        stop=ticket.stop_price,
        target=ticket.target_price,
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
