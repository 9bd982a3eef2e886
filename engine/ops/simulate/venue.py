"""The venue's truth: orders, trades and money, which survive every crash of the engine.

It fills, cancels and expires when the schedule says so, and tells each change to whoever listens. Reduce-only orders
never exceed what their group holds, and protective orders rest as their entry fills (R16).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal

from engine.clock import ManualClock
from engine.domain.instrument import Instrument
from engine.domain.money import ONE, ZERO
from engine.domain.order import Fill, Liquidity, OrderRequest, OrderStatus, OrderType, Side
from engine.execution.gateway import OrderRejectedError, ResizeUpdate, StatusUpdate, VenueOrder, VenueUpdate

ACCOUNT = "main"
VENUE = "sim"
RESTING = (OrderType.LIMIT, OrderType.TAKE_PROFIT)


@dataclass(slots=True)
class SimOrder:
    """One order. shown_ms: from when on a query finds it. waits: protection whose entry has not filled yet.

    was_qty: what it covered before its size changed last.
    """

    request: OrderRequest
    qty: Decimal
    shown_ms: int
    parent: str = ""
    waits: bool = False
    was_qty: Decimal = ZERO
    status: OrderStatus = OrderStatus.OPEN
    filled: Decimal = ZERO
    received: Decimal = ZERO
    reason: str = ""
    legs: list[SimOrder] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.request.client_order_id

    @property
    def open_qty(self) -> Decimal:
        return max(ZERO, self.qty - self.filled) if self.status.is_working else ZERO

    def shown(self) -> VenueOrder:
        """Return the order as a query shows it."""
        request = self.request
        return VenueOrder(
            client_order_id=request.client_order_id, instrument=request.instrument, side=request.side,
            order_type=request.order_type, qty=self.qty, filled_qty=self.filled,
            status=OrderStatus.SUBMITTING if self.waits and self.status.is_working else self.status,
            limit_price=request.limit_price, stop_price=request.stop_price, reason=self.reason,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution. shown_ms: from when on a query finds it."""

    fill: Fill
    shown_ms: int


