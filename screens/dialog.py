"""What every modal is: the safety line on top, a card, the keys below; escape leaves it, and nothing was decided."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Button, Static

from screens.format import wrap
from screens.model import ConsoleModel
from screens.rows import Row, plain_text, text_row
from screens.widgets.guard import TypingGuard
from screens.widgets.keyline import KeyLine, Keys
from screens.widgets.lines import Lines
from screens.widgets.safety import SafetyLine

WIDTH_MIN, HEIGHT_MIN = 40, 10
SAID_LINES_MAX = 3
CHROME_ROWS = 5  # our two lines, the card's border, and a field
CUT = "… a larger window says the rest"
IGNORED = "Pasted, held or too early keys do not count: wait a moment, then type."
TOO_SMALL = "Nothing was sent, the window is too small. Enlarge it{}."


class Dialog(ModalScreen[None]):
    """A modal over one model. It is opaque: what lies under it is not drawn, so that nothing stale shows through."""

    TITLE_TEXT = ""
    KEYS: Keys = (("esc", "close"),)
    DESTRUCTIVE = True
    COMMAND = ""
    IGNORED = IGNORED
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close", show=False)]

    def __init__(self, model: ConsoleModel) -> None:
        super().__init__()
        self.model = model
        self.guard = TypingGuard()
        self._left = False

    def compose(self) -> ComposeResult:
        yield SafetyLine(self.model)
        with Vertical(id="card") as card:
            card.border_title = Content(self.TITLE_TEXT)
            yield from self.body()
            yield Lines(id="status")
        yield KeyLine(self.model, self.KEYS)

    def body(self) -> Iterator[Widget]:
        """Yield what is on the card."""
        yield from ()

    def on_mount(self, event: events.Mount) -> None:
        self.guard.open(event.time)

    def show(self) -> None:
        """Draw the model's newest state."""
        self.query_one(SafetyLine).show()
        self.query_one(KeyLine).show()
        self.refresh_card()

    def refresh_card(self) -> None:
        """Draw what on the card depends on the model."""

    def fitted(self, rows: list[Row]) -> list[Row]:
        """Cut what is told to what the window leaves above a field: what is typed must be seen."""
        status = max(1, len(self.query_one("#status", Lines).rows))
        room = max(1, self.size.height - CHROME_ROWS - status)
        if len(rows) <= room:
            return rows
        told = [row for row in rows if plain_text(row).strip()]
        return told if len(told) <= room else [*told[: room - 1], text_row(CUT, "dim")]

    def say(self, text: str, ink: str = "warn") -> None:
        """Show one sentence at the card's foot."""
        line = self.query_one("#status", Lines)
        line.put([text_row(each, ink) for each in wrap(text, max(20, line.size.width or 60), SAID_LINES_MAX)])

    def action_close(self) -> None:
        """Leave, deciding nothing."""
        self.leave()

    def leave(self) -> None:
        """Close once; a card that something lies on closes as soon as it is on top again."""
        first, self._left = not self._left, True
        if first and self.app.screen is self:
            self.dismiss()

    def on_screen_resume(self) -> None:
        if self._left:
            self.call_after_refresh(self._dismissed)

    def _dismissed(self) -> None:
        self.dismiss()  # its result must not be awaited by this screen's own messages

    def on_resize(self, event: events.Resize) -> None:
        if self.DESTRUCTIVE and (event.size.width < WIDTH_MIN or event.size.height < HEIGHT_MIN):
            self.model.note(TOO_SMALL.format(f", or run: {self.COMMAND}" if self.COMMAND else ""), "warn")
            self.leave()
        elif not self._left:
            self.call_after_refresh(self.show)

    # Enter on a button is no more trusted than enter in a field.
    def on_key(self, event: events.Key) -> None:
        pressing = event.key in ("enter", "space") and isinstance(self.focused, Button)
        if pressing and not self.guard.accepts(event.key, event.time):
            event.stop()
            event.prevent_default()
            self.say(self.IGNORED)

    def on_guarded_input_ignored(self) -> None:
        self.say(self.IGNORED)

    def on_paste(self, event: events.Paste) -> None:
        self.guard.pasted(event.time)


def field(label: str, *widgets: Widget) -> Horizontal:
    """Put a label before the widgets of one line."""
    return Horizontal(Static(Content(label), classes="label"), *widgets, classes="field")


def facts(rows: list[Row], *, id: str | None = None) -> Lines:
    """Return rows that stand on a card."""
    lines = Lines(id=id, classes="facts")
    lines.put(rows)
    return lines
