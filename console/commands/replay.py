"""`quarterdeck replay`: recorded candles through the whole pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from console.options import INSTANT, FileArgument, agent_options, command, config_option, given_flags
from console.output import Progress, cell, grouped, print_json
from console.status import certificate_words

PATH = click.Path(path_type=Path, dir_okay=False, exists=True)
POLICY = click.Path(path_type=Path, dir_okay=False)


@command("replay", reads=True)
@click.argument("files", nargs=-1, required=True, type=FileArgument, metavar="FILE...")
@click.option("--agent", "agents", multiple=True, metavar="A", help="Agent file, its name, or provider:model; repeats.")
@click.option("--policy", type=POLICY, metavar="F", help="Policy file, or conservative, balanced, aggressive.")
@click.option("--instrument", multiple=True, metavar="KEY", help="What each FILE holds, in their order.")
@click.option("--assume-instrument", is_flag=True, help="Take stated defaults for names that are not listed.")
@click.option("--seed", type=int, default=0, show_default=True, help="Feeds everything that draws lots.")
@click.option("--approve", type=click.Choice(["all"]), help="Answer every approval with yes, journaled as such.")
@click.option(
    "--start", type=INSTANT, metavar="TIME", help="First instant to trade, ISO 8601 in UTC; earlier bars only warm up."
)
@click.option("--end", type=INSTANT, metavar="TIME", help="Last instant, ISO 8601 in UTC.")
@config_option
@agent_options
def replay(
    files: tuple[Path, ...],
    agents: tuple[str, ...],
    policy: Path | None,
    instrument: tuple[str, ...],
    assume_instrument: bool,
    seed: int,
    approve: str | None,
    start: int | None,
    end: int | None,
    config_dir: Path | None,
    store: Path | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Put recorded candles through the whole pipeline: agents, limits, paper venue, ledger, journal.

    FILE is a CSV of candles (gzipped or not); the part of its name before the first underscore names what was
    recorded. The same input gives the same journal, hash for hash. Without --store the journal is dropped.
    """
    from engine import runtime

    options = runtime.ReplayOptions(
        files=files,
        agents=agents,
        flags=given_flags(flags),
        policy=policy,
        instrument=instrument,
        assume_instrument=assume_instrument,
        seed=seed,
        store=store,
        approve_all=approve == "all",
        config_dir=config_dir or runtime.config_dir(),
        start_ms=start,
        end_ms=end,
    )
    progress = Progress()
    try:
        result = runtime.replay(options, progress)
    finally:
        progress.close()
    print_json(result) if as_json else click.echo(summary(result))


def summary(result: Mapping[str, Any]) -> str:
    """Lay a replay's result out for a person: one line a subject."""
    lines = [
        ("recording", f"{cell(result['instruments'])}, {cell(result['first_ts'])} to {cell(result['last_ts'])} UTC"),
        ("bars", f"{number(result, 'bars')}, {plural(result['rows_skipped'], 'row')} skipped"),
        ("decisions", f"{counts(result['decisions'])} in {plural(result['cycles'], 'cycle')}"),
        ("refused", counts(result["refusals"]) or "nothing"),
        ("trades", ", ".join(plural(result[f"{name}s"], name) for name in ("intent", "order", "fill"))),
        ("equity", f"{number(result, 'equity_start')} to {number(result, 'equity_end')}"),
        ("profit", f"{number(result, 'realized_pnl')} realised, {number(result, 'unrealized_pnl')} open"),
        ("fees", ", ".join(f"{grouped(value)} {asset}" for asset, value in result["fees"].items()) or "none"),
        ("drawdown", percent(result["max_drawdown_frac"])),
        ("state", state(result)),
        ("journal", f"{number(result, 'journal_rows')} rows, hash {result['journal_hash']}"),
        ("took", f"{result['wall_s']} s, {number(result, 'bars_per_s')} bars/s, {result['rss_mb_max']} MB"),
    ]
    if result["certificate"]:
        lines.insert(-2, ("flatten", certificate_words(result["certificate"])))
    return "\n".join(f"{label.ljust(10)} {text}" for label, text in lines)


def state(result: Mapping[str, Any]) -> str:
    """Write the trading state at the end, and what halted it where something did."""
    why = f": {cell(result['halt_reason'])}" if result["halt_reason"] else ""
    return f"{cell(result['trading_state'])}, {plural(result['halts'], 'halt')}{why}"


def plural(count: int, noun: str) -> str:
    """Write a count with its noun.

    >>> plural(1, "halt"), plural(1_200, "order")
    ('1 halt', '1,200 orders')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def number(result: Mapping[str, Any], name: str) -> str:
    """Write one of the result's numbers with thousands separators."""
    return cell(result[name])


def counts(values: Mapping[str, int]) -> str:
    """Write a table of counts on one line, without those that are nought."""
    return ", ".join(f"{value:,} {name}" for name, value in values.items() if value)


def percent(fraction: str | None) -> str:
    """Write a fraction's text as a percentage of two places."""
    from engine.api import amount

    return "–" if fraction is None else f"{amount(fraction) * 100:.2f} %"
