"""From a model's text to drafts: strict, all or nothing, and nothing in it is repaired or guessed (R2).

One JSON object is the whole message, in one of two forms: a single decision, or a plan of items. Whatever else comes
is an AnswerError with a code, which the cycle writes down as an outcome of its own; it never becomes a hold.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NoReturn

from engine.domain.decision import DecisionDraft, Direction
from engine.domain.money import MAX_EXPONENT, ZERO

if TYPE_CHECKING:
    from engine.agents.answers import Item, Single

BYTES_MAX = 64 * 1024
DEPTH_MAX = 8
NUMBER_CHARACTERS_MAX = 48
DIGITS_MAX = 28
"""Significant digits of a number: as many as Decimal arithmetic keeps, so that no sum rounds it."""
RATIONALE_CHARACTERS_MAX = 1_000
SENTENCE_CHARACTERS_MAX = 240


class AnswerError(Exception):
    """An answer that is no decision. code: one of CODES; sentence: what is wrong, without any of its long texts."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code, self.sentence = code, sentence


CODES = {
    "TOO_LONG": "more than 64 KB",
    "BAD_TEXT": "half a character of a pair",
    "NOT_JSON": "not JSON, or more than one value, or prose around it",
    "NOT_AN_OBJECT": "JSON, but no object",
    "DUPLICATE_KEY": "one key twice in an object",
    "TOO_DEEP": "objects within objects, more than 8 deep",
    "NOT_FINITE": "NaN or an infinity",
    "NUMBER": "a number of too many digits, or too large or small to be money",
    "SCHEMA": "a missing, unknown or wrongly typed field",
    "OUT_OF_RANGE": "a field whose value is outside what it may be",
    "CONTRADICTION": "fields that cannot stand beside each other",
    "UNKNOWN_SYMBOL": "a symbol that the agent was not asked about",
    "LOOK_ALIKE_SYMBOL": "a symbol that only looks like one of them",
    "REPEATED_SYMBOL": "two items for one instrument",
}
"""Every way in which an answer is refused."""


def parse_answer(
    text: str, allowed: Mapping[str, str], held: Mapping[str, Decimal] | None = None
) -> tuple[DecisionDraft, ...]:
    """Read an answer into drafts. Raises AnswerError when it is anything but a valid decision or plan.

    allowed: each symbol exactly as the model may write it -> the instrument's key. A hold that names no symbol holds
    all of them; an instrument that is not mentioned gets no draft. held: instrument key -> signed position; with it a
    noop whose target is another quantity is refused.
    """
    said = _read(text)
    from engine.agents.answers import read_plan, read_single  # pydantic: 0.1 s that deterministic models do without

    if "items" in said:
        items = read_plan(said, _refuse)
        drafts = tuple(_of_item(item, f"items.{at}", allowed) for at, item in enumerate(items))
    else:
        drafts = _of_single(read_single(said, _refuse), allowed)
    _require_distinct(drafts)
    for draft in drafts:
        _require_sense(draft, held or {})
    return drafts


def _refuse(code: str, sentence: str) -> NoReturn:
    shown = "".join(each if each.isprintable() else "\ufffd" for each in sentence)
    raise AnswerError(code, shown if len(shown) <= SENTENCE_CHARACTERS_MAX else f"{shown[:SENTENCE_CHARACTERS_MAX]}…")


# Text to values: every number a Decimal made of its own text, every doubt a refusal.


