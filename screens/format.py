"""Numbers, ages and other people's words as the screens write them.

Everything drawn goes through here; nothing returned is ever read as markup (R29).
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from rich.cells import cell_len, chop_cells, set_cell_size

from engine.api import plain

UNKNOWN = "–"
SPARKS = "▁▂▃▄▅▆▇█"
COMBINING_MAX = 2
DAY_MS = 86_400_000
_BRAILLE_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_HIDDEN = {"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"}


def safe(text: str, width: int) -> str:
    """Make untrusted text harmless: one line, controls and bidi characters visible, at most `width` cells.

    >>> safe("buy\\x1b[2J now", 20), safe("a\\u202eb", 20), safe("much too long", 6)
    ('buy␛[2J now', 'a⟨202e⟩b', 'much…')
    """
    if width <= 0:
        return ""
    shown = _visible(text[: 4 * width + 16])
    return shown if cell_len(shown) <= width and len(text) <= 4 * width + 16 else _cut(shown, width)


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    out: list[str] = []
    marks = 0
    for char in unicodedata.normalize("NFC", text):
        kind = unicodedata.category(char)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if marks <= COMBINING_MAX and not ("\ufe00" <= char <= "\ufe0f"):
            out.append(_shown(char, kind))
    return "".join(out)


def _shown(char: str, kind: str) -> str:
    if char in "\n\r\t" or kind == "Zs":
        return " "
    if kind not in _HIDDEN:
        return char
    code = ord(char)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨{code:02x}⟩"


def _cut(text: str, width: int) -> str:
    return set_cell_size(text, width - 1).rstrip(" ") + "…" if cell_len(text) >= width else text + "…"


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Cut or pad to exactly `width` cells."""
    if width <= 0:
        return ""
    size = cell_len(text)
    if size > width:
        text = _cut(text, width)
        size = cell_len(text)
    pad = " " * (width - size)
    return pad + text if right else text + pad


def wrap(text: str, width: int, lines_max: int) -> list[str]:
    """Break text at blanks into lines of at most `width` (2 or more) cells; the last says when there was more."""
    width = max(2, width)
    lines: list[str] = []
    line = ""
    for word in safe(text, width * lines_max + lines_max).split():
        for piece in chop_cells(word, width):
            if line and cell_len(line) + 1 + cell_len(piece) > width:
                lines.append(line)
                line = piece
            else:
                line = f"{line} {piece}" if line else piece
    lines += [line] if line else []
    if len(lines) > lines_max:
        lines[lines_max - 1] = _cut(lines[lines_max - 1], width)
    return lines[:lines_max]


def money(value: Decimal | None, *, signed: bool = False, places: int = 2) -> str:
    """Write an amount with thousands separators.

    >>> money(Decimal("100012.345")), money(Decimal("12.3"), signed=True), money(None)
    ('100,012.34', '+12.30', '–')
    """
    if value is None:
        return UNKNOWN
    text = format(value, f"{'+' if signed else ''},.{places}f")
    return text.lstrip("+-") if not value or not text.strip("+-0.,") else text


def price(value: Decimal | None) -> str:
    """Write a price with the places its size calls for.

    >>> price(Decimal("64012.1")), price(Decimal("1.5")), price(Decimal("0.00012345678"))
    ('64,012.10', '1.5000', '0.00012346')
    """
    if value is None:
        return UNKNOWN
    if not value or abs(value) >= 100:
        return money(value)
    return format(value, ",.4f" if abs(value) >= 1 else f".{min(12, 4 - value.adjusted())}f")


def exact(value: Decimal | None) -> str:
    """Write a price with every place it has: what is sent is never shown rounded.

    >>> exact(Decimal("306.12345")), exact(Decimal("64012.1"))
    ('306.12345', '64,012.10')
    """
    if value is None:
        return UNKNOWN
    places = -int(value.normalize().as_tuple().exponent)
    shown = price(value)
    return shown if places <= len(shown.partition(".")[2]) else format(value.normalize(), ",f")


def qty(value: Decimal | None) -> str:
    """Write a quantity without trailing zeros, to eight places at most.

    >>> qty(Decimal("0.2000")), qty(Decimal("-1234.5"))
    ('0.2', '-1,234.5')
    """
    if value is None:
        return UNKNOWN
    text = format(value, ",.8f").rstrip("0").rstrip(".")
    return plain(value) if text in ("0", "-0") else text


def share(value: Decimal | None, *, signed: bool = False, places: int = 1) -> str:
    """Write a fraction as a percentage.

    >>> share(Decimal("0.0125")), share(Decimal("0.0001"), signed=True, places=2), share(Decimal("0.05"), places=0)
    ('1.2%', '+0.01%', '5%')
    """
    return UNKNOWN if value is None else money(value * 100, signed=signed, places=places) + "%"


