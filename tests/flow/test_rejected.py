"""A rejected trade is followed and shown, whatever happens to the engine meanwhile, and moves no money."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import api
from engine.domain.agent import AgentConfig
from engine.domain.decision import Direction
from engine.domain.intent import Autonomy
from engine.runtime.reads import StoreReader
from engine.store import queries
from engine.store.explain import explain
from engine.store.reader import Reader
from engine.store.verify import verify

BUY: dict[str, object] = {"direction": Direction.BUY}
Make = Callable[..., Awaitable[Any]]


async def rejected(make_world: Make, tester: AgentConfig, **options: Any) -> tuple[Any, str]:
    """Return a world in which the agent's purchase of one coin at 50,000 was rejected, and the approval's id."""
    world = await make_world({0: BUY}, agent=replace(tester, autonomy=Autonomy.APPROVE), **options)
    await world.bar("50000")
    (card,) = world.core.desk.approvals.waiting.values()
    reply = await world.handlers.handle(api.Reject(approval_id=card.intent.intent_id, note="too late in the day"))
    assert reply.ok
    return world, card.intent.intent_id


def shown(world: Any) -> dict[str, Any]:
    reader = Reader(world.paths)
    try:
        (row,) = reader.read(queries.approvals())
        return row
    finally:
        reader.close()


async def test_rejected_trade_shows_its_reason_and_then_what_it_would_have_done(
    make_world: Make, tester: AgentConfig
) -> None:
    world, _id = await rejected(make_world, tester)
    assert (shown(world)["answer"], shown(world)["note"]) == ("rejected", "too late in the day")
    assert shown(world)["would_have"] is None
    await world.bar("50100")
    assert shown(world)["would_have"] == "filled at 50100, still open"
    await world.bar("50100", "50100", "48900", "48900")
    row = shown(world)
    assert (row["shadow_how"], row["shadow_exit"], row["shadow_profit"]) == ("STOP", "49000", "-1199.1")
    assert row["would_have"] == "lost 1199.1: 50100 -> 49000, its stop"
    assert "WOULD HAVE" in world.outcomes("approval")


async def test_rejected_trade_moves_no_money_and_is_part_of_the_decision_shown(
    make_world: Make, tester: AgentConfig
) -> None:
    world, approval_id = await rejected(make_world, tester)
    before = dict(world.books.balances)
    await world.bar("50100")
    await world.bar("50100", "52500", "50100", "52000")
    assert (dict(world.books.balances), world.books.count.orders, world.position()) == (before, 0, 0)
    reader = Reader(world.paths)
    told = reader.read(explain(approval_id.partition(":")[0]))
    reader.close()
    assert [each["shadow_how"] for each in told["approvals"]] == ["TARGET"]
    assert not world.books.shadows.open
    world.close()
    assert verify(world.paths).ok


async def test_rejected_trade_is_followed_on_after_a_restart(
    make_world: Make, tester: AgentConfig, tmp_path: Path
) -> None:
    world, _id = await rejected(make_world, tester, root=tmp_path / "kept", durable=True)
    await world.bar("50100")
    world.close()
    revived = await make_world(agent=world.plan.agents[0], root=tmp_path / "kept", durable=True)
    await revived.bar("50100", "52500", "50100", "52000")
    row = shown(revived)
    assert (row["shadow_how"], row["shadow_entry"], row["shadow_exit"]) == ("TARGET", "50100", "52000")


async def test_trade_that_expired_is_not_followed(make_world: Make, tester: AgentConfig) -> None:
    asker = replace(tester, autonomy=Autonomy.APPROVE, approval_ttl_ms=60_000)
    world = await make_world({0: BUY}, agent=asker)
    await world.bars(3, "50000")
    assert world.outcomes("approval") == ["WAITING", "EXPIRED"]
    assert (shown(world)["would_have"], world.books.shadows.open) == (None, {})


async def test_rejected_trade_that_is_still_followed_is_valued_at_the_price_now(
    make_world: Make, tester: AgentConfig
) -> None:
    world, _id = await rejected(make_world, tester)
    await world.bar("50100")
    await world.bar("50300")
    reader = StoreReader(world.paths, world.core)
    (row,) = await reader.read("answered", {})
    await reader.close()
    assert row["would_have"] == "filled at 50100, now 50300: up 200 before fees"
