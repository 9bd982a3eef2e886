"""A writer killed without warning: what it acknowledged is there, and what it did not is there whole or not at all."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from engine.paths import StorePaths
from engine.store.database import is_begun
from engine.store.journal import Journal
from engine.store.verify import verify
from tests.store.samples import GENESIS, HELD, START_MS

ROOT = Path(__file__).parents[2]
WRITE = """
import sys
from pathlib import Path
from engine.paths import StorePaths
from engine.store.database import is_begun
from engine.store.journal import Journal
from tests.store.samples import GENESIS, OPENING, START_MS, round_trips
paths = StorePaths(Path(sys.argv[1]))
journal = Journal.create(paths, START_MS, GENESIS, *OPENING)
events = round_trips(100_000 // 25)
for at in range(0, len(events), 4):
    journal.record(events[at][0], *(event for _ts, event in events[at : at + 4]))
    print(journal.seq, journal.tail_hash, flush=True)
"""


def killed_after(paths: StorePaths, records: int) -> list[str]:
    """Let a writer acknowledge some records, kill it, and return its last complete line."""
    command = [sys.executable, "-c", WRITE, str(paths.root)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _record in range(records)]
        os.kill(writer.pid, signal.SIGKILL)
        lines += writer.stdout.readlines()
    assert writer.returncode == -signal.SIGKILL
    return [line for line in lines if line.endswith("\n")][-1].split()


def checkpoints(paths: StorePaths) -> int:
    with closing(sqlite3.connect(paths.store_db)) as connection:
        return connection.execute("SELECT COUNT(*) FROM journal WHERE kind = 70").fetchone()[0]


@pytest.mark.parametrize("records", [1, 7, 60, 300])
@pytest.mark.fault("P02", "P06")
def test_after_kill_9_all_that_was_acknowledged_is_there_and_the_store_is_sound(tmp_path: Path, records: int) -> None:
    paths = StorePaths(tmp_path / "store")
    seq, tail_hash = killed_after(paths, records)
    report = verify(paths)
    assert report.first_breach is None
    assert report.rows >= int(seq)
    recorded = report.rows - 3 - checkpoints(paths)
    assert recorded % 4 == 0  # a record is there whole or not at all
    assert report.fills == report.orders == recorded // 4
    if report.rows == int(seq):
        assert report.tail_hash == tail_hash

    journal = Journal.open(paths)
    assert journal.seq == report.rows
    assert journal.books.count.fills == report.fills
    journal.record(START_MS, HELD)
    journal.close()
    assert verify(paths).rows == report.rows + 1
    assert sorted(path.name for path in paths.root.iterdir()) == ["anchor", "lock", "store.db"]


@pytest.mark.fault("P09")
def test_a_second_kill_during_the_next_run_is_survived_too(tmp_path: Path) -> None:
    paths = StorePaths(tmp_path / "store")
    killed_after(paths, 5)
    rows = verify(paths).rows
    child = os.fork()
    if child == 0:  # opens the store and dies at once, its epoch taken and nothing written
        Journal.open(paths)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    journal = Journal.open(paths)
    assert (journal.seq, journal.epoch) == (rows, 3)
    journal.close()
    assert verify(paths).first_breach is None


CUT_OFF = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = DELETE")
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN IMMEDIATE")
db.execute("CREATE TABLE IF NOT EXISTS cut_off (seq INTEGER PRIMARY KEY, payload BLOB)")
db.executemany("INSERT INTO cut_off (payload) VALUES (zeroblob(4000))", [()] * 50)
os._exit(9)
"""


def cut_off(paths: StorePaths) -> None:
    """Leave the store's file as a process leaves it that was killed outside WAL mode, in a commit."""
    subprocess.run([sys.executable, "-c", CUT_OFF, paths.store_db], check=False)
    left = sqlite3.connect(f"file:{paths.store_db}?mode=ro", uri=True)
    with closing(left), pytest.raises(sqlite3.OperationalError, match="readonly"):
        left.execute("SELECT 1 FROM sqlite_master").fetchone()


def test_a_store_whose_tables_were_cut_off_in_their_commit_was_never_begun(tmp_path: Path) -> None:
    paths = StorePaths(tmp_path / "s")
    paths.root.mkdir(mode=0o700)
    cut_off(paths)
    assert not is_begun(paths)
    Journal.create(paths, START_MS, GENESIS).close()
    assert is_begun(paths)
    assert verify(paths).first_breach is None


@pytest.mark.parametrize("first", ["is_begun", "verify", "open"])
def test_a_store_cut_off_while_it_was_opened_or_closed_is_whole_to_whoever_looks_first(
    tmp_path: Path, first: str
) -> None:
    paths = StorePaths(tmp_path / "s")
    Journal.create(paths, START_MS, GENESIS).close()
    rows = verify(paths).rows
    cut_off(paths)
    if first == "is_begun":
        assert is_begun(paths)
    elif first == "open":
        Journal.open(paths).close()
    assert verify(paths).first_breach is None
    assert verify(paths).rows >= rows
