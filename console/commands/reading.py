"""Commands that only read the store."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from console.options import INSTANT, Refusal, command
from console.output import print_fields, print_json, print_rows

LIMIT = 50
NEWEST = 3
EXPLAIN_NOTHING = "There is no cycle {cycle!r} in this store; `quarterdeck decisions` lists them."


def ask(store: Path | None, name: str, **args: Any) -> Any:
    """Ask the store a question by name; arguments that are None are left out."""
    from engine import runtime

    given = {key: str(value) for key, value in args.items() if value is not None}
    return runtime.query(store or runtime.default_store(), name, given)


def _listing(name: str, what: str, nothing: str, columns: Sequence[str]) -> click.Command:
    """Make a command that lists the newest rows of one table."""

    @command(name, reads=True)
    @click.option("--agent", metavar="NAME", help="Only this agent's.")
    @click.option("--instrument", metavar="KEY", help="Only this instrument's, such as paper:BTC/USDT.")
    @click.option("--limit", type=click.IntRange(1, 1_000_000), default=LIMIT, show_default=True, help="Newest rows.")
    def listing(store: Path | None, as_json: bool, **args: Any) -> None:
        print_rows(ask(store, name, **args), as_json=as_json, nothing=nothing, columns=columns)

    listing.help = what
    return listing


decisions = _listing(
    "decisions",
    "List what agents decided, and what became of it.",
    "No decisions yet.",
    ("ts", "cycle_id", "instrument", "action", "confidence", "disposition", "bound_by", "rationale"),
)
orders = _listing(
    "orders",
    "List orders.",
    "No orders yet.",
    (
        "ts",
        "agent",
        "instrument",
        "role",
        "side",
        "order_type",
        "qty",
        "filled_qty",
        "average_price",
        "status",
        "reason",
    ),
)
fills = _listing(
    "fills",
    "List fills.",
    "No fills yet.",
    ("ts", "agent_id", "instrument", "side", "qty", "price", "fee", "fee_asset", "liquidity", "cycle_id"),
)
positions = _listing(
    "positions",
    "List positions.",
    "No positions.",
    ("agent", "instrument", "qty", "average_price", "realized", "entered"),
)


@command("incidents", reads=True)
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=LIMIT, show_default=True, help="Newest rows.")
def incidents(store: Path | None, as_json: bool, limit: int) -> None:
    """List what went wrong, the count INC of the console's first line, and what to do about each."""
    rows = ask(store, "incidents", limit=limit)
    if as_json or not rows:
        print_rows(rows, as_json=as_json, nothing="No incident is on record.")
        return
    for row in rows:
        print_fields(row)
        click.echo("")


@command("status", reads=True)
def status(store: Path | None, as_json: bool) -> None:
    """Show trading state, equity, agents and what is open."""
    from console.status import lean, print_status

    shown = lean(ask(store, "status"))
    if shown.get("incidents"):
        shown["newest_incidents"] = ask(store, "incidents", limit=NEWEST)
    print_json(shown) if as_json else print_status(shown)


@command("explain", reads=True)
@click.argument("cycle")
def explain(store: Path | None, as_json: bool, cycle: str) -> None:
    """Show everything behind one decision, from what the agent saw to the fills."""
    found = ask(store, "explain", cycle=cycle)
    if not found:
        raise Refusal(EXPLAIN_NOTHING.format(cycle=cycle))
    print_json(found) if as_json else print_fields(found)


@command("export")
@click.argument("table")
@click.option("--format", "fmt", type=click.Choice(["csv", "json", "jsonl"]), default="csv", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Else stdout.")
@click.option("--from", "since_ms", type=INSTANT, metavar="TIME", help="Only rows from this UTC time on.")
@click.option("--until", "until_ms", type=INSTANT, metavar="TIME", help="Only rows before this UTC time.")
def export(
    store: Path | None, table: str, fmt: str, output: Path | None, since_ms: int | None, until_ms: int | None
) -> None:
    """Write a table: decisions, orders, fills, positions, ledger..."""
    from engine import runtime

    where = store or runtime.default_store()
    if output is None:
        runtime.export(where, table, fmt, sys.stdout, since_ms, until_ms)
        return
    part = output.with_name(output.name + ".part")
    try:
        with part.open("w", encoding="utf-8", newline="") as out:
            part.chmod(0o600)
            rows = runtime.export(where, table, fmt, out, since_ms, until_ms)
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"wrote {rows:,} rows to {output}", err=True)
