"""What the INC on the first line counts: each incident, when it was, and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine.api import Query
from screens.format import safe, wrap
from screens.reading import AskedReading
from screens.rows import Row, text_row
from screens.words import instant

SHOWN = "100"
NONE = "No incident is on record."
STAYS = "They stay on record, so the count does not go down; what is listed as done needs nothing more."


class IncidentsScreen(AskedReading):
    """Newest first, from the store."""

    TITLE_TEXT = "Incidents"
    QUESTION = Query(name="incidents", args={"limit": SHOWN})

    def answer_rows(self, data: Any, width: int) -> list[Row]:
        return incident_rows(data or (), width)


def incident_rows(found: Sequence[Mapping[str, Any]], width: int) -> list[Row]:
    """Each with its time and code, its text, and what to do."""
    rows = [text_row(line, "dim") for line in wrap(STAYS if found else NONE, width, 3)]
    for each in found:
        rows += [text_row(""), text_row(safe(f"{instant(str(each['ts']))}  {each['code']}", width), "danger")]
        rows += [text_row(line) for line in wrap(str(each["text"]), width, 8)]
        rows += [text_row(line, "accent") for line in wrap(f"Do: {each['what_to_do']}", width, 4)]
    return rows
