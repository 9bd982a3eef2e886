"""How a payload is kept: as it is, or deflated with a fixed dictionary where that is shorter.

A decision that acted takes a third of the store this way, and every row can still be read by itself. The journal's hash
is over the text, never over the packed bytes, so a zlib that packs differently makes the same chain.
"""

from __future__ import annotations

import re
import zlib

from engine.errors import StoreError
from engine.ids import client_order_id
from engine.store.dictionaries import FIRST, SECOND

_WINDOW = -13
# A stream begins with three bits that say whether its first block is the last and of which type it is. Type 3 means
# nothing to deflate; here it marks the second dictionary, at no cost in bytes. Left: a last block, fixed and dynamic.
_MARKS = {0b011: 0b111, 0b101: 0b110}
_BLOCKS = {mark: block for block, mark in _MARKS.items()}
_BITS = 0b111
_MEMORY = 5
_TEXT_BYTES_MAX = 16_000_000
_ID_DIGITS, _STORE_DIGITS = 32, 8
_UNIT, _UNITS_MAX = 4, 255
_WHOLE, _DERIVED = "\0", "\1"
_ID = re.compile('"([0-9a-f]{32})"')


def pack(text: str, *, has_ids: bool = True) -> str | bytes:
    """Return what to keep for a text: the text, or fewer bytes that unpack() to it.

    has_ids: whether order ids are looked for in it. A decision has none, and is long.

    Order ids do not deflate, so they are kept as bytes before the rest, and a control character, which JSON never
    holds unescaped, stands in their place. Of an id made from the text before it, such as an order's from its
    intent, the store's part is enough.
    """
    if _WHOLE in text or _DERIVED in text:
        return text
    head, rest = _without_ids(text) if has_ids else (b"", text)
    if len(head) > _UNIT * _UNITS_MAX:
        return text
    packed = bytes((len(head) // _UNIT,)) + head + _deflated(rest.encode())
    return packed if len(packed) < len(text.encode()) else text


def unpack(kept: str | bytes) -> str:
    """Return the text behind what was kept. Raises StoreError when the bytes are not one packed text."""
    if isinstance(kept, str):
        return kept
    try:
        start = 1 + kept[0] * _UNIT
        block = _BLOCKS.get(kept[start] & _BITS)
        if block is None:
            unpacker, stream = zlib.decompressobj(_WINDOW, zdict=_FIRST), kept[start:]
        else:
            unpacker = zlib.decompressobj(_WINDOW, zdict=_SECOND)
            stream = bytes((kept[start] & ~_BITS | block,)) + kept[start + 1 :]
        data = unpacker.decompress(stream, _TEXT_BYTES_MAX)
        if not unpacker.eof or unpacker.unused_data or unpacker.unconsumed_tail:
            raise ValueError("it does not end where it should")
        return _with_ids(data.decode(), kept[1:start].hex())
    except (zlib.error, ValueError, TypeError, IndexError) as error:
        raise StoreError(f"a packed payload cannot be read: {error}.") from None


def _deflated(data: bytes) -> bytes:
    packer = _PACKER.copy()
    packed = packer.compress(data) + packer.flush()
    mark = _MARKS.get(packed[0] & _BITS)
    if mark is not None:
        return bytes((packed[0] & ~_BITS | mark,)) + packed[1:]
    packer = zlib.compressobj(9, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, _FIRST)
    return packer.compress(data) + packer.flush()  # of several blocks, as a checkpoint is: too long to care which


def _without_ids(text: str) -> tuple[bytes, str]:
    digits: list[str] = []
    rest: list[str] = []
    at = 0
    for match in _ID.finditer(text):
        piece, order_id = text[at : match.start()], match[1]
        before = _last_text(piece)
        derived = before is not None and client_order_id(order_id[:_STORE_DIGITS], before) == order_id
        digits.append(order_id[:_STORE_DIGITS] if derived else order_id)
        rest += (piece, _DERIVED if derived else _WHOLE)
        at = match.end()
    return bytes.fromhex("".join(digits)), "".join(rest) + text[at:]


def _with_ids(text: str, digits: str) -> str:
    parts, at = text.split(_DERIVED), 0
    whole: list[str] = []
    for part in parts:
        if whole:
            whole.append(f'"{client_order_id(digits[at : at + _STORE_DIGITS], _last_text(whole[-1]) or "")}"')
            at += _STORE_DIGITS
        first, *others = part.split(_WHOLE)
        whole.append(first)
        for other in others:
            whole += (f'"{digits[at : at + _ID_DIGITS]}"', other)
            at += _ID_DIGITS
    if at != len(digits):
        raise ValueError("it has not the ids it should have")
    return "".join(whole)


def _last_text(piece: str) -> str | None:
    """Return the JSON string a piece of an array ends with, None when it ends otherwise."""
    begin = piece.rfind('"', 0, -2) if piece.endswith('",') else -1
    return None if begin < 0 else piece[begin + 1 : -2]


_FIRST, _SECOND = FIRST.encode(), SECOND.encode()
# A copy of it costs a tenth of taking the dictionary in anew.
_PACKER = zlib.compressobj(9, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, _SECOND)
