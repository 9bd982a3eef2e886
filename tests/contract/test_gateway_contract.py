"""What every gateway promises, whichever venue stands behind it. Asked through the Gateway protocol alone.

A gateway joins by a Bench: how to open it with 10,000 USDT, move its market, and lose the client but not the venue.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest

from engine.clock import MINUTE_MS, ManualClock
from engine.domain.instrument import Instrument
from engine.domain.market import Candle, Instant, Source, SourceKind
from engine.domain.order import Bracket, Fill, OrderRequest, OrderStatus, OrderType, Side
from engine.domain.policy import PaperSettings
from engine.execution.gateway import (
    DuplicateIdError,
    Gateway,
    OrderRejectedError,
    ResizeUpdate,
    StatusUpdate,
    VenueUpdate,
)
from engine.execution.paper import PaperGateway
from engine.execution.paper_store import PaperStore

BTC = Instrument(
    venue="paper",
    symbol="BTC/USDT",
    base="BTC",
    quote="USDT",
    price_tick=Decimal("0.01"),
    qty_step=Decimal("0.001"),
    min_notional=Decimal(5),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
)
CASH = Decimal(10_000)


class Bench(Protocol):
    """A venue under test. Its market stands at 100 when it is opened."""

    @property
    def gateway(self) -> Gateway:
        """The client in use now."""
        ...

    async def trade_at(self, price: int) -> None:
        """Let the market trade at a price, with more to take there than any test orders."""
        ...

    async def trade_little_at(self, price: int) -> None:
        """Let the market trade at a price, with 1 to take there."""
        ...

    async def restart(self) -> None:
        """Lose the client and open another one on the same venue."""
        ...


class PaperBench:
    """The paper venue, in memory when there is no path."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._clock = ManualClock(MINUTE_MS)
        self._store: PaperStore | None = None
        self._gateway = self._open()
        self._gateway.deposit("USDT", CASH)
        self._price = 100
        self._minute(self._price, 0)

    @property
    def gateway(self) -> Gateway:
        return self._gateway

    async def trade_at(self, price: int) -> None:
        self._minute(price, 1_000_000)

    async def trade_little_at(self, price: int) -> None:
        self._minute(price, 10)

    async def restart(self) -> None:
        if self._path is not None:
            self.close()
            self._gateway = self._open()
            self._minute(self._price, 0)

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def _open(self) -> PaperGateway:
        self._store = PaperStore(self._path) if self._path else None
        return PaperGateway({BTC.key: BTC}, PaperSettings(), self._clock, self._store)

    def _minute(self, price: int, volume: int) -> None:
        self._price = price
        ts_ms = self._clock.now_ms()
        self._clock.advance_ms(MINUTE_MS)
        source = Source(kind=SourceKind.SIMULATED, name="contract")
        at = Decimal(price)
        bar = Candle(BTC.key, ts_ms, MINUTE_MS, at, at, at, at, Decimal(volume), source)
        self._gateway.on_instant(Instant(self._clock.now_ms(), (bar,)))


