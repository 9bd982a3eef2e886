"""Changes of the policy, as they are journaled: values as the policy file writes them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Sense(StrEnum):
    """Which way a change goes. NEUTRAL: it is no limit, and applies at once."""

    TIGHTENS = "tightens"
    LOOSENS = "loosens"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One value that changes. field: "limits.open_positions", or "agents.NAME.limits.trades_per_day"."""

    field: str
    old: str
    new: str
    sense: Sense
