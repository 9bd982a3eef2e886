"""A field with a few values: left and right change it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from screens.format import safe
from screens.widgets.lines import Lines


class Choice(Lines):
    """One of several values. The values are shown as plain text, whoever wrote them."""

    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", show=False),
        Binding("right,space", "turn(1)", show=False),
    ]

    class Changed(Message):
        """Another value was chosen."""

    def __init__(self, values: Sequence[str], *, id: str) -> None:
        super().__init__(id=id)
        self._values = tuple(values)
        self._at = 0

    @property
    def value(self) -> str:
        """The value chosen; empty when there is none to choose."""
        return self._values[self._at] if self._values else ""

    def action_turn(self, step: int) -> None:
        """Choose the next or the one before."""
        if self._values:
            self._at = (self._at + step) % len(self._values)
            self.draw()
            self.post_message(self.Changed())

    def draw(self) -> None:
        """Show the value between its arrows."""
        place = f"  {self._at + 1}/{len(self._values)}" if len(self._values) > 2 else ""
        arrow = "accent" if self.has_focus else "dim"
        text = safe(self.value or "none", max(1, self.size.width - 4 - len(place)))
        self.put([(("‹ ", arrow), (text, "strong"), (" ›", arrow), (place, "dim"))])

    def on_click(self) -> None:
        self.action_turn(1)

    def on_resize(self) -> None:
        self.draw()

    def on_focus(self) -> None:
        self.draw()

    def on_blur(self) -> None:
        self.draw()
