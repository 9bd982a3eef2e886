"""Profit and loss, with the equity curve."""

from __future__ import annotations

from screens.format import braille, money, qty, safe, share
from screens.model import ConsoleModel
from screens.rows import Row, beside, pair, signed_ink, text_row
from screens.widgets.pane import Pane


class AccountPane(Pane):
    """Equity, what it is made of, and how it got there."""

    TITLE = "Profit and loss"
    CURVE_ROWS_MIN = 2

    def show(self, model: ConsoleModel) -> None:
        """Draw the newest snapshot."""
        rows = account_rows(model, self.size.width, self.size.height)
        self.fill(rows, self.TITLE if model.snapshot else f"{self.TITLE} · starting…")

    def row(self, item: Row, width: int) -> Row:
        return item


def account_rows(model: ConsoleModel, width: int, height: int) -> list[Row]:
    """Figures in pairs, then the curve over the rest of the height."""
    snapshot = model.snapshot
    if snapshot is None:
        return []
    gap = 3
    half = (width - gap) // 2
    fees = ", ".join(f"{qty(paid)} {safe(asset, 6)}" for asset, paid in snapshot.fees.items()) or "0"
    off_peak = (
        (snapshot.equity - snapshot.equity_peak) / snapshot.equity_peak
        if snapshot.equity and snapshot.equity_peak
        else None
    )
    total = snapshot.equity - snapshot.equity_start if snapshot.equity is not None else None
    figures = [
        pair("Equity", money(snapshot.equity), "strong", half),
        pair("Today", money(snapshot.day_pnl, signed=True), signed_ink(snapshot.day_pnl), half),
        pair("Realised", money(snapshot.realized, signed=True), signed_ink(snapshot.realized), half),
        pair("Unrealised", money(snapshot.unrealized, signed=True), signed_ink(snapshot.unrealized), half),
        pair("Fees", safe(fees, half - 5), "", half),
        pair("From peak", share(off_peak, signed=True, places=2), signed_ink(off_peak), half),
        pair("Since start", money(total, signed=True), signed_ink(total), half),
        pair("Peak", money(snapshot.equity_peak), "", half),
    ]
    shown = 6 if height < 9 else 8
    rows = [beside(figures[at : at + 2], " " * gap) for at in range(0, shown, 2)]
    return rows + _curve([float(equity) for _ts, equity in snapshot.equity_curve], width, height - len(rows))


def _curve(values: list[float], width: int, height: int) -> list[Row]:
    if height < 1 or width < 4:
        return []
    if len(values) < 2:
        return [text_row("the equity curve begins with the second mark", "dim")]
    return [text_row(line, "accent") for line in braille(values, width, min(height, 12))]
