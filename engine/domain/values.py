"""Value classes for what is made at every bar and every decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def quick_value(cls: type[_T]) -> type[_T]:
    """Make a dataclass with slots that nobody may change: the type checker holds to it, not each construction.

    A frozen dataclass takes three times as long to make, which counts only where one is made for every bar or decision.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
