import sqlite3
import stat
from pathlib import Path

import pytest
from sqlite_utils import Database

from engine.errors import StoreError
from engine.paths import StorePaths
from engine.store import database
from engine.store.backups import copy_store
from engine.store.copies import free_name
from engine.store.journal import Journal
from engine.store.migrations import upgrade
from engine.store.verify import verify
from tests.store.samples import GENESIS, OPENING, START_MS


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


def made_old(paths: StorePaths) -> None:
    """Turn a store into one of schema 1."""
    connection = sqlite3.connect(paths.store_db)
    for name in ("journal_done", "fills_seq", "orders_seq", "orders_open"):
        connection.execute(f"DROP INDEX {name}")
    connection.execute("UPDATE meta SET value = 1 WHERE key = 'schema'")
    connection.commit()
    connection.close()


def indexes(paths: StorePaths) -> set[str]:
    connection = sqlite3.connect(paths.store_db)
    rows = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL").fetchall()
    connection.close()
    return {sql for (sql,) in rows}


def wanted_indexes(paths: StorePaths) -> set[str]:
    """Return what a store made today has."""
    fresh = StorePaths(paths.root.parent / "fresh")
    Journal.create(fresh, START_MS, GENESIS, batch=True).close()
    return indexes(fresh)


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
        upgrade(paths, 1, to=database.SCHEMA, steps={2: lose_money})
    assert schema(paths.store_db) == 1
    assert verify(paths).first_breach is None


@pytest.mark.fault("P29")
def test_a_store_of_the_first_schema_is_brought_up_by_opening_it(paths: StorePaths) -> None:
    made_old(paths)
    wanted = wanted_indexes(paths)
    assert not wanted <= indexes(paths)
    journal = Journal.open(paths, batch=True)
    journal.close()
    assert schema(paths.store_db) == database.SCHEMA
    assert wanted <= indexes(paths)
    assert verify(paths).first_breach is None
    assert (paths.backups / "schema-1" / "store.db").exists()


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
