"""Looks at a venue that says something else than the journal: what is booked, what is said, and how often."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from engine.domain.books import CLOSED_ORDERS_KEPT
from engine.domain.events import DifferenceFound, FeePosted, FillCorrected, Incident, OrdersUpdated
from engine.domain.order import OrderStatus, Side
from engine.execution.reconcile import EVERY_MS, Reconciler
from engine.runtime.reads import verify
from tests.unit.desk_kit import BTC, CASH, ETH, Bench, FakeVenue, bare, fill_of


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "s")
    yield made
    made.journal.close()


def looking(bench: Bench) -> Reconciler:
    return Reconciler(bench.journal, bench.venue, bench.clock)


async def bought(bench: Bench, qty: str = "1", *, fee: str = "50", asset: str = "USDT") -> str:
    """Buy one coin as two fills of half, told as they happen; return the order's id."""
    await bench.place(bare(qty=Decimal(qty)))
    (request,) = bench.venue.created
    half = {"qty": Decimal(qty) / 2, "fee": Decimal(fee) / 2, "fee_asset": asset}
    bench.venue.fills = [fill_of(request.client_order_id, name, **half) for name in ("t1", "t2")]
    bench.venue.told = [*bench.venue.fills]
    bench.router.pump()
    bench.venue.show(request, OrderStatus.FILLED, qty)
    bench.venue.held = dict(bench.books.balances)
    return request.client_order_id


@pytest.mark.fault("E14")
async def test_trade_the_venue_took_back_is_reversed_by_an_entry_of_its_own(bench: Bench) -> None:
    order_id = await bought(bench)
    bench.venue.fills.pop()
    bench.venue.shown[order_id] = replace(bench.venue.shown[order_id], filled_qty=Decimal("0.5"))
    bench.venue.held = {"USDT": CASH - 25_025, "BTC": Decimal("0.5")}
    for _ in range(2):
        assert await looking(bench).at_start() == []
    assert bench.books.position("a", BTC.key).figures == ("0.5", "25000", "0")
    assert bench.books.order(order_id).filled_qty == Decimal("0.5")  # type: ignore[union-attr]
    (row,) = bench.rows(FillCorrected)
    assert (row.was.trade_id, row.now.qty) == ("t2", 0)
    assert [incident.code for incident in bench.rows(Incident)] == ["BUST"]
    assert verify(bench.paths.root).ok


@pytest.mark.fault("E14")
async def test_trade_missing_from_the_list_alone_is_not_taken_back(bench: Bench) -> None:
    await bought(bench)
    bench.venue.fills.pop()
    assert await looking(bench).at_start() == []
    bench.venue.held["USDT"] -= 1
    (found,) = await looking(bench).at_start()
    assert (found.asset, bench.rows(FillCorrected)) == ("USDT", [])


@pytest.mark.fault("E36")
async def test_fee_named_later_is_posted_once(bench: Bench) -> None:
    await bought(bench, fee="0", asset="")
    assert len(bench.books.fees_pending) == 2
    bench.venue.fills = [replace(fill, fee=Decimal("0.001"), fee_asset="BTC") for fill in bench.venue.fills]
    bench.venue.held["BTC"] = Decimal("0.998")
    for _ in range(2):
        assert await looking(bench).at_start() == []
    assert (len(bench.rows(FeePosted)), bench.books.fees_pending) == (2, {})
    assert bench.books.position("a", BTC.key).figures == ("0.998", "50000", "0")
    assert verify(bench.paths.root).ok


@pytest.mark.fault("E07")
async def test_known_trade_told_again_with_other_figures_changes_nothing(bench: Bench) -> None:
    await bought(bench)
    before = dict(bench.books.balances), bench.books.position("a", BTC.key)
    bench.venue.fills = [replace(fill, price=fill.price + Decimal("0.004")) for fill in bench.venue.fills]
    bench.venue.told = [*bench.venue.fills]
    bench.router.pump()
    assert await looking(bench).at_start() == []
    assert (dict(bench.books.balances), bench.books.position("a", BTC.key)) == before
    assert (bench.books.count.fills, bench.rows(FillCorrected), bench.rows(Incident)) == (2, [], [])


