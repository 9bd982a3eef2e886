"""Flatten: what would be closed, and a word to type (R19). Closing what is open is the one thing it does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from engine.api import Flatten, PositionView, Snapshot
from screens.dialog import Dialog, field
from screens.format import age, count_of, money, price, qty, safe, symbol, wrap
from screens.model import ConsoleModel
from screens.rows import Column, Row, header_row, signed_ink, table_row, text_row
from screens.widgets.guard import GuardedInput
from screens.widgets.lines import Lines
from screens.widgets.pane import Pane

WORD = "FLATTEN"
STEPS = (
    "Halts trading, cancels working orders, then closes with reduce-only limit orders, step by step up to the policy's "
    "cap, until the venue shows zero; a certificate proves it."
)
IGNORED = f"Type {WORD} again: what was pasted, or came as the card opened, does not count."
COLUMNS = (
    Column(title="INSTRUMENT", width=11, grow=12),
    Column(title="AGENT", width=11, keep=3),
    Column(title="QUANTITY", width=11, right=True),
    Column(title="PRICE", width=11, right=True, keep=5),
    Column(title="AGE", width=4, right=True, keep=2),
    Column(title="P&L", width=10, right=True, keep=4),
)
# What of the window's height is not the list's: our two lines, the card's border, the count, the field, the status.
CHROME_ROWS = 7
ROOMY_FROM = 22
ROOMY_CHROME = 7  # the steps, blank lines, and the card's padding


class Held(Pane):
    """Every position that would be closed; it scrolls, so that the field below stays where it is."""

    can_focus = False

    def __init__(self, model: ConsoleModel) -> None:
        super().__init__(id="held")
        self._model = model

    def header(self, width: int) -> Row | None:
        return header_row(COLUMNS, width) if self.items and self.size.height > 1 else None

    def row(self, item: PositionView, width: int) -> Row:
        cells = (
            (safe(symbol(item.instrument), 24), "strong"),
            (safe(item.agent, 24), ""),
            (qty(item.qty), ""),
            (price(item.mark), ""),
            (age(self._model.aged(item.mark_age_ms)), "dim"),
            (money(item.unrealized, signed=True), signed_ink(item.unrealized)),
        )
        return table_row(COLUMNS, cells, width)

    def show(self, rows_max: int) -> None:
        """Draw the newest positions in at most so many rows."""
        snapshot = self._model.snapshot
        held = [each for each in snapshot.positions if each.qty] if snapshot else []
        wanted = min(rows_max, len(held) + 1) if held else 0
        if self.styles.height is None or self.styles.height.value != wanted:
            self.styles.height = wanted
        self.fill(held)

    def draw(self) -> None:
        super().draw()
        below = len(self.items) - self.top - self._room()
        if self.rows and (below > 0 or self.top) and self.header(self.size.width):
            told = [f"{self.top} above"] * (self.top > 0) + [f"{below} below"] * (below > 0)
            self.put([text_row(safe(f"{', '.join(told)}: ↑↓ scrolls", self.size.width), "warn"), *self.rows[1:]])


class FlattenScreen(Dialog):
    """Shows every position that would be closed; typing the word and enter closes them."""

    TITLE_TEXT = "Flatten: close every position"
    KEYS = (("enter", "flatten"), ("esc", "do not flatten"))
    AUTO_FOCUS = "#word"
    COMMAND = "quarterdeck flatten"
    IGNORED = IGNORED
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_list(-1)", show=False),
        Binding("down", "scroll_list(1)", show=False),
    ]

    def __init__(self, model: ConsoleModel) -> None:
        super().__init__(model)
        self._sent = False

    def body(self) -> Iterator[Widget]:
        yield Lines(id="facts", classes="facts")
        yield Held(self.model)
        yield Lines(id="count", classes="facts")
        word = GuardedInput(self.guard, placeholder="and press enter", max_length=12, bursts=True, id="word")
        yield field(f"Type {WORD}", word)

    def refresh_card(self) -> None:
        facts, width = self.query_one("#facts", Lines), max(20, self.query_one("#count").size.width)
        roomy = self.size.height >= ROOMY_FROM
        facts.put([*(text_row(line, "dim") for line in wrap(STEPS, width, 3)), text_row("")] if roomy else [])
        told = count_rows(self.model.snapshot, width)
        room = self.size.height - CHROME_ROWS - (ROOMY_CHROME if roomy else 0) - len(told) + 1
        self.query_one(Held).show(max(1, room))
        self.query_one("#count", Lines).put([*told, text_row("")] if roomy else told)

    def action_scroll_list(self, step: int) -> None:
        """Move what is seen of the list."""
        self.query_one(Held).action_move(step)

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.value:
            self.say("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip().upper() != WORD:
            event.input.value = ""
            self.say(f"Not sent: the word is {WORD}.")
        elif not self._sent:
            self._sent = True
            self.say("Flattening…", "danger")
            self.app.run_worker(self._flatten, group="command")

    async def _flatten(self) -> None:
        reply = await self.model.ask(Flatten())
        if not self.is_mounted:
            return
        if reply.ok:
            self.leave()
            return
        self._sent = False
        self.query_one("#word", Input).value = ""
        self.say(reply.text, "danger")


def count_rows(snapshot: Snapshot | None, width: int) -> list[Row]:
    """Say how much would be closed and canceled."""
    if snapshot is None:
        return [
            text_row(line, "warn") for line in wrap("The engine is still starting: nothing is known yet.", width, 2)
        ]
    held = sum(bool(each.qty) for each in snapshot.positions)
    told = f"{count_of(held, 'position')} to close" if held else "No position is open"
    told = f"{told}; {count_of(len(snapshot.orders), 'working order')} to cancel."
    return [text_row(line, "strong") for line in wrap(told, width, 2)]
