"""The admin's passphrase: only its salted scrypt hash is kept: in the keyring, else in the key file where there is one,
else in a file that only we may read.

What is kept opens nothing by itself, so that a machine without a keyring (a server over SSH) may have it in a file:
whoever can read the file can only try passphrases, at the price of scrypt for each. A keyring that stores plain text
is not used at all: then the file is.
"""

from __future__ import annotations

import hmac
import os
import stat
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from hashlib import scrypt
from pathlib import Path
from typing import Protocol

from engine.errors import UsageError
from engine.ids import new_salt
from engine.keys import KeyFile

SERVICE, USER = "quarterdeck", "admin-passphrase"
FILE_NAME = "admin"
PASSPHRASE_MIN = 8
PASSPHRASE_MAX = 200
WORK = 2**15
"""scrypt's cost: 32 MB and about a tenth of a second a try."""
TRUSTED = (
    "keyring.backends.SecretService", "keyring.backends.kwallet", "keyring.backends.libsecret",
    "keyring.backends.macOS", "keyring.backends.Windows",
)  # fmt: skip
"""Modules of keyrings that encrypt what they keep, and ask for nothing on the terminal, which would stop a console."""


class Keyring(Protocol):
    """What of a keyring is used."""

    def get_password(self, service: str, username: str, /) -> str | None: ...

    def set_password(self, service: str, username: str, password: str, /) -> None: ...


@dataclass(slots=True)
class AdminSecret:
    """Keeps and checks the hash. Every method may take a second, and belongs in a thread.

    keyring None: the machine's own, where one of `trusted` is there. key_file None: there can be none. While that is
    locked the admin is neither known nor unknown: nothing can be approved and no other passphrase set.
    """

    folder: Path
    keyring: Keyring | None = None
    trusted: tuple[str, ...] = TRUSTED
    work: int = WORK
    key_file: KeyFile | None = None
    _found: bool = field(default=False, init=False)

    @property
    def is_set(self) -> bool:
        """Tell whether there is a passphrase at all."""
        return self._kept() is not None

    @property
    def place(self) -> str:
        """Say where the hash is, or would be, kept."""
        if self._ring() is not None:
            return "the keyring"
        return str(self.key_file.path if self.key_file is not None and self.key_file.exists else self._path)

    def is_right(self, passphrase: str) -> bool:
        """Tell whether a passphrase is the admin's. Raises UsageError when what is kept cannot be trusted."""
        kept = self._kept()
        if kept is None:
            return False
        try:
            form, work, salt, wanted = kept.split("$")
            if form != "scrypt":
                raise ValueError(form)
            found = _hash(passphrase, b64decode(salt), int(work))
        except ValueError:
            raise UsageError(
                f"What {self.place} holds is no hash of ours; remove it, and set a passphrase anew."
            ) from None
        return hmac.compare_digest(found, b64decode(wanted))

    def keep(self, passphrase: str) -> None:
        """Keep another passphrase's hash. Raises UsageError when it is too short, or too long to have been typed."""
        if not PASSPHRASE_MIN <= len(passphrase) <= PASSPHRASE_MAX:
            raise UsageError(f"A passphrase has {PASSPHRASE_MIN} to {PASSPHRASE_MAX} characters; nothing was changed.")
        salt = new_salt()
        parts = ("scrypt", str(self.work), _text(salt), _text(_hash(passphrase, salt, self.work)))
        ring = self._ring()
        if ring is None:
            self._file_away("$".join(parts))
            return
        try:
            ring.set_password(SERVICE, USER, "$".join(parts))
        except Exception as error:  # each keyring has errors of its own
            raise UsageError(f"The keyring took no passphrase ({error}); unlock it, and try again.") from None

    def _kept(self) -> str | None:
        ring = self._ring()
        try:
            kept = ring.get_password(SERVICE, USER) if ring is not None else None
        except Exception as error:  # as above; a locked keyring must not make the file count
            raise UsageError(f"The keyring did not answer ({error}); unlock it, and try again.") from None
        if not kept and self.key_file is not None and self.key_file.exists:
            kept = self.key_file.find(USER)
        return kept or self._read()

    def _file_away(self, text: str) -> None:
        if self.key_file is None or not self.key_file.exists:
            self._write(text)
            return
        self.key_file.put(USER, text)
        self._path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return self.folder / FILE_NAME

    def _ring(self) -> Keyring | None:
        if not self._found:
            self._found = True
            self.keyring = self.keyring or _machines_own()
        return self.keyring if self.keyring is not None and _encrypts(self.keyring, self.trusted) else None

    def _read(self) -> str | None:
        """Read the file, if nobody else can have written it (W09)."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UsageError(f"{self._path} cannot be used ({error.strerror}); it must be a file of yours.") from None
        with os.fdopen(descriptor, encoding="ascii", errors="replace") as file:
            state = os.fstat(descriptor)
            if state.st_uid != os.getuid() or stat.S_IMODE(state.st_mode) & 0o077:
                raise UsageError(f"{self._path} must be yours, with mode 0600; until then nothing can be approved.")
            return file.read(1_000).strip()

    def _write(self, text: str) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = self._path.with_name(f".{FILE_NAME}.part")
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(descriptor)
        part.replace(self._path)


def _hash(passphrase: str, salt: bytes, work: int) -> bytes:
    return scrypt(passphrase.encode(), salt=salt, n=work, r=8, p=1, maxmem=64 * 1024 * 1024, dklen=32)


def _text(raw: bytes) -> str:
    return b64encode(raw).decode()


def _machines_own() -> Keyring | None:
    try:
        import keyring  # slow, and asks the desktop: only where a passphrase is wanted

        return keyring.get_keyring()
    except Exception:  # without a keyring there is the file
        return None


def _encrypts(ring: object, trusted: tuple[str, ...]) -> bool:
    """Tell whether a keyring is known to encrypt; one that chains others must do so with every one of them."""
    chained = getattr(ring, "backends", None)
    if type(ring).__module__ == "keyring.backends.chainer" and chained is not None:
        return bool(chained) and all(_encrypts(each, trusted) for each in chained)
    return type(ring).__module__.startswith(trusted)
