"""Prices: what the agents may trade, with each price's age."""

from __future__ import annotations

from engine.api import MarketView
from screens.format import age, price, safe, share, sparkline, symbol
from screens.model import ConsoleModel
from screens.rows import Column, Row, chosen, signed_ink, table_row
from screens.widgets.pane import Pane

COLUMNS = (
    Column(title="INSTRUMENT", width=9),
    Column(title="PRICE", width=10, right=True),
    Column(title="CHANGE", width=7, right=True, keep=7),
    Column(title="AGE", width=3, right=True, keep=6),
    Column(title="TREND", width=6, grow=24, keep=5),
    Column(title="", width=7, keep=4),
)


TREND = 4


class MarketsPane(Pane):
    """One row an instrument."""

    TITLE = "Markets"

    def show(self, model: ConsoleModel) -> None:
        """Draw the newest snapshot."""
        snapshot = model.snapshot
        self.fill(snapshot.markets if snapshot else (), self.TITLE if snapshot else f"{self.TITLE} · starting…")

    def key(self, item: MarketView) -> object:
        return item.instrument

    def row(self, item: MarketView, width: int) -> Row:
        return table_row(
            COLUMNS,
            (
                (safe(symbol(item.instrument), 20), "strong"),
                (price(item.price), ""),
                (share(item.change_frac, signed=True, places=2), signed_ink(item.change_frac)),
                (age(item.price_age_ms), "dim"),
                (sparkline(item.closes, dict(chosen(COLUMNS, width)).get(TREND, 0)), "accent"),
                ("ASSUMED" if item.assumed else "", "warn"),
            ),
            width,
        )
