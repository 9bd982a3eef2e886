"""The paper venue's own record of an order, and the orders that rest on one instrument."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from engine.domain.money import ZERO
from engine.domain.order import OrderRequest, OrderStatus, OrderType, Side
from engine.execution.gateway import VenueOrder

NEVER_BELOW = Decimal("-Infinity")
NEVER_ABOVE = Decimal("Infinity")


class Turn(Enum):
    """Who is served first when one candle's volume is not enough for all."""

    MARKET = 0
    STOP = 1
    LIMIT = 2


@dataclass(slots=True)
class PaperOrder:
    """An order at the paper venue.

    visible_ms: first instant the matching sees it; a candle that opened earlier cannot fill it.
    lock_asset, lock_each: what each unit of open quantity reserves; "" for orders that only reduce.
    received: base got for it, fees in base taken off. parent: the entry a protective order belongs to.
    triggered: a stop that has become a market order. rested: it did not fill on arrival, so it makes liquidity.
    through: quotes in a row at or beyond the stop. SUBMITTING: a protective order whose entry has not filled yet.
    """

    request: OrderRequest
    seq: int
    visible_ms: int
    qty: Decimal
    lock_asset: str = ""
    lock_each: Decimal = ZERO
    status: OrderStatus = OrderStatus.OPEN
    filled: Decimal = ZERO
    received: Decimal = ZERO
    reason: str = ""
    parent: str = ""
    triggered: bool = False
    rested: bool = False
    through: int = 0

    @property
    def id(self) -> str:
        """The client order id."""
        return self.request.client_order_id

    @property
    def open_qty(self) -> Decimal:
        """What can still fill."""
        return self.qty - self.filled

    @property
    def waits_for_entry(self) -> bool:
        """A protective order that does not rest yet."""
        return self.status is OrderStatus.SUBMITTING

    @property
    def price(self) -> Decimal:
        """The price it waits for; zero for a market order."""
        return self.request.stop_price or self.request.limit_price or ZERO

    @property
    def turn(self) -> Turn:
        """When it is served; a triggered stop is a market order."""
        if self.triggered or self.request.order_type is OrderType.MARKET:
            return Turn.MARKET
        return Turn.STOP if self.request.order_type is OrderType.STOP else Turn.LIMIT

    @property
    def acts_on_fall(self) -> bool:
        """Sell stops, buy limits and buy targets act when the price falls to theirs; the others when it rises."""
        return (self.request.order_type is OrderType.STOP) == (self.request.side is Side.SELL)

    def shown(self) -> VenueOrder:
        """Return the order as the venue shows it now."""
        request = self.request
        return VenueOrder(
            client_order_id=request.client_order_id,
            instrument=request.instrument,
            side=request.side,
            order_type=request.order_type,
            qty=self.qty,
            filled_qty=self.filled,
            status=self.status,
            limit_price=request.limit_price,
            stop_price=request.stop_price,
            reason=self.reason,
        )


class Resting:
    """The orders of one instrument that may fill, oldest first.

    below, above: a candle between them touches no order. urgent: some order must see the next candle whatever
    its prices. The list is replaced, never changed, so that a walk over it may fill and cancel.
    """

    __slots__ = ("above", "below", "orders", "urgent")

    def __init__(self) -> None:
        self.orders: tuple[PaperOrder, ...] = ()
        self.refresh()

    def add(self, order: PaperOrder) -> None:
        """Let an order rest."""
        self.orders = tuple(sorted((*self.orders, order), key=lambda each: each.seq))
        self.refresh()

    def remove(self, order: PaperOrder) -> None:
        """Take an order out; one that is not there changes nothing."""
        self.orders = tuple(each for each in self.orders if each is not order)
        self.refresh()

    def refresh(self) -> None:
        """Work the bounds out again, after an order came, went, was triggered or came to rest."""
        below, above, urgent = NEVER_BELOW, NEVER_ABOVE, False
        for order in self.orders:
            if order.turn is Turn.MARKET or not (order.rested or order.turn is Turn.STOP):
                urgent = True
            elif order.acts_on_fall:
                below = max(below, order.price)
            else:
                above = min(above, order.price)
        self.below, self.above, self.urgent = below, above, urgent
