"""Events as an engine makes them, for the tests and the bench of the store."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from engine.domain.decision import AnsweredBy, Direction, Disposition, Outcome
from engine.domain.events import (
    CycleDone,
    CycleHeld,
    CycleItem,
    Event,
    Filled,
    FundsMoved,
    Genesis,
    InstrumentListed,
    OrderIntended,
    OrdersUpdated,
)
from engine.domain.instrument import Instrument
from engine.domain.intent import Mode
from engine.domain.market import SourceKind
from engine.domain.order import Fill, Liquidity, OrderRole, OrderStatus, OrderType, Side
from engine.domain.risk import CheckCode, RiskCheck, Verdict
from engine.ids import client_order_id, cycle_id

STORE_ID = "0123abcd"
START_MS = 1_700_000_000_000
MINUTE_MS = 60_000
KEY = "paper:BTC/USDT"
AGENT = "demo-sma"

GENESIS = Genesis(
    store_id=STORE_ID,
    schema=1,
    mode=Mode.PAPER,
    source_kind=SourceKind.REPLAY.value,
    account_currency="USDT",
    usd_peg=("USDT", "USDC"),
)
LIVE_DATA = replace(GENESIS, source_kind=SourceKind.LIVE.value)
BTC = Instrument(
    venue="paper",
    symbol="BTC/USDT",
    base="BTC",
    quote="USDT",
    price_tick=Decimal("0.01"),
    qty_step=Decimal("0.00001"),
    min_notional=Decimal(5),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
    aliases=("BTCUSDT", "BTC-USD"),
)
OPENING: tuple[Event, ...] = (
    InstrumentListed(instrument=BTC),
    FundsMoved(asset="USDT", amount=Decimal(100_000), value=Decimal(100_000), reason="starting cash"),
)
HELD = CycleHeld(agent=AGENT, items=f"{KEY}=no cross")


def checks(price: Decimal, qty: Decimal, side: Side) -> tuple[RiskCheck, ...]:
    """Return what the guardrails say to an entry (all of them) or an exit (those that concern it)."""
    worth, code = f"{price * qty:.2f}", CheckCode
    either = (
        (code.TRADING_STATE, "ACTIVE", "ACTIVE, or an exit"),
        (code.AGENT_STATE, "RUNNING", "RUNNING"),
        (code.CONFIDENCE, "0.74", "0.6"),
        (code.DUPLICATE_DECISION, "new", "an id trades once"),
        (code.ORDER_WORKING, "0 working", "0"),
        (code.MARKET_CLOSED, "open", "open"),
        (code.PRICE_AGE, "0s old", "90s"),
        (code.PRICE_COLLAR, f"{price / 100_000:.2f}% from median", "10% from median"),
        (code.SHORT_NOT_ALLOWED, f"{qty}", "0 or more"),
        (code.QTY_STEP, f"{qty}", "step 0.00001"),
        (code.MIN_NOTIONAL, worth, "5"),
    )
    entry = (
        (code.NOT_ALLOWED, KEY, "the agent's list"),
        (code.BLOCKED, KEY, "not on the block list"),
        (code.STOP_INVALID, f"{price * 98 / 100:.2f}", f"below {price}"),
        (code.COOLDOWN, f"{qty * 1000:.1f}m since a loss", "30m"),
        (code.TRADES_PER_DAY, f"{price % 60:.0f} today", "100"),
        (code.ACCOUNT_TRADES_PER_DAY, f"{price % 60:.0f} today", "50"),
        (code.OPEN_POSITIONS, "1 others open", "5"),
        (code.RISK_PER_TRADE, f"{price * qty / 50:.2f} at risk", "1% of 98765.43"),
        (code.POSITION_NOTIONAL, worth, "10000"),
        (code.PORTFOLIO_SHARE, f"{price * qty / 1000:.2f}%", "25%"),
        (code.BUYING_POWER, f"{price * qty * 101 / 100:.2f}", f"{price * 2:.2f} free"),
    )
    rows = either + entry if side is Side.BUY else either
    return tuple(RiskCheck(each, Verdict.PASS, observed, limit) for each, observed, limit in rows)


def decided(ts_ms: int, price: Decimal, qty: Decimal, side: Side) -> CycleDone:
    """Return the summary of a cycle that bought or sold."""
    average = price - Decimal("7.25")
    before, after = (Decimal(0), qty) if side is Side.BUY else (qty, Decimal(0))
    word = "above" if side is Side.BUY else "below"
    item = CycleItem(
        instrument=KEY,
        direction=Direction.BUY if side is Side.BUY else Direction.FLAT,
        disposition=Disposition.ACTED,
        current_qty=before,
        target_qty=after,
        confidence=Decimal("0.74"),
        price=price,
        price_ms=ts_ms,
        rationale=f"SMA 20 crossed {word} SMA 50: {price - 3} over {average}, as it should",
        features=f"sma_20={price - 3};sma_50={average};sma_20_prev={price - 9};sma_50_prev={average + 5}",
        bound_by="",
        checks=checks(price, qty, side),
    )
    return CycleDone(
        cycle_id=cycle_id(AGENT, ts_ms),
        agent=AGENT,
        trigger="candle",
        model="heuristic:sma_cross",
        outcome=Outcome.DECIDED,
        answered_by=AnsweredBy.LIVE,
        detail="",
        items=(item,),
    )


def intended(ts_ms: int, price: Decimal, qty: Decimal, side: Side) -> OrderIntended:
    """Return the order of that cycle, with the ids it would have."""
    cycle = cycle_id(AGENT, ts_ms)
    return OrderIntended(
        intent_id=f"{cycle}:{KEY}",
        client_order_id=client_order_id(STORE_ID, f"{cycle}:{KEY}"),
        cycle_id=cycle,
        agent=AGENT,
        instrument=KEY,
        role=OrderRole.ENTRY if side is Side.BUY else OrderRole.EXIT,
        side=side,
        order_type=OrderType.MARKET,
        qty=qty,
        price=price,
    )


def filled(order: OrderIntended, ts_ms: int, trade: int, price: Decimal, qty: Decimal | None = None) -> Filled:
    """Return a fill of an order, in full unless a quantity is named, with its fee in quote."""
    amount = order.qty if qty is None else qty
    fill = Fill(
        venue="paper",
        account="paper",
        instrument=order.instrument,
        trade_id=f"p{trade}",
        client_order_id=order.client_order_id,
        side=order.side,
        qty=amount,
        price=price,
        fee=amount * price / 1000,
        fee_asset="USDT",
        liquidity=Liquidity.TAKER,
        ts_ms=ts_ms,
    )
    return Filled(agent=order.agent, role=order.role, fill=fill)


def trade(ts_ms: int, number: int, side: Side, price: Decimal, qty: Decimal) -> list[tuple[int, Event]]:
    """Return one decision that acted, from its cycle to its fill a minute later."""
    order = intended(ts_ms, price, qty, side)
    return [
        (ts_ms, decided(ts_ms, price, qty, side)),
        (ts_ms, order),
        (ts_ms, OrdersUpdated(client_order_ids=(order.client_order_id,), status=OrderStatus.OPEN)),
        (ts_ms + MINUTE_MS, filled(order, ts_ms + MINUTE_MS, number, price)),
    ]


def round_trips(count: int, *, start_ms: int = START_MS, first: int = 0) -> list[tuple[int, Event]]:
    """Return buys and sells in turn, with prices and quantities that vary. first: how many there were before."""
    events: list[tuple[int, Event]] = []
    qty = Decimal(0)
    for number in range(first, first + count):
        ts_ms = start_ms + (number - first) * 10 * MINUTE_MS
        price = Decimal(42_000) + Decimal(number * 7919 % 200_000) / 100
        side = Side.BUY if number % 2 == 0 else Side.SELL
        qty = Decimal(1000 + number * 7919 % 20_000) / 100_000 if side is Side.BUY else qty
        events += trade(ts_ms, number + 1, side, price, qty)
    return events
