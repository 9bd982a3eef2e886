"""How a lane stands, for whoever shows it; apart from the lanes, so that a screen loads no journal events for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from engine.domain.money import ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneStanding:
    """An agent beside its lane, both since the lane began, in account currency. None: something has no price.

    agent_net, lane_net: after fees, open positions at the last prices. spent: what the agent's models cost;
    lane_spent: what the lane's did. agent_after, lane_after: the nets less that, so after fees and tokens; added: what
    the agent's model made beyond the lane's, the one less the other.
    outcomes: how often the lane's language model ended in each; last: the latest, "" for none.
    """

    agent: str
    model: str
    since_ms: int
    agent_net: Decimal | None
    spent: Decimal
    lane_net: Decimal | None
    lane_fees: Decimal
    lane_fills: int
    added: Decimal | None
    lane_spent: Decimal = ZERO
    agent_after: Decimal | None = None
    lane_after: Decimal | None = None
    outcomes: dict[str, int] = field(default_factory=dict)
    last: str = ""
