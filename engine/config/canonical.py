"""One text for one configuration: what the journal keeps, and the hash that names it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from hashlib import sha256
from typing import Any

from engine.domain.money import plain


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
