"""What a ticket must look like before the guardrails are asked: its form, and its quantity in units of base."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from engine.api import EQUITY_UNIT, Ticket
from engine.control.core import Core
from engine.domain.agent import TRADER
from engine.domain.instrument import Instrument
from engine.domain.money import ONE, percent, plain
from engine.domain.order import OrderRole, OrderType, Side
from engine.domain.valuation import MissingRateError
from engine.errors import RefusedError

SHARE_MAX = ONE
"""A cash account buys with what it has: at most all of its equity."""
STOP_MAX = Decimal("0.99")
TARGET_MAX = Decimal(10)
"""The furthest stop and target, of the entry: beyond them a share was meant, and written as a price."""


def named(core: Core, ticket: Ticket) -> Ticket:
    """Return the ticket with its instrument's key where a symbol or an alias of exactly one instrument was written."""
    listed = core.books.instruments
    if ticket.instrument in listed:
        return ticket
    meant = [key for key, one in listed.items() if ticket.instrument in (one.symbol, *one.aliases)]
    return replace(ticket, instrument=meant[0]) if len(meant) == 1 else ticket


def check_form(core: Core, ticket: Ticket) -> None:
    """Raise RefusedError, with what to write instead, unless the ticket is whole and its prices fit its type."""
    if ticket.instrument not in core.books.instruments:
        known = ", ".join(sorted(core.books.instruments))
        raise RefusedError(f"No instrument {ticket.instrument} here; there are: {known}.")
    if not (ticket.qty.is_finite() and ticket.qty > 0):
        raise RefusedError(f"Quantity {plain(ticket.qty)} is not above 0; write how much to trade.")
    if ticket.order_type is OrderType.TAKE_PROFIT:
        raise RefusedError("A ticket is MARKET, LIMIT or STOP; a target goes with an entry.")
    _check_price("limit price", ticket.limit_price, ticket, OrderType.LIMIT)
    _check_price("stop price", ticket.trigger_price, ticket, OrderType.STOP)
    if ticket.order_type is OrderType.STOP:
        _check_trigger(core, ticket)
    _check_protection(core, ticket)


def _check_price(name: str, price: Decimal | None, ticket: Ticket, wanted: OrderType) -> None:
    if (ticket.order_type is wanted) != (price is not None):
        needs = f"A {wanted} ticket needs a {name}" if price is None else f"A {ticket.order_type} ticket has no {name}"
        raise RefusedError(f"{needs}; a {wanted} ticket has one, and no other.")
    if price is not None and not (price.is_finite() and price > 0):
        raise RefusedError(f"{name} {price} is not above 0; write a price in quote.")


def _check_trigger(core: Core, ticket: Ticket) -> None:
    """A stop order waits beyond the market; one that is there already would be a market order in disguise."""
    now, trigger = core.desk.surroundings.valuation.price(ticket.instrument), ticket.trigger_price
    assert trigger is not None
    if now is not None and (trigger - now) * ticket.side.sign <= 0:
        where = "above" if ticket.side is Side.BUY else "below"
        raise RefusedError(
            f"A {ticket.side} STOP waits {where} the market, which is at {plain(now)}, not at {plain(trigger)}; "
            "write a LIMIT or MARKET ticket, or another price."
        )
    if ticket.side is Side.SELL:
        resting = core.books.working(TRADER, ticket.instrument)
        stop = next((order for order in resting if order.role is OrderRole.STOP), None)
        if stop is not None and stop.stop_price is not None:
            raise RefusedError(
                f"A stop for {plain(stop.open_qty)} rests at {plain(stop.stop_price)} already: one position has one "
                "stop; sell with a LIMIT or MARKET ticket."
            )


def _check_protection(core: Core, ticket: Ticket) -> None:
    """Raise RefusedError unless stop and target are each a share or a price, and a price on its side of the entry."""
    entry = _entry(core, ticket)
    for name, share, level in (
        ("stop", ticket.stop_frac, ticket.stop_price),
        ("target", ticket.target_frac, ticket.target_price),
    ):
        if level is None:
            continue
        if share is not None:
            raise RefusedError(f"A {name} is a price or a distance; write {plain(level)} or {percent(share)}.")
        if ticket.side is Side.SELL:
            raise RefusedError(f"A SELL only sells what is held and brings no {name}; write the {name} as off.")
        if not (level.is_finite() and level > 0):
            raise RefusedError(f"The {name} {level} is not above 0; write a price such as 98.50, or a distance as 2%.")
        if entry is not None:
            _check_side(name, level, entry)


def _entry(core: Core, ticket: Ticket) -> Decimal | None:
    """Return what an entry is reckoned at: its trigger, or the market, or its limit where that is less."""
    now = core.desk.surroundings.valuation.price(ticket.instrument)
    known = [price for price in (ticket.trigger_price or now, ticket.limit_price) if price is not None]
    return min(known, default=None)


def _check_side(name: str, level: Decimal, entry: Decimal) -> None:
    below, most = (True, STOP_MAX) if name == "stop" else (False, TARGET_MAX)
    away = (entry - level if below else level - entry) / entry
    side, such = ("below", "2%") if below else ("above", "5%")
    if not away > 0:
        raise RefusedError(
            f"A {name} of {plain(level)} is not {side} the entry at {plain(entry)}; write a price {side} it, or a "
            f"distance such as {such}."
        )
    if away > most:
        raise RefusedError(
            f"A {name} of {plain(level)} is a price more than {percent(most)} {side} the entry at {plain(entry)}; for "
            f"a distance write it with its unit, such as {such}."
        )


def qty_in_base(core: Core, ticket: Ticket) -> Decimal:
    """Return a ticket's quantity in base, whole steps of it where another unit was given.

    At 50,000 with steps of 0.001: 500 USDT are 0.01, and 2 % of an equity of 100,000 are 0.04. Raises RefusedError.
    """
    instrument = core.books.instruments[ticket.instrument]
    if ticket.unit in ("", instrument.base):
        return ticket.qty
    value = _value(core, ticket, instrument)
    qty = instrument.floor_qty(value / _price(core, ticket))
    if not qty > 0:
        raise RefusedError(
            f"{plain(value)} {instrument.quote} buys less than one step of {plain(instrument.qty_step)} "
            f"{instrument.base}; write more."
        )
    return qty


def _value(core: Core, ticket: Ticket, instrument: Instrument) -> Decimal:
    """Return what is to be traded, in quote."""
    if ticket.unit == instrument.quote:
        return ticket.qty
    if ticket.unit != EQUITY_UNIT:
        raise RefusedError(
            f"{ticket.unit[:20]} is no unit of {instrument.key}; write {instrument.base}, {instrument.quote}, or a "
            "percentage of equity such as 2%."
        )
    if ticket.qty > SHARE_MAX:
        most = percent(SHARE_MAX)
        raise RefusedError(f"{percent(ticket.qty)} of equity is more than all of it; write {most} or less.")
    equity = core.desk.surroundings.equity()
    try:
        rate = core.desk.surroundings.valuation.rate(instrument.quote)
    except MissingRateError:
        rate = None
    if equity is None or rate is None or not equity > 0:
        raise RefusedError("What the account is worth is not known now; write the quantity in units.")
    return equity * ticket.qty / rate


def _price(core: Core, ticket: Ticket) -> Decimal:
    price = ticket.limit_price or ticket.trigger_price or core.desk.surroundings.valuation.price(ticket.instrument)
    if price is None or not price > 0:
        raise RefusedError(f"{ticket.instrument} has no price yet; write the quantity in units.")
    return price
