"""The venue is asked first: what happened while we were away is booked, and what cannot be explained is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from engine.domain.events import DifferenceFound
from engine.domain.order import Fill, OrderRole, OrderStatus, OrderType
from engine.execution.gateway import AmbiguousSendError
from engine.execution.reconcile import reconcile
from engine.runtime.reads import verify
from tests.unit.desk_kit import BTC, CASH, START_MS, Bench, FakeVenue, bare, buy, fill_of


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "s")
    yield made
    made.journal.close()


def reopened(bench: Bench) -> Bench:
    """Return the store as the next start finds it, before the same venue."""
    bench.journal.close()
    return Bench(bench.paths.root, bench.venue)


async def settle(bench: Bench) -> list[str]:
    return await reconcile(bench.journal, bench.venue, bench.clock)


def after(*fills_cost: str, **held: str) -> dict[str, Decimal]:
    """Return what the venue holds after spending some quote."""
    return {"USDT": CASH - sum(map(Decimal, fills_cost), Decimal(0)), **{k: Decimal(v) for k, v in held.items()}}


async def test_nothing_happened_and_nothing_is_written(bench: Bench) -> None:
    rows = bench.journal.seq
    assert await settle(bench) == []
    assert bench.journal.seq == rows


@pytest.mark.fault("P05")
async def test_fill_that_the_venue_made_while_we_were_down_is_booked(bench: Bench) -> None:
    await bench.place(bare())
    (request,) = bench.venue.created
    bench.venue.fills = [fill_of(request.client_order_id)]
    bench.venue.show(request, OrderStatus.FILLED, "1")
    bench.venue.held = after("50050", BTC="1")
    again = reopened(bench)
    assert await settle(again) == []
    assert again.books.position("a", BTC.key).qty == 1
    assert again.statuses() == {OrderRole.ENTRY: OrderStatus.FILLED}
    rows = again.journal.seq
    assert await settle(again) == []
    assert again.journal.seq == rows, "P08: a second reconcile changes nothing"
    again.journal.close()
    assert verify(again.paths.root).ok


@pytest.mark.fault("P04")
async def test_unknown_order_that_the_venue_shows_is_what_it_shows(bench: Bench) -> None:
    bench.venue.answer = AmbiguousSendError("timed out")
    await bench.place(bare(order_type=OrderType.LIMIT, limit_price=Decimal(40_000)))
    bench.venue.show(bench.venue.created[0], OrderStatus.OPEN)
    again = reopened(bench)
    assert await settle(again) == []
    assert again.statuses() == {OrderRole.ENTRY: OrderStatus.OPEN}
    assert len(again.venue.created) == 1
    again.journal.close()


@pytest.mark.fault("P03", "E02")
async def test_order_that_never_left_is_not_sent_and_its_protection_with_it(bench: Bench) -> None:
    bench.journal.record(START_MS, *bench.router.prepare(buy()).events)
    again = reopened(bench)
    assert await settle(again) == []
    assert again.venue.created == []
    assert set(again.statuses().values()) == {OrderStatus.NOT_SENT}
    assert not again.books.orders
    again.journal.close()


@pytest.mark.fault("E03")
async def test_not_found_is_no_evidence_before_the_horizon(bench: Bench) -> None:
    bench.venue.tier = replace(bench.venue.tier, horizon_ms=60_000)
    bench.venue.answer = AmbiguousSendError("timed out")
    await bench.place(bare())
    bench.clock.advance_ms(59_999)
    await settle(bench)
    assert bench.statuses() == {OrderRole.ENTRY: OrderStatus.UNKNOWN}
    bench.clock.advance_ms(1)
    await settle(bench)
    assert bench.statuses() == {OrderRole.ENTRY: OrderStatus.NOT_SENT}


@pytest.mark.fault("P12", "E49")
async def test_order_that_the_venue_canceled_while_we_were_down_is_canceled(bench: Bench) -> None:
    await bench.place(bare(order_type=OrderType.LIMIT, limit_price=Decimal(40_000)))
    bench.venue.show(bench.venue.created[0], OrderStatus.CANCELED)
    again = reopened(bench)
    assert await settle(again) == []
    assert again.statuses() == {OrderRole.ENTRY: OrderStatus.CANCELED}
    again.journal.close()


async def test_protection_that_shrank_and_then_filled_while_we_were_down_does_not_stay_behind(bench: Bench) -> None:
    await bench.place(buy())
    (request,) = bench.venue.created
    assert request.bracket is not None
    entry, stop, target = request.client_order_id, request.bracket.stop_order_id, request.bracket.target_order_id
    part = Decimal("0.4")
    bench.venue.fills = [
        fill_of(entry, "t1", qty=part, fee=Decimal(20)),
        fill_of(stop, "t2", side=request.side.opposite, qty=part, price=Decimal(49_000), fee=Decimal(20)),
    ]
    bench.venue.show(request, OrderStatus.CANCELED, "0.4")
    for child, status, filled in ((stop, OrderStatus.FILLED, "0.4"), (target, OrderStatus.CANCELED, "0")):
        shown = bench.venue.show(request, status, filled, "0.4")
        bench.venue.shown[child] = type(shown)(
            client_order_id=child, instrument=BTC.key, side=request.side.opposite, order_type=OrderType.STOP, qty=part,
            filled_qty=Decimal(filled), status=status,
        )  # fmt: skip
    bench.venue.show(request, OrderStatus.CANCELED, "0.4")
    bench.venue.held = after("20000", "40", "-19600", BTC="0")
    again = reopened(bench)
    assert await settle(again) == []
    assert again.books.position("a", BTC.key).qty == 0
    assert not again.books.orders
    assert again.statuses()[OrderRole.STOP] is OrderStatus.FILLED
    again.journal.close()


async def test_protection_that_shrank_while_we_were_down_has_its_size_again(bench: Bench) -> None:
    await bench.place(buy(target_price=None))
    (request,) = bench.venue.created
    assert request.bracket is not None
    stop = request.bracket.stop_order_id
    bench.venue.fills = [fill_of(request.client_order_id, qty=Decimal("0.4"), fee=Decimal(20))]
    bench.venue.shown[stop] = type(bench.venue.show(request, OrderStatus.PARTIALLY_FILLED, "0.4"))(
        client_order_id=stop, instrument=BTC.key, side=request.side.opposite, order_type=OrderType.STOP,
        qty=Decimal("0.4"), filled_qty=Decimal(0), status=OrderStatus.OPEN,
    )  # fmt: skip
    bench.venue.held = after("20020", BTC="0.4")
    again = reopened(bench)
    assert await settle(again) == []
    shown = again.books.order(stop)
    assert shown is not None
    assert (shown.status, shown.qty) == (OrderStatus.OPEN, Decimal("0.4"))
    again.journal.close()


@pytest.mark.fault("E32", "E34")
@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"USDT": CASH - 1}, "USDT: the venue holds 99999, our entries add up to 100000"),
        ({"USDT": CASH, "BTC": Decimal("0.5")}, "BTC: the venue holds 0.5, our entries add up to 0"),
        ({}, "USDT: the venue holds 0, our entries add up to 100000"),
    ],
    ids=["less money", "a coin more", "an empty account"],
)
async def test_balance_that_no_fill_explains_is_a_difference_and_changes_nothing(
    tmp_path: Path, held: dict[str, Decimal], said: str
) -> None:
    bench = Bench(tmp_path / "s", FakeVenue(held=held))
    assert await settle(bench) == [said]
    assert [found.detail for found in bench.rows(DifferenceFound)] == [said]
    assert await settle(bench) == [said]
    assert len(bench.rows(DifferenceFound)) == 1, "it is journaled once while it is open"
    assert bench.books.balances == {"USDT": CASH}
    bench.journal.close()


@pytest.mark.fault("E33")
async def test_trade_made_by_hand_at_the_venue_is_booked_as_external(bench: Bench) -> None:
    bench.venue.fills = [fill_of("by hand")]
    bench.venue.held = after("50050", BTC="1")
    (said,) = await settle(bench)
    assert said == f"fills of by hand, no order of ours, changed {BTC.key} by 1: booked to external"
    assert list(bench.books.blocked) == [BTC.key]
    assert bench.books.position("external", BTC.key).qty == 1


async def test_a_start_asks_only_for_fills_since_the_last_look_unless_balances_differ(bench: Bench) -> None:
    await bench.place(bare())
    (request,) = bench.venue.created
    bench.venue.fills = [fill_of(request.client_order_id)]
    bench.venue.show(request, OrderStatus.FILLED, "1")
    bench.venue.held = after("50050", BTC="1")
    asked: list[int] = []
    fills_since = bench.venue.fills_since

    async def noted(ts_ms: int) -> list[Fill]:
        asked.append(ts_ms)
        return await fills_since(ts_ms)

    bench.venue.fills_since = noted  # type: ignore[method-assign]
    first = reopened(bench)
    assert await settle(first) == []
    looked_ms = first.books.reconciled_ms
    assert looked_ms > 0
    again = reopened(first)
    again.clock.advance_ms(24 * 3_600_000)
    assert await settle(again) == []
    assert asked == [0, looked_ms - 3_600_000]
    bench.venue.held = after("50050", BTC="2")
    assert len(await settle(again)) > 0
    assert asked[-1] == 0
