"""One engine per store: a file lock that says who holds it (R23, S5, P18)."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from engine.errors import StoreLockedError
from engine.paths import StorePaths
from engine.store.files import open_private, secure_directory


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a store. started_ms: 0 when not known."""

    pid: int
    host: str
    started_ms: int


class StoreLock:
    """The lock of one store, held until release() or the end of the process."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        """Let others have the store; safe to repeat."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


def take_lock(paths: StorePaths, started_ms: int = 0) -> StoreLock:
    """Take the store's lock, making its directory if need be.

    Raises StoreLockedError, naming process and host, when another engine (or another lock here) has it.
    """
    secure_directory(paths.root)
    fd = open_private(paths.lock)
    if not _flock(fd):
        owner = _read_owner(fd)
        os.close(fd)
        raise _owned(paths, owner)
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started_ms": started_ms})
    os.ftruncate(fd, 0)
    os.pwrite(fd, text.encode(), 0)
    return StoreLock(fd)


def refuse_owned(root: Path) -> None:
    """Raise StoreLockedError when an engine owns the store in a directory; a directory that is not there is free."""
    paths = StorePaths(root)
    owner = lock_owner(paths)
    if owner is not None:
        raise _owned(paths, owner)


def lock_owner(paths: StorePaths) -> Owner | None:
    """Return who holds a store, None when nobody does. Never keeps the lock."""
    try:
        fd = os.open(paths.lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _flock(fd, fcntl.LOCK_SH) else _read_owner(fd)
    finally:
        os.close(fd)


def _owned(paths: StorePaths, owner: Owner) -> StoreLockedError:
    return StoreLockedError(
        f"The store {paths.root} belongs to the engine with pid {owner.pid} on {owner.host}; "
        f"`quarterdeck status` and the other commands reach it, or stop it first."
    )


def _flock(fd: int, how: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_owner(fd: int) -> Owner:
    # Its writer may be between taking the lock and writing its name.
    try:
        fields = json.loads(os.pread(fd, 4096, 0))
        return Owner(int(fields["pid"]), str(fields["host"]), int(fields["started_ms"]))
    except (ValueError, KeyError, TypeError):
        return Owner(0, "an unknown host", 0)
