"""Events of the record: what is kept of a decision outside the chain, and what another model would have done."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from engine.domain.events.cycles import CycleItem
from engine.domain.order import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class SituationKept:
    """What a cycle was judged on is kept under a hash. digest "": it could not be written."""

    KIND: ClassVar[int] = 102
    cycle_id: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneOpened:
    """A second model begins to decide on an agent's inputs, on books of its own that move no money.

    capital: what it begins with, in account currency. agent_net: what the agent itself had made until here.
    """

    KIND: ClassVar[int] = 103
    agent: str
    model: str
    capital: Decimal
    agent_net: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneFilled:
    """A trade of that second model, priced as the paper venue would have. fee in quote; stop, target: of an entry."""

    KIND: ClassVar[int] = 104
    agent: str
    instrument: str
    side: Side
    qty: Decimal
    price: Decimal
    fee: Decimal
    why: str
    stop: Decimal | None
    target: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneDecided:
    """What a language model that decides beside an agent wanted in one cycle, judged on the lane's own figures."""

    KIND: ClassVar[int] = 133
    agent: str
    cycle_id: str
    items: tuple[CycleItem, ...]
