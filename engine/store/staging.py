"""A copy of the books to try events on, so that a failed commit leaves the real ones untouched."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

from engine.domain.books import Books

_FIELDS = tuple(field.name for field in fields(Books))
_CONTAINERS = (dict, list, set)
_COPIERS: dict[type, Callable[[Any], Any] | None] = {}
"""type -> how a value of it is copied; None: frozen, so that both books may share it. Every commit copies the books."""


def copied(books: Books) -> Books:
    """Return books that can change without the originals: containers copied, frozen values shared.

    A part of the books that is a changeable dataclass of its own is copied in the same way, field by field.
    """
    twin = copy.copy(books)
    for name in _FIELDS:
        value = getattr(books, name)
        copier = _copier_of(type(value))
        if copier is not None:
            setattr(twin, name, copier(value))
    return twin


def _copier_of(kind: type) -> Callable[[Any], Any] | None:
    if kind not in _COPIERS:
        _COPIERS[kind] = _learnt(kind)
    return _COPIERS[kind]


def _learnt(kind: type) -> Callable[[Any], Any] | None:
    if issubclass(kind, _CONTAINERS):
        return kind.copy
    if is_dataclass(kind) and not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return _field_by_field(tuple(field.name for field in fields(kind)), kind)
    return None


def _field_by_field(names: tuple[str, ...], kind: type) -> Callable[[Any], Any]:
    def copier(value: Any) -> Any:
        twin = object.__new__(kind)
        for name in names:
            inner = getattr(value, name)
            inner_copier = _copier_of(type(inner))
            setattr(twin, name, inner if inner_copier is None else inner_copier(inner))
        return twin

    return copier
