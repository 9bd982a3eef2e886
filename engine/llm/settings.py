"""Model settings as numbers within bounds, and the nearest name to a mistyped one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from engine.errors import UsageError
from engine.llm.client import Settings


@dataclass(frozen=True, slots=True)
class Setting:
    """A number a model may be set to. default None: absent unless given. whole: no fractions."""

    name: str
    default: int | float | None
    low: int | float
    high: int | float
    whole: bool


def read_settings(model: str, known: tuple[Setting, ...], given: Settings) -> dict[str, int | float]:
    """Return each setting's number, defaults filled in. Raises UsageError on an unknown name or a bad number."""
    by_name = {setting.name: setting for setting in known}
    for name in given:
        if name not in by_name:
            raise UsageError(f'{model} has no setting "{name}"; {closest(name, by_name)}')
    numbers = {name: _read(model, setting, given[name]) for name, setting in by_name.items() if name in given}
    defaults = {name: setting.default for name, setting in by_name.items() if setting.default is not None}
    return {**defaults, **numbers}


def closest(name: str, known: Iterable[str]) -> str:
    """Say which of the known names was probably meant, or list them all.

    >>> closest("sma_cros", ["sma_cross", "breakout"])
    'did you mean "sma_cross"?'
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f'did you mean "{near[0]}"?' if near else f"the known ones are: {', '.join(names)}."


def _read(model: str, setting: Setting, value: str | int | float | bool) -> int | float:
    kinds = int if setting.whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not setting.low <= value <= setting.high:
        kind = "a whole number" if setting.whole else "a number"
        raise UsageError(
            f"{model} cannot take {setting.name} = {value!r}; write {kind} from {setting.low} to {setting.high}."
        )
    return value
