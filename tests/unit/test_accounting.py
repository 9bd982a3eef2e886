"""From the venue's updates to the journal: whatever their order and however often they come, the same money."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.agent import EXTERNAL
from engine.domain.books import Books
from engine.domain.events import (
    DifferenceFound,
    DifferenceKind,
    Filled,
    Incident,
    OrderIntended,
    OrderResized,
    OrdersUpdated,
)
from engine.domain.ledger import imbalance
from engine.domain.order import Fill, OrderRole, OrderStatus, OrderType, Side
from engine.execution.accounting import events_of, overfilled
from engine.execution.gateway import ResizeUpdate, StatusUpdate, VenueUpdate
from engine.runtime.reads import verify
from tests.unit.desk_kit import BTC, CASH, ETH, START_MS, Bench, bare, fill_of, first_rows

ORDERS = {f"{number:032x}": (agent, key) for number, (agent, key) in enumerate(
    [("a", BTC.key), ("a", ETH.key), ("b", BTC.key)])}  # fmt: skip


def fresh_books() -> Books:
    """Return books with three market orders of ten coins each on their way."""
    books = Books()
    for event in first_rows():
        books.apply(START_MS, event)
    for order_id, (agent, key) in ORDERS.items():
        books.apply(START_MS, intended(order_id, agent, key))
    return books


def intended(order_id: str, agent: str, key: str, qty: str = "10") -> OrderIntended:
    return OrderIntended(
        intent_id=f"{agent}.1:{key}", client_order_id=order_id, cycle_id=f"{agent}.1", agent=agent, instrument=key,
        role=OrderRole.ENTRY, side=Side.BUY, order_type=OrderType.MARKET, qty=Decimal(qty), price=Decimal(100),
    )  # fmt: skip


def book(books: Books, updates: Sequence[VenueUpdate], seen: set[tuple[str, str]] | None = None) -> list[Any]:
    """Book a batch as the router does; seen: what earlier batches have booked."""
    known = seen if seen is not None else set()
    events = events_of(updates, books, lambda fill: (fill.instrument, fill.trade_id) in known)
    for event in events:
        postings = books.apply(START_MS, event)
        assert imbalance(postings) == {}, "L3"
        if isinstance(event, Filled):
            known.add((event.fill.instrument, event.fill.trade_id))
    return events


def figures(books: Books) -> dict[str, Any]:
    """Return all that must not depend on the order in which fills came."""
    return {
        "balances": {asset: qty for asset, qty in books.balances.items() if qty},
        "fees": {asset: qty for asset, qty in books.fees.items() if qty},
        "held": {key: position.qty for key, position in books.positions.items()},
        # Under average cost what is realised depends on the order; what is realised less what is still in does not.
        "earned": {key: position.realized - position.cost for key, position in books.positions.items()},
        "orders": {i: (order.filled_qty, order.filled_cost, order.status) for i in ORDERS if (order := books.order(i))},
    }


amounts = st.integers(1, 5_000).map(lambda n: Decimal(n) / 1000)
prices = st.integers(1, 10_000_000).map(lambda n: Decimal(n) / 100)
fees = st.sampled_from(["0", "0.25", "-0.1"])
assets = st.sampled_from(["USDT", "BTC", "ETH", "BNB"])


@st.composite
def fill_lists(draw: st.DrawFn) -> list[Fill]:
    """Draw fills of our orders and of nobody's: fees in quote, base and a third asset, rebates too."""
    made = []
    for number in range(draw(st.integers(1, 8))):
        order_id = draw(st.sampled_from([*ORDERS, "f" * 32]))
        key = ORDERS.get(order_id, ("", draw(st.sampled_from([BTC.key, ETH.key]))))[1]
        made.append(
            fill_of(
                order_id, f"t{number}", instrument=key, side=draw(st.sampled_from(Side)), qty=draw(amounts),
                price=draw(prices), fee=Decimal(draw(fees)), fee_asset=draw(assets),
            )
        )  # fmt: skip
    return made


@pytest.mark.fault("E06", "E09")
@given(data=st.data(), fills=fill_lists())
def test_any_order_and_repetition_of_fills_gives_the_same_money(data: st.DataObject, fills: list[Fill]) -> None:
    straight = fresh_books()
    book(straight, fills)
    repeated = data.draw(st.permutations([*fills, *data.draw(st.lists(st.sampled_from(fills), max_size=5))]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(repeated)), max_size=3)))
    shuffled, seen = fresh_books(), set()
    for start, end in zip([0, *cuts], [*cuts, len(repeated)], strict=True):
        book(shuffled, repeated[start:end], seen)
    assert figures(shuffled) == figures(straight)


