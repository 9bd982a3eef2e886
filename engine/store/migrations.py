"""Older schemas brought up to date: numbered steps, never edited once released (P29).

The step to schema n is named n. sqlite-utils runs each in one transaction and keeps which ran.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from sqlite_utils import Database, Migrations

from engine.errors import StoreError
from engine.paths import StorePaths
from engine.store.database import SCHEMA
from engine.store.files import open_private, secure_directory

Step = Callable[[Database], None]

STEPS: Mapping[int, Step] = {}


def upgrade(paths: StorePaths, schema: int, *, to: int = SCHEMA, steps: Mapping[int, Step] = STEPS) -> Path:
    """Bring a store from one schema to another; return where its backup is. The caller has the lock.

    Raises StoreError when a step fails; the store is then as it was.
    """
    backup = back_up(paths, f"schema-{schema}")
    migrations = Migrations("quarterdeck")
    for number in range(schema + 1, to + 1):
        migrations(name=f"{number:04d}")(_numbered(number, steps))
    connection = sqlite3.connect(paths.store_db)
    try:
        migrations.apply(Database(connection))
    except Exception as error:
        raise StoreError(
            f"{paths.store_db} could not be brought from schema {schema} to {to}: {error}; it is as it was, "
            f"and {backup} is a copy of it."
        ) from None
    finally:
        connection.close()
    return backup


def back_up(paths: StorePaths, label: str) -> Path:
    """Copy the database with SQLite's own backup into backups/, and return where it is; older copies are kept."""
    folder = paths.root / "backups"
    secure_directory(folder)
    number = 1
    while (target := folder / f"store-{label}-{number}.db").exists():
        number += 1
    os.close(open_private(target))
    source, copy = sqlite3.connect(paths.store_db), sqlite3.connect(target)
    try:
        source.backup(copy)
    finally:
        copy.close()
        source.close()
    return target


def _numbered(number: int, steps: Mapping[int, Step]) -> Step:
    step = steps.get(number)
    if step is None:
        raise StoreError(f"this quarterdeck has no step to schema {number}; install the version before it first.")

    def run(db: Database) -> None:
        step(db)
        db.execute("UPDATE meta SET value = ? WHERE key = 'schema'", [number])

    return run
