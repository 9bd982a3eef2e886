"""Approve or reject one change of the policy: exactly the diff on the card, with the admin's passphrase (R24)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from textual import events
from textual.widget import Widget
from textual.widgets import Button, Input

from engine.api import ApproveChange, ChangeView, Command, PolicyChange, Query, RejectChange, Sense
from screens.dialog import Dialog, field
from screens.format import countdown, safe, wrap
from screens.model import ConsoleModel
from screens.rows import Row, text_row
from screens.widgets.guard import GuardedInput, event_clock_s
from screens.widgets.lines import Lines

INKS = {Sense.LOOSENS: "danger", Sense.TIGHTENS: "good", Sense.NEUTRAL: "dim"}
CHROME_LINES = 12
"""What stands on a screen besides facts: safety line, frame, fields, status and keys."""
REASON_LINES = 2
FORESEEN = (
    ("would_pass", "refusals would have passed the check"),
    ("would_be_refused", "passes would have been refused"),
    ("would_be_larger", "orders would have been larger"),
    ("would_be_smaller", "orders would have been smaller"),
)
UNSEEN = "{} more lines of this change do not fit: enlarge the window, or see quarterdeck policy diff {}."


class PolicyScreen(Dialog):
    """One card. The passphrase has the focus; Reject takes enter twice, approving takes the card's code, then enter.

    Both take the passphrase, so letters typed on Reject go there first, and to the code's field once it is there. A
    pasted, held or too early key counts for neither.
    """

    TITLE_TEXT = "A change of the policy waits for the admin"
    KEYS = (("tab", "next field"), ("enter", "answer"), ("esc", "decide later"))
    AUTO_FOCUS = "#passphrase"
    COMMAND = "quarterdeck policy requests"

    def __init__(self, model: ConsoleModel, change: ChangeView) -> None:
        super().__init__(model)
        self.card = change
        self._answered = False
        self._closed_why = ""
        self._reject_asked = False
        self._foreseen: list[str] = ["Reckoning the last 30 days under it…"]

    def body(self) -> Iterator[Widget]:
        yield Lines(id="facts", classes="facts")
        secret = GuardedInput(self.guard, placeholder="the admin's", max_length=200, whole=True, id="passphrase")
        secret.password = True
        yield field("Passphrase", secret)
        yield field(
            "Answer",
            Button("Reject", id="reject", compact=True),
            Input(placeholder="because… (if you like)", compact=True, max_length=200, id="note"),
        )
        told = f"type {safe(self.card.code, 8)}, then enter"
        yield field("or approve", GuardedInput(self.guard, placeholder=told, max_length=8, id="code"))

    def on_mount(self, event: events.Mount) -> None:
        super().on_mount(event)
        self.app.run_worker(self._foresee, group="command")

    async def _foresee(self) -> None:
        reply = await self.model.send(Query(name="policy_preview", args={"request": self.card.request_id}))
        if self.is_mounted:
            told = reply.data.get("preview") if reply.ok and reply.data else None
            self._foreseen = foreseen(told) if told else [reply.text or "What it would have done is not known."]
            self.refresh_card()

    def refresh_card(self) -> None:
        facts = self.query_one("#facts", Lines)
        width, room = max(20, facts.size.width), max(6, self.size.height - CHROME_LINES)
        now = change_of(self.model, self.card.request_id)
        rows, unseen = card_rows(self.card, now, self._foreseen, width, room)
        if not self._answered:
            self._close_if(
                why_closed(self.card, now) or (UNSEEN.format(unseen, self.card.request_id) if unseen else "")
            )
        facts.put(rows)

    def _close_if(self, why: str) -> None:
        if why != self._closed_why:
            self._closed_why = why
            self.query_one("#code", Input).disabled = bool(why)
            self.say(why, "danger")

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        passphrase = self.query_one("#passphrase", Input).value
        if self._answered:
            self.say("It has been answered.", "danger")
        elif not passphrase:
            self._ask_passphrase("Type the admin's passphrase first; tab leads back to Reject.")
        elif not self._reject_asked:
            self._ask_reject()
        else:
            note = self.query_one("#note", Input).value.strip()
            self._send(RejectChange(request_id=self.card.request_id, passphrase=passphrase, note=note))

    def _ask_passphrase(self, why: str) -> None:
        self.query_one("#code", Input).value = ""
        self.query_one("#passphrase").focus()
        self.say(why)

    def on_key(self, event: events.Key) -> None:
        """A letter on Reject begins what is asked for next, where it is not lost: the passphrase, then the code."""
        if event.is_printable and event.character != " " and isinstance(self.focused, Button):
            event.stop()
            event.prevent_default()
            wanted = "#code" if self.query_one("#passphrase", Input).value else "#passphrase"
            typed = self.query_one(wanted, GuardedInput)
            if not typed.disabled:
                typed.focus()
                typed.begin(event)

    def _ask_reject(self) -> None:
        self._reject_asked = True
        self.guard.open(event_clock_s())  # the dwell starts anew: a second enter in the same breath is no answer
        self.say(f"Enter again rejects it; to approve it, type {safe(self.card.code, 8)}.", "accent")

    def on_descendant_focus(self) -> None:
        self._reject_asked = self._reject_asked and isinstance(self.focused, Button)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if event.input.id == "code":
            self._code(event)
        elif not self.query_one("#passphrase", Input).value:
            self._ask_passphrase("Type the admin's passphrase first.")
        elif event.input.id == "note":
            self.query_one("#reject").focus()
            self._ask_reject()
        elif self._closed_why:
            self.query_one("#reject").focus()
        else:
            self.query_one("#code").focus()
            self.say(
                f"Type {safe(self.card.code, 8)}, then enter, to approve; shift+tab leads back to Reject.", "accent"
            )

    def _code(self, event: Input.Submitted) -> None:
        passphrase = self.query_one("#passphrase", Input).value
        if self._closed_why or self._answered:
            self.say(self._closed_why or "It has been answered.", "danger")
        elif event.value.strip().upper() != self.card.code.upper():
            event.input.value = ""
            self.say(f"That is not this change's code; type {safe(self.card.code, 8)}.")
        elif not passphrase:
            self._ask_passphrase(
                f"Type the admin's passphrase first, then enter, then {safe(self.card.code, 8)} again."
            )
        elif self.model.is_stale:
            self.say("The engine is silent: what is in force now is not known, and nothing can be approved.", "danger")
        else:
            note = self.query_one("#note", Input).value.strip()
            card = self.card
            self._send(ApproveChange(request_id=card.request_id, code=card.code, passphrase=passphrase, note=note))

    def _send(self, command: Command) -> None:
        self._answered = True
        self.query_one("#passphrase", Input).value = ""
        self.say("Asking the engine…", "accent")
        self.app.run_worker(partial(self._answer, command), group="command")

    async def _answer(self, command: Command) -> None:
        reply = await self.model.ask(command)
        if not self.is_mounted:
            return
        if reply.ok:
            self.leave()
            return
        self.query_one("#code", Input).value = ""
        self._answered = self._reject_asked = False
        self.refresh_card()
        self.query_one("#passphrase").focus()
        self.say(reply.text, "danger")


def change_of(model: ConsoleModel, request_id: str) -> ChangeView | None:
    """Return a waiting change as the engine shows it now; None: it waits no longer."""
    policy = model.snapshot.policy if model.snapshot else None
    return next((each for each in policy.changes if each.request_id == request_id), None) if policy else None


def why_closed(card: ChangeView, now: ChangeView | None) -> str:
    """Say why this card can no longer be approved; empty while it can (U06, U09)."""
    if now is None:
        return "This change waits no longer: it was answered elsewhere. Nothing was answered from here."
    if now.stale:
        return f"It is stale: it would change version {card.base_version}, which is in force no more. Propose it again."
    if now.code != card.code:
        return "The change is another by now; close this card and open the new one."
    if now.due_in_ms is not None:
        return f"It is approved already, and takes effect in {countdown(now.due_in_ms)}; it can still be rejected."
    return ""


def card_rows(
    card: ChangeView, now: ChangeView | None, foreseen: list[str], width: int, room: int
) -> tuple[list[Row], int]:
    """Return what stands on the card, and how many lines of the diff did not fit: what is not seen is not approved."""
    asked = f"{card.request_id} by {card.actor} ({card.asked_by}), on version {card.base_version}"
    head: list[Row] = [text_row(safe(asked, width), "strong")]
    head += [text_row(line, "dim") for line in wrap(f"“{card.reason}”", width, REASON_LINES)]
    diff = [row for change in card.changes for row in change_rows(change, width)]
    left = max(1, room - len(head))
    unseen = max(0, len(diff) - left)
    rows = [*head, *diff[:left]]
    told = [text_row(line, "") for text in foreseen for line in wrap(text, width, 3)]
    return [*rows, *told[: max(0, room - len(rows))]], unseen


def change_rows(change: PolicyChange, width: int) -> list[Row]:
    """One value: which way it goes, what it was and what it would be; nothing of it is cut."""
    lines = wrap(f"{change.field}: {change.old} -> {change.new}", width - 10, 20)
    return [
        ((f"{change.sense.value.upper() if at == 0 else '':<10}", INKS[change.sense]), (line, ""))
        for at, line in enumerate(lines)
    ]


def foreseen(told: Mapping[str, Any]) -> list[str]:
    """Say in sentences what the last 30 days would have been."""
    lines = []
    for name, words in FORESEEN:
        one = told[name]
        if one["count"]:
            known = f"; {one['won']} of {one['outcome_known']} known won, {one['value']} in all"
            lines.append(f"{one['count']} {words}{known}")
    none = f"None of {told['decisions']} decisions on record would have gone another way."
    return [*(lines or [none]), *told["unknown"]]
