"""Files that nobody else may read or have written (W09): read only when that is so, written whole or not at all."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import UsageError

Signature = tuple[int, int, int]
"""Tells one state of a file from another: inode, time of its last change in ns, size."""


def signature_of(path: Path) -> Signature | None:
    """Return a file's signature; None: it is not there."""
    try:
        state = path.lstat()
    except OSError:
        return None
    return state.st_ino, state.st_mtime_ns, state.st_size


def read_private(path: Path, characters_max: int) -> str | None:
    """Return a file's text; None: there is none. Raises UsageError for one that others could read, write or swap."""
    _refuse_open_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UsageError(f"{path} cannot be used ({error.strerror}); it must be a file of yours.") from None
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_uid != os.getuid():
            raise UsageError(f"{path} must be a file of yours, and no link; until then it is not read.")
        if stat.S_IMODE(state.st_mode) & 0o077:
            mode = stat.S_IMODE(state.st_mode)
            raise UsageError(f"{path} has mode {mode:04o}, so others may have read it: chmod 600 {path}.")
        return file.read(characters_max).decode("utf-8", "replace")


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 that is the old one or the new one after a crash. Raises UsageError when it cannot."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        part.replace(path)
        _flush_folder(path.parent)
    except OSError as error:
        raise UsageError(f"{path} could not be written ({error.strerror}); what it held is still there.") from None


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Let one process at a time read, change and write in a folder; makes it, mode 0700, where it is not there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _refuse_open_folder(folder: Path) -> None:
    try:
        state = folder.stat()
    except OSError:
        return
    if state.st_uid not in (os.getuid(), 0) or stat.S_IMODE(state.st_mode) & 0o022:
        raise UsageError(f"Others may write in {folder}, so a key file in it cannot be trusted: chmod go-w {folder}.")


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
