"""A copy of the books to try events on, so that a failed commit leaves the real ones untouched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

from engine.domain.books import Books

_CONTAINERS = (dict, list, set)
Copier = Callable[[Any], Any]


class _Copiers(dict[type, Copier | None]):
    """type -> how a value of it is copied; None: frozen, so that both books may share it. Every commit copies all."""

    def __missing__(self, kind: type) -> Copier | None:
        copier: Copier | None = None
        if issubclass(kind, _CONTAINERS):
            copier = kind.copy  # type: ignore[attr-defined]
        elif is_dataclass(kind) and not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            copier = _field_by_field(tuple(field.name for field in fields(kind)), kind)
        self[kind] = copier
        return copier


_COPIERS = _Copiers()


def copied(books: Books) -> Books:
    """Return books that can change without the originals: containers copied, frozen values shared.

    A part of the books that is a changeable dataclass of its own is copied in the same way, field by field.
    """
    return _BOOKS(books)


def adopt(books: Books, staged: Books) -> None:
    """Let books become what a copy of them has become. The copy is given up: its parts are theirs from then on."""
    for name in _FIELDS:
        setattr(books, name, getattr(staged, name))


def _field_by_field(names: tuple[str, ...], kind: type) -> Copier:
    def copier(value: Any) -> Any:
        twin = object.__new__(kind)
        for name in names:
            inner = getattr(value, name)
            copied_by = _COPIERS[inner.__class__]
            setattr(twin, name, inner if copied_by is None else copied_by(inner))
        return twin

    return copier


_FIELDS = tuple(field.name for field in fields(Books))
_BOOKS = _field_by_field(_FIELDS, Books)
