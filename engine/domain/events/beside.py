"""Events of questions to models beside trading: a person's rerun of a decision, and an agent's shadow.

Nothing of them is traded. What they cost is held and posted as any call is, under a purpose of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from engine.domain.budget import Purpose
from engine.domain.decision import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldTagged:
    """The hold written right before it is for this purpose, not for a decision that may trade."""

    KIND: ClassVar[int] = 130
    hold_id: str
    purpose: Purpose


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedBeside:
    """One attempt to get an answer beside trading, in the fields of ModelAsked. agent: whose cycle it is about."""

    KIND: ClassVar[int] = 131
    purpose: Purpose
    cycle_id: str
    agent: str
    attempt: int
    provider: str
    model: str
    answered: str
    outcome: Outcome
    prompt: str
    answer: str
    template: str
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reserved_usd: Decimal
    cost_usd: Decimal
    latency_ms: int
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BesideDone:
    """What a question beside trading came to, once its answer was read. model: "provider:model" that was asked."""

    KIND: ClassVar[int] = 132
    purpose: Purpose
    cycle_id: str
    agent: str
    model: str
    outcome: Outcome
    detail: str
    cost_usd: Decimal
    latency_ms: int
