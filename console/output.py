"""What commands print: JSON for programs, aligned tables for people.

Texts of models, news and venues pass through here, so nothing unprintable reaches the terminal (R29).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from rich.cells import cell_len

from screens.format import safe
from screens.words import label_of, worded

CELL_CHARACTERS_MAX = 60
TEXT_CHARACTERS_MAX = 400
UNKNOWN = "–"
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z")
_INDENT = "  "

Row = Mapping[str, Any]


def print_json(value: Any) -> None:
    """Print one JSON document on one line: Decimals as plain text, never a float made of one."""
    click.echo(json.dumps(value, default=_jsonable, ensure_ascii=True, allow_nan=False))


def plain_data(value: Any) -> Any:
    """Return values as JSON carries them, whether they came over the socket or from this process."""
    return json.loads(json.dumps(value, default=_jsonable, allow_nan=False))


def effect_words(effect: Row) -> dict[str, str]:
    """Write the portfolio after a trade as a person reads it: what is now, and what would be."""
    asset = effect["asset"]
    lost = "no stop" if effect["at_stop"] is None else f"{_money(effect['at_stop'])} {asset}{_part(effect)}"
    return {
        "position": f"{cell(effect['qty_before'])} -> {cell(effect['qty_after'])}",
        "cash": f"{_money(effect['cash_before'])} -> {_money(effect['cash_after'])} {asset}",
        "free cash after": f"{_money(effect['free_after'])} {asset}",
        "gross exposure": f"{_share(effect['gross_before_frac'])} -> {_share(effect['gross_after_frac'])}",
        "lost at the stop": lost,
        "fee, about": f"{_money(effect['fee'])} {asset}",
    }


def _money(value: Any) -> str:
    return f"{Decimal(str(value)):,.2f}"


def _share(value: Any) -> str:
    return UNKNOWN if value is None else f"{Decimal(str(value)) * 100:.1f} %"


def _part(effect: Row) -> str:
    share = effect["at_stop_frac"]
    return "" if share is None else f" ({Decimal(str(share)) * 100:.2f} % of equity)"


def _jsonable(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def print_rows(rows: Sequence[Row], *, as_json: bool, nothing: str, columns: Sequence[str] = ()) -> None:
    """Print rows as JSON or as a table of the given columns (all, when none is named)."""
    if as_json:
        print_json(list(rows))
    elif not rows:
        click.echo(nothing)
    else:
        shown = [name for name in columns if name in rows[0]] or list(rows[0])
        click.echo(table(rows, shown))


# what the engine's views count in milliseconds since 1970 -> what it is called as a UTC time
_INSTANTS = {
    "now_ms": "now",
    "state_since_ms": "state_since",
    "equity_last_ms": "equity_last_at",
    "last_ms": "last_at",
    "ended_ms": "ended",
    "since_ms": "since",
    "asked_ms": "asked",
    "next_slot_ms": "next_slot_at",
    "runs_out_ms": "runs_out_at",
    "waits_until_ms": "waits_until",
}


def with_instants(value: Any) -> Any:
    """Turn the instants of an engine's view into UTC ISO times, all the way down."""
    if isinstance(value, list):
        return [with_instants(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        _INSTANTS.get(name, name): utc(inner) if name in _INSTANTS else with_instants(inner)
        for name, inner in value.items()
    }


def utc(ts_ms: int | None) -> str | None:
    """Write milliseconds since 1970 as UTC ISO 8601; None stays None.

    >>> utc(1_700_000_000_123)
    '2023-11-14T22:13:20.123Z'
    """
    if ts_ms is None:
        return None
    return datetime.fromtimestamp(ts_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ts_ms % 1000:03d}Z"


def table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Lay rows out in columns: numbers to the right with thousands separators, the last column unpadded."""
    head, room = [label_of(name) for name in columns], characters_max()
    body = [[cell(worded(name, row.get(name)), room) for name in columns] for row in rows]
    numeric = [all(_is_number(row.get(name)) for row in rows) for name in columns]
    widths = [max(cell_len(line[at]) for line in [head, *body]) for at in range(len(columns))]
    return "\n".join(_line(each, widths, numeric) for each in [head, ["-" * width for width in widths], *body])


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    padded = []
    for text, width, right in zip(cells, widths, numeric, strict=True):
        space = " " * (width - cell_len(text))
        padded.append(space + text if right else text + space)
    return "  ".join(padded).rstrip()


def characters_max() -> int:
    """Return how much of a text a column shows: a terminal has little room, a file or a pipe has any."""
    return CELL_CHARACTERS_MAX if sys.stdout.isatty() else TEXT_CHARACTERS_MAX


def cell(value: Any, characters: int = CELL_CHARACTERS_MAX) -> str:
    """Write one value on one line for a person."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        value = ", ".join(f"{key} {inner}" for key, inner in value.items()) or UNKNOWN
    elif isinstance(value, list | tuple | set):
        value = ", ".join(str(each) for each in value) or UNKNOWN
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    instant = _INSTANT.fullmatch(text)
    if instant:
        return f"{instant[1]} {instant[2]}"
    return grouped(text) if _NUMBER.fullmatch(text) else safe(text, characters)


def grouped(text: str) -> str:
    """Write a number's text with thousands separators, every digit kept.

    >>> grouped("-1234567.8900"), grouped("999")
    ('-1,234,567.8900', '999')
    """
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    integer, point, places = digits.partition(".")
    return f"{sign}{int(integer):,}{point}{places}"


def _is_number(value: Any) -> bool:
    return value is None or (not isinstance(value, bool) and bool(_NUMBER.fullmatch(str(value))))


def print_fields(value: Mapping[str, Any], *, indent: str = "") -> None:
    """Print a nested value as indented "name  value" lines; lists of rows become tables."""
    width = max((len(_label(name)) for name in value), default=0)
    for name, inner in value.items():
        label = _label(name)
        if isinstance(inner, Mapping) and inner:
            click.echo(f"{indent}{label}")
            print_fields(inner, indent=indent + _INDENT)
        elif isinstance(inner, list | tuple) and inner and isinstance(inner[0], Mapping):
            click.echo(f"{indent}{label}")
            _print_items(inner, indent + _INDENT)
        elif isinstance(inner, list | tuple) and len(", ".join(map(str, inner))) > CELL_CHARACTERS_MAX:
            click.echo(f"{indent}{label}")
            for each in inner:
                click.echo(f"{indent}{_INDENT}{_field(each)}")
        else:
            named = inner is not None and str(name).endswith("pid")  # a process's number is a name, not an amount
            told = str(inner) if named else _field(worded(name, inner))
            click.echo(f"{indent}{label.ljust(width)}  {told}")


def _field(value: Any) -> str:
    """A field has a line to itself, so a long text is shown at length."""
    return (
        safe(value, TEXT_CHARACTERS_MAX) if isinstance(value, str) and len(value) > CELL_CHARACTERS_MAX else cell(value)
    )


def _print_items(items: Iterable[Row], indent: str) -> None:
    rows = list(items)
    if any(isinstance(inner, Mapping | list | tuple) and inner for row in rows for inner in row.values()):
        for number, row in enumerate(rows, 1):
            click.echo(f"{indent}{number}.")
            print_fields(row, indent=indent + _INDENT)
        return
    for line in table(rows, list(rows[0])).splitlines():
        click.echo(indent + line)


def _label(name: object) -> str:
    return safe(label_of(name), 40)


class Progress:
    """A bar on stderr while a terminal is there to see it; nothing otherwise."""

    def __init__(self, *, enabled: bool | None = None, unit: str = "bars") -> None:
        self._shown = sys.stderr.isatty() if enabled is None else enabled
        self._unit = unit
        self._last = -1

    def __call__(self, done_frac: float, count: int) -> None:
        """Take how much of the work is done, 0..1, and how many units so far; redraws at most once a percent."""
        done = int(max(0.0, min(1.0, done_frac)) * 100)
        if not self._shown or done == self._last:
            return
        self._last = done
        full = "█" * (done // 4)
        click.echo(f"\r{full:░<25} {done:3d} %  {count:,} {self._unit}", nl=False, err=True)

    def close(self) -> None:
        """Wipe the bar."""
        if self._shown and self._last >= 0:
            click.echo("\r" + " " * 60 + "\r", nl=False, err=True)