@pytest.fixture(params=["paper in memory", "paper on disk"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    bench = PaperBench(tmp_path / "paper.db" if request.param == "paper on disk" else None)
    yield bench
    bench.close()


def order(order_id: str, side: Side = Side.BUY, qty: str = "1", **rest: Any) -> OrderRequest:
    base = OrderRequest(
        client_order_id=order_id,
        instrument=BTC.key,
        side=side,
        order_type=OrderType.MARKET,
        qty=Decimal(qty),
        group="dip",
    )
    return replace(base, **rest)


def limit(order_id: str, price: int, **rest: Any) -> OrderRequest:
    return order(order_id, order_type=OrderType.LIMIT, limit_price=Decimal(price), **rest)


def guarded(order_id: str, qty: str = "1") -> OrderRequest:
    bracket = Bracket(
        stop_order_id=f"{order_id}s",
        stop_price=Decimal(90),
        target_order_id=f"{order_id}t",
        target_price=Decimal(120),
    )
    return order(order_id, qty=qty, bracket=bracket)


async def open_ids(bench: Bench) -> list[str]:
    return sorted(shown.client_order_id for shown in await bench.gateway.open_orders())


def fills_in(updates: list[VenueUpdate]) -> list[Fill]:
    return [update for update in updates if isinstance(update, Fill)]


async def test_a_resting_order_is_shown_by_create_find_and_open_orders_alike(bench: Bench) -> None:
    shown = await bench.gateway.create(limit("a", 90))
    assert (shown.status, shown.qty, shown.filled_qty, shown.limit_price) == (OrderStatus.OPEN, 1, 0, 90)
    assert await bench.gateway.find("a") == shown
    assert await bench.gateway.open_orders() == [shown]


async def test_what_the_venue_never_saw_is_none(bench: Bench) -> None:
    assert await bench.gateway.find("ghost") is None
    assert await bench.gateway.cancel("ghost") is None


async def test_a_fill_is_told_once_and_named_after_venue_account_and_order(bench: Bench) -> None:
    await bench.gateway.create(order("a"))
    await bench.trade_at(100)
    (fill,) = fills_in(bench.gateway.drain())
    assert (fill.venue, fill.account) == (bench.gateway.venue, bench.gateway.account)
    assert (fill.client_order_id, fill.instrument, fill.side, fill.qty) == ("a", BTC.key, Side.BUY, 1)
    assert fill.price >= 100
    assert bench.gateway.drain() == []
    assert await bench.gateway.fills_since(0) == [fill]
    assert await open_ids(bench) == []


async def test_balances_move_by_exactly_the_fills_and_their_fees(bench: Bench) -> None:
    await bench.gateway.create(order("a", qty="2"))
    await bench.trade_at(100)
    await bench.gateway.create(order("b", Side.SELL, reduce_only=True))
    await bench.trade_at(110)
    expected = {"USDT": CASH, "BTC": Decimal(0)}
    for fill in await bench.gateway.fills_since(0):
        expected["BTC"] += fill.signed_qty
        expected["USDT"] -= fill.signed_qty * fill.price
        expected[fill.fee_asset] -= fill.fee
    assert await bench.gateway.balances() == expected


async def test_trade_ids_are_unique_and_fills_come_oldest_first(bench: Bench) -> None:
    for n in range(4):
        await bench.gateway.create(order(f"o{n}"))
        await bench.trade_at(100 + n)
        await bench.restart()
    fills = await bench.gateway.fills_since(0)
    assert [fill.client_order_id for fill in fills] == ["o0", "o1", "o2", "o3"]
    assert len({fill.trade_id for fill in fills}) == 4


async def test_asking_for_fills_from_the_last_one_on_misses_none(bench: Bench) -> None:
    await bench.gateway.create(order("a"))
    await bench.trade_at(100)
    (last,) = await bench.gateway.fills_since(0)
    await bench.gateway.create(order("b"))
    await bench.trade_at(100)
    assert "b" in [fill.client_order_id for fill in await bench.gateway.fills_since(last.ts_ms)]


# What the router and the resolver rely on (R9, R10).


async def test_a_venue_states_what_it_can_do_and_a_horizon_that_ends(bench: Bench) -> None:
    tier = bench.gateway.tier
    can = (tier.finds_by_client_id, tier.id_unique_forever, tier.attaches_brackets, tier.conditional_orders)
    assert all(type(each) is bool for each in (*can, tier.cancel_all_after))
    assert 0 <= tier.horizon_ms <= 10 * MINUTE_MS


@pytest.mark.fault("E01", "E03")
async def test_an_order_is_shown_by_its_id_within_the_horizon_of_its_venue(bench: Bench) -> None:
    if not bench.gateway.tier.finds_by_client_id:
        pytest.skip("this venue cannot be asked by our id")
    await bench.gateway.create(limit("a", 90))
    await bench.restart()
    shown = await bench.gateway.find("a")
    assert shown is not None
    assert (shown.client_order_id, shown.instrument, shown.side, shown.qty) == ("a", BTC.key, Side.BUY, 1)


@pytest.mark.fault("P05")
async def test_what_is_shown_as_filled_is_among_the_trades_of_the_same_moment(bench: Bench) -> None:
    await bench.gateway.create(order("a", qty="5"))
    await bench.trade_little_at(100)
    await bench.restart()
    shown = await bench.gateway.find("a")
    assert shown is not None
    fills = [fill for fill in await bench.gateway.fills_since(0) if fill.client_order_id == "a"]
    assert shown.filled_qty == sum(fill.qty for fill in fills) == 1


@pytest.mark.parametrize("ended", ["canceled", "filled"])
async def test_an_ended_order_is_still_shown_as_ended(bench: Bench, ended: str) -> None:
    if not bench.gateway.tier.finds_by_client_id:
        pytest.skip("this venue cannot be asked by our id")
    await bench.gateway.create(limit("a", 90))
    await (bench.gateway.cancel("a") if ended == "canceled" else bench.trade_at(80))
    await bench.restart()
    shown = await bench.gateway.find("a")
    assert shown is not None
    assert shown.status.value.lower() == ended
    assert await open_ids(bench) == []


async def test_asking_moves_nothing(bench: Bench) -> None:
    await bench.gateway.create(limit("a", 90))
    bench.gateway.drain()
    before = await bench.gateway.balances()
    for _ in range(3):
        await bench.gateway.find("a")
        await bench.gateway.open_orders()
        await bench.gateway.fills_since(0)
    assert bench.gateway.drain() == []
    assert (await bench.gateway.balances(), await open_ids(bench)) == (before, ["a"])


async def test_the_same_request_again_is_the_same_order(bench: Bench) -> None:
    await bench.gateway.create(limit("a", 90))
    try:
        again = await bench.gateway.create(limit("a", 90))
        assert (again.client_order_id, again.qty) == ("a", 1)
    except DuplicateIdError:
        pass  # as good: it is then asked for
    assert await open_ids(bench) == ["a"]
    await bench.trade_at(80)
    assert len(await bench.gateway.fills_since(0)) == 1


@pytest.mark.fault("E05")
@pytest.mark.parametrize("ended", [False, True])
async def test_a_used_id_creates_no_second_order_and_is_told_from_a_refusal(bench: Bench, ended: bool) -> None:
    if ended and not bench.gateway.tier.id_unique_forever:
        pytest.skip("at this venue an id is free again once its order has ended")
    await bench.gateway.create(limit("a", 90))
    if ended:
        await bench.trade_at(80)
    await bench.restart()
    with pytest.raises(DuplicateIdError):
        await bench.gateway.create(limit("a", 90, qty=Decimal(2)))
    await bench.trade_at(80)
    assert [fill.qty for fill in await bench.gateway.fills_since(0)] == [1]


async def test_an_order_that_ended_never_works_again(bench: Bench) -> None:
    await bench.gateway.create(limit("a", 90))
    await bench.gateway.cancel("a")
    bench.gateway.drain()
    await bench.trade_at(80)
    await bench.restart()
    await bench.trade_at(80)
    shown = await bench.gateway.find("a")
    assert shown is not None
    assert (shown.status, shown.filled_qty, bench.gateway.drain()) == (OrderStatus.CANCELED, 0, [])


@pytest.mark.fault("E15", "E16", "E17")
@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(order("a", qty="0"), id="no quantity"),
        pytest.param(order("a", qty="0.0005"), id="below the step"),
        pytest.param(limit("a", 90, qty=Decimal("0.05")), id="below the minimum value"),
        pytest.param(replace(limit("a", 90), limit_price=Decimal("90.001")), id="off the tick"),
        pytest.param(order("a", qty="200"), id="more than the money"),
        pytest.param(order("a", Side.SELL), id="a short"),
        pytest.param(order("a", Side.SELL, reduce_only=True), id="nothing to reduce"),
        pytest.param(order("a", instrument="paper:NO/SUCH"), id="unknown instrument"),
    ],
)
async def test_a_refused_order_does_not_exist_and_moves_nothing(bench: Bench, bad: OrderRequest) -> None:
    with pytest.raises(OrderRejectedError) as caught:
        await bench.gateway.create(bad)
    assert str(caught.value)
    assert await bench.gateway.find("a") is None
    assert await bench.gateway.open_orders() == []
    assert (await bench.gateway.balances())["USDT"] == CASH


