"""What the venue and its market do by themselves, act by act."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from engine.domain.order import OrderStatus, OrderType, Side
from engine.ops.simulate.plan import Act, Do
from engine.ops.simulate.venue import SimVenue


def _match(venue: SimVenue, act: Act) -> None:
    """Fill an order that is no stop: a part of it for small amounts."""
    everywhere = [o for o in venue.working() if o.request.order_type is not OrderType.STOP]
    orders = [o for o in everywhere if o.request.instrument == act.instrument] or everywhere
    if orders:
        order = orders[act.amount % len(orders)]
        part = order.open_qty * (1 + act.amount % 3) / 4 if act.amount < 50 else order.open_qty
        venue.fill(order, part, venue.price_of(order))


def _stop_hit(venue: SimVenue, act: Act) -> None:
    for order in venue.working(act.instrument):
        if order.request.order_type is OrderType.STOP and order.status.is_working:
            venue.fill(order, order.open_qty, venue.price_of(order))


def _end(venue: SimVenue, act: Act) -> None:
    orders = venue.working(act.instrument)
    if orders:
        status = OrderStatus.CANCELED if act.do is Do.VENUE_CANCEL else OrderStatus.EXPIRED
        venue.cancel(orders[act.amount % len(orders)].id, status, "the venue's own act")


def _overfill(venue: SimVenue, act: Act) -> None:
    buys = [o for o in venue.working() if o.request.side is Side.BUY]
    if buys:
        order = buys[act.amount % len(buys)]
        venue.fill(order, order.open_qty + Decimal("0.5"), venue.price_of(order))


def _manual(venue: SimVenue, act: Act) -> None:
    venue.manual(act.instrument, Side.BUY if act.amount % 2 else Side.SELL, Decimal(act.amount + 1) / 50)


def _transfer(venue: SimVenue, act: Act) -> None:
    venue.transfer("USDT" if act.amount % 3 else "BTC", Decimal(act.amount - 50) / 10)


def _price(venue: SimVenue, act: Act) -> None:
    moved = venue.prices[act.instrument] * (Decimal(100) + Decimal(act.amount - 50) / 25) / 100
    venue.prices[act.instrument] = moved.quantize(Decimal("0.01"))


VENUE_ACTS: dict[Do, Callable[[SimVenue, Act], None]] = {
    Do.MATCH: _match, Do.STOP_HIT: _stop_hit, Do.VENUE_CANCEL: _end, Do.VENUE_EXPIRE: _end, Do.OVERFILL: _overfill,
    Do.MANUAL: _manual, Do.TRANSFER: _transfer, Do.PRICE: _price,
}  # fmt: skip
"""The acts that are the venue's own."""
