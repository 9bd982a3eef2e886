"""The counterfactual lane: a second model on the same inputs, with the same fees, and no effect on anything real."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.agents.lanes import LaneRunner, standing
from engine.domain.agent import AgentConfig
from engine.domain.decision import Direction
from engine.domain.policy import PaperSettings, Policy
from engine.errors import UsageError
from engine.runtime.explaining import shadows
from engine.runtime.reads import verify
from engine.runtime.replay import ReplayOptions, replay
from engine.store.freezing import freeze, thaw
from tests.flow.conftest import Bar

Make = Callable[..., Awaitable[Any]]
AGENT = """
name = "{name}"
model = "heuristic:{model}"
instruments = ["paper:BTC/USDT"]
timeframe = "1m"
capital_share = "50%"
{shadow}
[limits]
confidence_min = 0.5
cooldown_after_loss = "0ms"
"""
MONEY = ("fills", "fees", "realized_pnl", "equity_end", "orders", "intents", "decisions", "refusals")


@pytest.fixture
def played(tmp_path: Path, write_bars: Callable[..., Path], waves: list[Bar]) -> Callable[..., dict[str, Any]]:
    """Replay the waves with one agent, and a shadow if one is named."""
    path, stores = write_bars(waves), iter(range(9))

    def go(model: str, shadow: str = "", name: str = "one") -> dict[str, Any]:
        file = tmp_path / f"{name}-{model}-{shadow or 'alone'}.toml"
        named = shadow if ":" in shadow else f"heuristic:{shadow}"
        file.write_text(AGENT.format(name=name, model=model, shadow=f'shadow = "{named}"' if shadow else ""))
        options = ReplayOptions(
            files=(path,), agents=(str(file),), store=tmp_path / f"store{next(stores)}", config_dir=tmp_path / "config"
        )
        return replay(options)

    return go


def test_a_shadow_changes_nothing_real_and_is_the_same_each_time(
    tmp_path: Path, played: Callable[..., dict[str, Any]]
) -> None:
    alone, beside = played("rsi_reversion"), played("rsi_reversion", "sma_cross")
    assert {name: alone[name] for name in MONEY} == {name: beside[name] for name in MONEY}
    assert alone["shadows"] == []
    (shadow,) = beside["shadows"]
    assert shadow["lane_fills"] > 4
    again = played("rsi_reversion", "sma_cross")
    assert again["journal_hash"] == beside["journal_hash"]
    (at_rest,) = shadows(tmp_path / "store1")
    assert (at_rest["model"], at_rest["lane_fills"]) == (shadow["model"], shadow["lane_fills"])
    assert at_rest["added"] in (None, shadow["added"])


def test_a_shadow_of_the_same_model_makes_what_the_agent_makes(played: Callable[..., dict[str, Any]]) -> None:
    result = played("sma_cross", "sma_cross")
    (shadow,) = result["shadows"]
    assert shadow["lane_fills"] == result["fills"] > 4
    assert abs(Decimal(shadow["added"])) < Decimal("0.02") * abs(Decimal(shadow["agent_net"]))


async def test_what_the_model_added_is_its_own_net_less_tokens_less_the_lane_s(
    make_world: Make, tester: AgentConfig
) -> None:
    free = PaperSettings(half_spread_frac=Decimal(0), slippage_frac=Decimal(0), volume_share_frac=Decimal(1))
    world = await make_world(
        {1: {"direction": Direction.BUY}}, agent=replace(tester, shadow="heuristic:breakout"),
        policy=Policy(paper=free, kill=(await make_world()).plan.policy.kill),
    )  # fmt: skip
    for price in ("50000", "50000", "50100"):
        await world.bar(price)
    told = standing(world.books, world.core.desk.surroundings.valuation, "tester")
    assert told is not None
    assert told.agent_net == Decimal(0) - Decimal("50.1")
    assert (told.lane_net, told.spent, told.added) == (0, 0, told.agent_net)
    assert thaw(freeze(world.books)).lanes == world.books.lanes
    assert verify(world.paths.root).first_breach is None


async def test_a_lane_that_breaks_ends_and_the_agent_goes_on(make_world: Make, tester: AgentConfig) -> None:
    world = await make_world({1: {"direction": Direction.BUY}}, agent=replace(tester, shadow="heuristic:sma_cross"))
    runner = world.core.desk.lanes
    assert isinstance(runner, LaneRunner)
    runner._seconds["tester"].client = None  # type: ignore[assignment]
    for _ in range(4):
        await world.bar("50000")
    assert world.position() == 1
    assert any("LANE_FAILED" in line for line in world.incidents())


def test_a_shadow_that_costs_money_is_not_asked_on_a_recording_and_needs_a_provider(
    played: Callable[..., dict[str, Any]],
) -> None:
    alone, beside = played("rsi_reversion"), played("rsi_reversion", "anthropic:claude-sonnet-4-5")
    assert {name: alone[name] for name in MONEY} == {name: beside[name] for name in MONEY}
    assert beside["shadows"] == []
    with pytest.raises(UsageError, match='did you mean "anthropic"'):
        played("rsi_reversion", "antropic:claude-sonnet-4-5")