@pytest.mark.fault("E13")
async def test_overfill_found_at_a_start_is_booked_whole_and_is_a_breach(bench: Bench) -> None:
    order_id = await bought(bench)
    bench.venue.fills.append(fill_of(order_id, "t3"))
    bench.venue.held = {"USDT": CASH - 100_100, "BTC": Decimal(2)}
    look = looking(bench)
    assert await look.at_start() == []
    assert (bench.books.position("a", BTC.key).qty, look.breach) == (2, f"order {order_id} filled 2.0 of 1")


@pytest.mark.fault("E12")
async def test_fill_of_an_order_the_books_no_longer_keep_goes_to_its_agent(bench: Bench) -> None:
    await bench.place(bare(agent="old"))
    (request,) = bench.venue.created
    cancel = OrdersUpdated(client_order_ids=(request.client_order_id,), status=OrderStatus.CANCELED)
    bench.journal.record(bench.clock.now_ms(), cancel)
    for number in range(CLOSED_ORDERS_KEPT):
        prepared = bench.router.prepare(bare(f"n{number}"))
        ended = OrdersUpdated(client_order_ids=prepared.client_order_ids, status=OrderStatus.REJECTED)
        bench.journal.record(bench.clock.now_ms(), *prepared.events, ended)
    assert bench.books.order(request.client_order_id) is None
    bench.venue.fills = [fill_of(request.client_order_id)]
    bench.venue.held = {"USDT": CASH - 50_050, "BTC": Decimal(1)}
    assert await looking(bench).at_start() == []
    assert bench.books.position("old", BTC.key).qty == 1
    assert [incident.code for incident in bench.rows(Incident)] == ["LATE_FILL"]


async def test_venue_that_cannot_be_asked_while_running_is_an_incident_once(bench: Bench) -> None:
    class Silent(FakeVenue):
        async def balances(self) -> dict[str, Decimal]:
            raise TimeoutError("no answer")

    look = Reconciler(bench.journal, Silent(), bench.clock)
    for _ in range(3):
        bench.clock.advance_ms(EVERY_MS)
        await look.while_running()
    assert [(row.code, row.text) for row in bench.rows(Incident)] == [
        ("RECONCILE_FAILED", "the venue could not be compared: no answer")
    ]


async def test_look_is_due_again_after_its_time_also_when_the_clock_is_set_back(bench: Bench) -> None:
    look = looking(bench)
    await look.at_start()
    assert not look.is_due
    bench.clock.advance_ms(EVERY_MS)
    assert look.is_due
    await look.while_running()
    assert not look.is_due


@pytest.mark.fault("E32")
async def test_difference_in_one_coin_leaves_entries_in_the_others_alone(bench: Bench) -> None:
    bench.venue.held["BTC"] = Decimal(1)
    await looking(bench).at_start()
    assert list(bench.books.blocked) == [BTC.key]
    assert bench.books.why_blocked(ETH.key) == ""


async def test_fills_of_one_foreign_order_are_one_difference_with_their_sum(bench: Bench) -> None:
    bench.venue.told = [fill_of("x", "t1"), fill_of("x", "t2", side=Side.SELL, qty=Decimal("0.25"))]
    bench.router.pump()
    bench.venue.told = [fill_of("x", "t3"), fill_of("x", "t3")]
    bench.router.pump()
    found = bench.rows(DifferenceFound)
    assert [(row.difference_id, row.venue) for row in found] == [
        ("d1", 1),
        ("d1", Decimal("0.75")),
        ("d1", Decimal("1.75")),
    ]
    assert len(bench.books.differences) == 1
