"""Open positions, one row for each agent's part in an instrument."""

from __future__ import annotations

from engine.api import MarketView, PositionView
from screens.format import age, money, price, qty, safe, symbol
from screens.model import ConsoleModel
from screens.rows import Column, Row, header_row, signed_ink, table_row
from screens.widgets.pane import Pane

COLUMNS = (
    Column(title="INSTRUMENT", width=10, grow=6),
    Column(title="AGENT", width=10, keep=5),
    Column(title="QUANTITY", width=10, right=True),
    Column(title="ENTRY", width=10, right=True, keep=4),
    Column(title="PRICE", width=10, right=True),
    Column(title="AGE", width=4, right=True, keep=6),
    Column(title="P&L", width=10, right=True),
    Column(title="STOP", width=10, right=True, keep=7),
    Column(title="TARGET", width=10, right=True, keep=3),
    Column(title="REALISED", width=10, right=True, keep=2),
)
MARKETS_FROM = 110


class PositionsPane(Pane):
    """Every open position with its price's age, its profit and its protection."""

    TITLE = "Positions"

    def show(self, model: ConsoleModel) -> None:
        """Draw the newest snapshot."""
        snapshot = model.snapshot
        held = [each for each in snapshot.positions if each.qty] if snapshot else []
        word = "starting…" if snapshot is None else str(len(held)) if held else "none open"
        bare = f" · {len(snapshot.unprotected)} UNPROTECTED" if snapshot and snapshot.unprotected else ""
        self.fill((*held, *self._flat(model, {each.instrument for each in held})), f"{self.TITLE} · {word}{bare}")

    def _flat(self, model: ConsoleModel, held: set[str]) -> list[MarketView]:
        """Where the markets have no pane of their own, their prices stand under the positions."""
        markets = model.snapshot.markets if model.snapshot and self.app.size.width < MARKETS_FROM else ()
        return [market for market in markets if market.instrument not in held]

    def header(self, width: int) -> Row | None:
        return header_row(COLUMNS, width) if self.size.height > 1 else None

    def key(self, item: PositionView | MarketView) -> object:
        return item.agent if isinstance(item, PositionView) else "", item.instrument

    def row(self, item: PositionView | MarketView, width: int) -> Row:
        return _position_row(item, width) if isinstance(item, PositionView) else _market_row(item, width)


def _market_row(item: MarketView, width: int) -> Row:
    blank = ("", "")
    name, last = (safe(symbol(item.instrument), 24), "dim"), (price(item.price), "")
    flat = ("flat", "dim")
    return table_row(COLUMNS, (name, flat, blank, blank, last, (age(item.price_age_ms), "dim"), *[blank] * 4), width)


def _position_row(item: PositionView, width: int) -> Row:
    naked = item.stop_price is None
    return table_row(
        COLUMNS,
        (
            (safe(symbol(item.instrument), 24), "strong"),
            (safe(item.agent, 24), ""),
            (qty(item.qty), ""),
            (price(item.average_price), ""),
            (price(item.mark), ""),
            (age(item.mark_age_ms), "dim"),
            (money(item.unrealized, signed=True), signed_ink(item.unrealized)),
            ("NO STOP" if naked else price(item.stop_price), "danger" if naked or item.unprotected else ""),
            (
                "none" if item.target_price is None else price(item.target_price),
                "dim" if item.target_price is None else "",
            ),
            (money(item.realized, signed=True), signed_ink(item.realized)),
        ),
        width,
    )
