"""A language model's decision on record: explained to the last word, judged again, and pruned when the policy says."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.clock import DAY_MS, ManualClock
from engine.control.upkeep import Upkeep
from engine.domain.caps import AiBudget
from engine.domain.decision import Outcome
from engine.domain.policy import AiRules, Policy
from engine.errors import UsageError
from engine.runtime.rerun import RerunOptions, rerun
from tests.flow.model_double import ModelDouble, Says
from tests.flow.model_kit import FREE, WIDE, Table, agent_of
from tests.flow.test_rerun import explained

ROOM = AiBudget(usd_per_day=Decimal(100), tokens_per_day=10**9, usd_per_month=Decimal(100), tokens_per_month=10**9)
BUY = (
    '{"decision": "buy", "symbol": "BTC/USDT", "quantity": 0.30, "stop": 49000, "confidence": 0.9, '
    '"reasoning": "weak \\u001b[31m[b]x[/b]"}'
)
Sit = Callable[..., Any]


@pytest.fixture
async def sit(tmp_path: Path) -> AsyncIterator[Sit]:
    """Sit an agent with the engine's own prompts and budget before a server that gives some answers."""
    async with AsyncExitStack() as stack:

        async def make(*answers: str, **rules: Any) -> Table:
            double = await stack.enter_async_context(ModelDouble(*map(Says, answers)))
            policy = Policy(kill=WIDE, paper=FREE, ai_budget=ROOM, ai=AiRules(**rules))
            agent = replace(agent_of(), strategy="Buy weakness.", shadow="heuristic:sma_cross")
            table = Table(tmp_path / "table", double.url, agent, composed=True, policy=policy)
            stack.push_async_callback(table.close)
            await table.start()
            for at in range(60):
                await table.bar(str(50_000 + 10 * (at % 7)), warm=True)
            return table

        yield make


async def test_everything_behind_a_model_s_decision_is_told_and_it_is_judged_again_the_same(sit: Sit) -> None:
    table = await sit(BUY, '{"decision": "hold", "reasoning": "enough"}')
    cycle = await table.decide("50000")
    await table.decide("50100")
    told = explained(table.paths, cycle.cycle_id)
    (asked,), (item,), (draft,), (inputs,) = told["asked"], told["items"], told["drafts"], told["inputs"]
    assert told["trigger"] == "candle"
    assert (asked["model"], asked["outcome"], asked["input_tokens"] > 0) == ("model-1", "DECIDED", True)
    assert Decimal(asked["cost_usd"]) > 0
    assert asked["latency_ms"] >= 0
    assert asked["prompt"]["version"] == "quarterdeck-1"
    assert "<strategy>\nBuy weakness.\n</strategy>" in asked["prompt"]["user"]
    assert asked["prompt"]["system"].startswith("You are the trading agent thinker.")
    assert asked["answer"]["text"] == BUY
    assert (draft["quantity"], draft["confidence"], draft["stop"]) == ("0.3", "0.9", "49000")
    assert (inputs["price"], inputs["price_age_ms"]) == ("50000", 0)
    assert item["checks"]
    assert (item["became"]["still_open"], item["became"]["fills_since"]) == ("0.3", 1)
    assert told["orders"][0]["fills"][0]["qty"] == "0.3"
    answer = rerun(table.paths, RerunOptions(cycle=cycle.cycle_id))
    assert (answer["same"], answer["off"], answer["made_from"]) == (True, [], "what was kept of it")
    assert answer["answer"]["same"] is True
    other = rerun(table.paths, RerunOptions(cycle=cycle.cycle_id, model="heuristic:rsi_reversion"))
    assert {each["field"] for each in other["differences"]} >= {"direction", "intent"}
    half = rerun(table.paths, RerunOptions(cycle=cycle.cycle_id, answer=BUY.replace("0.30", "0.15")))
    changed = {each["field"]: each["now"] for each in half["differences"]}
    assert changed["target_qty"] == "0.15"
    with pytest.raises(UsageError, match="no decision, so nothing would have been traded: SCHEMA"):
        rerun(table.paths, RerunOptions(cycle=cycle.cycle_id, answer=BUY.replace('"quantity"', '"size"')))


async def test_an_answer_that_could_not_be_read_is_told_as_that_and_reads_so_again(sit: Sit) -> None:
    table = await sit('{"decision": "buy", "symbol": "BTC/USDT", "confidence": 85, "reasoning": "sure"}')
    cycle = await table.decide()
    assert cycle.outcome is Outcome.PARSE_FAILED
    told = explained(table.paths, cycle.cycle_id)
    assert told["asked"][0]["answer"]["text"].startswith('{"decision": "buy"')
    assert "confidence" in told["detail"]
    answer = rerun(table.paths, RerunOptions(cycle=cycle.cycle_id))
    assert (answer["same"], answer["decisions"]) == (True, [])
    assert "OUT_OF_RANGE" in answer["answer"]["detail"]


async def test_what_the_policy_keeps_no_longer_is_deleted_once_a_day_and_explain_says_so(sit: Sit) -> None:
    table = await sit(BUY, prompts_kept_days=30)
    cycle = await table.decide()
    wall = ManualClock(400 * DAY_MS)
    for path in table.paths.prompts.rglob("*.*"):
        os.utime(path, (370 * DAY_MS / 1000, 370 * DAY_MS / 1000))
    upkeep = Upkeep(table.core, table.paths, wall, keep=0)
    wall.advance_ms(61_000)
    await upkeep.beat()
    assert table.kept.size()[0] == 0
    told = explained(table.paths, cycle.cycle_id)
    assert told["asked"][0]["prompt"]["text"] == told["asked"][0]["answer"]["text"] == "no longer kept"
    assert told["items"][0]["disposition"] == "ACTED"
