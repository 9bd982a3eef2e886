"""The decision stream: what every agent decided, how sure it was, what became of it, and why not."""

from __future__ import annotations

from typing import Any

from engine.api import StreamLine
from screens.format import UNKNOWN, clock, fit, safe, symbol, wrap
from screens.model import ConsoleModel, LostLines, StreamItem
from screens.rows import Column, Row, table_row, text_row
from screens.widgets.pane import Pane

COLUMNS = (
    Column(title="TIME", width=8, keep=8),
    Column(title="AGENT", width=11, keep=5),
    Column(title="INSTRUMENT", width=8, keep=4),
    Column(title="ACTION", width=20),
    Column(title="CONF", width=4, right=True, keep=7),
    Column(title="OUTCOME", width=10, grow=400),
)
WIDE = (
    Column(title="TIME", width=8),
    Column(title="AGENT", width=14),
    Column(title="INSTRUMENT", width=12),
    Column(title="ACTION", width=26),
    Column(title="CONF", width=4, right=True),
    Column(title="OUTCOME", width=10, grow=400),
)
WIDE_FROM = 118
QUIET = {"HOLD", "NO_CHANGE", "OBSERVED"}
GOOD = {"ACTED", "FILLED", "APPROVED", "RESUMED", "RUNNING", "ACTIVE", "FLAT"}
BAD = {"HALTED", "FAILED", "UNKNOWN", "INCIDENT", "NOT_FLAT", "STOPPED"}
SERIOUS_KINDS = {"incident", "flatten"}


def first_word(text: str) -> str:
    """Return the outcome's leading word, which decides its ink."""
    return text.split(None, 1)[0].rstrip(":,.").upper() if text.strip() else ""


def is_act(line: StreamLine) -> bool:
    """Say whether the line is more than a decision to do nothing."""
    return line.kind != "decision" or first_word(line.outcome) not in QUIET


def outcome_ink(line: StreamLine) -> str:
    """Colour for an outcome whose word says the same (U13)."""
    word = first_word(line.outcome)
    if word in BAD or (line.kind in SERIOUS_KINDS and word not in GOOD):
        return "danger"
    if word in GOOD:
        return "good"
    return (
        "dim" if word in QUIET else "accent" if word.startswith("AWAIT") else "warn" if line.kind == "decision" else ""
    )


def line_row(line: StreamLine, width: int) -> Row:
    """One durable event as a row."""
    columns = WIDE if width >= WIDE_FROM else COLUMNS
    outcome = safe(line.outcome.replace("_", " "), 60)
    quiet = "dim" if not is_act(line) else ""
    row = table_row(
        columns,
        (
            (clock(line.ts_ms), "dim"),
            (safe(line.agent, 24), quiet),
            (safe(symbol(line.instrument), 24), quiet),
            (safe(line.action, 60), quiet or "strong"),
            (UNKNOWN if line.confidence is None else f"{line.confidence:.2f}"[:4], "dim"),
            ("", ""),
        ),
        width,
    )
    blank, _ink = row[-1]
    why = f"{': ' if outcome else ''}{line.why}" if line.why else ""
    room = len(blank)
    shown = safe(outcome, room)
    return (*row[:-1], (shown, outcome_ink(line)), (fit(safe(why, room - len(shown)), room - len(shown)), "dim"))


class StreamPane(Pane):
    """Newest at the bottom; follows it until the trader moves up."""

    TITLE = "Decisions"
    CURSOR = True

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.follow = True
        self.acted_only = False
        self.needle = ""
        self._seen: tuple[Any, ...] = ()

    def show(self, model: ConsoleModel) -> None:
        """Take the lines again if there are new ones or the filter changed."""
        seen = (model.lines_version, self.needle, self.acted_only, model.error, self.size.width)
        if seen == self._seen and self.items:
            return
        self._seen = seen
        failed = wrap(model.error, max(20, self.size.width), 20) if model.error else []
        self.fill([*(each for each in model.lines if self._wanted(each)), *failed], self._heading(model))

    def _heading(self, model: ConsoleModel) -> str:
        words = [self.TITLE]
        if model.error or not model.snapshot:
            words.append("ENGINE FAILED" if model.error else "starting…")
        words += ["acted only"] * self.acted_only + [f"filter “{safe(self.needle, 24)}”"] * bool(self.needle)
        return " · ".join(words)

    def more(self, room: int) -> str:
        below = len(self.items) - self.top - room
        return "" if self.follow or below <= 0 else f" · {below} newer, End follows"

    def _wanted(self, item: StreamItem) -> bool:
        if isinstance(item, LostLines):
            return True
        if self.acted_only and not is_act(item):
            return False
        if not self.needle:
            return True
        told = " ".join((item.agent, item.instrument, item.action, item.outcome, item.why, item.kind))
        return self.needle.casefold() in told.casefold()

    def key(self, item: Any) -> object:
        return item.seq if isinstance(item, StreamLine) else item

    def row(self, item: Any, width: int) -> Row:
        if isinstance(item, LostLines):
            return text_row(
                safe("… lines lost: they are in the journal, `quarterdeck decisions` shows them …", width), "warn"
            )
        return line_row(item, width) if isinstance(item, StreamLine) else text_row(safe(str(item), width), "danger")

    def draw(self) -> None:
        if self.follow:
            self.cursor, self.top = max(0, len(self.items) - 1), max(0, len(self.items) - self._room())
        super().draw()

    def action_move(self, step: int) -> None:
        self.follow = self.cursor + step >= len(self.items) - 1
        super().action_move(step)
