"""The trader's own keys: keymap.toml in the configuration, read and proven harmless before the first key is pressed.

# keymap.toml: binding = "key,key"
ticket = "n"
halt = "f8,f12"
filter = "slash,ctrl+f"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

FILE_NAME = "keymap.toml"
EMERGENCY = {"halt": "f8", "cancel_all": "f9", "flatten": "f10"}
FIXED = {
    "ctrl+p": "the command palette", "tab": "the next pane", "shift+tab": "the pane before", "up": "moving in a pane",
    "down": "moving in a pane", "pageup": "moving in a pane", "pagedown": "moving in a pane",
    "home": "moving in a pane", "end": "moving in a pane",
}  # fmt: skip
"""Keys that no binding of a keymap may take, and what they do."""
_PLAIN = re.compile(r"(?:(?:ctrl|alt)\+)?(?:[A-Za-z0-9]|f[1-9]|f1[0-9]|f2[0-4])|(?:ctrl\+|shift\+)?[a-z]+(?:_[a-z]+)*")
_SHOWN = {"slash": "/", "question_mark": "?", "escape": "esc"}


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
    """Return the keymap if no emergency key is lost to it. Raises KeymapError."""
    keymap: dict[str, str] = {}
    for name, keys in document.items():
        if name not in known:
            raise KeymapError(f'{where}: "{name}" is no binding; the bindings are {", ".join(sorted(known))}.')
        if not isinstance(keys, str) or not _split(keys):
            raise KeymapError(f'{where}: {name} must be keys as text, such as {name} = "{known[name]}".')
        for key in _split(keys):
            _check_key(key, name, where)
        keymap[name] = ",".join(_split(keys))
    _check_emergency(keymap, where)
    _check_unique({name: keys for name, keys in known.items() if name not in keymap} | keymap, where)
    return keymap


def shown(keymap: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Return how a key is written on the screen -> how the one that took its place is.

    >>> shown({"ticket": "n,f3", "filter": "ctrl+f"}, {"ticket": "t", "filter": "slash", "help": "question_mark,f1"})
    {'t': 'n', '/': 'ctrl+f'}
    """
    pairs = ((_split(known[name])[0], _split(keys)[0]) for name, keys in keymap.items() if name not in EMERGENCY)
    return {_SHOWN.get(old, old): _SHOWN.get(new, new) for old, new in pairs if old != new}


def _check_key(key: str, name: str, where: str) -> None:
    if key in FIXED:
        raise KeymapError(f"{where}: {key} is {FIXED[key]} already; give {name} another key.")
    if not _is_key(key):
        raise KeymapError(f'{where}: {name} has "{key[:20]}", which is no key; write n, ctrl+n, f2 or a name as slash.')


def _is_key(key: str) -> bool:
    """Tell whether a terminal can send it: a letter, a digit, a function key, or what textual has a name for."""
    if not _PLAIN.fullmatch(key):
        return False
    last = key.rpartition("+")[2]
    if len(last) == 1 or re.fullmatch(r"f\d+", last):
        return True
    from textual.keys import KEY_NAME_REPLACEMENTS, Keys

    named = {each.value for each in Keys} | set(KEY_NAME_REPLACEMENTS.values())
    return key in named or last in named or _is_character(last)


def _is_character(name: str) -> bool:
    """Tell whether it is a character's name, such as question_mark."""
    import unicodedata

    try:
        unicodedata.lookup(name.replace("_", " ").upper())
    except KeyError:
        return False
    return True


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
