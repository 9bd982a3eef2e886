"""Unlock the key file: one passphrase, never shown; until then the agents that need a key wait (R31)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual import events
from textual.widget import Widget
from textual.widgets import Input

from engine.api import Snapshot, UnlockKeys
from screens.dialog import Dialog, field
from screens.format import countdown, safe, wrap
from screens.model import ConsoleModel
from screens.rows import Row, text_row
from screens.widgets.lines import Lines

PASSPHRASE_MAX = 200
MEANS = (
    "Agents that ask a model with one of these keys wait: nobody is asked, and nothing stands in. Others go on, and so "
    "do stops and the kill switch."
)
STAYS = "It stays open until this engine ends. The passphrase is kept nowhere; wrong tries are journaled."
NOTHING = "No key is locked any more."


class UnlockScreen(Dialog):
    """One hidden field; enter tries it. It may be pasted, for a good passphrase often is."""

    TITLE_TEXT = "The keys are locked"
    KEYS = (("enter", "unlock"), ("esc", "leave them locked"))
    AUTO_FOCUS = "#passphrase"
    COMMAND = "quarterdeck keys unlock"

    def __init__(self, model: ConsoleModel) -> None:
        super().__init__(model)
        self._asking = False

    def body(self) -> Iterator[Widget]:
        yield Lines(id="facts", classes="facts")
        secret = Input(
            placeholder="the key file's; it is not shown", password=True, compact=True, max_length=PASSPHRASE_MAX,
            select_on_focus=False, id="passphrase",
        )  # fmt: skip
        yield field("Passphrase", secret)

    def refresh_card(self) -> None:
        facts = self.query_one("#facts", Lines)
        facts.put(unlock_rows(self.model.snapshot, max(20, facts.size.width)))

    def on_paste(self, event: events.Paste) -> None:
        """Nothing here is answered by a paste but the field, and that is meant."""

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.value:
            self.say("")  # what the last try came to is no part of this one

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._asking:
            return
        typed, event.input.value = event.value, ""
        if not typed:
            self.say("Type the passphrase of the key file first.")
            return
        self._asking = True
        self.say("Opening the key file…", "accent")
        self.app.run_worker(partial(self._unlock, UnlockKeys(passphrase=typed)), group="command")

    async def _unlock(self, command: UnlockKeys) -> None:
        reply = await self.model.ask(command)
        self._asking = False
        if not self.is_mounted:
            return
        if reply.ok:
            self.leave()
        else:
            self.say(reply.text, "danger")


def unlock_rows(snapshot: Snapshot | None, width: int) -> list[Row]:
    """Say which keys are locked, what else stands in the way, and what waits for them."""
    keys = snapshot.keys if snapshot else None
    if keys is None:
        return [text_row(NOTHING, "good"), text_row("")]
    named = ", ".join(keys.names)
    rows: list[Row] = [(("LOCKED  ", "warn"), (safe(named, width - 8), "strong"))]
    rows += [text_row(line, "danger") for line in wrap(keys.problem, width, 3)]
    if keys.wait_ms:
        told = f"After wrong passphrases the next is looked at in {countdown(keys.wait_ms)}."
        rows += [text_row(line, "danger") for line in wrap(told, width, 2)]
    rows.append(text_row(""))
    rows += [text_row(line) for line in wrap(MEANS, width, 4)]
    rows += [text_row(line, "dim") for line in wrap(STAYS, width, 3)]
    return [*rows, text_row("")]
