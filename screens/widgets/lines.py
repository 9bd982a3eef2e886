"""Widgets that draw rows line by line: only what changed in a row is painted again (over SSH, bytes are the cost)."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from screens.rows import INKS, Row, changed_until, row_width

INK_CLASSES = {f"ink--{ink}" for ink in (*INKS, "cursor")}


class Lines(Widget):
    """Rows of inked text. The inks are component classes of the app: one set for all, not one for each widget."""

    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._rows: list[Row] = []
        self._marked: int | None = None
        self._inks: dict[str, Style] = {}

    def notify_style_update(self) -> None:
        self._inks.clear()
        super().notify_style_update()

    def put(self, rows: list[Row], marked: int | None = None) -> None:
        """Show these rows; marked: the one under the cursor."""
        old, old_marked = self._rows, self._marked
        self._rows, self._marked = rows, marked
        if self.styles.height is not None and self.styles.height.is_auto and len(old) != len(rows):
            self.refresh(layout=True)
            return
        moved = {old_marked, marked} if old_marked != marked else set()
        width = self.size.width
        for y in range(max(len(old), len(rows))):
            if y in moved or y >= len(old) or y >= len(rows):
                self.refresh(Region(0, y, width, 1))
            elif old[y] != rows[y]:
                # a part of a row is sent from the row's beginning all the same, but not beyond its end
                self.refresh(Region(0, y, changed_until(old[y], rows[y], width), 1))

    @property
    def rows(self) -> list[Row]:
        """The rows shown."""
        return self._rows

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._rows)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        if y >= len(self._rows):
            return Strip.blank(width, base)
        if y == self._marked:
            base += self._ink("cursor")
        segments = [Segment(text, base + self._ink(ink) if ink else base) for text, ink in self._rows[y]]
        return Strip(segments, row_width(self._rows[y])).adjust_cell_length(width, base)

    def _ink(self, ink: str) -> Style:
        if ink not in self._inks:
            self._inks[ink] = self.app.get_component_styles(f"ink--{ink}").partial_rich_style
        return self._inks[ink]
