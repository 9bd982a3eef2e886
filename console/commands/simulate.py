"""`quarterdeck simulate`: the proof that orders and money survive faults and crashes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from console.options import command
from console.output import Progress, print_json

SCHEDULES = 1000


@command("simulate", reads=True, store=False)
@click.option("--seed", type=click.IntRange(0), help="First schedule; given alone, that one is played and told.")
@click.option("--schedules", type=click.IntRange(1), metavar="K", help=f"How many; {SCHEDULES:,} by default.")
@click.option("--mutant", metavar="M", help="Put a known bug into the protocol, which must be found.")
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Processes; one a core when not given.")
def simulate(seed: int | None, schedules: int | None, mutant: str | None, workers: int | None, as_json: bool) -> int:
    """Play orders against a venue that fails in every way, crash the engine everywhere, and check every invariant.

    Nothing real is touched: virtual time, a venue in memory, stores in a temporary directory. A failing schedule is cut
    down to a short story, and its seed plays it again exactly; the exit code is then 1.
    """
    from engine import runtime

    count = schedules or (SCHEDULES if seed is None else 1)
    progress = Progress(unit="schedules")
    try:
        result = runtime.simulate(seed or 0, count, mutant, workers, progress)
    finally:
        progress.close()
    print_json(result) if as_json else click.echo(summary(result))
    return 0 if result["ok"] else 1


def summary(result: Mapping[str, Any]) -> str:
    """Lay the totals out for a person; a failure's story comes first."""
    failure, lines = result["failure"], list(result.get("story", []))
    if failure is not None:
        lines += [*failure["story"], "", f"seed {failure['seed']} breaks {failure['broken']}"]
        mutant = f" --mutant {result['mutant']}" if result["mutant"] else ""
        lines.append(f"play it again: quarterdeck simulate --seed {failure['seed']}{mutant}")
    faults = ", ".join(f"{count:,} {name}" for name, count in result["faults"].items())
    checks = sum(result["checks"].values())
    rows = [
        ("schedules", f"{result['schedules']:,} from seed {result['seed']}, {result['turns']:,} turns"),
        ("faults", faults or "none"),
        ("crashes", f"{result['crashes']:,}, {result['recoveries']:,} starts after the first"),
        ("checks", f"{checks:,} of {len(result['checks'])} invariants: {', '.join(result['checks'])}"),
        ("took", f"{result['seconds']} s, {result['schedules_per_s']} schedules/s"),
    ]
    return "\n".join([*lines, *(f"{label.ljust(10)} {text}" for label, text in rows)])
