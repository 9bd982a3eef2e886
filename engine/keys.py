"""Secrets: kept in the system's keyring, never in a file of ours, a log or the store (R31).

Where the keyring holds nothing, a vendor's usual environment variable is read: a server without a desktop gets its
keys from its service manager.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import UsageError

SERVICE = "quarterdeck"
NAMES = "names"
ENVIRONMENT = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}
SECRET_CHARACTERS_MAX = 4_096
HIDDEN = "[secret]"

# What keeps a secret as anybody can read it, or not at all.
_UNSAFE = ("keyrings.alt", "keyring.backends.fail", "keyring.backends.null")
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


def find_key(name: str, environment: Mapping[str, str] = os.environ) -> Secret | None:
    """Return a key from the keyring, else from the vendor's environment variable; None when there is none."""
    kept = None
    with contextlib.suppress(Exception):  # a backend that fails, whatever its errors, is as good as an empty one
        kept = _keyring().get_password(SERVICE, name)
    if kept:
        return Secret(kept, "keyring")
    variable = ENVIRONMENT.get(name, "")
    value = environment.get(variable, "").strip() if variable else ""
    return Secret(value, variable) if value else None


def set_key(name: str, value: str) -> None:
    """Keep a key. Raises UsageError for a bad name, an empty or odd value, or a keyring that would not hide it."""
    _check_name(name)
    value = value.strip()
    if not (0 < len(value) <= SECRET_CHARACTERS_MAX and value.isprintable() and value.isascii()):
        raise UsageError("That is not a key: it must be one line of printable characters; nothing was kept.")
    _asked(lambda ring: ring.set_password(SERVICE, name, value))
    if name not in _names():
        _remember({*_names(), name})


def remove_key(name: str) -> None:
    """Forget a key. Raises UsageError when there is none of that name."""
    _check_name(name)
    if _asked(lambda ring: ring.get_password(SERVICE, name)) is None:
        raise UsageError(f'No key "{name}" is in the keyring; `quarterdeck keys list` shows what is.')
    _asked(lambda ring: ring.delete_password(SERVICE, name))
    _remember(_names() - {name})


def list_keys(environment: Mapping[str, str] = os.environ) -> list[dict[str, str]]:
    """Return name and origin of every key that would be used, never the key."""
    try:
        names = dict.fromkeys(_names(), "keyring")
    except UsageError:
        names = {}
    outside = {name: variable for name, variable in ENVIRONMENT.items() if environment.get(variable)}
    return [{"name": name, "origin": origin} for name, origin in sorted({**outside, **names}.items())]


def keyring_problem() -> str:
    """Return why this machine's keyring keeps no secret, "" when it does."""
    try:
        _keyring()
    except UsageError as error:
        return str(error)
    except Exception as error:  # a keyring that cannot even start
        return f"the keyring does not start: {type(error).__name__}"
    return ""


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name == NAMES:
        raise UsageError(
            f'"{name[:40]}" cannot name a key; use small letters, digits, "_" and "-", such as "anthropic".'
        )


def _names() -> set[str]:
    kept = _asked(lambda ring: ring.get_password(SERVICE, NAMES)) or ""
    return set(kept.split())


def _remember(names: set[str]) -> None:
    """A keyring finds what it is asked for by name, and lists nothing; so the names are an entry of their own."""
    _asked(lambda ring: ring.set_password(SERVICE, NAMES, " ".join(sorted(names))))


def _asked(question: Any) -> Any:
    ring = _keyring()
    try:
        return question(ring)
    except Exception as error:  # each backend has errors of its own
        raise UsageError(
            f"The keyring did not do that ({type(error).__name__}); unlock it, or give the key in the environment."
        ) from None


def _keyring() -> Any:
    """Return the backend in use. Raises UsageError for one that would keep a secret readable (R31)."""
    import keyring  # may talk to the session bus; only here

    backend = keyring.get_keyring()
    inner = getattr(backend, "backends", None) or [backend]
    for each in inner:
        where = f"{type(each).__module__}.{type(each).__name__}"
        if where.startswith(_UNSAFE):
            raise UsageError(
                f"{where} keeps no secret; start a Secret Service such as gnome-keyring, or put the key into "
                f"{one_of_environment()} of the engine's own environment."
            )
    return backend


def one_of_environment() -> str:
    """Return the environment variables that are read, in words."""
    return " or ".join(ENVIRONMENT.values())
