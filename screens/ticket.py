"""A manual trade: the same guardrails as an agent's, each shown before anything can be sent (R26)."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Button, Input

from engine.api import (
    AmountError,
    MarketView,
    OrderType,
    PreviewTicket,
    Side,
    SubmitTicket,
    Ticket,
    TicketPreview,
    Verdict,
    amount,
    frac,
    percent,
)
from screens.approve import check_rows
from screens.dialog import Dialog, field
from screens.format import age, money, price, qty, safe, wrap
from screens.model import ConsoleModel
from screens.rows import Row, pair, text_row
from screens.widgets.choice import Choice
from screens.widgets.guard import event_clock_s
from screens.widgets.lines import Lines
from screens.widgets.pane import Pane


class FieldError(ValueError):
    """One field cannot be read; the sentence goes beside it."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.name = name


class ChecksPane(Pane):
    """The preview: what would be sent, then each check."""

    TITLE = "Preview"

    def row(self, item: Row, width: int) -> Row:
        return item


class TicketScreen(Dialog):
    """Fields, then a preview of exactly these fields, then send; a changed field needs a new preview."""

    TITLE_TEXT = "Ticket: a trade of your own"
    KEYS = (("↑↓", "field"), ("←→", "change"), ("enter", "preview"), ("esc", "close"))
    AUTO_FOCUS = "#side"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]

    def __init__(self, model: ConsoleModel) -> None:
        super().__init__(model)
        markets = model.snapshot.markets if model.snapshot else ()
        self._names = [market.instrument for market in markets]
        self._previewed: tuple[Ticket, TicketPreview] | None = None
        self._busy = False
        self._version = 0

    def body(self) -> Iterator[Widget]:
        yield Horizontal(Vertical(*self._fields(), id="fields"), ChecksPane(id="checks"), id="ticket")

    def _fields(self) -> Iterator[Widget]:
        yield field("Instrument", Choice(self._names, id="instrument"))
        yield Lines(id="market", classes="said")
        yield field("Side", Choice([side.value for side in Side], id="side"))
        yield field("Type", Choice([OrderType.MARKET.value, OrderType.LIMIT.value], id="type"))
        for name, label, hint in (
            ("qty", "Quantity", "such as 0.25"),
            ("limit", "Limit price", "for LIMIT only"),
            ("stop", "Stop", "such as 2%, or empty"),
            ("target", "Target", "such as 5%, or empty"),
        ):
            yield field(label, Input(placeholder=hint, compact=True, max_length=24, id=name))
            yield Lines(id=f"{name}-said", classes="said")
        yield Horizontal(
            Button("Preview", id="preview", compact=True),
            Button("Send", id="send", compact=True, disabled=True),
            classes="field",
        )

    # -- showing -------------------------------------------------------------------

    def refresh_card(self) -> None:
        market = self._market()
        line = self.query_one("#market", Lines)
        line.put([_market_row(market, max(10, line.size.width))])
        self._show_preview()

    def _market(self) -> MarketView | None:
        name = self.query_one("#instrument", Choice).value
        markets = self.model.snapshot.markets if self.model.snapshot else ()
        return next((market for market in markets if market.instrument == name), None)

    def _show_preview(self) -> None:
        pane = self.query_one(ChecksPane)
        width = max(20, pane.size.width)
        if self._previewed is None:
            pane.fill([text_row(line, "dim") for line in wrap(NOT_YET, width, 4)], "Preview · none yet")
            return
        ticket, preview = self._previewed
        word = "REFUSED" if preview.refused else "would be sent"
        pane.fill(preview_rows(ticket, preview, width), f"Preview · {word}")

    def on_choice_changed(self) -> None:
        self._edited()

    def on_input_changed(self) -> None:
        self._edited()

    def _edited(self) -> None:
        """What was previewed is no longer what stands in the fields."""
        self._version += 1
        if self._previewed is not None:
            self._previewed = None
            self.say("Changed: preview again before sending.", "accent")
        self.query_one("#send", Button).disabled = True
        self.refresh_card()

    # -- previewing and sending ------------------------------------------------------

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._preview()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "preview":
            self._preview()
        else:
            self._submit()

    def _preview(self) -> None:
        ticket = self._ticket()
        if ticket is not None and not self._busy:
            self._busy = True
            self.say("Asking the guardrails…", "accent")
            self.app.run_worker(partial(self._take_preview, ticket, self._version), group="command")

    async def _take_preview(self, ticket: Ticket, version: int) -> None:
        reply = await self.model.send(PreviewTicket(ticket=ticket))
        self._busy = False
        if not self.is_mounted:
            return
        if not reply.ok or not isinstance(reply.data, TicketPreview):
            self.say(reply.text or "The engine gave no preview.", "danger")
            return
        if version != self._version:
            self.say("Changed while it was checked: preview again.", "accent")
            return
        self._previewed = (ticket, reply.data)
        self.guard.open(event_clock_s())  # the dwell starts anew: these checks must be seen before they are sent
        self.query_one("#send", Button).disabled = reply.data.refused
        self.say(*_verdict_words(reply.data))
        self._show_preview()

    def _submit(self) -> None:
        if self._previewed is None or self._busy or self._ticket() != self._previewed[0]:
            self.say("Preview first: only what was previewed can be sent.")
        elif self.model.is_stale:
            self.say("The engine is silent: nothing can be sent on old numbers (U12).", "danger")
        else:
            self._busy = True
            self.query_one("#send", Button).disabled = True
            self.app.run_worker(partial(self._take_answer, *self._previewed), group="command")

    async def _take_answer(self, ticket: Ticket, preview: TicketPreview) -> None:
        reply = await self.model.ask(SubmitTicket(ticket=ticket, preview_id=preview.preview_id))
        self._busy = False
        if not self.is_mounted:
            return
        if reply.ok:
            self.leave()
            return
        self._previewed = None  # a preview serves one try
        self.say(reply.text, "danger")
        self._show_preview()

    # -- reading the fields ----------------------------------------------------------

    def _ticket(self) -> Ticket | None:
        """Read the fields; what cannot be read is said beside its field, and nothing is lost."""
        for name in ("qty", "limit", "stop", "target"):
            self.query_one(f"#{name}-said", Lines).put([])
        try:
            return self._read()
        except FieldError as error:
            said = self.query_one(f"#{error.name}-said", Lines)
            said.put([text_row(line, "warn") for line in wrap(str(error), max(20, said.size.width), 3)])
            self.say("One field cannot be read; the sentence under it says why.")
            self.query_one(f"#{error.name}").focus()
            return None

    def _read(self) -> Ticket:
        order_type = OrderType(self.query_one("#type", Choice).value)
        limit = self._text("limit")
        if order_type is OrderType.MARKET and limit:
            raise FieldError("limit", "A MARKET order has no limit price; empty it, or choose LIMIT.")
        if order_type is OrderType.LIMIT and not limit:
            raise FieldError("limit", "A LIMIT order needs its price.")
        return Ticket(
            instrument=self.query_one("#instrument", Choice).value,
            side=Side(self.query_one("#side", Choice).value),
            order_type=order_type,
            qty=_positive("qty", "Quantity", self._text("qty")),
            limit_price=_positive("limit", "Limit price", limit) if limit else None,
            stop_frac=_share("stop", "Stop", self._text("stop")),
            target_frac=_share("target", "Target", self._text("target")),
        )

    def _text(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()


NOT_YET = "Press enter in a field: the guardrails say what they would let through. Nothing is sent by that."


def _positive(name: str, label: str, text: str) -> Decimal:
    if not text:
        raise FieldError(name, f"{label} is empty; write a number above 0.")
    try:
        value = amount(text.replace(",", ""))
    except AmountError:
        raise FieldError(name, f"{label} {safe(text, 24)} is not a number; write it like 0.25.") from None
    if not value > 0:
        raise FieldError(name, f"{label} must be above 0; the side says which way.")
    return value


def _share(name: str, label: str, text: str) -> Decimal | None:
    if not text:
        return None
    try:
        return frac(text, name=label)
    except AmountError as error:
        raise FieldError(name, str(error)) from None


def _market_row(market: MarketView | None, width: int) -> Row:
    if market is None:
        return text_row("no instrument is known yet", "warn")
    assumed = "  ASSUMED RULES" if market.assumed else ""
    return ((safe(f"now {price(market.price)}, {age(market.price_age_ms)} old", width), "dim"), (assumed, "warn"))


def _verdict_words(preview: TicketPreview) -> tuple[str, str]:
    if preview.refused:
        return "Refused: the checks in red say why. Change a field and preview again.", "danger"
    return "Nothing is sent yet. Go to Send and press enter to send exactly this.", "accent"


def preview_rows(ticket: Ticket, preview: TicketPreview, width: int) -> list[Row]:
    """What would be sent, and each check: those that bite first."""
    sent = preview.qty if not preview.refused else Decimal(0)
    reduced = f"{qty(sent)} of {qty(ticket.qty)}" if sent != ticket.qty else qty(sent)
    rows = [
        pair(f"{ticket.side.value} {ticket.order_type.value}", reduced, "strong", width),
        pair("Price", price(preview.price), "", width),
        pair("Order value", money(preview.notional), "", width),
        pair("Fee, about", money(preview.fee), "", width),
        pair("Stop" + _echo(ticket.stop_frac), _level(preview.stop_price), "", width),
        pair("Target" + _echo(ticket.target_frac), _level(preview.target_price), "", width),
        text_row(""),
    ]
    order = {Verdict.REFUSE: 0, Verdict.REDUCE: 1, Verdict.PASS: 2}
    checks = sorted(preview.checks, key=lambda each: order[each.verdict])
    return rows + [row for check in checks for row in check_rows(check, width)]


def _echo(share: Decimal | None) -> str:
    return "" if share is None else f" {percent(share)}"


def _level(value: Decimal | None) -> str:
    return "none" if value is None else price(value)
