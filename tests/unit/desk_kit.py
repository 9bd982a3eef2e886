"""A router on a real store, before a venue that does exactly what a test tells it to."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.clock import ManualClock
from engine.domain.events import FundsMoved, Genesis, InstrumentListed, StateChanged
from engine.domain.instrument import Instrument
from engine.domain.intent import Intent, Mode
from engine.domain.order import Fill, Liquidity, OrderRequest, OrderRole, OrderStatus, OrderType, Side
from engine.domain.policy import TradingState
from engine.execution.gateway import VenueOrder, VenueTier, VenueUpdate
from engine.execution.latch import SendLatch
from engine.execution.router import Router
from engine.paths import StorePaths
from engine.store.journal import Journal

STORE_ID = "0123abcd"
START_MS = 1_767_225_600_000
CASH = Decimal(100_000)
BTC = Instrument(
    venue="fake", symbol="BTC/USDT", base="BTC", quote="USDT", price_tick=Decimal("0.01"),
    qty_step=Decimal("0.001"), min_notional=Decimal(5), maker_fee=Decimal("0.001"), taker_fee=Decimal("0.001"),
)  # fmt: skip
ETH = Instrument(
    venue="fake", symbol="ETH/USDT", base="ETH", quote="USDT", price_tick=Decimal("0.01"),
    qty_step=Decimal("0.001"), min_notional=Decimal(5), maker_fee=Decimal("0.001"), taker_fee=Decimal("0.001"),
    fee_asset="base",
)  # fmt: skip


TIER = VenueTier(
    finds_by_client_id=True, id_unique_forever=True, horizon_ms=0, attaches_brackets=True, conditional_orders=True,
    cancel_all_after=False,
)  # fmt: skip


@dataclass
class FakeVenue:
    """A Gateway whose answers are laid down beforehand.

    answer: raised by create when it is an exception, else create's status. cancels: raised by cancel, by order id.
    shown, held, fills, told: what find, balances, fills_since and drain give.
    """

    venue: str = "fake"
    account: str = "main"
    tier: VenueTier = TIER
    answer: Exception | OrderStatus = OrderStatus.OPEN
    cancels: dict[str, Exception] = field(default_factory=dict)
    shown: dict[str, VenueOrder] = field(default_factory=dict)
    held: dict[str, Decimal] = field(default_factory=lambda: {"USDT": CASH})
    fills: list[Fill] = field(default_factory=list)
    told: list[VenueUpdate] = field(default_factory=list)
    created: list[OrderRequest] = field(default_factory=list)

    async def create(self, request: OrderRequest) -> VenueOrder:
        self.created.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.show(request, self.answer)

    async def cancel(self, client_order_id: str) -> VenueOrder | None:
        if client_order_id in self.cancels:
            raise self.cancels[client_order_id]
        return self.shown.get(client_order_id)

    async def find(self, client_order_id: str) -> VenueOrder | None:
        return self.shown.get(client_order_id)

    async def open_orders(self) -> list[VenueOrder]:
        return [order for order in self.shown.values() if order.status.is_working]

    async def balances(self) -> dict[str, Decimal]:
        return dict(self.held)

    async def fills_since(self, ts_ms: int) -> list[Fill]:
        return [fill for fill in self.fills if fill.ts_ms >= ts_ms]

    def drain(self) -> list[VenueUpdate]:
        told, self.told = self.told, []
        return told

    def show(self, request: OrderRequest, status: OrderStatus, filled: str = "0", qty: str = "") -> VenueOrder:
        """Let the venue know an order, in some state."""
        order = VenueOrder(
            client_order_id=request.client_order_id, instrument=request.instrument, side=request.side,
            order_type=request.order_type, qty=Decimal(qty) if qty else request.qty, filled_qty=Decimal(filled),
            status=status,
        )  # fmt: skip
        self.shown[request.client_order_id] = order
        return order


class Bench:
    """A journal, books, a latch and a router on one fake venue."""

    def __init__(self, root: Path, venue: FakeVenue | None = None) -> None:
        self.paths, self.clock = StorePaths(root), ManualClock(START_MS)
        self.venue = venue or FakeVenue()
        if self.paths.store_db.exists():
            self.journal = Journal.open(self.paths)
        else:
            self.journal = Journal.create(self.paths, START_MS, *first_rows())
        self.books = self.journal.books
        self.latch = SendLatch(self.books, self.paths.halt_latch)
        self.router = Router(self.journal, self.venue, self.latch, self.clock, STORE_ID, lambda _intent: "")

    async def place(self, intent: Intent) -> OrderStatus:
        """Write an intent's rows and send it."""
        prepared = self.router.prepare(intent)
        self.journal.record(self.clock.now_ms(), *prepared.events)
        return await self.router.send(prepared)

    def statuses(self) -> dict[OrderRole, OrderStatus]:
        """Return role -> status over all orders."""
        known = (*self.books.orders.values(), *self.books.closed_orders.values())
        return {order.role: order.status for order in known}

    def rows(self, kind: type) -> list[Any]:
        """Return the journal's events of a kind."""
        import sqlite3

        from engine.store.rows import event_of

        with sqlite3.connect(self.paths.store_db) as db:
            found = db.execute("SELECT kind, payload FROM journal WHERE kind = ? ORDER BY seq", (kind.KIND,)).fetchall()
        return [event_of(number, kept) for number, kept in found]


def first_rows() -> tuple[Genesis, FundsMoved, StateChanged, InstrumentListed, InstrumentListed]:
    return (
        Genesis(
            store_id=STORE_ID, schema=1, mode=Mode.PAPER, source_kind="SIMULATED", account_currency="USD",
            usd_peg=("USDT",),
        ),
        FundsMoved(asset="USDT", amount=CASH, value=CASH, reason="starting cash"),
        StateChanged(state=TradingState.ACTIVE, actor="test", reason="new store"),
        InstrumentListed(instrument=BTC),
        InstrumentListed(instrument=ETH),
    )  # fmt: skip


def buy(intent_id: str = "a.1:fake:BTC/USDT", **changes: Any) -> Intent:
    """Return an entry of one coin at 50,000 with a stop and a target."""
    fields: dict[str, Any] = {
        "intent_id": intent_id, "cycle_id": "a.1", "agent": "a", "instrument": BTC.key, "role": OrderRole.ENTRY,
        "side": Side.BUY, "order_type": OrderType.MARKET, "qty": Decimal(1), "price": Decimal(50_000),
        "stop_price": Decimal(49_000), "target_price": Decimal(52_000), "created_ms": START_MS,
    }  # fmt: skip
    return Intent(**{**fields, **changes})


def bare(intent_id: str = "a.1:fake:BTC/USDT", **changes: Any) -> Intent:
    """Return an entry without protection."""
    return buy(intent_id, stop_price=None, target_price=None, **changes)


def fill_of(order_id: str, trade_id: str = "t1", **changes: Any) -> Fill:
    """Return a fill of one coin bought at 50,000 with a fee of 50 in quote."""
    fields: dict[str, Any] = {
        "venue": "fake", "account": "main", "instrument": BTC.key, "trade_id": trade_id, "client_order_id": order_id,
        "side": Side.BUY, "qty": Decimal(1), "price": Decimal(50_000), "fee": Decimal(50), "fee_asset": "USDT",
        "liquidity": Liquidity.TAKER, "ts_ms": START_MS,
    }  # fmt: skip
    return Fill(**{**fields, **changes})
