"""The portfolio after a trade, as a card and a preview show it."""

from __future__ import annotations

from decimal import Decimal

from engine.api import TradeEffect
from screens.format import UNKNOWN, money, qty, safe, share
from screens.rows import Row, pair


def effect_pairs(effect: TradeEffect, width: int) -> list[Row]:
    """Cash, free cash, gross exposure and what the stop would cost, each a row of `width` cells."""
    cash = f"{money(effect.cash_before, places=0)} -> {money(effect.cash_after, places=0)}"
    gross = f"{_share(effect.gross_before_frac)} -> {_share(effect.gross_after_frac)}"
    free_ink = "" if effect.free_after >= 0 else "danger"
    return [
        pair(f"Cash {safe(effect.asset, 8)}", cash, "", width),
        pair("Gross exposure", gross, "", width),
        pair("Free cash after", money(effect.free_after), free_ink, width),
        pair("Lost at the stop", _at_stop(effect), "" if effect.at_stop is not None else "dim", width),
    ]


def position_words(effect: TradeEffect) -> str:
    """The agent's position before and after: "0 -> 2"."""
    return f"{qty(effect.qty_before)} -> {qty(effect.qty_after)}"


def _at_stop(effect: TradeEffect) -> str:
    if effect.at_stop is None:
        return "no stop"
    part = "" if effect.at_stop_frac is None else f" ({share(effect.at_stop_frac, places=2)})"
    return f"{money(effect.at_stop)}{part}"


def _share(value: Decimal | None) -> str:
    return UNKNOWN if value is None else share(value)
