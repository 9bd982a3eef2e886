"""What the venue holds for us, split over our agents: what a closing is sized from (R19, R38)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from engine.domain.agent import EXTERNAL
from engine.domain.books import Books
from engine.domain.money import ZERO
from engine.domain.portfolio import Position
from engine.domain.valuation import Valuation


def held_of(balances: Mapping[str, Decimal], books: Books, valuation: Valuation) -> dict[str, Decimal]:
    """Return what balances hold per instrument; an asset counts for the first instrument it is base of."""
    held: dict[str, Decimal] = {}
    seen: set[str] = set()
    for key, instrument in books.instruments.items():
        if instrument.base not in seen and not valuation.is_money(instrument.base):
            seen.add(instrument.base)
            held[key] = balances.get(instrument.base, ZERO)
    return held


def unlisted(balances: Mapping[str, Decimal], books: Books, valuation: Valuation) -> dict[str, Decimal]:
    """Return the assets that no listed instrument trades, what pays fees left out: nothing here can sell them."""
    listed = books.instruments.values()
    known = {asset for i in listed for asset in (i.base, i.quote, i.fee_currency)}
    return {a: qty for a, qty in balances.items() if qty and a not in known and not valuation.is_money(a)}


def shares(books: Books, key: str, venue_qty: Decimal) -> list[Position]:
    """Split what the venue holds over our agents, pro rata when it holds less; the rest is external."""
    ours = [p for p in books.open_positions() if p.instrument == key and p.qty > 0]
    booked = sum((p.qty for p in ours), ZERO)
    floor = books.instruments[key].floor_qty
    share = {p.agent: p.qty if booked <= venue_qty else p.qty * venue_qty / booked for p in ours}
    share[EXTERNAL] = share.get(EXTERNAL, ZERO) + max(ZERO, venue_qty - booked)
    return [Position(agent, key, floor(qty)) for agent, qty in share.items() if floor(qty) > 0]


def is_dust(books: Books, valuation: Valuation, key: str, qty: Decimal) -> bool:
    """Less than one step, or worth less than the venue's least order: nothing can sell it (E41)."""
    instrument = books.instruments[key]
    price = valuation.price(key)
    small = price is not None and qty * price < instrument.min_notional
    return qty < instrument.qty_step or small
