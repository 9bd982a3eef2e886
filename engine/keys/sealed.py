"""The key file's form: values under a passphrase, by scrypt and AES-256-GCM (R31).

Three lines of text: a header as canonical JSON, the sealed values in hex, and the first 16 bytes of the SHA-256 of
both lines. The cipher proves the header too, so that a byte changed anywhere is found; the sum on the third line only
lets damage be told from a wrong passphrase before anybody is asked for one. The header names the entries, because what
is locked must be known while it is locked; which vendors an account uses stands in the agents' files as well.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import scrypt, sha256
from typing import Any

from engine.errors import UsageError
from engine.ids import new_nonce, new_salt
from engine.keys.secret import WrongPassphraseError

FORMAT = 1
LOG2_N = 17
"""scrypt's cost as a power of two, with r = 8 and p = 1: 128 MB and about half a second a try."""
LOG2_N_MIN, LOG2_N_MAX = 10, 20
PASSPHRASE_MIN, PASSPHRASE_MAX = 10, 200
FILE_CHARACTERS_MAX = 400_000
_BLOCK, _LANES = 8, 1
_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_SUM_CHARACTERS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands in the clear: cost, salt, nonce, and the names of the entries, sorted."""

    log2_n: int
    salt: str
    nonce: str
    names: tuple[str, ...]

    @property
    def line(self) -> str:
        """Return the header as it is written, which is what the cipher proves."""
        told = {
            "quarterdeck-keys": FORMAT, "kdf": "scrypt", "log2_n": self.log2_n, "r": _BLOCK, "p": _LANES,
            "cipher": "aes-256-gcm", "salt": self.salt, "nonce": self.nonce, "names": list(self.names),
        }  # fmt: skip
        return json.dumps(told, separators=(",", ":"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A key file's text, taken apart and found whole; still closed."""

    header: Header
    closed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """What opens and closes a file: the key that a passphrase came to. It shows in no repr."""

    key: bytes = field(repr=False)
    salt: str
    log2_n: int


def new_lock(passphrase: str, log2_n: int = LOG2_N) -> Lock:
    """Make a lock from a passphrase nobody has used yet. Raises UsageError for one too short to be worth it."""
    if not PASSPHRASE_MIN <= len(passphrase) <= PASSPHRASE_MAX:
        raise UsageError(f"A passphrase has {PASSPHRASE_MIN} to {PASSPHRASE_MAX} characters; nothing was kept.")
    salt = new_salt().hex()
    return Lock(key=_derived(passphrase, salt, log2_n), salt=salt, log2_n=log2_n)


def lock_of(header: Header, passphrase: str) -> Lock:
    """Make the lock that a passphrase comes to for a file; whether it opens, only opening tells."""
    return Lock(key=_derived(passphrase, header.salt, header.log2_n), salt=header.salt, log2_n=header.log2_n)


def seal(values: Mapping[str, str], lock: Lock) -> str:
    """Write values as a key file; each time under a nonce of its own."""
    header = Header(log2_n=lock.log2_n, salt=lock.salt, nonce=new_nonce().hex(), names=tuple(sorted(values)))
    plain = json.dumps(dict(sorted(values.items()))).encode()
    closed = _cipher(lock).encrypt(bytes.fromhex(header.nonce), plain, header.line.encode())
    body = f"{header.line}\n{closed.hex()}\n"
    return f"{body}{_sum(body)}\n"


def read_sealed(text: str, where: str) -> Sealed:
    """Take a key file apart. Raises UsageError for damage, and for a form that this version does not know."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3] or lines[2] != _sum(f"{lines[0]}\n{lines[1]}\n") or not _HEX.fullmatch(lines[1]):
        raise damaged(where)
    return Sealed(header=_header(lines[0], where), closed=bytes.fromhex(lines[1]))


def open_sealed(sealed: Sealed, lock: Lock) -> dict[str, str]:
    """Return the values. Raises WrongPassphraseError when the lock does not fit, or somebody forged the file."""
    from cryptography.exceptions import InvalidTag  # 0.05 s, and only where there is a key file

    header = sealed.header
    try:
        plain = _cipher(lock).decrypt(bytes.fromhex(header.nonce), sealed.closed, header.line.encode())
    except InvalidTag:
        raise WrongPassphraseError("That passphrase does not open the key file; nothing was changed.") from None
    values = json.loads(plain)
    return {str(name): str(value) for name, value in values.items()}


def damaged(where: str) -> UsageError:
    """Return the error of a file whose bytes are not those that were written."""
    return UsageError(f"{where} is damaged; put a copy of yours in its place, or remove it and set the keys anew.")


def _header(line: str, where: str) -> Header:
    try:
        told: dict[str, Any] = json.loads(line)
        if told["quarterdeck-keys"] != FORMAT:
            raise UsageError(f"{where} was written by a newer version, which alone can read it; install that one.")
        header = Header(
            log2_n=int(told["log2_n"]), salt=str(told["salt"]), nonce=str(told["nonce"]), names=tuple(told["names"])
        )
    except (ValueError, KeyError, TypeError):
        raise damaged(where) from None
    whole = all(_HEX.fullmatch(each) for each in (header.salt, header.nonce)) and len(header.nonce) == 24
    if not (whole and LOG2_N_MIN <= header.log2_n <= LOG2_N_MAX and header.line == line):
        raise damaged(where)
    return header


def _derived(passphrase: str, salt: str, log2_n: int) -> bytes:
    """Keyboards write one letter in several ways; NFC makes them one."""
    try:
        typed = unicodedata.normalize("NFC", passphrase[: PASSPHRASE_MAX + 1]).encode()
    except UnicodeEncodeError:  # its words would quote what was typed
        raise WrongPassphraseError("A passphrase is text; what was given is none.") from None
    memory = 2 * 128 * _BLOCK * 2**log2_n
    try:
        return scrypt(typed, salt=bytes.fromhex(salt), n=2**log2_n, r=_BLOCK, p=_LANES, maxmem=memory, dklen=32)
    except (MemoryError, ValueError):
        raise UsageError(f"Opening the key file takes {2**log2_n >> 10} MB of memory, which is not there.") from None


def _cipher(lock: Lock) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # as above

    return AESGCM(lock.key)


def _sum(body: str) -> str:
    return sha256(body.encode()).hexdigest()[:_SUM_CHARACTERS]
