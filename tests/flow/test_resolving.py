"""The trader's word on an order that nobody else can tell: said first, journaled, and only what can be put right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine import api
from engine.agents.cycle import Desk
from engine.clock import ManualClock
from engine.control.core import Core
from engine.control.handlers import Handlers
from engine.control.stream import lines_of
from engine.control.views import snapshot
from engine.domain.events import EntriesBlocked, OrdersResolved, Recorded
from engine.domain.market import Source, SourceKind
from engine.domain.order import OrderStatus, OrderType
from engine.domain.policy import Policy
from engine.domain.valuation import Valuation
from engine.execution.latch import SendLatch
from engine.execution.router import Router
from engine.market.state import MarketState
from engine.paths import StorePaths
from engine.risk.approvals import Approvals
from engine.risk.surroundings import Surroundings
from engine.runtime.reads import verify
from engine.store.journal import Journal
from tests.flow.faulty_venue import TIER, FaultyVenue
from tests.unit.desk_kit import BTC, CASH, START_MS, STORE_ID, Bench, buy, first_rows

ENTRY = buy(order_type=OrderType.LIMIT, limit_price=Decimal(40_000))


@dataclass
class Market(FaultyVenue):
    """The venue a core is given: no candle moves it."""

    def on_instant(self, instant: object) -> None:
        """Do nothing."""


class Engine:
    """A core with its handlers, before a venue that fails as told."""

    def __init__(self, root: Path) -> None:
        self.paths, self.clock = StorePaths(root), ManualClock(START_MS)
        self.venue = Market(self.clock)
        self.journal = Journal.create(self.paths, START_MS, *first_rows())
        self.books = self.journal.books
        valuation, latch = Valuation("USD", ("USDT",)), SendLatch(self.books)
        valuation.list_instrument(BTC)
        self.router = Router(self.journal, self.venue, latch, self.clock, STORE_ID, lambda _intent: "")
        around = Surroundings(self.books, MarketState(60_000), valuation, Policy())
        desk = Desk(self.journal, around.market, around, Approvals(), self.router, self.clock, "policy")
        source = Source(kind=SourceKind.SIMULATED, name="test")
        self.core = Core(desk, self.venue, latch, Policy(), [], source)  # type: ignore[arg-type]
        self.handlers = Handlers(self.core, nothing_to_read)

    async def lose(self, fault: str = "lost on the way") -> str:
        """Send an entry with protection, and never hear of it."""
        prepared = self.router.prepare(ENTRY)
        self.journal.record(self.clock.now_ms(), *prepared.events)
        self.venue.fault = fault
        await self.router.send(prepared)
        return prepared.request.client_order_id

    async def say(self, order_id: str, assume: str, reason: str = "seen at the venue") -> api.Reply:
        return await self.handlers.handle(api.Resolve(client_order_id=order_id, assume=assume, reason=reason))

    def rows(self, kind: type) -> list[Any]:
        return Bench.rows(self, kind)  # type: ignore[arg-type]


async def nothing_to_read(name: str, args: dict[str, str]) -> Any:
    """Answer no question."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(tmp_path / "s")
    yield made
    made.journal.close()


async def test_without_a_reason_it_is_said_what_would_be_assumed_and_nothing_is_done(engine: Engine) -> None:
    order_id = await engine.lose()
    rows = engine.journal.seq
    reply = await engine.say(order_id, "not-sent", " ")
    assert not reply.ok
    assert reply.text.startswith("Nothing assumed yet.")
    assert "never reached the venue" in reply.text
    assert "may still show it within 30 s" in reply.text
    assert (engine.journal.seq, engine.books.orders[order_id].status) == (rows, OrderStatus.UNKNOWN)


@pytest.mark.parametrize(("assume", "status"), [("not-sent", OrderStatus.NOT_SENT), ("canceled", OrderStatus.CANCELED)])
async def test_word_of_the_trader_ends_the_order_and_its_protection_and_is_journaled(
    engine: Engine, assume: str, status: OrderStatus
) -> None:
    order_id = await engine.lose()
    reply = await engine.say(order_id[:12], assume)
    assert (reply.ok, reply.text.startswith(f"Assumed: order {order_id} ")) == (True, True)
    assert {order.status for order in engine.books.all_orders()} == {status}
    assert not engine.books.orders
    assert engine.core.desk.surroundings.free_cash(BTC) == CASH
    (said,) = engine.rows(OrdersResolved)
    assert (said.status, said.actor, said.reason, len(said.client_order_ids)) == (
        status,
        "trader",
        "seen at the venue",
        3,
    )
    assert verify(engine.paths.root).ok


