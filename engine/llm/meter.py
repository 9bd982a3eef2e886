"""What every question to a model passes: a reservation before it, the real cost after it (R25)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from engine.domain.budget import Over

TOKENS_MAX = 10**9


class BudgetCode(StrEnum):
    """Why nothing was reserved."""

    OVER_CAP = "OVER_CAP"
    AI_OFF = "AI_OFF"
    NO_PRICE = "NO_PRICE"
    TOO_LONG = "TOO_LONG"
    BAD_COUNT = "BAD_COUNT"
    NOT_WRITTEN = "NOT_WRITTEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that an answer says it used. input_tokens: those read from a cache included."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0

    @property
    def is_sound(self) -> bool:
        """Tell whether the counts can be charged by: zero or negative ones, or more cached than asked, cannot (A17)."""
        counts = (self.input_tokens, self.output_tokens, self.cached_tokens)
        return (
            all(type(count) is int for count in counts)
            and 0 < self.input_tokens <= TOKENS_MAX
            and 0 < self.output_tokens <= TOKENS_MAX
            and 0 <= self.cached_tokens <= self.input_tokens
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A reservation on record. usd: the worst case of one attempt."""

    hold_id: str
    usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OverBudget:
    """Why nothing was reserved, in one sentence. over: the cap that stood in the way, None where another thing did."""

    sentence: str
    code: BudgetCode = BudgetCode.OVER_CAP
    over: Over | None = None


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

    def switch(self, on: bool, reason: str, actor: str, *, provider: str = "", until_ms: int = 0) -> None:
        """Switch a provider's models, or all, on or off. until_ms: when they are on again by themselves, 0: never."""
        ...
