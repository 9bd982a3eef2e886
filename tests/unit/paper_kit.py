"""A paper account under test, and a market that moves it in whole minutes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from engine.clock import MINUTE_MS, ManualClock
from engine.domain.instrument import Instrument
from engine.domain.market import Candle, Instant, OrderBook, Quote, Source, SourceKind
from engine.domain.money import plain
from engine.domain.order import Bracket, Fill, OrderRequest, OrderType, Side
from engine.domain.policy import PaperSettings
from engine.execution.gateway import ResizeUpdate, StatusUpdate, VenueUpdate
from engine.execution.paper import PaperGateway
from engine.execution.paper_store import PaperStore

SOURCE = Source(kind=SourceKind.SIMULATED, name="test")
BTC = Instrument(
    venue="paper",
    symbol="BTC/USDT",
    base="BTC",
    quote="USDT",
    price_tick=Decimal("0.01"),
    qty_step=Decimal("0.001"),
    min_notional=Decimal(5),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.002"),
)
ETH = replace(BTC, symbol="ETH/USDT", base="ETH")
ETHBTC = replace(BTC, symbol="ETH/BTC", base="ETH", quote="BTC", min_notional=Decimal("0.0001"))
# Half the spread and the slippage together move 100 to 100.20 or 99.80.
SETTINGS = PaperSettings(half_spread_frac=Decimal("0.001"), slippage_frac=Decimal("0.001"))


class Venue:
    """A gateway with 10,000 USDT, its clock, and the last candle at 100."""

    def __init__(
        self,
        *instruments: Instrument,
        settings: PaperSettings = SETTINGS,
        store: PaperStore | None = None,
        fee_rates: dict[str, Decimal] | None = None,
        deposits: dict[str, str] | None = None,
    ) -> None:
        self.clock = ManualClock(10 * MINUTE_MS)
        listed = {each.key: each for each in instruments or (BTC,)}
        self.key = next(iter(listed))
        self.gateway = PaperGateway(listed, settings, self.clock, store, fee_rates=fee_rates)
        for asset, amount in ({"USDT": "10000"} if deposits is None else deposits).items():
            self.gateway.deposit(asset, Decimal(amount))
        self.candle(100, 100, 100, 100)

    def candle(
        self, open_: object, high: object, low: object, close: object, volume: object = 100, key: str = ""
    ) -> None:
        """Let the present minute end with this candle."""
        ts_ms = self.clock.now_ms() // MINUTE_MS * MINUTE_MS
        self.clock.set_ms(ts_ms + MINUTE_MS)
        first, top, bottom, last, size = (Decimal(str(each)) for each in (open_, high, low, close, volume))
        bar = Candle(key or self.key, ts_ms, MINUTE_MS, first, top, bottom, last, size, SOURCE)
        self.gateway.on_instant(Instant(self.clock.now_ms(), (bar,)))

    def flat(self, price: object = 100, volume: object = 100) -> None:
        """Let the present minute end at one price."""
        self.candle(price, price, price, price, volume)

    def quote(self, bid: object, ask: object, bid_qty: object = None, ask_qty: object = None) -> None:
        """Let a second pass, then quote."""
        self.clock.advance_ms(1_000)
        now_ms = self.clock.now_ms()
        quote = Quote(
            instrument=self.key,
            ts_ms=now_ms,
            received_ms=now_ms,
            bid=Decimal(str(bid)),
            ask=Decimal(str(ask)),
            source=SOURCE,
            bid_qty=_number(bid_qty),
            ask_qty=_number(ask_qty),
        )
        self.gateway.on_quote(quote)

    def book(self, bids: Iterable[tuple[object, object]], asks: Iterable[tuple[object, object]]) -> None:
        """Let a second pass, then show a book."""
        self.clock.advance_ms(1_000)
        sides = [tuple((Decimal(str(price)), Decimal(str(qty))) for price, qty in side) for side in (bids, asks)]
        self.gateway.on_book(
            OrderBook(instrument=self.key, ts_ms=self.clock.now_ms(), bids=sides[0], asks=sides[1], source=SOURCE)
        )

    async def buy(self, order_id: str, qty: object, **rest: Any) -> None:
        """Place a buy; at market unless prices say otherwise."""
        await self.gateway.create(request(order_id, Side.BUY, qty, key=self.key, **rest))

    async def sell(self, order_id: str, qty: object, **rest: Any) -> None:
        """Place a sell; at market unless prices say otherwise."""
        await self.gateway.create(request(order_id, Side.SELL, qty, key=self.key, **rest))

    def told(self) -> list[str]:
        """Take the updates, one short text each."""
        return [text for update in self.gateway.drain() for text in say(update)]

    async def money(self) -> dict[str, str]:
        """Return the balances as texts, zeros left out."""
        return {asset: plain(total) for asset, total in (await self.gateway.balances()).items() if total}

    async def working(self) -> dict[str, str]:
        """Return id -> open quantity of what rests."""
        return {o.client_order_id: plain(o.qty - o.filled_qty) for o in await self.gateway.open_orders()}

    async def status(self, order_id: str) -> str:
        """Return an order's state and what it filled."""
        order = await self.gateway.find(order_id)
        return "unknown" if order is None else f"{order.status} {plain(order.filled_qty)}"


def request(
    order_id: str,
    side: Side,
    qty: object,
    *,
    key: str = BTC.key,
    limit: object = None,
    stop: object = None,
    target: object = None,
    group: str = "dip",
    reduce: bool = False,
    bracket: tuple[object, object] | None = None,
) -> OrderRequest:
    """Return a request; its type follows from the price that is given. bracket: stop and target price, either None."""
    kinds = ((limit, OrderType.LIMIT), (stop, OrderType.STOP), (target, OrderType.TAKE_PROFIT))
    return OrderRequest(
        client_order_id=order_id,
        instrument=key,
        side=side,
        order_type=next((kind for price, kind in kinds if price is not None), OrderType.MARKET),
        qty=Decimal(str(qty)),
        limit_price=_number(target if limit is None else limit),
        stop_price=_number(stop),
        reduce_only=reduce,
        group=group,
        bracket=None if bracket is None else protection(order_id, *bracket),
    )


def protection(order_id: str, stop: object, target: object) -> Bracket:
    """Return a bracket whose ids are the entry's with -stop and -target."""
    return Bracket(
        stop_order_id="" if stop is None else f"{order_id}-stop",
        stop_price=_number(stop),
        target_order_id="" if target is None else f"{order_id}-target",
        target_price=_number(target),
    )


def say(update: VenueUpdate) -> list[str]:
    """Write an update as short texts, such as "e1 BUY 10 @ 100.2 TAKER fee 2.004 USDT"."""
    if isinstance(update, Fill):
        what = f"{update.client_order_id} {update.side} {plain(update.qty)} @ {plain(update.price)}"
        return [f"{what} {update.liquidity} fee {plain(update.fee)} {update.fee_asset}"]
    if isinstance(update, ResizeUpdate):
        return [f"{update.client_order_id} covers {plain(update.qty)}"]
    assert isinstance(update, StatusUpdate)
    reason = f": {update.reason}" if update.reason else ""
    return [f"{order_id} {update.status}{reason}" for order_id in update.client_order_ids]


def _number(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
