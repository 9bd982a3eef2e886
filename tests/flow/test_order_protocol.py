"""One create an intent, and an end to every doubt: by the venue's evidence, its horizon, or the trader."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from engine.clock import ManualClock
from engine.domain.events import EntriesBlocked, Incident
from engine.domain.intent import Intent
from engine.domain.market import Source, SourceKind
from engine.domain.order import OrderRole, OrderStatus, OrderType
from engine.domain.policy import Policy
from engine.domain.valuation import Mark, Valuation
from engine.errors import StoreError
from engine.execution.gateway import StatusUpdate
from engine.execution.latch import SendLatch
from engine.execution.reconcile import reconcile
from engine.execution.resolver import Resolver
from engine.execution.router import SEND_WITHIN_MS, Router
from engine.market.state import MarketState
from engine.paths import StorePaths
from engine.risk.surroundings import Surroundings
from engine.runtime.reads import verify
from engine.store.journal import Journal
from tests.flow.faulty_venue import ACCEPTS, TIER, FaultyVenue
from tests.unit.desk_kit import BTC, CASH, START_MS, STORE_ID, Bench, bare, buy, first_rows

LIMIT = {"order_type": OrderType.LIMIT, "limit_price": Decimal(40_000)}
HORIZON_MS = TIER.horizon_ms


class Desk:
    """An engine's way to a faulty venue, which can be killed and started again."""

    def __init__(self, root: Path, venue: FaultyVenue | None = None) -> None:
        self.paths = StorePaths(root)
        self.clock = venue.clock if venue else ManualClock(START_MS)
        self.venue = venue or FaultyVenue(self.clock)
        known = self.paths.store_db.exists()
        self.journal = Journal.open(self.paths) if known else Journal.create(self.paths, START_MS, *first_rows())
        self.books = self.journal.books
        self.latch = SendLatch(self.books)
        self.price = Decimal(50_000)
        self.router = Router(self.journal, self.venue, self.latch, self.clock, STORE_ID, self.shortfall)
        self.resolver = Resolver(self.journal, self.router, self.venue, self.clock)

    async def place(self, intent: object = None) -> str:
        prepared = self.router.prepare(intent or bare(**LIMIT))  # type: ignore[arg-type]
        self.journal.record(self.clock.now_ms(), *prepared.events)
        await self.router.send(prepared)
        return prepared.request.client_order_id

    def shortfall(self, intent: Intent) -> str:
        return self.around().shortfall(intent)

    async def pass_ms(self, duration_ms: int, beat_ms: int = 250) -> None:
        """Let time pass, with a heartbeat every so often."""
        for _ in range(duration_ms // beat_ms):
            self.clock.advance_ms(beat_ms)
            self.router.pump()
            await self.resolver.step()

    async def restarted(self) -> Desk:
        """Die without a word, and start as an engine does: the venue is asked about everything."""
        self.journal.close()
        again = Desk(self.paths.root, self.venue)
        self.venue.told.clear()
        await reconcile(again.journal, again.venue, again.clock)
        await again.resolver.take_up()
        return again

    def status(self, order_id: str) -> str:
        order = self.books.order(order_id)
        return order.status.value if order else "?"

    def codes(self) -> list[str]:
        return [incident.code for incident in Bench.rows(self, Incident)]  # type: ignore[arg-type]

    def around(self) -> Surroundings:
        valuation = Valuation("USD", ("USDT",))
        valuation.list_instrument(BTC)
        source = Source(kind=SourceKind.SIMULATED, name="test")
        valuation.mark(BTC.key, Mark(self.price, self.clock.now_ms(), source))
        return Surroundings(self.books, MarketState(60_000), valuation, Policy())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path / "s")
    yield made
    made.journal.close()


@pytest.mark.fault("E01", "E20", "E23")
@pytest.mark.parametrize("fault", ACCEPTS[1:])
async def test_order_that_was_accepted_without_an_answer_is_found_and_is_one_order(desk: Desk, fault: str) -> None:
    desk.venue.fault = fault
    order_id = await desk.place()
    assert desk.status(order_id) == "UNKNOWN"
    assert desk.around().in_doubt(BTC.key)
    await desk.pass_ms(250)
    assert desk.status(order_id) == "OPEN"
    assert desk.venue.creates == [order_id]
    assert not desk.around().in_doubt(BTC.key)
    desk.venue.fill(order_id)
    await desk.pass_ms(250)
    assert desk.status(order_id) == "FILLED"
    assert not desk.resolver.has_work


