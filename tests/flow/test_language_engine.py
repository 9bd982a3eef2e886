"""Language models as the engine composes them: its own prompts, prices and budget, over loopback HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.config import Instruments, load_agent
from engine.domain.decision import AnsweredBy, Outcome
from engine.domain.events import BudgetHeld, BudgetPosted
from engine.domain.provider import BUILT_IN
from engine.errors import UsageError
from engine.paths import StorePaths
from engine.runtime.models import HURRIED, Models
from engine.store.prompts import PromptStore
from tests.flow.model_double import ModelDouble, Says
from tests.flow.model_kit import BUY, HOLD, RATES, Table, agent_of

PRICES_BY_BAR = [str(50_000 + 40 * (number % 7)) for number in range(80)]


@pytest.fixture
async def double() -> AsyncIterator[ModelDouble]:
    async with ModelDouble(Says(HOLD, usage=(900, 30, 0))) as one:
        yield one


async def warm(root: Path, double: ModelDouble, **options: Any) -> Table:
    """Return a composed engine that has seen enough bars for every indicator a model is told of."""
    agent = agent_of(model=options.pop("model", "here:model-1"))
    table = await Table(root, double.url, agent, composed=True, **options).start()
    for price in PRICES_BY_BAR:
        await table.bar(price, warm=True)
    return table


async def test_a_model_is_told_the_facts_charged_by_its_price_and_kept_word_for_word(
    tmp_path: Path, double: ModelDouble
) -> None:
    table = await warm(tmp_path / "store", double)
    cycle = await table.decide()
    assert (cycle.outcome, cycle.answered_by, cycle.detail) == (Outcome.DECIDED, AnsweredBy.LIVE, "")
    (asked,) = table.asked()
    (held,), (posted,) = table.rows(BudgetHeld), table.rows(BudgetPosted)
    assert asked.cost_usd == posted.usd == RATES.cost(900, 30, 0) < held.usd == asked.reserved_usd
    assert held.cycle_id == asked.cycle_id == cycle.cycle_id
    told = double.asked[0]["messages"][0]["content"]
    assert "BTC/USDT" in told
    assert "rsi_14" in told
    assert json.loads(table.kept.get(asked.prompt) or "{}")["user"] == told
    assert table.kept.get(asked.answer) == HOLD
    await table.close()


@pytest.mark.fault("A30")
async def test_before_the_indicators_are_warm_nobody_is_asked(tmp_path: Path, double: ModelDouble) -> None:
    table = await Table(tmp_path / "store", double.url, composed=True).start()
    cycle = await table.decide()
    assert (cycle.outcome, double.asked, table.rows(BudgetHeld)) == (Outcome.STALE_INPUT, [], [])
    assert cycle.detail
    await table.close()


@pytest.mark.fault("A20")
async def test_a_model_without_a_price_is_not_asked_and_the_line_to_write_is_named(
    tmp_path: Path, double: ModelDouble
) -> None:
    table = await warm(tmp_path / "store", double, model="here:model-9")
    cycle = await table.decide()
    assert (cycle.outcome, double.asked) == (Outcome.OVER_BUDGET, [])
    assert 'add [models."here:model-9"]' in cycle.detail
    await table.close()


@pytest.mark.fault("A18")
async def test_an_answer_that_cost_more_than_was_reserved_switches_models_off(tmp_path: Path) -> None:
    async with ModelDouble(Says(BUY, usage=(10**6, 30, 0))) as dear:
        table = await warm(tmp_path / "store", dear)
        assert (await table.decide()).outcome is Outcome.DECIDED
        after = await table.decide()
        assert (after.outcome, len(dear.asked)) == (Outcome.OVER_BUDGET, 1)
        assert "models are off" in after.detail
        await table.close()


def models(folder: Path, **options: Any) -> Models:
    store = PromptStore(StorePaths(folder).prompts)
    return Models({each.name: each for each in BUILT_IN}, store, lambda: 0, timeout_ms=1_000, **options)


def test_an_unknown_provider_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='did you mean "anthropic"'):
        models(tmp_path).client_for(agent_of(model="antropic:claude"))
    assert models(tmp_path).client_for(agent_of(model="heuristic:breakout")).provider == "heuristic"


def test_a_missing_key_is_said_at_the_start_and_not_on_a_recording(tmp_path: Path) -> None:
    for barred, said in (("", 1), (HURRIED, 0)):
        chosen = models(tmp_path, keys=lambda _name: None, barred=barred)
        chosen.client_for(agent_of(model="openai:gpt-5"))
        assert len(chosen.prepare()) == said


AGENT = """
name = "thinker"
instruments = ["paper:BTC/USDT"]
timeframe = "5m"
"""


@pytest.mark.parametrize(
    ("lines", "model"),
    [
        ('model = "anthropic:claude-x"', "anthropic:claude-x"),
        ('model = "llama3:8b"\nprovider = "ollama"', "ollama:llama3:8b"),
        ('model = "openai:gpt-x"\nprovider = "openrouter"', "openrouter:gpt-x"),
        ('model = "gpt-x"\n[model_settings]\nprovider = "openai"\noutput_tokens_max = 500', "openai:gpt-x"),
        ('model = "m"\nprovider = "openai"\n[model_settings]\nprovider = "anthropic"', "openai:m"),
    ],
)
def test_a_provider_is_the_agents_setting_then_its_models_then_the_prefix(
    tmp_path: Path, lines: str, model: str
) -> None:
    path = tmp_path / "thinker.toml"
    path.write_text(AGENT + lines + "\n")
    agent = load_agent(path, Instruments.load(None))
    assert agent.model == model
    assert "provider" not in agent.model_settings
