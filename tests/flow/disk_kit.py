"""Stores on a small disk of their own, and how to fill it."""

from __future__ import annotations

import contextlib
from pathlib import Path


def on_disk(place: Path, elsewhere: Path) -> Path:
    """Return a store on a small disk whose venue lives elsewhere, as a real venue does."""
    root = place / "store"
    root.mkdir(mode=0o700)
    (root / "paper.db").symlink_to(elsewhere / "venue.db")
    return root


def fill_up(place: Path) -> Path:
    filler = place / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as out:
        for size in (65_536, 4_096, 512, 1):
            with contextlib.suppress(OSError):
                while out.write(b"x" * size) == size:
                    pass
    return filler
