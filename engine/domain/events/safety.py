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


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """Something a person must know of: never only a log line."""

    KIND: ClassVar[int] = 50
    code: str
    text: str
