"""A waiting trade is used: checked once more, journaled with the order it becomes, and sent (R26, S10)."""

from __future__ import annotations

from engine.agents.cycle import Desk
from engine.domain.events import ApprovalClosed
from engine.domain.money import ONE, plain
from engine.domain.order import OrderStatus
from engine.domain.policy import Policy
from engine.risk.approvals import Waiting, changed_refusal, drift_refusal
from engine.risk.gate import judge


async def use(desk: Desk, policy: Policy, waiting: Waiting, actor: str) -> tuple[OrderStatus | None, str]:
    """Send a trade that was approved; return what is known of its order, or None and why it was refused."""
    approval_id, now_ms = waiting.intent.intent_id, desk.clock.now_ms()
    refusal = _refusal(desk, policy, waiting, now_ms)
    if refusal:
        note = refusal[:300]
        desk.journal.record(now_ms, ApprovalClosed(approval_id=approval_id, answer="refused", actor=actor, note=note))
        return None, refusal
    prepared = desk.router.prepare(waiting.intent)
    closed = ApprovalClosed(approval_id=approval_id, answer="approved", actor=actor)
    desk.journal.record(now_ms, closed, *prepared.events)
    return await desk.router.send(prepared), ""


def _refusal(desk: Desk, policy: Policy, waiting: Waiting, now_ms: int) -> str:
    """Check expiry, what was shown, price drift and risk once more, at the moment of use."""
    intent = waiting.intent
    if now_ms >= waiting.expires_ms:
        return "it had expired"
    if changed := changed_refusal(waiting, desk.policy_hash):
        return changed
    price = desk.surroundings.valuation.price(intent.instrument)
    drift = drift_refusal(intent, price, policy.limits.decision_drift_frac)
    if drift:
        return drift
    situation = desk.surroundings.gather(waiting.agent, waiting.draft, intent.intent_id, now_ms)
    ruling = judge(situation, intent.cycle_id, intent.intent_id)
    if ruling.assessment.refused:
        return ruling.assessment.refused.sentence
    allowed = ruling.intent.qty if ruling.intent and ruling.intent.side is intent.side else None
    # A size at a limit shrinks as the price rises: what the price may drift, it may shrink, and what was seen is sent.
    least = intent.qty * (ONE - policy.limits.decision_drift_frac)
    if allowed is None or allowed < least:
        return f"the guardrails now allow {plain(allowed) if allowed else 'nothing'}, not {plain(intent.qty)}"
    return ""
