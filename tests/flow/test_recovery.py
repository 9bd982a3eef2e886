"""What happened at the venue while the engine was down: explained, or a difference that waits for its trader (R14)."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine import api
from engine.control import views
from engine.domain.agent import EXTERNAL as NOBODY
from engine.domain.agent import AgentConfig
from engine.domain.decision import DecisionDraft
from engine.domain.events import Filled
from engine.domain.intent import Intent
from engine.domain.market import Candle, Instant, Source, SourceKind
from engine.domain.order import OrderRequest, OrderRole, OrderStatus, OrderType, Side
from engine.domain.policy import KillLimits, PaperSettings, Policy, TradingState
from engine.ids import client_order_id
from engine.paths import StorePaths
from engine.runtime.reads import reading, verify
from engine.store import queries
from engine.store.rows import event_of

BTC = "paper:BTC/USDT"
BUY: dict[str, object] = {"direction": api.Direction.BUY}
FLAT: dict[str, object] = {"direction": api.Direction.FLAT}
FAR = Decimal("0.9")
WIDE = KillLimits(gain_frac=Decimal(9), loss_frac=FAR, drawdown_frac=Decimal("0.05"), daily_loss_frac=FAR)
FREE = PaperSettings(half_spread_frac=Decimal(0), slippage_frac=Decimal(0), volume_share_frac=Decimal(1))
SOURCE = Source(kind=SourceKind.SIMULATED, name="by hand")
Make = Callable[..., Awaitable[Any]]


class Desk:
    """One store and its venue over several lives of an engine; between two of them the venue goes on alone."""

    def __init__(self, make: Make, root: Path, agent: AgentConfig) -> None:
        self._make, self.root, self._agent = make, root, agent
        self.world: Any = None

    async def start(self, script: dict[int, dict[str, object]] | None = None) -> Any:
        """End the life before, if any, and begin the next."""
        if self.world is not None:
            self.world.close()
        policy = Policy(kill=WIDE, paper=FREE)
        self.world = await self._make(script or {}, agent=self._agent, policy=policy, root=self.root, durable=True)
        return self.world

    @property
    def venue(self) -> Any:
        return self.world.parts.gateway

    async def by_hand(self, order_id: str = "by hand", qty: str = "0.5", limit: str | None = None) -> None:
        """Let somebody place an order at the venue, past the engine."""
        kind, price = (OrderType.MARKET, None) if limit is None else (OrderType.LIMIT, Decimal(limit))
        await self.venue.create(
            OrderRequest(
                client_order_id=order_id, instrument=BTC, side=Side.BUY, order_type=kind, qty=Decimal(qty),
                limit_price=price,
            )
        )  # fmt: skip

    def venue_bar(self, price: str) -> None:
        """Let the venue live through a bar that the engine never sees."""
        now_ms, at = self.world.clock.now_ms() + 60_000, Decimal(price)
        candle = Candle(BTC, now_ms, 60_000, at, at, at, at, Decimal(1000), SOURCE)
        self.venue.on_instant(Instant(now_ms + 60_000, (candle,)))
        self.venue.drain()

    async def tell(self, command: api.Command) -> api.Reply:
        return await self.world.handlers.handle(command)

    def found(self) -> list[dict[str, Any]]:
        """Return the differences of the store, oldest first, as the CLI shows them."""
        with reading(self.root) as reader:
            return reader.read(queries.differences())[::-1]

    def kinds(self) -> list[tuple[str, str | None]]:
        return [(row["kind"], row["how"]) for row in self.found()]

    def fills(self) -> list[Filled]:
        with sqlite3.connect(StorePaths(self.root).store_db) as db:
            rows = db.execute("SELECT kind, payload FROM journal WHERE kind = 23 ORDER BY seq").fetchall()
        return [event_of(kind, kept) for kind, kept in rows]  # type: ignore[misc]

    def ids(self) -> list[str]:
        return [found.difference_id for found in self.world.books.differences.values()]


@pytest.fixture
def desk(make_world: Make, tmp_path: Path, tester: AgentConfig) -> Desk:
    bare = replace(tester, protection=replace(tester.protection, stop_frac=None, target_frac=None))
    return Desk(make_world, tmp_path / "kept", bare)


async def may_enter(world: Any) -> str:
    """Return "" when a ticket to buy would pass, else the check that refuses it."""
    order = api.Ticket(instrument=BTC, side=api.Side.BUY, order_type=api.OrderType.MARKET, qty=Decimal("0.1"))
    shown = (await world.handlers.handle(api.PreviewTicket(ticket=order))).data
    return next((check.code.value for check in shown.checks if check.verdict is api.Verdict.REFUSE), "")


# What our own orders explain


@pytest.mark.fault("P05", "P06", "P08", "P09")
async def test_fill_we_were_not_told_of_is_booked_to_its_agent_once_over_any_number_of_starts(desk: Desk) -> None:
    world = await desk.start({0: BUY})
    await world.bar("50000")
    desk.venue_bar("50000")
    assert world.position() == 0
    world = await desk.start()
    assert (world.position(), world.books.blocked) == (1, {})
    assert desk.kinds() == [("MISSED_FILL", "EXPLAINED")]
    assert "order" in desk.found()[0]["note"]
    rows = world.books.count.fills, len(desk.found())
    again = await desk.start()
    assert (again.books.count.fills, len(desk.found())) == rows
    assert await again.core.gateway.balances() == again.books.balances
    assert verify(desk.root).ok


@pytest.mark.fault("P03")
async def test_order_written_and_never_sent_is_not_sent_after_the_start(desk: Desk) -> None:
    world = await desk.start()
    request = prepared(world)
    world.parts.journal.record(world.clock.now_ms(), *request.events)
    assert len(world.books.orders) == 1
    world = await desk.start()
    assert (world.books.orders, desk.found()) == ({}, [])
    (order,) = world.books.closed_orders.values()
    assert order.status is OrderStatus.NOT_SENT


@pytest.mark.fault("P04")
async def test_order_that_was_taken_and_never_acknowledged_is_found_by_its_id(desk: Desk) -> None:
    world = await desk.start()
    await world.bar("50000")
    order = prepared(world)
    world.parts.journal.record(world.clock.now_ms(), *order.events)
    await desk.venue.create(order.request)
    desk.venue.drain()
    world = await desk.start()
    (known,) = world.books.orders.values()
    assert (known.status, known.agent, desk.found()) == (OrderStatus.OPEN, "trader", [])
    await world.bars(2, "50000")
    assert world.position("trader") == Decimal("0.1")


def prepared(world: Any) -> Any:
    """Return an order of the trader's as the router would write it."""
    now_ms = world.clock.now_ms()
    return world.core.desk.router.prepare(
        Intent(
            intent_id=f"trader.x:{now_ms}", cycle_id="trader.x", agent="trader", instrument=BTC, role=OrderRole.ENTRY,
            side=Side.BUY, order_type=OrderType.MARKET, qty=Decimal("0.1"), price=Decimal(50_000), created_ms=now_ms,
        )
    )  # fmt: skip


