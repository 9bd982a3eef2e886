"""A copy of the books to try events on, so that a failed commit leaves the real ones untouched."""

from __future__ import annotations

import copy
from dataclasses import fields
from enum import Enum

from engine.domain.books import Books


def copied(books: Books) -> Books:
    """Return books that can change without the originals: containers copied, frozen values shared."""
    twin = copy.copy(books)
    for field in fields(Books):
        value = getattr(books, field.name)
        if not (isinstance(value, int | str | Enum | None) or _is_frozen(value)):
            setattr(twin, field.name, copy.copy(value))
    return twin


def _is_frozen(value: object) -> bool:
    params = getattr(value, "__dataclass_params__", None)
    return params is not None and params.frozen
