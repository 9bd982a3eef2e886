"""Events as canonical text and back: compiled once from the dataclasses' own type hints.

A payload is a compact JSON array of the event's fields in order; nested values are arrays too, enums their values,
None null. A Decimal is a JSON number in its one plain form (no exponent, no trailing zeros), read back with
Decimal and never through float (R8, L7). So equal events have equal texts, and the journal's hash is over these.

Decoding is strict: another arity, another type, a number in another form, an object, NaN: StoreError.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import lru_cache
from json.encoder import encode_basestring
from operator import attrgetter, call
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from engine.domain.events import EVENT_TYPES, CycleDone, CycleHeld, Event
from engine.domain.money import MAX_EXPONENT, plain
from engine.domain.risk import RiskCheck
from engine.errors import StoreError

HELD = CycleHeld.KIND

Write = Callable[[Any], str]
Read = Callable[[Any], Any]

_REMEMBERED_MAX = 2048
_PUT = cast("Callable[[Write, Any], str]", call)
_TEXTS = frozenset((str,))
_SURROGATE = re.compile("[\ud800-\udfff]")


def encode(event: Event) -> str:
    """Return the canonical text of an event.

    Raises StoreError when a field is not what its type says, a Decimal is not finite, or has more than 18 places
    or 19 digits before them.

    >>> encode(CycleHeld(agent="sma", items="paper:BTC/USDT=no cross"))
    '["sma","paper:BTC/USDT=no cross"]'
    """
    try:
        text = _WRITERS[event.KIND](event)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise StoreError(f"a {type(event).__name__} cannot be journaled: {error}; nothing was written.") from None
    return text if text.isascii() else _SURROGATE.sub(_escape, text)


def encode_held(agent: str, items: str) -> str:
    """Return what encode() returns for a CycleHeld; the common row, so it has a path of its own."""
    text = f"[{encode_basestring(agent)},{encode_basestring(items)}]"
    return text if text.isascii() else _SURROGATE.sub(_escape, text)


def decode(kind: int, text: str) -> Event:
    """Return the event a text stands for; StoreError when it is not exactly one of that kind."""
    try:
        read = _READERS[kind]
    except (KeyError, TypeError):
        raise StoreError(f"no event has kind {kind!r}; a newer quarterdeck may have written it.") from None
    try:
        return (_done(text) if kind == CycleDone.KIND else None) or read(_parsed(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"a {EVENT_TYPES[kind].__name__} cannot be read: {error}.") from None


def _parsed(text: str) -> Any:
    raw, end = _JSON.raw_decode(text)
    if end != len(text):
        raise ValueError("text follows the array")
    return raw


def _done(text: str) -> CycleDone | None:
    """Read a decision on one instrument, its checks by their texts: most say what they said the last time.

    In JSON a quote within a string has a backslash before it, so what the text is cut at begins arrays and nothing
    else, and the parts by themselves are read as strictly as the whole. None: it has another form; read it whole.
    """
    parts = text.split(',[["')
    if len(parts) != 3 or not parts[2].endswith('"]]]]]'):
        return None
    try:
        checks = [_CHECKS.get(each) or _check(each) for each in parts[2][:-5].split('],["')]
    except (ValueError, TypeError):
        return None
    done = _READERS[CycleDone.KIND](_parsed(f'{parts[0]},[["{parts[1]},[]]]]'))
    object.__setattr__(done.items[-1], "checks", tuple(checks))
    return done


_CHECKS: dict[str, RiskCheck] = {}


def _check(text: str) -> RiskCheck:
    check = _READ_CHECK(_parsed(f'["{text}]'))
    if len(_CHECKS) >= _REMEMBERED_MAX:
        _CHECKS.clear()
    _CHECKS[text] = check
    return check


def _escape(match: re.Match[str]) -> str:
    # Half of a surrogate pair is no UTF-8; JSON can still carry it as an escape.
    return f"\\u{ord(match[0]):04x}"


@lru_cache(maxsize=_REMEMBERED_MAX)  # a decision, its orders and its fills say the same prices
def _number(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text[:40]!r} is not a decimal") from None
    if _write_decimal(value) != text:
        raise ValueError(f"{text[:40]!r} is not in plain form")
    return value


def _constant(text: str) -> None:
    raise ValueError(f"{text} is not finite")


_JSON = json.JSONDecoder(parse_float=_number, parse_constant=_constant)


def _write_decimal(value: Any) -> str:
    if type(value) is not Decimal:
        raise TypeError(f"{value!r} is a {type(value).__name__}, not a Decimal")
    if not value.is_finite() or value.adjusted() > MAX_EXPONENT:
        raise ValueError(f"{value} is not a finite amount of at most {MAX_EXPONENT + 1} digits")
    text = plain(value)
    if len(text) > MAX_EXPONENT and len(text.partition(".")[2]) > MAX_EXPONENT:
        raise ValueError(f"{text} has more than {MAX_EXPONENT} places")
    return text


@lru_cache(maxsize=_REMEMBERED_MAX)
def _whole(raw: int) -> Decimal:
    value = Decimal(raw)
    if value.adjusted() > MAX_EXPONENT:
        raise ValueError(f"{value} has more than {MAX_EXPONENT + 1} digits")
    return value


def _read_decimal(raw: Any) -> Decimal:
    if type(raw) is int:
        return _whole(raw)
    if type(raw) is not Decimal:
        raise TypeError(f"{raw!r} is not a decimal")
    return raw


def _write_int(value: Any) -> str:
    if type(value) is not int:
        raise TypeError(f"{value!r} is not a whole number")
    return str(value)


def _write_bool(value: Any) -> str:
    if type(value) is not bool:
        raise TypeError(f"{value!r} is not a truth value")
    return "true" if value else "false"


def _exactly(kind: type) -> Read:
    def read(raw: Any) -> Any:
        if type(raw) is not kind:
            raise TypeError(f"{raw!r} is not {kind.__name__}")
        return raw

    _SHORT[read] = {kind: None}
    return read


_SHORT: dict[Read, dict[type, Read | None]] = {_read_decimal: {Decimal: None, int: _whole}}
"""What may take a reader's place for values of a type; None: it returns them as they are.

