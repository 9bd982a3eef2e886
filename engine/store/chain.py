"""The hash chain: h_n = SHA256(h_(n-1) || seq || ts || kind || payload text), from 32 zero bytes on.

Numbers are packed in fixed width and the payload is last, so no two rows have the same input. A row keeps the first
bytes of its hash, enough to name the first row that is not what was written; the whole hash of the last row is in
the table `meta` and in the anchor file. Where the payload is kept packed, the row's check also covers those bytes.
"""

from __future__ import annotations

import struct
from hashlib import sha256

GENESIS = bytes(32)
CHECK_BYTES = 8
NumberError = struct.error
"""A seq, time or kind that is no whole number of its width."""

NUMBERS = struct.Struct(">QqH").pack


def link(previous: bytes, seq: int, ts_ms: int, kind: int, text: str) -> bytes:
    """Return the 32-byte hash of a row that follows one with the previous hash."""
    return sha256(previous + NUMBERS(seq, ts_ms, kind) + text.encode()).digest()


def check(head: bytes, kept: str | bytes) -> bytes:
    """Return what a row keeps of its hash. kept: its payload as it is stored."""
    return head[:CHECK_BYTES] if isinstance(kept, str) else sha256(head + kept).digest()[:CHECK_BYTES]