# Foreign orders and trades


@pytest.mark.fault("E33")
async def test_foreign_order_is_said_once_left_alone_and_gone_when_it_is(desk: Desk) -> None:
    world = await desk.start({0: BUY})
    await world.bars(2, "50000")
    await desk.by_hand(limit="40000")
    for _ in range(2):
        world = await desk.start()
    assert desk.kinds() == [("EXTERNAL_ORDER", None)]
    assert await may_enter(world) == "INSTRUMENT_BLOCKED"
    assert (await desk.tell(api.CancelAll(include_protection=True))).ok
    assert [order.client_order_id for order in await desk.venue.open_orders()] == ["by hand"]
    refused = await desk.tell(api.ApproveDifference(difference_id="d1", note="mine"))
    assert (refused.ok, "never adopted" in refused.text) == (False, True)
    await desk.venue.cancel("by hand")
    world = await desk.start()
    assert (desk.kinds(), await may_enter(world)) == ([("EXTERNAL_ORDER", "GONE")], "")


@pytest.mark.fault("E32")
async def test_exits_halts_and_flatten_pass_while_a_difference_blocks_entries(desk: Desk) -> None:
    world = await desk.start({0: BUY})
    await world.bars(2, "50000")
    await desk.by_hand(limit="40000")
    world = await desk.start({0: FLAT})
    assert (world.position(), bool(world.books.blocked)) == (1, True)
    await world.bars(3, "50000")
    assert world.position() == 0
    assert (await desk.tell(api.Halt())).ok
    await desk.tell(api.Flatten())
    assert world.books.last_certificate.flat


