"""What the paper venue refuses when an order is placed, as a sentence (E15, E16)."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from engine.domain.instrument import Instrument
from engine.domain.money import plain
from engine.domain.order import Bracket, OrderRequest, OrderType, Side

TRADED_MAX = Decimal("1e15")


def refusal(request: OrderRequest, instrument: Instrument) -> str:
    """Return why the form of an order is wrong, "" when it is right."""
    return (
        _bad_qty(request.qty, instrument)
        or _bad_prices(request, instrument)
        or _bad_side(request)
        or _bad_bracket(request, instrument)
    )


def too_small(qty: Decimal, price: Decimal, instrument: Instrument) -> str:
    """Return why an order's value is below the venue's minimum, "" when it is not."""
    if qty * price >= instrument.min_notional:
        return ""
    return f"value {plain(qty * price)} is below the minimum {plain(instrument.min_notional)} {instrument.quote}"


def _bad_qty(qty: Decimal, instrument: Instrument) -> str:
    if _is_multiple(qty, instrument.qty_step):
        return ""
    return f"quantity {qty} is not a positive multiple of {plain(instrument.qty_step)}"


def _bad_price(name: str, price: Decimal, instrument: Instrument) -> str:
    if _is_multiple(price, instrument.price_tick):
        return ""
    return f"{name} {price} is not a positive multiple of {plain(instrument.price_tick)}"


def _is_multiple(value: Decimal, step: Decimal) -> bool:
    try:
        return value.is_finite() and 0 < value <= TRADED_MAX and value % step == 0
    except InvalidOperation:
        return False


def _bad_prices(request: OrderRequest, instrument: Instrument) -> str:
    given = {"limit price": request.limit_price, "stop price": request.stop_price}
    wanted = {OrderType.MARKET: None, OrderType.STOP: "stop price"}.get(request.order_type, "limit price")
    for name, price in given.items():
        if (price is None) is (name == wanted):
            return f"a {request.order_type} order {'needs a' if price is None else 'takes no'} {name}"
        if price is not None and (trouble := _bad_price(name, price, instrument)):
            return trouble
    return ""


def _bad_side(request: OrderRequest) -> str:
    if request.side is Side.BUY and request.reduce_only:
        return "a cash account has no short position that a buy could reduce"
    return ""


def _bad_bracket(request: OrderRequest, instrument: Instrument) -> str:
    bracket = request.bracket
    if bracket is None:
        return ""
    if request.side is Side.SELL:
        return "a sell opens nothing in a cash account, so it takes no bracket"
    ids = [request.client_order_id, *(order_id for order_id, _ in legs(bracket))]
    if "" in ids or len(set(ids)) < len(ids):
        return "each order of a bracket needs an id of its own"
    for name, price in (("stop price", bracket.stop_price), ("target price", bracket.target_price)):
        if price is not None and (trouble := _bad_price(name, price, instrument)):
            return trouble
    entry = request.limit_price or request.stop_price
    prices = [price for price in (bracket.stop_price, entry, bracket.target_price) if price is not None]
    return "" if prices == sorted(set(prices)) else "stop, entry and target are not in rising order"


def legs(bracket: Bracket | None) -> list[tuple[str, OrderType]]:
    """Return the ids and types of the protective orders a bracket asks for, the stop first."""
    if bracket is None:
        return []
    stop = [(bracket.stop_order_id, OrderType.STOP)] if bracket.stop_price is not None else []
    target = [(bracket.target_order_id, OrderType.TAKE_PROFIT)] if bracket.target_price is not None else []
    return stop + target
