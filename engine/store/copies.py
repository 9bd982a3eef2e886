"""Which proven copies of a store there are, and what to say of them when the store itself cannot be used."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.clock import iso
from engine.errors import StoreError, UsageError
from engine.paths import StorePaths
from engine.store.anchor import read_anchor

KEPT = 7
PART = ".part"
REPLACED = "replaced-"
_DATED = re.compile(r"\d{4}-\d\d-\d\dT\d{6}Z(-\d+)?")


@dataclass(frozen=True, slots=True)
class Backup:
    """One proven copy. seq: its last journal row. made_ms: when its files were written."""

    path: Path
    seq: int
    bytes: int
    made_ms: int


def dated_name(paths: StorePaths, now_ms: int, folder: Path | None = None) -> Path:
    """Return where a backup made now goes: named by the second, in `backups/` unless a folder is named."""
    return _free(folder or paths.backups, re.sub(r":|\.\d+", "", iso(now_ms)))


def free_name(paths: StorePaths, label: str) -> Path:
    """Return a name in `backups/` for a copy that is kept until somebody removes it."""
    return _free(paths.backups, label)


def listing(paths: StorePaths) -> list[Backup]:
    """Return the proven backups, newest first."""
    with suppress(OSError):
        found = [each for each in paths.backups.iterdir() if each.suffix != PART and (each / "store.db").exists()]
        kept = [described(each) for each in found if not each.name.startswith(REPLACED)]
        return sorted(kept, key=lambda one: (one.made_ms, one.seq), reverse=True)
    return []


def advice(paths: StorePaths) -> str:
    """Return what to do with a store that cannot be used, in words: the newest backup, and the command."""
    newest = next(filter(is_dated, listing(paths)), None)
    if newest is None:
        return "there is no backup of it in backups/; name another folder with --store"
    return f"restore the newest backup, proven up to row {newest.seq}: quarterdeck db restore {newest.path.name}"


def found(paths: StorePaths, named: str) -> Path:
    """Return the directory of a backup: a name in `backups/`, or a path. Raises UsageError when there is none."""
    for path in (paths.backups / named, Path(named)):
        if (path / "store.db").exists():
            return path
    have = ", ".join(one.path.name for one in listing(paths)[:KEPT]) or "none"
    raise UsageError(f"there is no backup {named}; there are: {have}.")


def described(path: Path) -> Backup:
    """Return what there is to say of a copy."""
    files = [each for each in path.iterdir() if each.is_file()]
    made_ms = max((each.stat().st_mtime_ns for each in files), default=0) // 1_000_000
    anchor = None
    with suppress(StoreError):
        anchor = read_anchor(path / "anchor")
    return Backup(path, anchor[0] if anchor else 0, sum(each.stat().st_size for each in files), made_ms)


def described_fields(made: Backup) -> dict[str, object]:
    """Return a backup as JSON can carry it; it was proven, or it would not be there."""
    at = iso(made.made_ms)
    return {"backup": str(made.path), "rows": made.seq, "bytes": made.bytes, "made": at, "verified": True}


def _free(folder: Path, name: str) -> Path:
    target, number = folder / name, 1
    while target.exists():
        number += 1
        target = folder / f"{name}-{number}"
    return target


def is_dated(backup: Backup) -> bool:
    """Tell whether a backup has a date for a name, and so makes way for newer ones."""
    return bool(_DATED.fullmatch(backup.path.name))
