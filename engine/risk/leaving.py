"""What checks answer with: what they leave of a target, and two texts that a person can compare."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from engine.domain.money import ZERO, plain
from engine.risk.situation import Situation

Leaves = bool | Decimal
"""Pass or refuse; or the target that is left."""
Word = tuple[Leaves, str, str]
"""What a check leaves, then what it observed and its limit as texts."""
_CENT, _SMALL, _SHARE, _TENTH = Decimal("0.01"), Decimal("1e-8"), Decimal("0.0001"), Decimal("0.1")
OFF: Word = (True, "off", "off")
"""The answer of a check whose limit the policy switches off."""


def adds_exposure(s: Situation, target: Decimal) -> bool:
    """Tell whether a target lies further from zero than the position, or on its other side."""
    return abs(target) > abs(s.current_qty) or target * s.current_qty < 0


def at_most(s: Situation, target: Decimal, most: Decimal) -> Decimal:
    """Return the target, or the whole steps towards it that a ceiling leaves."""
    if target <= most:
        return target
    return s.current_qty + s.instrument.floor_qty(max(ZERO, most - s.current_qty))


def added(s: Situation, target: Decimal) -> Decimal:
    """Return by how many units a target is more than the position."""
    return abs(target) - abs(s.current_qty)


def short(value: Decimal) -> str:
    """Write an amount to two places, a small one to eight."""
    return plain(value.quantize(_CENT if abs(value) >= 1 else _SMALL))


def as_share(value: Decimal) -> str:
    """Write a share as a percentage to two places."""
    return plain(value.quantize(_SHARE).scaleb(2)) + "%"


def times(value: Decimal) -> str:
    """Write a multiple, such as "1.5x"."""
    return plain(value.quantize(_CENT)) + "x"


@lru_cache(maxsize=256)
def seconds(duration_ms: int) -> str:
    """Write a duration in seconds."""
    return plain(Decimal(duration_ms) / 1000) + "s"


@lru_cache(maxsize=256)
def minutes(duration_ms: int) -> str:
    """Write a duration in minutes, to one place."""
    return plain((Decimal(duration_ms) / 60_000).quantize(_TENTH)) + "m"
