"""A pane: a titled list of rows that scrolls, with a cursor where its rows can be chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content

from screens.rows import Row
from screens.widgets.lines import Lines


class Pane(Lines):
    """Items under an optional header; only the rows in sight are made. Subclasses say what an item looks like."""

    can_focus = True
    TITLE = ""
    CURSOR = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "ends(-1)", show=False),
        Binding("end", "ends(1)", show=False),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.items: Sequence[Any] = ()
        self.top = 0
        self.cursor = 0
        self.title = self.TITLE
        self._titled = ""

    # -- what a subclass says ------------------------------------------------------

    def header(self, width: int) -> Row | None:
        """Return the row above the items; None: no header."""
        return None

    def row(self, item: Any, width: int) -> Row:
        """Return one item as a row of at most `width` cells."""
        raise TypeError(f"{type(self).__name__} does not draw {item!r}")

    def key(self, item: Any) -> object:
        """Return what makes the item the same one in the next snapshot."""
        return item

    # -- showing -------------------------------------------------------------------

    def fill(self, items: Sequence[Any], title: str = "") -> None:
        """Show these items, the cursor staying on the item it was on."""
        chosen = self.key(self.items[self.cursor]) if self.CURSOR and self.cursor < len(self.items) else None
        self.items = items
        if chosen is not None and not (self.cursor < len(items) and self.key(items[self.cursor]) == chosen):
            place = next((i for i, item in enumerate(items) if self.key(item) == chosen), self.cursor)
            self.top += place - self.cursor
            self.cursor = place
        self.title = title or self.TITLE
        self.draw()

    def _retitle(self, title: str) -> None:
        if title != self._titled:  # setting it repaints the pane
            self._titled = title
            self.border_title = Content(title)

    def draw(self) -> None:
        """Make the rows in sight and show those that changed."""
        width, room = self.size.width, self._room()
        self.cursor = max(0, min(self.cursor, len(self.items) - 1))
        self.top = max(0, min(self.top, len(self.items) - room))
        head = self.header(width)
        seen = [self.row(item, width) for item in self.items[self.top : self.top + room]]
        rows = [head, *seen] if head else seen
        marked = self.cursor - self.top + (1 if head else 0)
        self.put(rows, marked if self.CURSOR and self.has_focus and self.items else None)
        self._retitle(self.title + self.more(room))

    def more(self, room: int) -> str:
        """Say in the title what is out of sight."""
        below = len(self.items) - self.top - room
        parts = [f"{self.top} above"] * (self.top > 0) + [f"{below} below"] * (below > 0)
        return " · " + ", ".join(parts) if parts and self.size.height else ""

    def _room(self) -> int:
        return max(0, self.size.height - (1 if self.header(self.size.width) else 0))

    def chosen(self) -> Any:
        """Return the item under the cursor; None when there is none."""
        return self.items[self.cursor] if self.cursor < len(self.items) else None

    # -- moving --------------------------------------------------------------------

    def action_move(self, step: int) -> None:
        """Move the cursor, or the view where there is no cursor."""
        if self.CURSOR:
            self.cursor = max(0, min(self.cursor + step, len(self.items) - 1))
            self.top = min(max(self.top, self.cursor - self._room() + 1), self.cursor)
        else:
            self.top += step
        self.draw()

    def action_page(self, step: int) -> None:
        """Move by a page."""
        self.action_move(step * max(1, self._room() - 1))

    def action_ends(self, step: int) -> None:
        """Move to the first or the last item."""
        self.action_move(step * len(self.items))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.action_move(-3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.action_move(3)

    def on_click(self, event: events.Click) -> None:
        if self.CURSOR and (offset := event.get_content_offset(self)):
            row = offset.y - (1 if self.header(self.size.width) else 0)
            if 0 <= row < self._room():
                self.action_move(self.top + row - self.cursor)

    def on_resize(self) -> None:
        self.draw()

    def on_focus(self) -> None:
        self.draw()

    def on_blur(self) -> None:
        self.draw()
