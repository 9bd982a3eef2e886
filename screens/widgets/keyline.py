"""The bottom line: the keys that work here, or for some seconds the answer to the last command."""

from __future__ import annotations

from screens.format import safe
from screens.model import ConsoleModel
from screens.rows import Piece, Row, row_width
from screens.widgets.lines import Lines

Keys = tuple[tuple[str, str], ...]
EMERGENCY: Keys = (("F8", "HALT"), ("F9", "CANCEL ALL"), ("F10", "FLATTEN"))
WIDE_FROM = 110
_SHORT = {"CANCEL ALL": "CANCEL"}


class KeyLine(Lines):
    """The emergency keys first, always; then this screen's own, as many as fit."""

    def __init__(self, model: ConsoleModel, keys: Keys, narrow: Keys | None = None) -> None:
        super().__init__()
        self._model = model
        self._keys = keys
        self._narrow = narrow if narrow is not None else keys

    def show(self) -> None:
        """Draw it again if it changed."""
        text, ink = self._model.noted()
        width = self.size.width
        keys = self._keys if width >= WIDE_FROM else self._narrow
        self.put([_noted(text, ink, width) if text else key_row(EMERGENCY, keys, width)])

    def on_resize(self) -> None:
        self.show()


def _noted(text: str, ink: str, width: int) -> Row:
    keys = key_row(EMERGENCY, (), width)
    room = width - row_width(keys) - 2
    return (*keys, ("  ", ""), (safe(text, room), ink)) if room > 20 else ((safe(text, width), ink),)


def key_row(first: Keys, rest: Keys, width: int) -> Row:
    """Write "F8 HALT  F9 CANCEL ALL ..."; the emergency keys shorten before anything is left out."""
    tight = sum(len(key) + len(word) + 3 for key, word in first + rest) > width
    pieces: list[Piece] = []
    used = 0
    for place, (key, word) in enumerate(first + rest):
        word = _SHORT.get(word, word) if tight else word
        size = len(key) + 1 + len(word) + (2 if pieces else 0)
        if used + size > width:
            break
        pieces += [("  ", "")] if pieces else []
        pieces += [
            (key, "danger" if place < len(first) else "accent"),
            (" " + word, "" if place < len(first) else "dim"),
        ]
        used += size
    return tuple(pieces)