@pytest.mark.fault("E02")
async def test_order_that_got_lost_reserves_and_blocks_until_the_horizon_and_was_then_never_sent(desk: Desk) -> None:
    desk.venue.fault = "lost on the way"
    order_id = await desk.place(buy(**LIMIT))
    reserved = Decimal(40_000) * Decimal("1.001")
    await desk.pass_ms(HORIZON_MS - 250)
    assert desk.status(order_id) == "UNKNOWN"
    assert desk.around().free_cash(BTC) == CASH - reserved
    await desk.pass_ms(HORIZON_MS)
    assert {order.status for order in desk.books.all_orders()} == {OrderStatus.NOT_SENT}
    assert not desk.books.orders
    assert desk.around().free_cash(BTC) == CASH
    assert (desk.venue.creates, desk.around().in_doubt(BTC.key)) == ([order_id], "")


def fill_late(venue: FaultyVenue, order_id: str, qty: str) -> None:
    if Decimal(qty):
        venue.fill(order_id, qty)


@pytest.mark.fault("E12")
@pytest.mark.parametrize(("late", "status"), [("0", "OPEN"), ("1.2", "NOT_SENT")])
async def test_money_that_a_canceled_order_took_after_all_is_not_spent_by_the_next(
    desk: Desk, late: str, status: str
) -> None:
    canceled = await desk.place(bare("a.1:canceled", qty=Decimal(2)))
    desk.venue.end(canceled)
    desk.router.pump()
    first, second = (desk.router.prepare(bare(f"a.2:{name}", **LIMIT)) for name in ("first", "second"))
    desk.journal.record(desk.clock.now_ms(), *first.events, *second.events)
    desk.venue.on_create = lambda: fill_late(desk.venue, canceled, late)
    await desk.router.send(first)
    desk.venue.on_create = lambda: None
    assert (await desk.router.send(second)).value == status
    left = {"OPEN": "", "NOT_SENT": "40130 USDT that it was checked against is gone"}
    assert desk.books.order(second.request.client_order_id).reason == left[status]  # type: ignore[union-attr]


async def test_a_price_that_rose_since_the_checks_asks_for_no_head_room_twice(desk: Desk) -> None:
    first = desk.router.prepare(bare("a.1:first", qty=Decimal("0.001")))
    second = desk.router.prepare(bare("a.1:second", qty=Decimal("1.97")))
    desk.journal.record(desk.clock.now_ms(), *first.events, *second.events)
    await desk.router.send(first)
    desk.venue.fill(first.request.client_order_id, "0.001")
    desk.router.pump()
    desk.price = Decimal(50_400)
    assert (await desk.router.send(second)).value == "OPEN"


@pytest.mark.fault("E03")
async def test_order_that_queries_do_not_show_for_12_s_is_never_taken_for_lost(desk: Desk) -> None:
    desk.venue.fault, desk.venue.invisible_ms = "accepted, then a timeout", 12_000
    order_id = await desk.place()
    await desk.pass_ms(11_750)
    assert desk.status(order_id) == "UNKNOWN"
    await desk.pass_ms(20_000)
    assert desk.status(order_id) == "OPEN"
    assert desk.codes() == ["ORDER_UNKNOWN"]


@pytest.mark.fault("E04")
async def test_order_that_appears_after_it_was_given_up_is_adopted_and_stops_entries(desk: Desk) -> None:
    desk.venue.fault, desk.venue.invisible_ms = "accepted, then a timeout", 10 * HORIZON_MS
    order_id = await desk.place()
    await desk.pass_ms(2 * HORIZON_MS)
    assert desk.status(order_id) == "NOT_SENT"
    desk.venue.fill(order_id, "0.4")
    desk.router.pump()
    assert desk.status(order_id) == "PARTIALLY_FILLED"
    assert order_id in desk.books.orders
    assert desk.books.position("a", BTC.key).qty == Decimal("0.4")
    assert desk.codes()[-1] == "LATE_FILL"
    assert order_id in desk.around().in_doubt(BTC.key)
    again = await desk.restarted()
    assert again.around().in_doubt(BTC.key)
    lifted = EntriesBlocked(instrument=BTC.key, reason="", actor="trader", note="seen to")
    again.venue.invisible_ms = 0
    again.venue.seen_from.clear()
    again.venue.end(order_id)
    await again.pass_ms(1_000)
    assert again.status(order_id) == "CANCELED"
    assert order_id in again.around().in_doubt(BTC.key)
    again.journal.record(again.clock.now_ms(), lifted)
    assert again.around().in_doubt(BTC.key) == ""
    again.journal.close()


