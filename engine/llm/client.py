"""The one protocol behind which every model answers, deterministic or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from engine.domain.decision import AnsweredBy, DecisionDraft, Outcome

Settings = Mapping[str, str | int | float | bool]


@dataclass(slots=True)
class InstrumentView:
    """What a model sees of one instrument. Not frozen: one is built for every candle, and freezing doubles its cost.

    features: name -> float, rounded to 10 significant digits, NaN until warm. price: last close in quote,
    true at price_ms. position_qty: the agent's own, signed, in base.
    """

    instrument: str
    features: Mapping[str, float]
    price: Decimal
    price_ms: int
    position_qty: Decimal


@dataclass(slots=True)
class ModelRequest:
    """One question to a model, for one slot of one agent."""

    agent: str
    model: str
    slot_ms: int
    views: tuple[InstrumentView, ...]
    settings: Settings
    trigger: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """One answer. drafts: one per instrument asked about when outcome is DECIDED, else empty.

    tokens and cost None: unknown; 0: none. model: "provider:model" that answered. asked: a language model's, so it is
    written down in full, also when it only holds.
    """

    outcome: Outcome
    model: str
    drafts: tuple[DecisionDraft, ...]
    answered_by: AnsweredBy = AnsweredBy.LIVE
    detail: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    latency_ms: int | None = None
    asked: bool = False


class ModelClient(Protocol):
    """A provider. decide() may wait for a network; a deterministic one never suspends."""

    provider: str

    def features_needed(self, model: str, settings: Settings) -> tuple[str, ...]:
        """Return the feature specs the model reads, such as "sma:20"; UsageError on unknown model or setting."""
        ...

    async def decide(self, request: ModelRequest) -> ModelAnswer:
        """Answer a request; every failure is an outcome, never an exception."""
        ...
