"""What the journal says, added up by other code than the engine's: sums over rows, nothing else."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal

from engine.domain.agent import EXTERNAL
from engine.domain.events import (
    DifferenceFound,
    Event,
    Filled,
    FlattenEnded,
    FundsMoved,
    Incident,
    OrderIntended,
    OrderResized,
    OrderShown,
    OrdersUpdated,
    Recorded,
    StateChanged,
)
from engine.domain.money import ZERO
from engine.domain.order import Fill, OrderRole, OrderStatus
from engine.domain.policy import TradingState
from engine.ops.simulate.faults import Violation
from engine.ops.simulate.venue import SimVenue, money_of

ENDED = (OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED, OrderStatus.NOT_SENT)
UNSENT = (OrderStatus.INTENT_RECORDED, OrderStatus.SUBMITTING)
COMES_TO_LIFE = (
    OrderStatus.UNKNOWN, OrderStatus.INTENT_RECORDED, OrderStatus.SUBMITTING, OrderStatus.NOT_SENT,
    OrderStatus.REJECTED,
)  # fmt: skip
MARKS_DIFFER = Decimal("1.1")
"""What is dust is judged by the engine's last price, which may be a little behind."""


@dataclass(slots=True)
class Shadow:
    """The rows acknowledged so far.

    life: how many times the engine began; life_of: in which one an order was written. told: each order's last state by
    the rows alone; covers: its quantity; overfilled: an order that broke it; overfill_halted: whether that halted, or
    found trading halted; halt_said: a halt was acknowledged, so that a restart must keep it.
    """

    venue: SimVenue
    seq: int = 0
    state: TradingState = TradingState.HALTED
    may_resume: bool = True
    halt_said: bool = False
    intents: dict[str, OrderIntended] = field(default_factory=dict)
    life: int = 0
    life_of: dict[str, int] = field(default_factory=dict)
    told: dict[str, OrderStatus] = field(default_factory=dict)
    covers: dict[str, Decimal] = field(default_factory=dict)
    filled: Counter[str] = field(default_factory=Counter)
    fills: dict[tuple[str, str], Filled] = field(default_factory=dict)
    balances: dict[str, Decimal] = field(default_factory=dict)
    positions: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    incidents: Counter[str] = field(default_factory=Counter)
    slots: dict[tuple[str, str], str] = field(default_factory=dict)
    overfilled: str = ""
    overfill_halted: bool = False
    _late: str = ""

    def take(self, rows: list[Recorded]) -> None:
        """Take new rows in; those seen already are passed over."""
        for row in rows:
            if row.seq <= self.seq:
                continue
            if row.seq != self.seq + 1:
                raise Violation("L6", f"row {row.seq} follows row {self.seq}")
            self.seq = row.seq
            self._event(row.event)
        if self._late and not any(isinstance(row.event, (Incident, DifferenceFound)) for row in rows):
            raise Violation("O5", f"order {self._late} filled after its end, and nobody is told")
        self._late = ""

    def _event(self, event: Event) -> None:
        if isinstance(event, Filled):
            self._filled(event)
        elif isinstance(event, OrderIntended):
            self._intended(event)
        elif isinstance(event, OrdersUpdated):
            for order_id in event.client_order_ids:
                self.told[order_id] = event.status
        elif isinstance(event, OrderShown):  # back to life, and said with it
            self.told[event.client_order_id] = OrderStatus.OPEN
        elif isinstance(event, OrderResized):
            self.covers[event.client_order_id] = event.qty
        elif isinstance(event, StateChanged):
            self._state(event)
        elif isinstance(event, FundsMoved):
            self._add(event.asset, event.amount)
        elif isinstance(event, Incident):
            self.incidents[event.code] += 1
        elif isinstance(event, DifferenceFound):
            self.incidents[event.kind] += 1
        elif isinstance(event, FlattenEnded):
            self._certified(event)

    def _state(self, event: StateChanged) -> None:
        resumes = self.state is TradingState.HALTED and event.state is not TradingState.HALTED
        if resumes and not self.may_resume:
            raise Violation("S1", f"trading went on after a halt, by {event.actor}: {event.reason}")
        if resumes:
            self.halt_said = False
        self.overfill_halted |= event.state is TradingState.HALTED
        self.state = event.state

    def _certified(self, event: FlattenEnded) -> None:
        """A certificate that says flat is written while the venue shows zero, or dust (S3)."""
        for key, instrument in self.venue.instruments.items() if event.flat else ():
            left = self.venue.balances.get(instrument.base, ZERO)
            if left >= instrument.qty_step and left * self.venue.prices[key] >= instrument.min_notional * MARKS_DIFFER:
                raise Violation("S3", f"{event.flatten_id} says flat, and the venue shows {left} {instrument.base}")

    def _intended(self, event: OrderIntended) -> None:
        order_id = event.client_order_id
        if order_id in self.intents:
            raise Violation("O1", f"two intents share the order id {order_id}")
        if event.role in (OrderRole.ENTRY, OrderRole.EXIT):
            twin = self.slots.setdefault((event.cycle_id, event.instrument), order_id)
            if twin != order_id:
                raise Violation("A26", f"one decision, {event.cycle_id}, made the orders {twin} and {order_id}")
        if event.role is OrderRole.ENTRY:
            self._require_no_unknown(event)
        self.intents[order_id] = event
        self.life_of[order_id] = self.life
        self.told[order_id] = OrderStatus.INTENT_RECORDED
        self.covers[order_id] = event.qty

    def _require_no_unknown(self, event: OrderIntended) -> None:
        for order_id, status in self.told.items():
            other = self.intents[order_id]
            left_over = status in UNSENT and self.life_of[order_id] != self.life
            if (
                (status is OrderStatus.UNKNOWN or left_over)
                and other.instrument == event.instrument
                and not other.role.is_protection
            ):
                what = "was left by a crash, not asked for" if left_over else "is UNKNOWN"
                raise Violation("O6", f"{event.agent} enters {event.instrument} while order {order_id} {what}")

    def _filled(self, event: Filled) -> None:
        fill = event.fill
        key = (fill.instrument, fill.trade_id)
        if key in self.fills:
            raise Violation("L4", f"trade {fill.trade_id} was booked twice")
        intent = self.intents.get(fill.client_order_id)
        owner = intent.agent if intent else EXTERNAL
        if event.agent != owner:
            raise Violation("R38", f"trade {fill.trade_id} of {owner} was booked to {event.agent}")
        self.fills[key] = event
        self._money(event.agent, fill)
        if intent is None:
            return
        order_id = fill.client_order_id
        if self.told[order_id] in ENDED:
            self._late = order_id
        self.filled[order_id] += fill.qty  # type: ignore[assignment]  # Decimal counts as well
        if self.told[order_id] in COMES_TO_LIFE:
            self.told[order_id] = OrderStatus.PARTIALLY_FILLED
        if self.filled[order_id] > max(intent.qty, self.covers[order_id]):
            self.overfilled, self.overfill_halted = order_id, self.state is TradingState.HALTED

    def _money(self, agent: str, fill: Fill) -> None:
        instrument = self.venue.instruments[fill.instrument]
        for asset, amount in money_of(fill, instrument):
            self._add(asset, amount)
        in_base = fill.fee if fill.fee_asset == instrument.base else ZERO
        where = (agent, fill.instrument)
        self.positions[where] = self.positions.get(where, ZERO) + fill.signed_qty - in_base

    def _add(self, asset: str, amount: Decimal) -> None:
        self.balances[asset] = self.balances.get(asset, ZERO) + amount