@pytest.mark.fault("E04")
@pytest.mark.parametrize("assumed", [OrderStatus.NOT_SENT, OrderStatus.CANCELED])
async def test_order_that_works_at_the_venue_after_we_held_it_for_ended_is_ours_again(
    desk: Desk, assumed: OrderStatus
) -> None:
    order_id = await desk.place()
    desk.venue.fill(order_id, "0.25")
    if assumed is OrderStatus.NOT_SENT:
        order_id = await unsent_but_there(desk)
    else:
        wrong = StatusUpdate(client_order_ids=(order_id,), status=assumed)
        desk.router.hear([wrong])
    assert desk.status(order_id) == assumed
    again = await desk.restarted()
    back = again.books.orders[order_id]
    assert (back.status.value, back.reopened) == ("OPEN" if not back.filled_qty else "PARTIALLY_FILLED", True)
    assert again.codes()[-1] == ("LATE_ORDER" if assumed is OrderStatus.NOT_SENT else "REOPENED")
    assert order_id in again.around().in_doubt(BTC.key)
    assert verify(again.paths.root).ok
    again.venue.end(order_id)
    again.venue.told.clear()
    await again.pass_ms(60_000)
    assert again.status(order_id) == "CANCELED"
    again.journal.close()


async def unsent_but_there(desk: Desk) -> str:
    """Let an order be at the venue that we hold for never sent."""
    desk.venue.fault, desk.venue.invisible_ms = "accepted, then a timeout", 3 * HORIZON_MS
    order_id = await desk.place(bare("a.9:x", **LIMIT))
    await desk.pass_ms(2 * HORIZON_MS)
    desk.venue.seen_from.clear()
    return order_id


@pytest.mark.fault("E05")
async def test_duplicate_id_is_asked_for_and_adopted_as_the_venue_has_it(desk: Desk) -> None:
    prepared = desk.router.prepare(bare(**LIMIT))
    desk.venue.accept(prepared.request, qty="2")
    order_id = await desk.place()
    assert desk.status(order_id) == "UNKNOWN"
    await desk.pass_ms(250)
    order = desk.books.orders[order_id]
    assert (order.status, order.qty) == (OrderStatus.OPEN, 2)
    assert desk.codes() == ["ORDER_UNKNOWN", "ORDER_DIFFERS"]


@pytest.mark.fault("E10")
async def test_fill_that_comes_before_the_answer_is_the_answer(desk: Desk) -> None:
    desk.venue.fault = "filled before the answer"
    order_id = await desk.place()
    assert desk.status(order_id) == "FILLED"
    assert desk.books.position("a", BTC.key).qty == 1
    assert "ORDER_UNKNOWN" not in desk.codes()[1:]


async def test_rejected_order_is_closed_without_a_question(desk: Desk) -> None:
    desk.venue.fault = "rejected"
    order_id = await desk.place(buy())
    await desk.pass_ms(1_000)
    assert {order.status for order in desk.books.all_orders()} == {OrderStatus.REJECTED}
    assert (desk.venue.creates, desk.venue.asked) == ([order_id], [])


@pytest.mark.fault("E21")
async def test_query_that_fails_changes_nothing_and_is_repeated_ever_more_slowly(desk: Desk) -> None:
    desk.venue.fault, desk.venue.down = "accepted, then a timeout", 5
    order_id = await desk.place()
    rows = desk.journal.seq
    await desk.pass_ms(9_000)
    assert (desk.status(order_id), desk.journal.seq, len(desk.venue.asked)) == ("UNKNOWN", rows, 5)
    await desk.pass_ms(30_000)
    assert desk.status(order_id) == "OPEN"


@pytest.mark.fault("E21")
async def test_no_answer_at_all_never_makes_an_order_never_sent(desk: Desk) -> None:
    desk.venue.fault, desk.venue.down = "lost on the way", 10_000
    order_id = await desk.place()
    await desk.pass_ms(20 * HORIZON_MS, beat_ms=5_000)
    assert desk.status(order_id) == "UNKNOWN"


