"""`quarterdeck db`: the store itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from console.options import StoreOption, command
from console.output import print_fields, print_json


@click.group("db")
def db() -> None:
    """Back the store up, restore it, migrate it, or say what is in it."""


@command("backup", reads=True)
@click.option("--to", type=StoreOption, metavar="DIR", help="Where to; the store's backups/ when not given.")
def backup(store: Path | None, as_json: bool, to: Path | None) -> None:
    """Copy journal, venue and anchor as they are now, and prove the copy; an engine may be running."""
    from engine import runtime

    _print(runtime.back_up(store or runtime.default_store(), to), as_json)


@command("restore", reads=True)
@click.argument("backup_name", metavar="BACKUP")
@click.option("--venue-too", is_flag=True, help="Turn the paper venue back as well; else it keeps its own truth.")
def restore(store: Path | None, as_json: bool, backup_name: str, venue_too: bool) -> None:
    """Put BACKUP, a name in backups/ or a path, in the store's place.

    What it replaces is kept beside the backups. Trading is HALTED after it, until you have seen what the venue did
    since and resume.
    """
    from engine import runtime

    _print(runtime.restore(store or runtime.default_store(), backup_name, venue_too=venue_too), as_json)


@command("migrate", reads=True)
def migrate(store: Path | None, as_json: bool) -> None:
    """Bring an older store's schema up to date, after a backup. Opening the store does the same."""
    from engine import runtime

    _print(runtime.migrate(store or runtime.default_store()), as_json)


@command("info", reads=True)
def info(store: Path | None, as_json: bool) -> None:
    """Say what is in the store, where it lies, and when it was backed up."""
    from engine import runtime

    _print(runtime.describe(store or runtime.default_store()), as_json)


def _print(fields: dict[str, Any], as_json: bool) -> None:
    print_json(fields) if as_json else print_fields(fields)


for each in (backup, restore, migrate, info):
    db.add_command(each)
