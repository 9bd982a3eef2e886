"""Events of the kill switch's tiers, and of agents that wait because their cycles failed."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from engine.domain.killing import KillTier


@dataclass(frozen=True, slots=True, kw_only=True)
class KillTierMoved:
    """A rule of the kill switch went up or down. observed, limit: in the rule's unit; limit: where the tier begins.

    evidence: every input as "name=value" joined by ";", the prices with their time and source.
    """

    KIND: ClassVar[int] = 85
    rule: str
    was: KillTier
    tier: KillTier
    observed: Decimal
    limit: Decimal
    evidence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentWaits:
    """An agent's cycles failed so many times in a row: it skips its slots before until_ms."""

    KIND: ClassVar[int] = 86
    agent: str
    failures: int
    until_ms: int
    reason: str