def _read(text: str) -> dict[str, Any]:
    if len(text) > BYTES_MAX or len(text.encode("utf-8", "surrogatepass")) > BYTES_MAX:
        _refuse("TOO_LONG", f"the answer is longer than {BYTES_MAX // 1024} KB.")
    try:
        said = json.loads(
            text, object_pairs_hook=_object, parse_float=_number, parse_int=_number, parse_constant=_constant
        )
        _require_plain(said)
    except json.JSONDecodeError as error:
        _refuse("NOT_JSON", f"the answer is not one JSON object and nothing else: {error.msg} at {error.pos}.")
    except RecursionError:
        _refuse("TOO_DEEP", f"the answer is nested more than {DEPTH_MAX} deep.")
    if not isinstance(said, dict):
        _refuse("NOT_AN_OBJECT", "the answer is JSON but no object.")
    return said


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _value in pairs if name in seen or seen.add(name))
        _refuse("DUPLICATE_KEY", f"the key {_short(twice)} stands twice in one object.")
    return found


def _number(written: str) -> Decimal:
    if len(written) > NUMBER_CHARACTERS_MAX:
        _refuse("NUMBER", f"a number has {len(written)} characters; {NUMBER_CHARACTERS_MAX} are the most.")
    try:
        value = Decimal(written)
    except InvalidOperation:  # an exponent of many digits
        _refuse("NUMBER", f"the number {_short(written)} cannot be kept.")
    _sign, digits, exponent = value.as_tuple()
    if not (
        isinstance(exponent, int) and len(digits) <= DIGITS_MAX and value.adjusted() <= MAX_EXPONENT
        and -exponent <= MAX_EXPONENT
    ):  # fmt: skip
        _refuse("NUMBER", f"the number {_short(written)} is too large, too small or too long to be money.")
    return value if value else ZERO


def _constant(written: str) -> NoReturn:
    _refuse("NOT_FINITE", f"{written} is not a number.")


def _require_plain(said: Any) -> None:
    """Refuse what is nested too deep, and half characters, which no store could keep."""
    level = [said]
    for _depth in range(DEPTH_MAX + 1):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, str):
                _require_whole(value)
            elif isinstance(value, list):
                inner += value
            elif isinstance(value, dict):
                for name in value:
                    _require_whole(name)
                inner += value.values()
        if not inner:
            return
        level = inner
    _refuse("TOO_DEEP", f"the answer is nested more than {DEPTH_MAX} deep.")


def _require_whole(text: str) -> None:
    if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
        _refuse("BAD_TEXT", "a text holds half a character of a pair.")


def _short(text: str) -> str:
    return f'"{text[:40]}"' if len(text) <= 40 else f'"{text[:40]}…"'


# Values to drafts.

_DIRECTIONS = {"buy": Direction.BUY, "sell": Direction.SELL, "flat": Direction.FLAT, "hold": Direction.HOLD,
               "noop": Direction.HOLD}  # fmt: skip


def _of_single(said: Single, allowed: Mapping[str, str]) -> tuple[DecisionDraft, ...]:
    if said.decision == "hold":
        names = allowed if said.symbol is None else [said.symbol]
        sized = [name for name in ("quantity", "limit_price", "stop", "target") if getattr(said, name) is not None]
        if sized or said.order_type == "limit":
            _refuse("CONTRADICTION", f"a hold comes with {', '.join(sized) or 'an order of its own'}.")
        keys = dict.fromkeys(_instrument(name, "symbol", allowed) for name in names)
        return tuple(_hold(key, said.reasoning, said.confidence) for key in keys)
    if said.symbol is None:
        _refuse("SCHEMA", f"symbol is missing, and a {said.decision} needs one.")
    if said.confidence is None:
        _refuse("SCHEMA", f"confidence is missing, and a {said.decision} needs one.")
    _require_price("limit_price", said.order_type, said.limit_price)
    return (
        DecisionDraft(
            instrument=_instrument(said.symbol, "symbol", allowed),
            direction=_DIRECTIONS[said.decision],
            rationale=_rationale(said.reasoning),
            confidence=said.confidence,
            quantity=said.quantity,
            limit_price=said.limit_price,
            stop=said.stop,
            target=said.target,
        ),
    )


def _hold(instrument: str, reasoning: str, confidence: Decimal | None) -> DecisionDraft:
    return DecisionDraft(
        instrument=instrument, direction=Direction.HOLD, rationale=_rationale(reasoning), confidence=confidence
    )


