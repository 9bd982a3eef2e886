"""A decision's situation as text and back, so that the gate can be asked again, years later, and answer the same.

Compiled from the type hints of Situation: what is added there is kept here. Decimals keep every digit and exponent.
Where a situation gives bars by a call, the bars that the checks did ask for are kept, and no others.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import cache
from json.encoder import encode_basestring
from operator import is_
from typing import Any, get_args, get_origin, get_type_hints

from engine.domain.market import Candle, Source, SourceKind
from engine.domain.policy import Off
from engine.errors import StoreError
from engine.risk.situation import Situation
from engine.store.codec import PLAIN, Read, Write, compile_hint

Bars = Mapping[str, Sequence[Candle]]
_SCALAR = str | int | float | bool


@dataclass(slots=True)
class Listening:
    """Stands in for a situation's own source of bars and remembers what was asked of it."""

    source: Callable[[str], Sequence[Candle]]
    asked: dict[str, Sequence[Candle]]

    def __call__(self, instrument: str) -> Sequence[Candle]:
        if instrument not in self.asked:
            self.asked[instrument] = tuple(self.source(instrument))
        return self.asked[instrument]


def listening(situation: Situation) -> Situation:
    """Return the situation with its calls overheard; what freeze() then writes answers them again."""
    for name in _calls():
        situation = replace(situation, **{name: Listening(getattr(situation, name), {})})  # type: ignore[arg-type]
    return situation


def freeze(situation: Situation) -> dict[str, str]:
    """Return a situation as field -> JSON text. Raises StoreError when a field is not what its type says."""
    try:
        return {name: write(getattr(situation, name)) for name, write in _forms()[0].items()}
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise StoreError(f"a situation cannot be written down: {error}.") from None


def thaw(parts: Mapping[str, str]) -> Situation:
    """Return the situation that texts by field stand for; StoreError when they are none of the present form."""
    readers = _forms()[1]
    try:
        if set(parts) != set(readers):
            raise ValueError("it has other fields")
        return Situation(**{name: read(json.loads(parts[name])) for name, read in readers.items()})
    except (ValueError, TypeError, RecursionError, InvalidOperation) as error:
        raise StoreError(f"a kept situation cannot be read by this version: {error}.") from None


@cache
def _calls() -> tuple[str, ...]:
    hints = get_type_hints(Situation)
    return tuple(field.name for field in fields(Situation) if get_origin(hints[field.name]) is _CALLABLE)


_TOLD_MAX = 512
_last_told: dict[str, tuple[Sequence[Candle], str]] = {}
_CALLABLE = get_origin(Callable[[str], Any])


@cache
def _forms() -> tuple[dict[str, Write], dict[str, Read]]:
    hints = get_type_hints(Situation)
    pairs = {field.name: _form(hints[field.name]) for field in fields(Situation)}
    return {name: write for name, (write, _read) in pairs.items()}, {name: read for name, (_w, read) in pairs.items()}


def _form(hint: Any) -> tuple[Write, Read]:
    if get_origin(hint) is _CALLABLE:
        return _write_bars, _read_bars
    return compile_hint(hint, _LEAVES, _other)


def _other(hint: Any) -> tuple[Write, Read]:
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if isinstance(kind, type) and issubclass(kind, Mapping) and parts:
        return _mapping(_form(parts[0]), _form(parts[1]))
    if kind is tuple and parts:
        return _row([_form(part) for part in parts])
    if isinstance(kind, type) and issubclass(kind, Sequence) and parts:
        return _sequence(*_form(parts[0]))
    raise TypeError(f"a situation has no form for {hint}")


def _mapping(key: tuple[Write, Read], value: tuple[Write, Read]) -> tuple[Write, Read]:
    """Mappings are arrays of pairs, for a key may be a number."""
    write, read = _row([key, value])
    return lambda given: f"[{','.join([write(pair) for pair in given.items()])}]", lambda raw: dict(map(read, raw))


def _row(forms: list[tuple[Write, Read]]) -> tuple[Write, Read]:
    def write(value: Any) -> str:
        return f"[{','.join([put(each) for (put, _get), each in zip(forms, value, strict=True)])}]"

    return write, lambda raw: tuple([get(each) for (_put, get), each in zip(forms, raw, strict=True)])


def _sequence(write_one: Write, read_one: Read) -> tuple[Write, Read]:
    return lambda value: f"[{','.join([write_one(each) for each in value])}]", lambda raw: tuple(map(read_one, raw))


def _write_decimal(value: Any) -> str:
    if type(value) is not Decimal:
        raise TypeError(f"{value!r} is not a Decimal")
    return f'"{value}"'


def _read_decimal(raw: Any) -> Decimal:
    if type(raw) is not str:
        raise TypeError(f"{raw!r} is not a decimal")
    return Decimal(raw)


def _write_limit(value: Any) -> str:
    return f'"{Off.OFF}"' if value is Off.OFF else _write_decimal(value)


def _read_limit(raw: Any) -> Decimal | Off:
    return Off.OFF if raw == Off.OFF else _read_decimal(raw)


def _write_scalar(value: Any) -> str:
    return json.dumps(value.value if isinstance(value, Enum) else value)


_LEAVES = PLAIN | {
    Decimal: (_write_decimal, _read_decimal),
    Decimal | Off: (_write_limit, _read_limit),
    float: (_write_scalar, lambda raw: raw),
    _SCALAR: (_write_scalar, lambda raw: raw),
}


def _write_bars(heard: Any) -> str:
    asked: Bars = heard.asked if isinstance(heard, Listening) else {}
    return "{" + ",".join([f"{encode_basestring(key)}:{_told(key, bars)}" for key, bars in asked.items()]) + "}"


def _told(instrument: str, bars: Sequence[Candle]) -> str:
    """Return an instrument's bars as text; many decisions of one instant look at the very same ones."""
    last, text = _last_told.get(instrument, ((), ""))
    if not (text and len(last) == len(bars) and all(map(is_, last, bars))):
        if len(_last_told) >= _TOLD_MAX:
            _last_told.clear()
        text = _bars(list(bars))
        _last_told[instrument] = bars, text
    return text


def _bars(bars: list[Candle]) -> str:
    source = bars[0].source if bars else Source(kind=SourceKind.LIVE, name="")
    rows = [[b.ts_ms, b.interval_ms, *map(str, (b.open, b.high, b.low, b.close, b.volume))] for b in bars]
    return json.dumps([source.kind.value, source.name, source.speed, rows], separators=(",", ":"))


def _read_bars(raw: Any) -> Callable[[str], Sequence[Candle]]:
    kept = {key: _candles(key, *each) for key, each in raw.items()}

    def bars(instrument: str) -> Sequence[Candle]:
        return kept.get(instrument, ())

    return bars


def _candles(key: str, kind: str, name: str, speed: float | None, rows: list[list[Any]]) -> tuple[Candle, ...]:
    source = Source(kind=SourceKind(kind), name=name, speed=speed)
    return tuple(Candle(key, ts_ms, span_ms, *_prices(rest), source) for ts_ms, span_ms, *rest in rows)


def _prices(texts: list[str]) -> tuple[Decimal, Decimal, Decimal, Decimal, Decimal]:
    o, h, l, c, volume = map(Decimal, texts)  # noqa: E741
    return o, h, l, c, volume
