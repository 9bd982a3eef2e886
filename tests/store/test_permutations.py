"""Fills and order news in any order, however often: the tables are the same, byte for byte (L4, R12)."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.domain.books import Books
from engine.domain.events import FeePosted, FillCorrected, Filled, OrderIntended
from engine.domain.order import Fill, Liquidity, OrderStatus, OrderType, Side
from engine.domain.portfolio import STEPS_KEPT
from engine.execution.accounting import events_of
from engine.execution.gateway import StatusUpdate, VenueUpdate
from engine.paths import StorePaths
from engine.store.journal import Journal
from engine.store.packing import unpack
from engine.store.verify import verify
from tests.store.samples import AGENT, GENESIS, KEY, MINUTE_MS, OPENING, START_MS, intended

ORDERS = 6
ENDINGS = (None, OrderStatus.OPEN, OrderStatus.CANCELED, OrderStatus.EXPIRED)


def orders() -> list[OrderIntended]:
    """Return orders of two agents, buys and sells."""
    made = []
    for number in range(ORDERS):
        side = Side.BUY if number % 3 else Side.SELL
        order = intended(START_MS + number, Decimal(100), Decimal(3), side)
        agent = AGENT if number % 2 else "other"
        made.append(replace(order, agent=agent, order_type=OrderType.LIMIT))
    return made


@st.composite
def told(draw: st.DrawFn) -> list[VenueUpdate]:
    """Draw what a venue could tell of those orders: at most what each is for, then perhaps its end."""
    updates: list[VenueUpdate] = []
    trade = 0
    for order in orders():
        left = 30
        while left and (lot := draw(st.integers(0, 12))):
            lot, trade = min(lot, left), trade + 1
            left -= lot
            updates.append(fill_of(order, trade, Decimal(lot) / 10, draw(st.integers(0, 9)), draw(st.integers(0, 3))))
        ending = draw(st.sampled_from(ENDINGS))
        if ending is not None:
            updates.append(StatusUpdate(client_order_ids=(order.client_order_id,), status=ending, reason="told"))
    return updates


def fill_of(order: OrderIntended, trade: int, qty: Decimal, minute: int, fee: int) -> Fill:
    """Return a fill; minutes repeat, so that trade ids decide too."""
    paid = ((Decimal("0.01"), "USDT"), (qty / 1000, "BTC"), (Decimal("0.002"), "BNB"), (Decimal("-0.01"), "USDT"))[fee]
    return Fill(
        venue="paper", account="paper", instrument=KEY, trade_id=f"p{trade}", client_order_id=order.client_order_id,
        side=order.side, qty=qty, price=Decimal(100 + trade * 7 % 13), fee=paid[0], fee_asset=paid[1],
        liquidity=Liquidity.TAKER, ts_ms=START_MS + minute * MINUTE_MS,
    )  # fmt: skip


def deliver(root: Path, updates: Sequence[VenueUpdate], batches: Sequence[int], *, batch: bool = False) -> StorePaths:
    """Journal updates as they come, so many at a time, through the accounting that running engines use."""
    paths = StorePaths(root)
    journal = Journal.create(paths, START_MS, GENESIS, *OPENING, *orders(), batch=batch)
    left = list(updates)
    sizes = iter(batches)
    while left:
        size = next(sizes, len(left))
        now, left = left[:size], left[size:]
        events = events_of(now, journal.books, lambda f: journal.has_fill(f.venue, f.account, f.instrument, f.trade_id))
        if events:
            journal.record(START_MS + 100 * MINUTE_MS, *events)
    journal.close()
    return paths


def tables(paths: StorePaths) -> dict[str, list[tuple[Any, ...]]]:
    """Return the tables' bytes, with references to journal rows replaced by what the rows say.

    When news arrived is the journal's to say, and differs; which rows there are, and every figure in them, may not.
    """
    connection = sqlite3.connect(paths.store_db)
    said = {seq: unpack(kept) for seq, kept in connection.execute("SELECT seq, payload FROM journal")}
    names = dict(connection.execute("SELECT id, name FROM names"))
    found = {
        "positions": connection.execute("SELECT * FROM positions ORDER BY 1, 2").fetchall(),
        "balances": connection.execute("SELECT * FROM balances ORDER BY 1").fetchall(),
        "orders": [
            (order_id, said[seq], status, *figures)
            for order_id, seq, _last, status, *figures in connection.execute("SELECT * FROM orders ORDER BY id")
        ],
        "fills": sorted(
            (names[market], trade, said[seq], said[order])
            for market, trade, seq, order in connection.execute("SELECT * FROM fills")
        ),
        "ledger": sorted(
            (said[number // 8], number % 8, target, source, names[asset], amount)
            for number, target, source, asset, amount in connection.execute("SELECT * FROM ledger")
        ),
    }
    connection.close()
    return found


@pytest.mark.fault("E06", "E09", "E11", "E12")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(updates=told(), seed=st.integers(0, 2**32), sizes=st.lists(st.integers(1, 7), max_size=9))
def test_any_permutation_and_repetition_gives_byte_equal_tables_L4(
    tmp_path_factory: pytest.TempPathFactory, updates: list[VenueUpdate], seed: int, sizes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("orders")
    rng = random.Random(seed)
    shuffled = [*updates, *rng.choices(updates, k=len(updates) // 2)] if updates else []
    rng.shuffle(shuffled)
    straight, other = deliver(folder / "a", updates, [1] * 99), deliver(folder / "b", shuffled, sizes, batch=True)
    assert tables(straight) == tables(other)
    assert verify(straight).first_breach is None
    assert verify(other).first_breach is None


@pytest.mark.fault("E09")
@pytest.mark.parametrize("batch", [False, True], ids=["live", "batched"])
def test_fills_later_than_the_books_look_back_are_placed_with_the_journals_help(tmp_path: Path, batch: bool) -> None:
    order = replace(orders()[1], qty=Decimal(1000))
    count = STEPS_KEPT * 3
    fills: list[VenueUpdate] = [fill_of(order, n + 1, Decimal(n % 5 + 1) / 10, n, n % 2) for n in range(count)]
    sells = [replace(each, side=Side.SELL) if n % 4 == 3 else each for n, each in enumerate(fills)]  # type: ignore[type-var]
    straight = deliver(tmp_path / "a", sells, [1] * count)
    backwards = deliver(tmp_path / "b", sells[::-1], [7, 40, 1, 1, 30], batch=batch)
    assert tables(straight) == tables(backwards)
    assert verify(backwards).first_breach is None
    again = Journal.open(backwards)
    assert again.books.position(order.agent, KEY).figures == books_of(straight).position(order.agent, KEY).figures
    again.close()


def books_of(paths: StorePaths) -> Books:
    journal = Journal.open(paths)
    journal.close()
    return journal.books


@pytest.mark.fault("E14", "E36")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(updates=told(), seed=st.integers(0, 2**32))
def test_corrections_and_late_fees_count_where_their_fill_stands(
    tmp_path_factory: pytest.TempPathFactory, updates: list[VenueUpdate], seed: int
) -> None:
    """A fill taken back, and a fee named late, leave the positions of a life in which they never were otherwise."""
    fills = [each for each in updates if isinstance(each, Fill)]
    rng, folder = random.Random(seed), tmp_path_factory.mktemp("late")
    busted = {fill.trade_id for fill in fills if rng.random() < 0.3}
    late = {fill.trade_id for fill in fills if rng.random() < 0.3} - busted
    plain = deliver(folder / "a", [fill for fill in fills if fill.trade_id not in busted], [1] * 99)
    rng.shuffle(fills)
    came = [replace(f, fee=Decimal(0), fee_asset="") if f.trade_id in late else f for f in fills]
    paths = deliver(folder / "b", came, [2, 3, 1])
    journal = Journal.open(paths)
    agents = {order.client_order_id: order.agent for order in orders()}
    for fill in fills:
        agent = agents[fill.client_order_id]
        bare = replace(fill, fee=Decimal(0), fee_asset="")
        if fill.trade_id in late:
            journal.record(START_MS, FeePosted(agent=agent, fill=bare, fee=fill.fee, fee_asset=fill.fee_asset))
        elif fill.trade_id in busted:
            gone = replace(fill, qty=Decimal(0), fee=Decimal(0))
            journal.record(START_MS, FillCorrected(agent=agent, was=fill, now=gone, reason="busted"))
    assert journal.books.fees_pending == {}
    assert [e for o in orders() for e in journal.fills_of(o.client_order_id) if e.fill.trade_id in busted] == []
    journal.close()
    wanted, found = tables(plain), tables(paths)
    for table in ("positions", "balances"):
        assert moving(found[table]) == moving(wanted[table])
    assert verify(paths).first_breach is None


def moving(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Leave out rows of what never came to be."""
    return [
        row for row in rows if {"0"} != {text for text in row if isinstance(text, str) and text[:1] in "-0123456789"}
    ]


def test_a_trade_is_refused_twice_within_one_record_and_across_records(tmp_path: Path) -> None:
    order = orders()[0]
    event = Filled(agent=order.agent, role=order.role, fill=fill_of(order, 1, Decimal(1), 0, 0))
    journal = Journal.create(StorePaths(tmp_path / "s"), START_MS, GENESIS, *OPENING, order, event)
    assert journal.has_fill("paper", "paper", KEY, "p1")
    assert events_of([event.fill], journal.books, lambda f: True) == []
    journal.close()
