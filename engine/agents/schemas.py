"""The answer's form for a model: in words, and as a JSON schema for vendors whose servers keep to one.

Such servers want every field named, so an optional one is there and may be null. What a schema cannot say there, such
as that a price is positive, the parser checks all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}


def single_schema(symbols: tuple[str, ...]) -> Schema:
    """Return the schema of one decision on one of the symbols."""
    return _object(
        {
            "decision": _one_of("buy", "sell", "hold"),
            "symbol": _or_null(_one_of(*symbols)),
            "quantity": _or_null(_NUMBER),
            "order_type": _or_null(_one_of("market", "limit")),
            "limit_price": _or_null(_NUMBER),
            "stop": _or_null(_NUMBER),
            "target": _or_null(_NUMBER),
            "reasoning": _TEXT,
            "confidence": _or_null(_NUMBER),
            "risk_assessment": _or_null(_one_of("low", "medium", "high")),
        }
    )


def plan_schema(symbols: tuple[str, ...]) -> Schema:
    """Return the schema of a plan of items for the symbols."""
    item = _object(
        {
            "instrument": _one_of(*symbols),
            "action": _one_of("buy", "sell", "flat", "noop"),
            "target_qty": _or_null(_NUMBER),
            "price_mode": _or_null(_one_of("market", "limit")),
            "limit_price": _or_null(_NUMBER),
            "max_slippage_bps": _or_null({"type": "integer"}),
            "stop": _or_null(_NUMBER),
            "target": _or_null(_NUMBER),
            "confidence": _or_null(_NUMBER),
            "rationale": _TEXT,
        }
    )
    return _object({"items": {"type": "array", "items": item}, "notes": _or_null(_TEXT)})


_ONE_OBJECT = "Answer with one JSON object and nothing else: no prose, no code fence, no further keys."
_SINGLE = """{"decision": "buy" | "sell" | "hold", "symbol": SYMBOLS, "quantity": number above 0,
 "order_type": "market" | "limit", "limit_price": number, "stop": number, "target": number, "reasoning": text,
 "confidence": number from 0 to 1, "risk_assessment": "low" | "medium" | "high"}
A buy or sell needs symbol, reasoning and confidence; a hold needs only its reasoning, and names no quantity or price.
"quantity" is the most to trade, in units of the base asset; without it the program sizes."""
_PLAN = """{"items": [{"instrument": SYMBOLS, "action": "buy" | "sell" | "flat" | "noop",
 "target_qty": number, "price_mode": "market" | "limit", "limit_price": number, "max_slippage_bps": whole number,
 "stop": number, "target": number, "confidence": number from 0 to 1, "rationale": text}], "notes": text}
One item for each instrument, none twice. "target_qty" is the most to hold afterwards, in units of the base asset;
without it the program sizes. "flat" closes, "noop" leaves the position as it is. Every item but a noop needs its
confidence; "stop" and "target" are for buy and sell only."""
_REST = """A limit price goes with a limit order only; "stop" and "target" are prices. Confidence is a fraction such as
0.7, never a percentage. What you have no value for is null or left out. An answer of any other form is thrown away,
and nothing is traded."""


def single_form(symbols: tuple[str, ...]) -> str:
    """Return the words that ask for one decision."""
    return f"{_ONE_OBJECT}\n{_SINGLE.replace('SYMBOLS', _listed(symbols))}\n{_REST}"


def plan_form(symbols: tuple[str, ...]) -> str:
    """Return the words that ask for a plan."""
    return f"{_ONE_OBJECT}\n{_PLAN.replace('SYMBOLS', _listed(symbols))}\n{_REST}"


def _listed(symbols: tuple[str, ...]) -> str:
    return " | ".join(f'"{each}"' for each in symbols)


def _object(properties: Mapping[str, Any]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _one_of(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}
