"""Flatten: what would be closed, and a word to type (R19). Closing what is open is the one thing it does."""

from __future__ import annotations

from collections.abc import Iterator

from textual.widget import Widget
from textual.widgets import Input

from engine.api import Flatten, Snapshot
from screens.dialog import Dialog, field
from screens.format import age, money, price, qty, safe, symbol
from screens.model import ConsoleModel
from screens.rows import Column, Row, header_row, signed_ink, table_row, text_row
from screens.widgets.guard import GuardedInput
from screens.widgets.lines import Lines

WORD = "FLATTEN"
COLUMNS = (
    Column(title="INSTRUMENT", width=11, grow=12),
    Column(title="AGENT", width=11, keep=3),
    Column(title="QUANTITY", width=11, right=True),
    Column(title="PRICE", width=11, right=True, keep=5),
    Column(title="AGE", width=4, right=True, keep=2),
    Column(title="P&L", width=10, right=True, keep=4),
)


class FlattenScreen(Dialog):
    """Shows every position that would be closed; typing the word and enter closes them."""

    TITLE_TEXT = "Flatten: close every position"
    KEYS = (("enter", "flatten"), ("esc", "do not flatten"))
    AUTO_FOCUS = "#word"

    def __init__(self, model: ConsoleModel) -> None:
        super().__init__(model)
        self._sent = False

    def body(self) -> Iterator[Widget]:
        yield Lines(id="facts", classes="facts")
        yield field(f"Type {WORD}", GuardedInput(self.guard, placeholder="and press enter", max_length=12, id="word"))

    def refresh_card(self) -> None:
        facts = self.query_one("#facts", Lines)
        facts.put(flatten_rows(self.model.snapshot, max(20, facts.size.width), max(3, self.size.height - 14)))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.value.strip().upper() != WORD:
            event.input.value = ""
            self.say(f"Nothing was sent: the word is {WORD}.")
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


def flatten_rows(snapshot: Snapshot | None, width: int, positions_max: int) -> list[Row]:
    """Say what will happen, in its order, and to what."""
    steps = (
        "Halts trading, cancels working orders, then closes at the venue with",
        "reduce-only orders until the venue shows zero; a certificate proves it.",
    )
    rows = [*(text_row(safe(step, width), "dim") for step in steps), text_row("")]
    held = [each for each in snapshot.positions if each.qty] if snapshot else []
    if snapshot is None:
        return [*rows, text_row("The engine is still starting: what is open is not known yet.", "warn"), text_row("")]
    if held:
        rows.append(header_row(COLUMNS, width))
    for each in held[:positions_max]:
        cells = (
            (safe(symbol(each.instrument), 24), "strong"),
            (safe(each.agent, 24), ""),
            (qty(each.qty), ""),
            (price(each.mark), ""),
            (age(each.mark_age_ms), "dim"),
            (money(each.unrealized, signed=True), signed_ink(each.unrealized)),
        )
        rows.append(table_row(COLUMNS, cells, width))
    if len(held) > positions_max:
        rows.append(text_row(f"… and {len(held) - positions_max} more, which are closed too", "warn"))
    words = f"{len(held)} positions to close" if held else "No position is open"
    rows += [text_row(f"{words}; {len(snapshot.orders)} working orders to cancel.", "strong"), text_row("")]
    return rows
