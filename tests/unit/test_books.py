"""The state that events add up to: orders, positions, limits of the day, baselines and the trading state."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.agent import AgentStatus
from engine.domain.books import CLOSED_ORDERS_KEPT, DAY_MS, Books
from engine.domain.events import (
    AgentChanged,
    ApprovalAsked,
    ApprovalClosed,
    BaselineReset,
    EquityMarked,
    Filled,
    FundsMoved,
    OrderIntended,
    OrderResized,
    OrdersUpdated,
    StateChanged,
)
from engine.domain.order import OrderRole, OrderStatus, OrderType, Side
from engine.domain.policy import TradingState
from engine.domain.portfolio import Position
from tests.unit.desk_kit import BTC, CASH, START_MS, fill_of, first_rows


@pytest.fixture
def books() -> Books:
    made = Books()
    for event in first_rows():
        made.apply(START_MS, event)
    return made


def intended(number: int = 1, role: OrderRole = OrderRole.ENTRY, agent: str = "a") -> OrderIntended:
    return OrderIntended(
        intent_id=f"{agent}.{number}:x", client_order_id=f"{number:032x}", cycle_id=f"{agent}.{number}", agent=agent,
        instrument=BTC.key, role=role, side=Side.BUY, order_type=OrderType.MARKET, qty=Decimal(1), price=Decimal(100),
    )  # fmt: skip


def filled(number: int = 1, trade: str = "t1", agent: str = "a", **changes: object) -> Filled:
    return Filled(agent=agent, role=OrderRole.ENTRY, fill=fill_of(f"{number:032x}", trade, **changes))


def test_books_without_a_word_on_the_state_are_halted() -> None:
    assert (Books().state, Books().state_reason) == (TradingState.HALTED, "no trading state on record")


def test_order_lives_from_its_intent_to_its_last_fill(books: Books) -> None:
    books.apply(START_MS, intended())
    assert books.orders[f"{1:032x}"].status is OrderStatus.INTENT_RECORDED
    books.apply(START_MS + 1, OrdersUpdated(client_order_ids=(f"{1:032x}",), status=OrderStatus.OPEN))
    books.apply(START_MS + 2, filled(qty=Decimal("0.4")))
    order = books.orders[f"{1:032x}"]
    assert (order.status, order.filled_qty, order.open_qty) == (
        OrderStatus.PARTIALLY_FILLED, Decimal("0.4"), Decimal("0.6"),
    )  # fmt: skip
    books.apply(START_MS + 3, filled(trade="t2", qty=Decimal("0.6"), price=Decimal(60_000)))
    closed = books.order(f"{1:032x}")
    assert closed is not None
    assert (closed.status, closed.average_price, closed.updated_ms) == (
        OrderStatus.FILLED, Decimal("0.4") * 50_000 + Decimal("0.6") * 60_000, START_MS + 3,
    )  # fmt: skip
    assert books.working() == []


def test_protective_order_that_shrank_is_whole_when_the_rest_filled(books: Books) -> None:
    books.apply(START_MS, intended(role=OrderRole.STOP))
    books.apply(START_MS, OrderResized(client_order_id=f"{1:032x}", qty=Decimal("0.4")))
    books.apply(START_MS, filled(qty=Decimal("0.4")))
    assert books.order(f"{1:032x}").status is OrderStatus.FILLED  # type: ignore[union-attr]


def test_closed_orders_are_kept_for_late_fills_as_many_as_fit(books: Books) -> None:
    for number in range(1, CLOSED_ORDERS_KEPT + 3):
        books.apply(START_MS, intended(number))
        books.apply(START_MS, OrdersUpdated(client_order_ids=(f"{number:032x}",), status=OrderStatus.CANCELED))
    assert len(books.closed_orders) == CLOSED_ORDERS_KEPT
    assert (books.order(f"{2:032x}"), books.order(f"{3:032x}") is None) == (None, False)


def test_trades_of_the_day_count_entries_and_exits_and_begin_anew_at_midnight_utc(books: Books) -> None:
    noon = START_MS + DAY_MS // 2
    for number, role in enumerate((OrderRole.ENTRY, OrderRole.EXIT, OrderRole.STOP, OrderRole.FLATTEN), 1):
        books.apply(noon, intended(number, role))
    books.apply(noon, intended(9, agent="b"))
    assert (books.trades_on("a", noon), books.trades_on("b", noon), books.trades_on("", noon)) == (2, 1, 3)
    assert books.trades_on("a", START_MS + DAY_MS) == 0
    assert (books.count.orders, books.count.intents) == (5, 4)


def test_positions_of_agents_are_apart_and_the_account_is_their_sum(books: Books) -> None:
    books.apply(START_MS, intended(1))
    books.apply(START_MS, intended(2, agent="b"))
    books.apply(START_MS, filled(1, "t1"))
    books.apply(START_MS, filled(2, "t2", agent="b", qty=Decimal(2)))
    assert (books.position("a", BTC.key).qty, books.position("b", BTC.key).qty, books.held(BTC.key)) == (1, 2, 3)
    assert books.balances["BTC"] == 3


def test_loss_is_remembered_with_its_instant(books: Books) -> None:
    books.apply(START_MS, filled(price=Decimal(100)))
    books.apply(START_MS + 5, filled(trade="t2", side=Side.SELL, qty=Decimal("0.5"), price=Decimal(120)))
    assert books.last_loss_ms == {}
    books.apply(START_MS + 9, filled(trade="t3", side=Side.SELL, qty=Decimal("0.5"), price=Decimal(90)))
    assert books.last_loss_ms == {("a", BTC.key): START_MS + 9}
    assert books.realized() == 5


def test_deposit_is_no_profit_to_any_kill_rule(books: Books) -> None:
    books.apply(START_MS, FundsMoved(asset="USDT", amount=Decimal(-400), value=Decimal(-400), reason="rent"))
    base = books.baseline
    assert (base.start, base.peak, base.day_start, books.funded) == (CASH - 400, CASH - 400, CASH - 400, CASH - 400)
    assert books.balances["USDT"] == CASH - 400


def test_marks_move_the_baselines_and_a_reset_moves_all_of_them(books: Books) -> None:
    books.apply(START_MS, EquityMarked(equity=Decimal(110), peak=Decimal(120), day=3, day_start=Decimal(115)))
    assert (books.baseline.start, books.baseline.peak, books.baseline.day_start) == (CASH, 120, 115)
    books.apply(START_MS, BaselineReset(start=Decimal(90), peak=Decimal(91), day=4, day_start=Decimal(92)))
    base = books.baseline
    assert (base.start, base.peak, base.day, base.day_start, books.funded) == (90, 91, 4, 92, CASH)


def test_reset_leaves_the_true_peak_and_the_days_opening_as_they_are(books: Books) -> None:
    books.apply(START_MS, EquityMarked(equity=Decimal(110), peak=CASH + 20, day=3, day_start=Decimal(115)))
    books.apply(START_MS, BaselineReset(start=Decimal(90), peak=Decimal(91), day=3, day_start=Decimal(90)))
    assert (books.peak_equity, books.day_open) == (CASH + 20, 115)
    books.apply(START_MS, EquityMarked(equity=Decimal(95), peak=Decimal(95), day=3, day_start=Decimal(90)))
    assert (books.peak_equity, books.day_open) == (CASH + 20, 115)
    books.apply(START_MS, FundsMoved(asset="USDT", amount=Decimal(-10), value=Decimal(-10), reason="rent"))
    assert (books.peak_equity, books.day_open) == (CASH + 10, 105)
    books.apply(START_MS, EquityMarked(equity=Decimal(80), peak=Decimal(95), day=4, day_start=Decimal(80)))
    assert (books.peak_equity, books.day_open) == (CASH + 10, 80)


@pytest.mark.fault("P22")
def test_clock_set_back_opens_no_day_again(books: Books) -> None:
    books.apply(START_MS, EquityMarked(equity=Decimal(110), peak=CASH, day=3, day_start=Decimal(115)))
    books.apply(START_MS, EquityMarked(equity=Decimal(100), peak=CASH, day=2, day_start=Decimal(100)))
    assert books.day_open == 115


def test_halts_are_counted_once_each(books: Books) -> None:
    for state in ("HALTED", "HALTED", "ACTIVE", "HALTED"):
        books.apply(START_MS, StateChanged(state=TradingState(state), actor="x", reason="y"))
    assert (books.count.halts, books.state, books.state_actor) == (2, TradingState.HALTED, "x")


def test_approval_waits_until_it_is_answered(books: Books) -> None:
    asked = ApprovalAsked(
        approval_id="a.1:x", cycle_id="a.1", agent="a", instrument=BTC.key, role=OrderRole.ENTRY, side=Side.BUY,
        order_type=OrderType.MARKET, qty=Decimal(1), price=Decimal(1), limit_price=None, stop_price=None,
        target_price=None, digest="d", expires_ms=1,
    )  # fmt: skip
    books.apply(START_MS, asked)
    assert list(books.approvals) == ["a.1:x"]
    books.apply(START_MS, ApprovalClosed(approval_id="a.1:x", answer="rejected", actor="trader"))
    assert not books.approvals


def test_status_of_an_agent_is_the_last_one_said(books: Books) -> None:
    books.apply(START_MS, AgentChanged(agent="a", status=AgentStatus.PAUSED, actor="engine"))
    assert books.agent_status == {"a": AgentStatus.PAUSED}


@pytest.mark.parametrize(("qty", "dust"), [("0.0009", True), ("-0.0009", True), ("0.001", False), ("1", False)])
def test_dust_is_less_than_one_step(books: Books, qty: str, dust: bool) -> None:
    assert books.is_dust(Position("a", BTC.key, Decimal(qty))) is dust


steps = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1, 2000), st.integers(1, 10_000), st.integers(0, 50)), max_size=12
)


@given(trades=steps, mark=st.integers(1, 10_000))
def test_equity_moved_by_profit_less_fees_whatever_was_traded(
    trades: list[tuple[Side, int, int, int]], mark: int
) -> None:
    books = Books()
    for event in first_rows():
        books.apply(START_MS, event)
    for number, (side, qty, price, fee) in enumerate(trades):
        changes = {"side": side, "qty": Decimal(qty) / 1000, "price": Decimal(price), "fee": Decimal(fee) / 100}
        books.apply(START_MS, filled(trade=f"t{number}", **changes))
    price = Decimal(mark)
    equity = books.balances["USDT"] + books.balances.get("BTC", Decimal(0)) * price
    unrealized = sum((p.unrealized(price) for p in books.open_positions()), Decimal(0))
    fees = books.fees.get("USDT", Decimal(0))
    assert equity - books.funded == books.realized() + unrealized - fees, "L9"
