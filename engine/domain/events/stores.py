"""Events of a store's own life: what it is, what it trades, and which process writes to it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from engine.domain.instrument import Instrument
from engine.domain.intent import Mode


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis:
    """First row of a store. source_kind: a replay's or simulation's store can never be opened for LIVE."""

    KIND: ClassVar[int] = 1
    store_id: str
    schema: int
    mode: Mode
    source_kind: str
    account_currency: str
    usd_peg: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentListed:
    """An instrument's rules, as they were when first used or changed."""

    KIND: ClassVar[int] = 2
    instrument: Instrument


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRegistered:
    """An agent's settings as canonical JSON, with their hash."""

    KIND: ClassVar[int] = 3
    agent: str
    config_hash: str
    config_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyAdopted:
    """The limits in force from here on, as canonical JSON, with their hash."""

    KIND: ClassVar[int] = 4
    policy_hash: str
    policy_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingOpened:
    """A recording that prices come from: its name and the SHA-256 of its bytes; rows are referred to by time."""

    KIND: ClassVar[int] = 5
    instrument: str
    name: str
    sha256: str
    interval_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FundsMoved:
    """Money that came (amount > 0) or left, not a result of trading: baselines move with it, profit does not.

    value: in account currency.
    """

    KIND: ClassVar[int] = 6
    asset: str
    amount: Decimal
    value: Decimal
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStarted:
    """An engine took the store; every write names its epoch."""

    KIND: ClassVar[int] = 7
    epoch: int
    source_label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What all rows before this one add up to, so that a start need not read them; it changes nothing.

    form: names the shape of `state`; of another form it is left out. head: the chain's hash before this row, in hex.
    """

    KIND: ClassVar[int] = 70
    form: str
    head: str
    state: str
