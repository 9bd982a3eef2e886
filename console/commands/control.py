"""Commands that make the engine do something: through its socket while one runs, on the store itself otherwise."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.options import Refusal, command
from console.output import print_json

if TYPE_CHECKING:
    from engine.api import Command, Reply
    from screens.amounts import Level


def send(store: Path | None, order: Command) -> Reply:
    """Send one command to whatever owns the store and return its answer."""
    from engine import runtime
    from engine.api import CancelAll, Flatten

    where, anyway = store or runtime.default_store(), isinstance(order, CancelAll | Flatten)
    with runtime.connect(where, anyway=anyway) as client:
        return client.send(order)


def answer(reply: Reply, *, as_json: bool) -> int:
    """Print an answer; the exit code is 1 when the engine said no."""
    if as_json:
        print_json({"ok": reply.ok, "text": reply.text, "data": reply.data})
    else:
        click.echo(reply.text, err=not reply.ok)
    return 0 if reply.ok else 1


@command("halt", reads=True)
@click.option("--reason", default="halted by the trader", help="Why; it goes into the journal.")
def halt(store: Path | None, as_json: bool, reason: str) -> int:
    """Stop all new exposure, at once. Positions and their protection stay."""
    from engine import runtime
    from engine.api import Halt

    return answer(runtime.halt(store or runtime.default_store(), Halt(reason=reason)), as_json=as_json)


@command("resume", reads=True)
@click.option("--reason", required=True, help="Why; it goes into the journal.")
def resume(store: Path | None, as_json: bool, reason: str) -> int:
    """Let trading go on after a halt."""
    from engine.api import Resume

    return answer(send(store, Resume(reason=reason)), as_json=as_json)


@command("cancel-all", reads=True)
@click.option("--include-protection", is_flag=True, help="Cancel protective stops and targets too.")
def cancel_all(store: Path | None, as_json: bool, include_protection: bool) -> int:
    """Cancel every working order that is not protection."""
    from engine import runtime
    from engine.api import CancelAll

    order = CancelAll(include_protection=include_protection)
    return answer(runtime.carry_out(store or runtime.default_store(), order), as_json=as_json)


@command("flatten", reads=True)
def flatten(store: Path | None, as_json: bool) -> int:
    """Halt, cancel, close every position, and certify it by the venue's own word."""
    from engine import runtime
    from engine.api import Flatten

    return answer(runtime.carry_out(store or runtime.default_store(), Flatten()), as_json=as_json)


@command("resolve", reads=True)
@click.argument("order_id", metavar="ORDER")
@click.option("--assume", required=True, type=click.Choice(["not-sent", "canceled"]), help="What became of it.")
@click.option("--reason", default="", help="Why; it goes into the journal. Without it, what it would mean is said.")
def resolve(store: Path | None, as_json: bool, order_id: str, assume: str, reason: str) -> int:
    """Say what became of ORDER, an id or how it begins. The venue is asked once more first."""
    from engine.api import Resolve

    return answer(send(store, Resolve(client_order_id=order_id, assume=assume, reason=reason)), as_json=as_json)


@command("protect", reads=True)
@click.argument("instrument")
@click.option("--stop", metavar="2%|PRICE", help="Where the stop rests: a distance from the entry, or a price.")
@click.option("--target", metavar="5%|PRICE", help="Where the target rests: a distance from the entry, or a price.")
@click.option("--bare", is_flag=True, help="No stop is wanted: it is not called UNPROTECTED any more.")
@click.option("--agent", type=click.Choice(["external", "trader"]), default=None, help="Whose, where both hold it.")
def protect(
    store: Path | None, as_json: bool, instrument: str, stop: str | None, target: str | None, bare: bool,
    agent: str | None,
) -> int:  # fmt: skip
    """Say where the stop and the target of a position in INSTRUMENT belong that no agent looks after."""
    from engine.api import Protect

    below, above = _level("stop", stop), _level("target", target)
    told = Protect(
        instrument=instrument, agent=agent or "", stop=below.price, target=above.price, stop_frac=below.frac,
        target_frac=above.frac, bare=bare,
    )  # fmt: skip
    return answer(send(store, told), as_json=as_json)


def _level(name: str, text: str | None) -> Level:
    """Read a stop or a target as the ticket does; nothing where none is given. Raises Refusal, naming the flag."""
    from screens import amounts

    if text is None:
        return amounts.Level()
    try:
        level = (amounts.stop if name == "stop" else amounts.target)(text.strip())
    except amounts.FieldError as error:
        raise Refusal(f"--{name}: {error}") from None
    if level == amounts.Level():
        raise Refusal(f"--{name} {text} is no price; leave it away, or write --bare where none is wanted.")
    return level


def price_of(flag: str, text: str | None) -> Decimal | None:
    """Read a price above 0; None where none is given. Raises Refusal, naming the flag."""
    from engine.api import AmountError, amount

    try:
        price = None if text is None else amount(text)
    except AmountError as error:
        raise Refusal(f"{flag}: {error}.") from None
    if price is not None and not price > 0:
        raise Refusal(f"{flag} {text} is not above 0; write a price.")
    return price


@command("unblock", reads=True)
@click.argument("instrument")
@click.option("--reason", default="", help="Why; it goes into the journal. Without it, what holds it up is said.")
def unblock(store: Path | None, as_json: bool, instrument: str, reason: str) -> int:
    """Let INSTRUMENT be entered again, once you know what became of the order that holds it up."""
    from engine.api import Unblock

    return answer(send(store, Unblock(instrument=instrument, reason=reason)), as_json=as_json)
