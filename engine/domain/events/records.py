"""Events that name what is kept of a decision outside the chain, so that it can be judged again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationKept:
    """What a cycle was judged on is kept under a hash. digest "": it could not be written."""

    KIND: ClassVar[int] = 102
    cycle_id: str
    digest: str
