"""Where a key is looked for, in this order: the system's keyring, the encrypted key file, the vendor's variable."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from engine.errors import UsageError
from engine.keys.files import Signature
from engine.keys.keyfile import KeyFile
from engine.keys.ring import (
    find_in_keyring,
    keep_in_keyring,
    keyring_problem,
    names_in_keyring,
    remove_from_keyring,
)
from engine.keys.sealed import LOG2_N
from engine.keys.secret import ENVIRONMENT, RESERVED, KeysLockedError, Secret, check_name, checked_value

IN_FILE = "key file"


class Keychain:
    """The keys of one configuration directory. folder None: there is no key file. log2_n: of a new file's passphrase.

    locked: name -> why it cannot be had, of the keys that were asked for and are in a closed file.
    """

    def __init__(
        self, folder: Path | None, environment: Mapping[str, str] = os.environ, *, log2_n: int = LOG2_N
    ) -> None:  # fmt: skip
        self.file = KeyFile(folder, log2_n) if folder is not None else None
        self.locked: dict[str, str] = {}
        self._environment = environment
        self._seen: Signature | None = None

    def find(self, name: str) -> Secret | None:
        """Return a key; None when there is none. Raises KeysLockedError for one in a file that is not open.

        What is in the file is never replaced by what the environment holds: that may be another account's.
        """
        kept = find_in_keyring(name)
        if kept is not None:
            self.locked.pop(name, None)
            return kept
        if self.file is not None:
            self._seen = self.file.signature
            try:
                sealed = self.file.find(name)
            except UsageError as error:
                self.locked[name] = str(error)
                raise KeysLockedError(str(error)) from None
            self.locked.pop(name, None)
            if sealed is not None:
                return Secret(sealed, IN_FILE)
        variable = ENVIRONMENT.get(name, "")
        value = self._environment.get(variable, "").strip() if variable else ""
        return Secret(value, variable) if value else None

    def why_locked(self, name: str) -> str:
        """Return why a key that was asked for is locked, "" when it is not, or when it is worth asking again."""
        why = self.locked.get(name, "")
        return why if why and self.file is not None and self.file.signature == self._seen else ""

    def unlock(self, passphrase: str) -> None:
        """Open the key file; takes about half a second. Raises WrongPassphraseError or UsageError."""
        self.key_file().unlock(passphrase)
        self.locked.clear()

    def key_file(self) -> KeyFile:
        """Return the key file. Raises UsageError where there can be none."""
        if self.file is None:
            raise UsageError("No key file belongs to this engine; it asks no models that need a key.")
        return self.file

    def keeps_in_file(self, *, asked: bool) -> bool:
        """Tell where a new key goes: to the file if that was asked for, if there is one, or if no keyring is safe."""
        return asked or self.key_file().exists or bool(keyring_problem())

    def keep(self, name: str, value: str, *, in_file: bool) -> str:
        """Keep a key and return where. Raises UsageError for what is no name or no key, and for a locked file."""
        check_name(name)
        value = checked_value(value)
        if in_file:
            self.key_file().put(name, value)
            with contextlib.suppress(UsageError):  # an older one there would be the one that is used
                remove_from_keyring(name)
            return IN_FILE
        keep_in_keyring(name, value)
        return "keyring"

    def is_in_file(self, name: str) -> bool:
        """Tell whether removing a key takes the file's passphrase. Raises UsageError for what is no name."""
        check_name(name)
        return self.file is not None and name in self.file.names()

    def remove(self, name: str) -> str:
        """Forget a key and return where it was. Raises UsageError when there is none, or the file is locked."""
        if self.is_in_file(name):
            self.key_file().remove(name)
            return IN_FILE
        remove_from_keyring(name)
        return "keyring"

    def rows(self) -> list[dict[str, str]]:
        """Return name and origin of every key that would be used, never the key."""
        found = {name: variable for name, variable in ENVIRONMENT.items() if self._environment.get(variable)}
        if self.file is not None:
            found |= dict.fromkeys((name for name in self.file.names() if name not in RESERVED), IN_FILE)
        with contextlib.suppress(UsageError):  # without a keyring there is the rest
            found |= dict.fromkeys(names_in_keyring(), "keyring")
        return [{"name": name, "origin": origin} for name, origin in sorted(found.items())]


def find_key(name: str, environment: Mapping[str, str] = os.environ) -> Secret | None:
    """Return a key from the keyring or the environment, where no configuration, and so no key file, is in play."""
    return Keychain(None, environment).find(name)