@given(fills=fill_lists())
def test_money_is_what_was_there_and_what_the_fills_moved(fills: list[Fill]) -> None:
    books = fresh_books()
    book(books, fills)
    expected: dict[str, Decimal] = {"USDT": CASH}
    for fill in fills:
        base = books.instruments[fill.instrument].base
        for asset, moved in (
            (base, fill.signed_qty), ("USDT", -fill.signed_qty * fill.price), (fill.fee_asset, -fill.fee),
        ):  # fmt: skip
            expected[asset] = expected.get(asset, Decimal(0)) + moved
    assert {a: q for a, q in books.balances.items() if q} == {a: q for a, q in expected.items() if q}
    for (_agent, key), position in books.positions.items():
        assert position.instrument == key


@pytest.mark.fault("E06")
def test_fill_that_comes_twice_in_one_batch_is_booked_once() -> None:
    books = fresh_books()
    one = fill_of(next(iter(ORDERS)))
    assert [type(event) for event in book(books, [one, one])] == [Filled]


def test_same_trade_id_at_two_instruments_is_two_fills() -> None:
    books = fresh_books()
    book(books, [fill_of(next(iter(ORDERS))), fill_of("f" * 32, instrument=ETH.key)])
    assert books.count.fills == 2


@pytest.mark.fault("E13")
def test_overfill_is_booked_whole_and_named() -> None:
    books = fresh_books()
    order_id = next(iter(ORDERS))
    fine = book(books, [fill_of(order_id, qty=Decimal(10))])
    assert overfilled(books, fine) == ""
    over = book(books, [fill_of(order_id, "t2", qty=Decimal("0.001"))])
    assert order_id in overfilled(books, over)
    assert books.position("a", BTC.key).qty == Decimal("10.001")


@pytest.mark.fault("E12", "E37")
@pytest.mark.parametrize("status", [OrderStatus.CANCELED, OrderStatus.EXPIRED])
@pytest.mark.parametrize("together", [False, True], ids=["in two batches", "in one batch"])
def test_late_fill_of_a_closed_order_is_booked_and_said(status: OrderStatus, together: bool) -> None:
    books = fresh_books()
    order_id = next(iter(ORDERS))
    closing, late = StatusUpdate(client_order_ids=(order_id,), status=status), fill_of(order_id)
    events = book(books, [closing, late]) if together else book(books, [closing]) + book(books, [late])
    assert [event.code for event in events if isinstance(event, Incident)] == ["LATE_FILL"]
    order = books.order(order_id)
    assert order is not None
    assert (order.status, order.filled_qty, books.position("a", BTC.key).qty) == (status, 1, 1)
    assert order_id not in books.orders


def test_cancel_after_a_whole_fill_changes_nothing() -> None:
    books = fresh_books()
    order_id = next(iter(ORDERS))
    whole = fill_of(order_id, qty=Decimal(10))
    events = book(books, [whole, StatusUpdate(client_order_ids=(order_id,), status=OrderStatus.CANCELED)])
    assert [type(event) for event in events] == [Filled]
    assert books.order(order_id).status is OrderStatus.FILLED  # type: ignore[union-attr]


@pytest.mark.fault("E11")
def test_cancel_after_a_partial_fill_keeps_what_filled() -> None:
    books = fresh_books()
    order_id = next(iter(ORDERS))
    book(books, [fill_of(order_id), StatusUpdate(client_order_ids=(order_id,), status=OrderStatus.CANCELED)])
    order = books.order(order_id)
    assert order is not None
    assert (order.status, order.filled_qty, order.open_qty) == (OrderStatus.CANCELED, 1, 0)


@pytest.mark.fault("E33")
def test_fill_of_no_order_of_ours_is_external_and_said() -> None:
    books = fresh_books()
    events = book(books, [fill_of("f" * 32)])
    (found,) = [event for event in events if isinstance(event, DifferenceFound)]
    assert (found.kind, found.instrument, found.venue) == (DifferenceKind.EXTERNAL_POSITION, BTC.key, 1)
    assert books.position(EXTERNAL, BTC.key).qty == 1
    assert books.held(BTC.key) == 1


