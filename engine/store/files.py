"""The store's directory and files: for the trader alone (R31)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from engine.errors import StoreError, UsageError

PRIVATE_DIR = 0o700
PRIVATE_FILE = 0o600


def secure_directory(root: Path) -> None:
    """Make a store directory, or tighten one that is already there, to 0700.

    Raises UsageError for a directory others may enter that holds files but no store, so that a slip in --store
    never locks the others out of a shared folder; StoreError when it cannot be made.
    """
    try:
        root.mkdir(mode=PRIVATE_DIR, parents=True, exist_ok=True)
        if stat.S_IMODE(root.stat().st_mode) & 0o077:
            if any(root.iterdir()) and not (root / "store.db").exists():
                raise UsageError(f"{root} holds other files and is open to other users; name an empty directory.")
            root.chmod(PRIVATE_DIR)
    except OSError as error:
        raise StoreError(f"the store directory {root} cannot be used: {error.strerror}; name another one.") from None


def open_private(path: Path) -> int:
    """Open a file for reading and writing, made with mode 0600, and return its descriptor."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
        os.fchmod(fd, PRIVATE_FILE)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}; nothing may trade on this store.") from None
    return fd
