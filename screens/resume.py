"""Resume: a typed reason, and what resuming does and does not do (R17)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from textual.widget import Widget
from textual.widgets import Input

from engine.api import Resume, Snapshot, TradingState
from screens.dialog import Dialog, field
from screens.format import age, safe, wrap
from screens.model import ConsoleModel
from screens.rows import Row, text_row
from screens.widgets.guard import GuardedInput
from screens.widgets.kill import gauge_sentence
from screens.widgets.lines import Lines

REASON_MIN = 3
DOES = (
    "It sets trading to ACTIVE again, from the next decision on, and lets the kill switch measure anew from the "
    "present equity; your reason is journaled."
)
DOES_NOT = (
    "It does not reopen positions, send cancelled orders again, wake paused or stopped agents, revive expired "
    "approvals, or change a limit, today's profit, the peak or the trades counted today."
)


class ResumeScreen(Dialog):
    """One reason to type; enter resumes."""

    TITLE_TEXT = "Resume trading"
    KEYS = (("enter", "resume"), ("esc", "stay as it is"))
    AUTO_FOCUS = "#reason"
    COMMAND = "quarterdeck resume"

    def __init__(self, model: ConsoleModel) -> None:
        super().__init__(model)
        self._sent = False

    def body(self) -> Iterator[Widget]:
        yield Lines(id="facts", classes="facts")
        yield field(
            "Reason",
            GuardedInput(self.guard, placeholder="why it is safe to go on", max_length=200, strict=False, id="reason"),
        )

    def refresh_card(self) -> None:
        facts = self.query_one("#facts", Lines)
        facts.put(resume_rows(self.model.snapshot, max(20, facts.size.width)))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        reason = event.value.strip()
        if len(reason) < REASON_MIN:
            self.say("Write the reason in a few words: it goes into the journal.")
        elif not self._sent:
            self._sent = True
            self.app.run_worker(partial(self._resume, reason), group="command")

    async def _resume(self, reason: str) -> None:
        reply = await self.model.ask(Resume(reason=reason))
        if not self.is_mounted:
            return
        if reply.ok:
            self.leave()
            return
        self._sent = False
        self.say(reply.text, "danger")


def resume_rows(snapshot: Snapshot | None, width: int) -> list[Row]:
    """Say where trading stands, what resuming does, and what it does not."""
    rows: list[Row] = []
    if snapshot is not None:
        since = age(max(0, snapshot.now_ms - snapshot.state_since_ms))
        ink = "good" if snapshot.state is TradingState.ACTIVE else "danger"
        told = f" for {since}, by {snapshot.state_actor}: {snapshot.state_reason}"
        rows += [((snapshot.state.value, ink), (safe(told, width - 10), ""))]
        for gauge in snapshot.kill:
            if gauge.tripped or gauge.used_frac >= 1:
                rows.append(text_row(safe(gauge_sentence(gauge), width), "danger"))
        rows.append(text_row(""))
    rows += [text_row(line) for line in wrap(DOES, width, 3)]
    rows += [text_row(line, "dim") for line in wrap(DOES_NOT, width, 6)]
    return [*rows, text_row("")]
