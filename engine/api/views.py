"""What a user interface sees of the engine: values, none of them computed in a screen (R33)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from engine.domain.agent import AgentStatus
from engine.domain.governance import PolicyChange
from engine.domain.intent import Autonomy, Mode
from engine.domain.killing import KillTier, KillUnit
from engine.domain.lane_standing import LaneStanding
from engine.domain.market import SourceKind
from engine.domain.order import OrderRole, OrderStatus, OrderType, Side
from engine.domain.policy import TradingState
from engine.domain.risk import RiskCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionView:
    """One agent's position. Prices in quote, P&L in account currency, before fees. mark_age_ms None: never priced.

    unprotected: why it stands without the stop that it should have, "" while it does not.
    """

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
    unprotected: str = ""


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
class TradeEffect:
    """The portfolio after a trade, had it filled in full at its own price. Money in quote (asset), fee included.

    value: of the order at that price, without its fee.
    free_after: cash that no order on its way reserves. gross: absolute value of all positions as a share of equity.
    at_stop: what the order loses if its stop fills at its price, before fees; None: it brings no stop.
    Shares are None where equity is not known.
    """

    asset: str
    value: Decimal
    cash_before: Decimal
    cash_after: Decimal
    free_after: Decimal
    qty_before: Decimal
    qty_after: Decimal
    gross_before_frac: Decimal | None
    gross_after_frac: Decimal | None
    at_stop: Decimal | None
    at_stop_frac: Decimal | None
    fee: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalView:
    """A trade that waits for a person. code: the four letters to type. expires_in_ms counts down on the engine's clock.

    before_qty, after_qty: the agent's position now and after a full fill. policy: hash of the limits it was checked
    under. quote_age_ms: how old the price is that it was sized at. drift_max_frac: how far the price may have moved
    from it when the trade is approved. asked_ms: when the checks were made; approving makes them anew. notional: at
    price. effect: the portfolio after it, as things are now.
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
    policy: str
    quote_age_ms: int
    drift_max_frac: Decimal
    trigger_price: Decimal | None = None
    effect: TradeEffect | None = None
    asked_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KillGauge:
    """One kill-switch rule: its tier, and how far it is from each of them; None: it has no such tier.

    observed, limit and the tiers' beginnings are in `unit`: a share, a count or milliseconds. used_frac: of the limit,
    1 and more has tripped.
    """

    rule: str
    unit: KillUnit
    tier: KillTier
    observed: Decimal
    limit: Decimal
    used_frac: Decimal
    tripped: bool
    warn_at: Decimal | None = None
    reduce_at: Decimal | None = None
    halt_at: Decimal | None = None
    flatten_at: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetView:
    """AI spend of the UTC day, and of the month where it says so. reserved: held for calls in flight.

    runs_out_ms: when the day's cap is reached at this pace, None where it lasts. decisions: cycles that asked; trades:
    today's, of the agents that asked. day_pnl_after: the day's profit after what models cost; share_of_pnl: what they
    cost of it. Both None where it is not in dollars; the share too where there is no profit.
    off_reason: why models may not be asked, "" when they may. notice: what to do about the price list, "" for nothing.
    usd_beside: of usd_spent, what reruns and shadows cost; a decision's and a trade's share are without it.
    """

    usd_spent: Decimal
    usd_reserved: Decimal
    usd_cap: Decimal
    tokens_spent: int
    tokens_cap: int
    calls: int
    tokens_reserved: int = 0
    usd_month_spent: Decimal = Decimal(0)
    usd_month_reserved: Decimal = Decimal(0)
    usd_month_cap: Decimal = Decimal(0)
    tokens_month_spent: int = 0
    tokens_month_cap: int = 0
    usd_per_hour: Decimal = Decimal(0)
    runs_out_ms: int | None = None
    decisions: int = 0
    trades: int = 0
    usd_per_decision: Decimal | None = None
    usd_per_trade: Decimal | None = None
    day_pnl_after: Decimal | None = None
    share_of_pnl: Decimal | None = None
    off_reason: str = ""
    notice: str = ""
    usd_beside: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """One agent at a glance. last: its latest decision in words; next_slot_ms None: with the next candle.

    failures: cycles that failed in a row; waits_until_ms: it skips its slots before, because of them.
    shadow: the agent beside the second model that decides on the same inputs; None: it has none. outcomes: how often
    its language model's cycles ended in each outcome, "FALLBACK" counted beside the one that made it necessary.
    """

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
    waits_until_ms: int | None = None
    shadow: LaneStanding | None = None
    outcomes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLine:
    """One durable event as the decision stream shows it. seq: its journal row.

    kind: decision, order, fill, state, kill, approval, agent, flatten, keys or incident. action: "BUY 0.2 (0 -> 0.2)".
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
    """A flatten's end: per instrument what the venue showed before and after, and why anything is left.

    steps: (name, milliseconds from the request until it was done). proofs: (instrument, when the venue was asked, what
    it held, its working orders there, sold by the flatten, for how much in quote). ended_ms: when the
    venue answered, 0: not known. held_since: more is held now than it left.
    """

    flatten_id: str
    flat: bool
    took_ms: int
    lines: tuple[tuple[str, Decimal, Decimal, str], ...]
    steps: tuple[tuple[str, int], ...] = ()
    proofs: tuple[tuple[str, int, Decimal, int, Decimal, Decimal], ...] = ()
    ended_ms: int = 0
    held_since: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillView:
    """What a drill measured on a throwaway paper store, in microseconds of real time. at: when it ended, ISO.

    key_to_halt_us, worst: from the key until the halt was on disk, the median and the longest of so many halts.
    halt_to_flat_us: from there until the venue had shown zero. positions: open as the flatten began.
    """

    at: str
    agents: int
    positions: int
    halts: int
    key_to_halt_us: int
    key_to_halt_worst_us: int
    halt_to_flat_us: int
    flat: bool


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
class ChangeView:
    """A change of the policy that waits. code: the four letters that approve exactly this.

    stale: the policy it would change is in force no more. due_in_ms None: nobody has approved it; else how long until
    it takes effect. reason is untrusted text, for an agent may have written it.
    """

    request_id: str
    code: str
    base_version: int
    stale: bool
    changes: tuple[PolicyChange, ...]
    actor: str
    asked_by: str
    reason: str
    asked_ms: int
    due_in_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyView:
    """The policy in force. notices: what a person should know of it, a sentence each. changes: those that wait."""

    version: int
    hash: str
    since_ms: int
    notices: tuple[str, ...] = ()
    changes: tuple[ChangeView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysView:
    """Keys that agents wait for: names. problem: why no passphrase opens the file as it stands, "" when one does.

    wait_ms: how long no passphrase is looked at, because of wrong ones.
    """

    names: tuple[str, ...]
    problem: str = ""
    wait_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything the console shows, as of one instant and one journal row.

    now_ms: the engine's clock (virtual in a replay). built_mono_ms: when it was built, on the machine's
    monotonic clock: its age is the engine's age. data_age_ms None: no data yet.
    equity_curve: (ts_ms, equity) oldest first, at most a few hundred points.
    blocked: instrument -> why nothing may be entered there.
    progress: 0..1 through a recording, None where there is no end.
    equity_last, equity_last_ms: the last equity on record and when, for where no price values the account now.
    keys: what must be unlocked, None: nothing.
    unprotected: a sentence for each thing held that no stop guards and that should have one. flatten_waits: what a
    flatten under way waits for, and what a person can do meanwhile.
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
    drill: DrillView | None = None
    flattening: bool = False
    incidents: int = 0
    blocked: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    progress: float | None = None
    finished: bool = False
    differences: tuple[DifferenceView, ...] = ()
    equity_last: Decimal | None = None
    equity_last_ms: int | None = None
    policy: PolicyView | None = None
    keys: KeysView | None = None
    unprotected: tuple[str, ...] = ()
    flatten_waits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBatch:
    """Stream lines after a seq, oldest first. gap: lines were lost in between, take a new snapshot."""

    lines: tuple[StreamLine, ...]
    upto_seq: int
    gap: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A command's answer. text: one sentence. data: rows or fields that JSON can carry, Decimals as text."""

    ok: bool
    text: str
    data: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketPreview:
    """What would happen to a ticket. qty: what would be sent after reductions; 0 when refused.

    asked_qty: what the ticket's quantity comes to in base, whatever unit it was given in. stop_price, target_price: as
    they would rest, on the tick, however they were written; stop_frac, target_frac: how far that is from the price.
    """

    preview_id: str
    refused: bool
    asked_qty: Decimal
    qty: Decimal
    price: Decimal | None
    notional: Decimal
    fee: Decimal
    stop_price: Decimal | None
    target_price: Decimal | None
    checks: tuple[RiskCheck, ...]
    effect: TradeEffect | None = None
    stop_frac: Decimal | None = None
    target_frac: Decimal | None = None
