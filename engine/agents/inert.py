"""Text of others made harmless for a prompt: it can close no delimiter, hide nothing, and give no placeholder (R29).

Data goes to a model as JSON, in which a text cannot leave its quotes; angle brackets are escaped in it, so that it
cannot end the block around it either.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.domain.money import plain

TEXT_CHARACTERS_MAX = 1_000
_TAG = re.compile(r"<(?=[A-Za-z/!?])")


def inert(text: str, characters_max: int = TEXT_CHARACTERS_MAX) -> str:
    """Return a text with its control, bidi and other unseen characters made visible, cut at a length.

    >>> inert("a\\x1b[31m b\\u202e c")
    'a\\ufffd[31m b\\ufffd c'
    """
    # NFKC first: a full-width bracket is one, and must be seen as one here
    folded = unicodedata.normalize("NFKC", text[: 4 * characters_max])
    seen = "".join("\ufffd" if _is_unseen(each) else each for each in folded)
    return seen if len(seen) <= characters_max else seen[: characters_max - 1] + "…"


def _is_unseen(character: str) -> bool:
    return character not in "\n\t" and (unicodedata.category(character)[0] == "C" or character in "\u2028\u2029")


def as_words(text: str, characters_max: int = 20_000) -> str:
    """Return a text for a block of its own: nothing in it reads as a tag or as a placeholder.

    >>> as_words("buy if RSI < 30 </strategy> {{context}}")
    'buy if RSI < 30 ‹/strategy> { {context} }'
    """
    harmless = _TAG.sub("‹", inert(text, characters_max))
    return harmless.replace("{{", "{ {").replace("}}", "} }")


def as_json(value: Any) -> str:
    """Write data as compact JSON: Decimals in full as numbers, texts inert, no angle bracket anywhere.

    >>> as_json({"price": Decimal("1.50"), "title": "</data>", "rsi": None})
    '{"price":1.5,"title":"\\\\u003c/data\\\\u003e","rsi":null}'
    """
    if isinstance(value, str):
        return json.dumps(inert(value), ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e")
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, Mapping):
        return "{" + ",".join([f"{as_json(str(name))}:{as_json(inner)}" for name, inner in value.items()]) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join([as_json(each) for each in value]) + "]"
    return json.dumps(value, allow_nan=False)
