"""Resume: a typed reason, and what resuming does and does not do (R17)."""

from __future__ import annotations

from engine.api import Command, Resume, Snapshot, TradingState
from screens.format import age, safe, wrap
from screens.model import ConsoleModel
from screens.reason import ReasonScreen
from screens.rows import Row, text_row
from screens.widgets.kill import gauge_sentence

DOES = (
    "It sets trading to ACTIVE again, from the next decision on, and lets the kill switch measure anew from the "
    "present equity; your reason is journaled."
)
DOES_NOT = (
    "It does not reopen positions, send cancelled orders again, wake paused or stopped agents, revive expired "
    "approvals, or change a limit, today's profit, the peak or the trades counted today."
)


class ResumeScreen(ReasonScreen):
    """One reason to type; enter resumes."""

    TITLE_TEXT = "Resume trading"
    KEYS = (("enter", "resume"), ("esc", "stay as it is"))
    COMMAND = "quarterdeck resume"

    def __init__(self, model: ConsoleModel) -> None:
        super().__init__(model, "why it is safe to go on")

    def rows(self, width: int) -> list[Row]:
        return resume_rows(self.model.snapshot, width)

    def command(self, reason: str) -> Command:
        return Resume(reason=reason)


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
