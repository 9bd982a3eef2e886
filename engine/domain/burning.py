"""How fast a budget burns, and when it runs out."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from engine.domain.budget import DAY_MS, Window, day_of, month_of
from engine.domain.money import ZERO

HOUR_MS = 3_600_000
_LEAST_MS = 10 * 60_000
"""A pace is measured over at least this long: one call in the first minute says little of the day."""
_QUANTUM = Decimal("1e-9")
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


def burn(spent_usd: Decimal, first_ms: int, now_ms: int) -> Decimal:
    """Return the pace since the window's first call, in USD per hour.

    >>> str(burn(Decimal(3), 0, 2 * HOUR_MS))
    '1.500000000'
    """
    if not spent_usd:
        return ZERO
    return (spent_usd * HOUR_MS / max(now_ms - first_ms, _LEAST_MS)).quantize(_QUANTUM)


def runs_out_ms(left_usd: Decimal, usd_per_hour: Decimal, window: Window, now_ms: int) -> int | None:
    """Return when nothing is left at this pace; None where the window ends before that.

    >>> runs_out_ms(Decimal(1), Decimal(2), Window.DAY, 0) == HOUR_MS // 2
    True
    """
    if not left_usd > 0:
        return now_ms
    if not usd_per_hour > 0:
        return None
    out_ms = now_ms + int(left_usd * HOUR_MS / usd_per_hour)
    return out_ms if out_ms < end_of(window, now_ms) else None


def end_of(window: Window, now_ms: int) -> int:
    """Return when the window that is open at an instant ends.

    >>> end_of(Window.DAY, 5) == DAY_MS, end_of(Window.MONTH, 5) == 31 * DAY_MS
    (True, True)
    """
    if window is Window.DAY:
        return (day_of(now_ms) + 1) * DAY_MS
    year, month = divmod(month_of(now_ms) + 1, 12)
    return (date(year, month + 1, 1).toordinal() - _EPOCH_ORDINAL) * DAY_MS
