import sqlite3
import stat
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from engine.domain.events import OrderIntended
from engine.errors import StoreError
from engine.paths import StorePaths
from engine.store import chain, database, queries
from engine.store.backups import copy_store
from engine.store.copies import free_name
from engine.store.dictionaries import FIRST, SECOND
from engine.store.journal import Journal
from engine.store.migrations import STEPS, upgrade
from engine.store.packing import unpack
from engine.store.reader import Question, Reader
from engine.store.verify import verify
from tests.store.samples import GENESIS, OPENING, START_MS, round_trips


@pytest.fixture
def paths(tmp_path: Path) -> StorePaths:
    made = StorePaths(tmp_path / "store")
    Journal.create(made, START_MS, GENESIS, *OPENING).close()
    return made


def schema(path: Path) -> int:
    connection = sqlite3.connect(path)
    ((number,),) = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchall()
    connection.close()
    return number


ORDERS_BEFORE = """
DROP INDEX orders_id; DROP INDEX orders_open; ALTER TABLE orders RENAME TO orders_3;
CREATE TABLE orders (
    id ANY PRIMARY KEY, seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, status INTEGER NOT NULL,
    filled_qty TEXT NOT NULL, filled_cost TEXT NOT NULL, resized TEXT
) STRICT, WITHOUT ROWID;
INSERT INTO orders SELECT * FROM orders_3; DROP TABLE orders_3;
"""
INDEXES_OF = {
    1: "DROP INDEX journal_done; DROP INDEX fills_seq;",
    2: "CREATE UNIQUE INDEX orders_seq ON orders (seq); CREATE INDEX orders_open ON orders (seq) WHERE status < 6;",
}


def made_old(paths: StorePaths, number: int = 1) -> None:
    """Turn a store into one of schema 1 or 2."""
    connection = sqlite3.connect(paths.store_db)
    connection.executescript(ORDERS_BEFORE + INDEXES_OF[number])
    pack_as_before(connection)
    connection.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (number,))
    connection.commit()
    connection.close()


def pack_as_before(connection: sqlite3.Connection) -> None:
    """Pack all payloads with the first dictionary."""
    head = chain.GENESIS
    for seq, ts_ms, kind, kept in connection.execute("SELECT seq, ts_ms, kind, payload FROM journal").fetchall():
        head = chain.link(head, seq, ts_ms, kind, unpack(kept))
        if isinstance(kept, bytes) and kept[1 + 4 * kept[0]] & 7 >= 6:
            kept = packed_as_before(kept)
            connection.execute(
                "UPDATE journal SET payload = ?, hash = ? WHERE seq = ?", (kept, chain.check(head, kept), seq)
            )


def packed_as_before(kept: bytes) -> bytes:
    start = 1 + 4 * kept[0]
    first = kept[start] ^ (0b011 if kept[start] & 7 == 6 else 0b100)
    text = zlib.decompressobj(-13, zdict=SECOND.encode()).decompress(bytes((first,)) + kept[start + 1 :])
    packer = zlib.compressobj(9, zlib.DEFLATED, -13, 5, zlib.Z_DEFAULT_STRATEGY, FIRST.encode())
    return kept[:start] + packer.compress(text) + packer.flush()


