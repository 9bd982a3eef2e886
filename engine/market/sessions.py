"""When markets are open. A calendar that is not known is not open: nobody may guess (C10)."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

ALWAYS = "24/7"
WEEKDAYS = "24/5"
_NEW_YORK = ZoneInfo("America/New_York")
_SUNDAY, _FRIDAY, _SATURDAY = 6, 4, 5
_CURRENCY_HOUR = 17

# Fixed, so that what a replay finds open does not depend on the day it is run.
_FIRST_DAY, _LAST_DAY = "1990-01-01", "2035-12-31"


@dataclass(frozen=True, slots=True)
class _Schedule:
    """Sessions of a calendar as sorted spans: open from opens[i] until just before closes[i]."""

    opens: list[int]
    closes: list[int]

    def is_open(self, ts_ms: int) -> bool | None:
        if not self.opens or not self.opens[0] <= ts_ms < self.closes[-1]:
            return None
        return ts_ms < self.closes[bisect_right(self.opens, ts_ms) - 1]


def is_open(calendar: str, ts_ms: int) -> bool | None:
    """Say whether a market trades at an instant, its closing instant not included; None: not known, so not tradable.

    "24/7" is always; "24/5" is currencies, from Sunday 17:00 to Friday 17:00 in New York (22:00 UTC, 21:00 in
    summer); anything else is an exchange's code such as "XNYS", with its holidays, early closes and lunch breaks.
    """
    if calendar == ALWAYS:
        return True
    if calendar == WEEKDAYS:
        return _currencies_open(ts_ms)
    schedule = _schedule(calendar)
    return None if schedule is None else schedule.is_open(ts_ms)


def _currencies_open(ts_ms: int) -> bool:
    there = datetime.fromtimestamp(ts_ms / 1000, UTC).astimezone(_NEW_YORK)
    day = there.weekday()
    if day == _SUNDAY:
        return there.hour >= _CURRENCY_HOUR
    if day == _FRIDAY:
        return there.hour < _CURRENCY_HOUR
    return day != _SATURDAY


@lru_cache(maxsize=32)
def _schedule(calendar: str) -> _Schedule | None:
    import exchange_calendars as xc  # with pandas 0.4 s, and only instruments that close need it
    from exchange_calendars.errors import InvalidCalendarName

    try:
        found = xc.get_calendar(calendar, start=_FIRST_DAY, end=_LAST_DAY)
    except InvalidCalendarName:
        return None
    except ValueError:  # some calendars are not written that far back or ahead
        found = xc.get_calendar(calendar)
    opens, closes = [], []
    spans = zip(found.opens_nanos, found.break_starts_nanos, found.break_ends_nanos, found.closes_nanos, strict=True)
    for opened, break_start, break_end, closed in spans:
        has_break = break_start > 0  # the library's "none" is the least integer there is
        opens += [int(opened), int(break_end)] if has_break else [int(opened)]
        closes += [int(break_start), int(closed)] if has_break else [int(closed)]
    return _Schedule([ns // 1_000_000 for ns in opens], [ns // 1_000_000 for ns in closes])
