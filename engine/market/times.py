"""Time stamps as recordings write them: ISO texts, epochs, and day-first dates where told so."""

from __future__ import annotations

import re
from datetime import date

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_MS = 86_400_000
_CACHED_CLOCKS_MAX = 100_000

_ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DAY_FIRST = re.compile(r"(\d\d)[./-](\d\d)[./-](\d{4})", re.ASCII)
_CLOCK = re.compile(
    r"[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(?:\s*(Z|UTC|GMT|([+-])(\d\d):?(\d\d)?))?",
    re.ASCII,
)
_EPOCH = re.compile(r"(\d{9,19})(?:\.(\d+))?", re.ASCII)

# Below, above, factor to milliseconds. 1e11 s is the year 5138 and 1e11 ms is 1973, so the ranges never meet;
# anything shorter, such as 20260131, is a date without dashes and not an instant.
_UNITS = ((10**8, 10**11, 1000, 1), (10**11, 10**14, 1, 1), (10**14, 10**17, 1, 1000), (10**17, 10**20, 1, 1_000_000))


class TimeReader:
    """Reads one column of times, and remembers days and times of day, of which a recording has few.

    scale: milliseconds per unit when the column is an epoch in seconds or milliseconds; 0 otherwise.
    days, clocks: text -> milliseconds, of every day and time of day met; their sum is the instant.
    """

    def __init__(self, *, dayfirst: bool = False) -> None:
        self.dayfirst = dayfirst
        self.scale = 0
        self.days: dict[str, int] = {}
        self.clocks: dict[str, int] = {}

    def read(self, text: str) -> int | None:
        """Return the UTC milliseconds of a text; None when it is no instant after 1970. No zone means UTC."""
        if epoch := _EPOCH.fullmatch(text):
            return self._read_epoch(epoch[1], epoch[2])
        day, clock = self._day_ms(text[:10]), self._clock_ms(text[10:])
        if day is None or clock is None or day + clock <= 0:
            return None
        return day + clock

    def _read_epoch(self, whole: str, fraction: str | None) -> int | None:
        number = int(whole)
        for above, below, factor, divisor in _UNITS:
            if above <= number < below:
                self.scale = factor if divisor == 1 else 0
                if fraction and factor > 1:
                    return number * factor + int(fraction[:3].ljust(3, "0"))
                return number * factor // divisor
        return None

    def _day_ms(self, text: str) -> int | None:
        known = self.days.get(text)
        if known is None:
            known = self._parse_day(text)
            if known is not None:
                self.days[text] = known
        return known

    def _parse_day(self, text: str) -> int | None:
        try:
            if self.dayfirst and (match := _DAY_FIRST.fullmatch(text)):
                day = date(int(match[3]), int(match[2]), int(match[1]))
            elif _ISO_DAY.fullmatch(text):
                day = date.fromisoformat(text)
            else:
                return None
        except ValueError:
            return None
        return (day.toordinal() - _EPOCH_DAY) * _DAY_MS

    def _clock_ms(self, text: str) -> int | None:
        known = self.clocks.get(text)
        if known is None:
            known = _parse_clock(text)
            if known is not None:
                if len(self.clocks) >= _CACHED_CLOCKS_MAX:
                    self.clocks.clear()
                self.clocks[text] = known
        return known


def _parse_clock(text: str) -> int | None:
    """Return milliseconds since midnight UTC, the zone taken off; may be negative or above a day."""
    if not text:
        return 0
    match = _CLOCK.fullmatch(text)
    if match is None:
        return None
    hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
    if hour > 23 or minute > 59 or second > 59:
        return None
    milli = int((match[4] or "0")[:3].ljust(3, "0"))
    clock = ((hour * 60 + minute) * 60 + second) * 1000 + milli
    if match[6] is None:
        return clock
    offset = (int(match[7]) * 60 + int(match[8] or 0)) * 60_000
    return clock - offset if match[6] == "+" else clock + offset


def looks_day_first(text: str) -> bool:
    """Say whether a text could only be read with dayfirst: 31.12.2017 is, 2017-12-31 is not."""
    return _DAY_FIRST.fullmatch(text[:10]) is not None
