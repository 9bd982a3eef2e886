"""Keys in the system's keyring; a keyring that would keep them readable is refused (R31)."""

from __future__ import annotations

import contextlib
from typing import Any

from engine.errors import UsageError
from engine.keys.secret import ENVIRONMENT, Secret

SERVICE = "quarterdeck"
NAMES = "names"

# What keeps a secret as anybody can read it, or not at all.
_ASKING = "keyrings.cryptfile"
"""Asks for its password on the terminal, where a console draws."""
_UNSAFE = ("keyrings.alt", "keyring.backends.fail", "keyring.backends.null")


def find_in_keyring(name: str) -> Secret | None:
    """Return a key from the keyring; None when there is none, or no keyring that answers."""
    kept = None
    with contextlib.suppress(Exception):  # a backend that fails, whatever its errors, is as good as an empty one
        kept = _keyring().get_password(SERVICE, name)
    return Secret(kept, "keyring") if kept else None


def keep_in_keyring(name: str, value: str) -> None:
    """Keep a key. Raises UsageError for a keyring that would not hide it."""
    _asked(lambda ring: ring.set_password(SERVICE, name, value))
    if name not in names_in_keyring():
        _remember({*names_in_keyring(), name})


def remove_from_keyring(name: str) -> None:
    """Forget a key. Raises UsageError when there is none of that name."""
    if _asked(lambda ring: ring.get_password(SERVICE, name)) is None:
        raise UsageError(f'No key "{name}" is kept; `quarterdeck keys list` shows what is.')
    _asked(lambda ring: ring.delete_password(SERVICE, name))
    _remember(names_in_keyring() - {name})


def names_in_keyring() -> set[str]:
    """Return the names of the keys in the keyring. Raises UsageError when it does not answer."""
    kept = _asked(lambda ring: ring.get_password(SERVICE, NAMES)) or ""
    return set(kept.split())


def keyring_problem() -> str:
    """Return why this machine's keyring keeps no secret, "" when it does."""
    try:
        _keyring()
    except UsageError as error:
        return str(error)
    except Exception as error:  # a keyring that cannot even start
        return f"the keyring does not start: {type(error).__name__}"
    return ""


def _remember(names: set[str]) -> None:
    """A keyring finds what it is asked for by name, and lists nothing; so the names are an entry of their own."""
    _asked(lambda ring: ring.set_password(SERVICE, NAMES, " ".join(sorted(names))))


def _asked(question: Any) -> Any:
    ring = _keyring()
    try:
        return question(ring)
    except Exception as error:  # each backend has errors of its own
        raise UsageError(
            f"The keyring did not do that ({type(error).__name__}); unlock it, or keep the key in a file with "
            "`quarterdeck keys set --file`."
        ) from None


def _keyring() -> Any:
    """Return the backend in use. Raises UsageError for one that would keep a secret readable (R31)."""
    import keyring  # may talk to the session bus; only here

    backend = keyring.get_keyring()
    inner = getattr(backend, "backends", None) or [backend]
    for each in inner:
        where = f"{type(each).__module__}.{type(each).__name__}"
        if where.startswith(_ASKING):
            raise UsageError(f"{where} asks on the terminal, which no engine can; use `quarterdeck keys set --file`.")
        if where.startswith(_UNSAFE):
            raise UsageError(
                f"{where} keeps no secret; `quarterdeck keys set --file` keeps it in an encrypted file, or put the "
                f"key into {one_of_environment()} of the engine's own environment."
            )
    return backend


def one_of_environment() -> str:
    """Return the environment variables that are read, in words."""
    return " or ".join(ENVIRONMENT.values())
