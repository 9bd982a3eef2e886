"""All that a user interface may see of the engine: values, commands, and one protocol.

Texts that a model, the news or a venue wrote arrive here as plain str and are drawn as Content, never as markup
(R29). Money is Decimal; times are UTC milliseconds; a field is None when the value is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from engine.domain.agent import AgentStatus
from engine.domain.decision import Direction, Disposition, describe_action
from engine.domain.intent import Autonomy, Mode
from engine.domain.market import SourceKind
from engine.domain.money import AmountError, amount, frac, percent, plain
from engine.domain.order import OrderRole, OrderStatus, OrderType, Side
from engine.domain.policy import TradingState
from engine.domain.risk import CheckCode, RiskCheck, Verdict

API_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionView:
    """One agent's position. Prices in quote, P&L in account currency, before fees. mark_age_ms None: never priced."""

    agent: str
    instrument: str
    qty: Decimal
    average_price: Decimal
    mark: Decimal | None
    mark_age_ms: int | None
    unrealized: Decimal | None
    realized: Decimal
    stop_price: Decimal | None
    target_price: Decimal | None
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderView:
    """One working order."""

    client_order_id: str
    cycle_id: str
    agent: str
    instrument: str
    role: OrderRole
    side: Side
    order_type: OrderType
    qty: Decimal
    filled_qty: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    status: OrderStatus
    age_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalView:
    """A trade that waits for a person. code: the four letters to type. expires_in_ms counts down on the engine's clock.

    before_qty, after_qty: the agent's position now and after a full fill.
    """

    approval_id: str
    code: str
    cycle_id: str
    agent: str
    instrument: str
    side: Side
    order_type: OrderType
    qty: Decimal
    price: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    target_price: Decimal | None
    notional: Decimal
    before_qty: Decimal
    after_qty: Decimal
    confidence: Decimal | None
    rationale: str
    checks: tuple[RiskCheck, ...]
    price_now: Decimal | None
    price_age_ms: int | None
    expires_in_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KillGauge:
    """One kill-switch rule: how much of its threshold is used up. used_frac >= 1 trips."""

    rule: str
    observed_frac: Decimal
    limit_frac: Decimal
    used_frac: Decimal
    tripped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView:
    """AI spend of the UTC day. reserved: held for calls in flight."""

    usd_spent: Decimal
    usd_reserved: Decimal
    usd_cap: Decimal
    tokens_spent: int
    tokens_cap: int
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """One agent at a glance. last: its latest decision in words; next_slot_ms None: with the next candle."""

    name: str
    model: str
    autonomy: Autonomy
    status: AgentStatus
    instruments: tuple[str, ...]
    phase: str
    cycles: int
    trades_today: int
    trades_per_day: int
    realized: Decimal
    unrealized: Decimal | None
    last: str
    last_ms: int | None
    failures: int
    next_slot_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLine:
    """One durable event as the decision stream shows it. seq: its journal row.

    kind: decision, order, fill, state, approval, agent, flatten or incident. action: "BUY 0.2 (0 -> 0.2)".
    """

    seq: int
    ts_ms: int
    kind: str
    agent: str
    instrument: str
    action: str
    confidence: Decimal | None
    outcome: str
    why: str
    cycle_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """A flatten's end: per instrument what the venue showed before and after."""

    flatten_id: str
    flat: bool
    took_ms: int
    lines: tuple[tuple[str, Decimal, Decimal, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceView:
    """An open difference with the venue. instrument: whose entries it holds up, "" for all. ours, venue: quantities."""

    difference_id: str
    kind: str
    instrument: str
    asset: str
    ours: Decimal
    venue: Decimal
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketView:
    """The last price of an instrument and its recent closes, oldest first. change_frac: against the first of them."""

    instrument: str
    price: Decimal | None
    price_age_ms: int | None
    change_frac: Decimal | None
    closes: tuple[float, ...]
    source: str
    assumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything the console shows, as of one instant and one journal row.

    now_ms: the engine's clock (virtual in a replay). built_mono_ms: when it was built, on the machine's
    monotonic clock: its age is the engine's age. data_age_ms None: no data yet.
    equity_curve: (ts_ms, equity) oldest first, at most a few hundred points.
    blocked: instrument -> why nothing may be entered there.
    progress: 0..1 through a recording, None where there is no end.
    equity_last, equity_last_ms: the last equity on record and when, for where no price values the account now.
    """

    seq: int
    now_ms: int
    built_mono_ms: float
    mode: Mode
    source_kind: SourceKind
    source_label: str
    source_name: str
    feed_text: str
    connected: bool
    state: TradingState
    state_reason: str
    state_actor: str
    state_since_ms: int
    currency: str
    equity: Decimal | None
    equity_start: Decimal
    equity_peak: Decimal
    day_start: Decimal
    day_pnl: Decimal | None
    realized: Decimal
    unrealized: Decimal | None
    fees: Mapping[str, Decimal]
    balances: Mapping[str, Decimal]
    data_age_ms: int | None
    positions: tuple[PositionView, ...] = ()
    orders: tuple[OrderView, ...] = ()
    approvals: tuple[ApprovalView, ...] = ()
    kill: tuple[KillGauge, ...] = ()
    budget: BudgetView | None = None
    agents: tuple[AgentView, ...] = ()
    markets: tuple[MarketView, ...] = ()
    equity_curve: tuple[tuple[int, Decimal], ...] = ()
    certificate: CertificateView | None = None
    flattening: bool = False
    incidents: int = 0
    blocked: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    progress: float | None = None
    finished: bool = False
    differences: tuple[DifferenceView, ...] = ()
    equity_last: Decimal | None = None
    equity_last_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBatch:
    """Stream lines after a seq, oldest first. gap: lines were lost in between, take a new snapshot."""

    lines: tuple[StreamLine, ...]
    upto_seq: int
    gap: bool


# Commands: everything a person can make the engine do, from the console and the CLI alike (R33).


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Stop all new exposure at once; needs no confirmation."""

    actor: str = "trader"
    reason: str = "halted by the trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Let trading go on; needs a typed reason (R17)."""

    reason: str
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAll:
    """Cancel every working order that is not protection; include_protection cancels those too."""

    include_protection: bool = False
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten:
    """Halt, cancel, close every position, and certify it."""

    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """Approve one waiting trade by the code its card shows; single use."""

    approval_id: str
    code: str
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """Reject one waiting trade."""

    approval_id: str
    note: str = ""
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve:
    """Say what became of an order in doubt (R10). client_order_id: or how it begins, where only one does.

    assume: not-sent or canceled. Without a reason nothing is done, and the answer says what would be assumed.
    """

    client_order_id: str
    assume: str
    reason: str = ""
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unblock:
    """Let an instrument be entered again that an order which came back to life holds up (E04); needs a reason."""

    instrument: str
    reason: str = ""
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainDifference:
    """Account for a difference with the venue as it is; the ledger does not change. Needs a note."""

    difference_id: str
    note: str
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveDifference:
    """Let the ledger follow the venue in one difference. Needs a note.

    entry: what it was (deposit, withdrawal, dust, funding, interest, airdrop, staking, external, other); "" where an
    instrument is meant is external. price: of one unit in account currency, None: the last one known.
    """

    difference_id: str
    note: str
    entry: str = ""
    price: Decimal | None = None
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentControl:
    """Start, pause, resume or stop one agent. action: one of those words."""

    agent: str
    action: str
    reason: str = ""
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A manual trade. qty in base. limit_price for LIMIT; stop_frac and target_frac attach protection (None: none)."""

    instrument: str
    side: Side
    order_type: OrderType
    qty: Decimal
    limit_price: Decimal | None = None
    stop_frac: Decimal | None = None
    target_frac: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewTicket:
    """Ask what the guardrails say to a ticket, sending nothing."""

    ticket: Ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitTicket:
    """Send a ticket through the guardrails; preview_id: from the preview the trader saw (R26)."""

    ticket: Ticket
    preview_id: str
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackUp:
    """Make a proven copy of the store. to: the folder it goes into, "" for the store's own backups."""

    to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Read from the store: decisions, orders, fills, positions, explain, agents, status... args are texts."""

    name: str
    args: Mapping[str, str] = field(default_factory=dict)


Command = (
    Halt | Resume | CancelAll | Flatten | Approve | Reject | Resolve | Unblock | ExplainDifference | ApproveDifference
    | AgentControl | PreviewTicket | SubmitTicket | BackUp | Query
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A command's answer. text: one sentence. data: rows or fields that JSON can carry, Decimals as text."""

    ok: bool
    text: str
    data: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketPreview:
    """What would happen to a ticket. qty: what would be sent after reductions; 0 when refused."""

    preview_id: str
    refused: bool
    qty: Decimal
    price: Decimal | None
    notional: Decimal
    fee: Decimal
    stop_price: Decimal | None
    target_price: Decimal | None
    checks: tuple[RiskCheck, ...]


class EngineClient(Protocol):
    """The boundary: the same in one process and over a socket."""

    async def snapshot(self) -> Snapshot:
        """Return the newest snapshot; never waits for the engine's work in hand."""
        ...

    async def events(self, since: int) -> EventBatch:
        """Return stream lines after a journal seq."""
        ...

    async def send(self, command: Command) -> Reply:
        """Carry a command out and return its answer. PreviewTicket answers with data = TicketPreview."""
        ...

    def halt_now(self) -> None:
        """Latch HALTED in memory at once, from any thread; the Halt command then makes it durable."""
        ...


__all__ = [
    "API_VERSION", "AgentControl", "AgentStatus", "AgentView", "AmountError", "ApprovalView", "Approve",
    "ApproveDifference", "Autonomy", "BackUp", "BudgetView", "CancelAll", "CertificateView", "CheckCode", "Command",
    "DifferenceView", "Direction", "Disposition", "EngineClient", "EventBatch", "ExplainDifference", "Flatten",
    "Halt", "KillGauge", "MarketView", "Mode", "OrderRole", "OrderStatus", "OrderType", "OrderView", "PositionView",
    "PreviewTicket", "Query", "Reject", "Reply", "Resolve", "Resume", "RiskCheck", "Side", "Snapshot", "SourceKind",
    "StreamLine", "SubmitTicket", "Ticket", "TicketPreview", "TradingState", "Unblock", "Verdict", "amount",
    "describe_action", "frac", "percent", "plain",
]  # fmt: skip
