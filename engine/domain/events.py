"""The journal's events: everything that must survive, in the order it happened.

Each class is one kind of row; KIND is its number in the store and never changes meaning. Fields hold text,
whole numbers, Decimals, enums, and tuples or values of these, so that one codec writes and reads them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from engine.domain.agent import AgentStatus
from engine.domain.decision import AnsweredBy, Direction, Disposition, Outcome
from engine.domain.instrument import Instrument
from engine.domain.intent import Mode
from engine.domain.order import Fill, OrderRole, OrderStatus, OrderType, Side
from engine.domain.policy import TradingState
from engine.domain.risk import RiskCheck


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


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleHeld:
    """A cycle in which every instrument was a hold. items: "instrument=reason" joined by ";".

    Its cycle id follows from the agent and the row's instant, so that a hold costs few bytes.
    """

    KIND: ClassVar[int] = 10
    agent: str
    items: str


@dataclass(frozen=True, slots=True)
class CycleItem:
    """One instrument's part of a cycle. price_ms: close time of the candle, or time of the quote, it was made on.

    features: "name=value" joined by ";". bound_by: the check that decided the size, or "".
    """

    instrument: str
    direction: Direction
    disposition: Disposition
    current_qty: Decimal
    target_qty: Decimal
    confidence: Decimal | None
    price: Decimal | None
    price_ms: int
    rationale: str
    features: str
    bound_by: str
    checks: tuple[RiskCheck, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleDone:
    """One cycle's summary: every phase and check."""

    KIND: ClassVar[int] = 11
    cycle_id: str
    agent: str
    trigger: str
    model: str
    outcome: Outcome
    answered_by: AnsweredBy
    detail: str
    items: tuple[CycleItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderIntended:
    """An intent and its order row, on disk before the first byte leaves (R9, O2)."""

    KIND: ClassVar[int] = 20
    intent_id: str
    client_order_id: str
    cycle_id: str
    agent: str
    instrument: str
    role: OrderRole
    side: Side
    order_type: OrderType
    qty: Decimal
    price: Decimal
    limit_price: Decimal | None = None
    trigger_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersUpdated:
    """One or more of our orders changed state together, by the venue's word or ours."""

    KIND: ClassVar[int] = 21
    client_order_ids: tuple[str, ...]
    status: OrderStatus
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderResized:
    """The venue changed what a protective order still covers (after a partial fill)."""

    KIND: ClassVar[int] = 22
    client_order_id: str
    qty: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderShown:
    """The venue was asked and works an order that we held for ended: it is ours again (E04)."""

    KIND: ClassVar[int] = 24
    client_order_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersResolved:
    """The trader said what became of orders the venue left open (R10). status: NOT_SENT or CANCELED, an assumption."""

    KIND: ClassVar[int] = 25
    client_order_ids: tuple[str, ...]
    status: OrderStatus
    actor: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """One fill, and the agent whose order it belongs to."""

    KIND: ClassVar[int] = 23
    agent: str
    role: OrderRole
    fill: Fill


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAsked:
    """An intent waits for a person. digest: hash of order, policy and quote shown (R26)."""

    KIND: ClassVar[int] = 30
    approval_id: str
    cycle_id: str
    agent: str
    instrument: str
    role: OrderRole
    side: Side
    order_type: OrderType
    qty: Decimal
    price: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    target_price: Decimal | None
    digest: str
    expires_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalClosed:
    """How the wait ended: approved, rejected, expired or refused; by whom; with what note."""

    KIND: ClassVar[int] = 31
    approval_id: str
    answer: str
    actor: str
    note: str = ""


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


class AdjustmentKind(StrEnum):
    """What a person says a difference with the venue was."""

    DUST = "DUST"
    FUNDING = "FUNDING"
    INTEREST = "INTEREST"
    AIRDROP = "AIRDROP"
    STAKING = "STAKING"
    EXTERNAL = "EXTERNAL"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """The ledger follows the venue in one asset, by a person's word (L8, E34); a result, unlike FundsMoved.

    amount: signed. value: what it counts for in account currency; a position takes it as cost. agent, instrument: the
    position that changes, "" where the asset is money. difference_id: what it settles, "" for none.
    """

    KIND: ClassVar[int] = 60
    kind: AdjustmentKind
    asset: str
    amount: Decimal
    value: Decimal
    agent: str
    instrument: str
    difference_id: str
    actor: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FillCorrected:
    """The venue took a fill back (now has no quantity) or changed it: a reversing entry, never a deletion (E14).

    was: the fill as it stood in our books, now: as it stands from here on; both of the same trade.
    """

    KIND: ClassVar[int] = 61
    agent: str
    was: Fill
    now: Fill
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeePosted:
    """The venue named the fee of a fill that came without one, fee_asset "" (E36). fill: as it came."""

    KIND: ClassVar[int] = 62
    agent: str
    fill: Fill
    fee: Decimal
    fee_asset: str


class DifferenceKind(StrEnum):
    """How the venue can differ from the journal.

    EXTERNAL_ORDER: it works an order that is not ours. LOST_ORDER: one with our mark that the journal does not know.
    EXTERNAL_POSITION: it holds more or less of an instrument than our fills add up to, or fills not ours changed it.
    MISSED_FILL: a fill of ours we had not been told of. MISSING_ORDER: it does not know an order it had taken.
    BALANCE_DRIFT: it holds more or less of an asset that is no instrument's base.
    """

    EXTERNAL_ORDER = "EXTERNAL_ORDER"
    LOST_ORDER = "LOST_ORDER"
    EXTERNAL_POSITION = "EXTERNAL_POSITION"
    MISSED_FILL = "MISSED_FILL"
    MISSING_ORDER = "MISSING_ORDER"
    BALANCE_DRIFT = "BALANCE_DRIFT"


class Closing(StrEnum):
    """How a difference ended: accounted for as it is, followed by the ledger, or no longer there."""

    EXPLAINED = "EXPLAINED"
    APPROVED = "APPROVED"
    GONE = "GONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceFound:
    """Venue and journal differ (R14). The same id again: it is still open, and its figures moved.

    subject: the order, trade or asset it is about, or the instrument of fills not ours. instrument: whose entries it
    holds up, "" for all. asset: set where approving it makes an entry. ours, venue: quantities.
    """

    KIND: ClassVar[int] = 63
    difference_id: str
    kind: DifferenceKind
    subject: str
    instrument: str
    asset: str
    ours: Decimal
    venue: Decimal
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceClosed:
    """A difference was explained, approved, or is gone; by whom, and with what note."""

    KIND: ClassVar[int] = 64
    difference_id: str
    how: Closing
    actor: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """All fills that the venue had booked by an instant are in this journal; the next start asks from there on."""

    KIND: ClassVar[int] = 69
    upto_ms: int


Event = (
    Genesis | InstrumentListed | AgentRegistered | PolicyAdopted | RecordingOpened | FundsMoved | EngineStarted
    | Checkpoint | CycleHeld | CycleDone | OrderIntended | OrdersUpdated | OrderResized | OrderShown | OrdersResolved
    | Filled | ApprovalAsked | ApprovalClosed | StateChanged | AgentChanged | EquityMarked | BaselineReset
    | EntriesBlocked | FlattenStarted | FlattenEnded | Incident | Adjusted | FillCorrected | FeePosted
    | DifferenceFound | DifferenceClosed | Reconciled
)  # fmt: skip

EVENT_TYPES: dict[int, type] = {cls.KIND: cls for cls in Event.__args__}  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it stands in the journal. seq: gapless from 1."""

    seq: int
    ts_ms: int
    event: Event
