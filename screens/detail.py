"""Everything behind one line: the decision with each of its checks, as the engine explains it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from rich.cells import cell_len
from textual import events

from engine.api import CertificateView, OrderView, Reply, StreamLine
from screens.format import UNKNOWN, clock, moment, price, qty, safe, symbol, wrap
from screens.model import ConsoleModel
from screens.reading import Reading
from screens.rows import Row, text_row
from screens.widgets.stream import outcome_ink
from screens.words import instant, label_of, worded

DEPTH_MAX = 6
ROWS_MAX = 1_000
LABEL = 14
VERDICT_INK = {"PASS": "good", "REDUCE": "warn", "REFUSE": "danger"}


class DetailScreen(Reading):
    """One stream line or order, and what `explain` says of its cycle."""

    TITLE_TEXT = "Behind this line"

    def __init__(self, model: ConsoleModel, subject: StreamLine | OrderView) -> None:
        super().__init__(model)
        self.subject = subject
        self._reply: Reply | None = None
        self._made: tuple[int, bool, list[Row]] | None = None

    def on_mount(self, event: events.Mount) -> None:
        if self.subject.cycle_id:
            self.run_worker(partial(self._explain, self.subject.cycle_id), exit_on_error=False)

    async def _explain(self, cycle_id: str) -> None:
        self._reply = await self.model.explain(cycle_id)
        self.refresh_card()

    def rows(self, width: int) -> list[Row]:
        made = self._made
        if made is None or made[:2] != (width, self._reply is not None):
            made = self._made = (width, self._reply is not None, self._all_rows(width))
        return made[2]

    def _all_rows(self, width: int) -> list[Row]:
        subject = self.subject
        rows = line_facts(subject, width) if isinstance(subject, StreamLine) else order_facts(subject, width)
        if not subject.cycle_id:
            return rows
        rows += [text_row(""), text_row(safe(f"Cycle {subject.cycle_id}", width), "head")]
        if self._reply is None:
            return [*rows, text_row("asking the engine…", "dim")]
        if not self._reply.ok:
            return [*rows, *(text_row(line, "warn") for line in wrap(self._reply.text, width, 6))]
        told = [text_row(line) for line in wrap(self._reply.text, width, 6)]
        return [*rows, *told, *outline(self._reply.data, width)][:ROWS_MAX]


class CertificateScreen(Reading):
    """The venue's own proof of zero, per instrument (R19)."""

    TITLE_TEXT = "Flatten certificate"

    def __init__(self, model: ConsoleModel, certificate: CertificateView) -> None:
        super().__init__(model)
        self.certificate = certificate

    def rows(self, width: int) -> list[Row]:
        told = self.certificate
        word, ink = ("FLAT", "good") if told.flat else ("NOT FLAT", "danger")
        rows: list[Row] = [
            ((word, ink), (f" after {told.took_ms / 1000:.1f} s, by the venue's own word{_when(told)}", "")),
            text_row(safe(told.flatten_id, width), "dim"),
            text_row(""),
        ]
        if told.held_since:
            rows.insert(1, text_row("Positions were opened since: it is no word on what is held now.", "warn"))
        if told.steps:
            steps = ", ".join(f"{name.replace('_', ' ')} {ms} ms" for name, ms in told.steps)
            rows += [text_row(line, "dim") for line in wrap(f"From the key: {steps}", width, 3)]
        for name, start, end, why in told.lines:
            text = f"{qty(start)} -> {qty(end)}"
            rows.append(
                (
                    (f"{safe(symbol(name), 16):<16} ", "strong"),
                    (f"{text:<24} ", "danger" if end else "good"),
                    (safe(why, width - 42), "dim"),
                )
            )
        return [*rows, *proof_rows(told, width)]


def _when(told: CertificateView) -> str:
    return f", at {moment(told.ended_ms, 0)} UTC" if told.ended_ms else ""


