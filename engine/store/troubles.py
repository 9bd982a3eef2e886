"""What the count of incidents is made of: incidents, and differences with the venue, each with what to do."""

from __future__ import annotations

from engine.domain.advice import advice
from engine.domain.events import DifferenceKind
from engine.store.queries import differences, incidents
from engine.store.reader import Question
from engine.store.rows import Record


def troubles(limit: int | None = 100) -> Question[list[Record]]:
    """Ask for them, newest first. code: the incident's, or the difference's kind."""
    told = yield from incidents(limit)
    rows = [row | {"what_to_do": advice(row["code"])} for row in told]
    found = yield from differences(limit)
    rows += [_difference(row) for row in found if row["kind"] != DifferenceKind.MISSED_FILL.value]
    rows.sort(key=lambda row: row["ts"], reverse=True)
    return rows if limit is None else rows[:limit]


def _difference(row: Record) -> Record:
    name, how = row["difference_id"], row["how"]
    do = f"`quarterdeck differences explain {name} --note WHY`, or approve {name}"
    done = f"Nothing more: {str(how).lower()}."
    return {"ts": row["ts"], "code": row["kind"], "text": f"{name}: {row['detail']}", "what_to_do": done if how else do}