def layout(paths: StorePaths) -> set[str]:
    connection = sqlite3.connect(paths.store_db)
    rows = connection.execute("SELECT tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    return {sql for table, sql in rows if table != "_sqlite_migrations"}


def wanted_layout(paths: StorePaths) -> set[str]:
    """Return the tables and indexes of a store made today."""
    fresh = StorePaths(paths.root.parent / "fresh")
    Journal.create(fresh, START_MS, GENESIS, batch=True).close()
    return layout(fresh)


def journal_rows(paths: StorePaths, upto: int) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(paths.store_db)
    rows = connection.execute("SELECT * FROM journal WHERE seq <= ? ORDER BY seq", (upto,)).fetchall()
    connection.close()
    return rows


def add_colour(db: Database) -> None:
    db.execute("ALTER TABLE positions ADD COLUMN colour TEXT")


def lose_money(db: Database) -> None:
    db.execute("DELETE FROM balances")


def fail(db: Database) -> None:
    db.execute("DELETE FROM positions")
    raise ValueError("no such luck")


@pytest.mark.fault("P29")
def test_an_older_schema_is_brought_up_step_by_step_after_a_backup(paths: StorePaths) -> None:
    order: list[int] = []
    steps = {2: add_colour, 3: lambda db: order.append(3), 4: lambda db: order.append(4)}
    made_old(paths)
    backup = upgrade(paths, 1, to=4, steps=steps)
    assert (schema(paths.store_db), schema(backup / "store.db"), order) == (4, 1, [3, 4])
    assert stat.S_IMODE((backup / "store.db").stat().st_mode) == 0o600
    assert stat.S_IMODE(backup.stat().st_mode) == 0o700


@pytest.mark.fault("P29")
def test_a_step_that_fails_leaves_the_store_as_it_was(paths: StorePaths) -> None:
    made_old(paths)
    before = paths.store_db.read_bytes()
    with pytest.raises(StoreError, match=r"could not be brought from schema 1 to 3: no such luck"):
        upgrade(paths, 1, to=3, steps={2: add_colour, 3: fail})
    assert paths.store_db.read_bytes() == before
    assert verify(paths).first_breach is None
    assert sorted(each.name for each in paths.root.iterdir()) == ["anchor", "backups", "lock", "store.db"]


@pytest.mark.fault("P29")
def test_a_step_that_leaves_a_store_unsound_is_not_taken(paths: StorePaths) -> None:
    made_old(paths)
    with pytest.raises(StoreError, match="balances row USDT is missing"):
        upgrade(paths, 1, to=database.SCHEMA, steps={2: lose_money, 3: STEPS[3]})
    assert schema(paths.store_db) == 1
    assert verify(paths).first_breach is None


@pytest.mark.fault("P29")
def test_a_store_of_the_first_schema_is_brought_up_by_opening_it(paths: StorePaths) -> None:
    made_old(paths)
    wanted = wanted_layout(paths)
    assert not wanted <= layout(paths)
    journal = Journal.open(paths, batch=True)
    journal.close()
    assert schema(paths.store_db) == database.SCHEMA
    assert wanted == layout(paths)
    assert verify(paths).first_breach is None
    assert (paths.backups / "schema-1" / "store.db").exists()


@pytest.mark.fault("P29")
def test_a_store_of_the_second_schema_is_read_as_it_is_and_its_rows_outlive_being_brought_up(tmp_path: Path) -> None:
    paths = StorePaths(tmp_path / "store")
    journal = Journal.create(paths, START_MS, GENESIS, *OPENING, batch=True)
    trips = round_trips(4)
    for ts_ms, event in trips[:-4]:
        journal.record(ts_ms, event)
    journal.close()
    lists = (queries.orders, queries.fills, queries.decisions)
    told = [ask(paths, each) for each in lists]
    made_old(paths, 2)
    before = verify(paths)
    assert (before.first_breach, before.orders, [ask(paths, each) for each in lists]) == (None, 3, told)
    rows = journal_rows(paths, before.rows)
    assert any(isinstance(row[3], bytes) for row in rows)

    journal = Journal.open(paths, batch=True)
    wanted = next(event for _ts, event in trips if isinstance(event, OrderIntended))
    assert journal.intent_of(wanted.client_order_id) == wanted
    assert [fill.fill.client_order_id for fill in journal.fills_of(wanted.client_order_id)] == [wanted.client_order_id]
    for ts_ms, event in trips[-4:]:
        journal.record(ts_ms, event)
    journal.close()
    after = verify(paths)
    assert (after.first_breach, after.rows, schema(paths.store_db)) == (None, before.rows + 4, database.SCHEMA)
    assert journal_rows(paths, before.rows) == rows
    assert layout(paths) == wanted_layout(paths)
    (last,) = journal_rows(paths, after.rows)[-1:]
    assert packed_as_before(last[3]) != last[3] != unpack(last[3])


def ask(paths: StorePaths, question: Callable[[int], Question[Any]]) -> Any:
    reader = Reader(paths)
    try:
        return reader.read(question(50))
    finally:
        reader.close()


def test_a_schema_without_its_step_is_refused_before_anything_changes(paths: StorePaths) -> None:
    made_old(paths)
    with pytest.raises(StoreError, match="no step to schema 2"):
        upgrade(paths, 1, to=2, steps={})
    assert schema(paths.store_db) == 1


def test_a_copy_is_a_whole_store_and_never_replaces_an_older_one(paths: StorePaths) -> None:
    first = copy_store(paths, free_name(paths, "manual"))
    second = copy_store(paths, free_name(paths, "manual"))
    assert first != second
    for each in (first, second):
        assert verify(StorePaths(each)).first_breach is None
