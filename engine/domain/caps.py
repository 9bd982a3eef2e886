"""The policy's AI budget: what models may cost in all, and for each provider and agent."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from engine.domain.budget import AGENT, IN_ALL, PROVIDER, Cap, Caps, Window


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareBudget:
    """What one provider or agent, or each of them, may use of the budget. None: as much as all together may.

    An amount above that of all changes nothing.
    """

    usd_per_day: Decimal | None = None
    tokens_per_day: int | None = None
    usd_per_month: Decimal | None = None
    tokens_per_month: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AiBudget:
    """What models may cost, by UTC day and month. providers, agents: name -> its own share, where that is less."""

    usd_per_day: Decimal = Decimal(5)
    tokens_per_day: int = 500_000
    usd_per_month: Decimal = Decimal(100)
    tokens_per_month: int = 10_000_000
    each_provider: ShareBudget = ShareBudget()
    each_agent: ShareBudget = ShareBudget()
    providers: dict[str, ShareBudget] = field(default_factory=dict)
    agents: dict[str, ShareBudget] = field(default_factory=dict)


DOCUMENTED = AiBudget()


def caps_of(budget: AiBudget) -> Caps:
    """Return the caps that holds must fit in.

    >>> [str(cap.usd) for cap in caps_of(AiBudget(each_agent=ShareBudget(usd_per_day=Decimal(1))))]
    ['5', '100', '1', '100']
    """
    caps = list(_pair(IN_ALL, budget))
    for kind, each, named in (
        (PROVIDER, budget.each_provider, budget.providers),
        (AGENT, budget.each_agent, budget.agents),
    ):
        if each != ShareBudget():
            caps += _pair(kind, each, budget)
        for name, share in named.items():
            caps += _pair(f"{kind}:{name}", share, each, budget)
    return tuple(caps)


def _pair(scope: str, *shares: ShareBudget | AiBudget) -> tuple[Cap, Cap]:
    """Return the two caps of a scope: the least of what its own share, each one's and all together's say."""

    def least(name: str) -> Decimal:
        stated = (getattr(share, name) for share in shares)
        return min(Decimal(value) for value in stated if value is not None)

    return (
        Cap(scope, Window.DAY, least("usd_per_day"), int(least("tokens_per_day"))),
        Cap(scope, Window.MONTH, least("usd_per_month"), int(least("tokens_per_month"))),
    )
