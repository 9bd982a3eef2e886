"""Whatever a venue says of orders, in whatever order and however often: the books keep to the rules."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.domain.books import Books
from engine.domain.events import EntriesBlocked, Event, Filled, Incident, OrderIntended
from engine.domain.market import Source, SourceKind
from engine.domain.order import Fill, OrderRole, OrderStatus, OrderType, Side
from engine.domain.policy import Policy
from engine.domain.valuation import Mark, Valuation
from engine.execution.accounting import events_of
from engine.execution.gateway import StatusUpdate, VenueUpdate
from engine.market.state import MarketState
from engine.risk.surroundings import Surroundings
from tests.unit.desk_kit import BTC, CASH, ETH, START_MS, fill_of, first_rows

IDS = ("one", "two", "three")
PRICE = Decimal(100)
SAID = st.sampled_from([status for status in OrderStatus if status is not OrderStatus.INTENT_RECORDED])
ORDER = st.sampled_from(IDS)


class Orders(RuleBasedStateMachine):
    """Three buys at a limit, in two instruments."""

    def __init__(self) -> None:
        super().__init__()
        self.books = Books()
        self.rows: list[Event] = []
        self.fills: dict[str, Fill] = {}
        for event in first_rows():
            self.apply(event)
        for place, order_id in enumerate(IDS):
            self.apply(
                OrderIntended(
                    intent_id=f"i-{order_id}", client_order_id=order_id, cycle_id="c", agent="ab"[place % 2],
                    instrument=(BTC if place < 2 else ETH).key, role=OrderRole.ENTRY, side=Side.BUY,
                    order_type=OrderType.LIMIT, qty=Decimal(3), price=PRICE, limit_price=PRICE,
                )
            )  # fmt: skip

    def apply(self, event: Event) -> None:
        self.books.apply(START_MS, event)
        self.rows.append(event)

    def hear(self, *updates: VenueUpdate) -> list[Event]:
        events = events_of(updates, self.books, lambda fill: fill.trade_id in self.fills)
        for event in events:
            self.apply(event)
            if isinstance(event, Filled):
                self.fills[event.fill.trade_id] = event.fill
        return events

    @rule(order_id=ORDER, status=SAID, asked=st.booleans())
    def say(self, order_id: str, status: OrderStatus, asked: bool) -> None:
        before = self.books.order(order_id)
        assert before is not None
        events = self.hear(StatusUpdate(client_order_ids=(order_id,), status=status, asked=asked))
        after = self.books.order(order_id)
        assert after is not None
        if before.status.is_terminal and after.status.is_working:
            assert any(isinstance(event, Incident) for event in events)
            assert any(isinstance(event, EntriesBlocked) for event in events)
        assert after.filled_qty == before.filled_qty

    @rule(ids=st.lists(ORDER, min_size=2, max_size=3, unique=True), status=SAID)
    def say_of_several(self, ids: list[str], status: OrderStatus) -> None:
        self.hear(StatusUpdate(client_order_ids=tuple(ids), status=status))

    @rule(order_id=ORDER, trade=st.integers(0, 5), qty=st.sampled_from(["0.5", "1", "3"]), twice=st.booleans())
    def fill(self, order_id: str, trade: int, qty: str, twice: bool) -> None:
        known = self.fills.get(f"t{trade}")
        instrument = (BTC if order_id != "three" else ETH).key
        told = known or fill_of(
            order_id, f"t{trade}", instrument=instrument, qty=Decimal(qty), price=PRICE, fee=Decimal(0)
        )
        before = self.books.order(told.client_order_id)
        assert before is not None
        events = self.hear(*[told] * (1 + twice))
        booked = [event for event in events if isinstance(event, Filled)]
        assert len(booked) == (0 if known else 1)
        if booked and before.status.is_terminal:
            assert any(isinstance(event, Incident) for event in events)

    @invariant()
    def what_filled_is_the_sum_of_unique_fills(self) -> None:
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for fill in self.fills.values():
            sums[fill.client_order_id] += fill.qty
        for order_id in IDS:
            order = self.books.order(order_id)
            assert order is not None
            assert order.filled_qty == sums[order_id]

    @invariant()
    def an_order_stands_in_one_place_and_is_in_doubt_exactly_when_nobody_knows(self) -> None:
        books = self.books
        assert not set(books.orders) & set(books.closed_orders)
        assert set(books.orders) | set(books.closed_orders) == set(IDS)
        for order in books.all_orders():
            assert order.status.is_working is (order.client_order_id in books.orders)
            unclear = order.status in (OrderStatus.UNKNOWN, OrderStatus.CANCEL_PENDING)
            assert (order.client_order_id in books.in_doubt) is (
                unclear or (order.reopened and order.status.is_working)
            )
            assert not (order.status is OrderStatus.NOT_SENT and order.filled_qty)
            assert not (order.status is OrderStatus.OPEN and order.filled_qty)

    @invariant()
    def what_may_still_fill_is_reserved_and_unknown_in_full(self) -> None:
        around = self.around()
        working = self.books.orders.values()
        left = [order.qty if order.status is OrderStatus.UNKNOWN else order.open_qty for order in working]
        owed = sum(left, Decimal(0))
        spent = sum((fill.qty for fill in self.fills.values()), Decimal(0)) * PRICE
        assert around.free_cash(BTC) == CASH - spent - owed * PRICE * Decimal("1.001")

    @invariant()
    def an_instrument_in_doubt_takes_no_entry(self) -> None:
        around = self.around()
        for instrument in (BTC.key, ETH.key):
            doubtful = any(self.books.orders[i].instrument == instrument for i in self.books.in_doubt)
            assert bool(around.in_doubt(instrument)) is (doubtful or instrument in self.books.held_up)

    @invariant()
    def the_rows_alone_make_the_same_books(self) -> None:
        again = Books()
        for event in self.rows:
            again.apply(START_MS, event)
        assert again == self.books

    def around(self) -> Surroundings:
        valuation = Valuation("USD", ("USDT",))
        source = Source(kind=SourceKind.SIMULATED, name="test")
        for instrument in (BTC, ETH):
            valuation.list_instrument(instrument)
            valuation.mark(instrument.key, Mark(PRICE, START_MS, source))
        return Surroundings(self.books, MarketState(60_000), valuation, Policy())


TestOrders = Orders.TestCase
TestOrders.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
