"""A secret as a value, and the two ways in which one cannot be had."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from engine.errors import UsageError

ENVIRONMENT = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}
SECRET_CHARACTERS_MAX = 4_096
HIDDEN = "[secret]"
RESERVED = ("names", "admin-passphrase")
"""Entries of our own, which no key may be named after."""
_NAME = re.compile(r"[a-z0-9_-]{1,40}")


@dataclass(frozen=True, slots=True)
class Secret:
    """A key with its origin. Its text shows in no repr, no traceback and no format string by accident."""

    value: str = field(repr=False)
    origin: str

    def scrub(self, text: str) -> str:
        """Return a text without the secret in it."""
        return text.replace(self.value, HIDDEN) if self.value else text

    def __str__(self) -> str:
        return HIDDEN


class KeysLockedError(UsageError):
    """The key is in the key file, which nobody has unlocked, or which cannot be used as it stands."""


class WrongPassphraseError(UsageError):
    """The passphrase does not open the key file."""


def check_name(name: str) -> None:
    """Refuse what cannot name a key. Raises UsageError."""
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise UsageError(
            f'"{name[:40]}" cannot name a key; use small letters, digits, "_" and "-", such as "anthropic".'
        )


def checked_value(value: str) -> str:
    """Return a key without the blanks around it. Raises UsageError for what is no key, without repeating it."""
    value = value.strip()
    if not (0 < len(value) <= SECRET_CHARACTERS_MAX and value.isprintable() and value.isascii()):
        raise UsageError("That is not a key: it must be one line of printable characters; nothing was kept.")
    return value
