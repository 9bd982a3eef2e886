import sqlite3
import stat
from pathlib import Path

import pytest
from sqlite_utils import Database

from engine.errors import StoreError
from engine.paths import StorePaths
from engine.store.journal import Journal
from engine.store.migrations import back_up, upgrade
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


def add_colour(db: Database) -> None:
    db.execute("ALTER TABLE positions ADD COLUMN colour TEXT")


def fail(db: Database) -> None:
    db.execute("DELETE FROM positions")
    raise ValueError("no such luck")


@pytest.mark.fault("P29")
def test_an_older_schema_is_brought_up_step_by_step_after_a_backup(paths: StorePaths) -> None:
    order: list[int] = []
    steps = {2: add_colour, 3: lambda db: order.append(3), 4: lambda db: order.append(4)}
    backup = upgrade(paths, 1, to=4, steps=steps)
    assert (schema(paths.store_db), schema(backup), order) == (4, 1, [3, 4])
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert stat.S_IMODE(backup.parent.stat().st_mode) == 0o700


@pytest.mark.fault("P29")
def test_a_step_that_fails_leaves_the_store_as_it_was(paths: StorePaths) -> None:
    with pytest.raises(StoreError, match=r"could not be brought from schema 1 to 2: no such luck"):
        upgrade(paths, 1, to=2, steps={2: fail})
    assert schema(paths.store_db) == 1
    assert verify(paths).first_breach is None


def test_a_schema_without_its_step_is_refused_before_anything_changes(paths: StorePaths) -> None:
    with pytest.raises(StoreError, match="no step to schema 2"):
        upgrade(paths, 1, to=2, steps={})
    assert schema(paths.store_db) == 1


def test_a_backup_is_a_whole_store_and_never_replaces_an_older_one(paths: StorePaths, tmp_path: Path) -> None:
    first, second = back_up(paths, "manual"), back_up(paths, "manual")
    assert first != second
    restored = StorePaths(tmp_path / "restored")
    restored.root.mkdir(mode=0o700)
    restored.store_db.write_bytes(second.read_bytes())
    restored.anchor.write_bytes(paths.anchor.read_bytes())
    assert verify(restored).first_breach is None