@pytest.mark.fault("E32")
async def test_position_changed_outside_is_external_and_approving_it_leaves_a_decision_to_look_back_on(
    desk: Desk,
) -> None:
    world = await desk.start({0: BUY})
    await world.bars(2, "50000")
    await desk.by_hand(qty="0.5")
    desk.venue_bar("50000")
    world = await desk.start()
    assert (world.position(), world.position(NOBODY)) == (1, Decimal("0.5"))
    assert desk.kinds() == [("EXTERNAL_POSITION", None)]
    assert world.books.balances == await desk.venue.balances()
    assert await may_enter(world) == "INSTRUMENT_BLOCKED"
    assert not (await desk.tell(api.ApproveDifference(difference_id="d1", note=" "))).ok
    assert (await desk.tell(api.ApproveDifference(difference_id="d1", note="bought on the phone"))).ok
    assert await may_enter(world) == ""
    with reading(desk.root) as reader:
        (decision,) = reader.read(queries.decisions(agent=NOBODY))
    assert (decision["trigger"], decision["action"], decision["disposition"]) == (
        "recovered", "BUY 0.5 (0 -> 0.5)", "ACTED",
    )  # fmt: skip
    assert "bought on the phone" in decision["rationale"]
    assert verify(desk.root).ok


@pytest.mark.fault("E32", "E33")
async def test_foreign_trade_while_running_blocks_at_once(desk: Desk) -> None:
    world = await desk.start()
    await world.bar("50000")
    await desk.by_hand()
    await world.bars(2, "50000")
    assert world.position(NOBODY) == Decimal("0.5")
    assert world.books.blocked.keys() == {BTC}
    assert "EXTERNAL_POSITION" in world.incidents()
    (shown,) = api_snapshot(world).differences
    assert (shown.kind, shown.venue) == ("EXTERNAL_POSITION", Decimal("0.5"))


def api_snapshot(world: Any) -> api.Snapshot:
    return views.snapshot(world.core, mono_ms=0.0, progress=None, finished=False)


# Balances


@pytest.mark.fault("E34")
async def test_deposit_is_approved_as_one_and_neither_profit_nor_a_fall_from_a_peak(desk: Desk) -> None:
    world = await desk.start()
    await world.bar("50000")
    desk.venue.deposit("USDT", Decimal(50_000))
    for _ in range(2):
        world.clock.advance_ms(300_000)
        await world.core.on_heartbeat()
    assert desk.kinds() == [("BALANCE_DRIFT", None)]
    assert world.books.blocked.keys() == {BTC}
    untold = await desk.tell(api.ApproveDifference(difference_id="d1", note="salary"))
    assert (untold.ok, "Say what the difference in USDT was" in untold.text) == (False, True)
    assert not (await desk.tell(api.ApproveDifference(difference_id="d1", note="salary", entry="withdrawal"))).ok
    assert (await desk.tell(api.ApproveDifference(difference_id="d1", note="salary", entry="deposit"))).ok
    await world.bar("50000")
    assert (world.core.watch.equity, world.core.watch.peak, world.books.funded) == (150_000, 150_000, 150_000)
    assert api_snapshot(world).day_pnl == 0
    shrink(world, "USDT", "75000")
    world = await desk.start()
    (name,) = desk.ids()
    assert (await desk.tell(api.ApproveDifference(difference_id=name, note="rent", entry="withdrawal"))).ok
    await world.bar("50000")
    assert (world.core.watch.peak, world.books.state) == (75_000, TradingState.ACTIVE)
    assert verify(desk.root).ok


