"""The last drill: a small file in the store's directory, beside the journal and not in it.

A rehearsal is no part of the account's history, and it must be possible to write it down while an engine has the store.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields
from pathlib import Path

from engine.api import DrillView
from engine.paths import StorePaths
from engine.store.files import open_private


def save_drill(paths: StorePaths, drill: DrillView) -> None:
    """Replace the record of the last drill. Raises StoreError or OSError when it cannot be written."""
    fresh = paths.drill.with_suffix(".new")
    file = open_private(fresh)
    try:
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(asdict(drill)).encode(), 0)
        os.fsync(file)
    finally:
        os.close(file)
    fresh.replace(paths.drill)


class LastDrill:
    """Reads the record, again only when the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = 0
        self._read: DrillView | None = None

    def read(self) -> DrillView | None:
        """Return the last drill; None before the first, and where the file says nothing that can be read."""
        try:
            stamp = self._path.stat().st_mtime_ns
            if stamp != self._stamp:
                self._stamp, self._read = stamp, _view(json.loads(self._path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None
        return self._read


def _view(raw: dict[str, object]) -> DrillView:
    if not isinstance(raw, dict):
        raise ValueError("it is no object")
    kinds: dict[str, type] = {"flat": bool, "at": str}
    for field in fields(DrillView):
        wanted = kinds.get(field.name, int)
        if type(raw.get(field.name)) is not wanted:
            raise ValueError(f"{field.name} is not what a drill writes")
    return DrillView(**raw)  # type: ignore[arg-type]
