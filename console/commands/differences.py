"""`quarterdeck differences`: what the venue shows and the journal does not, and the trader's word on it."""

from __future__ import annotations

from pathlib import Path

import click

from console.commands.control import answer, price_of, send
from console.commands.reading import LIMIT, ask
from console.options import command, reading_group
from console.output import print_rows

COLUMNS = ("difference_id", "ts", "kind", "instrument", "asset", "ours", "venue", "how", "detail")
ENTRIES = (
    "deposit", "withdrawal", "dust", "funding", "interest", "airdrop", "staking", "external", "other",
)  # fmt: skip
NOTE = "What you know of it; it goes into the journal."


@reading_group("differences")
@click.option("--all", "also_closed", is_flag=True, help="Closed ones too.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=LIMIT, show_default=True, help="Newest rows.")
@click.pass_context
def differences(ctx: click.Context, store: Path | None, as_json: bool, also_closed: bool, limit: int) -> None:
    """List what differs from the venue, and explain or approve it. An open difference holds up entries."""
    if ctx.invoked_subcommand is None:
        rows = ask(store, "differences", limit=limit, open_only=str(not also_closed).lower())
        print_rows(rows, as_json=as_json, nothing="Nothing differs from the venue.", columns=COLUMNS)
    else:
        ctx.find_root().obj.store = store


@command("explain", reads=True)
@click.argument("difference_id", metavar="ID")
@click.option("--note", required=True, help=NOTE)
def explain(store: Path | None, as_json: bool, difference_id: str, note: str) -> int:
    """Account for a difference as it is: it holds up nothing more, and the ledger does not change."""
    from engine.api import ExplainDifference

    return answer(send(store, ExplainDifference(difference_id=difference_id, note=note)), as_json=as_json)


@command("approve", reads=True)
@click.argument("difference_id", metavar="ID")
@click.option("--note", required=True, help=NOTE)
@click.option("--as", "entry", type=click.Choice(ENTRIES), default=None, help="What it was; a position is external.")
@click.option("--price", metavar="PRICE", help="Of one unit in account currency; the last one known when not given.")
def approve(
    store: Path | None, as_json: bool, difference_id: str, note: str, entry: str | None, price: str | None
) -> int:
    """Let the ledger follow the venue in one difference: an entry says what it was. Nothing is sent."""
    from engine.api import ApproveDifference

    told = ApproveDifference(
        difference_id=difference_id, note=note, entry=entry or "", price=price_of("--price", price)
    )
    return answer(send(store, told), as_json=as_json)


differences.add_command(explain)
differences.add_command(approve)