@pytest.mark.fault("E10")
def test_fill_before_the_answer_leaves_the_order_filled() -> None:
    books = fresh_books()
    order_id = next(iter(ORDERS))
    book(books, [fill_of(order_id), StatusUpdate(client_order_ids=(order_id,), status=OrderStatus.OPEN)])
    assert books.order(order_id).status is OrderStatus.PARTIALLY_FILLED  # type: ignore[union-attr]


def test_word_on_an_order_that_says_nothing_new_is_not_written() -> None:
    books = fresh_books()
    order_id = next(iter(ORDERS))
    opened = StatusUpdate(client_order_ids=(order_id,), status=OrderStatus.OPEN)
    assert [type(event) for event in book(books, [opened, opened])] == [OrdersUpdated]
    filled = StatusUpdate(client_order_ids=(order_id,), status=OrderStatus.FILLED)
    assert book(books, [opened, filled]) == []
    assert book(books, [StatusUpdate(client_order_ids=("f" * 32,), status=OrderStatus.CANCELED)]) == []


def test_last_size_of_several_in_one_batch_stands() -> None:
    books = fresh_books()
    order_id = next(iter(ORDERS))
    sizes = [ResizeUpdate(client_order_id=order_id, qty=Decimal(qty)) for qty in ("4", "10")]
    assert [event.qty for event in book(books, sizes) if isinstance(event, OrderResized)] == [4, 10]
    assert books.order(order_id).qty == 10  # type: ignore[union-attr]
    assert book(books, [ResizeUpdate(client_order_id=order_id, qty=Decimal(10))]) == []


# Fees (E35)


@pytest.mark.fault("E35")
@pytest.mark.parametrize(
    ("fee", "asset", "held", "quote", "paid"),
    [
        ("50", "USDT", "1", "49950", {"USDT": "50"}),
        ("0.001", "BTC", "0.999", "50000", {"BTC": "0.001"}),
        ("0.2", "BNB", "1", "50000", {"BNB": "0.2"}),
        ("-5", "USDT", "1", "50005", {"USDT": "-5"}),
        ("0", "USDT", "1", "50000", {}),
    ],
    ids=["quote", "base", "third", "rebate", "none"],
)
def test_fee_is_posted_in_its_own_asset(fee: str, asset: str, held: str, quote: str, paid: dict[str, str]) -> None:
    books = fresh_books()
    book(books, [fill_of(next(iter(ORDERS)), fee=Decimal(fee), fee_asset=asset)])
    position = books.position("a", BTC.key)
    assert (position.qty, position.cost) == (Decimal(held), Decimal(50_000))
    assert (books.balances["BTC"], books.balances["USDT"]) == (Decimal(held), Decimal(quote))
    assert {a: q for a, q in books.fees.items() if q} == {a: Decimal(q) for a, q in paid.items()}
    if asset == "BNB":
        assert books.balances["BNB"] == Decimal("-0.2")


# On a real store


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "s")
    yield made
    made.journal.close()


async def test_shuffled_and_repeated_fills_leave_a_store_that_is_proven(bench: Bench) -> None:
    await bench.place(bare(qty=Decimal(3)))
    order_id = bench.venue.created[0].client_order_id
    fills = [fill_of(order_id, f"t{n}", fee=Decimal(n), ts_ms=START_MS + n) for n in range(3)]
    for batch in ([fills[2], fills[0]], [fills[0]], [fills[1], fills[2], fills[1]]):
        bench.venue.told = list(batch)
        bench.router.pump()
    assert bench.books.position("a", BTC.key).qty == 3
    assert bench.books.fees == {"USDT": Decimal(3)}
    assert bench.statuses() == {OrderRole.ENTRY: OrderStatus.FILLED}
    bench.journal.close()
    report = verify(bench.paths.root)
    assert (report.first_breach, report.fills) == (None, 3)


@pytest.mark.fault("P06", "P07")
async def test_books_of_a_reopened_store_are_the_books_that_were(bench: Bench) -> None:
    await bench.place(bare(qty=Decimal(3)))
    bench.venue.told = [fill_of(bench.venue.created[0].client_order_id), fill_of("f" * 32, "t9", instrument=ETH.key)]
    bench.router.pump()
    before = (dict(bench.books.balances), dict(bench.books.positions), dict(bench.books.orders), bench.books.fees)
    bench.journal.close()
    again = Bench(bench.paths.root)
    assert (again.books.balances, again.books.positions, again.books.orders, again.books.fees) == before
    again.journal.close()
