"""Events of safety: the trading state, what the kill switch measures from, a flatten, an incident."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from engine.domain.agent import AgentStatus
from engine.domain.policy import TradingState


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged:
    """The engine's trading state moved; evidence: "name=value" joined by ";", what was seen when it did."""

    KIND: ClassVar[int] = 40
    state: TradingState
    actor: str
    reason: str
    evidence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentChanged:
    """An agent was started, paused, resumed or stopped."""

    KIND: ClassVar[int] = 41
    agent: str
    status: AgentStatus
    actor: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EquityMarked:
    """Equity at the row's instant, with the baselines the kill switch measures from; in account currency."""

    KIND: ClassVar[int] = 42
    equity: Decimal
    peak: Decimal
    day: int
    day_start: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineReset:
    """A person resumed after a halt: the kill switch measures from these values on; in account currency."""

    KIND: ClassVar[int] = 45
    start: Decimal
    peak: Decimal
    day: int
    day_start: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class EntriesBlocked:
    """Nothing may add exposure in an instrument from here on; reason "": it may again, by the actor's word."""

    KIND: ClassVar[int] = 46
    instrument: str
    reason: str
    actor: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenStarted:
    """A flatten began."""

    KIND: ClassVar[int] = 43
    flatten_id: str
    actor: str


@dataclass(frozen=True, slots=True)
class ResidualLine:
    """What the venue still showed of an instrument when a flatten ended, and why."""

    instrument: str
    start_qty: Decimal
    end_qty: Decimal
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenEnded:
    """The certificate: the venue's own word on each instrument. flat: every line is zero or named dust."""

    KIND: ClassVar[int] = 44
    flatten_id: str
    flat: bool
    took_ms: int
    lines: tuple[ResidualLine, ...]


@dataclass(frozen=True, slots=True)
class FlattenStep:
    """A step of a flatten and how long after its beginning it was done, in milliseconds."""

    name: str
    ms: int


@dataclass(frozen=True, slots=True)
class VenueProof:
    """What the venue itself answered about one instrument as a flatten ended: its holding, and its working orders.

    asked_ms: when it was asked, on our clock. sold: what the flatten's own orders sold; cost: for how much, in quote.
    """

    instrument: str
    asked_ms: int
    held: Decimal
    working: int
    sold: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenProven:
    """Written with a flatten's certificate: the milliseconds of each step, and the venue's word on each instrument."""

    KIND: ClassVar[int] = 88
    flatten_id: str
    steps: tuple[FlattenStep, ...]
    proofs: tuple[VenueProof, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTrailed:
    """A trailing stop was moved in a position's favour: a new order at `now` takes the place of one at `was`.

    best: the price it follows, in quote; written with the new order's own row.
    """

    KIND: ClassVar[int] = 89
    agent: str
    instrument: str
    was: Decimal
    now: Decimal
    best: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionAsked:
    """A person said where the stop and the target of an open position belong, in quote; None: there is to be none."""

    KIND: ClassVar[int] = 111
    agent: str
    instrument: str
    stop: Decimal | None
    target: Decimal | None
    actor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something a person must know of: never only a log line."""

    KIND: ClassVar[int] = 50
    code: str
    text: str
