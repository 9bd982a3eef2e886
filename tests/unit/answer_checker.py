"""What an answer must be, written a second time and in another way: a reader of JSON by hand, and rules as a table.

Nothing of engine.agents is used. expected() says what drafts a text stands for, None where it stands for none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

Draft = tuple[str, str, str, Fraction | None, dict[str, Fraction]]
"""Instrument key, direction, rationale as far as it is kept, confidence, and the numbers given."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_SPACE = re.compile(r"[ \t\n\r]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_HEX = re.compile("[0-9a-fA-F]{4}")


class _No(Exception):
    """The text is no valid answer."""


class Number:
    """A number as it is written; kept only where it has at most 28 digits, 18 of them on a side."""

    def __init__(self, written: str) -> None:
        if len(written) > 48:
            raise _No
        mantissa, _e, power = written.lower().lstrip("-").partition("e")
        whole, _dot, places = mantissa.partition(".")
        digits, exponent = (whole + places).lstrip("0") or "0", int(power or 0) - len(places)
        if abs(exponent) > 100 or len(digits) > 28 or len(digits) - 1 + exponent > 18 or -exponent > 18:
            raise _No
        self.value = Fraction(int(digits)) * Fraction(10) ** exponent * (-1 if written[0] == "-" else 1)


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def document(self) -> Any:
        self._space()
        value = self._value(0)
        self._space()
        if self.at != len(self.text):
            raise _No
        return value

    def _space(self) -> None:
        found = _SPACE.match(self.text, self.at)
        assert found
        self.at = found.end()

    def _next(self) -> str:
        return self.text[self.at : self.at + 1]

    def _take(self, literal: str) -> bool:
        if self.text.startswith(literal, self.at):
            self.at += len(literal)
            return True
        return False

    def _value(self, depth: int) -> Any:
        if depth > 8:
            raise _No
        first = self._next()
        if first == "{":
            return self._object(depth)
        if first == "[":
            return self._array(depth)
        if first == '"':
            return self._string()
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self._take(word):
                return value
        found = _NUMBER.match(self.text, self.at)
        if not found:
            raise _No
        self.at = found.end()
        return Number(found[0])

    def _object(self, depth: int) -> dict[str, Any]:
        self.at += 1
        found: dict[str, Any] = {}
        self._space()
        if self._take("}"):
            return found
        while True:
            self._space()
            if self._next() != '"':
                raise _No
            name = self._string()
            self._space()
            if name in found or not self._take(":"):
                raise _No
            self._space()
            found[name] = self._value(depth + 1)
            self._space()
            if self._take("}"):
                return found
            if not self._take(","):
                raise _No

    def _array(self, depth: int) -> list[Any]:
        self.at += 1
        found: list[Any] = []
        self._space()
        if self._take("]"):
            return found
        while True:
            self._space()
            found.append(self._value(depth + 1))
            self._space()
            if self._take("]"):
                return found
            if not self._take(","):
                raise _No

    def _string(self) -> str:
        self.at += 1
        parts: list[str] = []
        while True:
            run = _PLAIN.match(self.text, self.at)
            assert run
            parts.append(run[0])
            self.at = run.end()
            if self._take('"'):
                return self._whole("".join(parts))
            if not self._take("\\"):
                raise _No
            parts.append(self._escape())

    def _escape(self) -> str:
        kind = self._next()
        self.at += 1
        if kind in _ESCAPES and kind:
            return _ESCAPES[kind]
        found = _HEX.match(self.text, self.at) if kind == "u" else None
        if not found:
            raise _No
        self.at += 4
        return chr(int(found[0], 16))

    def _whole(self, text: str) -> str:
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise _No from None


# The rules: for each field of each form, what it may be.

Test = Callable[[Any], bool]


def _above_zero(value: Any) -> bool:
    return isinstance(value, Number) and value.value > 0


def _text(most: int) -> Test:
    return lambda value: isinstance(value, str) and 0 < len(value) <= most


def _said(value: Any) -> bool:
    return isinstance(value, str) and bool(re.search(r"\S", value))


def _one_of(*words: str) -> Test:
    return lambda value: isinstance(value, str) and value in words


def _share(value: Any) -> bool:
    return isinstance(value, Number) and 0 <= value.value <= 1


