"""Deliberate bugs of our own protocol, each one rule turned round: the simulator must find every one of them.

What a mutant's docstring says is the rule that it breaks, and the invariants or faults that the rule is there for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from engine.clock import ManualClock
from engine.domain.order import OrderStatus
from engine.execution.reconcile import reconcile
from engine.execution.router import Prepared, Router
from engine.ops.simulate.gateway import SimGateway
from engine.ops.simulate.rig import Protocol
from engine.store.journal import Journal


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug, by name. rule: the sentence that it breaks."""

    name: str
    rule: str
    protocol: Protocol


class RetryOnTimeout(Router):
    """A create whose outcome is not known is never repeated (R10, O4, E01)."""

    async def send(self, prepared: Prepared) -> OrderStatus:
        status = await super().send(prepared)
        return await super().send(prepared) if status is OrderStatus.UNKNOWN else status


async def horizon_too_short(journal: Journal, gateway: SimGateway, clock: ManualClock) -> list[str]:
    """Not found is no evidence before the venue's horizon (R10, O6, E03)."""
    gateway.tier = replace(gateway.tier, horizon_ms=gateway.tier.horizon_ms // 10)
    return await reconcile(journal, gateway, clock)


def _rule(part: type | object) -> str:
    return (part.__doc__ or "").strip().removesuffix(".")


def _all() -> dict[str, Mutant]:
    made = {
        "retry-on-timeout": Protocol(router=RetryOnTimeout),
        "horizon-too-short": Protocol(reconcile=horizon_too_short),
    }
    rules = {"retry-on-timeout": RetryOnTimeout, "horizon-too-short": horizon_too_short}
    return {name: Mutant(name, _rule(rules[name]), replace(parts, name=name)) for name, parts in made.items()}


MUTANTS = _all()
"""All of them, by name."""
