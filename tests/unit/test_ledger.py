"""Double entry: whatever is posted nets to zero per asset (L3), and nothing but decimals gets in (L7)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.ledger import Account, Posting, fill_postings, imbalance, transfer_postings
from engine.domain.order import Side
from tests.unit.desk_kit import BTC, fill_of

amounts = st.decimals("-1e9", "1e9", places=8)
positive = st.decimals("0.00000001", "1e9", places=8)


@given(
    side=st.sampled_from(Side), qty=positive, price=positive, fee=amounts,
    fee_asset=st.sampled_from(["USDT", "BTC", "BNB"]),
)  # fmt: skip
def test_entry_of_a_fill_nets_to_zero_in_every_asset(
    side: Side, qty: Decimal, price: Decimal, fee: Decimal, fee_asset: str
) -> None:
    fill = fill_of("x", side=side, qty=qty, price=price, fee=fee, fee_asset=fee_asset)
    postings = fill_postings(fill, BTC)
    assert imbalance(postings) == {}
    held = {asset: sum(p.amount for p in postings if p.account is Account.HOLDINGS and p.asset == asset)
            for asset in {p.asset for p in postings}}  # fmt: skip
    expected = {"BTC": side.sign * qty, "USDT": -side.sign * qty * price}
    expected[fee_asset] = expected.get(fee_asset, Decimal(0)) - fee
    assert {a: q for a, q in held.items() if q} == {a: q for a, q in expected.items() if q}


@given(amount=amounts)
def test_entry_of_a_transfer_nets_to_zero(amount: Decimal) -> None:
    postings = transfer_postings("USD", amount)
    assert imbalance(postings) == {}
    assert [p.amount for p in postings if p.account is Account.HOLDINGS] == [amount]


@given(amount=amounts.filter(bool), extra=amounts.filter(bool))
def test_entry_that_does_not_net_is_told_with_the_difference(amount: Decimal, extra: Decimal) -> None:
    wrong = (*transfer_postings("USD", amount), Posting(Account.FEES, "BTC", extra))
    assert imbalance(wrong) == {"BTC": extra}


def test_fill_without_a_fee_posts_none() -> None:
    postings = fill_postings(fill_of("x", fee=Decimal(0)), BTC)
    assert {posting.account for posting in postings} == {Account.HOLDINGS, Account.MARKET}


@pytest.mark.parametrize("side", list(Side))
def test_fee_in_base_of_either_side_leaves_the_holdings(side: Side) -> None:
    fill = fill_of("x", side=side, fee=Decimal("0.001"), fee_asset="BTC")
    moved = sum(p.amount for p in fill_postings(fill, BTC) if p.account is Account.HOLDINGS and p.asset == "BTC")
    assert moved == side.sign - Decimal("0.001")


def test_instrument_quoted_in_another_asset_posts_in_that_one() -> None:
    pair = replace(BTC, symbol="ETH/BTC", base="ETH", quote="BTC")
    postings = fill_postings(fill_of("x", instrument=pair.key, price=Decimal("0.05"), fee=Decimal(0)), pair)
    assert {(p.asset, p.amount) for p in postings if p.account is Account.HOLDINGS} == {
        ("ETH", Decimal(1)), ("BTC", Decimal("-0.05")),
    }  # fmt: skip
