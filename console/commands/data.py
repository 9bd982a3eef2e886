"""`quarterdeck data`: recordings."""

from __future__ import annotations

import re
from pathlib import Path

import click

from console.options import FileArgument, Refusal, command, config_option
from console.output import print_fields, print_json


@click.group("data")
def data() -> None:
    """Import recorded candles."""


@command("import", reads=True, store=False)
@click.argument("file", type=FileArgument)
@click.option("--instrument", required=True, metavar="NAME", help="What was recorded.")
@click.option("--name", metavar="NAME", help="What to call the recording; else the file's own name.")
@config_option
def import_(file: Path, as_json: bool, instrument: str, name: str | None, config_dir: Path | None) -> None:
    """Check a CSV of candles row by row and keep a clean copy; says which rows were left out, and why."""
    from engine import runtime

    if name is not None and not re.fullmatch(r"\w[\w.-]{0,79}", name):
        raise Refusal(f"--name {name!r} cannot name a recording; use letters, digits, dots and hyphens.")
    result = runtime.import_recording(
        file, instrument=instrument, name=name, config_dir=config_dir or runtime.config_dir()
    )
    print_json(result) if as_json else print_fields(result)


data.add_command(import_)