async def test_trades_of_an_order_that_queries_have_forgotten_are_evidence_of_it(desk: Desk) -> None:
    desk.venue.fault, desk.venue.invisible_ms, desk.venue.mute = "accepted, then a timeout", 10 * HORIZON_MS, True
    order_id = await desk.place()
    desk.venue.fill(order_id)
    await desk.pass_ms(2 * HORIZON_MS)
    assert desk.status(order_id) == "FILLED"
    assert desk.books.position("a", BTC.key).qty == 1


# Canceling.


@pytest.mark.fault("E11")
async def test_cancel_of_a_partly_filled_order_keeps_the_fill_and_frees_the_rest(desk: Desk) -> None:
    order_id = await desk.place()
    desk.venue.fill(order_id, "0.4")
    assert await desk.router.cancel([order_id]) == []
    assert (desk.status(order_id), desk.books.position("a", BTC.key).qty) == ("CANCELED", Decimal("0.4"))
    assert desk.around().free_cash(BTC) == desk.books.balances["USDT"]


@pytest.mark.fault("E37")
async def test_cancel_of_a_filled_order_books_the_fill_and_is_no_error(desk: Desk) -> None:
    order_id = await desk.place()
    desk.venue.mute = True
    desk.venue.fill(order_id)
    assert await desk.router.cancel([order_id]) == []
    await desk.pass_ms(250)
    assert (desk.status(order_id), desk.codes()) == ("FILLED", [])


@pytest.mark.fault("E12")
async def test_order_that_ended_counts_as_ended_only_once_its_fills_are_booked(desk: Desk) -> None:
    order_id = await desk.place()
    desk.venue.mute = True
    desk.venue.fill(order_id, "0.4")
    await desk.router.cancel([order_id])
    assert desk.status(order_id) == "CANCEL_PENDING"
    await desk.pass_ms(250)
    assert (desk.status(order_id), desk.books.position("a", BTC.key).qty) == ("CANCELED", Decimal("0.4"))
    assert desk.codes() == []


@pytest.mark.fault("E38", "E39")
async def test_cancel_that_fails_stays_pending_and_is_repeated_by_itself(desk: Desk) -> None:
    one, two = await desk.place(), await desk.place(bare("a.2:x", **LIMIT))
    desk.venue.down = 1
    assert await desk.router.cancel([one, two]) == [one]
    assert (desk.status(one), desk.status(two)) == ("CANCEL_PENDING", "CANCELED")
    assert desk.around().in_doubt(BTC.key)
    await desk.pass_ms(250)
    assert desk.status(one) == "CANCELED"
    assert await desk.router.cancel([one, two]) == []


async def test_cancel_is_on_disk_before_it_leaves(desk: Desk) -> None:
    order_id = await desk.place()
    desk.venue.down, desk.venue.mute = 1, True
    await desk.router.cancel([order_id])
    assert desk.venue.asked == [f"cancel {order_id}"]
    again = await desk.restarted()
    assert again.status(order_id) in ("CANCEL_PENDING", "CANCELED")
    again.journal.close()


@pytest.mark.fault("P23")
async def test_cancel_leaves_though_nothing_can_be_written(desk: Desk) -> None:
    order_id = await desk.place()
    desk.journal.broken = "disk full"
    assert await desk.router.cancel([order_id]) == []
    assert desk.venue.orders[order_id].status is OrderStatus.CANCELED
    desk.journal.broken = None
    desk.router.pump()
    assert desk.status(order_id) == "CANCELED"


@pytest.mark.fault("E42")
async def test_unknown_order_that_was_to_be_cancelled_is_cancelled_once_the_venue_shows_it(desk: Desk) -> None:
    desk.venue.fault, desk.venue.invisible_ms = "lost on the way", 5_000
    order_id = await desk.place()
    assert await desk.router.cancel([order_id]) == [order_id]
    assert desk.status(order_id) == "UNKNOWN"
    desk.venue.accept(desk.router.prepare(bare(**LIMIT)).request)
    await desk.pass_ms(20_000)
    assert desk.status(order_id) == "CANCELED"
    assert desk.venue.orders[order_id].status is OrderStatus.CANCELED


@pytest.mark.fault("E38", "E42")
async def test_unknown_order_is_cancelled_again_though_queries_do_not_show_it(desk: Desk) -> None:
    desk.venue.fault, desk.venue.invisible_ms, desk.venue.down = "accepted, then a timeout", 12_000, 1
    order_id = await desk.place()
    await desk.router.cancel([order_id])
    await desk.pass_ms(250)
    assert desk.venue.orders[order_id].status is OrderStatus.CANCELED


