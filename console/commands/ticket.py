"""`quarterdeck ticket`: a trade of your own, previewed by every guardrail, sent only by the name of its preview."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.commands.control import answer, send
from console.options import Refusal, command
from console.output import effect_words, plain_data, print_fields, print_json

if TYPE_CHECKING:
    from engine.api import Ticket

NOT_SENT = "Nothing was sent. To send exactly this, write the same again with --send {}"
REFUSED = "Refused: the checks say why. A refusal cannot be passed; a limit can change: quarterdeck policy propose."
_SHOWN = ("asked_qty", "qty", "price", "notional", "fee", "stop_price", "target_price", "effect", "checks")


@command("ticket", reads=True)
@click.argument("side", type=click.Choice(["buy", "sell"]))
@click.argument("quantity")
@click.argument("instrument")
@click.option("--limit", metavar="PRICE", help="Rest at this price or better.")
@click.option("--at-stop", metavar="PRICE", help="Wait until the market reaches this price, then trade at market.")
@click.option(
    "--stop", metavar="2%|PRICE|off", default="2%", show_default=True, help="Protective stop: a distance, or a price."
)
@click.option(
    "--target", metavar="5%|PRICE|off", default="off", show_default=True, help="Target: a distance, or a price."
)
@click.option("--send", "preview_id", metavar="PREVIEW", help="Send what this preview showed; else nothing is sent.")
def ticket(store: Path | None, as_json: bool, preview_id: str | None, **typed: str | None) -> int:
    """Preview a trade of your own, or send what was previewed.

    QUANTITY is units such as 0.25, an amount of an asset such as "500 USDT", or a share of equity such as 2%. Of a stop
    and a target 2% is a distance from the entry, 98.50 a price.
    """
    from engine.api import PreviewTicket, SubmitTicket

    wanted = _read(typed)
    if preview_id is not None:
        return answer(send(store, SubmitTicket(ticket=wanted, preview_id=preview_id)), as_json=as_json)
    reply = send(store, PreviewTicket(ticket=wanted))
    shown = plain_data(reply.data)
    if not reply.ok or not isinstance(shown, Mapping):
        return answer(reply, as_json=as_json)
    refused = bool(shown["refused"])
    if as_json:
        print_json({"ok": not refused, "text": REFUSED if refused else "", "data": shown})
    else:
        _print(typed, shown)
        click.echo(REFUSED if refused else NOT_SENT.format(shown["preview_id"]), err=refused)
    return 1 if refused else 0


def _print(typed: Mapping[str, str | None], shown: Mapping[str, Any]) -> None:
    title = f"{str(typed['side']).upper()} {typed['quantity']} {typed['instrument']}"
    fields = {"ticket": title} | {name: shown[name] for name in _SHOWN if shown.get(name) is not None}
    for name in ("stop", "target"):
        away = shown.get(f"{name}_frac")
        if away is not None:
            fields[f"{name}_price"] = f"{shown[f'{name}_price']}, {Decimal(str(away)) * 100:.2f} % from the price"
    if shown.get("effect"):
        fields["effect"] = effect_words(shown["effect"])
    print_fields(fields)


def _read(typed: Mapping[str, str | None]) -> Ticket:
    """Read the words as the console's ticket reads its fields."""
    from engine.api import OrderType, Side, Ticket
    from screens.amounts import FieldError, own_price, size
    from screens.amounts import stop as read_stop
    from screens.amounts import target as read_target

    limit, trigger = typed["limit"], typed["at_stop"]
    if limit is not None and trigger is not None:
        raise Refusal("--limit and --at-stop are two kinds of order; write one of them.")
    kind = OrderType.LIMIT if limit is not None else OrderType.MARKET if trigger is None else OrderType.STOP
    try:
        qty, unit = size((typed["quantity"] or "").strip())
        price = own_price(kind, limit or trigger or "")
        stop, target = read_stop(typed["stop"] or ""), read_target(typed["target"] or "")
        return Ticket(
            instrument=str(typed["instrument"]),
            side=Side(str(typed["side"]).upper()),
            order_type=kind,
            qty=qty,
            limit_price=price if kind is OrderType.LIMIT else None,
            stop_frac=stop.frac,
            target_frac=target.frac,
            unit=unit,
            trigger_price=price if kind is OrderType.STOP else None,
            stop_price=stop.price,
            target_price=target.price,
        )
    except FieldError as error:
        raise Refusal(str(error)) from None
