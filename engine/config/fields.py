"""How one value of a file or a flag is read: each parser takes where it stands and what is written there.

Every parser raises UsageError with one sentence that starts with the place, so that a file's key and a command's
flag are refused in the same words.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

from engine.domain.money import ZERO, AmountError, amount, frac, percent, plain
from engine.domain.policy import Off
from engine.errors import UsageError

Parser = Callable[[str, Any], Any]

_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d{1,9})(ms|s|m|h|d)")
TEXT_CHARACTERS_MAX = 4_000


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a table: the domain value's field it fills, and how it is read."""

    field: str
    parse: Parser
    required: bool = False


def read_table(table: object, where: str, keys: Mapping[str, Key]) -> dict[str, Any]:
    """Return field -> value for the keys present. Raises UsageError for an unknown or missing key (W03)."""
    if not isinstance(table, dict):
        raise UsageError(f"{where} must be a table of keys, not {_kind(table)}.")
    for name in table:
        if name not in keys:
            raise UsageError(f"{where} {name} is not a known key; {suggestion(name, keys, 'the keys are')}")
    for name, key in keys.items():
        if key.required and name not in table:
            raise UsageError(f"{where} {name} is missing; add it.")
    return {keys[name].field: keys[name].parse(f"{where} {name}", value) for name, value in table.items()}


