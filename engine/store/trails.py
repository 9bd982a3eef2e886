"""Take an event into the books, with the journal's help where a fill comes too late for them to know its place."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from engine.domain.books import Books
from engine.domain.events import (
    Adjusted,
    Event,
    FeePosted,
    FillCorrected,
    Filled,
    FundsMoved,
    Genesis,
    InstrumentListed,
)
from engine.domain.ledger import Posting
from engine.domain.portfolio import LateMoveError, Move, MoveKey, Position, Trail
from engine.store import codec
from engine.store.packing import unpack

Where = tuple[str, str]
_SOURCES = (Genesis, InstrumentListed, FundsMoved, Filled, Adjusted, FillCorrected, FeePosted)
_ROWS = (
    f"SELECT ts_ms, kind, payload FROM journal WHERE kind IN ({','.join(str(cls.KIND) for cls in _SOURCES)}) "
    "AND seq < ? ORDER BY seq"
)


def apply_event(
    books: Books, ts_ms: int, event: Event, connection: sqlite3.Connection, seq: int, unwritten: Sequence[Event] = ()
) -> tuple[Posting, ...]:
    """Apply the event of a row, and return the entry it makes.

    seq: the row's; the journal is asked for those before it. unwritten: what comes between the journal's end and it.
    """
    while True:
        try:
            return books.apply(ts_ms, event)
        except LateMoveError as late:
            where: Where = late.args[0]
            books.trails[where] = _whole_trail(connection, where, seq, ts_ms, unwritten)


def _whole_trail(
    connection: sqlite3.Connection, where: Where, seq: int, ts_ms: int, unwritten: Sequence[Event]
) -> Trail:
    gatherer = _Gatherer()
    gatherer.where, gatherer.found = where, {}
    for row_ms, kind, kept in connection.execute(_ROWS, (seq,)):
        gatherer.apply(row_ms, codec.decode(kind, unpack(kept)))
    for event in unwritten:
        if isinstance(event, _SOURCES):
            gatherer.apply(ts_ms, event)
    return Trail.of([move for _key, move in sorted(gatherer.found.items())], Position(*where))


class _Gatherer(Books):
    """Books that gather the moves of one position instead of making any."""

    __slots__ = ("found", "where")

    where: Where
    found: dict[MoveKey, Move]

    def _move(self, moves: dict[Where, Move], known: object = ()) -> None:
        for where, move in moves.items():
            self.positions.setdefault(where, Position(*where))
            if where == self.where:
                self.found[move.key] = move
