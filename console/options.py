"""What commands share: their settings, and the options that many of them take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

StoreOption = click.Path(path_type=Path, file_okay=False)
FileArgument = click.Path(path_type=Path, exists=True, dir_okay=False)


class Refusal(click.ClickException):
    """What was asked for cannot be done as it stands; exit code 2."""

    exit_code = 2


class Instant(click.ParamType):
    """An instant in UTC: a date, or a date and time, as ISO 8601 writes them; into milliseconds since 1970."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            read = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time; write it as 2022-11-08 or 2022-11-08T12:00.", param, ctx)
        return round(read.replace(tzinfo=read.tzinfo or UTC).timestamp() * 1000)


INSTANT = Instant()


@dataclass(slots=True)
class Settings:
    """What stands before the command. store None: the default one."""

    debug: bool = False
    as_json: bool = False
    store: Path | None = None
    config_dir: Path | None = None
    feed: str | None = None
    speed: float = 1.0
    seed: int = 0
    bell: bool = True


def _note_debug(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        ctx.find_root().obj.debug = True


def debug_option(function: F) -> F:
    """Add --debug, which lets a traceback through."""
    return click.option(
        "--debug", is_flag=True, expose_value=False, callback=_note_debug, help="Show the traceback of a failure."
    )(function)


def command(name: str, *, reads: bool = False, store: bool = True) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a command that takes --debug; store: --store as well; reads: --json as well."""

    def wrap(function: Callable[..., Any]) -> click.Command:
        function = debug_option(function)
        if reads:
            function = click.option("--json", "as_json", is_flag=True, help="Write JSON instead of text.")(function)
        if store:
            function = _store_option(function)
        return click.command(name)(function)

    return wrap


def reading_group(name: str) -> Callable[[Callable[..., Any]], click.Group]:
    """Make a group of commands that by itself reads something: --debug, --store and --json stand before a command."""

    def wrap(function: Callable[..., Any]) -> click.Group:
        function = click.option("--json", "as_json", is_flag=True, help="Write JSON instead of text.")(function)
        return click.group(name, invoke_without_command=True)(_store_option(debug_option(function)))

    return wrap


def _store_option(function: F) -> F:
    return click.option(
        "--store",
        type=StoreOption,
        metavar="DIR",
        callback=_chosen_store,
        help="Store directory; the default store when not given.",
    )(function)


def _chosen_store(ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    return value or ctx.find_root().obj.store


def feed_options(function: F) -> F:
    """Add where prices come from: --feed, --speed, --seed."""
    for option in reversed(_FEED_OPTIONS):
        function = option(function)
    return function


_FEED_OPTIONS = [
    click.option("--feed", metavar="FEED", help="An exchange that ccxt knows, a recording's path, or simulated."),
    click.option("--speed", type=click.FloatRange(0), default=1.0, help="Of a recording, times real time."),
    click.option("--seed", type=int, default=0, help="Of a simulated market."),
]  # fmt: skip


def bell_option(function: F) -> F:
    """Add --no-bell."""
    return click.option(
        "--bell/--no-bell", default=True, help="Ring the terminal's bell when a trade begins to wait for you."
    )(function)


def config_option(function: F) -> F:
    """Add --config, the directory of instruments.toml, policy.toml and agents/."""
    return click.option(
        "--config", "config_dir", type=StoreOption, metavar="DIR", help="Configuration directory; else the default one."
    )(function)


_AGENT_OPTIONS = [
    click.option("--asset-pair", multiple=True, metavar="PAIR", help="What to trade; repeat it, or a,b,c."),
    click.option("--model", metavar="P:M", help="provider:model, or a name in prices.toml; else heuristic:sma_cross."),
    click.option("--set", "set_", multiple=True, metavar="KEY=VALUE", help="A setting of the model; may repeat."),
    click.option("--timeframe", metavar="5m", help="Length of the candles the agent reads."),
    click.option("--take-profit", metavar="5%", help="Leave a position this far in profit; off for never."),
    click.option("--stop-loss", metavar="2%", help="Leave a position this far at a loss; off for never."),
    click.option("--kill-switch-gain", metavar="5%", help="Halt and flatten when equity is up this much."),
    click.option("--kill-switch-loss", metavar="2%", help="Halt and flatten when equity is down this much."),
    click.option("--max-drawdown", metavar="5%", help="Halt and flatten this far below the highest equity."),
    click.option("--max-daily-loss", metavar="3%", help="Halt and flatten when the UTC day has lost this much."),
    click.option("--max-daily-trades", metavar="N", help="Entries and exits per UTC day; 0 is none."),
    click.option("--analysis-frequency", metavar="300|5m|candle", help="How often to decide; a number is seconds."),
    click.option("--min-confidence", metavar="0.6", help="Refuse decisions below this confidence."),
    click.option("--risk-per-trade", metavar="1%", help="Most of equity that one trade may lose at its stop."),
    click.option("--max-position", metavar="10000|25%", help="Largest position: value in quote, or share of equity."),
    click.option("--qty", metavar="UNITS", help="Always aim at this many units instead of sizing by risk."),
    click.option("--cash", metavar="AMOUNT", help="What a new paper account starts with."),
    click.option("--approval-mode", metavar="auto|manual", help="Who says yes to a trade: the limits, or you."),
    click.option("--autonomous", is_flag=True, help="The same as --approval-mode auto."),
    click.option("--observe", is_flag=True, help="Only propose; trade nothing."),
]  # fmt: skip


def agent_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add run-agent's flags. They stay texts here: the engine reads them by the rules of the configuration files."""
    for option in reversed(_AGENT_OPTIONS):
        function = option(function)
    return function


def given_flags(values: dict[str, Any]) -> dict[str, Any]:
    """Return the agent flags that were given, by the names that the engine's configuration knows."""
    return {name.rstrip("_"): value for name, value in values.items() if value not in (None, False, ())}