def _of_item(item: Item, where: str, allowed: Mapping[str, str]) -> DecisionDraft:
    if item.confidence is None and item.action != "noop":
        _refuse("SCHEMA", f"{where}.confidence is missing, and a {item.action} needs one.")
    _require_price(f"{where}.limit_price", item.price_mode, item.limit_price)
    return DecisionDraft(
        instrument=_instrument(item.instrument, f"{where}.instrument", allowed),
        direction=_DIRECTIONS[item.action],
        rationale=_rationale(item.rationale),
        confidence=item.confidence,
        target_qty=item.target_qty,
        limit_price=item.limit_price,
        stop=item.stop,
        target=item.target,
        max_slippage_bps=None if item.max_slippage_bps is None else int(item.max_slippage_bps),
    )


def _instrument(symbol: str, where: str, allowed: Mapping[str, str]) -> str:
    # Only the exact text counts: what NFKC would make of it is looked at to name the fault, never to mend it (A10).
    if symbol in allowed:
        return allowed[symbol]
    folded = unicodedata.normalize("NFKC", symbol)
    if not symbol.isascii() or folded in allowed or folded.strip().upper() in {name.upper() for name in allowed}:
        _refuse("LOOK_ALIKE_SYMBOL", f"{where} {_short(symbol)} is not written exactly as one of the symbols given.")
    _refuse("UNKNOWN_SYMBOL", f"{where} {_short(symbol)} is none of the symbols given.")


def _require_price(where: str, mode: str | None, limit_price: Decimal | None) -> None:
    if mode == "limit" and limit_price is None:
        _refuse("CONTRADICTION", f"{where} is missing from a limit order.")
    if mode != "limit" and limit_price is not None:
        _refuse("CONTRADICTION", f"{where} comes without a limit order.")


def _rationale(text: str) -> str:
    return text if len(text) <= RATIONALE_CHARACTERS_MAX else text[: RATIONALE_CHARACTERS_MAX - 1] + "…"


def _require_distinct(drafts: tuple[DecisionDraft, ...]) -> None:
    seen: set[str] = set()
    for draft in drafts:
        if draft.instrument in seen:
            _refuse("REPEATED_SYMBOL", f"two items decide on {draft.instrument}.")
        seen.add(draft.instrument)


def _require_sense(draft: DecisionDraft, held: Mapping[str, Decimal]) -> None:
    """Refuse an item that says two things: sizes and prices must fit what it wants done."""
    idle = draft.direction in (Direction.HOLD, Direction.FLAT)
    if idle and (draft.stop is not None or draft.target is not None):
        _refuse("CONTRADICTION", f"{draft.instrument}: a stop or target comes with nothing to protect.")
    if draft.direction is Direction.HOLD and draft.limit_price is not None:
        _refuse("CONTRADICTION", f"{draft.instrument}: a limit price comes with nothing to trade.")
    if draft.target_qty is None:
        return
    if draft.direction is Direction.FLAT and draft.target_qty != ZERO:
        _refuse("CONTRADICTION", f"{draft.instrument}: flat comes with a target_qty that is not 0.")
    if draft.direction is Direction.HOLD and draft.target_qty != held.get(draft.instrument, draft.target_qty):
        _refuse("CONTRADICTION", f"{draft.instrument}: noop comes with a target_qty that is not what is held.")


REPAIR_PROMPT = """Your last message could not be read as a decision, and nothing was traded because of it.
Reason: {code}: {sentence}
Answer again with one JSON object of the form given above and nothing else: no prose, no code fence, no extra keys.
Change only what the reason names. If you no longer want to trade, say so in that form."""


def repair_prompt(error: AnswerError) -> str:
    """Return the one further message a model may get after an answer that could not be read (A29)."""
    return REPAIR_PROMPT.format(code=error.code, sentence=error.sentence.replace("{", "(").replace("}", ")"))
