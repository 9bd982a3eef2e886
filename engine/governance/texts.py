"""One value of the policy or of an agent's limits as its file writes it, and read back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any

from engine.config.distances import distance_text
from engine.config.fields import span
from engine.domain.agent import Distance
from engine.domain.killing import KillRule, KillUnit
from engine.domain.money import percent, plain

OFF = "off"


def written(value: Any, field: str = "") -> str:
    """Write a value as the policy file has it, without quotes. field: its attribute, whose last word is its unit.

    >>> written(Decimal("0.05"), "loss_frac"), written(90_000, "price_age_ms"), written(True), written(("A", "B"))
    ('5%', '90s', 'true', '["A", "B"]')
    """
    if value is None:
        return OFF
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return percent(value) if field.endswith("_frac") else plain(value)
    if isinstance(value, int):
        return span(value) if field.endswith("_ms") else str(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(_quoted(each) for each in value)}]"
    if isinstance(value, Distance):
        return distance_text(value)
    if field == "thresholds":
        return f"{{{', '.join(f'{name} = {json.dumps(_threshold(name, each))}' for name, each in value.items())}}}"
    if is_dataclass(value) or isinstance(value, Mapping):
        return f"{{{', '.join(_pairs(value))}}}"
    return str(value)


def _pairs(value: Any) -> Iterable[str]:
    items = value.items() if isinstance(value, Mapping) else ((f.name, getattr(value, f.name)) for f in fields(value))
    return [f"{name} = {_quoted(inner, str(name))}" for name, inner in items if inner is not None]


def _threshold(name: str, value: Decimal) -> str:
    """A tier's threshold has its rule's unit, which its name alone does not say."""
    rule, _line, tier = name.rpartition("_")
    unit = KillUnit.FRAC if tier == "hysteresis" else KillRule(rule).unit
    if unit is KillUnit.MS:
        return span(int(value))
    return percent(value) if unit is KillUnit.FRAC else plain(value)


def _quoted(value: Any, field: str = "") -> str:
    text = written(value, field)
    return text if text[:1] in "[{" else json.dumps(text, ensure_ascii=False)


def read(text: str) -> Any:
    """Read a value as it would stand in the file, quoted or not."""
    import tomllib  # a tenth of the CLI's start, and most commands change no policy

    try:
        return tomllib.loads(f"value = {text}", parse_float=Decimal)["value"]
    except (tomllib.TOMLDecodeError, ValueError):
        return text
