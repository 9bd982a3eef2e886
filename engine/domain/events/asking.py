"""Events of asking language models: every attempt with what it cost, and the cycles that were not run."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from engine.domain.decision import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAsked:
    """One attempt to get an answer. attempt: from 1 within its cycle.

    model: asked for; answered: the name that answered, "" when none did. outcome DECIDED: a whole answer came; whether
    it could be read is in the cycle's own row. prompt, answer: hashes of what is kept of both, "" for nothing.
    template: version of the prompt's template. Tokens None: not known. reserved_usd 0: nothing was sent.
    """

    KIND: ClassVar[int] = 94
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
class CycleSkipped:
    """A slot in which an agent did not run, and why (R28)."""

    KIND: ClassVar[int] = 95
    agent: str
    trigger: str
    reason: str