@pytest.mark.fault("E04")
async def test_word_that_was_wrong_is_put_right_by_the_venue(engine: Engine) -> None:
    order_id = await engine.lose()
    await engine.say(order_id, "not-sent")
    engine.venue.accept(engine.router.prepare(ENTRY).request)
    engine.venue.fill(order_id, "0.5")
    await engine.core.on_heartbeat()
    engine.router.pump()
    assert engine.books.position("a", BTC.key).qty == Decimal("0.5")
    shown = snapshot(engine.core, mono_ms=0, progress=None, finished=False)
    assert order_id in shown.blocked[BTC.key]
    refused = await engine.handlers.handle(api.Unblock(instrument=BTC.key))
    assert (refused.ok, order_id in refused.text) == (False, True)
    lifted = await engine.handlers.handle(api.Unblock(instrument=BTC.key, reason="known now"))
    assert (lifted.ok, engine.books.held_up) == (True, {})
    assert engine.rows(EntriesBlocked)[-1].note == "known now"
    again = await engine.handlers.handle(api.Unblock(instrument=BTC.key, reason="twice"))
    assert (again.ok, "is not held up" in again.text) == (False, True)


async def test_venue_that_answers_after_all_is_believed_before_the_trader(engine: Engine) -> None:
    order_id = await engine.lose("accepted, then a timeout")
    reply = await engine.say(order_id, "not-sent")
    assert "is OPEN. Nothing was assumed." in reply.text
    assert engine.rows(OrdersResolved) == []


async def test_that_it_filled_is_never_assumed(engine: Engine) -> None:
    order_id = await engine.lose()
    reply = await engine.say(order_id, "filled")
    assert (reply.ok, "the venue's own trades" in reply.text) == (False, True)
    assert engine.books.orders[order_id].status is OrderStatus.UNKNOWN


@pytest.mark.parametrize(
    ("named", "assume", "said"),
    [
        ("", "canceled", "an empty id names no order in doubt"),
        ("ffff", "canceled", "ffff names no order in doubt"),
        (STORE_ID, "lost", "'lost' is no assumption"),
    ],
)
async def test_what_cannot_be_meant_is_refused_in_a_sentence(
    engine: Engine, named: str, assume: str, said: str
) -> None:
    await engine.lose()
    reply = await engine.say(named, assume)
    assert (reply.ok, said in reply.text) == (False, True)


async def test_order_whose_cancel_is_pending_was_sent_and_can_only_be_gone(engine: Engine) -> None:
    order_id = await engine.lose("")
    engine.venue.down = 2
    await engine.router.cancel([order_id])
    refused = await engine.say(order_id, "not-sent")
    assert "only one that is UNKNOWN may never have been sent" in refused.text
    assert (await engine.say(order_id, "canceled")).ok
    assert engine.books.order(order_id).status is OrderStatus.CANCELED  # type: ignore[union-attr]


async def test_venue_without_lookup_by_our_id_is_settled_by_the_trader(engine: Engine) -> None:
    engine.venue.tier = replace(TIER, finds_by_client_id=False, horizon_ms=0)
    order_id = await engine.lose()
    for _ in range(20):
        engine.clock.advance_ms(1_000)
        await engine.core.on_heartbeat()
    assert engine.books.orders[order_id].status is OrderStatus.UNKNOWN
    assert (await engine.say(order_id, "not-sent")).ok
    assert not engine.core.resolver.has_work or not engine.books.in_doubt


def test_stream_says_what_was_assumed_by_whom_and_what_is_held_up() -> None:
    said = OrdersResolved(client_order_ids=("o",), status=OrderStatus.NOT_SENT, actor="trader", reason="looked")
    (line,) = lines_of(Recorded(1, START_MS, said))
    assert (line.outcome, line.why) == ("ASSUMED NOT_SENT", "by trader: looked")
    (line,) = lines_of(Recorded(2, START_MS, EntriesBlocked(instrument="x", reason="why", actor="engine")))
    assert (line.instrument, line.outcome, line.why) == ("x", "BLOCKED", "why")
