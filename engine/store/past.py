"""The books as they were before a row, and what one cycle wrote: for judging a decision again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from engine.domain.books import Books
from engine.domain.events import (
    EVENT_TYPES,
    ApprovalAsked,
    Checkpoint,
    CycleDone,
    CycleHeld,
    Event,
    OrderIntended,
    SituationKept,
)
from engine.errors import StoreError
from engine.paths import StorePaths
from engine.store import codec, database
from engine.store.freezing import form, thaw
from engine.store.packing import unpack
from engine.store.queries import RARE
from engine.store.reader import Question
from engine.store.rows import event_of
from engine.store.trails import apply_event

_AFTER = 400
"""Rows behind a cycle's own in which what it caused at once stands."""


@dataclass(frozen=True, slots=True)
class CycleRows:
    """One cycle as the journal has it. caused: its orders and approvals; situation: hash of what it was judged on."""

    seq: int
    ts_ms: int
    event: CycleDone | CycleHeld
    caused: tuple[OrderIntended | ApprovalAsked, ...]
    situation: str


def cycle_rows(cycle_id: str, seq: int) -> Question[CycleRows]:
    """Ask for a cycle's own row, and what it wrote with it."""
    rows = yield (
        "SELECT seq, ts_ms, kind, payload FROM journal WHERE seq BETWEEN ? AND ? ORDER BY seq",
        (seq, seq + _AFTER),
    )
    first = event_of(rows[0][2], rows[0][3])
    assert isinstance(first, CycleDone | CycleHeld)
    mine = list(_of_cycle(cycle_id, [event_of(kind, kept) for _seq, _ms, kind, kept in rows[1:]]))
    digest = next((each.digest for each in mine if isinstance(each, SituationKept)), "")
    caused = tuple(each for each in mine if isinstance(each, OrderIntended | ApprovalAsked))
    return CycleRows(rows[0][0], rows[0][1], first, caused, digest)


def _of_cycle(cycle_id: str, events: list[Event]) -> Iterator[Event]:
    """Yield what a cycle wrote in one go with its row: up to the first row that is of something else."""
    for event in events:
        if getattr(event, "cycle_id", None) != cycle_id:
            return
        yield event


def last_before(kind: type, seq: int) -> Question[list[Event]]:
    """Ask for the events of a rare kind before a row, oldest first."""
    number = next(each for each, cls in EVENT_TYPES.items() if cls is kind)
    rare = f"AND {RARE}" if number >= 30 else ""
    rows = yield f"SELECT kind, payload FROM journal WHERE kind = ? {rare} AND seq < ? ORDER BY seq", (number, seq)
    return [event_of(found, kept) for found, kept in rows]


def books_before(paths: StorePaths, seq: int) -> Books:
    """Return the books as they were before a row: the newest checkpoint before it, and the rows between."""
    with closing(database.connect_reader(paths.store_db)) as connection:
        row = connection.execute(
            f"SELECT seq, payload FROM journal WHERE kind = ? AND {RARE} AND seq < ? ORDER BY seq DESC LIMIT 1",
            (Checkpoint.KIND, seq),
        ).fetchone()
        books, after = Books(), 0
        if row is not None:
            event = codec.decode(Checkpoint.KIND, unpack(row[1]))
            assert isinstance(event, Checkpoint)
            if event.form == form():
                books, after = thaw(event.state), row[0]
        sql = "SELECT seq, ts_ms, kind, payload FROM journal WHERE seq > ? AND seq < ? ORDER BY seq"
        for number, ts_ms, kind, kept in connection.execute(sql, (after, seq)):
            if kind != codec.HELD or books.standing.failing.any:
                apply_event(books, ts_ms, codec.decode(kind, unpack(kept)), connection, number)
        if books.genesis is None:
            raise StoreError(f"the store {paths.root} has no beginning; run quarterdeck verify.")
        return books
