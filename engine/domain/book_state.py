"""What the books hold, and what can be asked of them; engine/domain/books.py says what changes it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from engine.domain.agent import AgentStatus
from engine.domain.asking import Asking
from engine.domain.beside import Beside
from engine.domain.budget import SpendBook
from engine.domain.counts import Baseline, Counters
from engine.domain.events import ApprovalAsked, DifferenceFound, DifferenceKind, FlattenEnded, FlattenProven, Genesis
from engine.domain.instrument import Instrument
from engine.domain.key_tries import KeyTries
from engine.domain.lanes import Lanes
from engine.domain.memory import Memory
from engine.domain.money import ZERO
from engine.domain.order import Fill, Order
from engine.domain.policy import TradingState
from engine.domain.policy_book import PolicyBook
from engine.domain.portfolio import STEPS_KEPT, Position, Trail
from engine.domain.shadows import Shadows
from engine.domain.standing import Standing
from engine.domain.wishes import Wishes

DAY_MS = 86_400_000


@dataclass(slots=True)
class BookState:
    """Balances, positions, orders, approvals and trading state, in memory.

    closed_orders keeps the last few hundred, for late fills; older ones are in the store's tables.
    peak_equity, day_open: the highest equity, and that at the first mark of the UTC day `opened`; no reset moves them.
    marked, marked_ms: the last equity that was journaled, and when; 0: none was.
    funded: deposits less withdrawals, in account currency; profit is what equity has beyond it. adjusted, funding:
    what approved differences, and funding and interest, came to.
    bases: asset -> the instrument that values it; deposits, adjustments and foreign fees in it change the position of
    `external` there. trails: how each position came about, steps_kept moves back. moved: what the last event changed.
    fees_pending: fills whose fee the venue has not named, by instrument and trade id (E36).
    differences: the open ones by id; explained: those a person accounted for, as long as they stay as they are.
    blocked: instrument -> why no entry may be sent there: a difference with the venue is open (R14).
    in_doubt: ids of the orders that are UNKNOWN, CANCEL_PENDING or back to life: what became of them must be asked.
    held_up: instrument -> why nothing may be entered there until a person says so.
    spend: what models cost and may cost, outside the trading account.
    reconciled_ms: up to when the venue's fills are known to be here, by its own time.
    state is HALTED until the journal says otherwise: absence of proof is "off" (R17).
    """

    genesis: Genesis | None = None
    instruments: dict[str, Instrument] = field(default_factory=dict)
    balances: dict[str, Decimal] = field(default_factory=dict)
    fees: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[tuple[str, str], Position] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    closed_orders: OrderedDict[str, Order] = field(default_factory=OrderedDict)
    approvals: dict[str, ApprovalAsked] = field(default_factory=dict)
    agent_status: dict[str, AgentStatus] = field(default_factory=dict)
    trades_today: dict[str, tuple[int, int]] = field(default_factory=dict)
    last_loss_ms: dict[tuple[str, str], int] = field(default_factory=dict)
    state: TradingState = TradingState.HALTED
    state_reason: str = "no trading state on record"
    state_actor: str = ""
    state_since_ms: int = 0
    flatten_id: str = ""
    last_certificate: FlattenEnded | None = None
    last_proof: FlattenProven | None = None
    baseline: Baseline = field(default_factory=Baseline)
    peak_equity: Decimal = ZERO
    day_open: Decimal = ZERO
    opened: int = -1
    marked: Decimal = ZERO
    marked_ms: int = 0
    funded: Decimal = ZERO
    adjusted: Decimal = ZERO
    funding: Decimal = ZERO
    bases: dict[str, str] = field(default_factory=dict)
    trails: dict[tuple[str, str], Trail] = field(default_factory=dict)
    steps_kept: int = STEPS_KEPT
    moved: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    fees_pending: dict[tuple[str, str], Fill] = field(default_factory=dict)
    differences: dict[str, DifferenceFound] = field(default_factory=dict)
    explained: dict[tuple[DifferenceKind, str], DifferenceFound] = field(default_factory=dict)
    blocked: dict[str, str] = field(default_factory=dict)
    in_doubt: set[str] = field(default_factory=set)
    held_up: dict[str, str] = field(default_factory=dict)
    governance: PolicyBook = field(default_factory=PolicyBook)
    standing: Standing = field(default_factory=Standing)
    count: Counters = field(default_factory=Counters)
    memory: Memory = field(default_factory=Memory)
    lanes: Lanes = field(default_factory=Lanes)
    spend: SpendBook = field(default_factory=SpendBook)
    shadows: Shadows = field(default_factory=Shadows)
    asking: Asking = field(default_factory=Asking)
    key_tries: KeyTries = field(default_factory=KeyTries)
    beside: Beside = field(default_factory=Beside)
    wishes: Wishes = field(default_factory=Wishes)
    epoch: int = 0
    last_ts_ms: int = 0
    reconciled_ms: int = 0

    def position(self, agent: str, instrument: str) -> Position:
        """Return an agent's position; flat when it has none."""
        return self.positions.get((agent, instrument)) or Position(agent, instrument)

    def order(self, client_order_id: str) -> Order | None:
        """Return a working or recently closed order of ours."""
        return self.orders.get(client_order_id) or self.closed_orders.get(client_order_id)

    def all_orders(self) -> Iterator[Order]:
        """Yield the working and the recently closed orders of ours."""
        yield from self.orders.values()
        yield from self.closed_orders.values()

    def open_positions(self) -> list[Position]:
        """Return the positions that are not flat."""
        return [position for position in self.positions.values() if position.qty]

    def is_dust(self, position: Position) -> bool:
        """Tell whether a position is below the venue's smallest step, as fees in base leave it: nothing to trade."""
        return abs(position.qty) < self.instruments[position.instrument].qty_step

    def held(self, instrument: str) -> Decimal:
        """Return the account's quantity of an instrument over all agents."""
        return sum((p.qty for (_, key), p in self.positions.items() if key == instrument), ZERO)

    def working(self, agent: str | None = None, instrument: str | None = None) -> list[Order]:
        """Return orders that may still fill, of one agent or instrument if named."""
        return [
            order
            for order in self.orders.values()
            if (agent is None or order.agent == agent) and (instrument is None or order.instrument == instrument)
        ]

    def trades_on(self, scope: str, ts_ms: int) -> int:
        """Return how many trades an agent (or "" for all) made in the UTC day of an instant.

        A clock set back does not begin a day again: what was counted for a later day counts (P22).
        """
        day, count = self.trades_today.get(scope, (-1, 0))
        return count if day >= ts_ms // DAY_MS else 0

    def realized(self) -> Decimal:
        """Return realised profit over all positions, before fees."""
        return sum((p.realized for p in self.positions.values()), ZERO)

    def why_blocked(self, instrument: str) -> str:
        """Return why nothing may add exposure in an instrument, "" when nothing is in the way."""
        return self.held_up.get(instrument) or self.blocked.get(instrument) or ""

    def difference(self, kind: DifferenceKind, subject: str) -> DifferenceFound | None:
        """Return the open difference of a kind about a subject."""
        return next((d for d in self.differences.values() if (d.kind, d.subject) == (kind, subject)), None)
