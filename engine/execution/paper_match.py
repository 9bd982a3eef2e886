"""The paper venue's fill rules: prices and quantities only, every rounding against us."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.domain.instrument import Instrument
from engine.domain.market import Candle, OrderBook, Quote
from engine.domain.money import ONE, ZERO, round_price
from engine.domain.order import Liquidity, Side
from engine.domain.policy import PaperSettings
from engine.domain.values import quick_value


@quick_value
class Moment:
    """When a fill happens, and from when the protective orders it brings to rest may act.

    ts_ms: the fill's own time. booked_ms: when the venue learns of it. A candle does not say what came first, so
    inside one a stop may act at once and a target only afterwards.
    """

    ts_ms: int
    booked_ms: int
    stops_from_ms: int
    targets_from_ms: int

    @classmethod
    def at_open(cls, candle: Candle) -> Moment:
        """The candle's open: all of the candle comes after it."""
        return cls(candle.ts_ms, candle.close_ms, candle.ts_ms, candle.ts_ms)

    @classmethod
    def inside(cls, candle: Candle) -> Moment:
        """Somewhere between open and close."""
        return cls(candle.close_ms, candle.close_ms, candle.ts_ms, candle.close_ms)

    @classmethod
    def seen(cls, depth: Depth) -> Moment:
        """A quote or a book."""
        return cls(depth.ts_ms, max(depth.ts_ms, depth.seen_ms), depth.seen_ms, depth.seen_ms)


class Pool:
    """The part of one candle's volume that all orders of an instrument share. None: no limit."""

    __slots__ = ("left",)

    def __init__(self, candle: Candle, share: Decimal, instrument: Instrument) -> None:
        self.left = None if share >= ONE else instrument.floor_qty(candle.volume * share)

    def offer(self, wanted: Decimal) -> Decimal:
        """Return how much of it there is."""
        return wanted if self.left is None else min(wanted, self.left)

    def take(self, qty: Decimal) -> None:
        """Use some of it up."""
        if self.left is not None:
            self.left -= qty


@dataclass(slots=True)
class Level:
    """One price and what is left there. None: the size is unknown, and taken to be enough."""

    price: Decimal
    qty: Decimal | None

    def offer(self, wanted: Decimal, instrument: Instrument) -> Decimal:
        """Return how much of it there is, in whole steps."""
        return wanted if self.qty is None else min(wanted, instrument.floor_qty(self.qty))

    def take(self, qty: Decimal) -> None:
        """Use some of it up, so that the same offer never fills twice."""
        if self.qty is not None:
            self.qty -= qty


@dataclass(slots=True)
class Depth:
    """What is offered on both sides, best first. ts_ms: the venue's time; seen_ms: ours. slippage: added when taken."""

    ts_ms: int
    seen_ms: int
    bids: list[Level]
    asks: list[Level]
    slippage: Decimal
    is_book: bool

    @classmethod
    def of_quote(cls, quote: Quote, slippage: Decimal) -> Depth:
        """Best bid and offer alone: what lies behind them is not known, so taking them slips."""
        bids, asks = [Level(quote.bid, quote.bid_qty)], [Level(quote.ask, quote.ask_qty)]
        return cls(quote.ts_ms, quote.received_ms, bids, asks, slippage, False)

    @classmethod
    def of_book(cls, book: OrderBook) -> Depth:
        """A book is walked level by level, so nothing is added."""
        bids, asks = ([Level(*level) for level in side] for side in (book.bids, book.asks))
        return cls(book.ts_ms, book.ts_ms, bids, asks, ZERO, True)

    def facing(self, side: Side) -> list[Level]:
        """Return what an order of this side can take."""
        return self.asks if side is Side.BUY else self.bids

    def taker_price(self, side: Side, level: Level, tick: Decimal) -> Decimal:
        """Return what taking a level costs or brings."""
        return against(side, level.price, self.slippage, tick)


def against(side: Side, price: Decimal, share: Decimal, tick: Decimal) -> Decimal:
    """Move a price against us by a share of it, then to the tick, never below one tick.

    >>> against(Side.BUY, Decimal(100), Decimal("0.0003"), Decimal("0.1"))
    Decimal('100.1')
    >>> against(Side.SELL, Decimal(100), Decimal("0.0003"), Decimal("0.1"))
    Decimal('99.9')
    """
    moved = price * (ONE + share * side.sign)
    return max(tick, round_price(moved, tick, up=side is Side.BUY))


def worse(side: Side, one: Decimal, other: Decimal) -> Decimal:
    """Return the price that is worse for the side."""
    return max(one, other) if side is Side.BUY else min(one, other)


def better(side: Side, one: Decimal, other: Decimal) -> Decimal:
    """Return the price that is better for the side."""
    return min(one, other) if side is Side.BUY else max(one, other)


def reaches(side: Side, price: Decimal, limit: Decimal) -> bool:
    """Tell whether a price is at least as good for the side as its limit."""
    return price <= limit if side is Side.BUY else price >= limit


def at_market(side: Side, open_price: Decimal, settings: PaperSettings, tick: Decimal) -> Decimal:
    """Return what a market order pays or gets at a candle's open: half the spread and the slippage against us."""
    return against(side, open_price, settings.half_spread_frac + settings.slippage_frac, tick)


def at_stop(side: Side, stop: Decimal, candle: Candle, settings: PaperSettings, tick: Decimal) -> Decimal | None:
    """Return what a stop fills at, None when the candle does not touch it; a gap through it fills at the open."""
    touched = candle.high >= stop if side is Side.BUY else candle.low <= stop
    if not touched:
        return None
    return against(side, worse(side, candle.open, stop), settings.half_spread_frac + settings.slippage_frac, tick)


def at_limit(
    side: Side, limit: Decimal, candle: Candle, settings: PaperSettings, tick: Decimal, *, rested: bool
) -> tuple[Decimal, Liquidity] | None:
    """Return what a limit or target fills at, and as what; None when the candle does not touch it.

    A gap through a resting order gives it the open. One that arrives to find the open already through it takes
    liquidity there, half the spread worse, and never beyond its limit.
    """
    if not reaches(side, candle.low if side is Side.BUY else candle.high, limit):
        return None
    through = reaches(side, candle.open, limit)
    if through and not rested:
        return better(side, limit, against(side, candle.open, settings.half_spread_frac, tick)), Liquidity.TAKER
    return better(side, limit, against(side, candle.open, ZERO, tick)), Liquidity.MAKER
