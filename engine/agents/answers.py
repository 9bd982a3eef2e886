"""The two forms an answer may have: one decision, or a plan of items. pydantic, strict, nothing extra (R2).

Numbers arrive as Decimals made of their text. An optional field may be null, which says the same as leaving it out:
structured output of some vendors must name every field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Refuse = Callable[[str, str], NoReturn]
_ITEMS_MAX = 200
_SLIPPAGE_BPS_MAX = 10_000

_Positive = Annotated[Decimal, Field(gt=0, allow_inf_nan=False)]
_Signed = Annotated[Decimal, Field(allow_inf_nan=False)]
_Confidence = Annotated[Decimal, Field(ge=0, le=1, allow_inf_nan=False)]
_Bps = Annotated[Decimal, Field(gt=0, le=_SLIPPAGE_BPS_MAX, multiple_of=1, allow_inf_nan=False)]
_Said = Annotated[str, Field(min_length=1, pattern=r"\S")]
_Symbol = Annotated[str, Field(min_length=1, max_length=80)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)


class Single(_Strict):
    """One decision on one instrument; a hold needs only its reasoning."""

    decision: Literal["buy", "sell", "hold"]
    symbol: _Symbol | None = None
    quantity: _Positive | None = None
    order_type: Literal["market", "limit"] | None = None
    limit_price: _Positive | None = None
    stop: _Positive | None = None
    target: _Positive | None = None
    reasoning: _Said
    confidence: _Confidence | None = None
    risk_assessment: Literal["low", "medium", "high"] | None = None


class Item(_Strict):
    """One instrument's part of a plan. target_qty: signed, the position that should be held."""

    instrument: _Symbol
    action: Literal["buy", "sell", "flat", "noop"]
    target_qty: _Signed | None = None
    price_mode: Literal["market", "limit"] | None = None
    limit_price: _Positive | None = None
    max_slippage_bps: _Bps | None = None
    stop: _Positive | None = None
    target: _Positive | None = None
    confidence: _Confidence | None = None
    rationale: _Said


class Plan(_Strict):
    """Items for several instruments, and notes that nothing reads."""

    items: Annotated[list[Item], Field(min_length=1, max_length=_ITEMS_MAX)]
    notes: str | None = None


def read_single(said: Mapping[str, Any], refuse: Refuse) -> Single:
    """Return the decision that an object is; refuse() with SCHEMA or OUT_OF_RANGE when it is none."""
    try:
        return Single.model_validate(said)
    except ValidationError as error:
        _explain(error, refuse)


def read_plan(said: Mapping[str, Any], refuse: Refuse) -> list[Item]:
    """Return the items of the plan that an object is; refuse() as read_single does."""
    try:
        return Plan.model_validate(said).items
    except ValidationError as error:
        _explain(error, refuse)


_OF_RANGE = ("greater_than", "less_than", "multiple_of", "finite_number", "decimal_", "too_short", "too_long")
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is no field of this form",
    "is_instance_of": "is not a plain number",
    "string_type": "is not a text",
    "string_pattern_mismatch": "is empty",
    "list_type": "is not a list",
    "model_type": "is not an object",
}


def _explain(error: ValidationError, refuse: Refuse) -> NoReturn:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part)[:40] for part in first["loc"]) or "the answer"
    code = "OUT_OF_RANGE" if any(each in first["type"] for each in _OF_RANGE) else "SCHEMA"
    words = _WORDS.get(first["type"]) or first["msg"].replace("Input should be", "is not")
    more = error.error_count() - 1
    refuse(code, f"{where} {words}{f', and {more} more' if more else ''}.")
