"""Approve or reject one waiting trade: exactly the trade on the card, once (R26)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Button, Input

from engine.api import ApprovalView, Approve, Command, Reject
from screens.checks import CardChecks, checks_rows, checks_words
from screens.dialog import Dialog, field
from screens.effect import effect_pairs
from screens.format import age, clock, countdown, exact, money, price, qty, safe, share, symbol, wrap
from screens.model import ConsoleModel
from screens.rows import Row, beside, pair, text_row
from screens.widgets.guard import GuardedInput, event_clock_s
from screens.widgets.lines import Lines

Facts = list[tuple[int, Row]]
WHY_LINES_MAX = 4
CHROME_ROWS = 7  # our two lines, the border, two fields and the status
PADDING_ROWS = 3
PADDED_FROM = 34  # where console.tcss begins to leave a margin
CHECKS_ROWS_MIN = 3
CHECKS_FROM = 16
BOUND = (
    "code", "agent", "instrument", "side", "order_type", "qty", "limit_price", "trigger_price", "stop_price",
    "target_price", "policy",
)  # fmt: skip
PAIR_GAP = "    "


class ApproveScreen(Dialog):
    """One card. Reject has the focus; approving takes the card's code, typed, then enter.

    Letters typed on Reject go to the code's field, and rejecting takes enter twice: neither answer is given by a key
    that was meant for the other.
    """

    TITLE_TEXT = "A trade waits for you"
    KEYS = (("tab", "field"), ("↑↓", "checks"), ("enter", "answer"), ("esc", "later"))
    AUTO_FOCUS = "#reject"
    COMMAND = "quarterdeck approve"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "checks('move', -1)", show=False),
        Binding("down", "checks('move', 1)", show=False),
        Binding("pageup", "checks('page', -1)", show=False),
        Binding("pagedown", "checks('page', 1)", show=False),
    ]

    def __init__(self, model: ConsoleModel, approval: ApprovalView) -> None:
        super().__init__(model)
        self.card = approval
        self._answered = False
        self._closed_why = ""
        self._refusal = ""
        self._reject_asked = False

    def body(self) -> Iterator[Widget]:
        yield Lines(id="facts", classes="facts")
        yield CardChecks(id="card-checks")
        yield field(
            "Answer",
            Button("Reject", id="reject", compact=True),
            Input(placeholder="because… (if you like)", compact=True, max_length=200, id="note"),
        )
        told = f"type {safe(self.card.code, 8)}, then enter"
        yield field("or approve", GuardedInput(self.guard, placeholder=told, max_length=8, id="code"))

    def refresh_card(self) -> None:
        facts = self.query_one("#facts", Lines)
        self.query_one("#card").border_title = Content(self._title())
        now = self.model.approval(self.card.approval_id)
        if not self._closed_why and not self._answered:
            self._closed_why = why_closed(self.card, now, self._refusal)
            if self._closed_why:
                self.query_one("#code", Input).disabled = True
                self.say(self._closed_why, "danger")
        aged_ms = self.model.aged((now or self.card).price_age_ms)
        rows = card_rows(self.card, now, aged_ms, max(20, facts.size.width), bool(self._closed_why))
        facts.put(fitted(rows, facts_room(self.size.height)))
        self._show_checks(len(facts.rows))

    def _title(self) -> str:
        waiting = len(self.model.snapshot.approvals) if self.model.snapshot else 1
        return f"{self.TITLE_TEXT} · {waiting - 1} more after it" if waiting > 1 else self.TITLE_TEXT

    def _show_checks(self, above: int) -> None:
        """Show every check; the pane takes what the window has left, and the rest of it scrolls."""
        pane = self.query_one(CardChecks)
        rows = checks_rows(self.card.checks, max(20, self.query_one("#facts").size.width))
        pane.fill(rows, checks_title(self.card))
        height = self.size.height
        room = max(0, facts_room(height) + checks_room(height) - above)
        wanted = min(len(rows) + 1, room) if room > 1 else 0
        pane.display = wanted > 0
        if pane.styles.height is None or pane.styles.height.value != wanted:
            pane.styles.height = wanted

    def action_checks(self, way: str, step: int) -> None:
        """Scroll the checks, whatever has the focus."""
        pane = self.query_one(CardChecks)
        pane.action_move(step) if way == "move" else pane.action_page(step)

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


def checks_title(card: ApprovalView) -> str:
    """Say how the checks ended, and when: they are those of the asking, and are made anew when it is approved."""
    words = checks_words(card.checks)
    return f"Checked at {clock(card.asked_ms)}, anew on approval · {words}" if card.asked_ms else f"Checks · {words}"


def facts_room(height: int) -> int:
    """Return the rows a window leaves for the facts, beside our own lines, the border, the answer and some checks."""
    return height - CHROME_ROWS - (PADDING_ROWS if height >= PADDED_FROM else 0) - checks_room(height)


def checks_room(height: int) -> int:
    """Return the rows that are kept for the checks; a low window has them for the order and its price alone."""
    return CHECKS_ROWS_MIN if height >= CHECKS_FROM else 0


def card_rows(card: ApprovalView, now: ApprovalView | None, aged_ms: float | None, width: int, closed: bool) -> Facts:
    """Everything that an answer needs, as it was when the card was opened; price, time and portfolio move.

    Each group has a rank; where there is no room for all, the highest ranks go first.
    """
    half = (width - len(PAIR_GAP)) // 2
    live = now or card
    drift = (live.price_now - card.price) / card.price if live.price_now is not None and card.price else None
    quote = pair(f"Price, {age(live.quote_age_ms)} old", exact(card.price), "", half)
    value = pair("Order value", money(live.effect.value if live.effect else card.notional), "", half)  # as cash is
    facts = [
        (0, _asks(card)),
        (0, _position(card, live, closed or now is None)),
        (5, text_row("")),
        (1, beside([quote, _now(live, aged_ms, drift, half)], PAIR_GAP)),
        (3, beside([_own_price(card, half), value], PAIR_GAP)),
        (2, beside([_or_none("Stop", card.stop_price, half), _or_none("Target", card.target_price, half)], PAIR_GAP)),
    ]
    if live.effect is not None:
        cash, gross, free, at_stop = effect_pairs(live.effect, half)
        facts += [(2, beside([at_stop, gross], PAIR_GAP)), (3, beside([cash, free], PAIR_GAP))]
    confidence = pair("Confidence", _confidence(card), "", half)
    facts.append((4, beside([confidence, pair("Policy", safe(card.policy[:8], 8), "", half)], PAIR_GAP)))
    why = wrap(f"“{card.rationale}”", width, WHY_LINES_MAX)
    return [*facts, (5, text_row("")), *((4 if not at else 6, text_row(line, "dim")) for at, line in enumerate(why))]


def fitted(facts: Facts, room: int) -> list[Row]:
    """Leave out what ranks highest until the rest fits into `room` rows; rank 0 always stays."""
    while len(facts) > room and (most := max(rank for rank, _row in facts)) > 0:
        last = max(at for at, (rank, _row) in enumerate(facts) if rank == most)
        facts = [*facts[:last], *facts[last + 1 :]]
    return [row for _rank, row in facts]


def _asks(card: ApprovalView) -> Row:
    order = f"{card.side.value} {qty(card.qty)} {safe(symbol(card.instrument), 24)}"
    return ((safe(f"{card.agent} asks to", 30), "dim"), (f" {order} ", "strong"), (card.order_type.value, "accent"))


def _position(card: ApprovalView, live: ApprovalView, closed: bool) -> Row:
    before_after = f"{qty(card.before_qty)} -> {qty(card.after_qty)}"
    left = "closed" if closed else f"expires in {countdown(live.expires_in_ms)}"
    return (("position ", "dim"), (before_after, ""), ("   ", ""), (left, "danger" if closed else "warn"))


def _own_price(card: ApprovalView, width: int) -> Row:
    if card.trigger_price is not None:
        return _or_none("Waits for", card.trigger_price, width)
    return _or_none("Limit", card.limit_price, width)


def _now(live: ApprovalView, aged_ms: float | None, drift: Decimal | None, width: int) -> Row:
    moved = f" ({share(drift, signed=True, places=2)})" if drift is not None else ""
    too_far = drift is not None and abs(drift) > live.drift_max_frac
    label = "Now, TOO FAR" if too_far else f"Now, {age(aged_ms)} old"
    return pair(label, price(live.price_now) + moved, "danger" if too_far else "", width)


def _or_none(label: str, value: Decimal | None, width: int) -> Row:
    return pair(label, "none" if value is None else exact(value), "dim" if value is None else "", width)


def _confidence(card: ApprovalView) -> str:
    return "not given" if card.confidence is None else f"{card.confidence:.2f}"
