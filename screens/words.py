"""How a field's name and value read to a person: units instead of suffixes, words instead of codes."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any

_MONEY = ("notional", "realized", "unrealized", "equity", "day_pnl")
_ANSWERED_BY = {"LIVE": "model", "FALLBACK": "fallback"}
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z")
_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def label_of(name: object) -> str:
    """Return a field's name without underscores, and without the unit that worded() writes behind the value.

    >>> label_of("expires_in_ms"), label_of("observed_frac"), label_of("unrealized")
    ('expires in', 'observed', 'unrealised')
    """
    return str(name).removesuffix("_ms").removesuffix("_frac").replace("_", " ").replace("realized", "realised")


def worded(name: object, value: Any) -> Any:
    """Return a field's value as a person reads it; one that needs no words comes back as it is.

    >>> worded("answered_by", "LIVE"), worded("interval_ms", 90_000), worded("limit_frac", "0.05")
    ('model', '1 min 30 s', '5 %')
    >>> worded("notional", "1999.999084"), worded("notional", "0.00012"), worded("realized", "-3.14159")
    ('2000.00', '0.00012', '-3.14')
    """
    if value is None or isinstance(value, bool):
        return value
    text = str(name)
    if text == "answered_by":
        return _ANSWERED_BY.get(str(value), value)
    if text.endswith("_ms") and isinstance(value, int | float):
        return duration(value)
    if text.endswith("_frac"):
        return _percent(value)
    return _cents(value) if text in _MONEY else value


def instant(text: str) -> str:
    """Write a UTC time in ISO form as a person reads it; any other text comes back as it is.

    >>> instant("2026-07-05T14:31:00.000Z"), instant("2026-07-05T00:00:00.000Z"), instant("n/a")
    ('2026-07-05 14:31:00 UTC', '2026-07-05 UTC', 'n/a')
    """
    found = _INSTANT.fullmatch(text)
    return f"{found[1]} UTC" if found and found[2] == "00:00:00" else f"{found[1]} {found[2]} UTC" if found else text


def duration(length_ms: float) -> str:
    """Write a duration in its two largest units.

    >>> duration(299_000), duration(3_600_000), duration(1_500), duration(0)
    ('4 min 59 s', '1 h', '1.5 s', '0 s')
    """
    if 0 < abs(length_ms) < 1_000:
        return f"{length_ms:g} ms"
    if abs(length_ms) < 10_000:
        return f"{round(length_ms / 1000, 1):g} s"
    rest, parts = round(length_ms / 1000) * 1000, []
    for unit_ms, unit in _UNITS:
        count, rest = divmod(rest, unit_ms)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def _cents(value: Any) -> Any:
    """Round to cents; less than one whole, as of an asset worth much, keeps its places."""
    try:
        money = Decimal(str(value))
    except InvalidOperation:
        return value
    whole = money.is_finite() and abs(money) >= 1
    return f"{money.quantize(Decimal('0.01')):f}" if whole else value


def _percent(value: Any) -> Any:
    try:
        share = Decimal(str(value)) * 100
    except InvalidOperation:
        return value
    return f"{share.quantize(Decimal('0.01')).normalize():f} %" if share.is_finite() else value
