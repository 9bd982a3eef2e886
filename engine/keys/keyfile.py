"""The key file on its disk: looked at, opened and changed; never half written, never trusted where others may write."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import UsageError
from engine.keys.files import Signature, alone_in, read_private, signature_of, write_private
from engine.keys.sealed import (
    FILE_CHARACTERS_MAX,
    LOG2_N,
    Lock,
    Sealed,
    damaged,
    lock_of,
    new_lock,
    open_sealed,
    read_sealed,
    seal,
)
from engine.keys.secret import KeysLockedError, WrongPassphraseError

FILE_NAME = "keys.sealed"
LOCKED = "The keys are locked: unlock them with u in the console, or with `quarterdeck keys unlock`"
Values = dict[str, str]


@dataclass(slots=True)
class KeyFile:
    """One key file, closed until it is unlocked; any thread may use it. log2_n: what a new one costs to open.

    Once open, the key it opened with stays in memory, not the passphrase, and a file that another process changed is
    read again with it. Where that no longer opens it, the file is locked again.
    """

    folder: Path
    log2_n: int = LOG2_N
    _lock: Lock | None = field(default=None, repr=False)
    _values: Values = field(default_factory=dict, repr=False)
    _seen: Signature | None = None
    _names: tuple[str, ...] = ()
    _busy: threading.RLock = field(default_factory=threading.RLock, repr=False)

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.folder / FILE_NAME

    @property
    def exists(self) -> bool:
        """Tell whether there is one, usable or not."""
        return signature_of(self.path) is not None

    @property
    def signature(self) -> Signature | None:
        """Return what tells the file's present state from another; None: there is none."""
        return signature_of(self.path)

    @property
    def is_open(self) -> bool:
        """Tell whether its values can be had now. Raises UsageError when it cannot be used as it stands."""
        with self._busy:
            self._look()
            return self._lock is not None

    def names(self) -> tuple[str, ...]:
        """Return the names of its entries, open or not; empty without one. Raises UsageError as is_open."""
        with self._busy:
            self._look()
            return self._names

    def find(self, name: str) -> str | None:
        """Return an entry; None: there is none of that name. Raises KeysLockedError for one that is locked."""
        with self._busy:
            if name not in self.names():
                return None
            if self._lock is None:
                raise KeysLockedError(LOCKED)
            return self._values[name]

    def unlock(self, passphrase: str) -> None:
        """Open it. Raises WrongPassphraseError, or UsageError when there is none or it cannot be used."""
        seen, sealed = self.signature, self._read()
        if sealed is None:
            raise UsageError(f"There is no key file {self.path}; `quarterdeck keys set --file NAME` makes one.")
        lock = lock_of(sealed.header, passphrase)
        self._take(lock, open_sealed(sealed, lock), seen)

    def begin(self, passphrase: str) -> None:
        """Make an empty one under a new passphrase; nothing is written before its first entry."""
        if self.exists:
            raise UsageError(f"There is a key file {self.path} already.")
        with self._busy:
            self._lock, self._values, self._seen = new_lock(passphrase, self.log2_n), {}, None

    def put(self, name: str, value: str) -> None:
        """Keep an entry. Raises KeysLockedError while it is locked."""
        self._change(lambda values: values.update({name: value}))

    def remove(self, name: str) -> None:
        """Forget an entry. Raises KeysLockedError while it is locked."""
        self._change(lambda values: values.pop(name, None))

    def change_passphrase(self, new: str) -> None:
        """Seal it under another passphrase. Raises KeysLockedError while it is locked."""
        lock = new_lock(new, self.log2_n)
        self._change(lambda _values: None, lock)

    def _change(self, change: Callable[[Values], object], new: Lock | None = None) -> None:
        """Read, change and write with no other process in between."""
        with self._busy, alone_in(self.folder):
            self._look()
            if self._lock is None:
                raise KeysLockedError(LOCKED)
            values = dict(self._values)
            change(values)
            lock = new or self._lock
            write_private(self.path, seal(values, lock))
            self._take(lock, values, self.signature)

    def _take(self, lock: Lock, values: Values, seen: Signature | None) -> None:
        with self._busy:
            self._lock, self._values, self._names, self._seen = lock, values, tuple(sorted(values)), seen

    def _look(self) -> None:
        """Read the file again if it is not the one that was read last."""
        now = self.signature
        if now == self._seen:
            return
        sealed = self._read()
        self._seen, self._names = now, sealed.header.names if sealed else ()
        if sealed is None:
            self._close()
        elif self._lock is not None:
            try:
                self._values = open_sealed(sealed, self._lock)
            except WrongPassphraseError:
                self._close()

    def _close(self) -> None:
        self._lock, self._values = None, {}

    def _read(self) -> Sealed | None:
        text = read_private(self.path, FILE_CHARACTERS_MAX + 1)
        if text is None:
            return None
        if len(text) > FILE_CHARACTERS_MAX:
            raise damaged(str(self.path))
        return read_sealed(text, str(self.path))
