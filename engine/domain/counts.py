"""What the books count and measure from."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.domain.money import ZERO


@dataclass(slots=True)
class Baseline:
    """What the kill switch measures from; in account currency. day: whole UTC days since 1970."""

    start: Decimal = ZERO
    peak: Decimal = ZERO
    day: int = -1
    day_start: Decimal = ZERO


@dataclass(slots=True)
class Counters:
    """Whole numbers that summaries and screens show. orders: protective ones included; intents: without them.

    postings: changes of balances.
    """

    cycles: int = 0
    fills: int = 0
    orders: int = 0
    intents: int = 0
    halts: int = 0
    incidents: int = 0
    transfers: int = 0
    differences: int = 0
    postings: int = 0