class SimVenue:
    """One account. hear: told every change, at once; a listener that died is simply replaced.

    hide: asked at each trade for how many ms queries will not find it. moved: money that came or left by itself, by
    asset, which no fill explains. beyond: ids of orders that it shows later than its horizon promises.
    """

    def __init__(self, clock: ManualClock, instruments: Iterable[Instrument], cash: dict[str, Decimal]) -> None:
        self.clock = clock
        self.instruments = {instrument.key: instrument for instrument in instruments}
        self.balances = dict(cash)
        self.prices = dict.fromkeys(self.instruments, Decimal(100))
        self.orders: dict[str, SimOrder] = {}
        self.trades: list[Trade] = []
        self.holdings: dict[tuple[str, str], Decimal] = {}
        self.moved: dict[str, Decimal] = {}
        self.on_way: list[tuple[int, OrderRequest]] = []
        self.beyond: set[str] = set()
        self.hear: Callable[[VenueUpdate], None] = lambda update: None
        self.hide: Callable[[], int] = lambda: 0

    # ------------------------------------------------------------------------------------------------- the client side

    def accept(self, request: OrderRequest, invisible_ms: int = 0) -> VenueOrder:
        """Take an order. Raises OrderRejectedError for a second one of the same id, or without the money."""
        if request.client_order_id in self.orders:
            raise OrderRejectedError(f"duplicate client order id {request.client_order_id}")
        self._require_means(request)
        shown_ms = self.clock.now_ms() + invisible_ms
        order = self.orders[request.client_order_id] = SimOrder(request, request.qty, shown_ms)
        for leg in _legs(request):
            child = SimOrder(leg, leg.qty, shown_ms, parent=order.id, waits=True)
            self.orders[child.id] = child
            order.legs.append(child)
        self._tell_status([order], OrderStatus.OPEN)
        return order.shown()

    def cancel(self, order_id: str, status: OrderStatus = OrderStatus.CANCELED, reason: str = "") -> None:
        """End what is open of an order; one that is not working stays as it is."""
        order = self.orders[order_id]
        if not order.status.is_working:
            return
        order.status, order.reason = status, reason
        self._tell_status([order], status, reason)
        self._end_waiting(order)

    def find(self, order_id: str) -> SimOrder | None:
        """Return an order once queries show it."""
        order = self.orders.get(order_id)
        return order if order is not None and order.shown_ms <= self.clock.now_ms() else None

    def arrive(self) -> None:
        """Take in the requests whose way to the venue is over."""
        due = [request for at_ms, request in self.on_way if at_ms <= self.clock.now_ms()]
        self.on_way = [(at_ms, request) for at_ms, request in self.on_way if at_ms > self.clock.now_ms()]
        for request in due:
            try:
                self.accept(request)
            except OrderRejectedError:
                continue  # whoever sent it stopped listening long ago

    # ------------------------------------------------------------------------------------------------- the market side

    def working(self, instrument: str = "") -> list[SimOrder]:
        """Return the orders that may fill, oldest first, of one instrument if named."""
        return [o for o in self.orders.values() if o.status.is_working and not o.waits
                and instrument in ("", o.request.instrument)]  # fmt: skip

    def fill(self, order: SimOrder, qty: Decimal, price: Decimal) -> Decimal:
        """Fill as much of an order as money and holdings allow; return how much."""
        instrument = self.instruments[order.request.instrument]
        qty = instrument.floor_qty(min(qty, self._within_means(order, price)))
        if qty <= 0:
            return ZERO
        fill = self._trade(order.request, qty, price, order.id)
        order.filled += qty
        order.status = OrderStatus.PARTIALLY_FILLED if order.filled < order.qty else OrderStatus.FILLED
        self._protect(order, fill)
        if order.status is OrderStatus.FILLED:
            self._end_waiting(order)
        if order.parent:
            self.cancel(order.parent, reason="its protection acted")
        self._trim(instrument)
        return qty

    def manual(self, instrument: str, side: Side, qty: Decimal) -> None:
        """Trade at the venue's own screen, with an order that is not ours (E32, E33)."""
        name = f"web-{len(self.trades)}"
        request = OrderRequest(
            client_order_id=name, instrument=instrument, side=side, order_type=OrderType.MARKET, qty=qty
        )
        price = self.prices[instrument]
        if self._within_means(SimOrder(request, qty, 0), price) >= qty:
            self._trade(request, qty, price, name)
            self._trim(self.instruments[instrument])

    def transfer(self, asset: str, amount: Decimal) -> None:
        """Move money in (amount > 0) or out, which no trade explains (E34)."""
        if self.balances.get(asset, ZERO) + amount >= 0:
            self.balances[asset] = self.balances.get(asset, ZERO) + amount
            self.moved[asset] = self.moved.get(asset, ZERO) + amount

    # ----------------------------------------------------------------------------------------------------------- money

    def price_of(self, order: SimOrder) -> Decimal:
        """Return what an order trades at now."""
        request = order.request
        if request.order_type in RESTING and request.limit_price is not None:
            return request.limit_price
        return request.stop_price or self.prices[request.instrument]

    def _require_means(self, request: OrderRequest) -> None:
        instrument = self.instruments[request.instrument]
        if request.side is Side.BUY:
            price = request.limit_price or self.prices[request.instrument]
            locked = sum((self._locks(o) for o in self.working() if o.request.side is Side.BUY), ZERO)
            free = self.balances.get(instrument.quote, ZERO) - locked
            if request.qty * price * (ONE + max(ZERO, instrument.taker_fee)) > free:
                raise OrderRejectedError("insufficient funds")
        elif instrument.floor_qty(self._held(request)) <= 0:
            raise OrderRejectedError("nothing to sell")

    def _locks(self, order: SimOrder) -> Decimal:
        instrument = self.instruments[order.request.instrument]
        return order.open_qty * self.price_of(order) * (ONE + max(ZERO, instrument.taker_fee))

    def _held(self, request: OrderRequest) -> Decimal:
        held = self.balances.get(self.instruments[request.instrument].base, ZERO)
        return min(held, self.holdings.get((request.instrument, request.group), ZERO)) if request.group else held

    def _within_means(self, order: SimOrder, price: Decimal) -> Decimal:
        request, instrument = order.request, self.instruments[order.request.instrument]
        if request.side is Side.SELL:
            return self._held(request)
        return self.balances.get(instrument.quote, ZERO) / (price * (ONE + max(ZERO, instrument.taker_fee)))

    def _trade(self, request: OrderRequest, qty: Decimal, price: Decimal, order_id: str) -> Fill:
        instrument = self.instruments[request.instrument]
        maker = request.order_type in RESTING
        in_base = instrument.fee_currency == instrument.base and request.side is Side.BUY  # of what is received
        fee = (instrument.maker_fee if maker else instrument.taker_fee) * (qty if in_base else qty * price)
        fill = Fill(
            venue=VENUE, account=ACCOUNT, instrument=instrument.key, trade_id=f"t{len(self.trades) + 1}",
            client_order_id=order_id, side=request.side, qty=qty, price=price, fee=fee,
            fee_asset=instrument.base if in_base else instrument.quote,
            liquidity=Liquidity.MAKER if maker else Liquidity.TAKER, ts_ms=self.clock.now_ms(),
        )  # fmt: skip
        for asset, amount in money_of(fill, instrument):
            self.balances[asset] = self.balances.get(asset, ZERO) + amount
        if request.group:
            key = (request.instrument, request.group)
            self.holdings[key] = self.holdings.get(key, ZERO) + fill.signed_qty - (fee if in_base else ZERO)
        self.trades.append(Trade(fill, self.clock.now_ms() + self.hide()))
        self.hear(fill)
        return fill

    # ------------------------------------------------------------------------------------------------------ protection

    def _protect(self, entry: SimOrder, fill: Fill) -> None:
        if not entry.legs:
            return
        instrument = self.instruments[fill.instrument]
        entry.received += fill.qty - (fill.fee if fill.fee_asset == instrument.base else ZERO)
        covered = instrument.floor_qty(entry.received)
        started = [leg for leg in entry.legs if leg.waits and covered > 0 and leg.status.is_working]
        for leg in entry.legs:
            if leg.status.is_working and covered > 0:
                leg.was_qty, leg.qty, leg.waits = leg.qty, covered, False
                self.hear(ResizeUpdate(client_order_id=leg.id, qty=covered))
        self._tell_status(started, OrderStatus.OPEN)

    def _end_waiting(self, entry: SimOrder) -> None:
        waiting = [leg for leg in entry.legs if leg.waits and leg.status.is_working]
        for leg in waiting:
            leg.status, leg.reason = OrderStatus.CANCELED, "its entry never filled"
        self._tell_status(waiting, OrderStatus.CANCELED, "its entry never filled")

    def _trim(self, instrument: Instrument) -> None:
        """Cut reduce-only orders to what their group holds, oldest first; without a holding they end."""
        mine = [o for o in self.working(instrument.key) if o.request.reduce_only]
        for group in {o.request.group for o in mine}:
            for kind in (OrderType.STOP, OrderType.TAKE_PROFIT, OrderType.MARKET, OrderType.LIMIT):
                self._shrink(instrument, [o for o in mine if (o.request.group, o.request.order_type) == (group, kind)])

    def _shrink(self, instrument: Instrument, orders: list[SimOrder]) -> None:
        if not orders:
            return
        excess = sum((o.open_qty for o in orders), ZERO) - instrument.floor_qty(self._held(orders[0].request))
        for order in orders:
            cut = min(order.open_qty, excess)
            if cut <= 0:
                return
            excess -= cut
            if cut == order.open_qty:
                self.cancel(order.id, reason="the position closed")
            else:
                order.was_qty, order.qty = order.qty, order.qty - cut
                self.hear(ResizeUpdate(client_order_id=order.id, qty=order.qty))

    def _tell_status(self, orders: Iterable[SimOrder], status: OrderStatus, reason: str = "") -> None:
        ids = tuple(order.id for order in orders)
        if ids:
            self.hear(StatusUpdate(client_order_ids=ids, status=status, reason=reason))


def money_of(fill: Fill, instrument: Instrument) -> Iterator[tuple[str, Decimal]]:
    """Yield what a fill moves in an account, asset by asset: base, quote, fee."""
    yield instrument.base, fill.signed_qty
    yield instrument.quote, -fill.signed_qty * fill.price
    yield fill.fee_asset, -fill.fee


def _legs(request: OrderRequest) -> Iterator[OrderRequest]:
    bracket = request.bracket
    if bracket is None:
        return
    for order_id, kind, price in (
        (bracket.stop_order_id, OrderType.STOP, bracket.stop_price),
        (bracket.target_order_id, OrderType.TAKE_PROFIT, bracket.target_price),
    ):
        if order_id and price is not None:
            yield OrderRequest(
                client_order_id=order_id, instrument=request.instrument, side=request.side.opposite, order_type=kind,
                qty=request.qty, limit_price=price if kind is OrderType.TAKE_PROFIT else None,
                stop_price=price if kind is OrderType.STOP else None, reduce_only=True, group=request.group,
            )  # fmt: skip
