"""What a user interface sees: values of one instant, each with its age and where it came from."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import FrozenInstanceError, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine import api
from engine.control import views
from engine.control.wire import to_json
from engine.domain.agent import AgentConfig, AgentLimits, Protection, Schedule
from engine.domain.decision import Direction
from engine.domain.intent import Autonomy
from engine.domain.killing import KillAction
from engine.domain.policy import KillLimits, PaperSettings, Policy
from engine.llm.meter import Hold, Usage
from tests.flow.conftest import MINUTE_MS, START_MS, Scripted, World
from tests.unit.meter_kit import PRICES

BTC = "paper:BTC/USDT"
BUY: dict[str, object] = {"direction": Direction.BUY}
KILL = KillLimits(
    gain_frac=Decimal(9), loss_frac=Decimal("0.05"), drawdown_frac=Decimal("0.9"), daily_loss_frac=Decimal("0.9"),
    action=KillAction.HALT,
)  # fmt: skip
AGENT = AgentConfig(
    name="tester", model="scripted:plan", instruments=(BTC,), timeframe_ms=MINUTE_MS,
    limits=AgentLimits(
        position_notional_max=Decimal(200_000), portfolio_share_frac=Decimal(1), qty_fixed=Decimal(1), trades_per_day=7
    ),
    protection=Protection(stop_frac=Decimal("0.02"), target_frac=Decimal("0.04")),
)  # fmt: skip
Make = Callable[..., Awaitable[World]]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[World] = []

    async def world(script: dict[int, dict[str, object]] | None = None, agent: AgentConfig = AGENT) -> World:
        free = PaperSettings(half_spread_frac=Decimal(0), slippage_frac=Decimal(0), volume_share_frac=Decimal(1))
        made.append(World(tmp_path / f"w{len(made)}", Scripted(script), agent, Policy(kill=KILL, paper=free)))
        return await made[-1].start()

    yield world
    for each in made:
        each.close()


def seen(world: World, **changes: Any) -> api.Snapshot:
    fields: dict[str, Any] = {"mono_ms": 5.0, "progress": None, "finished": False, **changes}
    return views.snapshot(world.core, **fields)


async def test_new_store_shows_its_money_and_nothing_made_up(make: Make) -> None:
    shown = seen(await make())
    assert (shown.state, shown.mode, shown.source_label) == (api.TradingState.ACTIVE, api.Mode.PAPER, "SIMULATED")
    assert (shown.equity, shown.equity_start, shown.currency) == (100_000, 100_000, "USD")
    assert (shown.positions, shown.orders, shown.approvals, shown.certificate) == ((), (), (), None)
    assert (shown.realized, shown.unrealized, dict(shown.fees)) == (0, 0, {})
    assert dict(shown.balances) == {"USDT": Decimal(100_000)}
    assert (shown.progress, shown.finished, shown.built_mono_ms) == (None, False, 5.0)


async def test_position_shows_its_price_its_age_and_its_protection(make: Make) -> None:
    world = await make({0: BUY})
    await world.bars(2, "50000")
    await world.bar("50500")
    world.clock.advance_ms(1_500)
    shown = seen(world)
    (position,) = shown.positions
    assert (position.qty, position.average_price, position.mark, position.mark_age_ms) == (1, 50_000, 50_500, 1_500)
    assert (position.unrealized, position.stop_price, position.target_price) == (500, 49_000, 52_000)
    assert (shown.unrealized, shown.equity, shown.data_age_ms) == (500, 100_450, 1_500)
    assert dict(shown.fees) == {"USDT": Decimal(50)}
    assert {order.role.value for order in shown.orders} == {"STOP", "TARGET"}
    assert shown.counts == {"cycles": 3, "fills": 1, "orders": 3, "halts": 0}


async def test_profit_is_equity_less_what_was_put_in(make: Make) -> None:
    world = await make({0: BUY, 2: {"direction": Direction.FLAT}})
    await world.bars(3, "50000")
    await world.bars(2, "51000")
    shown = seen(world)
    fees = sum(shown.fees.values())
    assert (shown.positions, shown.realized, shown.unrealized) == ((), 1_000, 0)
    assert shown.equity == shown.equity_start + shown.realized - fees


async def test_gauges_show_how_much_of_each_limit_is_used(make: Make) -> None:
    world = await make({0: BUY})
    await world.bars(2, "50000")
    await world.bar("49100", "49100", "49050", "49050")
    gauges = {gauge.rule: gauge for gauge in seen(world).kill}
    assert set(gauges) == {"gain", "loss", "drawdown", "daily_loss", "daily_profit"}
    assert gauges["loss"].observed == Decimal("0.01")
    assert gauges["loss"].used_frac == Decimal("0.2")
    assert not any(gauge.tripped for gauge in gauges.values())


async def test_what_models_cost_is_shown_beside_what_they_may_and_what_that_is_of_the_day(make: Make) -> None:
    world = await make({0: BUY})
    await world.bars(2, "50000")
    await world.bar("50400")
    core = world.core
    meter = core.desk.meter
    assert meter is not None
    meter.prices = PRICES
    asked: dict[str, Any] = {"provider": "acme", "model": "small", "agent": "tester", "now_ms": world.clock.now_ms()}
    asked |= {"input_tokens": 1000, "output_tokens_max": 100}
    first = meter.hold(**asked, cycle_id="tester.1")
    assert isinstance(first, Hold)
    meter.post(first, Usage(input_tokens=1000, output_tokens=100))
    meter.hold(**asked, cycle_id="tester.2")
    shown = seen(world)
    budget = shown.budget
    assert budget is not None
    assert (budget.usd_spent, budget.usd_reserved, budget.usd_cap) == (Decimal("0.0045"), Decimal("0.0045"), 5)
    assert (budget.tokens_spent, budget.tokens_reserved, budget.calls, budget.decisions) == (1100, 1100, 1, 1)
    assert (budget.trades, budget.usd_per_trade, budget.usd_month_cap) == (1, Decimal("0.0045"), 100)
    assert shown.day_pnl is not None
    assert budget.day_pnl_after == shown.day_pnl - Decimal("0.0045")
    assert (budget.off_reason, budget.usd_per_hour) == ("", Decimal("0.027"))
    meter.switch(False, "too dear", "trader")
    assert seen(world).budget.off_reason == "all: too dear"  # type: ignore[union-attr]


async def test_waiting_trade_shows_what_it_would_do_and_when_it_expires(make: Make) -> None:
    world = await make({0: BUY}, replace(AGENT, autonomy=Autonomy.APPROVE, approval_ttl_ms=90_000))
    await world.bar("50000")
    world.clock.advance_ms(30_000)
    (card,) = seen(world).approvals
    assert (card.agent, card.qty, card.price, card.before_qty, card.after_qty) == ("tester", 1, 50_000, 0, 1)
    assert (card.expires_in_ms, card.price_age_ms, card.price_now) == (60_000, 30_000, 50_000)
    assert (card.confidence, card.rationale, len(card.code)) == (Decimal("0.9"), "scripted", 4)
    assert all(check.verdict is not api.Verdict.REFUSE for check in card.checks)
    assert card.asked_ms == seen(world).now_ms - card.quote_age_ms, "the checks are those of the asking"


async def test_agent_shows_what_it_did_and_how_much_it_may_still(make: Make) -> None:
    world = await make({0: BUY})
    await world.bars(2, "50000")
    await world.bar("50400")
    (agent,) = seen(world).agents
    assert (agent.cycles, agent.trades_today, agent.trades_per_day, agent.failures) == (3, 1, 7, 0)
    assert (agent.status, agent.phase, agent.unrealized, agent.realized) == (api.AgentStatus.RUNNING, "IDLE", 400, 0)
    assert (agent.last, agent.last_ms, agent.next_slot_ms) == ("not yet", world.clock.now_ms(), None)


async def test_agent_with_an_interval_shows_its_next_slot(make: Make) -> None:
    timed = replace(AGENT, schedule=Schedule(every_candle=False, interval_ms=5 * MINUTE_MS))
    world = await make(agent=timed)
    (agent,) = seen(world).agents
    assert agent.next_slot_ms == START_MS + 10 * MINUTE_MS


async def test_change_of_a_market_is_measured_from_its_first_close(make: Make) -> None:
    world = await make()
    await world.bar("60000")
    (market,) = seen(world).markets
    assert (market.price, market.closes[0], market.closes[-1]) == (60_000, 50_000.0, 60_000.0)
    assert market.change_frac == Decimal("0.2")


async def test_halt_in_memory_is_shown_before_it_is_on_disk(make: Make) -> None:
    world = await make()
    world.core.latch.close()
    assert seen(world).state is api.TradingState.HALTED


async def test_certificate_of_a_flatten_is_shown(make: Make) -> None:
    world = await make({0: BUY})
    await world.bars(2, "50000")
    await world.handlers.handle(api.Flatten())
    assert seen(world).flattening
    await world.bar("50000")
    shown = seen(world)
    assert shown.certificate is not None
    assert (shown.certificate.flat, shown.flattening) == (True, False)
    assert [line[:3] for line in shown.certificate.lines] == [(BTC, 1, 0)]
    assert (shown.certificate.ended_ms, shown.certificate.held_since) == (shown.now_ms, False)


async def test_certificate_says_that_positions_were_opened_since(make: Make) -> None:
    world = await make({0: BUY, 5: BUY})
    await world.bars(2, "50000")
    await world.handlers.handle(api.Flatten())
    await world.bar("50000")
    assert (await world.handlers.handle(api.Resume(reason="again"))).ok
    await world.bars(5, "50000")
    shown = seen(world)
    assert shown.positions, "the agent bought again"
    assert shown.certificate is not None
    assert (shown.certificate.flat, shown.certificate.held_since) == (True, True)


async def test_snapshot_does_not_change_once_it_is_made_and_goes_over_the_wire(make: Make) -> None:
    world = await make({0: BUY})
    await world.bars(2, "50000")
    shown = seen(world, progress=0.5)
    before = to_json(shown)
    await world.bar("51000")
    assert to_json(shown) == before
    assert json.loads(json.dumps(before))["positions"][0]["qty"] == "1"
    with pytest.raises(FrozenInstanceError):
        shown.state = api.TradingState.HALTED  # type: ignore[misc]
