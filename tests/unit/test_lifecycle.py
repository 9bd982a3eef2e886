"""The life cycle's table: whole, and the same end whatever order the evidence comes in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations, permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.lifecycle import (
    NEWS_OF_STATUS,
    STEPS,
    News,
    after_fill,
    after_news,
    as_markdown,
    step,
)
from engine.domain.order import Order, OrderRole, OrderStatus, OrderType, Side
from tests.unit.desk_kit import BTC, START_MS, fill_of
from tests.unit.situations import D

FILLS = (News.PART_FILLED, News.ALL_FILLED)
TOLD = tuple(news for news in News if news not in FILLS)
EVIDENCE = (News.SUBMITTED, News.ACCEPTED, News.REJECTED, News.CANCELED, *FILLS)
NO_ANSWER = (OrderStatus.INTENT_RECORDED, OrderStatus.UNKNOWN, OrderStatus.NOT_SENT)


def order_in(status: OrderStatus, filled: str = "0", qty: str = "2") -> Order:
    return Order(
        client_order_id="o", intent_id="i", cycle_id="c", agent="a", instrument=BTC.key, side=Side.BUY,
        order_type=OrderType.MARKET, role=OrderRole.ENTRY, qty=D(qty), limit_price=None, stop_price=None, status=status,
        created_ms=START_MS, updated_ms=START_MS, filled_qty=D(filled),
    )  # fmt: skip


def end_of(start: OrderStatus, news: Iterable[News]) -> OrderStatus:
    status = start
    for each in news:
        status = step(status, each).status
    return status


def test_every_state_and_every_piece_of_news_has_a_row() -> None:
    assert set(STEPS) == set(product(OrderStatus, News))


def test_every_state_can_be_written_as_a_row_and_read_as_news() -> None:
    assert set(NEWS_OF_STATUS) == set(OrderStatus)


def test_the_printed_table_names_every_state_and_all_news_twice() -> None:
    head, second = [line for line in as_markdown().splitlines() if line.startswith("| state ")]
    assert sorted((head + second).replace("|", " ").split()) == sorted(["state", "state", *News])
    assert all(as_markdown().count(f"| {status.value} | ") >= 2 for status in OrderStatus)


@pytest.mark.parametrize("start", NO_ANSWER)
def test_evidence_that_a_venue_can_give_leads_to_one_end_in_any_order(start: OrderStatus) -> None:
    for count in range(1, len(EVIDENCE) + 1):
        for told in combinations(EVIDENCE, count):
            ends = {end_of(start, order) for order in permutations(told)}
            assert len(ends) == 1, (start, told, ends)


@given(start=st.sampled_from(OrderStatus), news=st.lists(st.sampled_from(News), max_size=6), last=st.sampled_from(News))
def test_hearing_the_same_twice_is_hearing_it_once(start: OrderStatus, news: list[News], last: News) -> None:
    status = end_of(start, news)
    assert end_of(status, [last]) == end_of(status, [last, last])


TERMINAL = [status for status in OrderStatus if status.is_terminal]


@pytest.mark.parametrize("status", TERMINAL)
@pytest.mark.parametrize("news", TOLD)
def test_an_ended_order_comes_back_to_life_only_as_an_incident(status: OrderStatus, news: News) -> None:
    found = step(status, news)
    assert found.status.is_terminal or found.incident


@pytest.mark.parametrize(("status", "news"), product(OrderStatus, FILLS))
def test_a_fill_is_counted_in_every_state_and_is_an_incident_where_none_could_come(
    status: OrderStatus, news: News
) -> None:
    assert step(status, news).incident is status.is_terminal


@pytest.mark.parametrize("status", [status for status in OrderStatus if status.is_working])
def test_no_state_but_the_unsent_ones_and_unknown_can_become_never_sent(status: OrderStatus) -> None:
    never = step(status, News.ABSENT).status is OrderStatus.NOT_SENT
    assert never is (status in (OrderStatus.INTENT_RECORDED, OrderStatus.SUBMITTING, OrderStatus.UNKNOWN))


def test_unknown_is_left_by_evidence_the_horizon_or_the_trader_and_by_nothing_else() -> None:
    staying = {news for news in News if step(OrderStatus.UNKNOWN, news).status is OrderStatus.UNKNOWN}
    assert staying == {News.UNCLEAR, News.CANCEL_ASKED}


@pytest.mark.parametrize("status", OrderStatus)
def test_what_is_shown_working_and_what_is_said_accepted_are_the_same_to_a_working_order(status: OrderStatus) -> None:
    if status.is_working:
        assert step(status, News.SHOWN) == step(status, News.ACCEPTED)


@pytest.mark.parametrize(("status", "news"), product(OrderStatus, TOLD))
def test_the_row_that_is_written_for_a_move_makes_the_same_move_again(status: OrderStatus, news: News) -> None:
    before = order_in(status)
    after = after_news(before, news, START_MS + 1)
    if after is not before and not (news is News.SHOWN and status.is_terminal):
        assert after_news(before, NEWS_OF_STATUS[after.status], START_MS + 1) == after


def test_absorbed_news_gives_the_very_same_order() -> None:
    before = order_in(OrderStatus.OPEN)
    assert after_news(before, News.ACCEPTED, START_MS + 9, "again") is before


def test_an_order_that_comes_back_is_partly_filled_when_it_had_fills_and_stays_marked() -> None:
    back = after_news(order_in(OrderStatus.CANCELED, "1"), News.SHOWN, START_MS)
    assert (back.status, back.reopened) == (OrderStatus.PARTIALLY_FILLED, True)
    assert after_news(back, News.CANCELED, START_MS).reopened


@pytest.mark.fault("E12", "P12")
@pytest.mark.parametrize(
    ("status", "qty", "after"),
    [
        (OrderStatus.CANCEL_PENDING, "1", OrderStatus.CANCEL_PENDING),
        (OrderStatus.CANCEL_PENDING, "2", OrderStatus.FILLED),
        (OrderStatus.CANCELED, "1", OrderStatus.CANCELED),
        (OrderStatus.CANCELED, "2", OrderStatus.FILLED),
        (OrderStatus.NOT_SENT, "1", OrderStatus.PARTIALLY_FILLED),
        (OrderStatus.UNKNOWN, "1", OrderStatus.PARTIALLY_FILLED),
        (OrderStatus.UNKNOWN, "3", OrderStatus.FILLED),
    ],
)
def test_fill_moves_an_order_by_what_is_filled_in_all(status: OrderStatus, qty: str, after: OrderStatus) -> None:
    filled = after_fill(order_in(status), replace(fill_of("o"), qty=D(qty)), START_MS + 5)
    assert (filled.status, filled.filled_qty, filled.updated_ms) == (after, D(qty), START_MS + 5)
