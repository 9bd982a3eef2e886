"""paper.db: the paper venue's truth survives the engine (R37)."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from engine.domain.order import Fill, Side
from engine.errors import StoreError, VenueUnreachableError
from engine.execution.gateway import AmbiguousSendError, DuplicateIdError, OrderRejectedError, VenueOrder
from engine.execution.paper_store import PaperStore
from tests.unit.paper_kit import ETH, Venue, request

ROOT = Path(__file__).parents[2]
State = tuple[dict[str, str], list[VenueOrder], list[Fill]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "paper.db"


async def state(venue: Venue) -> State:
    return await venue.money(), await venue.gateway.open_orders(), await venue.gateway.fills_since(0)


def reopened(path: Path, *, now_ms: int = 0) -> Venue:
    venue = Venue(store=PaperStore(path), deposits={})
    venue.clock.set_ms(max(now_ms, venue.clock.now_ms()))
    return venue


async def step(venue: Venue, n: int) -> None:
    """Do the nth of an endless row of operations: entries with brackets, partial fills, stops, targets, cancels."""
    what, round_ = n % 5, n // 5
    if what == 0:
        await venue.buy(f"e{round_}", 12, bracket=(95, 110))
    elif what == 1 or what == 2:
        venue.flat(100 + round_ % 7)
    elif what == 3 and round_ % 3 == 0:
        await venue.gateway.cancel(f"e{round_}-stop")
    else:
        venue.candle(100, 111, 94 if round_ % 2 else 96, 100)


async def trade_for_ever(path: str) -> None:
    """Run the steps on disk and say each one that is done; for the process that is killed."""
    venue = Venue(store=PaperStore(Path(path)))
    for n in range(10_000):
        await step(venue, n)
        sys.stdout.write(f"{n}\n")
        sys.stdout.flush()


def killed_after(path: Path, steps: int) -> None:
    code = f"import asyncio; from tests.unit.test_paper_store import trade_for_ever as t; asyncio.run(t({str(path)!r}))"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) == steps:
                os.kill(child.pid, signal.SIGKILL)
                break


@pytest.mark.parametrize("steps", [0, 7, 43])
async def test_after_kill_9_the_venue_is_exactly_where_some_whole_operation_left_it(path: Path, steps: int) -> None:
    killed_after(path, steps)
    found = await state(reopened(path))
    twin, matches = Venue(), []
    for n in range(steps + 2_000):
        await step(twin, n)
        if n >= steps and await state(twin) == found:
            matches.append(n)
            break
    assert matches, "an acknowledged operation was lost, or half of one was kept"


async def test_memory_and_disk_tell_the_same_story(path: Path) -> None:
    on_disk, in_memory = Venue(store=PaperStore(path)), Venue()
    for n in range(60):
        await step(on_disk, n)
        await step(in_memory, n)
        assert on_disk.told() == in_memory.told()
    assert await state(on_disk) == await state(in_memory)


async def test_a_reopened_venue_goes_on_as_if_nothing_had_happened(path: Path) -> None:
    one, twin = Venue(store=PaperStore(path)), Venue()
    for n in range(40):
        one = reopened(path, now_ms=one.clock.now_ms())
        one.candle(100, 100, 100, 100, volume=0)
        twin.candle(100, 100, 100, 100, volume=0)
        await step(one, n)
        await step(twin, n)
        assert await state(one) == await state(twin), n


async def test_closed_orders_are_still_shown_and_their_ids_stay_taken_after_a_restart(path: Path) -> None:
    venue = Venue(store=PaperStore(path))
    await venue.buy("e1", 1, bracket=(95, 110))
    venue.flat()
    venue.candle(100, 111, 99, 100)
    venue = reopened(path)
    assert [await venue.status(order_id) for order_id in ("e1", "e1-target", "e1-stop", "e2")] == [
        "FILLED 1",
        "FILLED 1",
        "CANCELED 0",
        "unknown",
    ]
    again = await venue.gateway.create(request("e1", Side.BUY, 1, bracket=(95, 110)))
    assert str(again.status) == "FILLED"
    with pytest.raises(DuplicateIdError, match="duplicate id e1"):
        await venue.gateway.create(request("e1", Side.BUY, 1))


async def test_trade_ids_never_repeat_over_restarts(path: Path) -> None:
    venue = Venue(store=PaperStore(path))
    for n in range(3):
        await venue.buy(f"e{n}", 1)
        venue.flat()
        venue = reopened(path)
    assert [fill.trade_id for fill in await venue.gateway.fills_since(0)] == ["p1", "p2", "p3"]


async def test_fills_are_found_by_when_the_venue_learned_of_them(path: Path) -> None:
    for venue in (Venue(), Venue(store=PaperStore(path))):
        await venue.buy("e1", 1)
        venue.flat()
        asked_ms = venue.clock.now_ms()
        await venue.buy("e2", 1)
        venue.flat()
        (fill,) = await venue.gateway.fills_since(asked_ms + 1)
        # The open of the candle is the instant itself, yet nobody could know of the fill then.
        assert (fill.client_order_id, fill.ts_ms) == ("e2", asked_ms)


async def test_market_movement_alone_writes_nothing(path: Path) -> None:
    venue = Venue(store=PaperStore(path))
    await venue.buy("e1", 1, bracket=(90, 110))
    venue.flat()
    with closing(sqlite3.connect(path)) as other:
        before = other.execute("PRAGMA data_version").fetchone()
        for price in (99, 101, 100):
            venue.flat(price)
            venue.quote(price, price + 1)
        assert other.execute("PRAGMA data_version").fetchone() == before
        await venue.gateway.cancel("e1-target")
        assert other.execute("PRAGMA data_version").fetchone() != before


async def test_a_triggered_stop_is_still_triggered_after_a_restart(path: Path) -> None:
    venue = Venue(store=PaperStore(path), deposits={"BTC": "5"})
    await venue.sell("s1", 1, stop=95, group="")
    venue.candle(94, 94, 94, 94, volume="0.001")
    venue = reopened(path, now_ms=venue.clock.now_ms())
    venue.flat(120)
    assert venue.told() == ["s1 SELL 1 @ 119.76 TAKER fee 0.23952 USDT"]


def test_the_file_is_the_traders_alone(path: Path) -> None:
    PaperStore(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    PaperStore(path).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer Quarterdeck"):
        PaperStore(path)


def test_a_file_that_is_no_database_is_refused_in_one_sentence(path: Path) -> None:
    path.write_bytes(b"not a database, though long enough to be looked at" * 20)
    with pytest.raises(StoreError, match=r"cannot open .*paper\.db"):
        PaperStore(path)


async def test_a_working_order_of_an_instrument_no_longer_listed_stops_the_start(path: Path) -> None:
    venue = Venue(store=PaperStore(path))
    await venue.buy("e1", 1, limit=90)
    with pytest.raises(StoreError, match="list paper:BTC/USDT again"):
        Venue(ETH, store=PaperStore(path), deposits={})


@pytest.fixture
def full_disk(path: Path) -> Iterator[Venue]:
    """Return a venue whose store can take nothing more."""
    store = PaperStore(path)
    venue = Venue(store=store)
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TRIGGER full BEFORE INSERT ON orders BEGIN SELECT RAISE(FAIL, 'disk full'); END")
    yield venue
    store.close()


async def test_a_create_that_cannot_be_kept_is_ambiguous_and_nothing_is_told(full_disk: Venue) -> None:
    with pytest.raises(AmbiguousSendError, match="disk full"):
        await full_disk.buy("e1", 1)
    assert full_disk.told() == []


async def test_after_a_failed_write_the_venue_answers_nothing_until_a_restart(full_disk: Venue, path: Path) -> None:
    with pytest.raises(AmbiguousSendError):
        await full_disk.buy("e1", 1)
    with pytest.raises(OrderRejectedError, match="disk full"):
        await full_disk.buy("e2", 1)
    with pytest.raises(VenueUnreachableError, match="disk full"):
        await full_disk.gateway.open_orders()
    with closing(sqlite3.connect(path)) as other:
        other.execute("DROP TRIGGER full")
    with pytest.raises(StoreError, match="disk full"):
        full_disk.flat()
    fresh = reopened(path)
    assert await fresh.working() == {}
    assert await fresh.money() == {"USDT": "10000"}
