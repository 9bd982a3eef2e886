"""Older schemas brought up to date: numbered steps, never edited once released (P29).

The step to schema n is named n; sqlite-utils keeps which ran.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from sqlite_utils import Database, Migrations

from engine.domain.books import Books
from engine.domain.money import plain
from engine.errors import StoreError
from engine.paths import StorePaths
from engine.store import backups, codec, database
from engine.store.copies import free_name
from engine.store.database import SCHEMA
from engine.store.packing import unpack
from engine.store.trails import apply_event
from engine.store.verify import verify

Step = Callable[[Database], None]


def _index_lists(db: Database) -> None:
    """To schema 2: lists of the newest fills, orders and decisions by index."""
    db.execute("CREATE INDEX journal_done ON journal (kind) WHERE kind = 11")
    db.execute("CREATE UNIQUE INDEX fills_seq ON fills (seq)")
    db.execute("CREATE UNIQUE INDEX orders_seq ON orders (seq)")
    db.execute("CREATE INDEX orders_open ON orders (seq) WHERE status < 6")


def _reckon_positions(db: Database) -> None:
    """To schema 2: positions in the venue's own order and by its clock; before, they were in the order of arrival."""
    books = Books()
    sql = "SELECT seq, ts_ms, kind, payload FROM journal WHERE kind <> ? ORDER BY seq"
    for seq, ts_ms, kind, kept in db.conn.execute(sql, (codec.HELD,)).fetchall():
        apply_event(books, ts_ms, codec.decode(kind, unpack(kept)), db.conn, seq)
    db.execute("DELETE FROM positions")
    for where, p in books.positions.items():
        row = (*where, plain(p.qty), plain(p.cost), plain(p.realized), p.entered_ms)
        db.execute("INSERT INTO positions VALUES (?, ?, ?, ?, ?, ?)", row)


def _to_2(db: Database) -> None:
    _index_lists(db)
    _reckon_positions(db)


def _to_3(db: Database) -> None:
    """To schema 3: orders in the order of their first rows. Payloads stay as they are; new ones are packed anew."""
    db.execute("ALTER TABLE orders RENAME TO orders_2")
    db.execute(
        "CREATE TABLE orders (\n    id ANY NOT NULL, seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, "
        "status INTEGER NOT NULL,\n    filled_qty TEXT NOT NULL, filled_cost TEXT NOT NULL, resized TEXT\n) STRICT"
    )
    db.execute("INSERT INTO orders SELECT * FROM orders_2 ORDER BY seq")
    db.execute("DROP TABLE orders_2")
    db.execute("CREATE INDEX orders_id ON orders (substr(id, 5, 4))")
    db.execute("CREATE INDEX orders_open ON orders (seq) WHERE status < 6")


STEPS: Mapping[int, Step] = {2: _to_2, 3: _to_3}


def upgrade(paths: StorePaths, schema: int, *, to: int = SCHEMA, steps: Mapping[int, Step] = STEPS) -> Path:
    """Bring a store from one schema to another; return where its backup is. The caller has the lock.

    All steps run on a copy, which takes the store's place when it has been proven. Raises StoreError when a step
    fails or the copy is not sound; the store is then as it was.
    """
    backup = backups.copy_store(paths, free_name(paths, f"schema-{schema}"))
    workplace = StorePaths(paths.root / "migrating")
    shutil.rmtree(workplace.root, ignore_errors=True)
    try:
        backups.copy_store(paths, workplace.root)
        _apply(workplace.store_db, schema, to, steps)
        if to == SCHEMA and (breach := verify(workplace).first_breach):
            raise StoreError(breach)
        database.close_writer(sqlite3.connect(paths.store_db))  # takes its -wal in, which must not meet the new file
        backups.move_in(workplace.store_db, paths.store_db)
    except (sqlite3.Error, StoreError, OSError, ValueError) as error:
        raise StoreError(
            f"{paths.store_db} could not be brought from schema {schema} to {to}: {error} It is as it was, "
            f"and {backup} is a copy of it."
        ) from None
    finally:
        shutil.rmtree(workplace.root, ignore_errors=True)
    return backup


def _apply(path: Path, schema: int, to: int, steps: Mapping[int, Step]) -> None:
    migrations = Migrations("quarterdeck")
    for number in range(schema + 1, to + 1):
        migrations(name=f"{number:04d}")(_numbered(number, steps))
    connection = sqlite3.connect(path)
    try:
        migrations.apply(Database(connection))
    finally:
        connection.close()


def _numbered(number: int, steps: Mapping[int, Step]) -> Step:
    step = steps.get(number)
    if step is None:
        raise StoreError(f"this quarterdeck has no step to schema {number}; install the version before it first.")

    def run(db: Database) -> None:
        step(db)
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", [number])

    return run
