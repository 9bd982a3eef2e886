"""A situation as text: it comes back as it was, to the last digit, and the gate says the same of both."""

from __future__ import annotations

from dataclasses import fields, replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.decision import Direction
from engine.domain.risk import Verdict
from engine.errors import StoreError
from engine.risk.gate import judge
from engine.risk.record import freeze, listening, thaw
from engine.risk.situation import Situation
from tests.unit.situations import KEY, bars, situation

AMOUNT = st.decimals(min_value=0, max_value=200_000, places=4)


@settings(max_examples=40)
@given(
    price=AMOUNT | st.none(), current=AMOUNT, capital=AMOUNT | st.none(), free_cash=AMOUNT,
    direction=st.sampled_from([Direction.BUY, Direction.SELL, Direction.FLAT]), rationale=st.text(max_size=20),
    quantity=AMOUNT | st.none(),
)  # fmt: skip
def test_a_situation_comes_back_as_it_was_and_is_judged_the_same(**parts: object) -> None:
    heard = listening(situation(**parts))
    ruling = judge(heard, "a.1", "a.1:x")
    back = thaw(freeze(heard))
    for field in fields(Situation):
        ours, theirs = getattr(heard, field.name), getattr(back, field.name)
        assert callable(ours) or (str(ours), ours) == (str(theirs), theirs)
    assert judge(back, "a.1", "a.1:x") == ruling


def test_digits_and_exponents_are_kept() -> None:
    kept = thaw(freeze(situation(capital=Decimal("1E+3"), free_cash=Decimal("0.10"))))
    assert (str(kept.capital), str(kept.free_cash)) == ("1E+3", "0.10")
    assert judge(kept, "a.1", "a.1:x").assessment.checks[0].verdict is Verdict.PASS


def test_bars_of_equal_value_keep_their_own_digits_and_their_end() -> None:
    for closes in (["10.0", "11"], ["10.00", "11"], ["10.00"], []):
        heard = listening(situation(history=lambda _key, said=tuple(closes): bars(said)))
        heard.history(KEY)
        kept = thaw(freeze(heard)).history(KEY)
        assert [str(bar.close) for bar in kept] == closes


def test_a_text_of_another_form_is_refused() -> None:
    parts = freeze(situation())
    for broken in ({**parts, "more": "1"}, {**parts, "now_ms": '"x"'}, {**parts, "free_cash": "1.5"}):
        with pytest.raises(StoreError, match="kept situation cannot be read"):
            thaw(broken)
    with pytest.raises(StoreError, match="cannot be written down"):
        freeze(replace(situation(), free_cash=1.5))  # type: ignore[arg-type]
