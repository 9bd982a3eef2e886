"""The paper venue's books: what a fill or a cancel does to orders, money and protection, and how it is kept."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from engine.domain.instrument import Instrument
from engine.domain.money import ZERO
from engine.domain.order import Fill, Liquidity, OrderRequest, OrderStatus, OrderType, Side
from engine.errors import StoreError
from engine.execution.gateway import ResizeUpdate, StatusUpdate, VenueUpdate
from engine.execution.paper_match import Moment
from engine.execution.paper_money import PaperMoney
from engine.execution.paper_order import PaperOrder, Resting
from engine.execution.paper_rules import legs
from engine.execution.paper_store import PaperState, PaperStore

CLOSED = "position closed"
ACTED = "its protection ended"
NEVER_FILLED = "entry never filled"
REPLACED = "replaced by a newer order"


class PaperBook:
    """Orders, fills, balances and holdings of one paper account; in memory, and in a store when there is one."""

    def __init__(
        self, account: str, instruments: Mapping[str, Instrument], money: PaperMoney, store: PaperStore | None
    ) -> None:
        self._account = account
        self._instruments = instruments
        self._store = store
        self._orders: dict[str, PaperOrder] = {}
        self._fills: list[tuple[int, Fill]] = []
        self._changed: dict[str, PaperOrder] = {}
        self._resized: dict[str, PaperOrder] = {}
        self._new_fills: list[tuple[int, Fill]] = []
        self._staged: list[VenueUpdate] = []
        self._counters: dict[str, int] = {"order": 0, "trade": 0, "booked_ms": 0}
        self._dirty = False
        self.money = money
        self.resting: dict[str, Resting] = {}
        self.updates: list[VenueUpdate] = []
        self.broken = ""
        if store is not None:
            self._load(store.load())

    # ---------------------------------------------------------------------------------------------- looking things up

    def find(self, client_order_id: str) -> PaperOrder | None:
        """Return an order, closed ones too."""
        order = self._orders.get(client_order_id)
        if order is None and self._store is not None:
            order = self._store.order(client_order_id)
        return order

    def open_orders(self) -> list[PaperOrder]:
        """Return the orders that may fill, oldest first."""
        return sorted(self._all_resting(), key=lambda order: order.seq)

    def others(self, order: PaperOrder | None = None) -> Iterator[PaperOrder]:
        """Yield the orders that may fill, except one."""
        return (each for each in self._all_resting() if each is not order)

    def fills_since(self, ts_ms: int) -> list[Fill]:
        """Return the fills booked at or after an instant, by their own time.

        A fill at a candle's open is booked when the candle closes, and must not be missed by who asked in between.
        """
        if self._store is not None:
            fills = self._store.fills_since(ts_ms)
        else:
            first = bisect_left(self._fills, ts_ms, key=lambda each: each[0])
            fills = [fill for _, fill in self._fills[first:]]
        return sorted(fills, key=lambda fill: fill.ts_ms)

    # ------------------------------------------------------------------------------------------------ changing things

    def accept(self, request: OrderRequest, visible_ms: int, lock: tuple[str, Decimal]) -> PaperOrder:
        """Let a checked order rest, its bracket's orders waiting beside it."""
        lock_asset, lock_each = lock
        order = PaperOrder(request, self._next("order"), visible_ms, request.qty, lock_asset, lock_each)
        self._rest(order)
        for leg in _protection(request):
            child = PaperOrder(leg, self._next("order"), visible_ms, leg.qty, parent=order.id)
            child.status = OrderStatus.SUBMITTING
            self._orders[child.id] = child
            self.touch(child)
        if request.reduce_only:
            self._trim(request.instrument, request.group)
            self._tell_resized()
        return order

    def fill(self, order: PaperOrder, wanted: Decimal, price: Decimal, liquidity: Liquidity, moment: Moment) -> Decimal:
        """Fill an order as far as the account can; return how much. One that could not get all it wanted ends."""
        qty = self._within_means(order, wanted, price, liquidity)
        if qty > 0:
            self._book(order, qty, price, liquidity, moment)
        if qty < wanted and order.status.is_working:
            instrument = self._instruments[order.request.instrument]
            asset = instrument.quote if order.request.side is Side.BUY else instrument.base
            self.end([order], CLOSED if order.request.reduce_only else f"not enough {asset}")
        return qty

    def trigger(self, order: PaperOrder) -> None:
        """Turn a stop into a market order."""
        order.triggered = True
        self.touch(order)
        self._end_entry_of(order)

    def end(self, orders: Iterable[PaperOrder], reason: str, *, asked: bool = False) -> None:
        """Cancel what is still open of orders. asked: by the client, who then answers for the protection."""
        ended = [order for order in orders if order.status.is_working]
        for order in ended:
            order.status, order.reason = OrderStatus.CANCELED, reason
            self._unrest(order)
        if ended:
            self._staged.append(
                StatusUpdate(client_order_ids=tuple(o.id for o in ended), status=OrderStatus.CANCELED, reason=reason)
            )
        for order in ended:
            self._end_waiting(order)
            if not asked:
                self._end_entry_of(order)

    def touch(self, order: PaperOrder) -> None:
        """Note that an order changed, so that the next commit keeps it."""
        self._changed[order.id] = order
        self._dirty = True

    def deposit(self, asset: str, amount: Decimal) -> None:
        """Add money from outside."""
        self.money.add(asset, amount)
        self._dirty = True

    def commit(self) -> None:
        """Keep what changed, then let it be told. Raises StoreError; then nothing more is done until a restart."""
        if not self._dirty:
            return
        if self.broken:
            raise StoreError(self.broken)
        if self._store is not None:
            self._save(self._store)
        else:
            self._fills.extend(self._new_fills)
        self._changed.clear()
        self._new_fills = []
        self.updates.extend(self._staged)
        self._staged = []
        self._dirty = False

    # -------------------------------------------------------------------------------------------------------- one fill

    def _within_means(self, order: PaperOrder, wanted: Decimal, price: Decimal, liquidity: Liquidity) -> Decimal:
        request, money = order.request, self.money
        instrument = self._instruments[request.instrument]
        if request.side is Side.BUY:
            return money.affordable(
                instrument, wanted, price, liquidity, money.free(instrument.quote, self.others(order))
            )
        held = money.holding(instrument, request.group if request.reduce_only else "")
        return min(wanted, money.sellable(instrument, held))

    def _book(self, order: PaperOrder, qty: Decimal, price: Decimal, liquidity: Liquidity, moment: Moment) -> None:
        request = order.request
        fill = self._fill_of(order, qty, price, liquidity, moment.ts_ms)
        self.money.post(fill, request.group)
        # Candles are learned of after quotes of a later time; the bookings stay in one order all the same.
        self._counters["booked_ms"] = max(self._counters["booked_ms"], moment.booked_ms)
        self._new_fills.append((self._counters["booked_ms"], fill))
        self._staged.append(fill)
        order.filled += qty
        order.status = OrderStatus.PARTIALLY_FILLED if order.open_qty else OrderStatus.FILLED
        self.touch(order)
        self._protect(order, fill, moment)
        if order.status is OrderStatus.FILLED:
            self._unrest(order)
            self._end_waiting(order)
        self._end_entry_of(order)
        instrument = self._instruments[request.instrument]
        for asset in {instrument.base: None, instrument.quote: None, fill.fee_asset: None}:
            self._hold_within(asset)
        self._tell_resized()

    def _fill_of(self, order: PaperOrder, qty: Decimal, price: Decimal, liquidity: Liquidity, ts_ms: int) -> Fill:
        request = order.request
        fee, fee_asset = self.money.fee(self._instruments[request.instrument], qty, price, liquidity)
        return Fill(
            venue="paper",
            account=self._account,
            instrument=request.instrument,
            trade_id=f"p{self._next('trade')}",
            client_order_id=order.id,
            side=request.side,
            qty=qty,
            price=price,
            fee=fee,
            fee_asset=fee_asset,
            liquidity=liquidity,
            ts_ms=ts_ms,
        )

    # ------------------------------------------------------------------------------------------------------ protection

    def _protect(self, entry: PaperOrder, fill: Fill, moment: Moment) -> None:
        """Let the bracket's orders rest, or grow, by what the entry has really brought in (R16)."""
        if fill.side is Side.SELL:
            return
        instrument = self._instruments[fill.instrument]
        before = instrument.floor_qty(entry.received)
        entry.received += fill.qty - (fill.fee if fill.fee_asset == instrument.base else ZERO)
        after = instrument.floor_qty(entry.received)
        started: list[str] = []
        for child in self._children(entry):
            if child.waits_for_entry and after > 0:
                child.status, child.qty = OrderStatus.OPEN, after
                is_stop = child.request.order_type is OrderType.STOP
                child.visible_ms = moment.stops_from_ms if is_stop else moment.targets_from_ms
                self._rest(child)
                started.append(child.id)
                self._resized[child.id] = child
            elif not child.waits_for_entry and after > before:
                child.qty += after - before
                self._resized[child.id] = child
                self.touch(child)
        if started:
            self._staged.append(StatusUpdate(client_order_ids=tuple(started), status=OrderStatus.OPEN))

    def _hold_within(self, asset: str) -> None:
        """Keep the groups within the account, and their orders within the groups, for all pairs of a base asset."""
        self.money.clamp(asset)
        for key in self.money.by_base.get(asset, ()):
            for group in {order.request.group: None for order in self._reducing(key)}:
                self._trim(key, group)

    def _trim(self, key: str, group: str) -> None:
        instrument = self._instruments[key]
        held = instrument.floor_qty(self.money.holding(instrument, group))
        mine = [order for order in self._reducing(key) if order.request.group == group]
        if not self.money.sellable(instrument, held):
            self.end(mine, CLOSED)
            return
        for kind in (OrderType.STOP, OrderType.TAKE_PROFIT):
            self._shrink([order for order in mine if order.request.order_type is kind], held)

    def _shrink(self, orders: list[PaperOrder], held: Decimal) -> None:
        """Cut orders of one kind, the oldest first, until together they cover no more than is held."""
        excess = sum((order.open_qty for order in orders), ZERO) - held
        gone = []
        for order in orders:
            cut = min(order.open_qty, excess)
            if cut <= 0:
                break
            excess -= cut
            if cut == order.open_qty:
                gone.append(order)
                continue
            order.qty -= cut
            self._resized[order.id] = order
            self.touch(order)
        self.end(gone, REPLACED)

    def _tell_resized(self) -> None:
        resized, self._resized = self._resized, {}
        self._staged.extend(
            ResizeUpdate(client_order_id=o.id, qty=o.qty) for o in resized.values() if o.status.is_working
        )

    def _reducing(self, key: str) -> list[PaperOrder]:
        resting = self.resting.get(key)
        return [order for order in resting.orders if order.request.reduce_only] if resting else []

    def _children(self, entry: PaperOrder) -> list[PaperOrder]:
        found = (self._orders.get(order_id) for order_id, _ in legs(entry.request.bracket))
        return [child for child in found if child is not None and child.status.is_working]

    def _end_waiting(self, entry: PaperOrder) -> None:
        waiting = [child for child in self._children(entry) if child.waits_for_entry]
        self.end(waiting, "too little came in to protect" if entry.filled else NEVER_FILLED)

    def _end_entry_of(self, child: PaperOrder) -> None:
        entry = self._orders.get(child.parent)
        if entry is not None:
            self.end([entry], ACTED)

    # --------------------------------------------------------------------------------------------------------- keeping

    def _rest(self, order: PaperOrder) -> None:
        self._orders[order.id] = order
        self.resting.setdefault(order.request.instrument, Resting()).add(order)
        self.touch(order)

    def _unrest(self, order: PaperOrder) -> None:
        resting = self.resting.get(order.request.instrument)
        if resting is not None:
            resting.remove(order)
        self.touch(order)

    def _all_resting(self) -> Iterator[PaperOrder]:
        return (order for resting in self.resting.values() for order in resting.orders)

    def _next(self, name: str) -> int:
        self._counters[name] += 1
        return self._counters[name]

    def _save(self, store: PaperStore) -> None:
        changed = list(self._changed.values())
        state = PaperState(changed, self._new_fills, self.money.balances, self.money.holdings, self._counters)
        try:
            store.save(state)
        except StoreError as error:
            self.broken = str(error)
            raise
        for order in changed:
            if order.status.is_terminal:
                self._orders.pop(order.id, None)

    def _load(self, state: PaperState) -> None:
        self.money.balances.update(state.balances)
        self.money.holdings.update(state.holdings)
        self._counters.update(state.counters)
        for order in state.orders:
            key = order.request.instrument
            if key not in self._instruments:
                text = f"The paper venue holds the working order {order.id} in {key}, which is not listed any more"
                raise StoreError(f"{text}; list {key} again in instruments.toml.")
            self._orders[order.id] = order
            if not order.waits_for_entry:
                self.resting.setdefault(key, Resting()).add(order)


def _protection(request: OrderRequest) -> Iterator[OrderRequest]:
    """Yield the requests a bracket stands for."""
    bracket = request.bracket
    for order_id, order_type in legs(bracket):
        assert bracket is not None
        is_stop = order_type is OrderType.STOP
        yield OrderRequest(
            client_order_id=order_id,
            instrument=request.instrument,
            side=request.side.opposite,
            order_type=order_type,
            qty=request.qty,
            limit_price=None if is_stop else bracket.target_price,
            stop_price=bracket.stop_price if is_stop else None,
            reduce_only=True,
            group=request.group,
        )