def shrink(world: Any, asset: str, total: str) -> None:
    """Let the venue hold so much of an asset, whatever it held."""
    with sqlite3.connect(world.paths.paper_db) as db:
        db.execute("REPLACE INTO balances VALUES (?, ?)", (asset, total))


@pytest.mark.fault("E34")
async def test_drift_seen_once_while_running_is_no_difference_yet(desk: Desk) -> None:
    world = await desk.start()
    desk.venue.deposit("USDT", Decimal(1))
    world.clock.advance_ms(300_000)
    await world.core.on_heartbeat()
    await world.core.on_heartbeat()
    assert (desk.found(), world.books.blocked) == ([], {})
    world.clock.advance_ms(300_000)
    await world.core.on_heartbeat()
    assert desk.kinds() == [("BALANCE_DRIFT", None)]


@pytest.mark.fault("E34")
async def test_drift_of_the_same_amount_is_found_though_the_account_traded_between_the_looks(desk: Desk) -> None:
    world = await desk.start({0: BUY})
    desk.venue.deposit("USDT", Decimal(1))
    world.clock.advance_ms(300_000)
    await world.core.on_heartbeat()
    await world.bars(2, "50000")
    assert (world.books.held(BTC), desk.found()) == (1, [])
    world.clock.advance_ms(300_000)
    await world.core.on_heartbeat()
    assert desk.kinds() == [("BALANCE_DRIFT", None)]


@pytest.mark.fault("E34", "E32")
async def test_coins_beyond_our_fills_become_external_when_approved_and_not_before(desk: Desk) -> None:
    world = await desk.start({0: BUY})
    await world.bars(2, "50000")
    desk.venue.deposit("BTC", Decimal("0.25"))
    world = await desk.start()
    assert world.books.held(BTC) == 1
    await world.bar("50000")
    draft = DecisionDraft(instrument=BTC, direction=api.Direction.HOLD, rationale="")
    agent = world.plan.agents[0]
    assert world.core.desk.surroundings.gather(agent, draft, "x", world.clock.now_ms()).exposure == 62_500
    (name,) = desk.ids()
    assert (await desk.tell(api.ApproveDifference(difference_id=name, note="airdrop", entry="airdrop"))).ok
    external = world.books.position(NOBODY, BTC)
    assert external.figures == ("0.25", "12500", "0")
    assert (world.books.adjusted, world.books.funded) == (12_500, 100_000)
    shrink(world, "BTC", "0.5")
    world = await desk.start()
    (name,) = desk.ids()
    assert (await desk.tell(api.ApproveDifference(difference_id=name, note="stolen", entry="other"))).ok
    assert (world.position(NOBODY), world.position()) == (0, Decimal("0.5"))
    assert world.books.balances == await desk.venue.balances()
    assert (await desk.start()).books.blocked == {}
    assert verify(desk.root).ok


@pytest.mark.fault("E34")
async def test_withdrawn_coins_leave_by_way_of_external_and_move_the_baselines(desk: Desk) -> None:
    world = await desk.start({0: BUY})
    await world.bars(2, "50000")
    shrink(world, "BTC", "0.6")
    world = await desk.start()
    await world.bar("50000")
    (name,) = desk.ids()
    told = api.ApproveDifference(difference_id=name, note="to my wallet", entry="withdrawal")
    assert (await desk.tell(told)).ok
    assert (world.position(), world.position(NOBODY)) == (Decimal("0.6"), 0)
    assert world.books.funded == 80_000
    assert verify(desk.root).ok


