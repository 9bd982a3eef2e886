"""A manual trade: the same guardrails as an agent's, each shown before anything can be sent (R26)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import ClassVar, TypeVar

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Button, Input

from engine.api import (
    EQUITY_UNIT,
    MarketView,
    OrderType,
    PreviewTicket,
    Side,
    SubmitTicket,
    Ticket,
    TicketPreview,
    Verdict,
    percent,
)
from screens.amounts import FieldError, own_price, size
from screens.amounts import stop as read_stop
from screens.amounts import target as read_target
from screens.checks import ChecksPane, checks_rows
from screens.dialog import Dialog, field
from screens.effect import effect_pairs
from screens.format import age, exact, money, price, qty, safe, share, wrap
from screens.model import ConsoleModel
from screens.rows import Row, pair, text_row
from screens.widgets.choice import Choice
from screens.widgets.guard import event_clock_s
from screens.widgets.lines import Lines

T = TypeVar("T")


class TicketScreen(Dialog):
    """Fields, then a preview of exactly these fields, then send; a changed field needs a new preview."""

    TITLE_TEXT = "Ticket: a trade of your own"
    KEYS = (("↑↓", "field"), ("←→", "change"), ("enter", "preview"), ("esc", "close"))
    AUTO_FOCUS = "#qty"
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
        yield field("Type", Choice([OrderType.MARKET.value, OrderType.LIMIT.value, OrderType.STOP.value], id="type"))
        for name, label, value, hint in (
            ("qty", "Quantity", "", "0.25, 500 USDT or 2%"),
            ("limit", "Price", "", "for LIMIT and STOP"),
            ("stop", "Stop", STOP, "2%, 98.50 or off"),
            ("target", "Target", "", "5%, 110 or off"),
        ):
            yield field(label, Input(value, placeholder=hint, compact=True, max_length=TYPED_MAX, id=name))
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
        aged_ms = self.model.aged(market.price_age_ms) if market else None
        line.put([_market_row(market, aged_ms, max(10, line.size.width))])
        self._show_preview()
        self._grow()

    def _grow(self) -> None:
        """Take the height that fields and checks need, as far as the window has it."""
        checks = len(self.query_one(ChecksPane).items) + 1
        fields = FIELD_ROWS + sum(len(each.rows) for each in self.query(".said").results(Lines))
        chrome = CHROME_ROWS + (PADDING_ROWS if self.size.height >= PADDED_FROM else 0)
        wanted = min(max(checks, fields), max(1, self.size.height - chrome))
        ticket = self.query_one("#ticket")
        if ticket.styles.height is None or ticket.styles.height.value != wanted:
            ticket.styles.height = wanted

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
        word = "Preview · REFUSED" if preview.refused else "Would be sent"
        pane.fill(preview_rows(ticket, preview, width), word)

    def on_key(self, event: events.Key) -> None:
        """A digit typed on a choice begins the quantity, where it is not lost."""
        if isinstance(self.focused, Choice) and (event.character or "") in DIGITS:
            event.stop()
            event.prevent_default()
            self.set_focus(wanted := self.query_one("#qty", Input))
            wanted.post_message(events.Key(event.key, event.character))  # after its focus, which selects what is there

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
        self.refresh_card()

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
        self.refresh_card()

    # -- reading the fields ----------------------------------------------------------

    def _ticket(self) -> Ticket | None:
        """Read the fields; what cannot be read is said beside its field, and nothing is lost."""
        for name in ("qty", "limit", "stop", "target"):
            self.query_one(f"#{name}-said", Lines).put([])
        order_type, wrong = OrderType(self.query_one("#type", Choice).value), list[FieldError]()
        wanted = _tried(lambda: size(self._text("qty")), wrong)
        own = _tried(lambda: own_price(order_type, self._text("limit")), wrong)
        stop = _tried(lambda: read_stop(self._text("stop")), wrong)
        target = _tried(lambda: read_target(self._text("target")), wrong)
        if wrong or wanted is None or stop is None or target is None:
            self._say_wrong(wrong)
            return None
        return Ticket(
            instrument=self.query_one("#instrument", Choice).value,
            side=Side(self.query_one("#side", Choice).value),
            order_type=order_type,
            qty=wanted[0],
            limit_price=own if order_type is OrderType.LIMIT else None,
            stop_frac=stop.frac,
            target_frac=target.frac,
            unit=wanted[1],
            trigger_price=own if order_type is OrderType.STOP else None,
            stop_price=stop.price,
            target_price=target.price,
        )

    def _say_wrong(self, wrong: list[FieldError]) -> None:
        for error in wrong:
            said = self.query_one(f"#{error.name}-said", Lines)
            said.put([text_row(line, "warn") for line in wrap(str(error), max(20, said.size.width), 5)])
        names = ", ".join(LABELS[error.name] for error in wrong)
        self.say(f"Cannot be read: {names}; the sentence under each says why.")
        self._grow()
        self.query_one(f"#{wrong[0].name}").focus()

    def _text(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value.strip()


def _tried(read: Callable[[], T | None], wrong: list[FieldError]) -> T | None:
    """Read one field; what is wrong with it is kept, for all of them are told at once."""
    try:
        return read()
    except FieldError as error:
        wrong.append(error)
        return None


DIGITS = tuple(".0123456789")
FIELD_ROWS = 9
CHROME_ROWS = 6  # our two lines, the card's border, a status of two lines
PADDED_FROM, PADDING_ROWS = 34, 3
STOP = "2%"
PRICES = {OrderType.MARKET: "Price", OrderType.LIMIT: "Limit price", OrderType.STOP: "Waits for"}
TYPED_MAX = 200  # far beyond any number: a longer one is refused whole, not cut to one that was not meant
LABELS = {"qty": "Quantity", "limit": "Price", "stop": "Stop", "target": "Target"}
NOT_YET = "Press enter in a field: the guardrails say what they would let through. Nothing is sent by that."


def _market_row(market: MarketView | None, aged_ms: float | None, width: int) -> Row:
    if market is None:
        return text_row("no instrument is known yet", "warn")
    assumed = "  ASSUMED RULES" if market.assumed else ""
    return ((safe(f"now {price(market.price)}, {age(aged_ms)} old", width), "dim"), (assumed, "warn"))


def _verdict_words(preview: TicketPreview) -> tuple[str, str]:
    if preview.refused:
        return "Refused: the checks in red say why. Change a field, or the limit: quarterdeck policy propose.", "danger"
    return "Nothing is sent yet. Go to Send and press enter to send exactly this.", "accent"


def preview_rows(ticket: Ticket, preview: TicketPreview, width: int) -> list[Row]:
    """What would be sent, and each check: those that bite first."""
    sent = preview.qty if not preview.refused else Decimal(0)
    reduced = f"{qty(sent)} of {qty(preview.asked_qty)}" if sent != preview.asked_qty else qty(sent)
    bitten = [check for check in preview.checks if check.verdict is not Verdict.PASS]
    return [
        pair(f"{ticket.side.value} {ticket.order_type.value}", reduced, "strong", width),
        *_unit_row(ticket, preview, width),
        *checks_rows(bitten, width),
        pair(PRICES[ticket.order_type], exact(preview.price), "", width),
        *_rounding(ticket, preview, width),
        pair("Order value", money(preview.notional), "", width),
        pair("Fee, about", money(preview.fee), "", width),
        _stop_row(ticket, preview, width),
        pair("Target" + _echo(ticket.target_frac, preview.target_frac), _level(preview.target_price), "", width),
        *(effect_pairs(preview.effect, width) if preview.effect else ()),
        text_row(""),
        *checks_rows((check for check in preview.checks if check.verdict is Verdict.PASS), width),
    ]


def _unit_row(ticket: Ticket, preview: TicketPreview, width: int) -> list[Row]:
    """Say what a quantity in another unit comes to."""
    if not ticket.unit or preview.asked_qty == ticket.qty:
        return []
    told = f"{percent(ticket.qty)} of equity" if ticket.unit == EQUITY_UNIT else f"{qty(ticket.qty)} {ticket.unit}"
    return [pair(safe(f"{told} is", 24), f"{qty(preview.asked_qty)} units", "", width)]


def _rounding(ticket: Ticket, preview: TicketPreview, width: int) -> list[Row]:
    """Say in words that the price typed lies between two ticks, and which it becomes."""
    typed = ticket.limit_price or ticket.trigger_price
    if typed is None or preview.price is None or preview.price == typed:
        return []
    told = f"{exact(typed)} is between two price ticks; {exact(preview.price)} would be sent."
    return [text_row(line, "warn") for line in wrap(told, width, 3)]


def _stop_row(ticket: Ticket, preview: TicketPreview, width: int) -> Row:
    if ticket.side is Side.SELL and preview.stop_price is None:
        return pair("Stop", "none: it only sells", "dim", width)
    if ticket.stop_frac is None and ticket.stop_price is None:
        return pair("Stop off", "NO STOP will guard this", "danger", width)
    return pair("Stop" + _echo(ticket.stop_frac, preview.stop_frac), _level(preview.stop_price), "", width)


def _echo(typed: Decimal | None, reckoned: Decimal | None) -> str:
    """A distance as it was typed, or as it was reckoned from the price that was."""
    if typed is not None:
        return f" {percent(typed)}"
    return "" if reckoned is None else f" {share(reckoned, places=2)}"


def _level(value: Decimal | None) -> str:
    return "none" if value is None else exact(value)
