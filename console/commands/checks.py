"""Commands that check: the journal's proof, and what this machine offers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from console.options import command
from console.output import cell, print_json, table

REPORT = ("rows", "fills", "orders", "tail_seq", "tail_hash", "first_breach", "seconds", "rows_per_s")


@command("verify", reads=True)
def verify(store: Path | None, as_json: bool) -> int:
    """Prove the journal's chain, and that cash, positions and fees equal the fills.

    The exit code is 1, with the first breach, when they do not.
    """
    from engine import runtime

    report = runtime.verify(store or runtime.default_store())
    fields: dict[str, Any] = {name: getattr(report, name) for name in REPORT}
    breach = fields["first_breach"]
    if as_json:
        print_json({"ok": not breach, **fields})
    elif breach:
        click.echo(f"BREACH: {cell(breach) if len(str(breach)) < 60 else breach}")
    else:
        click.echo(
            f"Proven: {fields['rows']:,} rows, {fields['orders']:,} orders, {fields['fills']:,} fills; "
            f"tail {fields['tail_seq']:,} {fields['tail_hash']} ({float(fields['seconds']):.2f} s)."
        )
    return 1 if breach else 0


@command("doctor", reads=True, store=False)
def doctor(as_json: bool) -> int:
    """Say what works here, what is missing, and how to get it. Nothing is sent to any network."""
    from engine import runtime

    checks = runtime.doctor()
    if as_json:
        print_json(checks)
    else:
        click.echo(table(checks, ["check", "state", "found", "advice"]))
    return 1 if any(check["state"] == "missing" for check in checks) else 0
