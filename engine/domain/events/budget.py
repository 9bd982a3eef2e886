"""Events of AI spend: what was reserved and posted, the caps it had to fit in, and whether models may be asked."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from engine.domain.budget import Cap, HowPosted
from engine.domain.prices import Rates


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetHeld:
    """The worst case of one call, on disk before its first byte leaves (B1). usd follows from tokens and rates."""

    KIND: ClassVar[int] = 97
    hold_id: str
    cycle_id: str
    agent: str
    provider: str
    model: str
    input_tokens: int
    output_tokens_max: int
    rates: Rates
    usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetPosted:
    """What a call cost. Without usage the whole hold is posted and the counts are 0 (B3)."""

    KIND: ClassVar[int] = 98
    hold_id: str
    how: HowPosted
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetCapped:
    """The caps that holds must fit in from here on."""

    KIND: ClassVar[int] = 99
    caps: tuple[Cap, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AiSwitched:
    """Models of a provider, "" for all, may be asked or not. until_ms: when they may again, 0: when a person says."""

    KIND: ClassVar[int] = 100
    on: bool
    provider: str
    actor: str
    reason: str
    until_ms: int = 0
