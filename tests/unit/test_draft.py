"""Model answers: what is read into drafts, and what is refused by which code; nothing is mended."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.agents.draft import AnswerError, parse_answer, repair_prompt
from engine.domain.decision import DecisionDraft, Direction
from tests.unit.answer_fuzz import ALLOWED, bent, disagreement, valid_answers

BUY: dict[str, Any] = {"decision": "buy", "symbol": "BTC/USDT", "quantity": 1, "reasoning": "r", "confidence": 0.8}
ITEM: dict[str, Any] = {"instrument": "BTC/USDT", "action": "buy", "target_qty": 2, "confidence": 0.7, "rationale": "r"}
FUZZED = 6_000


def refusal(text: str, **more: Any) -> str:
    """Return the code an answer is refused with."""
    with pytest.raises(AnswerError) as refused:
        parse_answer(text, ALLOWED, **more)
    return refused.value.code


def buying(written: str = "", **changes: Any) -> str:
    """Return a buy with fields changed; written: JSON that stands for the quantity."""
    text = json.dumps({**BUY, **changes})
    return text.replace('"quantity": 1', f'"quantity": {written}') if written else text


def plan(*items: dict[str, Any], **more: Any) -> str:
    return json.dumps({"items": list(items), **more})


def test_a_decision_is_read_with_every_number_as_it_is_written() -> None:
    text = (
        '{"decision":"buy","symbol":"BTC/USDT","quantity":0.100000000000000005,"order_type":"limit","stop":41000,'
        '"limit_price":42000.10,"target":1e5,"reasoning":"RSI 28","confidence":0.85,"risk_assessment":"low"}'
    )
    (draft,) = parse_answer(text, ALLOWED)
    assert draft == DecisionDraft(
        instrument="paper:BTC/USDT", direction=Direction.BUY, rationale="RSI 28", confidence=Decimal("0.85"),
        quantity=Decimal("0.100000000000000005"), limit_price=Decimal("42000.1"), stop=Decimal(41000),
        target=Decimal(100000),
    )  # fmt: skip


def test_a_hold_needs_only_its_reasoning_and_holds_all_there_is() -> None:
    drafts = parse_answer('{"decision": "hold", "reasoning": "no trend"}', ALLOWED)
    assert [draft.instrument for draft in drafts] == list(ALLOWED.values())
    assert {(draft.direction, draft.confidence) for draft in drafts} == {(Direction.HOLD, None)}


def test_a_plan_is_read_item_by_item_with_its_hints() -> None:
    idle = {"instrument": "ETH/USDT", "action": "noop", "target_qty": -2, "rationale": "wait"}
    out = {"instrument": "AAPL", "action": "flat", "target_qty": 0, "confidence": 0.9, "rationale": "out"}
    buy, hold, flat = parse_answer(plan({**ITEM, "max_slippage_bps": 25, "stop": 9, "target": 12}, idle, out), ALLOWED)
    assert (buy.target_qty, buy.max_slippage_bps, buy.stop, buy.target) == (2, 25, 9, 12)
    assert (hold.direction, hold.target_qty) == (Direction.HOLD, -2)
    assert (flat.direction, flat.instrument) == (Direction.FLAT, "paper:AAPL")


def test_null_says_the_same_as_leaving_a_field_out() -> None:
    assert parse_answer(buying(stop=None, limit_price=None), ALLOWED) == parse_answer(buying(), ALLOWED)


@pytest.mark.fault("A05", "A09")
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "NOT_JSON"),
        ("Buy 1 BTC/USDT.", "NOT_JSON"),
        (f"Here you are: {buying()}", "NOT_JSON"),
        (f"{buying()} I hope this helps", "NOT_JSON"),
        (f"```json\n{buying()}\n```", "NOT_JSON"),
        (f"{buying()}\n{buying()}", "NOT_JSON"),
        (buying()[:-1], "NOT_JSON"),
        (buying().replace('"', "'"), "NOT_JSON"),
        (f"\ufeff{buying()}", "NOT_JSON"),
        ("null", "NOT_AN_OBJECT"),
        (f"[{buying()}]", "NOT_AN_OBJECT"),
        (json.dumps(buying()), "NOT_AN_OBJECT"),
    ],
)
def test_prose_fences_and_second_objects_are_refused(text: str, code: str) -> None:
    assert refusal(text) == code


@pytest.mark.fault("A07")
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{}", "SCHEMA"),
        (buying(leverage=10), "SCHEMA"),
        (buying(symbol=None), "SCHEMA"),
        (buying(confidence=None), "SCHEMA"),
        (buying(reasoning=None), "SCHEMA"),
        (buying(reasoning="  "), "SCHEMA"),
        (buying(decision="BUY"), "SCHEMA"),
        (buying(decision="flat"), "SCHEMA"),
        (buying(order_type="stop"), "SCHEMA"),
        (buying(risk_assessment="none"), "SCHEMA"),
        (buying(items=[ITEM]), "SCHEMA"),
        (plan(ITEM, decision="hold"), "SCHEMA"),
        (plan({**ITEM, "action": "hold"}), "SCHEMA"),
        (plan({**ITEM, "rationale": None}), "SCHEMA"),
        (plan({**ITEM, "quantity": 1}), "SCHEMA"),
        (plan({**ITEM, "max_slippage_bps": 2.5}), "OUT_OF_RANGE"),
        (plan({**ITEM, "max_slippage_bps": 0}), "OUT_OF_RANGE"),
        (plan(), "OUT_OF_RANGE"),
        (plan(ITEM, ITEM), "REPEATED_SYMBOL"),
        ('{"items": {}}', "SCHEMA"),
        ('{"items": [1]}', "SCHEMA"),
    ],
)
def test_any_other_form_is_refused(text: str, code: str) -> None:
    assert refusal(text) == code


@pytest.mark.parametrize(
    "text",
    [
        buying(limit_price=100),
        buying(order_type="limit"),
        buying(order_type="market", limit_price=100),
        buying(decision="hold"),
        buying(decision="hold", quantity=None, stop=90),
        buying(decision="hold", quantity=None, order_type="limit"),
        plan({**ITEM, "action": "flat"}),
        plan({**ITEM, "action": "flat", "target_qty": 0, "stop": 90}),
        plan({**ITEM, "action": "noop", "price_mode": "limit", "limit_price": 90}),
    ],
)
def test_fields_that_contradict_each_other_are_refused(text: str) -> None:
    assert refusal(text) == "CONTRADICTION"


def test_a_noop_that_names_another_target_than_what_is_held_is_no_hold() -> None:
    text = plan({**ITEM, "action": "noop"})
    assert parse_answer(text, ALLOWED, held={"paper:BTC/USDT": Decimal("2.0")})[0].direction is Direction.HOLD
    assert refusal(text, held={"paper:BTC/USDT": Decimal(0)}) == "CONTRADICTION"


@pytest.mark.fault("A08")
@pytest.mark.parametrize("text", ['{"decision":"hold","decision":"buy","reasoning":"r"}', '{"items":[{"a":1,"a":2}]}'])
def test_a_key_twice_is_refused(text: str) -> None:
    assert refusal(text) == "DUPLICATE_KEY"


@pytest.mark.fault("A10")
@pytest.mark.parametrize(
    ("symbol", "code"),
    [
        ("DOGE/USDT", "UNKNOWN_SYMBOL"),
        ("paper:BTC/USDT", "UNKNOWN_SYMBOL"),
        ("\u0412\u0422\u0421/USDT", "LOOK_ALIKE_SYMBOL"),
        ("BTC\uff0fUSDT", "LOOK_ALIKE_SYMBOL"),
        ("BTC/USDT\u200b", "LOOK_ALIKE_SYMBOL"),
        ("btc/usdt", "LOOK_ALIKE_SYMBOL"),
        ("BTC/USDT ", "LOOK_ALIKE_SYMBOL"),
    ],
)
def test_a_symbol_must_be_one_of_those_given_to_the_letter(symbol: str, code: str) -> None:
    assert refusal(buying(symbol=symbol)) == code
    assert refusal(plan({**ITEM, "instrument": symbol})) == code


@pytest.mark.fault("A11")
@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("NaN", "NOT_FINITE"), ("Infinity", "NOT_FINITE"), ("-Infinity", "NOT_FINITE"), ("1e999", "NUMBER"),
        ("1e99999999999999999999999", "NUMBER"), ("1e-19", "NUMBER"), ("-5", "OUT_OF_RANGE"), ("0", "OUT_OF_RANGE"),
        ('"1e9"', "SCHEMA"), ('"1"', "SCHEMA"), ("true", "SCHEMA"), ("[1]", "SCHEMA"), ("{}", "SCHEMA"),
        ("01", "NOT_JSON"), ("+1", "NOT_JSON"), ("0x10", "NOT_JSON"), ("1_000", "NOT_JSON"),
    ],
)  # fmt: skip
def test_what_is_no_plain_finite_positive_number_is_refused(written: str, code: str) -> None:
    assert refusal(buying(written)) == code


@pytest.mark.fault("A13")
@pytest.mark.parametrize("confidence", [85, 1.01, -0.1, "85%", "high", "0.8", True, [0.8]])
def test_a_confidence_is_a_number_from_0_to_1_and_no_unit_is_guessed(confidence: Any) -> None:
    assert refusal(buying(confidence=confidence)) in ("OUT_OF_RANGE", "SCHEMA")


@pytest.mark.fault("A14")
@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[" * 60_000, "TOO_DEEP"),
        ('{"a":' * 12_000, "TOO_DEEP"),
        ('{"a":' * 9 + "1" + "}" * 9, "TOO_DEEP"),
        (buying("9" * 4_301), "NUMBER"),
        (buying("9" * 29), "NUMBER"),
        (buying(reasoning="x" * 70_000), "TOO_LONG"),
        (buying(reasoning="\u20ac" * 30_000).encode().decode("unicode_escape"), "TOO_LONG"),
        (buying(reasoning="\ud800"), "BAD_TEXT"),
    ],
)
def test_size_depth_and_digits_are_bounded(text: str, code: str) -> None:
    assert refusal(text) == code


def test_a_refusal_is_one_short_printable_sentence_whatever_the_answer_held() -> None:
    with pytest.raises(AnswerError) as refused:
        parse_answer(buying(symbol="\x1b]0;x\x07[/b]\u202e" * 4), ALLOWED)
    assert refused.value.sentence.isprintable()
    assert len(refused.value.sentence) < 250
    with pytest.raises(AnswerError) as refused:
        parse_answer('{"' + "\x9b\u202e" * 4_000 + '": 1, "decision": "hold", "reasoning": "r"}', ALLOWED)
    assert refused.value.sentence.isprintable()
    assert len(refused.value.sentence) < 250


@pytest.mark.fault("A29")
def test_the_repair_prompt_names_the_fault_and_asks_for_one_object() -> None:
    said = repair_prompt(AnswerError("SCHEMA", "symbol is missing {x}."))
    assert "SCHEMA: symbol is missing (x)." in said
    assert "one JSON object" in said


@pytest.mark.parametrize("text", valid_answers())
def test_parser_and_checker_agree_on_what_is_valid(text: str) -> None:
    assert parse_answer(text, ALLOWED)
    assert disagreement(text) == ""


@pytest.mark.fault("A05", "A07", "A11")
def test_bent_answers_never_crash_the_parser_and_none_passes_that_is_not_valid() -> None:
    for text in islice(bent(Random(20261129)), FUZZED):
        assert disagreement(text) == ""


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(list(ALLOWED)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_FIELD = st.sampled_from(
    ["decision", "symbol", "quantity", "order_type", "limit_price", "stop", "target", "reasoning", "confidence",
     "items", "notes", "risk_assessment", "instrument", "action", "target_qty", "rationale"]
)  # fmt: skip


@settings(max_examples=60)
@given(st.dictionaries(_FIELD, _JSON, max_size=5), st.sampled_from([{}, BUY, {"items": [ITEM]}]))
def test_any_json_over_the_known_fields_is_read_as_the_checker_reads_it(said: dict[str, Any], base: Any) -> None:
    assert disagreement(json.dumps({**base, **said})) == ""


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: raw.decode("latin-1")))
def test_any_text_at_all_is_refused_or_valid(text: str) -> None:
    assert disagreement(text) == ""
