"""The one line that is always on the screen: where orders go, whose prices these are, and whether trading is on."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from rich.cells import cell_len, set_cell_size

from engine.api import Mode, Snapshot, TradingState
from screens.format import age, money, safe, share
from screens.model import ConsoleModel
from screens.rows import Piece, Row, row_width
from screens.widgets.lines import Lines

WORDS = {TradingState.ACTIVE: "trading", TradingState.REDUCING: "exits only", TradingState.HALTED: "no new exposure"}
ALARMS = {"danger", "chip-alert"}
STATE_INK = {TradingState.ACTIVE: "good", TradingState.REDUCING: "chip-warn", TradingState.HALTED: "chip-alert"}

# Each field says itself at four lengths; the longest length at which all of them fit is drawn. Where even the shortest
# do not fit, those of the lowest rank go first: where orders go and whether trading is on stay to the last.
Field = tuple[str, tuple[str, str, str, str]]
SEPARATORS = ("  ", " │ ", "│", "│")
RANKS = (10, 7, 9, 4, 1, 3, 2, 5, 6, 0, 0)
RANK_ALARM = 8
TAIL_MIN = 12


def safety_row(model: ConsoleModel, width: int) -> Row:
    """Draw the safety line in exactly `width` cells."""
    fields = _fields(model)
    for length, separator in enumerate(SEPARATORS):
        row = _joined([(texts[length], ink) for ink, texts in fields], separator)
        if row_width(row) <= width:
            return _filled((*row, *_tail(model, width - row_width(row))), width)
    return _filled(_most_important(fields, width), width)


def _most_important(fields: Sequence[Field], width: int) -> Row:
    ranked = [
        (RANK_ALARM if ink in ALARMS and rank < RANK_ALARM else rank, texts[-1], ink)
        for rank, (ink, texts) in zip(RANKS, fields, strict=False)
    ]
    while True:
        row = _joined([(text, ink) for _rank, text, ink in ranked], "│")
        if row_width(row) <= width or len(ranked) <= 2 or len(fields) < len(RANKS):
            return row
        ranked.remove(min(ranked, key=lambda each: each[0]))


def _tail(model: ConsoleModel, room: int) -> Row:
    """Say why there is no data, where there is room for it."""
    told = feed_trouble(model.snapshot)
    return ((f"  {safe(told, room - 2)}", "warn"),) if told and room >= TAIL_MIN else ()


def feed_trouble(snapshot: Snapshot | None) -> str:
    """Say why no data comes, and from where; empty while it does."""
    if snapshot is None or snapshot.connected or snapshot.finished or not snapshot.feed_text:
        return ""
    named = snapshot.source_name in snapshot.feed_text
    return snapshot.feed_text if named else f"{snapshot.source_name}: {snapshot.feed_text}"


def _joined(pieces: Sequence[Piece], separator: str) -> Row:
    out: list[Piece] = []
    for text, ink in pieces:
        if text:
            out += [(separator, "dim")] if out else []
            out.append((f" {text} " if separator == "  " and ink.startswith("chip") else text, ink))
    return tuple(out)


def _filled(row: Row, width: int) -> Row:
    out: list[Piece] = []
    left = width
    for text, ink in row:
        size = cell_len(text)
        out.append((text if size <= left else set_cell_size(text, left), ink))
        left -= min(size, left)
    return (*out, (" " * left, ""))


def _fields(model: ConsoleModel) -> list[Field]:
    snapshot = model.snapshot
    if snapshot is None:
        return _starting(model)
    return [
        _same("chip-live" if snapshot.mode is Mode.LIVE else "chip", snapshot.mode.value),
        _source(snapshot),
        _state(model, snapshot),
        _equity(snapshot),
        _day(snapshot),
        _data(model, snapshot),
        _engine(model),
        _approvals(snapshot),
        _keys(model, snapshot),
        _incidents(model, snapshot),
        _unprotected(snapshot),
    ]


def _same(ink: str, text: str) -> Field:
    return ink, (text, text, text, text)


def _starting(model: ConsoleModel) -> list[Field]:
    if model.error:
        return [_same("chip-alert", "ENGINE FAILED"), _same("danger", safe(model.error, 300))]
    word = "ENGINE LEAVING" if model.leaving else "ENGINE STARTING"
    halt = [_same("chip-alert", "HALT COMES FIRST")] if model.halt_wanted else []
    return [_same("chip", word), *halt, _same("dim", "no numbers yet")]


def _source(snapshot: Snapshot) -> Field:
    if snapshot.finished:
        done = f"{safe(snapshot.source_kind.value, 20)} DONE"
        return "accent", (done, done, done, done)
    label = safe(snapshot.source_label, 20)
    done = "" if snapshot.progress is None else f" {share(_floor_percent(snapshot), places=0)}"
    return "accent", (label + done, label + done, label, label)


def _floor_percent(snapshot: Snapshot) -> Decimal:
    return Decimal(int((snapshot.progress or 0.0) * 100)) / 100  # 100% is only said when it is done


def _state(model: ConsoleModel, snapshot: Snapshot) -> Field:
    state = snapshot.state
    if model.leaving:
        return _same("chip-warn", "LEAVING")
    if snapshot.flattening:
        return _same("chip-alert", "FLATTENING")
    if model.halt_wanted and state is not TradingState.HALTED:
        return _same("chip-alert", "HALTING")
    return STATE_INK[state], (f"{state.value} · {WORDS[state]}", state.value, state.value, state.value)


def _equity(snapshot: Snapshot) -> Field:
    full, short = money(snapshot.equity), money(snapshot.equity, places=0)
    return "strong", (f"EQUITY {full} {safe(snapshot.currency, 6)}", f"EQ {full}", f"EQ {full}", f"EQ {short}")


def _day(snapshot: Snapshot) -> Field:
    pnl = snapshot.day_pnl
    ink = "dim" if pnl is None else "good" if pnl > 0 else "loss" if pnl < 0 else ""
    part = pnl / snapshot.day_start if pnl is not None and snapshot.day_start else None
    percent = f" ({share(part, signed=True, places=2)})" if part is not None else ""
    full, short = money(pnl, signed=True), percent.strip(" ()") or money(pnl, signed=True, places=0)
    return ink, (f"DAY {full}{percent}", f"DAY {full}{percent}", f"DAY {full}{percent}", f"DAY {short}")


def _data(model: ConsoleModel, snapshot: Snapshot) -> Field:
    if snapshot.finished:
        return "", ("DATA ended", "DATA ended", "DATA ended", "ended")
    text = age(model.data_age_ms)
    if not snapshot.connected and not snapshot.finished:
        return "danger", (f"DATA CUT {text}", f"DATA CUT {text}", f"DATA CUT {text}", f"CUT {text}")
    return "", (f"DATA {text} old", f"DATA {text}", f"DATA {text}", f"DATA {text}")


def _engine(model: ConsoleModel) -> Field:
    text = age(model.engine_age_ms)
    if model.error:
        return "chip-alert", ("ENGINE FAILED", "ENGINE FAILED", "ENG FAILED", "FAILED")
    if model.is_stale:
        return "danger", (f"ENGINE SILENT {text}", f"ENG SILENT {text}", f"ENG SILENT {text}", f"SILENT {text}")
    return "", (f"ENGINE {text}", f"ENG {text}", f"ENG {text}", f"ENG {text}")


def _approvals(snapshot: Snapshot) -> Field:
    count, changes = len(snapshot.approvals), len(snapshot.policy.changes) if snapshot.policy else 0
    more = f" · POLICY {changes}", f" POL {changes}", f" POL {changes}", f" POL {changes}"
    long, wide, short, least = more if changes else ("", "", "", "")
    return "chip-warn" if count or changes else "", (
        f"APPROVALS {count} waiting{long}",
        f"APPR {count}{wide}",
        f"APPR {count}{short}",
        f"APPR {count}{least}",
    )


def _keys(model: ConsoleModel, snapshot: Snapshot) -> Field:
    if snapshot.keys is None:
        return "", ("", "", "", "")
    return "chip-warn", (f"KEYS LOCKED: {model.key('u')}", "KEYS LOCKED", "KEYS LOCKED", "KEYS")


def _incidents(model: ConsoleModel, snapshot: Snapshot) -> Field:
    count = snapshot.incidents
    text = f"INC {count}"
    return "danger", (f"INCIDENTS {count}: {model.key('i')}", text, text, "") if count else ("", "", "", "")


def _unprotected(snapshot: Snapshot) -> Field:
    count = len(snapshot.unprotected)
    text = f"UNPROTECTED {count}"
    return "chip-alert" if count else "", (text, text, text, f"BARE {count}") if count else ("", "", "", "")


class SafetyLine(Lines):
    """The safety line as a widget: the first row of every screen, modals too."""

    def __init__(self, model: ConsoleModel) -> None:
        super().__init__()
        self._model = model

    def show(self) -> None:
        """Draw it again if anything on it changed."""
        self.put([safety_row(self._model, self.size.width)])

    def on_resize(self) -> None:
        self.show()