def proof_rows(told: CertificateView, width: int) -> list[Row]:
    """Say what the venue answered of each instrument, and when."""
    rows = [text_row(""), text_row("What the venue answered", "head")] if told.proofs else []
    for name, asked_ms, held, working, sold, cost in told.proofs:
        text = f"holds {qty(held)}, {working} orders work; sold {qty(sold)}"
        text += f" at {price(cost / sold)} on average" if sold else ""
        line = f"{symbol(name)} at {clock(asked_ms)} UTC: {text}"
        rows += [text_row(each) for each in wrap(line, width, 2)]
    return rows


def line_facts(line: StreamLine, width: int) -> list[Row]:
    """Say the stream's line in full."""
    confidence = UNKNOWN if line.confidence is None else f"{line.confidence:.2f}"
    parts = [
        ("When", f"{clock(line.ts_ms)} UTC, journal row {line.seq}", ""),
        ("Agent", line.agent or UNKNOWN, ""),
        ("Instrument", line.instrument or UNKNOWN, ""),
        ("Action", line.action or UNKNOWN, "strong"),
        ("Confidence", confidence, ""),
        ("Outcome", line.outcome or UNKNOWN, outcome_ink(line)),
        ("Why", line.why or UNKNOWN, ""),
    ]
    return [row for label, value, ink in parts for row in labelled(label, value, ink, width, 0)]


def order_facts(order: OrderView, width: int) -> list[Row]:
    """Say a working order in full."""
    parts = [
        ("Order", f"{order.side.value} {qty(order.qty)} {order.instrument} {order.order_type.value}", "strong"),
        ("Role", order.role.value, ""),
        ("Status", f"{order.status.value}, {qty(order.filled_qty)} filled", ""),
        ("Agent", order.agent, ""),
        ("Limit", "none" if order.limit_price is None else qty(order.limit_price), ""),
        ("Stop", "none" if order.stop_price is None else qty(order.stop_price), ""),
        ("Client id", order.client_order_id, "dim"),
    ]
    return [row for label, value, ink in parts for row in labelled(label, value, ink, width, 0)]


def labelled(label: str, value: str, ink: str, width: int, depth: int) -> Iterator[Row]:
    """Yield a label and its value, wrapped under itself."""
    indent = "  " * depth
    room = max(10, width - LABEL - len(indent) - 1)
    name = safe(label.replace("_", " "), LABEL)
    name += " " * (LABEL - cell_len(name))
    for place, line in enumerate(wrap(value, room, 40) or [UNKNOWN]):
        yield ((indent + (name if place == 0 else " " * LABEL) + " ", "dim"), (line, ink))


def outline(data: Any, width: int, depth: int = 0) -> Iterator[Row]:
    """Yield whatever the engine told as indented lines; every text in it is drawn as it stands."""
    if depth > DEPTH_MAX:
        yield text_row("  " * depth + "…", "dim")
    elif isinstance(data, Mapping):
        for label, value in data.items():
            yield from _entry(str(label), value, width, depth)
    elif isinstance(data, Sequence) and not isinstance(data, str | bytes):
        for item in data:
            yield from _item(item, width, depth)
    elif data is not None:
        yield from labelled("", str(data), "", width, depth)


def _entry(label: str, value: Any, width: int, depth: int) -> Iterator[Row]:
    if isinstance(value, Mapping) or (isinstance(value, Sequence) and not isinstance(value, str | bytes)):
        if value:
            yield text_row(safe("  " * depth + label.replace("_", " "), width), "head")
            yield from outline(value, width, depth + 1)
        return
    text = UNKNOWN if value is None or value == "" else instant(str(worded(label, value)))
    yield from labelled(label_of(label), text, VERDICT_INK.get(text, ""), width, depth)


def _item(item: Any, width: int, depth: int) -> Iterator[Row]:
    if isinstance(item, Mapping) and {"code", "verdict"} <= set(item):
        verdict = str(item["verdict"])
        told = f"{item.get('observed', '')}, limit {item.get('limit', '')}"
        code = safe(str(item["code"]), 23)
        yield (
            ("  " * depth + f"{safe(verdict, 7):<8}", VERDICT_INK.get(verdict, "")),
            (f"{code:<24}", ""),
            (safe(told, max(4, width - 34 - 2 * depth)), "dim"),
        )
    elif isinstance(item, Mapping):
        yield from outline(item, width, depth)
        yield text_row("")
    else:
        yield from outline(item, width, depth)
