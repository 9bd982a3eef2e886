"""Answers bent out of shape: valid ones, cut, spliced, doubled and salted with what has broken other parsers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from random import Random
from typing import Any

from engine.agents.draft import CODES, AnswerError, parse_answer
from engine.domain.decision import DecisionDraft
from tests.unit.answer_checker import Draft, expected

ALLOWED = {"BTC/USDT": "paper:BTC/USDT", "ETH/USDT": "paper:ETH/USDT", "AAPL": "paper:AAPL"}

_NUMBERS = (
    "0.85", "0", "-0", "1", "85", "-5", "1e-3", "1E+2", "1e999", "1e18", "1e19", "1e-18", "1e-19", "NaN", "Infinity",
    "-Infinity", "0.1000000000000000055511151231257827", "9" * 28, "9" * 29, "9" * 5000, "01", "1.", ".5", "+1",
    "1e9999999999999999999999999", "0x10", "1_000", "12345678901234567.123456789", '"85%"', '"1e9"', "true", "false",
    "null", "[]", "{}", "[1]", "25.0", "10000", "10001", "2.5", "\uff11",
)  # fmt: skip
_TEXTS = (
    '"BTC/USDT"', '"ETH/USDT"', '"BTC/USDT "', '"btc/usdt"', '"\u0412\u0422\u0421/USDT"', '"BTC\uff0fUSDT"', '"BTC"',
    '"buy"', '"sell"', '"hold"', '"flat"', '"noop"', '"BUY"', '"high"', '"market"', '"limit"', '""', '" "',
    '"a\\u0000b"', '"\\ud800"', '"\\ud83d\\ude00"', '"\ud800"', '"\\x41"', '"a\nb"', '"\u202egnp.exe"',
    '"[b]x[/b]"', '"\\u0022"',
)  # fmt: skip
_PIECES = (
    "{", "}", "[", "]", ",", ":", '"', "\\", " ", "\n", "\u00a0", "\ufeff", "\x00", "null", "```json", "```", "//",
    "/*",
    '"confidence":1,', '"confidence":85,', '"quantity":1,', '"x":1,', '"items":[],', '"decision":"hold",', '"stop":1,',
    '"target_qty":0,', '"limit_price":100,', '"order_type":"limit",', "[" * 9, "[" * 2000, "{\"a\":" * 2000,
    "Sure! ",
)  # fmt: skip


def valid_answers() -> list[str]:
    """Return answers of both forms that parse, one for each way of writing them."""
    single: list[dict[str, Any]] = [
        {"decision": "hold", "reasoning": "no trend"},
        {"decision": "hold", "symbol": "AAPL", "reasoning": "no trend", "confidence": 0.2, "order_type": "market"},
        {"decision": "buy", "symbol": "BTC/USDT", "quantity": 0.25, "order_type": "market", "reasoning": "RSI 28",
         "confidence": 0.85, "risk_assessment": "low"},
        {"decision": "sell", "symbol": "ETH/USDT", "reasoning": "a break", "confidence": 1, "limit_price": 2010.5,
         "order_type": "limit", "stop": 1900, "target": 2200, "quantity": None},
    ]  # fmt: skip
    items: list[dict[str, Any]] = [
        {"instrument": "BTC/USDT", "action": "buy", "target_qty": 0.5, "confidence": 0.7, "rationale": "trend",
         "max_slippage_bps": 25, "stop": 50000, "target": 60000, "price_mode": "market"},
        {"instrument": "ETH/USDT", "action": "noop", "target_qty": -2, "rationale": "wait"},
        {"instrument": "AAPL", "action": "flat", "target_qty": 0, "confidence": 0.9, "rationale": "earnings",
         "price_mode": "limit", "limit_price": 190.01},
    ]  # fmt: skip
    plans: list[dict[str, Any]] = [{"items": items}, {"items": items[:1], "notes": "one"}, {"items": items[1:]}]
    return [json.dumps(each) for each in [*single, *plans]]


def bent(random: Random) -> Iterator[str]:
    """Yield answers for ever, each a valid one bent once to four times."""
    corpus = valid_answers()
    while True:
        text = random.choice(corpus)
        for _time in range(random.randint(1, 4)):
            text = random.choice(_BENDS)(random, text, corpus)
        yield text


def _values_at(text: str) -> list[tuple[int, int]]:
    """Return where the values stand, roughly: from after a colon to before the next comma or brace."""
    spans: list[tuple[int, int]] = []
    at = text.find(":")
    while at >= 0:
        ends = [end for end in (text.find(mark, at) for mark in ",}]") if end >= 0]
        spans.append((at + 1, min(ends, default=len(text))))
        at = text.find(":", at + 1)
    return spans


def _other_value(random: Random, text: str, corpus: list[str]) -> str:
    spans = _values_at(text)
    if not spans:
        return text
    start, end = random.choice(spans)
    return text[:start] + random.choice(random.choice((_NUMBERS, _TEXTS))) + text[end:]


def _insert(random: Random, text: str, corpus: list[str]) -> str:
    at = random.randint(0, len(text))
    return text[:at] + random.choice(_PIECES) + text[at:]


def _cut(random: Random, text: str, corpus: list[str]) -> str:
    start = random.randint(0, len(text))
    return text[:start] + text[start + random.choice((1, 1, 2, 5, 20, 10_000)) :]


def _double(random: Random, text: str, corpus: list[str]) -> str:
    start = random.randint(0, len(text))
    end = min(len(text), start + random.randint(1, 40))
    return text[:end] + text[start:end] + text[end:]


def _splice(random: Random, text: str, corpus: list[str]) -> str:
    other = random.choice(corpus)
    return text[: random.randint(0, len(text))] + other[random.randint(0, len(other)) :]


def _letter(random: Random, text: str, corpus: list[str]) -> str:
    at = random.randint(0, max(0, len(text) - 1))
    return text[:at] + chr(random.choice((random.randint(0, 127), random.randint(128, 0xFFFF)))) + text[at + 1 :]


def _field(random: Random, text: str, corpus: list[str]) -> str:
    """Take a field out, or put one of the other's in front."""
    parts = text.split(", ")
    if random.random() < 0.5 and len(parts) > 1:
        parts.pop(random.randrange(len(parts)))
    else:
        parts.insert(random.randrange(len(parts) + 1), random.choice(random.choice(corpus).strip("{}").split(", ")))
    return ", ".join(parts)