@pytest.mark.fault("E38")
async def test_a_cancel_may_be_repeated(bench: Bench) -> None:
    await bench.gateway.create(limit("a", 90))
    first = await bench.gateway.cancel("a")
    assert first is not None
    assert first.status is OrderStatus.CANCELED
    assert await bench.gateway.cancel("a") == first
    await bench.trade_at(80)
    assert await bench.gateway.fills_since(0) == []


@pytest.mark.fault("E12", "E37")
async def test_a_cancel_of_a_filled_order_shows_it_filled(bench: Bench) -> None:
    await bench.gateway.create(order("a"))
    await bench.trade_at(100)
    shown = await bench.gateway.cancel("a")
    assert shown is not None
    assert (shown.status, shown.filled_qty) == (OrderStatus.FILLED, 1)
    assert len(fills_in(bench.gateway.drain())) == 1


@pytest.mark.fault("E11")
async def test_a_cancel_of_a_partly_filled_order_keeps_the_fill(bench: Bench) -> None:
    await bench.gateway.create(order("a", qty="5"))
    await bench.trade_little_at(100)
    shown = await bench.gateway.cancel("a")
    assert shown is not None
    assert (shown.status, shown.filled_qty) == (OrderStatus.CANCELED, 1)
    assert (await bench.gateway.balances())["BTC"] == 1


