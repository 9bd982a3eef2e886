"""What a trade would leave behind, before anything is sent: cash, position, exposure, and what the stop would cost."""

from __future__ import annotations

from decimal import Decimal

from engine.api import TradeEffect
from engine.domain.intent import Intent
from engine.domain.money import ZERO, signed_frac
from engine.risk.situation import Situation


def effect_of(s: Situation, intent: Intent, cash: Decimal) -> TradeEffect:
    """Return the portfolio as it would be if the order filled at its own price, the fee paid in quote.

    cash: the quote balance now. A market order is taken to fill at the mark. Nothing is reserved by it yet.

    Cash of 100,000 and a buy of 2 at 100 with a fee of 0.1 %: 99,799.80 are left.
    """
    price = intent.limit_price or intent.trigger_price or (s.mark.price if s.mark else intent.price)
    value, signed = intent.qty * price, intent.qty * intent.side.sign
    fee = max(ZERO, value * s.instrument.taker_fee)
    after = s.current_qty + signed
    exposure = s.exposure + (abs(after) - abs(s.current_qty)) * price
    paid = signed * price + fee
    at_stop = None if intent.stop_price is None else intent.qty * abs(price - intent.stop_price)
    return TradeEffect(
        asset=s.instrument.quote,
        value=value,
        cash_before=cash,
        cash_after=cash - paid,
        free_after=s.free_cash - paid,
        qty_before=s.current_qty,
        qty_after=after,
        gross_before_frac=_of_equity(s.exposure, s.equity),
        gross_after_frac=_of_equity(exposure, s.equity),
        at_stop=at_stop,
        at_stop_frac=None if at_stop is None else _of_equity(at_stop, s.equity),
        fee=fee,
    )


def _of_equity(value: Decimal, equity: Decimal | None) -> Decimal | None:
    return signed_frac(value, equity) if equity is not None and equity > 0 else None
