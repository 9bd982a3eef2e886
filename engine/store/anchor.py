"""The anchor: last seq and hash, outside the database, so that a cut tail or a rewritten chain shows.

It is written after each commit and may be behind by what a crash cut off, never ahead: a journal shorter than its
anchor has lost rows that were acknowledged.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from engine.errors import StoreError
from engine.store.files import open_private

_LINE = re.compile(r"(\d{20}) ([0-9a-f]{64})\n")
_SYNC_MS = 1000


class Anchor:
    """Writes one store's anchor; made durable at most once a second and on close, by the journal's own time."""

    def __init__(self, path: Path) -> None:
        self._fd = open_private(path)
        self._synced_ms = -_SYNC_MS

    def write(self, seq: int, head: bytes, ts_ms: int) -> None:
        """Say where the chain ends."""
        os.pwrite(self._fd, f"{seq:020d} {head.hex()}\n".encode(), 0)
        if abs(ts_ms - self._synced_ms) >= _SYNC_MS:
            os.fsync(self._fd)
            self._synced_ms = ts_ms

    def close(self) -> None:
        """Make it durable and let go of it; safe to repeat."""
        if self._fd >= 0:
            os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1


def read_anchor(path: Path) -> tuple[int, bytes] | None:
    """Return seq and hash; None when there is none, or none was written yet. Raises StoreError when it is no anchor."""
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError):
        text = ""
    else:
        if not text:
            return None
    match = _LINE.fullmatch(text)
    if match is None:
        raise StoreError(f"the anchor {path} is not a seq and a hash; run quarterdeck verify.")
    return int(match[1]), bytes.fromhex(match[2])
