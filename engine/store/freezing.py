"""The whole state of the books as canonical text and back, for checkpoints.

Compiled from the type hints of Books and of all that it holds, so that a field added there is kept here too. Books
that are equal, and were filled in the same order, have equal texts.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import cache
from hashlib import sha256
from typing import Any, get_args, get_origin, get_type_hints

from engine.domain.books import Books
from engine.domain.money import plain
from engine.errors import StoreError
from engine.store.codec import PLAIN, Read, Write, compile_hint

RULES = 1
"""Goes up when Books.apply makes another state of the same events: then older checkpoints are not used any more."""


def freeze(books: Books) -> str:
    """Return the books as one line of JSON. Raises StoreError when a field is not what its type says."""
    try:
        return _forms()[0](books)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise StoreError(f"the books cannot be written down: {error}.") from None


def thaw(text: str) -> Books:
    """Return the books a text of the present form stands for; StoreError when it is none."""
    try:
        return _forms()[1](json.loads(text))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"a checkpoint's state cannot be read: {error}.") from None


@cache
def form() -> str:
    """Return 16 hex digits that name the shape of the text: every field and type that is in it."""
    return sha256(f"{RULES} {_shape(Books)}".encode()).hexdigest()[:16]


@cache
def _forms() -> tuple[Write, Read]:
    return compile_hint(Books, PLAIN | {Decimal: (_write_decimal, _read_decimal)}, _container)


# A sum in the books may have more places than an event's amount may: it is kept as text, however long.


def _write_decimal(value: Any) -> str:
    if type(value) is not Decimal or not value.is_finite():
        raise TypeError(f"{value!r} is not a finite Decimal")
    return f'"{plain(value)}"'


def _read_decimal(raw: Any) -> Decimal:
    try:
        value = Decimal(raw) if type(raw) is str else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite():
        raise TypeError(f"{raw!r} is not a decimal")
    return value


def _container(hint: Any) -> tuple[Write, Read]:
    """Return how a container is written: all of them arrays, a mapping one of pairs, in its own order; sets sorted."""
    kind, parts = get_origin(hint), get_args(hint)
    if kind in (dict, OrderedDict):
        return _mapping(kind, _row(parts))
    if kind is tuple:
        return _row(parts)
    if kind in (set, frozenset, list):
        return _collection(kind, *_inner(parts[0]))
    raise TypeError(f"a checkpoint has no form for {hint}")


def _inner(hint: Any) -> tuple[Write, Read]:
    return compile_hint(hint, PLAIN | {Decimal: (_write_decimal, _read_decimal)}, _container)


def _row(parts: tuple[Any, ...]) -> tuple[Write, Read]:
    pairs = [_inner(part) for part in parts]
    writers, readers = [write for write, _read in pairs], [read for _write, read in pairs]

    def write(value: Any) -> str:
        return f"[{','.join([put(each) for put, each in zip(writers, value, strict=True)])}]"

    def read(raw: Any) -> Any:
        if type(raw) is not list:
            raise TypeError(f"{raw!r} is not an array")
        return tuple([get(each) for get, each in zip(readers, raw, strict=True)])

    return write, read


def _mapping(kind: Callable[..., Any], row: tuple[Write, Read]) -> tuple[Write, Read]:
    write_item, read_item = row

    def write(value: Any) -> str:
        if type(value) is not kind:
            raise TypeError(f"{value!r} is not a {kind}")
        return f"[{','.join([write_item(item) for item in value.items()])}]"

    return write, lambda raw: kind([read_item(item) for item in raw])


def _collection(kind: Callable[..., Any], write_item: Write, read_item: Read) -> tuple[Write, Read]:
    def write(value: Any) -> str:
        if type(value) is not kind:
            raise TypeError(f"{value!r} is not a {kind}")
        texts = [write_item(item) for item in value]
        return f"[{','.join(texts if kind is list else sorted(texts))}]"

    return write, lambda raw: kind([read_item(item) for item in raw])


def _shape(hint: Any) -> str:
    if is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint)
        inner = ",".join(f"{field.name}:{_shape(hints[field.name])}" for field in fields(hint) if field.compare)
        return f"{hint.__name__}({inner})"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return f"{hint.__name__}({','.join(str(member.value) for member in hint)})"
    parts = get_args(hint)
    if type(None) in parts:
        return f"{_shape(next(part for part in parts if part is not type(None)))}?"
    name = getattr(get_origin(hint) or hint, "__name__", str(hint))
    return f"{name}[{','.join(map(_shape, parts))}]" if parts else name
