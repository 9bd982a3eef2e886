"""What a user interface gets from an engine: a latch that shows at once, and a stream that outlives a run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from engine.control.engine import Engine, InProcessClient
from engine.control.stream import Stream
from engine.domain.decision import Direction
from engine.domain.policy import TradingState
from engine.runtime.consoles import open_store

Make = Callable[..., Awaitable[Any]]


async def test_closed_latch_shows_in_the_next_snapshot_before_the_engine_has_turned(make_world: Make) -> None:
    world = await make_world()
    engine = Engine(world.core, None, world.handlers, world.stream, world.clock)
    engine.refresh()
    client = InProcessClient(engine)
    before = (await client.snapshot()).state
    client.halt_now()
    assert (before, (await client.snapshot()).state) == (TradingState.ACTIVE, TradingState.HALTED)
    assert engine.latest is not None
    assert engine.latest.state is TradingState.ACTIVE


async def test_resumed_trading_shows_in_the_next_snapshot_before_the_engine_has_turned(make_world: Make) -> None:
    world = await make_world()
    engine = Engine(world.core, None, world.handlers, world.stream, world.clock)
    await world.core.halt("trader", "a look at the market")
    engine.refresh()
    await world.core.resume("trader", "all is well")
    shown = await InProcessClient(engine).snapshot()
    assert (shown.state, shown.state_reason) == (TradingState.ACTIVE, "all is well")


async def test_stream_of_a_second_run_begins_with_the_end_of_the_first(make_world: Make, tmp_path: Path) -> None:
    world = await make_world({0: {"direction": Direction.BUY}}, root=tmp_path / "kept", durable=True)
    await world.bars(3, "50000")
    fills = [line for line in world.stream.after(0).lines if line.kind == "fill"]
    world.close()
    stream = Stream()
    journal = open_store(world.paths, world.plan, world.clock.now_ms(), stream)
    journal.close()
    assert fills
    assert [line for line in stream.after(0).lines if line.kind == "fill"] == fills