One that raises KeyError leaves the answer to the reader.
"""

PLAIN: dict[Any, tuple[Write, Read]] = {
    str: (encode_basestring, _exactly(str)),
    int: (_write_int, _exactly(int)),
    bool: (_write_bool, _exactly(bool)),
    Decimal: (_write_decimal, _read_decimal),
}


Leaves = Mapping[Any, tuple[Write, Read]]
Compile = Callable[[Any], tuple[Write, Read]]


def compile_hint(hint: Any, leaves: Leaves = PLAIN, extra: Compile | None = None) -> tuple[Write, Read]:
    """Return how values of one type hint are written and read.

    leaves: the forms of plain values. extra: asked for a hint that has no form here; TypeError without it.
    """

    def inner(part: Any) -> tuple[Write, Read]:
        return compile_hint(part, leaves, extra)

    if hint in leaves:
        return leaves[hint]
    if get_origin(hint) is tuple and get_args(hint)[1:] == (...,):
        return _compile_tuple(get_args(hint)[0], inner)
    if get_origin(hint) in (types.UnionType, Union):
        return _compile_optional(hint, inner)
    if _is_enum(hint):
        return _compile_enum(hint)
    if is_dataclass(hint):
        return _compile_dataclass(hint, inner)
    if extra is not None:
        return extra(hint)
    raise TypeError(f"the journal has no form for {hint}")


def _compile_tuple(item: Any, inner: Compile) -> tuple[Write, Read]:
    write_item, read_item = inner(item)

    def write(value: Any) -> str:
        if type(value) is not tuple:
            raise TypeError(f"{value!r} is not a tuple")
        return f"[{','.join(map(write_item, value))}]"

    def read(raw: Any) -> Any:
        if type(raw) is not list:
            raise TypeError(f"{raw!r} is not an array")
        return tuple([read_item(each) for each in raw])

    return write, read


def _compile_optional(hint: Any, inner: Compile) -> tuple[Write, Read]:
    (some,) = [arg for arg in get_args(hint) if arg is not type(None)]
    write_inner, read_inner = inner(some)

    def read(raw: Any) -> Any:
        return None if raw is None else read_inner(raw)

    _SHORT[read] = {type(None): None, **_SHORT.get(read_inner, {})}
    return lambda value: "null" if value is None else write_inner(value), read


def _compile_enum(enum: type[Enum]) -> tuple[Write, Read]:
    texts = {member: encode_basestring(member.value) for member in enum}
    members = {member.value: member for member in enum}

    def write(value: Any) -> str:
        if type(value) is not enum:
            raise TypeError(f"{value!r} is not a {enum.__name__}")
        return texts[value]

    def read(raw: Any) -> Any:
        member = members.get(raw) if type(raw) is str else None
        if member is None:
            raise ValueError(f"{raw!r} is not a {enum.__name__}")
        return member

    _SHORT[read] = {str: members.__getitem__}
    return write, read


def _compile_dataclass(cls: Any, inner: Compile) -> tuple[Write, Read]:
    hints = get_type_hints(cls)
    names = [field.name for field in fields(cls) if field.compare]  # what is not compared is no part of the value
    pairs = [inner(hints[name]) for name in names]
    writers = [write for write, _read in pairs]
    values_of = _getter(names)
    readers = [read for _write, read in pairs]
    by_name = any(field.kw_only or not field.compare for field in fields(cls))
    turns: dict[tuple[type, ...], list[tuple[int, Read]]] = {}

    def write(value: Any) -> str:
        if type(value) is not cls:
            raise TypeError(f"{value!r} is not a {cls.__name__}")
        return f"[{','.join(map(_PUT, writers, values_of(value)))}]"

    def read(raw: Any) -> Any:
        if type(raw) is not list or len(raw) != len(readers):
            raise ValueError(f"a {cls.__name__} has {len(readers)} fields, not {raw!r}"[:200])
        values, kinds = [*raw], (*map(type, raw),)
        if kinds not in turns:
            ways = [_SHORT.get(get, {}).get(kind, get) for kind, get in zip(kinds, readers, strict=True)]
            turns[kinds] = [(at, way) for at, way in enumerate(ways) if way is not None]
        try:
            for at, get in turns[kinds]:
                values[at] = get(values[at])
        except KeyError:
            values = [get(each) for get, each in zip(readers, raw, strict=True)]
        return cls(**dict(zip(names, values, strict=False))) if by_name else cls(*values)

    if hasattr(cls, "KIND") or not all(hints[name] is str or _is_enum(hints[name]) for name in names):
        return write, read
    ways = [_SHORT[get][str] for get in readers]

    def read_texts(raw: Any) -> Any:
        if type(raw) is list and len(raw) == len(ways) and _TEXTS.issuperset(map(type, raw)):
            try:
                return cls(*[each if way is None else way(each) for way, each in zip(ways, raw, strict=False)])
            except KeyError:
                return read(raw)
        return read(raw)

    return _remembering_texts(write), _remembering(read if by_name else read_texts)


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    if len(names) > 1:
        return attrgetter(*names)
    return lambda value: tuple(getattr(value, name) for name in names)


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Enum)


def _remembering_texts(write: Write) -> Write:
    # By identity: an equal value may hold a text where an enum belongs. It is kept, so that its id stays its own.
    known: dict[int, tuple[Any, str]] = {}

    def write_again(value: Any) -> str:
        found = known.get(id(value))
        if found is not None:
            return found[1]
        text = write(value)
        if len(known) >= _REMEMBERED_MAX:
            known.clear()
        known[id(value)] = value, text
        return text

    return write_again


def _remembering(read: Read) -> Read:
    # Most of a decision's checks say what they said the last time; frozen values of texts can be shared.
    known: dict[tuple[Any, ...], Any] = {}

    def read_again(raw: Any) -> Any:
        key = tuple(raw)
        value = known.get(key) if type(raw) is list else None
        if value is None:
            value = read(raw)
            if len(known) >= _REMEMBERED_MAX:
                known.clear()
            known[key] = value
        return value

    return read_again


_FORMS = {kind: compile_hint(cls) for kind, cls in EVENT_TYPES.items()}
_WRITERS: dict[int, Write] = {kind: write for kind, (write, _read) in _FORMS.items()}
_READERS: dict[int, Read] = {kind: read for kind, (_write, read) in _FORMS.items()}
_READ_CHECK = compile_hint(RiskCheck)[1]
