"""What opens the console: the bare command, and the demo."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.keymap import FILE_NAME, KeymapError, read_keymap
from console.options import Refusal, Settings, bell_option, command

if TYPE_CHECKING:
    from engine.runtime import EngineHost

NO_TERMINAL = "The console needs a terminal; {} without one."
CANNOT_DRAW = "The console cannot draw with TERM={}; {} without it."
BY_HAND = "`quarterdeck status`, `halt`, `flatten` and `approve` work"
REPLAYED = "`quarterdeck replay` works"
TURN_S = 0.001
"""How long a thread computes while another waits: of Python's own 5 ms, one key's way to the screen took several."""


def need_terminal(instead: str) -> None:
    """Refuse to draw where nobody can see it (U14). instead: which commands work all the same."""
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise Refusal(NO_TERMINAL.format(instead))
    terminal = os.environ.get("TERM", "")
    if terminal in ("dumb", "unknown"):
        raise Refusal(CANNOT_DRAW.format(terminal, instead))


def draw(open_engine: Callable[[], EngineHost], *, bell: bool = True, config_dir: Path | None = None) -> int:
    """Open the console and return the exit code once it has closed. open_engine is called after the first paint.

    config_dir: where the trader's keymap.toml is looked for; None: in the default place.
    What the engine failed with, shown in the console until it was left, is raised again for the shell.
    """
    from console.app import QuarterdeckApp, known_bindings  # with all of textual
    from engine import runtime

    try:
        keymap = read_keymap((config_dir or runtime.config_dir()) / FILE_NAME, known_bindings())
    except KeymapError as error:
        raise Refusal(str(error)) from None

    opened: list[EngineHost] = []

    def open_and_keep() -> EngineHost:
        opened.append(open_engine())
        return opened[-1]

    sys.setswitchinterval(TURN_S)
    code = QuarterdeckApp(open_and_keep, keymap, bell=bell).run() or 0
    for host in opened:
        if host.failure is not None:
            raise host.failure
    return code


def open_console(settings: Settings) -> int:
    """Open the console on the trader's own store, with the agents of the configuration."""
    need_terminal(BY_HAND)
    refuse_owned(settings)
    return draw(lambda: own_engine(settings, flags=None), bell=settings.bell, config_dir=settings.config_dir)


def refuse_owned(settings: Settings) -> None:
    """Refuse a store that another engine owns before anything is drawn; exit code 3 (P18)."""
    from engine import runtime  # its two names here cost nothing before the first paint

    runtime.refuse_owned(settings.store or runtime.default_store())


def own_engine(settings: Settings, *, flags: Mapping[str, Any] | None) -> EngineHost:
    """Return an engine on the trader's own store. flags: run-agent's; None: agents come from the configuration."""
    from engine import runtime  # after the first paint

    options = runtime.ConsoleOptions(
        store=settings.store or runtime.default_store(),
        config_dir=settings.config_dir or runtime.config_dir(),
        flags=flags,
        speed=settings.speed,
        seed=settings.seed,
    )
    return runtime.console_host(replace(options, feed=settings.feed) if settings.feed else options)


@command("demo", store=False)
@click.option("--recording", type=click.Choice(["aapl", "eurusd"]), default="aapl", show_default=True)
@click.option("--speed", type=click.FloatRange(0, min_open=True), metavar="N", help="Times real time.")
@bell_option
def demo(recording: str, speed: float | None, bell: bool) -> int:
    """Open the console on a throwaway paper store with a bundled recording: no keys, no network."""
    need_terminal(REPLAYED)
    return draw(lambda: _demo_engine(recording, speed), bell=bell)


def _demo_engine(recording: str, speed: float | None) -> EngineHost:
    from engine import runtime  # after the first paint

    return runtime.demo_host(recording, speed)
