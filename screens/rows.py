"""A row of a pane: pieces of text, each with the name of its ink. The inks are in console.tcss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rich.cells import cell_len

from screens.format import fit

Piece = tuple[str, str]
Row = tuple[Piece, ...]

INKS = (
    "dim", "head", "accent", "good", "loss", "warn", "danger", "strong", "chip", "chip-live", "chip-warn", "chip-alert",
)  # fmt: skip
GAP = " "


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table. width in cells; grow: by how many more it may; keep: the lowest go first when tight."""

    title: str
    width: int
    right: bool = False
    grow: int = 0
    keep: int = 9


def row_width(row: Row) -> int:
    """Count a row's cells."""
    return sum(cell_len(text) for text, _ink in row)


def changed_until(old: Row, new: Row, width: int) -> int:
    """Return the cell after the last one that differs between two rows: the width, where pieces moved.

    >>> changed_until((("EQ 100", ""), ("ACTIVE", "")), (("EQ 101", ""), ("ACTIVE", "")), 20)
    6
    >>> changed_until((("EQ 99", ""), ("ACTIVE", "")), (("EQ 100", ""), ("ACTIVE", "")), 20)
    20
    """
    until = x = 0
    for before, piece in zip(old, new, strict=False):
        size = cell_len(piece[0])
        if cell_len(before[0]) != size:
            return width
        x += size
        if before != piece:
            until = x
    return until if len(old) == len(new) else width


def text_row(text: str, ink: str = "") -> Row:
    """Make a row of one piece."""
    return ((text, ink),)


def plain_text(row: Row) -> str:
    """Return a row's text alone."""
    return "".join(text for text, _ink in row)


def signed_ink(value: Decimal | None) -> str:
    """Colour for a profit or a loss; the sign in the text says the same (U13)."""
    if not value:
        return "" if value is not None else "dim"
    return "good" if value > 0 else "loss"


def chosen(columns: Sequence[Column], width: int) -> list[tuple[int, int]]:
    """Return (index, width) of the columns that fit; the least important are dropped first."""
    kept = list(range(len(columns)))  # at most one column of a table grows
    while len(kept) > 1 and sum(columns[i].width for i in kept) + len(kept) - 1 > width:
        kept.remove(min(kept, key=lambda i: (columns[i].keep, -i)))
    spare = width - sum(columns[i].width for i in kept) - len(kept) + 1
    return [(i, min(width, columns[i].width + max(0, min(columns[i].grow, spare)))) for i in kept]


def table_row(columns: Sequence[Column], cells: Sequence[Piece], width: int) -> Row:
    """Lay one row of cells out in its columns."""
    pieces: list[Piece] = []
    for index, size in chosen(columns, width):
        text, ink = cells[index]
        pieces += [(GAP, "")] if pieces else []
        pieces.append((fit(text, size, right=columns[index].right), ink))
    return tuple(pieces)


def header_row(columns: Sequence[Column], width: int) -> Row:
    """Lay the titles of the columns out."""
    return table_row(columns, [(column.title, "head") for column in columns], width)


def pair(label: str, value: str, ink: str, width: int) -> Row:
    """Set a label left and its value right; the value is never the one that is cut."""
    room = max(0, width - cell_len(value) - 1)
    return ((fit(label, room), "dim"), (GAP, ""), (value, ink))


def beside(rows: Iterable[Row], gap: str = "   ") -> Row:
    """Put rows next to each other."""
    pieces: list[Piece] = []
    for row in rows:
        pieces += [(gap, "")] if pieces else []
        pieces += row
    return tuple(pieces)
