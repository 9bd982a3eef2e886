"""A modal to read in: rows that scroll, nothing to decide."""

from __future__ import annotations

from collections.abc import Iterator

from textual.widget import Widget

from screens.dialog import Dialog
from screens.rows import Row
from screens.widgets.pane import Pane


class ReadingPane(Pane):
    """Rows made for the width there is."""

    def row(self, item: Row, width: int) -> Row:
        return item


class Reading(Dialog):
    """Subclasses make the rows; the arrows, page keys and the wheel scroll them."""

    KEYS = (("↑↓ PgUp PgDn", "scroll"), ("esc", "close"))
    DESTRUCTIVE = False
    AUTO_FOCUS = "#reading"

    def body(self) -> Iterator[Widget]:
        yield ReadingPane(id="reading")

    def rows(self, width: int) -> list[Row]:
        """Return what there is to read."""
        return []

    def refresh_card(self) -> None:
        pane = self.query_one(ReadingPane)
        pane.fill(self.rows(max(20, pane.size.width)), " ")
