"""Orders and fills, in the venue's terms; `side` exists only from here on (R1)."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from enum import StrEnum

from engine.domain.money import ZERO
from engine.domain.values import quick_value


class Side(StrEnum):
    """Which way a fill moves the position."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    """MARKET and STOP take liquidity when they act; LIMIT and TAKE_PROFIT rest at their price."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"
    STOP = "STOP"
    TAKE_PROFIT = "TAKE_PROFIT"


class OrderRole(StrEnum):
    """Why we sent it."""

    ENTRY = "ENTRY"
    EXIT = "EXIT"
    STOP = "STOP"
    TARGET = "TARGET"
    FLATTEN = "FLATTEN"

    @property
    def is_protection(self) -> bool:
        """Stops and targets guard a position; they are not trades of their own."""
        return self in (OrderRole.STOP, OrderRole.TARGET)


class OrderStatus(StrEnum):
    """The life cycle; sets of states are named here once and asked."""

    INTENT_RECORDED = "INTENT_RECORDED"
    SUBMITTING = "SUBMITTING"
    UNKNOWN = "UNKNOWN"
    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    CANCEL_PENDING = "CANCEL_PENDING"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    NOT_SENT = "NOT_SENT"

    @property
    def is_terminal(self) -> bool:
        """No state follows; fills are still applied (R11)."""
        return self in _TERMINAL

    @property
    def is_working(self) -> bool:
        """The order may still fill, or we cannot exclude it."""
        return self not in _TERMINAL


_TERMINAL = frozenset(
    {OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED, OrderStatus.NOT_SENT}
)


class Liquidity(StrEnum):
    """Whether a fill made or took liquidity; it decides the fee."""

    MAKER = "MAKER"
    TAKER = "TAKER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """Protective orders the venue rests as the entry fills: their own ids, prices in quote. None: not wanted."""

    stop_order_id: str = ""
    stop_price: Decimal | None = None
    target_order_id: str = ""
    target_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRequest:
    """What a gateway is given. qty in base, prices in quote.

    group: a label of the sub-position; reduce-only orders of a group never exceed what it holds, and die with it.
    """

    client_order_id: str
    instrument: str
    side: Side
    order_type: OrderType
    qty: Decimal
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    reduce_only: bool = False
    group: str = ""
    bracket: Bracket | None = None


@quick_value
class Fill:
    """One execution, unique on (venue, account, instrument, trade_id) (R12). fee > 0 is paid, < 0 a rebate."""

    _: KW_ONLY
    venue: str
    account: str
    instrument: str
    trade_id: str
    client_order_id: str
    side: Side
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    liquidity: Liquidity
    ts_ms: int

    @property
    def signed_qty(self) -> Decimal:
        """Quantity with the sign of the side."""
        return self.qty if self.side is Side.BUY else -self.qty


@quick_value
class Order:
    """One of our orders as the journal knows it. price: what it was sized at, in quote.

    reopened: it was held for ended and came back to life; it stays in doubt until it ends again.
    """

    _: KW_ONLY
    client_order_id: str
    intent_id: str
    cycle_id: str
    agent: str
    instrument: str
    side: Side
    order_type: OrderType
    role: OrderRole
    qty: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    status: OrderStatus
    created_ms: int
    updated_ms: int
    price: Decimal = ZERO
    filled_qty: Decimal = ZERO
    filled_cost: Decimal = ZERO
    reason: str = ""
    reopened: bool = False

    @property
    def open_qty(self) -> Decimal:
        """What can still fill."""
        return max(ZERO, self.qty - self.filled_qty) if self.status.is_working else ZERO

    def with_fill(self, fill: Fill, status: OrderStatus, ts_ms: int, *, reopened: bool) -> Order:
        """Return the order with one of its fills counted, in the state that the life cycle says follows."""
        cost = self.filled_cost + fill.qty * fill.price
        return self._after(status, ts_ms, self.reason, self.filled_qty + fill.qty, cost, reopened)

    def in_status(self, status: OrderStatus, ts_ms: int, reason: str, *, reopened: bool) -> Order:
        """Return the order in another state. reopened: it came back to life, now or earlier."""
        return self._after(status, ts_ms, reason, self.filled_qty, self.filled_cost, reopened)

    def _after(
        self, status: OrderStatus, ts_ms: int, reason: str, filled_qty: Decimal, filled_cost: Decimal, reopened: bool
    ) -> Order:
        # Every fill and every word of a venue comes here; replace() takes three times as long.
        return Order(
            client_order_id=self.client_order_id,
            intent_id=self.intent_id,
            cycle_id=self.cycle_id,
            agent=self.agent,
            instrument=self.instrument,
            side=self.side,
            order_type=self.order_type,
            role=self.role,
            qty=self.qty,
            limit_price=self.limit_price,
            stop_price=self.stop_price,
            status=status,
            created_ms=self.created_ms,
            updated_ms=ts_ms,
            price=self.price,
            filled_qty=filled_qty,
            filled_cost=filled_cost,
            reason=reason,
            reopened=reopened,
        )

    @property
    def average_price(self) -> Decimal | None:
        """Mean fill price in quote; None before the first fill."""
        return self.filled_cost / self.filled_qty if self.filled_qty else None
