"""The store fails under a trading engine: nothing leaves that is not written, cancels go, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine import api
from engine.clock import DAY_MS, MINUTE_MS, ManualClock, SystemClock
from engine.control.engine import Engine
from engine.control.upkeep import Upkeep
from engine.control.watchdog import Watchdog
from engine.domain.agent import AgentConfig
from engine.domain.decision import Direction
from engine.domain.policy import AccountLimits, PaperSettings, Policy, TradingState
from engine.errors import RefusedError, StoreError
from engine.paths import StorePaths
from engine.runtime import databases
from engine.store.copies import listing
from engine.store.journal import Journal
from engine.store.places import place_of, refuse_for_money
from engine.store.verify import verify
from engine.store.watched import watched
from tests.flow.disk_kit import fill_up, on_disk

BTC = "paper:BTC/USDT"
BUY: dict[str, object] = {"direction": Direction.BUY}
FREE = PaperSettings(half_spread_frac=Decimal(0), slippage_frac=Decimal(0), volume_share_frac=Decimal(1))
Make = Callable[..., Awaitable[Any]]
ROOT = Path(__file__).resolve().parents[2]


def remount(place: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(place)], check=True)


def stand_still(seconds: float) -> None:
    """Hold the loop up, as a synchronous call or a suspended machine does."""
    time.sleep(seconds)


async def ticket(world: Any, **changes: Any) -> api.Reply:
    fields: dict[str, Any] = {
        "order_type": api.OrderType.MARKET,
        "qty": Decimal("0.5"),
        "side": api.Side.BUY,
        **changes,
    }
    order = api.Ticket(instrument=BTC, **fields)
    shown = (await world.handlers.handle(api.PreviewTicket(ticket=order))).data
    return await world.handlers.handle(api.SubmitTicket(ticket=order, preview_id=shown.preview_id))


async def resting(world: Any) -> set[str]:
    return {order.client_order_id for order in await world.parts.gateway.open_orders()}


@pytest.mark.fault("P23", "P24")
async def test_a_full_disk_stops_entries_says_which_disk_and_lets_cancels_go(
    make_world: Make, small_disk: Path, tmp_path: Path
) -> None:
    root = on_disk(small_disk, tmp_path)
    world = await make_world(policy=Policy(paper=FREE), durable=True, root=root)
    await world.bar("50000")
    limit = await ticket(world, order_type=api.OrderType.LIMIT, limit_price=Decimal(48_000))
    assert limit.ok, limit.text
    (asked,) = await resting(world)
    filler = fill_up(small_disk)

    refused = [await ticket(world) for _ in range(3)][-1]
    assert not refused.ok
    await world.core.on_heartbeat()
    assert world.core.shown_state is TradingState.HALTED
    assert f"the disk at {small_disk}" in world.core.shown_reason
    assert await resting(world) == {asked}, "P23: nothing was sent that is not written"

    await world.bar("47000")  # the limit order fills, and cannot be booked
    assert world.position("trader") == 0
    await world.core.on_heartbeat()
    assert world.core.shown_state is TradingState.HALTED

    filler.unlink()
    await world.core.on_heartbeat()
    await world.core.on_heartbeat()
    assert world.position("trader") == Decimal("0.5"), "P24: the fill was kept and is booked once there is room"
    assert world.books.state is TradingState.HALTED
    assert "the store failed" in world.books.state_reason
    assert (await world.handlers.handle(api.Resume(reason="disk freed"))).ok
    assert (await ticket(world)).ok
    world.close()
    assert verify(StorePaths(root)).first_breach is None


@pytest.mark.fault("P23")
async def test_on_a_full_disk_cancels_still_reach_the_venue(make_world: Make, small_disk: Path, tmp_path: Path) -> None:
    root = on_disk(small_disk, tmp_path)
    world = await make_world(policy=Policy(paper=FREE), durable=True, root=root)
    await world.bar("50000")
    assert (await ticket(world, order_type=api.OrderType.LIMIT, limit_price=Decimal(48_000))).ok
    filler = fill_up(small_disk)
    for _ in range(3):
        await ticket(world)
    await world.core.on_heartbeat()
    await world.handlers.handle(api.CancelAll())
    assert await resting(world) == set()
    filler.unlink()
    await world.core.on_heartbeat()
    await world.core.on_heartbeat()
    assert world.books.working() == []
    world.close()
    assert verify(StorePaths(root)).first_breach is None


@pytest.mark.fault("P24")
def test_a_write_beyond_the_size_a_process_may_write_is_refused_and_the_store_stays_sound(tmp_path: Path) -> None:
    paths = StorePaths(tmp_path / "store")
    code = """
