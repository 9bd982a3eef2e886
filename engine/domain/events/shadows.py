"""Events of trades that a person rejected: what they would have done. No money moves by them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from engine.domain.money import plain
from engine.domain.order import Side


class ShadowEnd(StrEnum):
    """How a rejected trade would have ended: at its stop or target, still open after a week, or without a fill."""

    STOP = "STOP"
    TARGET = "TARGET"
    OPEN = "OPEN"
    NEVER_FILLED = "NEVER_FILLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowEntered:
    """A rejected trade would have filled. price: in quote. candle_ms: open time of the candle it fills in.

    inside: somewhere within that candle, so that a target may only act after it; else at its open.
    """

    KIND: ClassVar[int] = 92
    approval_id: str
    price: Decimal
    candle_ms: int
    inside: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowEnded:
    """What a rejected trade would have come to. profit: in quote, fees both ways off; 0 where it never filled.

    A sale that was rejected is measured against holding on: its profit is what the price fell.
    """

    KIND: ClassVar[int] = 93
    approval_id: str
    cycle_id: str
    agent: str
    instrument: str
    side: Side
    qty: Decimal
    how: ShadowEnd
    entry_price: Decimal | None
    exit_price: Decimal | None
    profit: Decimal

    @property
    def sentence(self) -> str:
        """What it would have come to, in words."""
        if self.entry_price is None or self.exit_price is None:
            return "never filled"
        word = "made" if self.profit >= 0 else "lost"
        where = {ShadowEnd.STOP: "its stop", ShadowEnd.TARGET: "its target"}.get(self.how, "the close a week later")
        return f"{word} {plain(abs(self.profit))}: {plain(self.entry_price)} -> {plain(self.exit_price)}, {where}"