def _bps(value: Any) -> bool:
    return isinstance(value, Number) and value.value in range(1, 10_001)


def _number(value: Any) -> bool:
    return isinstance(value, Number)


SINGLE: dict[str, Test] = {
    "decision": _one_of("buy", "sell", "hold"), "symbol": _text(80), "quantity": _above_zero,
    "order_type": _one_of("market", "limit"), "limit_price": _above_zero, "stop": _above_zero, "target": _above_zero,
    "reasoning": _said, "confidence": _share, "risk_assessment": _one_of("low", "medium", "high"),
}  # fmt: skip
ITEM: dict[str, Test] = {
    "instrument": _text(80), "action": _one_of("buy", "sell", "flat", "noop"), "target_qty": _number,
    "price_mode": _one_of("market", "limit"), "limit_price": _above_zero, "max_slippage_bps": _bps,
    "stop": _above_zero, "target": _above_zero, "confidence": _share, "rationale": _said,
}  # fmt: skip


def expected(text: str, allowed: Mapping[str, str]) -> list[Draft] | None:
    """Return the drafts a text stands for, None when it is no valid answer."""
    try:
        if len(text.encode("utf-8", "surrogatepass")) > 65_536 or re.search("[\ud800-\udfff]", text):
            return None
        said = _Reader(text).document()
        if not isinstance(said, dict):
            return None
        return _plan(said, allowed) if "items" in said else _single(said, allowed)
    except _No:
        return None


def _fields(said: Any, rules: dict[str, Test], needed: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(said, dict) or set(said) - set(rules):
        raise _No
    given = {name: value for name, value in said.items() if value is not None}
    if not all(rules[name](value) for name, value in given.items()) or set(needed) - set(given):
        raise _No
    return given


def _draft(key: str, direction: str, why: str, given: dict[str, Any]) -> Draft:
    kept = why if len(why) <= 1_000 else why[:999] + "…"
    hints = ("quantity", "target_qty", "limit_price", "stop", "target", "max_slippage_bps")
    numbers = {name: given[name].value for name in hints if name in given}
    return key, direction, kept, given["confidence"].value if "confidence" in given else None, numbers


def _single(said: dict[str, Any], allowed: Mapping[str, str]) -> list[Draft]:
    given = _fields(said, SINGLE, ("decision", "reasoning"))
    limit, price = given.get("order_type") == "limit", "limit_price" in given
    if given["decision"] == "hold":
        if limit or {"quantity", "limit_price", "stop", "target"} & set(given):
            raise _No
        names = [given["symbol"]] if "symbol" in given else list(allowed)
        return [_draft(_key(name, allowed), "hold", given["reasoning"], given) for name in names]
    if not {"symbol", "confidence"} <= set(given) or limit != price:
        raise _No
    return [_draft(_key(given["symbol"], allowed), given["decision"], given["reasoning"], given)]


def _plan(said: dict[str, Any], allowed: Mapping[str, str]) -> list[Draft]:
    items, notes = said["items"], said.get("notes")
    if set(said) - {"items", "notes"} or not isinstance(items, list) or not 1 <= len(items) <= 200:
        raise _No
    if notes is not None and not isinstance(notes, str):
        raise _No
    drafts = [_item(item, allowed) for item in items]
    if len({draft[0] for draft in drafts}) != len(drafts):
        raise _No
    return drafts


def _item(item: Any, allowed: Mapping[str, str]) -> Draft:
    given = _fields(item, ITEM, ("instrument", "action", "rationale"))
    action = given["action"]
    if (given.get("price_mode") == "limit") != ("limit_price" in given):
        raise _No
    if action != "noop" and "confidence" not in given:
        raise _No
    if action in ("flat", "noop") and {"stop", "target"} & set(given):
        raise _No
    if action == "noop" and "limit_price" in given:
        raise _No
    if action == "flat" and "target_qty" in given and given["target_qty"].value != 0:
        raise _No
    return _draft(_key(given["instrument"], allowed), "hold" if action == "noop" else action, given["rationale"], given)


def _key(symbol: str, allowed: Mapping[str, str]) -> str:
    if symbol not in allowed:
        raise _No
    return allowed[symbol]
