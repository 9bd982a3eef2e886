"""Trades that wait for a person (R26): bound to what was shown, expiring, used once."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b

from engine.domain.agent import AgentConfig
from engine.domain.decision import DecisionDraft
from engine.domain.events import ApprovalAsked
from engine.domain.intent import Intent
from engine.domain.money import percent, plain, signed_frac
from engine.domain.risk import RiskCheck
from engine.ids import short_code


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One intent in the queue, with what its card shows. asked_ms: when its checks were made.

    before_qty: the agent's position when it was asked. policy_hash: the limits it was checked under. price_ms: the time
    of the price it was sized at, which names that price.
    """

    intent: Intent
    agent: AgentConfig
    draft: DecisionDraft
    checks: tuple[RiskCheck, ...]
    before_qty: Decimal
    digest: str
    expires_ms: int
    policy_hash: str
    price_ms: int
    asked_ms: int

    @property
    def code(self) -> str:
        """The four letters that approve exactly this."""
        return short_code(self.digest)


class Approvals:
    """The queue. Answers are given by id and code; an answered or expired one is gone."""

    def __init__(self) -> None:
        self.waiting: dict[str, Waiting] = {}

    def ask(self, waiting: Waiting) -> ApprovalAsked:
        """Put an intent in the queue and return the row that makes it durable."""
        intent = waiting.intent
        self.waiting[intent.intent_id] = waiting
        return ApprovalAsked(
            approval_id=intent.intent_id,
            cycle_id=intent.cycle_id,
            agent=intent.agent,
            instrument=intent.instrument,
            role=intent.role,
            side=intent.side,
            order_type=intent.order_type,
            qty=intent.qty,
            price=intent.price,
            limit_price=intent.limit_price,
            stop_price=intent.stop_price,
            target_price=intent.target_price,
            digest=waiting.digest,
            expires_ms=waiting.expires_ms,
        )

    def take(self, approval_id: str) -> Waiting | None:
        """Take one out of the queue, so that it can be used only once."""
        return self.waiting.pop(approval_id, None)

    def expired(self, now_ms: int) -> list[Waiting]:
        """Return those whose time is up, oldest first."""
        return [waiting for waiting in self.waiting.values() if now_ms >= waiting.expires_ms]


def changed_refusal(waiting: Waiting, policy_hash: str) -> str:
    """Return why this is not what was asked about any more; "" while order, policy and price are the same (U09)."""
    if policy_hash != waiting.policy_hash:
        return f"the policy is now {policy_hash[:8]}, and the card was drawn under {waiting.policy_hash[:8]}"
    if digest_of(waiting.intent, policy_hash, waiting.price_ms) != waiting.digest:
        return "the order is not the one on the card"
    return ""


def digest_of(intent: Intent, policy_hash: str, price_ms: int) -> str:
    """Return the hash that binds an approval to order, policy and the price shown (S10)."""
    parts = (
        intent.intent_id, intent.agent, intent.instrument, intent.side, intent.order_type, plain(intent.qty),
        plain(intent.price), str(intent.limit_price), str(intent.stop_price), str(intent.target_price),
        policy_hash, str(price_ms), *(() if intent.trigger_price is None else (plain(intent.trigger_price),)),
    )  # fmt: skip
    return blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def drift_refusal(intent: Intent, price_now: Decimal | None, drift_max_frac: Decimal) -> str:
    """Return why the price has moved too far from the one shown, with both numbers; "" when it has not (U08)."""
    if price_now is None:
        return f"{intent.instrument} has no price now"
    drift = abs(signed_frac(price_now - intent.price, intent.price))
    if drift <= drift_max_frac:
        return ""
    return (
        f"{intent.instrument} moved {percent(drift)} from {plain(intent.price)} to {plain(price_now)}, "
        f"more than the {percent(drift_max_frac)} allowed"
    )
