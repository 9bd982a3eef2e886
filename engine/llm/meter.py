"""What every question to a model passes: a reservation before it, the real cost after it (R25)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that an answer says it used. input_tokens: those read from a cache included."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A reservation on record. usd: the worst case of one attempt."""

    hold_id: str
    usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OverBudget:
    """Why nothing was reserved, in one sentence."""

    sentence: str


class Meter(Protocol):
    """Keeps what models may cost."""

    def hold(
        self, *, provider: str, model: str, agent: str, cycle_id: str, input_tokens: int, output_tokens_max: int,
        now_ms: int,
    ) -> Hold | OverBudget:  # fmt: skip
        """Reserve the worst case of one attempt; durable when it returns, caps checked in the same transaction."""
        ...

    def post(self, hold: Hold, usage: Usage | None) -> Decimal:
        """Post what an attempt cost and release the rest; None posts all of it. Returns the cost in USD."""
        ...
