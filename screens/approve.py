"""Approve or reject one waiting trade: exactly the trade on the card, once (R26)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import partial

from textual import events
from textual.widget import Widget
from textual.widgets import Button, Input

from engine.api import ApprovalView, Approve, Command, Reject, RiskCheck, Verdict
from screens.dialog import Dialog, field
from screens.format import age, countdown, exact, money, price, qty, safe, share, symbol, wrap
from screens.model import ConsoleModel
from screens.rows import Row, beside, pair, text_row
from screens.widgets.guard import GuardedInput, event_clock_s
from screens.widgets.lines import Lines

WHY_LINES_MAX = 4
WHY_LINES_FROM = 28
BOUND = ("code", "agent", "instrument", "side", "order_type", "qty", "limit_price", "stop_price", "target_price")
PAIR_GAP = "    "
CHECK_WIDTH_MIN = 48
CHECK_HEAD = 30
CHECK_INDENT = "       "


class ApproveScreen(Dialog):
    """One card. Reject has the focus; approving takes the card's code, typed, then enter.

    Letters typed on Reject go to the code's field, and rejecting takes enter twice: neither answer is given by a key
    that was meant for the other.
    """

    TITLE_TEXT = "A trade waits for you"
    KEYS = (("tab", "next field"), ("enter", "answer"), ("esc", "decide later"))
    AUTO_FOCUS = "#reject"
    COMMAND = "quarterdeck approve"

    def __init__(self, model: ConsoleModel, approval: ApprovalView) -> None:
        super().__init__(model)
        self.card = approval
        self._answered = False
        self._closed_why = ""
        self._refusal = ""
        self._reject_asked = False

    def body(self) -> Iterator[Widget]:
        yield Lines(id="facts", classes="facts")
        yield field(
            "Answer",
            Button("Reject", id="reject", compact=True),
            Input(placeholder="because… (if you like)", compact=True, max_length=200, id="note"),
        )
        told = f"type {safe(self.card.code, 8)}, then enter"
        yield field("or approve", GuardedInput(self.guard, placeholder=told, max_length=8, id="code"))

    def refresh_card(self) -> None:
        facts = self.query_one("#facts", Lines)
        now = self.model.approval(self.card.approval_id)
        if not self._closed_why and not self._answered:
            self._closed_why = why_closed(self.card, now, self._refusal)
            if self._closed_why:
                self.query_one("#code", Input).disabled = True
                self.say(self._closed_why, "danger")
        aged_ms = self.model.aged((now or self.card).price_age_ms)
        facts.put(
            card_rows(self.card, now, aged_ms, max(20, facts.size.width), self.size.height, bool(self._closed_why))
        )

    def on_key(self, event: events.Key) -> None:
        """A letter on Reject begins the code, where it is seen."""
        if event.is_printable and event.character != " " and isinstance(self.focused, Button):
            event.stop()
            event.prevent_default()
            code = self.query_one("#code", GuardedInput)
            if not code.disabled:
                code.focus()
                code.begin(event)

    def on_descendant_focus(self) -> None:
        self._reject_asked = self._reject_asked and isinstance(self.focused, Button)

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.value and not self._closed_why and not self._answered:
            self.say("")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if self._closed_why or self._answered:
            self.say(self._closed_why or "It has been answered.", "danger")
        elif not self._reject_asked:
            self._ask_reject()
        else:
            note = self.query_one("#note", Input).value.strip()
            self._send(Reject(approval_id=self.card.approval_id, note=note))

    def _ask_reject(self) -> None:
        self._reject_asked = True
        self.guard.open(event_clock_s())  # the dwell starts anew: a second enter in the same breath is no answer
        reason = " with this reason" if self.query_one("#note", Input).value.strip() else ""
        self.say(f"Enter again rejects it{reason}; to approve it, type {safe(self.card.code, 8)}.", "accent")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input.id == "note":
            self.query_one("#reject").focus()
            self._ask_reject()
        elif event.value.strip().upper() != self.card.code.upper():
            event.input.value = ""
            self.say(f"That is not this trade's code; type {safe(self.card.code, 8)}.")
        else:
            self._approve()

    def _approve(self) -> None:
        if self._closed_why or self._answered:
            self.say(self._closed_why or "It has been answered.", "danger")
        elif self.model.is_stale:
            self.say(
                "The engine is silent: these numbers are old, and nothing can be approved on them (U12).", "danger"
            )
        else:
            self._send(Approve(approval_id=self.card.approval_id, code=self.card.code))

    def _send(self, command: Command) -> None:
        if not self._answered:
            self._answered = True
            self.say("Asking the engine…", "accent")
            self.app.run_worker(partial(self._answer, command), group="command")

    async def _answer(self, command: Command) -> None:
        reply = await self.model.ask(command)
        if not self.is_mounted:
            return
        if reply.ok:
            self.leave()
            return
        self._refusal = reply.text
        self.say(reply.text, "danger")
        self.query_one("#code", Input).value = ""
        self._answered = False
        self.refresh_card()


def why_closed(card: ApprovalView, now: ApprovalView | None, refusal: str = "") -> str:
    """Say why this card can no longer be approved; empty while it can (U06, U07, U09).

    refusal: what the engine said to an answer given from this card; "" when none was.
    """
    if now is None and refusal:
        return refusal
    if now is None:
        return "This trade waits no longer: it expired or was answered elsewhere. Nothing was sent from here."
    if now.expires_in_ms <= 0:
        return "This trade EXPIRED; nothing was sent. The agent may propose it again."
    if any(getattr(card, name) != getattr(now, name) for name in BOUND):
        return "The trade was changed after this card was drawn; close it and open the new one."
    return ""


def card_rows(
    card: ApprovalView, now: ApprovalView | None, aged_ms: float | None, width: int, height: int, closed: bool
) -> list[Row]:
    """Everything that an answer needs, as it was when the card was opened; only price and time move."""
    half = (width - len(PAIR_GAP)) // 2
    before_after = f"{qty(card.before_qty)} -> {qty(card.after_qty)}"
    order = f"{card.side.value} {qty(card.qty)} {safe(symbol(card.instrument), 24)}"
    live = now or card
    drift = (live.price_now - card.price) / card.price if live.price_now is not None and card.price else None
    closed = closed or now is None
    left = "closed" if closed else f"expires in {countdown(live.expires_in_ms)}"
    rows: list[Row] = [
        ((safe(f"{card.agent} asks to", 30), "dim"), (f" {order} ", "strong"), (card.order_type.value, "accent")),
        (("position ", "dim"), (before_after, ""), ("   ", ""), (left, "danger" if closed else "warn")),
        text_row(""),
        beside([pair("Price on this card", exact(card.price), "", half), _now(live, aged_ms, drift, half)], PAIR_GAP),
        beside(
            [_or_none("Limit", card.limit_price, half), pair("Order value", money(card.notional), "", half)], PAIR_GAP
        ),
        beside([_or_none("Stop", card.stop_price, half), _or_none("Target", card.target_price, half)], PAIR_GAP),
        beside([pair("Confidence", _confidence(card), "", half), _checks_word(card, half)], PAIR_GAP),
    ]
    bitten = [check for check in card.checks if check.verdict is not Verdict.PASS]
    rows += [row for check in bitten[:3] for row in check_rows(check, width)]
    lines = WHY_LINES_MAX if height >= WHY_LINES_FROM else 2
    rows += [text_row(""), *(text_row(line, "dim") for line in wrap(f"“{card.rationale}”", width, lines)), text_row("")]
    return rows if height >= 20 else [row for row in rows if row != text_row("")]


def _now(live: ApprovalView, aged_ms: float | None, drift: Decimal | None, width: int) -> Row:
    moved = f" ({share(drift, signed=True, places=2)})" if drift is not None else ""
    return pair(f"Now, {age(aged_ms)} old", price(live.price_now) + moved, "", width)


def _or_none(label: str, value: Decimal | None, width: int) -> Row:
    return pair(label, "none" if value is None else exact(value), "dim" if value is None else "", width)


def _confidence(card: ApprovalView) -> str:
    return "not given" if card.confidence is None else f"{card.confidence:.2f}"


def _checks_word(card: ApprovalView, width: int) -> Row:
    reduced = sum(check.verdict is not Verdict.PASS for check in card.checks)
    passed = len(card.checks) - reduced
    return pair(
        "Checks", f"{passed} passed" + (f", {reduced} reduced" if reduced else ""), "warn" if reduced else "good", width
    )


def check_rows(check: RiskCheck, width: int, lines_max: int = 3) -> list[Row]:
    """One guardrail's word: verdict, code, seen, limit; what does not fit beside goes under it, and nothing is cut."""
    ink = {Verdict.PASS: "good", Verdict.REDUCE: "warn", Verdict.REFUSE: "danger"}[check.verdict]
    told = f"{check.observed}, limit {check.limit}"
    beside = wrap(told, width - CHECK_HEAD, 2) if width >= CHECK_WIDTH_MIN else []
    if len(beside) == 1:
        return [((f"{check.verdict.value:<7}", ink), (f"{check.code.value:<23}", ""), (beside[0], "dim"))]
    under = wrap(told, max(10, width - len(CHECK_INDENT)), lines_max)
    return [
        ((f"{check.verdict.value:<7}", ink), (safe(check.code.value, width - 7), "")),
        *(((CHECK_INDENT, ""), (line, "dim")) for line in under),
    ]
