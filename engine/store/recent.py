"""The newest rows of the journal that are not holds, for a stream that begins where a former run ended."""

from __future__ import annotations

from engine.domain.events import CycleHeld, Recorded
from engine.store.queries import event_of
from engine.store.reader import Question

ROWS_LOOKED_AT = 20_000
"""So many rows back at most: what a start costs must not grow with the journal."""


def recent(limit: int) -> Question[list[Recorded]]:
    """Ask for up to limit rows among the newest ones, oldest first."""
    sql = """SELECT seq, ts_ms, kind, payload FROM journal
             WHERE kind <> ? AND seq > (SELECT max(seq) FROM journal) - ? ORDER BY seq DESC LIMIT ?"""
    rows = yield sql, (CycleHeld.KIND, ROWS_LOOKED_AT, limit)
    return [Recorded(seq, ts_ms, event_of(kind, kept)) for seq, ts_ms, kind, kept in reversed(rows)]
