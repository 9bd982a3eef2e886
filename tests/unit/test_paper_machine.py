"""Whatever is ordered and however the market moves: money is kept, nothing is oversold, nothing goes short."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.domain.order import Fill, OrderType, Side
from engine.domain.policy import PaperSettings
from engine.execution.gateway import OrderRejectedError, ResizeUpdate, StatusUpdate
from tests.unit.paper_kit import BTC, ETHBTC, SETTINGS, Venue, request

STEP, TICK = BTC.qty_step, BTC.price_tick
GROUPS = st.sampled_from(["", "dip", "trend"])
QTY = st.integers(1, 30_000).map(lambda n: n * STEP)
PRICE = st.integers(8_000, 12_000).map(lambda n: n * TICK)
VOLUME = st.sampled_from(["0", "0.005", "20", "1000"])


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a call that never suspends, so that none needs a loop of its own."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("a method of the paper gateway suspended")


class PaperMachine(RuleBasedStateMachine):
    """One account in two pairs, BTC/USDT and ETH/BTC, under random orders and candles."""

    fee_asset = "quote"
    settings_of_venue: PaperSettings = SETTINGS

    def __init__(self) -> None:
        super().__init__()
        btc = replace(BTC, fee_asset=self.fee_asset)
        self.eth = replace(ETHBTC, fee_asset=self.fee_asset)
        self.deposits = {"USDT": "1500", "BTC": "3", "BNB": "0.001"}
        rates = {"BNB": Decimal(500)}
        self.venue = Venue(btc, self.eth, settings=self.settings_of_venue, deposits=self.deposits, fee_rates=rates)
        self.venue.candle("0.05", "0.05", "0.05", "0.05", key=self.eth.key)
        self.ids: list[str] = []
        self.fills: list[Fill] = []
        self.asked: dict[str, Decimal] = {}
        self.statuses: dict[str, list[str]] = defaultdict(list)

    def order(self, side: Side, qty: Decimal, **rest: Any) -> None:
        order_id = f"o{len(self.ids)}"
        try:
            run(self.venue.gateway.create(request(order_id, side, qty, **rest)))
        except OrderRejectedError:
            return
        self.ids.append(order_id)
        self.asked.update({order_id: qty, f"{order_id}-stop": qty, f"{order_id}-target": qty})

    @rule(qty=QTY, price=st.none() | PRICE, kind=st.sampled_from(["limit", "stop", "target"]), group=GROUPS)
    def buy(self, qty: Decimal, price: Decimal | None, kind: str, group: str) -> None:
        self.order(Side.BUY, qty, group=group, **({} if price is None else {kind: price}))

    @rule(qty=QTY, group=GROUPS, bracket=st.sampled_from([(95, None), (None, 105), (95, 105)]))
    def buy_with_bracket(self, qty: Decimal, group: str, bracket: tuple[int | None, int | None]) -> None:
        self.order(Side.BUY, qty, group=group, bracket=bracket)

    @rule(
        qty=QTY,
        price=st.none() | PRICE,
        kind=st.sampled_from(["limit", "stop", "target"]),
        group=GROUPS,
        reduce=st.booleans(),
    )
    def sell(self, qty: Decimal, price: Decimal | None, kind: str, group: str, reduce: bool) -> None:
        self.order(Side.SELL, qty, group=group, reduce=reduce, **({} if price is None else {kind: price}))

    @rule(qty=st.integers(1, 100), group=GROUPS)
    def buy_with_coins(self, qty: int, group: str) -> None:
        self.order(Side.BUY, Decimal(qty), key=self.eth.key, limit="0.05", group=group)

    @rule(volume=VOLUME)
    def candle_of_coins(self, volume: str) -> None:
        self.venue.candle("0.05", "0.06", "0.04", "0.05", volume, key=self.eth.key)

    @precondition(lambda self: self.ids)
    @rule(data=st.data(), part=st.sampled_from(["", "-stop", "-target"]))
    def cancel(self, data: st.DataObject, part: str) -> None:
        run(self.venue.gateway.cancel(data.draw(st.sampled_from(self.ids)) + part))

    @rule(prices=st.tuples(PRICE, PRICE, PRICE, PRICE), volume=VOLUME)
    def candle(self, prices: tuple[Decimal, Decimal, Decimal, Decimal], volume: str) -> None:
        self.venue.candle(prices[0], max(prices), min(prices), prices[1], volume)

    @rule(bid=PRICE, spread=st.integers(0, 100), size=st.none() | QTY)
    def quote(self, bid: Decimal, spread: int, size: Decimal | None) -> None:
        self.venue.quote(bid, bid + spread * TICK, size, size)

    def hear(self) -> None:
        """Take in what the venue has told; invariants run in no order of ours, so each asks for this first."""
        for update in self.venue.gateway.drain():
            if isinstance(update, Fill):
                self.fills.append(update)
            elif isinstance(update, ResizeUpdate):
                self.asked[update.client_order_id] = update.qty
            else:
                self.note(update)

    @invariant()
    def money_is_deposits_and_fills_and_fees_and_never_negative(self) -> None:
        self.hear()
        expected = defaultdict(Decimal, {asset: Decimal(amount) for asset, amount in self.deposits.items()})
        for fill in self.fills:
            base, quote = fill.instrument.removeprefix("paper:").split("/")
            expected[base] += fill.signed_qty
            expected[quote] -= fill.signed_qty * fill.price
            expected[fill.fee_asset] -= fill.fee
        balances = run(self.venue.gateway.balances())
        assert {a: v for a, v in balances.items() if v} == {a: v for a, v in expected.items() if v}
        assert min(balances.values()) >= 0

    def note(self, update: StatusUpdate) -> None:
        for order_id in update.client_order_ids:
            assert "CANCELED" not in self.statuses[order_id], "a terminal order moved"
            self.statuses[order_id].append(str(update.status))

    @invariant()
    def fills_are_on_tick_and_step_and_within_their_orders(self) -> None:
        self.hear()
        filled: dict[str, Decimal] = defaultdict(Decimal)
        for fill in self.fills:
            assert fill.price % TICK == 0
            assert fill.price > 0
            assert fill.qty % STEP == 0
            assert fill.qty > 0
            filled[fill.client_order_id] += fill.qty
        for order_id, qty in filled.items():
            shown = run(self.venue.gateway.find(order_id))
            assert qty == shown.filled_qty
            assert qty <= self.asked[order_id]
            assert shown.status.is_terminal or shown.qty > qty
        assert len({fill.trade_id for fill in self.fills}) == len(self.fills)

    @invariant()
    def protection_never_covers_more_than_is_held(self) -> None:
        cover: dict[tuple[str, str, OrderType], Decimal] = defaultdict(Decimal)
        for order in self.venue.gateway._book.open_orders():  # the group is not in what the protocol shows
            if order.request.reduce_only and order.request.order_type in (OrderType.STOP, OrderType.TAKE_PROFIT):
                cover[order.request.instrument, order.request.group, order.request.order_type] += order.open_qty
        for (key, group, _), qty in cover.items():
            held = self.venue.gateway._money.holding(self.venue.gateway._instruments[key], group)
            assert qty <= held

    @invariant()
    def every_partly_filled_entry_still_has_the_protection_it_asked_for(self) -> None:
        for order_id in self.ids:
            entry = self.venue.gateway._book.find(order_id)
            assert entry is not None
            if not entry.request.bracket or not entry.status.is_working or not entry.filled:
                continue
            for leg in ("-stop", "-target"):
                shown = run(self.venue.gateway.find(order_id + leg))
                if shown is not None and shown.reason != "canceled":
                    assert shown.status.is_working


class PaperMachineWithFeesInBase(PaperMachine):
    fee_asset = "base"


class PaperMachineWithFeesInAThirdAsset(PaperMachine):
    fee_asset = "BNB"
    settings_of_venue = replace(SETTINGS, latency_ms=500, volume_share_frac=Decimal(1))


EFFORT = settings(max_examples=60, stateful_step_count=40)
for machine in (PaperMachine, PaperMachineWithFeesInBase, PaperMachineWithFeesInAThirdAsset):
    machine.TestCase.settings = EFFORT
TestInQuote = PaperMachine.TestCase
TestInBase = PaperMachineWithFeesInBase.TestCase
TestInAThirdAsset = PaperMachineWithFeesInAThirdAsset.TestCase


def test_no_method_of_the_gateway_suspends() -> None:
    venue = Venue()
    run(venue.gateway.create(request("e1", Side.BUY, 1)))
    assert asyncio.run(venue.working()) == run(venue.working()) == {"e1": "1"}
