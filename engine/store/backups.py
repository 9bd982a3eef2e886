"""Backups: a store's files as they were at one instant, copied by SQLite's own backup and proven before they count.

A backup is a directory in `backups/` with store.db, paper.db and anchor in it. It has its name only once `verify` has
proven it; what a crash cuts off is left as `*.part` and removed by the next. Secrets are never in a store, so they
are in no backup (W23).
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from engine.errors import StoreError, UsageError
from engine.paths import StorePaths
from engine.store import database
from engine.store.anchor import read_anchor
from engine.store.copies import KEPT, PART, REPLACED, Backup, described, free_name, is_dated, listing
from engine.store.files import open_private, secure_directory
from engine.store.recovery import anchor_problem, tail
from engine.store.verify import verify

_PAGES = 1024


class Frozen:
    """A store's files as they are now, for as long as it takes to copy them, while an engine goes on writing.

    Made on the thread that writes, between two writes: so journal, venue and anchor are of one instant. It is copied
    and closed on any one thread. Raises StoreError when the journal is not the one its anchor names.
    """

    def __init__(self, paths: StorePaths) -> None:
        self._open: dict[str, sqlite3.Connection] = {}
        try:
            for path in (paths.store_db, paths.paper_db):
                if path.exists():
                    self._open[path.name] = _reading(path)
            store = self._open.get(paths.store_db.name)
            if store is None:
                raise UsageError(f"there is no store at {paths.root}; name one with --store.")
            self.seq, self.head = tail(store)
            anchor = read_anchor(paths.anchor)
            problem = anchor_problem(store, anchor, (self.seq, self.head)) if anchor else None
            if problem:
                raise StoreError(f"{problem} It was not copied.")
        except database.DAMAGED as error:
            self.close()
            raise StoreError(f"{paths.store_db} cannot be copied: {error}; restore a backup.") from None
        except BaseException:
            self.close()
            raise

    def copy(self, folder: Path) -> None:
        """Write the copies, and an anchor of the instant, into a new directory; all of it is on disk on return."""
        secure_directory(folder)
        for name, source in self._open.items():
            os.close(open_private(folder / name))
            with closing(sqlite3.connect(folder / name)) as target:
                source.backup(target, pages=_PAGES)
                target.execute("PRAGMA journal_mode = DELETE")
            _sync(folder / name)
        (folder / "anchor").write_text(f"{self.seq:020d} {self.head.hex()}\n", encoding="ascii")
        (folder / "anchor").chmod(0o600)
        _sync(folder / "anchor")
        _sync(folder)

    def close(self) -> None:
        """Let the engine's write-ahead log be taken in again; safe to repeat."""
        for connection in self._open.values():
            connection.close()
        self._open = {}


def copy_store(paths: StorePaths, folder: Path) -> Path:
    """Copy a store that nobody writes; the caller has its lock."""
    with closing(Frozen(paths)) as frozen:
        frozen.copy(folder)
    return folder


def back_up(frozen: Frozen, target: Path) -> Backup:
    """Copy, prove, and only then give the copy its name. Raises StoreError, and leaves nothing, when it is not sound.

    Takes about as long as verify does.
    """
    part = target.with_name(target.name + PART)
    shutil.rmtree(part, ignore_errors=True)
    try:
        secure_directory(target.parent)
        frozen.copy(part)
        frozen.close()
        _prove(StorePaths(part))
        part.rename(target)
        _sync(target.parent)
    except (sqlite3.Error, OSError) as error:
        raise StoreError(f"no backup was made in {target.parent}: {error}; free the disk or name another.") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return described(target)


def prune(paths: StorePaths, keep: int = KEPT) -> list[Path]:
    """Remove all but the newest of the dated backups, and what crashes cut off; return what went."""
    dated = [one.path for one in listing(paths) if is_dated(one)]
    gone = dated[keep:] + list(paths.backups.glob(f"*{PART}"))
    for path in gone:
        shutil.rmtree(path, ignore_errors=True)
    return gone


def restore(paths: StorePaths, source: Path, label: str, *, venue_too: bool = False) -> Path:
    """Put a proven backup in a store's place; the caller has the lock. Return where what it replaced is now.

    label: names that place in `backups/`. The paper venue's own truth stays unless it is gone or venue_too: what it
    did since is then found and explained by the next start, as with any venue (P32). Raises StoreError before
    anything is changed when the backup is not sound.
    """
    staged = StorePaths(paths.restoring)
    shutil.rmtree(staged.root, ignore_errors=True)
    _prove(StorePaths(source))
    copy_store(StorePaths(source), staged.root)
    _prove(staged)
    replaced = free_name(paths, f"{REPLACED}{label}")
    secure_directory(replaced)
    names = ["store.db", "anchor"]
    if venue_too or not _is_sound(paths.paper_db):
        names.append("paper.db")
    for name in (each + end for each in names for end in ("", "-wal", "-shm", "-journal")):
        if (paths.root / name).exists():
            (paths.root / name).rename(replaced / name)
    for name in reversed(names):
        if (staged.root / name).exists():
            move_in(staged.root / name, paths.root / name)
    shutil.rmtree(staged.root)
    return replaced


def move_in(file: Path, place: Path) -> None:
    """Put a file in another's place at once, and on disk."""
    os.replace(file, place)
    _sync(place.parent)


def _prove(paths: StorePaths) -> None:
    report = verify(paths)
    if report.first_breach:
        raise database.DamagedError(f"the copy {paths.root.name} is not sound: {report.first_breach}")
    if paths.paper_db.exists() and not _is_sound(paths.paper_db):
        raise database.DamagedError(f"the copy {paths.root.name} of the paper venue is damaged.")


def _is_sound(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(database.reader_uri(path), uri=True)) as connection:
            return connection.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",)
    except database.DAMAGED:
        return False


def _reading(path: Path) -> sqlite3.Connection:
    database.settle(path)
    connection = sqlite3.connect(
        database.reader_uri(path), uri=True, isolation_level=None, timeout=database.BUSY_MS / 1000,
        check_same_thread=False,
    )  # fmt: skip
    connection.execute("BEGIN")
    connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()  # only a read fixes what is seen
    return connection


def _sync(path: Path) -> None:
    with _opened(path) as fd:
        os.fsync(fd)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
