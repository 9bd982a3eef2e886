"""`quarterdeck init`: configuration files to start from."""

from __future__ import annotations

from pathlib import Path

import click

from console.options import command, config_option


@command("init", store=False)
@click.option("--preset", default="", metavar="NAME", help="Limits: conservative, balanced or aggressive.")
@config_option
def init(preset: str, config_dir: Path | None) -> None:
    """Write annotated configuration files to start from; nothing is overwritten."""
    from engine import runtime

    for path in runtime.write_defaults(config_dir or runtime.config_dir(), preset):
        click.echo(f"wrote {path}")