def _grow(random: Random, text: str, corpus: list[str]) -> str:
    return text.replace("trend", "trend " * random.choice((170, 200, 12_000)), 1)


_BENDS = (_other_value, _other_value, _other_value, _insert, _cut, _double, _splice, _letter, _field, _field, _grow)


def outcome(text: str) -> list[Draft] | None:
    """Return what the parser makes of a text, in the checker's words; anything but AnswerError goes through."""
    try:
        return [_as_checked(draft) for draft in parse_answer(text, ALLOWED)]
    except AnswerError as error:
        if error.code in CODES and error.sentence.isprintable() and len(error.sentence) <= 241:
            return None
        raise


def _as_checked(draft: DecisionDraft) -> Draft:
    hints = ("quantity", "target_qty", "limit_price", "stop", "target", "max_slippage_bps")
    given = {name: Fraction(getattr(draft, name)) for name in hints if getattr(draft, name) is not None}
    confidence = None if draft.confidence is None else Fraction(draft.confidence)
    return draft.instrument, draft.direction.value, draft.rationale, confidence, given


def disagreement(text: str) -> str:
    """Say where parser and checker differ, "" when they say the same."""
    ours, theirs = outcome(text), expected(text, ALLOWED)
    return "" if ours == theirs else f"{text[:400]!r}: parser {ours}, checker {theirs}"
