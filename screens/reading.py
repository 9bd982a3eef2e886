"""A modal to read in: rows that scroll, nothing to decide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from textual import events
from textual.widget import Widget

from engine.api import Query, Reply
from screens.dialog import Dialog
from screens.format import wrap
from screens.model import ConsoleModel
from screens.rows import Row, text_row
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


class AskedReading(Reading):
    """Subclasses name the question; it is asked once, as the modal opens, and they make the rows of its answer."""

    QUESTION: Query

    def __init__(self, model: ConsoleModel) -> None:
        super().__init__(model)
        self._reply: Reply | None = None

    def on_mount(self, event: events.Mount) -> None:
        self.run_worker(self._ask(), exit_on_error=False)

    async def _ask(self) -> None:
        self._reply = await self.model.send(self.QUESTION)
        self.refresh_card()

    def rows(self, width: int) -> list[Row]:
        if self._reply is None:
            return [text_row("asking the engine…", "dim")]
        if not self._reply.ok:
            return [text_row(line, "warn") for line in wrap(self._reply.text, width, 6)]
        return self.answer_rows(self._reply.data, width)

    def answer_rows(self, data: Any, width: int) -> list[Row]:
        """Return what there is to read in the answer."""
        return []
