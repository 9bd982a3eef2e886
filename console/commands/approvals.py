"""Trades that wait for a person: listed, shown as a card, approved by the card's code, rejected with a reason."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from console.commands.control import answer, send
from console.commands.reading import ask
from console.options import command
from console.output import cell, effect_words, print_fields, print_json, print_rows, utc, with_instants

WAITING = ("approval_id", "agent", "instrument", "side", "order_type", "qty", "price", "stop_price", "expires_in_ms")
ANSWERED = ("ts", "approval_id", "instrument", "side", "qty", "answer", "actor", "note", "would_have")
SHOWN = 10
NO_CODE = "Nothing was approved: read the card above, then write its code: quarterdeck approve {} CODE"
_CARD = (
    "approval_id", "cycle_id", "agent", "instrument", "side", "order_type", "qty", "before_qty", "after_qty", "price",
    "quote_age_ms", "price_now", "price_age_ms", "limit_price", "trigger_price", "stop_price", "target_price",
    "notional", "confidence", "rationale", "policy", "effect", "checks", "expires_in_ms", "code",
)  # fmt: skip


@command("approvals", reads=True)
@click.argument("approval_id", metavar="[ID]", required=False)
@click.option("--answered", is_flag=True, help="Those that were answered, and what rejected ones would have done.")
@click.option("--agent", metavar="NAME", help="Only this agent's answered ones.")
@click.option("--instrument", metavar="KEY", help="Only this instrument's answered ones.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=SHOWN, show_default=True, help="Newest answered.")
def approvals(store: Path | None, as_json: bool, approval_id: str | None, answered: bool, **only: Any) -> int | None:
    """List the trades that wait for you, then the answered ones; with ID, show its card with the code to type."""
    if approval_id is not None:
        return _show(store, approval_id, as_json=as_json)
    waiting = [] if answered else with_instants(ask(store, "approvals"))
    if not answered:
        print_rows(waiting, as_json=as_json, nothing="Nothing waits for you.", columns=WAITING)
    if answered or not as_json:
        # one without an answer that waits nowhere was left by an engine that ended; the next start lets it expire
        shown = {row["approval_id"] for row in waiting}
        rows = [
            row
            for row in ask(store, "answered", **only)
            if row["answer"] or not (answered or row["approval_id"] in shown)
        ]
        if rows and not answered:
            click.echo("")
        if rows or answered:
            print_rows(rows, as_json=as_json, nothing="None was answered yet.", columns=ANSWERED)
    return None


def _show(store: Path | None, approval_id: str, *, as_json: bool) -> int:
    card = _waiting(store, approval_id)
    if card is None:
        click.echo(f"{approval_id} is not waiting: it was answered already, or has expired.", err=True)
        return 1
    print_json(card) if as_json else print_card(card)
    return 0


def _waiting(store: Path | None, approval_id: str) -> dict[str, Any] | None:
    return next((row for row in ask(store, "approvals") if row["approval_id"] == approval_id), None)


def print_card(card: Mapping[str, Any]) -> None:
    """Print everything that an answer needs, the code last."""
    shown = {name: card[name] for name in _CARD if card.get(name) is not None}
    if card.get("effect"):
        shown["notional"], shown["effect"] = card["effect"]["value"], effect_words(card["effect"])
    if card.get("asked_ms") and "checks" in shown:
        at = f"checks as of {cell(utc(card['asked_ms']))} UTC"  # approving makes them anew
        shown = {at if name == "checks" else name: value for name, value in shown.items()}
    print_fields(shown)


@command("approve", reads=True)
@click.argument("approval_id", metavar="ID")
@click.argument("code", required=False)
def approve(store: Path | None, as_json: bool, approval_id: str, code: str | None) -> int:
    """Show the waiting trade ID, and approve it by the CODE on its card.

    Without a CODE it is asked for where a person can type it; a script must have read it from the card.
    """
    from engine.api import Approve

    card = _waiting(store, approval_id)
    if card is not None and not as_json:
        print_card(card)
    if code is None and card is not None:
        if as_json or not sys.stdin.isatty():
            click.echo(NO_CODE.format(approval_id), err=True)
            return 1
        code = str(click.prompt("Type the code to approve exactly this"))
    return answer(send(store, Approve(approval_id=approval_id, code=code or "")), as_json=as_json)


@command("reject", reads=True)
@click.argument("approval_id", metavar="ID")
@click.option("--reason", "--note", "note", default="", help="Why; it goes into the journal and is shown later.")
def reject(store: Path | None, as_json: bool, approval_id: str, note: str) -> int:
    """Reject the waiting trade ID. What it would have done is followed, and `quarterdeck approvals` shows it."""
    from engine.api import Reject

    return answer(send(store, Reject(approval_id=approval_id, note=note)), as_json=as_json)