def age(age_ms: float | None) -> str:
    """Write an age so that it changes no more often than it must.

    >>> age(200), age(3_400), age(125_000), age(3_600_000), age(None)
    ('<1s', '3s', '2m', '1h', '–')
    """
    if age_ms is None:
        return UNKNOWN
    if age_ms < 1000:
        return "<1s"
    for unit_ms, unit, until in ((1000, "s", 60), (60_000, "m", 60), (3_600_000, "h", 48)):
        if age_ms < unit_ms * until:
            return f"{int(age_ms // unit_ms)}{unit}"
    return f"{int(age_ms // 86_400_000)}d"


def countdown(left_ms: float) -> str:
    """Write the time that is left.

    >>> countdown(9_300_000), countdown(252_000), countdown(9_000), countdown(-5)
    ('2h35m', '4m12s', '9s', '0s')
    """
    seconds = max(0, int(left_ms // 1000))
    if seconds >= 3600:
        return f"{seconds // 3600}h{seconds // 60 % 60:02d}m"
    return f"{seconds // 60}m{seconds % 60:02d}s" if seconds >= 60 else f"{seconds}s"


def clock(ts_ms: int) -> str:
    """Write the time of day, UTC.

    >>> clock(1_700_000_000_000)
    '22:13:20'
    """
    seconds = ts_ms // 1000 % 86_400
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def moment(ts_ms: int, now_ms: int) -> str:
    """Write an instant: the time of day, UTC, after its date when that is not today's.

    >>> moment(1_700_000_000_000, 1_700_000_001_000), moment(1_700_000_000_000, 1_700_090_000_000)
    ('22:13:20', '2023-11-14 22:13:20')
    """
    if ts_ms // DAY_MS == now_ms // DAY_MS:
        return clock(ts_ms)
    return f"{datetime.fromtimestamp(ts_ms // 1000, UTC):%Y-%m-%d} {clock(ts_ms)}"


def symbol(instrument: str) -> str:
    """Drop the venue from an instrument's key: the safety line says where we trade."""
    return instrument.partition(":")[2] or instrument


def bar(used: Decimal | float, width: int) -> tuple[str, str]:
    """Draw a gauge as its used and its free part, to be inked apart; they differ in shape as well (U13).

    >>> bar(Decimal("0.25"), 8)
    ('━━', '┄┄┄┄┄┄')
    """
    share_used = min(1.0, max(0.0, float(used)))
    cells = min(width, math.ceil(share_used * width - 1e-9)) if width > 0 else 0
    return "━" * cells, "┄" * (max(0, width) - cells)


def sparkline(values: Sequence[float], width: int) -> str:
    """Draw the last values as blocks, scaled between their least and greatest."""
    tail = _resampled([float(value) for value in values], width)
    if not tail:
        return ""
    low, span = min(tail), max(tail) - min(tail)
    return "".join(SPARKS[round((value - low) / span * 7) if span else 3] for value in tail)


def braille(values: Sequence[float], width: int, height: int) -> list[str]:
    """Draw a line of `height` rows with two by four dots to the cell, oldest value on the left."""
    dots = _resampled([float(value) for value in values], width * 2)
    if not dots or height <= 0:
        return [""] * max(0, height)
    low, span = min(dots), max(dots) - min(dots)
    rows = height * 4
    levels = [round((value - low) / span * (rows - 1)) if span else rows // 2 for value in dots]
    grid = [[0] * width for _ in range(height)]
    for x, level in enumerate(levels):
        before = levels[x - 1] if x else level
        for dot in range(min(level, before + (level > before)), max(level, before - (level < before)) + 1):
            y = rows - 1 - dot
            grid[y // 4][x // 2] |= _BRAILLE_BITS[x % 2][y % 4]
    return ["".join(chr(0x2800 + cell) if cell else " " for cell in row) for row in grid]


def _resampled(values: list[float], count: int) -> list[float]:
    if count <= 0:
        return []
    if len(values) < 2:
        return values * count
    step = (len(values) - 1) / max(1, count - 1)
    if step > 1:
        return [values[round(place * step)] for place in range(count)]
    return [_between(values, place * step) for place in range(count)]


def _between(values: list[float], at: float) -> float:
    left = min(int(at), len(values) - 2)
    return values[left] + (values[left + 1] - values[left]) * (at - left)


def count_of(count: int, noun: str) -> str:
    """Write a number of things.

    >>> count_of(1, "position"), count_of(2, "position")
    ('1 position', '2 positions')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
