"""`quarterdeck spend` and `quarterdeck ai`: what models cost, and whether they may be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from console.commands.control import answer, send
from console.commands.reading import ask
from console.options import command
from console.output import print_fields, print_json, print_rows

DAYS = 30
_GROUPS = ("by_provider", "by_model", "by_agent", "by_purpose", "beside")
_FIGURES = ("calls", "input_tokens", "output_tokens", "cached_tokens", "charged_in_full", "above_reservation", "usd")
_WINDOWS = ("scope", "window", "spent_usd", "reserved_usd", "cap_usd", "spent_tokens", "reserved_tokens", "cap_tokens",
            "usd_per_hour", "runs_out")  # fmt: skip


@command("spend", reads=True)
@click.option(
    "--days", type=click.IntRange(1, 3_660), default=DAYS, show_default=True, help="Today and so many before."
)
def spend(store: Path | None, as_json: bool, days: int) -> None:
    """Show what models cost: a summary, what is left of each cap and when it runs out, and a ledger by day."""
    found = ask(store, "spend", days=days)
    found["prices"] = prices = _prices()
    if as_json:
        print_json(found)
        return
    summary = {name: value for name, value in found["summary"].items() if name not in _GROUPS}
    print_fields({"from": found["from"], "until": found["until"], **summary})
    _section("Caps", found["windows"], _WINDOWS, "No cap was needed yet: no model that costs anything was asked.")
    for row in found["off"]:
        click.echo(f"\nModels are off ({row['provider']}), since {row['since']}: {row['reason']}")
    for name in _GROUPS:
        if found["summary"][name]:
            _section(name.replace("_", " ").capitalize(), found["summary"][name], ())
    _section(
        "Ledger", found["ledger"], ("day", "purpose", "provider", "model", "agent", *_FIGURES), "No call in these days."
    )
    click.echo(f"\nPrices of {prices['dated'] or 'no day'}, {prices['file']}")
    if prices["notice"]:
        click.echo(prices["notice"])


def _prices() -> dict[str, Any]:
    from engine import runtime

    settings = click.get_current_context().find_root().obj
    return runtime.price_file(settings.config_dir or runtime.config_dir())


def _section(title: str, rows: list[dict[str, Any]], columns: tuple[str, ...], nothing: str = "") -> None:
    click.echo(f"\n{title}")
    print_rows(rows, as_json=False, nothing=nothing, columns=columns)


@click.group("ai")
def ai() -> None:
    """Let models be asked, or not. Without them deterministic ones answer, within the policy's rule for them."""


def _switch(name: str, on: bool, words: str) -> click.Command:
    @command(name, reads=True)
    @click.option("--reason", required=True, help="Why; it goes into the journal.")
    @click.option("--provider", default="", metavar="NAME", help="Only this one's models.")
    def switch(store: Path | None, as_json: bool, reason: str, provider: str) -> int:
        from engine.api import SwitchAi

        return answer(send(store, SwitchAi(on=on, reason=reason, provider=provider)), as_json=as_json)

    switch.help = words
    return switch


ai.add_command(_switch("on", True, "Let models be asked again, after a bill above its reservation or a switch off."))
ai.add_command(_switch("off", False, "Ask no model from now on."))
