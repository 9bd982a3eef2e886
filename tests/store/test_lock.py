import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import StoreLockedError
from engine.paths import StorePaths
from engine.store.journal import Journal
from engine.store.lock import lock_owner, take_lock
from tests.store.samples import LIVE_DATA, OPENING, START_MS

ROOT = Path(__file__).parents[2]
OPEN = """
import sys
from pathlib import Path
from engine.errors import QuarterdeckError
from engine.paths import StorePaths
from engine.store.journal import Journal
try:
    Journal.open(StorePaths(Path(sys.argv[1]))).close()
except QuarterdeckError as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def paths(tmp_path: Path) -> StorePaths:
    return StorePaths(tmp_path / "store")


def opened_elsewhere(paths: StorePaths) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", OPEN, str(paths.root)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=30)


@pytest.mark.fault("P18")
def test_a_second_engine_leaves_with_exit_code_3_naming_pid_and_host(paths: StorePaths) -> None:
    journal = Journal.create(paths, START_MS, LIVE_DATA, *OPENING)
    done = opened_elsewhere(paths)
    assert done.returncode == 3, done.stderr
    assert f"pid {os.getpid()} on " in done.stdout
    journal.close()
    assert opened_elsewhere(paths).returncode == 0


def test_the_lock_is_held_against_this_process_too(paths: StorePaths) -> None:
    lock = take_lock(paths, started_ms=START_MS)
    with pytest.raises(StoreLockedError):
        take_lock(paths)
    owner = lock_owner(paths)
    assert owner is not None
    assert (owner.pid, owner.started_ms) == (os.getpid(), START_MS)
    lock.release()
    lock.release()
    assert lock_owner(paths) is None
    take_lock(paths).release()


def test_asking_for_the_owner_neither_takes_nor_makes_a_lock(paths: StorePaths) -> None:
    assert lock_owner(paths) is None
    assert not paths.root.exists()
    take_lock(paths).release()
    assert lock_owner(paths) is None
    take_lock(paths).release()


def test_a_lock_left_by_a_process_that_died_is_free(paths: StorePaths) -> None:
    paths.root.mkdir(mode=0o700)
    paths.lock.write_text(json.dumps({"pid": 1, "host": "gone", "started_ms": 0}))
    assert lock_owner(paths) is None
    take_lock(paths).release()


def test_a_lock_of_the_callers_is_used_and_kept_when_opening_fails(paths: StorePaths) -> None:
    lock = take_lock(paths)
    Journal.create(paths, START_MS, LIVE_DATA, lock=lock).close()
    assert lock_owner(paths) is None
    lock = take_lock(paths)
    paths.store_db.write_bytes(b"x" * 4096)
    with pytest.raises(Exception, match="no store"):
        Journal.open(paths, lock=lock)
    assert lock_owner(paths) is not None
    lock.release()


def test_a_failed_opening_gives_the_lock_back(paths: StorePaths) -> None:
    Journal.create(paths, START_MS, LIVE_DATA).close()
    paths.store_db.write_bytes(b"x" * 4096)
    with pytest.raises(Exception, match="no store"):
        Journal.open(paths)
    assert lock_owner(paths) is None
