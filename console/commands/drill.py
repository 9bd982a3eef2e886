"""`quarterdeck drill`: rehearse the red button, and say how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from console.options import command
from console.output import print_json


@command("drill", reads=True)
@click.option("--agents", type=click.IntRange(1, 99), default=20, show_default=True, help="One instrument each.")
@click.option("--halts", type=click.IntRange(1, 1000), default=10, show_default=True, help="Halts before the flatten.")
@click.option("--seed", type=click.IntRange(0), default=1, help="Of the simulated market.")
def drill(store: Path | None, agents: int, halts: int, seed: int, as_json: bool) -> int:
    """Rehearse halt and flatten on paper under load, on a store that is thrown away, and keep the times.

    Your own store, its orders and its engine are not touched; the record goes into its directory, and the console shows
    it. Exit code 1 when the rehearsal did not end flat.
    """
    from engine import runtime

    held = runtime.drill(store or runtime.default_store(), agents, halts, seed)
    print_json(held) if as_json else click.echo(summary(held))
    return 0 if held["flat"] else 1


def summary(held: Mapping[str, Any]) -> str:
    """Lay a drill out for a person."""
    middle, longest = _ms(held["key_to_halt_us"]), _ms(held["key_to_halt_worst_us"])
    proof = "certified by the venue" if held["flat"] else "and NOT FLAT"
    rows = [
        (
            "key to halt",
            f"{middle} ms in the middle of {held['halts']} halts, {longest} ms at the longest, each on disk",
        ),
        ("halt to flat", f"{_ms(held['halt_to_flat_us'])} ms for {held['positions']} positions, {proof}"),
        ("under load", f"{held['agents']} agents on a simulated market at full speed"),
        ("kept in", held["kept_in"] or "nothing: there is no store yet"),
    ]
    return "\n".join(f"{label.ljust(13)} {text}" for label, text in rows)


def _ms(us: int) -> str:
    return f"{us / 1000:.1f}"