# The last look before the wire.


async def test_order_that_was_checked_too_long_ago_does_not_leave(desk: Desk) -> None:
    prepared = desk.router.prepare(bare())
    desk.journal.record(START_MS, *prepared.events)
    desk.clock.advance_ms(SEND_WITHIN_MS + 1)
    assert await desk.router.send(prepared) is OrderStatus.NOT_SENT
    assert desk.venue.creates == []


async def test_flatten_leaves_however_long_it_took(desk: Desk) -> None:
    prepared = desk.router.prepare(bare(role=OrderRole.FLATTEN, reduce_only=True))
    desk.journal.record(START_MS, *prepared.events)
    desk.clock.advance_ms(SEND_WITHIN_MS + 1)
    desk.latch.close()
    assert await desk.router.send(prepared) is OrderStatus.OPEN


async def test_order_leaves_once_however_often_it_is_sent(desk: Desk) -> None:
    prepared = desk.router.prepare(bare(**LIMIT))
    desk.journal.record(START_MS, *prepared.events)
    assert await desk.router.send(prepared) is OrderStatus.OPEN
    assert await desk.router.send(prepared) is OrderStatus.OPEN
    desk.venue.end(prepared.request.client_order_id)
    desk.router.pump()
    assert await desk.router.send(prepared) is OrderStatus.CANCELED
    assert len(desk.venue.creates) == 1


@pytest.mark.fault("P24")
async def test_order_whose_answer_could_not_be_written_is_not_sent_again_and_its_answer_is_kept(desk: Desk) -> None:
    prepared = desk.router.prepare(bare(**LIMIT))
    desk.journal.record(START_MS, *prepared.events)
    desk.venue.on_create = lambda: setattr(desk.journal, "broken", "disk full")
    with pytest.raises(StoreError):
        await desk.router.send(prepared)
    desk.journal.broken = None
    assert await desk.router.send(prepared) is OrderStatus.INTENT_RECORDED
    desk.router.pump()
    assert (desk.status(prepared.request.client_order_id), len(desk.venue.creates)) == ("OPEN", 1)


async def test_order_that_was_cancelled_before_it_was_sent_does_not_leave(desk: Desk) -> None:
    prepared = desk.router.prepare(buy())
    desk.journal.record(START_MS, *prepared.events)
    await desk.router.cancel([prepared.request.client_order_id])
    await desk.router.send(prepared)
    assert desk.venue.creates == []
    assert not desk.books.orders


async def test_order_whose_rows_are_not_on_disk_does_not_leave(desk: Desk) -> None:
    with pytest.raises(StoreError, match="not in the journal"):
        await desk.router.send(desk.router.prepare(bare()))
    assert desk.venue.creates == []


@pytest.mark.fault("P19")
async def test_engine_whose_store_another_has_opened_sends_nothing_more(desk: Desk) -> None:
    prepared = desk.router.prepare(bare())
    desk.journal.record(START_MS, *prepared.events)
    with sqlite3.connect(desk.paths.store_db) as db:
        db.execute("UPDATE meta SET value = value + 1 WHERE key = 'epoch'")
    with pytest.raises(StoreError, match="another engine"):
        await desk.router.send(prepared)
    assert (desk.venue.creates, desk.journal.broken is None) == ([], False)


@pytest.mark.fault("P23")
async def test_broken_journal_lets_no_order_out(desk: Desk) -> None:
    prepared = desk.router.prepare(bare())
    desk.journal.record(START_MS, *prepared.events)
    desk.journal.broken = "disk full"
    with pytest.raises(StoreError):
        await desk.router.send(prepared)
    assert desk.venue.creates == []


# Killed in between.


@pytest.mark.fault("P03")
async def test_intent_of_a_former_run_is_asked_for_and_never_sent_again(desk: Desk) -> None:
    prepared = desk.router.prepare(buy())
    desk.journal.record(START_MS, *prepared.events)
    again = await desk.restarted()
    order_id = prepared.request.client_order_id
    assert again.status(order_id) == "UNKNOWN"
    assert await again.router.send(again.router.prepare(buy())) is OrderStatus.UNKNOWN
    await again.pass_ms(2 * HORIZON_MS)
    assert {order.status for order in again.books.all_orders()} == {OrderStatus.NOT_SENT}
    assert again.venue.creates == []
    assert verify(again.paths.root).ok
    again.journal.close()


