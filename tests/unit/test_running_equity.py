"""Equity that moves with each mark is the equity that adding everything up gives."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.market import Source, SourceKind
from engine.domain.valuation import Mark, MissingRateError, Valuation
from tests.unit.desk_kit import BTC, ETH

SOURCE = Source(kind=SourceKind.SIMULATED, name="test")
OTHER = replace(BTC, symbol="BTC/USDC", quote="USDC")
PRICES = st.decimals("0.01", "100000", places=2)
STEPS = st.lists(st.tuples(st.sampled_from(("BTC", "ETH", "USDT", BTC.key, ETH.key, OTHER.key)), PRICES), max_size=30)


@given(STEPS)
def test_every_mark_and_every_change_of_balances_leaves_the_full_sum(steps: list[tuple[str, Decimal]]) -> None:
    valuation, balances, version = Valuation("USD", ("USDT", "USDC")), {"USDT": Decimal(1_000)}, 0
    for listed in (BTC, ETH, OTHER):
        valuation.list_instrument(listed)
        valuation.mark(listed.key, Mark(Decimal(100), 1, SOURCE))
    for what, value in steps:
        if "/" in what:
            valuation.mark(what, Mark(value, 1, SOURCE))
        else:
            balances[what], version = value - 50_000, version + 1
        assert valuation.running_equity(balances, version) == valuation.equity(balances)


def test_what_nobody_can_value_is_not_known_until_it_is_gone() -> None:
    valuation = Valuation("USD", ("USDT",))
    valuation.list_instrument(BTC)
    assert valuation.running_equity({"USDT": Decimal(5)}, 0) == 5
    for _ in range(2):
        with pytest.raises(MissingRateError):
            valuation.running_equity({"USDT": Decimal(5), "BTC": Decimal(1)}, 1)
    assert valuation.running_equity({"USDT": Decimal(6)}, 2) == 6
