"""R19: a flatten works while the database cannot be written, and the next start knows every order it sent."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine import api
from engine.domain.agent import AgentConfig, Protection
from engine.domain.decision import Direction
from engine.domain.events import FlattenStarted
from engine.domain.order import OrderRole
from engine.domain.policy import PaperSettings, Policy, TradingState
from engine.errors import StoreError
from engine.paths import StorePaths
from engine.store.emergency import SIZE_BYTES, EmergencyFile
from engine.store.verify import verify
from tests.flow.conftest import WIDE
from tests.flow.disk_kit import fill_up, on_disk

BUY: dict[str, object] = {"direction": Direction.BUY}
FREE = PaperSettings(half_spread_frac=Decimal(0), slippage_frac=Decimal(0), volume_share_frac=Decimal(1))
Make = Callable[..., Awaitable[Any]]


async def cut_off(make_world: Make, tester: AgentConfig, disk: Path, elsewhere: Path) -> tuple[Any, Path]:
    """Return a world that holds a coin and whose store can no longer be written, and what fills its disk."""
    bare = replace(tester, protection=Protection(stop_frac=None, target_frac=None))
    root = on_disk(disk, elsewhere)
    world = await make_world({0: BUY}, agent=bare, policy=Policy(kill=WIDE, paper=FREE), durable=True, root=root)
    await world.bars(2, "50000")
    filler = fill_up(disk)
    for _ in range(5):
        await world.handlers.handle(api.Halt())
    assert (world.position(), world.core.journal.broken is not None) == (1, True)
    return world, filler


async def held(world: Any) -> Decimal:
    return (await world.core.gateway.balances()).get("BTC", Decimal(0))


@pytest.mark.fault("P23", "P26")
async def test_with_a_full_disk_flatten_closes_by_the_emergency_file_and_the_next_start_takes_it_in(
    make_world: Make, tester: AgentConfig, small_disk: Path, tmp_path: Path
) -> None:
    world, filler = await cut_off(make_world, tester, small_disk, tmp_path)
    reply = await world.handlers.handle(api.Flatten())
    twice = await world.handlers.handle(api.Flatten())
    assert (reply.ok, "emergency file is used" in reply.text) == (True, True)
    await world.bar("50000")
    assert (await held(world), twice.ok) == (0, True)
    root = world.paths.root
    world.close()  # nothing of it is in the journal
    filler.unlink()

    revived = await make_world(policy=Policy(kill=WIDE, paper=FREE), durable=True, root=root)
    closing = [o for o in revived.books.all_orders() if o.role is OrderRole.FLATTEN]
    assert [(order.filled_qty, order.limit_price) for order in closing] == [(1, Decimal("49750.00"))]
    assert (revived.position(), revived.books.state) == (0, TradingState.HALTED)
    assert "EMERGENCY_FILE" in revived.incidents()
    await revived.bar("50000")
    assert revived.books.last_certificate.flat
    assert not revived.books.differences
    revived.close()
    assert verify(StorePaths(root)).first_breach is None
    again = await make_world(policy=Policy(kill=WIDE, paper=FREE), durable=True, root=root)
    assert sum(o.role is OrderRole.FLATTEN for o in again.books.all_orders()) == 1, "taken in once"


@pytest.mark.fault("P23", "P24")
async def test_once_the_disk_has_room_again_the_running_engine_takes_it_in_and_certifies(
    make_world: Make, tester: AgentConfig, small_disk: Path, tmp_path: Path
) -> None:
    world, filler = await cut_off(make_world, tester, small_disk, tmp_path)
    await world.handlers.handle(api.Flatten())
    await world.bar("50000")
    filler.unlink()
    for _ in range(3):
        await world.core.on_heartbeat()
    assert (world.position(), world.books.state) == (0, TradingState.HALTED)
    assert world.books.last_certificate.flat
    assert world.parts.core.flattening.file.events() == []


@pytest.mark.fault("P23", "E40")
async def test_without_the_journal_the_ladder_reaches_further_with_one_create_an_intent(
    make_world: Make, tester: AgentConfig, small_disk: Path, tmp_path: Path
) -> None:
    world, filler = await cut_off(make_world, tester, small_disk, tmp_path)
    await world.handlers.handle(api.Flatten())
    await world.bar("49600")
    await world.core.on_heartbeat()
    await world.bar("49203.20")
    assert await held(world) == 0
    filler.unlink()
    for _ in range(3):
        await world.core.on_heartbeat()
    orders = [o for o in world.books.all_orders() if o.role is OrderRole.FLATTEN]
    assert sorted((o.limit_price, o.filled_qty) for o in orders) == [
        (Decimal("49104.00"), 1), (Decimal("49750.00"), 0),
    ]  # fmt: skip
    assert len({order.client_order_id for order in orders}) == 2


def test_a_line_that_was_cut_short_is_no_line_and_what_is_after_it_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "emergency"
    file = EmergencyFile(path)
    file.append(1, FlattenStarted(flatten_id="flatten.a", actor="trader"))
    file.append(2, FlattenStarted(flatten_id="flatten.b", actor="trader"))
    file.close()
    with path.open("r+b") as raw:
        raw.seek(path.read_bytes().index(b"flatten.b"))
        raw.write(b"x")
    again = EmergencyFile(path)
    assert again.events() == [(1, FlattenStarted(flatten_id="flatten.a", actor="trader"))]
    again.append(3, FlattenStarted(flatten_id="flatten.c", actor="trader"))
    assert [ts_ms for ts_ms, _event in again.events()] == [1, 3]
    again.close()


def test_the_file_is_whole_from_the_start_and_says_when_it_is_full(tmp_path: Path) -> None:
    path = tmp_path / "emergency"
    file = EmergencyFile(path)
    assert (path.stat().st_size, path.stat().st_mode & 0o777, os.stat(path).st_blocks > 0) == (SIZE_BYTES, 0o600, True)
    wide = FlattenStarted(flatten_id="flatten.a", actor="x" * (SIZE_BYTES // 2))
    file.append(1, wide)
    with pytest.raises(StoreError, match="is full; nothing more was sent"):
        file.append(2, wide)
    file.clear()
    assert file.events() == []
    file.close()
