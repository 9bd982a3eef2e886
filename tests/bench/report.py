"""What was measured, as an aligned table or as JSON, with the target beside each figure."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. value None: not measured, and note says why. at_least, at_most: the target, if there is one."""

    area: str
    what: str
    value: float | None
    unit: str
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def target(self) -> str:
        """The target in words; empty where there is none."""
        if self.at_least is not None:
            return f"at least {_figure(self.at_least)}"
        return "" if self.at_most is None else f"at most {_figure(self.at_most)}"

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none, or nothing was measured."""
        if self.value is None or not self.target:
            return None
        return self.value >= self.at_least if self.at_least is not None else self.value <= (self.at_most or 0)


def _figure(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def spread(values: Sequence[float], unit: str) -> str:
    """Say how far apart repeated measurements lie."""
    return f"median of {len(values)}, {_figure(min(values))} to {_figure(max(values))} {unit}"


def middle(values: Iterable[float]) -> float:
    """Return the median."""
    return median(values)


def machine() -> str:
    """Say what this ran on."""
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"load {os.getloadavg()[0]:.2f} at the start"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine()


def as_table(rows: Sequence[Row]) -> str:
    """Lay the rows out in columns, one block an area."""
    cells = [(row.what, _value(row), row.unit, row.target, _verdict(row), row.note) for row in rows]
    widths = [max(len(each[place]) for each in cells) for place in range(5)]
    lines, area = [], ""
    for row, (what, value, *others, note) in zip(rows, cells, strict=True):
        if row.area != area:
            area = row.area
            lines.append(f"\n{area}")
        unit, target, verdict = (text.ljust(width) for text, width in zip(others, widths[2:], strict=True))
        line = f"  {what.ljust(widths[0])}  {value.rjust(widths[1])} {unit}  {target}  {verdict}  {note}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def _value(row: Row) -> str:
    return "-" if row.value is None else _figure(row.value)


def _verdict(row: Row) -> str:
    return {True: "ok", False: "MISSED", None: ""}[row.met]


def as_json(rows: Sequence[Row], facts: dict[str, str]) -> str:
    """Write the same as one JSON object."""
    listed = [{**asdict(row), "met": row.met} for row in rows]
    return json.dumps({**facts, "rows": listed}, indent=1)
