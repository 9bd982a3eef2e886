"""A language model in the shadow: asked beside the cycle over loopback HTTP, paid for, and never in the trade's way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.agents.lanes import UNDER_WAY, standing
from engine.control.spending import budget_view
from engine.domain.budget import Purpose, Window
from engine.domain.caps import AiBudget, ShareBudget
from engine.domain.decision import Disposition, Outcome
from engine.domain.events import (
    AskedBeside,
    BesideDone,
    BudgetHeld,
    BudgetPosted,
    HoldTagged,
    LaneDecided,
    LaneFilled,
    OrderIntended,
)
from engine.domain.lane_standing import LaneStanding
from engine.domain.policy import Policy
from engine.runtime import verify
from engine.runtime.explaining import shadows
from engine.store.freezing import freeze, thaw
from tests.flow.model_double import Answer, Fails, ModelDouble, Says, Silence
from tests.flow.model_kit import BUY, FREE, HOLD, RATES, WIDE, Table, agent_of
from tests.flow.test_rerun import explained
from tests.flow.test_socket_flow import until

ROOM = AiBudget(usd_per_day=Decimal(9), tokens_per_day=10**9, usd_per_month=Decimal(9), tokens_per_month=10**9)
USAGE = (900, 30, 0)
COST = RATES.cost(900, 30, 0)
Sit = Callable[..., Any]


@pytest.fixture
async def sit(tmp_path: Path) -> AsyncIterator[Sit]:
    """Sit an agent with a shadow before a server; answers: by the model that is asked."""
    async with AsyncExitStack() as stack:

        async def make(
            model: str = "heuristic:breakout", shadow: str = "here:model-2", budget: AiBudget = ROOM, **answers: Answer
        ) -> Table:
            by_model = {name.replace("_", "-"): each for name, each in answers.items()}
            double = await stack.enter_async_context(ModelDouble(Says(HOLD), by_model=by_model))
            policy = Policy(kill=WIDE, paper=FREE, ai_budget=budget)
            agent = agent_of(model=model, shadow=shadow)
            table = Table(tmp_path / "store", double.url, agent, composed=True, policy=policy, timeout_ms=2_000)
            stack.push_async_callback(table.close)
            table.double = double  # type: ignore[attr-defined]
            await table.start()
            for at in range(60):
                await table.bar(str(50_000 + 10 * (at % 7)), warm=True)
            return table

        yield make


async def slot(table: Table, price: str = "50000") -> None:
    """Close a bar, and wait for the agent and its shadow."""
    await table.bar(price)
    await table.settle()
    assert table.core.desk.lanes is not None
    await table.core.desk.lanes.settle()


def beside(table: Table) -> LaneStanding:
    found = standing(table.books, table.core.desk.surroundings.valuation, "thinker")
    assert found is not None
    return found


async def test_a_language_model_decides_in_the_shadow_at_the_lane_s_cost_within_the_agent_s_caps(sit: Sit) -> None:
    table = await sit(model_2=Says(BUY, usage=USAGE))
    await slot(table)
    (held,), (tag,), (asked,) = table.rows(BudgetHeld), table.rows(HoldTagged), table.rows(AskedBeside)
    (done,), (decided,) = table.rows(BesideDone), table.rows(LaneDecided)
    assert (held.agent, tag.purpose, asked.cost_usd) == ("thinker", Purpose.SHADOW, COST)
    assert (done.outcome, done.cost_usd, done.model) == (Outcome.DECIDED, COST, "here:model-2")
    (item,) = decided.items
    assert (item.disposition, item.target_qty) == (Disposition.ACTED, 1)
    assert {check.code.value for check in item.checks} >= {"CONFIDENCE", "BUYING_POWER", "PRICE_DRIFT"}
    assert table.books.spend.spent(Window.DAY, "agent:thinker").usd == COST
    await slot(table, "50050")
    (filled,) = table.rows(LaneFilled)
    assert (filled.qty, filled.price, filled.fee) == (1, Decimal(50_050), Decimal("50.05"))
    told, after = beside(table), Decimal("-50.05") - 2 * COST
    assert (told.lane_net, told.lane_spent, told.lane_after) == (Decimal("-50.05"), 2 * COST, after)
    assert (told.agent_net, told.spent, told.agent_after, told.added) == (0, 0, 0, -after)
    assert (told.outcomes, told.last) == ({"DECIDED": 2}, "DECIDED")
    assert (table.position(), table.rows(OrderIntended), table.books.asking.outcomes) == (0, [], {})
    now = budget_view(table.core, table.clock.now_ms())
    assert (now.usd_spent, now.usd_beside, now.decisions, now.usd_per_decision) == (2 * COST, 2 * COST, 0, None)
    assert thaw(freeze(table.books)).lanes == table.books.lanes
    assert verify(table.paths.root).ok


async def test_it_is_told_of_the_lane_s_own_money_trades_and_decisions(sit: Sit) -> None:
    table = await sit(model_2=Says(BUY, usage=USAGE))
    for price in ("50000", "50000", "50010"):
        await slot(table, price)
    first, _second, third = [body["messages"][0]["content"] for body in table.double.asked]
    assert '"positions":[]' in first
    assert '"previous_decisions":[]' in first
    assert '"quantity":1,' in third
    assert '"became":"ACTED"' in third
    assert table.position() == 0


async def test_two_language_models_are_asked_the_same_and_a_silent_shadow_holds_nothing_up(sit: Sit) -> None:
    table = await sit(model="here:model-1", model_1=Says(BUY, usage=USAGE), model_2=Silence())
    cycle = await table.decide()
    assert (cycle.outcome, cycle.items[0].disposition) == (Outcome.DECIDED, Disposition.ACTED)
    await asyncio.wait_for(until(lambda: len(table.double.asked) == 2), 10)
    await table.decide("50100")
    assert table.position() == 1
    (late,) = table.rows(BesideDone)
    assert (late.outcome, late.detail, late.cost_usd) == (Outcome.TIMED_OUT, UNDER_WAY, 0)
    own, other = sorted(table.double.asked[:2], key=lambda body: body["model"])
    assert own | {"model": ""} == other | {"model": ""}
    await table.core.cycles.close()
    (cut,) = table.rows(AskedBeside)
    assert (cut.outcome, cut.cost_usd, cut.reserved_usd > 0) == (Outcome.TIMED_OUT, cut.reserved_usd, True)
    assert table.books.spend.holds == {}
    told = beside(table)
    assert (told.spent, told.lane_spent) == (2 * COST, cut.cost_usd)


@pytest.mark.parametrize(
    ("answer", "budget", "outcome"),
    [
        (Says("buy!", usage=USAGE), ROOM, Outcome.PARSE_FAILED),
        (Says(BUY, usage=USAGE, stop="max_tokens"), ROOM, Outcome.TRUNCATED),
        (Fails(500), ROOM, Outcome.PROVIDER_DOWN),
        (Fails(402), ROOM, Outcome.RATE_LIMITED),
        (
            Says(BUY, usage=USAGE), replace(ROOM, agents={"thinker": ShareBudget(usd_per_day=Decimal("0.04"))}),
            Outcome.OVER_BUDGET,
        ),
    ],
)  # fmt: skip
async def test_a_shadow_that_fails_is_shown_and_the_agent_trades_on(
    sit: Sit, answer: Answer, budget: AiBudget, outcome: Outcome
) -> None:
    table = await sit(model="here:model-1", budget=budget, model_1=Says(BUY, usage=USAGE), model_2=answer)
    await slot(table)
    (done,) = table.rows(BesideDone)
    assert (done.outcome, table.rows(LaneDecided)) == (outcome, [])
    assert (beside(table).last, beside(table).outcomes) == (outcome.value, {outcome.value: 1})
    assert any(line.startswith(f"agent SHADOW {outcome.value}") for line in table.lines())
    assert [each["outcome"] for each in explained(table.paths, done.cycle_id)["beside"]][-1] == outcome.value
    assert (table.books.asking.outcomes, table.books.spend.off) == ({("thinker", "DECIDED"): 1}, {})
    assert len(table.rows(OrderIntended)) == 3
    posted = sum((row.usd for row in table.rows(BudgetPosted)), Decimal(0))
    assert posted == table.books.spend.total.usd == COST + beside(table).lane_spent


async def test_a_vendor_s_spending_limit_rests_the_shadow_and_not_the_agent(sit: Sit) -> None:
    table = await sit(model="here:model-1", model_1=Says(HOLD, usage=USAGE), model_2=Fails(402))
    await slot(table)
    await slot(table)
    assert [body["model"] for body in table.double.asked].count("model-2") == 1
    assert (beside(table).outcomes, beside(table).last) == ({"RATE_LIMITED": 1, "OVER_BUDGET": 1}, "OVER_BUDGET")
    assert table.books.asking.outcomes == {("thinker", "DECIDED"): 2}


async def test_at_rest_the_store_tells_what_the_shadow_cost(sit: Sit) -> None:
    table = await sit(model_2=Says(HOLD, usage=USAGE))
    await slot(table)
    await table.close()
    (told,) = shadows(table.paths.root)
    assert (told["model"], Decimal(told["lane_spent"]), told["last"]) == ("here:model-2", COST, "DECIDED")
