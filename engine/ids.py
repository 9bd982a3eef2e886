"""Identifiers: derived from what they name, so that a second try makes the same one."""

from __future__ import annotations

import secrets
from hashlib import blake2b

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]


def new_store_id() -> str:
    """Return 8 random hex digits that name a store for life."""
    return secrets.token_hex(4)


def derived_store_id(*parts: str) -> str:
    """Return 8 hex digits that depend on the parts alone, for a replay's store."""
    return blake2b("\0".join(parts).encode(), digest_size=4).hexdigest()


def new_token() -> str:
    """Return 16 random hex digits, for names of things outside the journal."""
    return secrets.token_hex(8)


def new_salt() -> bytes:
    """Return 16 random bytes, for the hash of a passphrase."""
    return secrets.token_bytes(16)


def new_nonce() -> bytes:
    """Return 12 random bytes, for one use of a key."""
    return secrets.token_bytes(12)


def client_order_id(store_id: str, intent_id: str) -> str:
    """Return the order id the venue will know: 8 hex of the store, 24 hex of the intent (R9).

    >>> client_order_id("0123abcd", "sma.k5x1b3:0")
    '0123abcd6120ea621ee88b0729bf68cf'
    """
    return store_id + blake2b(intent_id.encode(), digest_size=12).hexdigest()


def base36(number: int) -> str:
    """Write a non-negative whole number in base 36.

    >>> base36(0), base36(35), base36(36)
    ('0', 'z', '10')
    """
    text = ""
    while number >= 1296:
        number, rest = divmod(number, 1296)
        text = _PAIRS[rest] + text
    return (_PAIRS[number] if number >= 36 else _DIGITS[number]) + text


def cycle_id(agent: str, slot_ms: int) -> str:
    """Name the one cycle an agent may run in a slot (R28)."""
    return f"{agent}.{base36(slot_ms)}"


def short_code(text: str) -> str:
    """Return four letters a person types to approve exactly this text; no look-alike letters."""
    letters = "ABCDEFGHJKMNPQRSTVWXYZ"
    number = int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
    return "".join(letters[(number // len(letters) ** place) % len(letters)] for place in range(4))
