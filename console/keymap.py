"""The trader's own keys: keymap.toml, read and proven harmless before the first key is pressed.

# keymap.toml: binding = "key,key"
ticket = "n"
halt = "f8,f12"
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

EMERGENCY = {"halt": "f8", "cancel_all": "f9", "flatten": "f10"}


class KeymapError(ValueError):
    """A keymap file that cannot be used; one sentence that says where and what to do."""


def read_keymap(path: Path, known: Mapping[str, str]) -> dict[str, str]:
    """Read a keymap file; no file is an empty keymap. known: binding id -> its own keys. Raises KeymapError."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeError) as error:
        raise KeymapError(f"{path} cannot be read ({error}); mend it or take it away.") from None
    import tomllib  # most traders have no keymap, and start without it

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise KeymapError(f"{path} is not TOML: {error}; mend it or take it away.") from None
    return checked(document, known, str(path))


def checked(document: Mapping[str, object], known: Mapping[str, str], where: str) -> dict[str, str]:
    """Return the keymap if no emergency key is lost to it (U11). Raises KeymapError."""
    keymap: dict[str, str] = {}
    for name, keys in document.items():
        if name not in known:
            raise KeymapError(f'{where}: "{name}" is no binding; the bindings are {", ".join(sorted(known))}.')
        if not isinstance(keys, str) or not _split(keys):
            raise KeymapError(f'{where}: {name} must be keys as text, such as {name} = "{known[name]}".')
        keymap[name] = ",".join(_split(keys))
    _check_emergency(keymap, where)
    _check_unique({name: keys for name, keys in known.items() if name not in keymap} | keymap, where)
    return keymap


def _split(keys: str) -> list[str]:
    return [key.strip() for key in keys.split(",") if key.strip()]


def _check_emergency(keymap: Mapping[str, str], where: str) -> None:
    for name, key in EMERGENCY.items():
        mine = _split(keymap.get(name, key))
        if key not in mine:
            raise KeymapError(f'{where}: {name} must keep {key.upper()}; write {name} = "{key},…" to add a key to it.')
        for extra in mine:
            if not (extra.startswith("f") and extra[1:].isdigit()):
                raise KeymapError(f"{where}: {name} may only have function keys, {extra} is none: a letter is typed.")


def _check_unique(keys_of: Mapping[str, str], where: str) -> None:
    owner: dict[str, str] = {}
    for name, keys in keys_of.items():  # those left as they were come first, and keep what they have
        for key in _split(keys):
            if owner.setdefault(key, name) != name:
                raise KeymapError(f"{where}: {key} is {owner[key]} already; give {name} another key.")
