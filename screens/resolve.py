"""Resolve: what became of an order that the venue leaves open, by the trader's word (R10)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.widget import Widget
from textual.widgets import Input

from engine.api import OrderStatus, OrderView, Resolve
from screens.dialog import Dialog, field
from screens.format import age, qty, safe, symbol, wrap
from screens.model import ConsoleModel
from screens.reason import REASON_MIN
from screens.rows import Row, text_row
from screens.widgets.guard import GuardedInput
from screens.widgets.lines import Lines

WORDS = {"n": "not-sent", "c": "canceled"}
ASKED = (
    "Look at the venue first. Type n: it never reached the venue, or c: nothing more of it will fill; then the reason. "
    "That it filled is booked from the venue's own trades, and never assumed."
)


class ResolveScreen(Dialog):
    """One letter and a reason; the engine says what that means, and enter once more does it."""

    TITLE_TEXT = "What became of this order?"
    KEYS = (("enter", "say what it means, then do it"), ("esc", "leave it open"))
    AUTO_FOCUS = "#word"
    COMMAND = "quarterdeck resolve"

    def __init__(self, model: ConsoleModel, order: OrderView) -> None:
        super().__init__(model)
        self._order = order
        self._seen = ""
        self._sent = False

    def body(self) -> Iterator[Widget]:
        yield Lines(id="facts", classes="facts")
        yield field(
            "Word", GuardedInput(self.guard, placeholder="n why, or c why", max_length=200, strict=False, id="word")
        )

    def refresh_card(self) -> None:
        facts = self.query_one("#facts", Lines)
        facts.put(self.fitted(order_rows(self._order, max(20, facts.size.width))))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        letter, _, reason = event.value.strip().partition(" ")
        assume = WORDS.get(letter.lower())
        if assume is None or len(reason.strip()) < REASON_MIN:
            self.say("Write n or c, then why in a few words: it goes into the journal.")
        elif not self._sent:
            self._sent = True
            self.app.run_worker(partial(self._resolve, assume, reason.strip()), group="command")

    async def _resolve(self, assume: str, reason: str) -> None:
        """Show what it means the first time; do it when the same is entered again."""
        again = self._seen == assume
        order_id = self._order.client_order_id
        reply = await self.model.ask(Resolve(client_order_id=order_id, assume=assume, reason=reason if again else ""))
        if not self.is_mounted:
            return
        self._sent = False
        if reply.ok:
            self.leave()
            return
        self._seen = "" if again else assume
        self.say(reply.text if again else f"{reply.text} Enter again to do it.", "danger" if again else "warn")


def order_rows(order: OrderView, width: int) -> list[Row]:
    """Say which order it is, in what state, and what can be said of it."""
    what = f"{order.side.value} {qty(order.qty)} {safe(symbol(order.instrument), 24)} of {safe(order.agent, 20)}"
    ink = "danger" if order.status is OrderStatus.UNKNOWN else "warn"
    told = f", {qty(order.filled_qty)} filled, {age(order.age_ms)} old"
    rows: list[Row] = [text_row(what, "strong"), ((order.status.value, ink), (told, ""))]
    rows.append(text_row(safe(order.client_order_id, width), "dim"))
    return [*rows, text_row(""), *(text_row(line) for line in wrap(ASKED, width, 5)), text_row("")]