@pytest.mark.fault("P04", "P05")
@pytest.mark.parametrize("filled", ["", "0.4", "1"])
async def test_order_accepted_just_before_the_end_is_taken_up_with_its_fills(desk: Desk, filled: str) -> None:
    prepared = desk.router.prepare(bare(**LIMIT))
    desk.journal.record(START_MS, *prepared.events)
    order_id = prepared.request.client_order_id
    await desk.venue.create(prepared.request)
    if filled:
        desk.venue.fill(order_id, filled)
    again = await desk.restarted()
    expected = {"": "OPEN", "0.4": "PARTIALLY_FILLED", "1": "FILLED"}[filled]
    assert again.status(order_id) == expected
    assert again.books.position("a", BTC.key).qty == Decimal(filled or 0)
    assert again.venue.creates == [order_id]
    assert (await again.restarted()).status(order_id) == expected


@pytest.mark.fault("P12")
@pytest.mark.parametrize("arrived", [False, True], ids=["the cancel got lost", "the cancel arrived"])
async def test_cancel_cut_short_is_settled_by_the_next_start(desk: Desk, arrived: bool) -> None:
    order_id = await desk.place()
    desk.venue.down = 1
    await desk.router.cancel([order_id])
    if arrived:
        desk.venue.end(order_id)
    again = await desk.restarted()
    await again.pass_ms(1_000)
    assert (again.status(order_id), again.venue.orders[order_id].status) == ("CANCELED", OrderStatus.CANCELED)
    again.journal.close()


async def test_open_order_that_is_not_shown_at_a_start_is_asked_for_until_its_horizon(desk: Desk) -> None:
    order_id = await desk.place()
    desk.venue.seen_from[order_id] = desk.clock.now_ms() + 8_000
    again = await desk.restarted()
    assert again.status(order_id) == "OPEN"
    await again.pass_ms(20_000)
    assert (again.status(order_id), again.resolver.has_work) == ("OPEN", False)
    again.journal.close()


@pytest.mark.fault("E49")
async def test_open_order_that_the_venue_has_lost_is_over_once_its_horizon_has_passed(desk: Desk) -> None:
    order_id = await desk.place()
    desk.venue.orders.clear()
    again = await desk.restarted()
    await again.pass_ms(HORIZON_MS - 1_000)
    assert again.status(order_id) == "OPEN"
    await again.pass_ms(2 * HORIZON_MS)
    assert (again.status(order_id), again.codes()) == ("CANCELED", ["ORDER_GONE"])
    again.journal.close()


# Venues that can do less.


async def test_venue_that_cannot_be_asked_by_our_id_leaves_the_order_to_the_trader(desk: Desk) -> None:
    desk.venue.tier = replace(TIER, finds_by_client_id=False)
    desk.venue.fault = "lost on the way"
    order_id = await desk.place()
    await desk.pass_ms(10 * HORIZON_MS, beat_ms=1_000)
    assert desk.status(order_id) == "UNKNOWN"
    assert desk.codes() == ["ORDER_UNKNOWN", "NEEDS_TRADER"]


@pytest.mark.fault("P22")
async def test_horizon_is_not_passed_by_setting_the_clock_forward(tmp_path: Path) -> None:
    class Stepped(ManualClock):
        stepped_ms = 0

        def now_ms(self) -> int:
            return super().now_ms() + self.stepped_ms

    clock = Stepped(START_MS)
    desk = Desk(tmp_path / "s", FaultyVenue(clock))
    desk.venue.fault = "lost on the way"
    order_id = await desk.place()
    await desk.pass_ms(1_000)
    clock.stepped_ms = 86_400_000
    await desk.pass_ms(20_000)
    assert desk.status(order_id) == "UNKNOWN"
    await desk.pass_ms(20_000)
    assert desk.status(order_id) == "NOT_SENT"
    desk.journal.close()


async def test_whole_life_of_faults_is_proven_by_verify(desk: Desk) -> None:
    for number, fault in enumerate((*ACCEPTS, "rejected", "lost on the way")):
        desk.venue.fault = fault
        await desk.place(bare(f"a.{number}:x", **LIMIT))
    await desk.pass_ms(1_000)
    for order_id in desk.venue.orders:
        desk.venue.fill(order_id, "0.5")
    await desk.pass_ms(2 * HORIZON_MS)
    assert verify(desk.paths.root).ok
