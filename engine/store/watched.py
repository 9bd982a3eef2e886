"""A writing connection that reports its statements before and after they run, so that a simulator can fail them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

from engine.domain.events import Recorded
from engine.paths import StorePaths
from engine.store import database
from engine.store.rows import event_of

Hook = Callable[[str], None]
"""Told a statement's text; whatever it raises comes out of the statement."""


def watched(before: Hook, after: Hook) -> type[sqlite3.Connection]:
    """Return a class of connections for Journal.open that calls one hook before each statement, one after it."""

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            before(sql)
            cursor = super().execute(sql, parameters)
            after(sql)
            return cursor

        def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
            before(sql)
            cursor = super().executemany(sql, parameters)
            after(sql)
            return cursor

    return Watched


def disk_full() -> sqlite3.OperationalError:
    """Return what SQLite raises when the disk is full (P23, P24)."""
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorname = "SQLITE_FULL"  # type: ignore[attr-defined]
    return error


def rows_after(paths: StorePaths, seq: int) -> list[Recorded]:
    """Return the journal's rows beyond one, read from the file itself."""
    connection = database.connect_reader(paths.store_db)
    try:
        found = connection.execute("SELECT seq, ts_ms, kind, payload FROM journal WHERE seq > ? ORDER BY seq", (seq,))
        return [Recorded(number, ts_ms, event_of(kind, kept)) for number, ts_ms, kind, kept in found]
    finally:
        connection.close()