@pytest.mark.fault("E34")
async def test_explained_difference_stays_out_of_the_way_until_it_moves(desk: Desk) -> None:
    world = await desk.start()
    desk.venue.deposit("BTC", Decimal(2))
    world = await desk.start()
    assert (await desk.tell(api.ExplainDifference(difference_id="d1", note="savings"))).ok
    world = await desk.start()
    assert (desk.kinds(), world.books.blocked) == ([("EXTERNAL_POSITION", "EXPLAINED")], {})
    assert world.books.held(BTC) == 0
    desk.venue.deposit("BTC", Decimal(1))
    world = await desk.start()
    assert desk.kinds() == [("EXTERNAL_POSITION", "EXPLAINED"), ("EXTERNAL_POSITION", None)]
    assert await may_enter(world) == "INSTRUMENT_BLOCKED"


async def test_difference_that_moved_since_it_was_shown_is_not_approved(desk: Desk) -> None:
    await desk.start()
    desk.venue.deposit("USDT", Decimal(5))
    await desk.start()
    desk.venue.deposit("USDT", Decimal(2))
    told = api.ApproveDifference(difference_id="d1", note="x", entry="deposit")
    refused = await desk.tell(told)
    assert (refused.ok, "look again" in refused.text) == (False, True)
    assert (await desk.tell(told)).ok
    assert desk.world.books.funded == 100_007


async def test_coin_that_nothing_values_can_only_be_explained(desk: Desk) -> None:
    await desk.start()
    desk.venue.deposit("SCAM", Decimal(1_000_000))
    world = await desk.start()
    assert world.books.blocked.keys() == {BTC}
    refused = await desk.tell(api.ApproveDifference(difference_id="d1", note="x", entry="airdrop"))
    assert (refused.ok, "explain it instead" in refused.text) == (False, True)
    assert (await desk.tell(api.ExplainDifference(difference_id="d1", note="spam"))).ok
    assert (await desk.start()).books.blocked == {}


# Lost records


@pytest.mark.fault("P32")
async def test_restored_backup_books_what_it_does_not_know_as_external_and_waits_for_the_trader(desk: Desk) -> None:
    world = await desk.start({0: BUY})
    world.close()
    backup = desk.root.parent / "backup"
    shutil.copytree(desk.root, backup)
    world = await desk.start({0: BUY})
    await world.bars(2, "50000")
    resting = client_order_id("0123abcd", "from the life that was lost")
    await desk.by_hand(order_id=resting, limit="48000", qty="0.2")
    world.close()
    for name in ("store.db", "anchor"):
        shutil.copy2(backup / name, desk.root / name)
    world = await desk.start()
    assert (world.position(), world.position(NOBODY)) == (0, 1)
    assert sorted(desk.kinds()) == [("EXTERNAL_POSITION", None), ("LOST_ORDER", None)]
    assert await may_enter(world) == "INSTRUMENT_BLOCKED"
    for name in desk.ids():
        assert (await desk.tell(api.ApproveDifference(difference_id=name, note="the life before"))).ok
    (adopted,) = world.books.orders.values()
    assert (adopted.client_order_id, adopted.agent, adopted.open_qty) == (resting, NOBODY, Decimal("0.2"))
    await world.bars(4, "47900")  # its clock is behind the venue's
    assert (world.position(NOBODY), world.books.balances) == (Decimal("1.2"), await desk.venue.balances())
    assert (await may_enter(await desk.start()), verify(desk.root).ok) == ("", True)


@pytest.mark.fault("E49")
async def test_order_the_venue_forgot_is_explained_where_balances_agree(desk: Desk) -> None:
    world = await desk.start()
    kind, price = api.OrderType.LIMIT, Decimal(49_000)
    order = api.Ticket(instrument=BTC, side=api.Side.BUY, order_type=kind, qty=Decimal("0.1"), limit_price=price)
    shown = (await desk.tell(api.PreviewTicket(ticket=order))).data
    assert (await desk.tell(api.SubmitTicket(ticket=order, preview_id=shown.preview_id))).ok
    world.close()
    with sqlite3.connect(world.paths.paper_db) as db:
        db.execute("DELETE FROM orders")
    world = await desk.start()
    assert (world.books.orders, desk.kinds()) == ({}, [("MISSING_ORDER", "EXPLAINED")])
    assert await may_enter(world) == ""
