"""The paper venue: a cash account in several assets, reached only through Gateway (R37).

What happens when, stated once:
- An order is seen from its creation plus the latency on. A candle fills it only if it opened at or after that.
- MARKET: walks a fresh book, else takes a fresh quote plus slippage, else waits for the next candle's open plus half
  the spread and the slippage. While quotes or books come in, candles fill no market order.
- STOP: on touch in a candle, at the stop or the worse open, spread and slippage added. Watched from quotes it takes
  two in a row (R39). Once triggered it is a market order.
- LIMIT and TAKE_PROFIT: on touch, at their price or the better open, as maker; as taker when the market was already
  through them on arrival.
- One candle's volume share serves market orders, then stops, then limits and targets, each in the order they came;
  the rest waits. So of a stop and a target in one candle the stop comes first. No volume, no fill.
- A fill at a candle's open has its open time; inside a candle, its close time; from a quote or book, that one's time.
- A bracket's orders rest as the entry fills. One that ends (filled, triggered, or its position closed) ends the rest of
  its entry too, so that nothing more is bought that would stand unprotected.
- Fees are reserved with the order. An order whose money is gone when it fills is cut to what there is, then ends.
Market movement alone writes nothing to the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from engine.clock import Clock
from engine.domain.instrument import Instrument
from engine.domain.market import Candle, Instant, OrderBook, Quote
from engine.domain.money import ZERO, plain
from engine.domain.order import Fill, Liquidity, OrderRequest
from engine.domain.policy import PaperSettings
from engine.errors import StoreError, VenueUnreachableError
from engine.execution.gateway import (
    AmbiguousSendError,
    DuplicateIdError,
    OrderRejectedError,
    VenueOrder,
    VenueTier,
    VenueUpdate,
)
from engine.execution.paper_book import PaperBook
from engine.execution.paper_match import Depth, Moment, Pool, at_limit, at_market, at_stop, better, reaches
from engine.execution.paper_money import PaperMoney
from engine.execution.paper_order import PaperOrder, Resting, Turn
from engine.execution.paper_rules import legs, refusal, too_small
from engine.execution.paper_store import PaperStore

FRESH_MS = 5_000
"""A quote or book older than this fills nothing; the order waits for the next one, or for a candle."""
CANDLE_TURNS = (Turn.MARKET, Turn.STOP, Turn.LIMIT, Turn.STOP)
"""The second turn of the stops is for those of entries that filled in the turn of the limits."""
TIER = VenueTier(
    finds_by_client_id=True,
    id_unique_forever=True,
    horizon_ms=0,
    attaches_brackets=True,
    conditional_orders=True,
    cancel_all_after=False,
)


class PaperGateway:
    """A paper account behind the Gateway protocol, and the market side that moves it. Its methods never suspend.

    instruments: by key. store None: kept in memory. fee_rates: price in quote of fee assets that are neither base
    nor quote. Calls from one thread at a time. Raises StoreError when its store fails; then restart.
    """

    venue = "paper"
    tier = TIER

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        settings: PaperSettings,
        clock: Clock,
        store: PaperStore | None = None,
        account: str = "paper",
        fee_rates: Mapping[str, Decimal] | None = None,
    ) -> None:
        self.account = account
        self._instruments = instruments
        self._settings = settings
        self._clock = clock
        self._money = PaperMoney(instruments, fee_rates or {})
        self._book = PaperBook(account, instruments, self._money, store)
        self._resting = self._book.resting
        self._last: dict[str, Candle] = {}
        self._depth: dict[str, Depth] = {}

    # ------------------------------------------------------------------------------------------------- the client side

    async def create(self, request: OrderRequest) -> VenueOrder:
        """Place an order; the same request again shows the same order. Its fills come by drain(), after this answer."""
        self._must_work()
        known = self._book.find(request.client_order_id)
        if known is not None and known.request == request:
            return known.shown()
        if known is not None:
            raise DuplicateIdError(f"duplicate id {request.client_order_id}")
        reason = self._refusal(request)
        if reason:
            raise OrderRejectedError(reason)
        order = self._book.accept(request, self._clock.now_ms() + self._settings.latency_ms, self._lock(request))
        answer = order.shown()
        self._match_arrival(order)
        self._commit()
        return answer

    async def cancel(self, client_order_id: str) -> VenueOrder | None:
        """Cancel what is still open of an order; the protection of what it filled stays."""
        self._must_work()
        order = self._book.find(client_order_id)
        if order is None:
            return None
        self._book.end([order], "canceled", asked=True)
        self._commit()
        return order.shown()

    async def find(self, client_order_id: str) -> VenueOrder | None:
        """Show an order; SUBMITTING is a protective order whose entry has not filled yet."""
        self._must_be_known()
        order = self._book.find(client_order_id)
        return None if order is None else order.shown()

    async def open_orders(self) -> list[VenueOrder]:
        """Return the orders that rest, oldest first; protective orders are among them once their entry fills."""
        self._must_be_known()
        return [order.shown() for order in self._book.open_orders()]

    async def balances(self) -> dict[str, Decimal]:
        """Return total holdings per asset."""
        self._must_be_known()
        return dict(self._money.balances)

    async def fills_since(self, ts_ms: int) -> list[Fill]:
        """Return all fills the venue learned of at or after an instant, oldest first."""
        self._must_be_known()
        return self._book.fills_since(ts_ms)

    @property
    def has_news(self) -> bool:
        """Tell whether there is anything to drain."""
        return bool(self._book.updates)

    def drain(self) -> list[VenueUpdate]:
        """Take the updates since the last call. FILLED and PARTIALLY_FILLED are said by the fills alone."""
        updates, self._book.updates = self._book.updates, []
        return updates

    # ------------------------------------------------------------------------------------------------- the market side

    def deposit(self, asset: str, amount: Decimal) -> None:
        """Put money in, amount > 0."""
        if not (amount.is_finite() and amount > 0):
            raise ValueError(f"a deposit must be above 0, not {amount} {asset}")
        self._book.deposit(asset, amount)
        self._book.commit()

    def on_instant(self, instant: Instant) -> None:
        """Take closed candles in; they may fill what rested before they opened. Warm ones only set the last price."""
        last, books = self._last, self._resting
        for candle in instant.candles:
            key = candle.instrument
            last[key] = candle
            resting = books.get(key)
            if resting is None or not resting.orders or instant.warm:
                continue
            if resting.urgent or candle.low <= resting.below or candle.high >= resting.above:
                self._match_candle(resting, candle)
        self._book.commit()

    def on_quote(self, quote: Quote) -> None:
        """Take a quote in; one without two positive prices in order, or beside a fresh book, is passed over."""
        known = self._depth.get(quote.instrument)
        beside_book = known is not None and known.is_book and quote.received_ms - known.seen_ms <= FRESH_MS
        if not beside_book and 0 < quote.bid <= quote.ask:
            self._on_depth(quote.instrument, Depth.of_quote(quote, self._settings.slippage_frac))

    def on_book(self, book: OrderBook) -> None:
        """Take a book in; orders walk its levels."""
        self._on_depth(book.instrument, Depth.of_book(book))

    # ---------------------------------------------------------------------------------------------- accepting an order

    def _refusal(self, request: OrderRequest) -> str:
        instrument = self._instruments.get(request.instrument)
        if instrument is None:
            return f"{request.instrument} is not traded here"
        for order_id, _ in legs(request.bracket):
            if self._book.find(order_id) is not None:
                return f"duplicate id {order_id}"
        return (
            refusal(request, instrument)
            or self._money.fee_trouble(instrument)
            or (
                self._nothing_held(request, instrument)
                if request.reduce_only
                else self._not_covered(request, instrument)
            )
        )

    def _nothing_held(self, request: OrderRequest, instrument: Instrument) -> str:
        held = self._money.holding(instrument, request.group)
        return "" if self._money.sellable(instrument, held) else "there is no position to reduce"

    def _not_covered(self, request: OrderRequest, instrument: Instrument) -> str:
        price = request.limit_price or request.stop_price or self._last_price(request.instrument)
        if price is None:
            return f"no price is known for {request.instrument} yet"
        asset, each = self._lock(request)
        free, needed = self._money.free(asset, self._book.others()), each * request.qty
        if free < needed:
            return f"insufficient funds: {plain(needed)} {asset} needed, {plain(max(ZERO, free))} free"
        return too_small(request.qty, price, instrument)

    def _lock(self, request: OrderRequest) -> tuple[str, Decimal]:
        if request.reduce_only:
            return "", ZERO
        instrument, settings = self._instruments[request.instrument], self._settings
        price = request.limit_price
        if price is None:
            reference = request.stop_price or self._last_price(request.instrument) or ZERO
            price = at_market(request.side, reference, settings, instrument.price_tick)
        return self._money.lock(instrument, request.side, price)

    def _last_price(self, key: str) -> Decimal | None:
        candle, depth = self._last.get(key), self._depth.get(key)
        if depth is not None and depth.asks and (candle is None or depth.seen_ms >= candle.close_ms):
            return depth.asks[0].price
        return None if candle is None else candle.close

    # ---------------------------------------------------------------------------------------------------- from candles

    def _match_candle(self, resting: Resting, candle: Candle) -> None:
        if not candle.volume > 0:
            return
        depth = self._depth.get(candle.instrument)
        quoted = depth is not None and depth.seen_ms >= candle.ts_ms
        pool = Pool(candle, self._settings.volume_share_frac, self._instruments[candle.instrument])
        for turn in CANDLE_TURNS[1:] if quoted else CANDLE_TURNS:
            while due := [o for o in resting.orders if o.turn is turn and o.visible_ms <= candle.ts_ms]:
                for order in due:
                    if order.status.is_working:
                        self._try_candle(order, candle, pool)
                    order.visible_ms = candle.close_ms
        resting.refresh()

    def _try_candle(self, order: PaperOrder, candle: Candle, pool: Pool) -> None:
        hit = self._hit(order, candle)
        if hit is None:
            return
        price, liquidity, moment = hit
        offer = pool.offer(order.open_qty)
        if offer > 0:
            pool.take(self._book.fill(order, offer, price, liquidity, moment))

    def _hit(self, order: PaperOrder, candle: Candle) -> tuple[Decimal, Liquidity, Moment] | None:
        """Return how the candle fills an order; a stop that it touches is triggered, filled or not."""
        side, tick = order.request.side, self._instruments[candle.instrument].price_tick
        if order.turn is Turn.MARKET:
            price = at_market(side, candle.open, self._settings, tick)
            return price, Liquidity.TAKER, Moment.at_open(candle)
        if order.turn is Turn.STOP:
            stopped = at_stop(side, order.price, candle, self._settings, tick)
            if stopped is None:
                return None
            self._book.trigger(order)
            return stopped, Liquidity.TAKER, Moment.inside(candle)
        limited = at_limit(side, order.price, candle, self._settings, tick, rested=order.rested)
        if limited is None or limited[1] is Liquidity.MAKER:
            order.rested = True
        return None if limited is None else (*limited, Moment.inside(candle))

    # ------------------------------------------------------------------------------------------ from quotes and books

    def _on_depth(self, key: str, depth: Depth) -> None:
        self._depth[key] = depth
        resting = self._resting.get(key)
        if resting is not None and resting.orders:
            seen = [order for order in resting.orders if order.visible_ms <= depth.seen_ms]
            self._match_depth(seen, depth, Moment.seen(depth))
            resting.refresh()
            self._book.commit()

    def _match_arrival(self, order: PaperOrder) -> None:
        """Let a new order meet the last quote or book at once, when that is fresh and nothing delays the order.

        A stop is watched from the next quote on: what was seen before it came is no sample.
        """
        depth, now_ms = self._depth.get(order.request.instrument), self._clock.now_ms()
        if order.turn is Turn.STOP or depth is None or self._settings.latency_ms:
            return
        if now_ms - depth.seen_ms <= FRESH_MS:
            self._match_depth([order], depth, Moment(now_ms, now_ms, now_ms, now_ms))
            self._resting[order.request.instrument].refresh()

    def _match_depth(self, orders: Iterable[PaperOrder], depth: Depth, moment: Moment) -> None:
        for order in sorted(orders, key=lambda each: each.turn.value):
            if order.status.is_working and (order.turn is not Turn.STOP or self._stop_seen(order, depth)):
                self._take(order, depth, moment)
                order.rested = True

    def _stop_seen(self, order: PaperOrder, depth: Depth) -> bool:
        """Watch a stop; the second sample in a row that reaches it triggers it (R22, R39)."""
        facing = depth.facing(order.request.side)
        beyond = bool(facing) and reaches(order.request.side.opposite, facing[0].price, order.price)
        order.through = order.through + 1 if beyond else 0
        if order.through < 2:
            return False
        self._book.trigger(order)
        return True

    def _take(self, order: PaperOrder, depth: Depth, moment: Moment) -> None:
        """Take levels, best first, as far as the order's limit reaches; at its limit when it was there before them."""
        side, instrument = order.request.side, self._instruments[order.request.instrument]
        limited = order.turn is Turn.LIMIT
        for level in depth.facing(side):
            if not order.status.is_working or (limited and not reaches(side, level.price, order.price)):
                return
            price, liquidity = depth.taker_price(side, level, instrument.price_tick), Liquidity.TAKER
            if limited:
                price = better(side, order.price, price)
            if limited and order.rested:
                price, liquidity = order.price, Liquidity.MAKER
            offer = level.offer(order.open_qty, instrument)
            if offer > 0:
                level.take(self._book.fill(order, offer, price, liquidity, moment))

    # --------------------------------------------------------------------------------------------------------- keeping

    def _must_work(self) -> None:
        if self._book.broken:
            raise OrderRejectedError(self._book.broken)

    def _must_be_known(self) -> None:
        if self._book.broken:
            raise VenueUnreachableError(self._book.broken)

    def _commit(self) -> None:
        try:
            self._book.commit()
        except StoreError as error:
            # Whether the transaction reached the disk is not known: the store is read again at the next start.
            raise AmbiguousSendError(str(error)) from error
