"""Deposits, adjustments, corrections, late fees and differences: what each does to money, positions and baselines."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.agent import EXTERNAL
from engine.domain.books import Books
from engine.domain.events import (
    Adjusted,
    AdjustmentKind,
    Closing,
    DifferenceClosed,
    DifferenceFound,
    DifferenceKind,
    Event,
    FeePosted,
    FillCorrected,
    Filled,
    FundsMoved,
    Genesis,
    InstrumentListed,
    OrderIntended,
)
from engine.domain.instrument import Instrument
from engine.domain.intent import Mode
from engine.domain.ledger import Account, Posting, imbalance
from engine.domain.market import Source, SourceKind
from engine.domain.money import ZERO
from engine.domain.order import Fill, Liquidity, OrderRole, OrderType, Side
from engine.domain.valuation import Mark, Valuation

T0 = 1_760_000_000_000
PEG = ("USDC", "USDT")
GENESIS = Genesis(
    store_id="0123abcd", schema=1, mode=Mode.PAPER, source_kind="SIMULATED", account_currency="USDT", usd_peg=PEG
)  # fmt: skip


def pair(base: str) -> Instrument:
    return Instrument(
        venue="v", symbol=f"{base}/USDT", base=base, quote="USDT", price_tick=Decimal("0.01"),
        qty_step=Decimal("0.0001"), min_notional=Decimal(5), maker_fee=ZERO, taker_fee=ZERO,
    )  # fmt: skip


BTC, BNB = pair("BTC"), pair("BNB")
CASH = FundsMoved(asset="USDT", amount=Decimal(10_000), value=Decimal(10_000), reason="starting cash")


def told(*events: Event, books: Books | None = None) -> Books:
    """Return books after events, each an entry that nets to zero per asset (L3)."""
    found = books or Books()
    first = () if books else (GENESIS, CASH, InstrumentListed(instrument=BTC), InstrumentListed(instrument=BNB))
    for event in (*first, *events):
        assert imbalance(found.apply(T0, event)) == {}
    return found


def fill(
    number: int = 1, side: Side = Side.BUY, qty: str = "1", price: str = "100", fee: str = "0", asset: str = "USDT",
    order: str = "o1",
) -> Fill:  # fmt: skip
    return Fill(
        venue="v", account="a", instrument=BTC.key, trade_id=str(number), client_order_id=order, side=side,
        qty=Decimal(qty), price=Decimal(price), fee=Decimal(fee), fee_asset=asset, liquidity=Liquidity.TAKER,
        ts_ms=T0 + number,
    )  # fmt: skip


def filled(made: Fill, agent: str = "a") -> Filled:
    return Filled(agent=agent, role=OrderRole.ENTRY, fill=made)


def ordered(qty: str = "2", order: str = "o1") -> OrderIntended:
    return OrderIntended(
        intent_id=f"i:{order}", client_order_id=order, cycle_id="", agent="a", instrument=BTC.key, role=OrderRole.ENTRY,
        side=Side.BUY, order_type=OrderType.LIMIT, qty=Decimal(qty), price=Decimal(100),
    )  # fmt: skip


def figures(books: Books, agent: str = "a", instrument: Instrument = BTC) -> tuple[str, str, str]:
    return books.position(agent, instrument.key).figures


# Fees


@pytest.mark.fault("E35")
@pytest.mark.parametrize(
    ("fee", "asset", "balances", "position"),
    [
        ("0.1", "USDT", {"USDT": "9899.9", "BTC": "1"}, ("1", "100", "0")),
        ("0.001", "BTC", {"USDT": "9900", "BTC": "0.999"}, ("0.999", "100", "0")),
        ("0.5", "BNB", {"USDT": "9900", "BTC": "1", "BNB": "-0.5"}, ("1", "100", "0")),
        ("0.5", "KCS", {"USDT": "9900", "BTC": "1", "KCS": "-0.5"}, ("1", "100", "0")),
        ("-0.1", "USDT", {"USDT": "9900.1", "BTC": "1"}, ("1", "100", "0")),
    ],
    ids=["in quote", "in base", "in another instrument's base", "in an asset nobody trades", "a rebate"],
)
def test_fee_is_posted_in_its_own_asset(
    fee: str, asset: str, balances: dict[str, str], position: tuple[str, str, str]
) -> None:
    books = told(filled(fill(fee=fee, asset=asset)))
    assert books.balances == {name: Decimal(text) for name, text in balances.items()}
    assert books.fees == {asset: Decimal(fee)}
    assert figures(books) == position
    external = books.position(EXTERNAL, BNB.key).qty
    assert external == (-Decimal(fee) if asset == "BNB" else 0)


@pytest.mark.fault("E36")
def test_fee_that_comes_late_is_pending_and_then_counts_where_its_fill_stands() -> None:
    bare, sale = fill(asset=""), fill(2, Side.SELL, "0.999", "110")
    books = told(filled(bare), filled(sale))
    assert list(books.fees_pending) == [(BTC.key, "1")]
    told(FeePosted(agent="a", fill=bare, fee=Decimal("0.001"), fee_asset="BTC"), books=books)
    assert books.fees_pending == {}
    assert figures(books) == figures(told(filled(fill(fee="0.001", asset="BTC")), filled(sale)))
    assert figures(books)[0] == "0"


# Corrections


@pytest.mark.fault("E14")
def test_busted_fill_is_reversed_and_what_followed_is_reckoned_without_it() -> None:
    dear = fill(2, price="200", fee="1")
    books = told(ordered(), filled(fill()), filled(dear), filled(fill(3, Side.SELL, "1", "150", order="o2")))
    assert figures(books) == ("1", "150", "0")
    entry = books.apply(T0, FillCorrected(agent="a", was=dear, now=replace(dear, qty=ZERO, fee=ZERO), reason="bust"))
    assert imbalance(entry) == {}
    assert Posting(Account.HOLDINGS, "USDT", Decimal(200)) in entry
    assert figures(books) == ("0", "0", "50"), "bought at 100, sold at 150"
    assert (books.balances["USDT"], books.balances["BTC"], books.fees["USDT"]) == (10_050, 0, 0)
    assert books.order("o1").filled_qty == 1  # type: ignore[union-attr]


@pytest.mark.fault("E14")
def test_fill_corrected_twice_stands_as_it_was_told_last() -> None:
    first, second = fill(), replace(fill(), price=Decimal(90))
    third = replace(fill(), price=Decimal(95), fee=Decimal("0.01"), fee_asset="BNB")
    books = told(filled(first), FillCorrected(agent="a", was=first, now=second, reason="price"))
    told(FillCorrected(agent="a", was=second, now=third, reason="fee"), books=books)
    assert figures(books) == ("1", "95", "0")
    assert (books.balances["USDT"], books.position(EXTERNAL, BNB.key).qty) == (9_905, Decimal("-0.01"))


def test_correction_of_a_fill_that_never_was_is_refused_and_changes_nothing() -> None:
    books = told(filled(fill()))
    before = dict(books.balances), figures(books)
    stranger = fill(9)
    with pytest.raises(KeyError):
        books.apply(T0, FillCorrected(agent="a", was=stranger, now=replace(stranger, qty=ZERO), reason="bust"))
    assert (dict(books.balances), figures(books)) == before


# Money that moves


def test_deposit_and_withdrawal_move_the_baselines_and_are_no_profit() -> None:
    books = told(FundsMoved(asset="USDT", amount=Decimal(500), value=Decimal(500), reason="deposit"))
    told(FundsMoved(asset="USDT", amount=Decimal(-200), value=Decimal(-200), reason="withdrawal"), books=books)
    base = books.baseline
    assert (books.funded, base.start, base.peak, base.day_start) == (10_300, 10_300, 10_300, 10_300)
    assert (books.adjusted, books.balances["USDT"]) == (0, 10_300)


def test_coins_that_come_are_externals_position_at_their_value_and_leave_it_again() -> None:
    came = FundsMoved(asset="BTC", amount=Decimal(2), value=Decimal(200), reason="deposit")
    books = told(came)
    assert figures(books, EXTERNAL) == ("2", "200", "0")
    told(replace(came, amount=Decimal(-1), value=Decimal(-130)), books=books)
    assert figures(books, EXTERNAL) == ("1", "100", "30")
    assert (books.funded, books.held(BTC.key)) == (10_070, 1)


def test_coins_from_before_their_instrument_was_listed_are_externals_once_it_is() -> None:
    books = Books()
    came = FundsMoved(asset="BTC", amount=Decimal(2), value=Decimal(200), reason="deposit")
    for event in (GENESIS, came, InstrumentListed(instrument=BTC), InstrumentListed(instrument=BTC)):
        books.apply(T0, event)
    assert figures(books, EXTERNAL) == ("2", "0", "0")


@pytest.mark.fault("E34", "E44")
@pytest.mark.parametrize("kind", list(AdjustmentKind))
def test_adjustment_is_a_result_of_its_own_kind_and_moves_no_baseline(kind: AdjustmentKind) -> None:
    books = told(adjusted(kind, "USDT", "-3", "-3"))
    funding = kind in (AdjustmentKind.FUNDING, AdjustmentKind.INTEREST)
    assert (books.funding, books.adjusted) == ((-3, 0) if funding else (0, -3))
    assert (books.balances["USDT"], books.funded, books.baseline.peak) == (9_997, 10_000, 10_000)


def adjusted(kind: AdjustmentKind, asset: str, amount: str, value: str, agent: str = "") -> Adjusted:
    return Adjusted(
        kind=kind, asset=asset, amount=Decimal(amount), value=Decimal(value), agent=agent,
        instrument=f"v:{asset}/USDT" if agent else "", difference_id="d1", actor="trader", note="",
    )  # fmt: skip


# Differences


def difference(number: int = 1, instrument: str = BTC.key, venue: str = "3") -> DifferenceFound:
    return DifferenceFound(
        difference_id=f"d{number}", kind=DifferenceKind.EXTERNAL_POSITION, subject="BTC" if instrument else "EUR",
        instrument=instrument, asset="BTC" if instrument else "EUR", ours=ZERO, venue=Decimal(venue), detail="why",
    )  # fmt: skip


def closed(how: Closing, number: int = 1) -> DifferenceClosed:
    return DifferenceClosed(difference_id=f"d{number}", how=how, actor="trader", note="seen")


@pytest.mark.fault("E32")
def test_open_difference_blocks_its_instrument_or_all_until_it_is_closed() -> None:
    books = told(difference(), difference(2, instrument=""))
    assert books.why_blocked(BTC.key) == "d1: why"
    assert books.why_blocked(BNB.key) == "d2: why"
    told(closed(Closing.GONE, 2), books=books)
    assert list(books.blocked) == [BTC.key]
    told(closed(Closing.APPROVED), books=books)
    assert (books.blocked, books.differences, books.count.differences) == ({}, {}, 2)


def test_explanation_is_remembered_until_the_figures_move_or_it_is_gone() -> None:
    books = told(difference(), closed(Closing.EXPLAINED))
    assert (books.blocked, len(books.explained)) == ({}, 1)
    told(difference(2, venue="4"), books=books)
    assert (list(books.blocked), books.explained) == ([BTC.key], {})
    told(closed(Closing.EXPLAINED, 2), closed(Closing.GONE, 2), books=books)
    assert (books.blocked, books.explained) == ({}, {})


# The identity


MARKS = st.tuples(st.integers(1, 500), st.integers(1, 500))
MOVES = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40), st.integers(50, 150), st.integers(0, 3)), max_size=30)


def history(moves: list[tuple[int, int, int, int]]) -> list[Event]:
    """Return buys and sells with fees of every kind, some taken back, and money that came, left or was adjusted."""
    events: list[Event] = []
    for number, (word, size, price, fee) in enumerate(moves, 1):
        qty, worth = Decimal(size) / 10, Decimal(size * price) / 10
        paid = (("0.1", "USDT"), ("0.003", "BTC"), ("0.02", "BNB"), ("-0.2", "USDC"))[fee]
        side = Side.BUY if word % 2 else Side.SELL
        traded = fill(number, side, str(qty), str(price), *paid)
        if word < 6:
            events.append(filled(traded, agent="ab"[size % 2]))
        elif word == 6:
            gone = replace(traded, qty=ZERO, fee=ZERO) if fee % 2 else replace(traded, price=traded.price + 3)
            events += [filled(traded), FillCorrected(agent="a", was=traded, now=gone, reason="")]
        elif word == 7:
            sign = 1 if fee else -1
            events.append(FundsMoved(asset="BTC", amount=qty * sign, value=worth * sign, reason="moved"))
        elif word == 8:
            kind = list(AdjustmentKind)[size % 7]
            events.append(adjusted(kind, "BNB", str(qty), str(worth), agent=EXTERNAL))
        else:
            events.append(adjusted(AdjustmentKind.FUNDING, "USDC", str(-qty), str(-qty)))
    return events


@given(moves=MOVES, marks=MARKS)
def test_equity_is_what_came_plus_profit_less_fees_plus_adjustments_and_funding_L9(
    moves: list[tuple[int, int, int, int]], marks: tuple[int, int]
) -> None:
    books = told(*history(moves))
    valuation = Valuation("USDT", GENESIS.usd_peg)
    source = Source(kind=SourceKind.SIMULATED, name="test")
    for instrument, price in zip((BTC, BNB), marks, strict=True):
        valuation.list_instrument(instrument)
        valuation.mark(instrument.key, Mark(Decimal(price), T0, source))
    unrealized = sum((p.unrealized(valuation.marks[p.instrument].price) for p in books.positions.values()), ZERO)
    fees = sum((paid for asset, paid in books.fees.items() if valuation.is_money(asset)), ZERO)
    profit = books.realized() + unrealized - fees  # fees in a coin are in the position that lost them
    assert valuation.equity(books.balances) == books.funded + profit + books.adjusted + books.funding