import resource, sys
from pathlib import Path
from engine.errors import StoreError
from engine.paths import StorePaths
from engine.store.journal import Journal
from tests.store.samples import LIVE_DATA, OPENING, START_MS, HELD
journal = Journal.create(StorePaths(Path(sys.argv[1])), START_MS, LIVE_DATA, *OPENING)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    for number in range(10_000):
        journal.record(START_MS + number, HELD)
except StoreError as error:
    print(journal.seq, error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(paths.root)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    seq, said = done.stdout.split(" ", 1)
    assert "could not be written" in said
    assert resource.RLIMIT_FSIZE is not None
    report = verify(paths)
    assert (report.first_breach, report.rows) == (None, int(seq))
    Journal.open(paths).close()


@pytest.mark.fault("P26")
async def test_a_store_that_can_only_be_read_is_refused_in_one_sentence(
    make_world: Make, small_disk: Path, tmp_path: Path
) -> None:
    root = on_disk(small_disk, tmp_path)
    world = await make_world(durable=True, root=root)
    world.close()
    remount(small_disk, "ro")
    with pytest.raises(StoreError) as refused:
        Journal.open(StorePaths(root))
    assert str(root) in str(refused.value)
    assert str(refused.value).count("\n") == 0
    assert place_of(root).is_read_only
    assert verify(StorePaths(root)).first_breach is None, "reading goes on"
    remount(small_disk, "rw")
    Journal.open(StorePaths(root)).close()


def failing(name: str, at: str, *, after: bool = False) -> tuple[type[sqlite3.Connection], list[bool]]:
    """Return connections whose statement fails, while the list holds True, as SQLite says it does."""
    on = [False]

    def fail(sql: str) -> None:
        if on[0] and sql.startswith(at):
            error = sqlite3.OperationalError("the disk said no")
            error.sqlite_errorname = name  # type: ignore[attr-defined]
            raise error

    def quiet(sql: str) -> None:
        return None

    return watched(quiet if after else fail, fail if after else quiet), on


@pytest.mark.fault("P27")
@pytest.mark.parametrize("after", [False, True])
def test_a_sync_that_failed_is_never_tried_again_and_the_next_start_finds_all_or_nothing(
    tmp_path: Path, after: bool
) -> None:
    from tests.store.samples import HELD, LIVE_DATA, OPENING, START_MS

    paths = StorePaths(tmp_path / "store")
    Journal.create(paths, START_MS, LIVE_DATA, *OPENING).close()
    factory, on = failing("SQLITE_IOERR_FSYNC", "COMMIT", after=after)
    journal = Journal.open(paths, factory=factory)
    rows, on[0] = journal.seq, True
    with pytest.raises(StoreError, match="SQLITE_IOERR_FSYNC"):
        journal.record(START_MS, HELD, HELD)
    on[0] = False
    assert not journal.try_again()
    with pytest.raises(StoreError, match="takes no more writes"):
        journal.record(START_MS, HELD)
    journal.close()
    again = Journal.open(paths)
    assert again.seq == rows + (2 if after else 0)
    again.close()
    assert verify(paths).first_breach is None


@pytest.mark.fault("P26")
def test_a_disk_that_turned_read_only_is_tried_until_it_takes_writes_again(tmp_path: Path) -> None:
    from tests.store.samples import HELD, LIVE_DATA, OPENING, START_MS

    paths = StorePaths(tmp_path / "store")
    Journal.create(paths, START_MS, LIVE_DATA, *OPENING).close()
    factory, on = failing("SQLITE_READONLY", "UPDATE")
    journal = Journal.open(paths, factory=factory)
    on[0] = True
    with pytest.raises(StoreError, match="SQLITE_READONLY"):
        journal.record(START_MS, HELD)
    assert not journal.try_again()
    on[0] = False
    assert journal.try_again()
    journal.record(START_MS, HELD)
    journal.close()
    assert verify(paths).first_breach is None


@pytest.mark.fault("P20")
def test_live_money_is_not_kept_in_memory_or_on_a_network(small_disk: Path, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=f"LIVE trading cannot keep its store in .*{small_disk.name}.* memory"):
        refuse_for_money(small_disk / "store")
    assert place_of(small_disk).kind == "tmpfs"


# The file and the backups of a running engine.


def upkeep_of(world: Any, wall: ManualClock, keep: int = 2) -> Upkeep:
    return Upkeep(world.core, world.paths, wall, keep=keep)


@pytest.mark.fault("P31")
@pytest.mark.parametrize("how", ["deleted", "replaced"])
async def test_a_database_deleted_under_a_running_engine_halts_it_within_a_minute(make_world: Make, how: str) -> None:
    world = await make_world({3: BUY}, durable=True)
    wall = ManualClock(world.clock.now_ms())
    upkeep = upkeep_of(world, wall, keep=0)
    wall.advance_ms(MINUTE_MS)
    await upkeep.beat()
    assert world.core.shown_state is TradingState.ACTIVE
    if how == "replaced":
        shutil.copy(world.paths.store_db, world.paths.root / "copy")
        os.replace(world.paths.root / "copy", world.paths.store_db)
    else:
        world.paths.store_db.unlink()
    wall.advance_ms(MINUTE_MS)
    await upkeep.beat()
    assert world.core.shown_state is TradingState.HALTED
    assert "was deleted or replaced" in world.core.shown_reason
    world.close()
    if how == "deleted":
        with pytest.raises(StoreError, match="is gone, and its anchor says"):
            Journal.open(world.paths)


async def test_a_backup_is_made_daily_and_only_so_many_are_kept(make_world: Make) -> None:
    world = await make_world(durable=True)
    wall = ManualClock(SystemClock().now_ms())
    upkeep = upkeep_of(world, wall)
    for day in range(4):
        wall.advance_ms(MINUTE_MS)
        await upkeep.beat()
        if upkeep._task is not None:
            await upkeep._task
        made = listing(world.paths)
        assert len(made) == min(day + 1, 2)
        wall.advance_ms(MINUTE_MS)
        await upkeep.beat()
        assert listing(world.paths) == made, "one a day"
        for each in made[0].path.iterdir():
            os.utime(each, (wall.now_ms() / 1000, wall.now_ms() / 1000))
        wall.advance_ms(DAY_MS)
    await upkeep.close()
    assert verify(StorePaths(listing(world.paths)[0].path)).first_breach is None


@pytest.mark.fault("P28")
async def test_a_store_found_damaged_by_its_daily_backup_halts(make_world: Make) -> None:
    world = await make_world(durable=True)
    with contextlib.closing(sqlite3.connect(world.paths.store_db)) as other:
        other.execute("UPDATE balances SET held = '1'")
        other.commit()
    wall = ManualClock(SystemClock().now_ms())
    upkeep = upkeep_of(world, wall)
    wall.advance_ms(MINUTE_MS)
    await upkeep.beat()
    assert upkeep._task is not None
    await upkeep._task
    assert world.books.state is TradingState.HALTED
    assert "balances row" in world.books.state_reason


@pytest.mark.fault("P32")
async def test_after_an_old_backup_the_next_start_books_what_the_venue_did_since_and_stays_halted(
    make_world: Make, tester: AgentConfig
) -> None:
    world = await make_world(policy=Policy(paper=FREE), durable=True)
    await world.bar("50000")
    made = await upkeep_of(world, ManualClock(SystemClock().now_ms())).back_up()
    assert (await ticket(world)).ok
    await world.bar("50000")
    assert world.position("trader") == Decimal("0.5")
    world.close()
    told = databases.restore(world.paths.root, made.path.name)
    assert told["trading_state"] == "HALTED"
    again = await make_world(policy=Policy(paper=FREE), durable=True, root=world.paths.root)
    assert again.core.shown_state is TradingState.HALTED
    assert again.books.held(BTC) == Decimal("0.5"), "what the venue holds is in the books"
    assert "EXTERNAL_POSITION" in again.incidents()
    assert again.books.state_reason.startswith("restored from")
    assert again.books.balances == await again.parts.gateway.balances()
    again.close()
    assert verify(world.paths).first_breach is None


# Time.


@pytest.mark.fault("P36")
def test_a_loop_that_stands_still_is_noticed_from_outside_of_it() -> None:
    clock, held = ManualClock(), threading.Event()
    watchdog = Watchdog(clock, lambda why: held.set(), stall_ms=100)
    watchdog.start()
    assert not held.wait(0.1)
    clock.advance_ms(101)
    assert held.wait(5)
    clock.advance_ms(4_899)
    assert watchdog.beat() == 5_000
    assert watchdog.beat() == 0
    watchdog.stop()
    watchdog.stop()


@pytest.mark.fault("P21", "P36")
async def test_after_a_standstill_entries_wait_until_the_venue_was_asked(make_world: Make) -> None:
    world = await make_world(durable=True)
    engine = Engine(world.core, None, world.handlers, world.stream, SystemClock(), stall_ms=300)
    running = asyncio.create_task(engine.run())
    await asyncio.sleep(0.3)
    stand_still(0.8)
    assert "has not moved" in world.core.latch.held
    for _ in range(100):
        await asyncio.sleep(0.02)
        if "STOOD_STILL" in world.incidents() and not world.core.latch.held:
            break
    assert "STOOD_STILL" in world.incidents()
    assert world.core.latch.held == ""
    assert world.core.shown_state is TradingState.ACTIVE
    engine.request_stop()
    await running


async def test_while_entries_are_held_only_orders_that_reduce_leave(make_world: Make) -> None:
    world = await make_world(policy=Policy(paper=FREE))
    await world.bar("50000")
    assert (await ticket(world)).ok
    await world.bar("50000")
    world.core.latch.held = "the engine has not moved for 8 s"
    reply = await ticket(world)
    assert "NOT_SENT" in reply.text or not reply.ok
    await world.bar("50000")
    assert world.position("trader") == Decimal("0.5")
    await ticket(world, side=api.Side.SELL)
    await world.bar("50000")
    assert world.position("trader") == 0


@pytest.mark.fault("P22")
async def test_a_clock_set_back_over_midnight_begins_no_daily_limit_again(make_world: Make) -> None:
    limits = AccountLimits(trades_per_day=1)
    world = await make_world(policy=Policy(limits=limits, paper=FREE))
    await world.bar("50000")
    assert (await ticket(world)).ok
    day, start = world.books.baseline.day, world.books.baseline.day_start
    await world.bars(61, "49000")
    world.clock.advance_ms(-DAY_MS)
    await world.bar("48000")
    assert not (await ticket(world)).ok
    assert world.books.trades_on("", world.clock.now_ms()) == 1
    assert (world.books.baseline.day, world.books.baseline.day_start) == (day, start)
