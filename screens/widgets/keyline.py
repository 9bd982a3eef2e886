"""The bottom line: the keys that work here, and for some seconds the answer to the last command."""

from __future__ import annotations

from collections.abc import Mapping

from screens.format import wrap
from screens.model import ConsoleModel
from screens.rows import Piece, Row, row_width, text_row
from screens.widgets.lines import Lines

Keys = tuple[tuple[str, str], ...]
EMERGENCY: Keys = (("F8", "HALT"), ("F9", "CANCEL ALL"), ("F10", "FLATTEN"))
WIDE_FROM = 110
NOTE_LINES_MAX = 6
_SHORT = {"CANCEL ALL": "CANCEL"}
_SHORTEST = {"CANCEL ALL": "", "FLATTEN": "FLAT"}


class KeyLine(Lines):
    """The emergency keys first, always; then this screen's own, as many as fit.

    A note stands beside the emergency keys where it fits, else above them. beside: it may take the place of the
    screen's own keys; on a card they stay, for they say what enter does.
    """

    def __init__(self, model: ConsoleModel, keys: Keys, narrow: Keys | None = None, *, beside: bool = False) -> None:
        super().__init__()
        self._model = model
        self._keys = keys
        self._narrow = narrow if narrow is not None else keys
        self._beside = beside

    def show(self) -> None:
        """Draw it again if it changed."""
        text, ink = self._model.noted()
        width = self.size.width
        keys = self._keys if width >= WIDE_FROM else self._narrow
        self.put(noted_rows(text, ink, keys, width, beside=self._beside) if text else [key_row(EMERGENCY, keys, width)])

    def on_resize(self) -> None:
        self.show()


def noted_rows(text: str, ink: str, keys: Keys, width: int, *, beside: bool) -> list[Row]:
    """Put a note where it hides no emergency key, and is whole."""
    first = key_row(EMERGENCY, (), width)
    lines = wrap(text, max(1, width - row_width(first) - 2), 2) if beside else []
    if len(lines) == 1:
        return [(*first, ("  ", ""), (lines[0], ink))]
    return [*(text_row(line, ink) for line in wrap(text, width, NOTE_LINES_MAX)), key_row(EMERGENCY, keys, width)]


def key_row(first: Keys, rest: Keys, width: int) -> Row:
    """Write "F8 HALT  F9 CANCEL ALL ..."; the emergency keys shorten before anything is left out."""
    row = _written(first, rest, {}, "  ")
    if row_width(row) <= width:
        return row
    row = _written(first, (), _SHORT, "  ")
    if row_width(row) > width:
        return _written(first, (), _SHORTEST, " ")
    for count in range(1, len(rest) + 1):
        longer = _written(first, rest[:count], _SHORT, "  ")
        if row_width(longer) > width:
            break
        row = longer
    return row


def _written(first: Keys, rest: Keys, short: Mapping[str, str], gap: str) -> Row:
    pieces: list[Piece] = []
    for place, (key, word) in enumerate(first + rest):
        emergency = place < len(first)
        told = short.get(word, word)
        pieces += [(gap, "")] if pieces else []
        pieces.append((key, "danger" if emergency else "accent"))
        pieces += [(" " + told, "" if emergency else "dim")] if told else []
    return tuple(pieces)