def suggestion(word: str, known: Iterable[str], list_words: str) -> str:
    """Say which known word was probably meant, or list them all."""
    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"{list_words} {', '.join(words)}."


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    names = {str: "text", int: "a number", Decimal: "a number", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or time")


def text(max_characters: int = TEXT_CHARACTERS_MAX) -> Parser:
    """Read plain text of a limited length."""

    def parse(where: str, value: Any) -> str:
        if not isinstance(value, str):
            raise UsageError(f"{where} must be text in quotes, not {_kind(value)}.")
        if len(value) > max_characters:
            raise UsageError(f"{where} is longer than {max_characters} characters; shorten it.")
        return value

    return parse


def pattern(expression: str, form: str) -> Parser:
    """Read text of a form; form says it in words."""
    compiled = re.compile(expression)

    def parse(where: str, value: Any) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise UsageError(f"{where} {shown(value)} must be {form}.")
        return value

    return parse


def choice(options: Iterable[str]) -> Parser:
    """Read one of a few words."""
    words = tuple(options)

    def parse(where: str, value: Any) -> str:
        if value not in words:
            raise UsageError(f"{where} {shown(value)} is not known; write {one_of(words)}.")
        return value

    return parse


def truth(where: str, value: Any) -> bool:
    """Read true or false, or these words as text."""
    if value in ("true", "false"):
        return value == "true"
    if not isinstance(value, bool):
        raise UsageError(f"{where} {shown(value)} is neither true nor false; write one of them, without quotes.")
    return value


def choice_of(kind: type[StrEnum]) -> Parser:
    """Read one of an enum's values."""
    words = choice([each.value for each in kind])
    return lambda where, value: kind(words(where, value))


def or_word_off(parse: Parser) -> Parser:
    """Read a limit, or the word "off", which alone switches it off (R20)."""
    return lambda where, value: Off.OFF if value == Off.OFF.value else parse(where, value)


def words(item: Parser, *, least: int = 0) -> Parser:
    """Read a list whose items are read by another parser; a repeated item is refused."""

    def parse(where: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise UsageError(f'{where} must be a list such as ["a", "b"], not {_kind(value)}.')
        items = tuple(item(where, each) for each in value)
        if len(set(items)) != len(items):
            raise UsageError(f"{where} names the same thing twice; take one out.")
        if len(items) < least:
            raise UsageError(f"{where} is empty; name at least one.")
        return items

    return parse


def whole(least: int, most: int) -> Parser:
    """Read a whole number within bounds."""

    def parse(where: str, value: Any) -> int:
        if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value.strip()):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise UsageError(f"{where} {shown(value)} is not a whole number; write one such as {max(least, 10)}.")
        if not least <= value <= most:
            raise UsageError(f"{where} {value} is out of bounds; write {least} to {most}.")
        return value

    return parse


def money(*, most: str = "1e15", above_zero: bool = False) -> Parser:
    """Read a finite amount that is not negative; 0 means none, unless above_zero."""
    top = Decimal(most)

    def parse(where: str, value: Any) -> Decimal:
        try:
            read = amount(value.strip() if isinstance(value, str) else value)
        except AmountError:
            raise UsageError(f'{where} {shown(value)} is not a finite amount; write one such as "10000".') from None
        if not (read > 0 if above_zero else read >= 0):
            wanted = "above 0" if above_zero else "of 0 (none allowed) or more"
            raise UsageError(f"{where} {shown(value)} must be an amount {wanted}.")
        if not read <= top:
            raise UsageError(f"{where} {shown(value)} is above {plain(top)}; write less.")
        return read

    return parse


def multiple(*, most: str, zero: bool = False) -> Parser:
    """Read a plain number of times, such as 1.5."""
    read_money = money(most=most, above_zero=not zero)

    def parse(where: str, value: Any) -> Decimal:
        return read_money(where, value.removesuffix("x") if isinstance(value, str) else value)

    return parse


def share(*, most: str = "100%", zero: bool = False) -> Parser:
    """Read a share by the one rule for percentages (R21); zero: 0 and "0%" are allowed and mean none."""
    top = frac(most)

    def parse(where: str, value: Any) -> Decimal:
        if zero and not isinstance(value, bool) and value in (0, "0"):
            return ZERO
        try:
            read = frac(value, name=where)
        except AmountError as error:
            raise UsageError(str(error)) from None
        if not zero and not read > 0:
            raise UsageError(f'{where} {shown(value)} must be above 0, such as "2%".')
        if not read <= top:
            raise UsageError(f"{where} {percent(read)} is above {percent(top)}; write less.")
        return read

    return parse


def duration(*, least_ms: int = 0, most_ms: int = 366 * 86_400_000) -> Parser:
    """Read "500ms", "90s", "30m", "1h" or "1d" into milliseconds."""

    def parse(where: str, value: Any) -> int:
        found = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
        if found is None:
            example = f'"{value}s" or "{value}m"' if str(value).isdigit() else '"90s", "30m", "1h" or "1d"'
            raise UsageError(f"{where} {shown(value)} is not a duration with a unit; write {example}.")
        read = int(found[1]) * _UNIT_MS[found[2]]
        if not least_ms <= read <= most_ms:
            raise UsageError(f"{where} {value} is out of bounds; write {span(least_ms)} to {span(most_ms)}.")
        return read

    return parse


def timeframe(where: str, value: Any) -> int:
    """Read a candle length into milliseconds: a duration that divides a day."""
    read = duration(least_ms=1_000, most_ms=86_400_000)(where, value)
    if 86_400_000 % read:
        raise UsageError(f'{where} {value} does not divide a day; write one such as "1m", "5m", "1h" or "1d".')
    return read


def span(length_ms: int) -> str:
    """Write a duration in its largest whole unit.

    >>> span(90_000), span(3_600_000), span(0)
    ('90s', '1h', '0ms')
    """
    for unit, unit_ms in reversed(_UNIT_MS.items()):
        if length_ms and length_ms % unit_ms == 0:
            return f"{length_ms // unit_ms}{unit}"
    return "0ms"


def shown(value: object) -> str:
    """Write what stood in a file so that a message can repeat it: one short line, text in quotes."""
    if isinstance(value, str):
        line = "".join(each if each.isprintable() else "\ufffd" for each in value)
        return f'"{line[:60]}…"' if len(line) > 60 else f'"{line}"'
    if isinstance(value, bool):
        return _kind(value)
    return str(value)[:60] if isinstance(value, int | Decimal) else f"({_kind(value)})"


def one_of(options: Iterable[str]) -> str:
    """Join words as a sentence does: "a, b or c"."""
    *first, last = options
    return f"{', '.join(first)} or {last}" if first else last
