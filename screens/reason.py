"""A card that takes one typed reason and does one thing: enter does it, escape leaves all as it is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.widget import Widget
from textual.widgets import Input

from engine.api import Command
from screens.dialog import Dialog, field
from screens.model import ConsoleModel
from screens.rows import Row
from screens.widgets.guard import GuardedInput
from screens.widgets.lines import Lines

REASON_MIN = 3
REASON_MAX = 200


class ReasonScreen(Dialog):
    """Facts, and a reason to type; what the engine refuses is said, and can be tried again."""

    AUTO_FOCUS = "#reason"

    def __init__(self, model: ConsoleModel, hint: str) -> None:
        super().__init__(model)
        self._hint = hint
        self._sent = False

    def rows(self, width: int) -> list[Row]:
        """Return the facts, in rows of `width` cells."""
        raise NotImplementedError

    def command(self, reason: str) -> Command:
        """Return what enter asks of the engine."""
        raise NotImplementedError

    def body(self) -> Iterator[Widget]:
        yield Lines(id="facts", classes="facts")
        typed = GuardedInput(self.guard, placeholder=self._hint, max_length=REASON_MAX, strict=False, id="reason")
        yield field("Reason", typed)

    def refresh_card(self) -> None:
        facts = self.query_one("#facts", Lines)
        facts.put(self.fitted(self.rows(max(20, facts.size.width))))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        reason = event.value.strip()
        if len(reason) < REASON_MIN:
            self.say("Write the reason in a few words: it goes into the journal.")
        elif not self._sent:
            self._sent = True
            self.app.run_worker(partial(self._ask, self.command(reason)), group="command")

    async def _ask(self, command: Command) -> None:
        reply = await self.model.ask(command)
        if not self.is_mounted:
            return
        if reply.ok:
            self.leave()
            return
        self._sent = False
        self.say(reply.text, "danger")
