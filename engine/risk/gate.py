"""The gate: the only maker of an Intent. What comes out has passed every guardrail, or only reduces."""

from __future__ import annotations

from decimal import Decimal

from engine.domain.decision import Decision, DecisionDraft
from engine.domain.instrument import Instrument
from engine.domain.intent import Intent
from engine.domain.money import round_price
from engine.domain.order import OrderRole, OrderType, Side
from engine.domain.portfolio import Position
from engine.domain.values import quick_value
from engine.risk.guardrails import Assessment, assess
from engine.risk.situation import Situation
from engine.risk.sizing import protection_prices, size


@quick_value
class Ruling:
    """What the gate says to one draft.

    decision: the target that code made of it; what was asked for, where it is refused. intent None: refused, or
    nothing to trade. bound_by: what decided the size, or refused it.
    """

    decision: Decision
    bound_by: str
    assessment: Assessment
    intent: Intent | None


def judge(situation: Situation, cycle_id: str, decision_id: str) -> Ruling:
    """Size a draft, run the guardrails in order, and make the intent if they let it through (R1)."""
    sizing = size(situation)
    assessment = assess(situation, sizing.target_qty)
    target = sizing.target_qty if assessment.refused else assessment.target
    decision = _decision(situation, target, cycle_id, decision_id)
    intent = None if assessment.refused or not decision.delta else _intent(situation, decision)
    refused = assessment.refused
    bound_by = refused.code.value if refused else assessment.bound_by or sizing.bound_by
    return Ruling(decision, bound_by, assessment, intent)


def closing_intent(
    position: Position, qty: Decimal, price: Decimal, flatten_id: str, now_ms: int, limit_price: Decimal
) -> Intent:
    """Make a reduce-only limit intent that closes part of a position; it needs no guardrail (R19).

    flatten_id: names the flatten and the round. limit_price: on the tick, the worst price it may close at.
    """
    intent_id = f"{flatten_id}:{position.agent}:{position.instrument}"
    return Intent(
        intent_id=intent_id,
        cycle_id=flatten_id,
        agent=position.agent,
        instrument=position.instrument,
        role=OrderRole.FLATTEN,
        side=Side.SELL if position.qty > 0 else Side.BUY,
        order_type=OrderType.LIMIT,
        qty=qty,
        price=price,
        limit_price=limit_price,
        reduce_only=True,
        created_ms=now_ms,
    )


def guarding_intent(
    position: Position, qty: Decimal, price: Decimal, stop_price: Decimal, guard_id: str, now_ms: int
) -> Intent:
    """Make a reduce-only stop for a position that has none, or a farther one; it needs no guardrail (R16)."""
    return Intent(
        intent_id=f"{guard_id}:{position.agent}:{position.instrument}",
        cycle_id=guard_id,
        agent=position.agent,
        instrument=position.instrument,
        role=OrderRole.STOP,
        side=Side.SELL if position.qty > 0 else Side.BUY,
        order_type=OrderType.STOP,
        qty=qty,
        price=price,
        trigger_price=stop_price,
        reduce_only=True,
        created_ms=now_ms,
    )


def aiming_intent(
    position: Position, qty: Decimal, price: Decimal, target_price: Decimal, guard_id: str, now_ms: int
) -> Intent:
    """Make a reduce-only target for a position that lacks one; it needs no guardrail (R16)."""
    return Intent(
        intent_id=f"{guard_id}:{position.agent}:{position.instrument}",
        cycle_id=guard_id,
        agent=position.agent,
        instrument=position.instrument,
        role=OrderRole.TARGET,
        side=Side.SELL if position.qty > 0 else Side.BUY,
        order_type=OrderType.TAKE_PROFIT,
        qty=qty,
        price=price,
        limit_price=target_price,
        reduce_only=True,
        created_ms=now_ms,
    )


def _decision(situation: Situation, target_qty: Decimal, cycle_id: str, decision_id: str) -> Decision:
    draft, mark = situation.draft, situation.mark
    return Decision(
        decision_id=decision_id,
        cycle_id=cycle_id,
        agent=situation.agent.name,
        instrument=situation.instrument.key,
        direction=draft.direction,
        current_qty=situation.current_qty,
        target_qty=target_qty,
        confidence=draft.confidence,
        rationale=draft.rationale,
        price=mark.price if mark else None,
        price_ms=mark.ts_ms if mark else 0,
        made_ms=situation.now_ms,
        limit_price=draft.limit_price,
        stop=draft.stop,
        target=draft.target,
    )


def _intent(situation: Situation, decision: Decision) -> Intent:
    delta = decision.delta
    entry = abs(decision.target_qty) > abs(decision.current_qty)
    draft, instrument = situation.draft, situation.instrument
    stop, take = protection_prices(situation) if entry else (None, None)
    return Intent(
        intent_id=decision.decision_id,
        cycle_id=decision.cycle_id,
        agent=decision.agent,
        instrument=instrument.key,
        role=OrderRole.ENTRY if entry else OrderRole.EXIT,
        side=Side.BUY if delta > 0 else Side.SELL,
        order_type=_type_of(draft),
        qty=abs(delta),
        price=situation.price,
        limit_price=_on_tick(draft.limit_price, instrument, up=delta < 0),
        trigger_price=_on_tick(draft.trigger_price, instrument, up=delta > 0),
        stop_price=stop,
        target_price=take,
        reduce_only=not entry,
        created_ms=situation.now_ms,
    )


def _type_of(draft: DecisionDraft) -> OrderType:
    if draft.limit_price is not None:
        return OrderType.LIMIT
    return OrderType.MARKET if draft.trigger_price is None else OrderType.STOP


def _on_tick(price: Decimal | None, instrument: Instrument, *, up: bool) -> Decimal | None:
    return None if price is None else round_price(price, instrument.price_tick, up=up)