async def test_a_reduce_only_order_never_flips_the_position(bench: Bench) -> None:
    await bench.gateway.create(order("a"))
    await bench.trade_at(100)
    await bench.gateway.create(order("x", Side.SELL, "3", reduce_only=True))
    await bench.trade_at(100)
    assert (await bench.gateway.balances())["BTC"] == 0
    assert await open_ids(bench) == []


Scene = Callable[[Bench], Awaitable[None]]


async def resting(bench: Bench) -> None:
    await bench.gateway.create(limit("a", 90))


async def partly_filled(bench: Bench) -> None:
    await bench.gateway.create(guarded("a", "5"))
    await bench.trade_little_at(100)


async def protected(bench: Bench) -> None:
    await bench.gateway.create(guarded("a"))
    await bench.trade_at(100)


async def stopped(bench: Bench) -> None:
    await protected(bench)
    await bench.trade_at(80)


@pytest.mark.parametrize("scene", [resting, partly_filled, protected, stopped])
async def test_a_lost_client_changes_nothing_at_the_venue(bench: Bench, scene: Scene) -> None:
    async def truth() -> list[object]:
        found = [await bench.gateway.find(order_id) for order_id in ("a", "as", "at")]
        gateway = bench.gateway
        return [found, await gateway.open_orders(), await gateway.balances(), await gateway.fills_since(0)]

    await scene(bench)
    before = await truth()
    await bench.restart()
    assert await truth() == before


async def test_protection_rests_as_the_entry_fills_and_is_told_after_the_fill(bench: Bench) -> None:
    if not bench.gateway.tier.attaches_brackets:
        pytest.skip("this venue attaches no protective orders")
    await partly_filled(bench)
    fill, opened, *sizes = bench.gateway.drain()
    assert isinstance(fill, Fill)
    assert opened == StatusUpdate(client_order_ids=("as", "at"), status=OrderStatus.OPEN)
    assert sizes == [ResizeUpdate(client_order_id=order_id, qty=Decimal(1)) for order_id in ("as", "at")]
    await bench.trade_at(100)
    assert {(shown.client_order_id, shown.qty) for shown in await bench.gateway.open_orders()} == {("as", 5), ("at", 5)}


@pytest.mark.parametrize(("price", "filled", "ended"), [(80, "as", "at"), (130, "at", "as")])
async def test_one_protective_order_that_fills_ends_the_other(
    bench: Bench, price: int, filled: str, ended: str
) -> None:
    if not bench.gateway.tier.attaches_brackets:
        pytest.skip("this venue attaches no protective orders")
    await protected(bench)
    bench.gateway.drain()
    await bench.trade_at(price)
    updates = bench.gateway.drain()
    assert [fill.client_order_id for fill in fills_in(updates)] == [filled]
    assert [u.client_order_ids for u in updates if isinstance(u, StatusUpdate)] == [(ended,)]
    assert await open_ids(bench) == []


async def test_an_exit_ends_the_protection_with_the_position(bench: Bench) -> None:
    if not bench.gateway.tier.attaches_brackets:
        pytest.skip("this venue attaches no protective orders")
    await protected(bench)
    await bench.gateway.create(order("x", Side.SELL, reduce_only=True))
    await bench.trade_at(100)
    assert await open_ids(bench) == []


async def test_conditional_orders_are_among_the_open_ones(bench: Bench) -> None:
    if not bench.gateway.tier.conditional_orders:
        pytest.skip("this venue knows no conditional orders")
    await bench.gateway.create(order("a"))
    await bench.trade_at(100)
    stop = order("s", Side.SELL, order_type=OrderType.STOP, stop_price=Decimal(90), reduce_only=True)
    await bench.gateway.create(stop)
    assert await open_ids(bench) == ["s"]
    await bench.trade_at(85)
    assert [fill.client_order_id for fill in await bench.gateway.fills_since(0)] == ["a", "s"]
