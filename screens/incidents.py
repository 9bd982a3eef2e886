"""What the INC on the first line counts: each incident, when it was, and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual import events

from engine.api import Query, Reply
from screens.format import safe, wrap
from screens.model import ConsoleModel
from screens.reading import Reading
from screens.rows import Row, text_row
from screens.words import instant

SHOWN = "100"
NONE = "No incident is on record."
STAYS = "They stay on record, so the count does not go down; what is listed as done needs nothing more."


class IncidentsScreen(Reading):
    """Newest first, from the store."""

    TITLE_TEXT = "Incidents"

    def __init__(self, model: ConsoleModel) -> None:
        super().__init__(model)
        self._reply: Reply | None = None

    def on_mount(self, event: events.Mount) -> None:
        self.run_worker(self._read(), exit_on_error=False)

    async def _read(self) -> None:
        self._reply = await self.model.send(Query(name="incidents", args={"limit": SHOWN}))
        self.refresh_card()

    def rows(self, width: int) -> list[Row]:
        if self._reply is None:
            return [text_row("asking the engine…", "dim")]
        if not self._reply.ok:
            return [text_row(line, "warn") for line in wrap(self._reply.text, width, 6)]
        return incident_rows(self._reply.data or (), width)


def incident_rows(found: Sequence[Mapping[str, Any]], width: int) -> list[Row]:
    """Each with its time and code, its text, and what to do."""
    rows = [text_row(line, "dim") for line in wrap(STAYS if found else NONE, width, 3)]
    for each in found:
        rows += [text_row(""), text_row(safe(f"{instant(str(each['ts']))}  {each['code']}", width), "danger")]
        rows += [text_row(line) for line in wrap(str(each["text"]), width, 8)]
        rows += [text_row(line, "accent") for line in wrap(f"Do: {each['what_to_do']}", width, 4)]
    return rows
