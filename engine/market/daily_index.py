"""A daily index from a CSV file, such as a volatility index; at an instant only earlier days' closes are known."""

from __future__ import annotations

import csv
import os
from bisect import bisect_left
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from engine.domain.money import AmountError, amount

DAY_MS = 86_400_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class IndexClose:
    """One day's close. day: whole days since 1970."""

    day: int
    close: Decimal

    @property
    def date(self) -> str:
        """The day as text."""
        return date.fromordinal(self.day + _EPOCH_DAY).isoformat()


class DailyIndex:
    """The closes of a file with the columns DATE (2026-07-23 or 07/23/2026) and CLOSE, whatever else it has.

    A file that changed is read again when it is asked for. A row that is no day with a close above 0 is left out; a
    file that is not there, or has no such column, has no closes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int] | None = None
        self._days: list[int] = []
        self._closes: dict[int, Decimal] = {}

    def before(self, ts_ms: int) -> IndexClose | None:
        """Return the latest close of a UTC day before an instant's own; None when there is none."""
        self._read_again()
        at = bisect_left(self._days, ts_ms // DAY_MS)
        return IndexClose(self._days[at - 1], self._closes[self._days[at - 1]]) if at else None

    def _read_again(self) -> None:
        try:
            found = os.stat(self.path)
        except OSError:
            self._seen, self._closes, self._days = None, {}, []
            return
        seen = (found.st_mtime_ns, found.st_size)
        if seen != self._seen:
            self._closes = _closes(self.path)
            self._seen, self._days = seen, sorted(self._closes)


def _closes(path: Path) -> dict[int, Decimal]:
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            rows = csv.reader(file)
            header = [name.strip().upper() for name in next(rows, [])]
            if "DATE" not in header or "CLOSE" not in header:
                return {}
            at = header.index("DATE"), header.index("CLOSE")
            read = [_close(row[at[0]], row[at[1]]) for row in rows if len(row) > max(at)]
    except (OSError, csv.Error):
        return {}
    return dict(pair for pair in read if pair is not None)


def _close(day_text: str, close_text: str) -> tuple[int, Decimal] | None:
    try:
        close = amount(close_text.strip())
    except AmountError:
        return None
    day = _day(day_text.strip())
    return (day, close) if day is not None and close > 0 else None


def _day(text: str) -> int | None:
    try:
        if "/" in text:
            month, day, year = text.split("/")
            return date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
        return date.fromisoformat(text).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
