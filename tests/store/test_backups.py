"""Backups are proven before they count, and a restore keeps what it replaces."""

import os
import re
import shutil
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest

from engine.errors import StoreError, UsageError
from engine.paths import StorePaths
from engine.store import backups, copies
from engine.store.backups import Frozen, back_up, prune, restore
from engine.store.copies import dated_name, listing
from engine.store.journal import Journal
from engine.store.verify import verify
from tests.store.samples import GENESIS, HELD, LIVE_DATA, MINUTE_MS, OPENING, START_MS, round_trips


@pytest.fixture
def paths(tmp_path: Path) -> StorePaths:
    made = StorePaths(tmp_path / "store")
    journal = Journal.create(made, START_MS, LIVE_DATA, *OPENING)
    for ts_ms, event in round_trips(4):
        journal.record(ts_ms, event)
    journal.close()
    return made


def venue(paths: StorePaths, fills: int) -> None:
    """Let the venue's file say something of its own."""
    with closing(sqlite3.connect(paths.paper_db)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS fills (n INTEGER)")
        connection.executemany("INSERT INTO fills VALUES (?)", [(each,) for each in range(fills)])
        connection.commit()


def venue_fills(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT COUNT(*) FROM fills").fetchone()[0]


def made(paths: StorePaths, minute: int = 0) -> Path:
    with closing(Frozen(paths)) as frozen:
        return back_up(frozen, dated_name(paths, START_MS + minute * MINUTE_MS)).path


def test_a_backup_is_a_whole_store_private_and_proven(paths: StorePaths) -> None:
    venue(paths, 3)
    copy = made(paths)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d{6}Z", copy.name)
    assert sorted(each.name for each in copy.iterdir()) == ["anchor", "paper.db", "store.db"]
    assert {stat.S_IMODE(each.stat().st_mode) for each in copy.iterdir()} == {0o600}
    assert stat.S_IMODE(copy.stat().st_mode) == 0o700
    assert verify(StorePaths(copy)).tail_hash == verify(paths).tail_hash
    assert venue_fills(copy / "paper.db") == 3
    (listed,) = listing(paths)
    assert (listed.path, listed.seq) == (copy, verify(paths).rows)


def test_a_backup_of_a_running_store_is_of_the_instant_it_was_begun_at(paths: StorePaths) -> None:
    journal = Journal.open(paths)
    venue(paths, 1)
    journal.record(START_MS, HELD)
    frozen, seq, head = Frozen(paths), journal.seq, journal.tail_hash
    journal.record(START_MS, HELD)
    venue(paths, 5)
    found: list[copies.Backup] = []
    thread = threading.Thread(target=lambda: found.append(back_up(frozen, dated_name(paths, START_MS))))
    thread.start()
    journal.record(START_MS, HELD)
    thread.join()
    report = verify(StorePaths(found[0].path))
    assert (report.tail_seq, report.tail_hash, report.first_breach) == (seq, head, None)
    assert venue_fills(found[0].path / "paper.db") == 1
    assert (frozen.seq, frozen.head.hex()) == (seq, head)
    journal.close()


@pytest.mark.fault("P28")
def test_a_store_that_is_not_sound_gives_no_backup(paths: StorePaths) -> None:
    with closing(sqlite3.connect(paths.store_db)) as connection:
        connection.execute("UPDATE balances SET held = '1'")
        connection.commit()
    with pytest.raises(StoreError, match=r"is not sound: balances row"):
        made(paths)
    assert listing(paths) == []
    assert list(paths.backups.iterdir()) == []


def test_a_store_whose_tail_was_cut_is_not_copied(paths: StorePaths) -> None:
    paths.anchor.write_text(f"{10**6:020d} {'0' * 64}\n")
    with pytest.raises(StoreError, match="its tail was cut off"):
        Frozen(paths)


def test_the_newest_are_kept_and_named_copies_stay(paths: StorePaths) -> None:
    kept = [made(paths, minute) for minute in range(4)]
    for number, path in enumerate(kept):
        for file in path.iterdir():
            os.utime(file, (1_700_000_000 + number, 1_700_000_000 + number))
    named = backups.copy_store(paths, copies.free_name(paths, "schema-1"))
    (paths.backups / "cut-off.part").mkdir()
    prune(paths, keep=2)
    assert sorted(each.name for each in paths.backups.iterdir()) == sorted(
        [kept[2].name, kept[3].name, named.name]
    )  # fmt: skip


def test_two_backups_of_one_second_have_two_names(paths: StorePaths) -> None:
    assert made(paths) != made(paths)


def test_a_restore_puts_the_backup_in_place_and_keeps_what_was_there(paths: StorePaths) -> None:
    copy = made(paths)
    rows = verify(paths).rows
    journal = Journal.open(paths)
    journal.record(START_MS, HELD)
    journal.close()
    replaced = restore(paths, copy, "today")
    assert verify(paths).rows == rows
    assert verify(StorePaths(replaced)).rows == rows + 1
    assert not paths.restoring.exists()
    assert copy.exists()
    Journal.open(paths).close()


@pytest.mark.fault("P32")
def test_a_restore_leaves_the_venue_its_own_truth_unless_it_is_damaged(paths: StorePaths) -> None:
    venue(paths, 2)
    copy = made(paths)
    venue(paths, 3)
    restore(paths, copy, "a")
    assert venue_fills(paths.paper_db) == 5
    restore(paths, copy, "b", venue_too=True)
    assert venue_fills(paths.paper_db) == 2
    paths.paper_db.write_bytes(b"x" * 8192)
    replaced = restore(paths, copy, "c")
    assert venue_fills(paths.paper_db) == 2
    assert (replaced / "paper.db").read_bytes() == b"x" * 8192


@pytest.mark.fault("P28")
def test_a_backup_that_is_not_sound_changes_nothing(paths: StorePaths) -> None:
    copy = made(paths)
    with closing(sqlite3.connect(copy / "store.db")) as connection:
        connection.execute("UPDATE journal SET ts_ms = 5 WHERE seq = 7")
        connection.commit()
    before = paths.store_db.read_bytes()
    with pytest.raises(StoreError, match="is not sound: journal row 7 is not what was written"):
        restore(paths, copy, "today")
    assert paths.store_db.read_bytes() == before
    assert [each.name for each in paths.backups.iterdir()] == [copy.name]


@pytest.mark.fault("P28")
def test_a_damaged_store_names_the_newest_backup_and_the_command(paths: StorePaths) -> None:
    copy = made(paths)
    data = bytearray(paths.store_db.read_bytes())
    data[4096:8192] = os.urandom(4096)
    paths.store_db.write_bytes(data)
    with pytest.raises(StoreError) as found:
        Journal.open(paths)
    rows = verify(StorePaths(copy)).rows
    assert str(found.value).endswith(
        f"nothing trades on it: restore the newest backup, proven up to row {rows}: "
        f"quarterdeck db restore {copy.name}."
    )  # fmt: skip
    restore(paths, copy, "damaged")
    Journal.open(paths).close()


@pytest.mark.fault("P31")
@pytest.mark.parametrize("how", ["unlink", "empty"])
def test_no_new_store_is_begun_where_one_was_lost(paths: StorePaths, how: str) -> None:
    paths.store_db.unlink() if how == "unlink" else paths.store_db.write_bytes(b"")
    for attempt in (lambda: Journal.create(paths, START_MS, GENESIS), lambda: Journal.open(paths)):
        with pytest.raises(StoreError, match=r"is gone, and its anchor says that it had 19 rows"):
            attempt()


def test_a_restore_that_was_cut_off_is_said_and_done_again(paths: StorePaths) -> None:
    copy = made(paths)
    paths.restoring.mkdir()
    paths.store_db.unlink()
    paths.anchor.unlink()
    with pytest.raises(StoreError, match=f"was cut off; .* quarterdeck db restore {copy.name}"):
        Journal.create(paths, START_MS, GENESIS)
    restore(paths, copy, "again")
    assert verify(paths).first_breach is None


def test_a_backup_that_is_not_there_is_named_with_those_that_are(paths: StorePaths, tmp_path: Path) -> None:
    copy = made(paths)
    with pytest.raises(UsageError, match=f"there is no backup x; there are: {copy.name}"):
        copies.found(paths, "x")
    elsewhere = Path(shutil.copytree(copy, tmp_path / "elsewhere"))
    assert copies.found(paths, str(elsewhere)) == elsewhere
    assert copies.found(paths, copy.name) == copy
    assert "there is no backup of it" in copies.advice(StorePaths(tmp_path))
