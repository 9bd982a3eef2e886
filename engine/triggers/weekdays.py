"""Cron's weekday field in words, because APScheduler counts weekdays from Monday and cron from Sunday."""

from __future__ import annotations

import re

_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_PART = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?")


def weekday_names(field: str) -> str:
    """Write cron's weekday field as a list of names; 0 and 7 are both Sunday. Raises ValueError on anything else.

    >>> weekday_names("1-5"), weekday_names("0"), weekday_names("fri-mon")
    ('mon,tue,wed,thu,fri', 'sun', 'sun,mon,fri,sat')
    """
    if field == "*":
        return field
    days: set[int] = set()
    for part in field.lower().split(","):
        days |= _days(part)
    return ",".join(_NAMES[day] for day in sorted(days))


def _days(part: str) -> set[int]:
    match = _PART.fullmatch(part)
    if match is None:
        raise ValueError(f'"{part}" is no weekday')
    first, last, step = match.groups()
    if first == "*":
        start, end = 0, 6
    else:
        start = _number(first)
        end = _number(last) if last else (6 if step else start)
    if end < start:
        end += 7
    if step == "0":
        raise ValueError(f'"{part}" steps by 0')
    return {day % 7 for day in range(start, end + 1, int(step or 1))}


def _number(text: str) -> int:
    if text in _NAMES:
        return _NAMES.index(text)
    if not (text.isdecimal() and text.isascii() and int(text) <= 7):
        raise ValueError(f'"{text}" is no weekday')
    return int(text)
