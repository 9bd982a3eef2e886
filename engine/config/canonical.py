"""One text for one configuration: what the journal keeps, and the hash that names it."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from functools import cache
from hashlib import sha256
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from engine.domain.money import plain
from engine.domain.policy import Off
from engine.errors import StoreError

T = TypeVar("T")


def canonical_json(config: Any) -> str:
    """Write a domain value as JSON: sorted keys, no spaces, Decimals as plain text.

    >>> canonical_json({"b": Decimal("1.50"), "a": (True, None)})
    '{"a":[true,null],"b":"1.5"}'
    """
    return json.dumps(_plain(config), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def config_hash(config: Any) -> str:
    """Return the SHA-256 of the canonical JSON, in hex."""
    return sha256(canonical_json(config).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return plain(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def from_canonical(kind: type[T], text: str) -> T:
    """Return the value a canonical JSON stands for. A field that it does not have yet takes its default.

    Raises StoreError when it is not one of that kind, as after an older program opens a newer one's store.
    """
    try:
        return _value(kind, json.loads(text))
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
        raise StoreError(f"a {kind.__name__} on record cannot be read: {error!r}; use a newer quarterdeck.") from None


@cache  # they are text until they are asked for, and a start reads the policy and each agent several times
def _hints_of(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(hint: Any, data: Any) -> Any:
    if isinstance(hint, types.UnionType):  # a value, or the word that switches it off, or nothing
        is_word = Off in get_args(hint) and data == Off.OFF
        if is_word or data is None:
            return Off.OFF if is_word else None
        return data if type(data) in get_args(hint) else _value(get_args(hint)[0], data)
    if isinstance(hint, type) and is_dataclass(hint):
        hints = _hints_of(hint)
        return hint(**{name: _value(hints[name], inner) for name, inner in data.items()})
    parts = get_args(hint)
    if get_origin(hint) is tuple:
        return tuple(_value(parts[0], each) for each in data)
    if parts:  # a mapping
        return {key: _value(parts[1], inner) for key, inner in data.items()}
    is_text = hint is Decimal or (isinstance(hint, type) and issubclass(hint, Enum))
    if type(data) is not (str if is_text else hint):
        raise TypeError(f"{data!r} is not {hint}")
    return hint(data) if is_text else data
