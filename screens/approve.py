"""Approve or reject one waiting trade: exactly the trade on the card, once (R26)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import partial

from textual.widget import Widget
from textual.widgets import Button, Input

from engine.api import ApprovalView, Approve, Command, Reject, RiskCheck, Verdict
from screens.dialog import Dialog, field
from screens.format import age, countdown, money, price, qty, safe, share, symbol, wrap
from screens.model import ConsoleModel
from screens.rows import Row, beside, pair, text_row
from screens.widgets.guard import GuardedInput
from screens.widgets.lines import Lines

WHY_LINES_MAX = 4
BOUND = ("code", "agent", "instrument", "side", "order_type", "qty", "limit_price", "stop_price", "target_price")
PAIR_GAP = "    "
CHECK_WIDTH_MIN = 48


class ApproveScreen(Dialog):
    """One card. Reject has the focus; approving takes the card's code, typed, then enter."""

    TITLE_TEXT = "A trade waits for you"
    KEYS = (("tab", "next field"), ("enter", "answer"), ("esc", "decide later"))
    AUTO_FOCUS = "#reject"
    COMMAND = "quarterdeck approve"

    def __init__(self, model: ConsoleModel, approval: ApprovalView) -> None:
        super().__init__(model)
        self.card = approval
        self._answered = False
        self._closed_why = ""

    def body(self) -> Iterator[Widget]:
        yield Lines(id="facts", classes="facts")
        yield field(
            "Reject",
            Button("Reject", id="reject", compact=True),
            Input(placeholder="a reason, if you like", compact=True, max_length=200, id="note"),
        )
        yield field(
            "Approve", GuardedInput(self.guard, placeholder=f"type {safe(self.card.code, 8)}", max_length=8, id="code")
        )

    def refresh_card(self) -> None:
        facts = self.query_one("#facts", Lines)
        now = self.model.approval(self.card.approval_id)
        if not self._closed_why and not self._answered:
            self._closed_why = why_closed(self.card, now)
            if self._closed_why:
                self.query_one("#code", Input).disabled = True
                self.say(self._closed_why, "danger")
        facts.put(card_rows(self.card, now, max(20, facts.size.width), self.size.height, bool(self._closed_why)))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        note = self.query_one("#note", Input).value.strip()
        self._send(Reject(approval_id=self.card.approval_id, note=note))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input.id == "note":
            self.query_one("#reject").focus()
            self.say("Press enter to reject with this reason.", "accent")
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
        self.say(reply.text, "danger")
        self.query_one("#code", Input).value = ""
        self._answered = False


def why_closed(card: ApprovalView, now: ApprovalView | None) -> str:
    """Say why this card can no longer be approved; empty while it can (U06, U07, U09)."""
    if now is None:
        return "This trade waits no longer: it expired or was answered elsewhere. Nothing was sent from here."
    if now.expires_in_ms <= 0:
        return "This trade EXPIRED; nothing was sent. The agent may propose it again."
    if any(getattr(card, name) != getattr(now, name) for name in BOUND):
        return "The trade was changed after this card was drawn; close it and open the new one."
    return ""


def card_rows(card: ApprovalView, now: ApprovalView | None, width: int, height: int, closed: bool) -> list[Row]:
    """Everything that an answer needs, as it was when the card was opened; only price and time move."""
    half = (width - len(PAIR_GAP)) // 2
    before_after = f"{qty(card.before_qty)} -> {qty(card.after_qty)}"
    order = f"{card.side.value} {qty(card.qty)} {safe(symbol(card.instrument), 24)}"
    live = now or card
    drift = (live.price_now - card.price) / card.price if live.price_now is not None and card.price else None
    left = "closed" if closed or now is None else countdown(now.expires_in_ms)
    rows: list[Row] = [
        ((safe(f"{card.agent} asks to", 30), "dim"), (f" {order} ", "strong"), (card.order_type.value, "accent")),
        (("position ", "dim"), (before_after, ""), ("   expires in ", "dim"), (left, "warn")),
        text_row(""),
        beside([pair("Price on this card", price(card.price), "", half), _now(live, drift, half)], PAIR_GAP),
        beside(
            [_or_none("Limit", card.limit_price, half), pair("Order value", money(card.notional), "", half)], PAIR_GAP
        ),
        beside([_or_none("Stop", card.stop_price, half), _or_none("Target", card.target_price, half)], PAIR_GAP),
        beside([pair("Confidence", _confidence(card), "", half), _checks_word(card, half)], PAIR_GAP),
    ]
    bitten = [check for check in card.checks if check.verdict is not Verdict.PASS]
    rows += [row for check in bitten[:3] for row in check_rows(check, width)]
    lines = WHY_LINES_MAX if height >= 24 else 2
    rows += [text_row(""), *(text_row(line, "dim") for line in wrap(f"“{card.rationale}”", width, lines)), text_row("")]
    return rows if height >= 20 else [row for row in rows if row != text_row("")]


def _now(live: ApprovalView, drift: Decimal | None, width: int) -> Row:
    moved = f" ({share(drift, signed=True, places=2)})" if drift is not None else ""
    return pair(f"Now, {age(live.price_age_ms)} old", price(live.price_now) + moved, "", width)


def _or_none(label: str, value: Decimal | None, width: int) -> Row:
    return pair(label, "none" if value is None else price(value), "dim" if value is None else "", width)


def _confidence(card: ApprovalView) -> str:
    return "not given" if card.confidence is None else f"{card.confidence:.2f}"


def _checks_word(card: ApprovalView, width: int) -> Row:
    reduced = sum(check.verdict is not Verdict.PASS for check in card.checks)
    passed = len(card.checks) - reduced
    return pair(
        "Checks", f"{passed} passed" + (f", {reduced} reduced" if reduced else ""), "warn" if reduced else "good", width
    )


def check_rows(check: RiskCheck, width: int) -> list[Row]:
    """One guardrail's word: verdict, code, seen, limit; on two lines where one is too short."""
    ink = {Verdict.PASS: "good", Verdict.REDUCE: "warn", Verdict.REFUSE: "danger"}[check.verdict]
    told = f"{check.observed}, limit {check.limit}"
    if width >= CHECK_WIDTH_MIN:
        head = ((f"{check.verdict.value:<7}", ink), (f"{check.code.value:<23}", ""))
        return [(*head, (safe(told, width - 30), "dim"))]
    return [
        ((f"{check.verdict.value:<7}", ink), (safe(check.code.value, width - 7), "")),
        (("       ", ""), (safe(told, width - 7), "dim")),
    ]
