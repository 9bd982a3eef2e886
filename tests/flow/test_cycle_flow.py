"""From a draft to fills, on a real store and the real paper venue."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from engine.domain.agent import AgentConfig
from engine.domain.decision import Direction
from engine.domain.intent import Autonomy
from engine.domain.order import OrderRole, OrderStatus
from engine.domain.policy import PaperSettings, Policy
from engine.runtime.reads import verify

BTC = "paper:BTC/USDT"
BUY: dict[str, object] = {"direction": Direction.BUY}
FLAT: dict[str, object] = {"direction": Direction.FLAT}
Make = Callable[..., Awaitable[Any]]


async def test_decision_at_a_close_trades_at_the_next_open_with_protection(make_world: Make) -> None:
    world = await make_world({0: BUY})
    await world.bar("50000")
    assert world.position() == 0
    await world.bar("50100", "50200", "50050", "50150")
    position = world.books.position("tester", BTC)
    assert (position.qty, position.average_price) == (1, Decimal(50100))
    stop, target = (
        next(o for o in world.books.orders.values() if o.role is role) for role in (OrderRole.STOP, OrderRole.TARGET)
    )
    assert (stop.status, stop.stop_price, stop.qty) == (OrderStatus.OPEN, Decimal(49000), 1)
    assert (target.status, target.limit_price, target.qty) == (OrderStatus.OPEN, Decimal(52000), 1)


async def test_stop_closes_the_position_and_the_target_dies_with_it(make_world: Make) -> None:
    world = await make_world({0: BUY})
    await world.bars(2, "50000")
    await world.bar("49500", "49600", "48000", "48500")
    assert world.position() == 0
    assert world.books.position("tester", BTC).realized == Decimal(-1000)
    assert not world.books.orders


async def test_candle_that_touches_stop_and_target_takes_the_worse(make_world: Make) -> None:
    world = await make_world({0: BUY})
    await world.bars(2, "50000")
    await world.bar("50000", "53000", "48000", "50000")
    assert world.books.position("tester", BTC).realized == Decimal(-1000)


async def test_exit_sells_what_is_held_and_ends_the_protection(make_world: Make) -> None:
    world = await make_world({0: BUY, 2: FLAT})
    await world.bars(3, "50000")
    await world.bar("50500")
    assert world.position() == 0
    assert world.books.position("tester", BTC).realized == Decimal(500)
    assert not world.books.orders


async def test_partial_fills_are_protected_to_what_is_open(make_world: Make, tester: AgentConfig) -> None:
    thin = PaperSettings(half_spread_frac=Decimal(0), slippage_frac=Decimal(0), volume_share_frac=Decimal("0.1"))
    world = await make_world({0: BUY}, policy=Policy(paper=thin))
    await world.bar("50000", volume="4")
    await world.bar("50000", volume="4")
    stop = next(o for o in world.books.orders.values() if o.role is OrderRole.STOP)
    assert (world.position(), stop.qty) == (Decimal("0.4"), Decimal("0.4"))
    await world.bar("50000", volume="8")
    stop = next(o for o in world.books.orders.values() if o.role is OrderRole.STOP)
    assert (world.position(), stop.qty) == (Decimal(1), Decimal(1))


async def test_same_target_again_changes_nothing(make_world: Make) -> None:
    world = await make_world({0: BUY, 2: BUY, 3: BUY})
    await world.bars(6, "50000")
    assert world.position() == 1
    assert world.books.count.intents == 1


async def test_model_size_above_the_hard_cap_is_refused_and_below_it_is_a_ceiling(
    make_world: Make, tester: AgentConfig
) -> None:
    capped = replace(tester, limits=replace(tester.limits, qty_fixed=None, qty_max=Decimal("0.5")))
    world = await make_world(
        {0: {**BUY, "quantity": Decimal(2)}, 1: {**BUY, "quantity": Decimal("0.25")}}, agent=capped
    )
    await world.bars(3, "50000")
    assert world.outcomes("decision")[:2] == ["REFUSED", "ACTED"]
    assert world.position() == Decimal("0.25")


@pytest.mark.parametrize("confidence", [None, Decimal("0.59")], ids=["missing", "low"])
async def test_draft_without_enough_confidence_is_refused(make_world: Make, confidence: Decimal | None) -> None:
    world = await make_world({0: {**BUY, "confidence": confidence}})
    await world.bars(2, "50000")
    assert (world.outcomes("decision"), world.books.count.orders) == (["REFUSED"], 0)


async def test_observer_proposes_and_sends_nothing(make_world: Make, tester: AgentConfig) -> None:
    world = await make_world({0: BUY}, agent=replace(tester, autonomy=Autonomy.OBSERVE))
    await world.bars(3, "50000")
    assert (world.outcomes("decision"), world.books.count.orders) == (["OBSERVED"], 0)


async def test_every_cent_is_proven_after_a_round_trip(make_world: Make) -> None:
    world = await make_world({0: BUY, 3: FLAT})
    await world.bars(4, "50000")
    await world.bar("51000")
    fee = Decimal("50") + Decimal("51")
    assert world.core.watch.equity == Decimal(100_000) + Decimal(1000) - fee
    assert world.books.fees == {"USDT": fee}
    world.close()
    report = verify(world.paths.root)
    assert (report.first_breach, report.fills) == (None, 2)
