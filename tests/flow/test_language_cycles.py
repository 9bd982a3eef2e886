"""Cycles of language models: real SDKs over loopback HTTP, into the journal, beside the engine's other work."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine import api
from engine.clock import ManualClock
from engine.control import views
from engine.domain.decision import AnsweredBy, Disposition, Outcome
from engine.domain.events import CycleDone, CycleSkipped
from engine.domain.policy import AiRules, FallbackRule, Policy, TradingState
from engine.domain.risk import CheckCode, Verdict
from engine.llm.breaker import FAILURES_MAX
from engine.llm.meter import Usage
from engine.runtime.reads import verify
from tests.flow.conftest import START_MS
from tests.flow.model_double import Answer, Cut, Fails, ModelDouble, Raw, Says, Silence
from tests.flow.model_kit import BUY, FREE, HOLD, KEY, WIDE, FakeMeter, Table, agent_of, texts

Sit = Callable[..., Awaitable[Table]]
BREAKOUT = "heuristic:breakout"
WITH_FALLBACK = agent_of(fallback=BREAKOUT)


@pytest.fixture
async def sit(tmp_path: Path) -> AsyncIterator[Sit]:
    """Sit down before a server that gives some answers; each call is one engine."""
    async with AsyncExitStack() as stack:
        count = iter(range(100))

        async def make(*answers: Answer, agents: Any = (), **options: Any) -> Table:
            double = await stack.enter_async_context(ModelDouble(*answers))
            table = Table(tmp_path / f"table{next(count)}", double.url, *agents, **options)
            stack.push_async_callback(table.close)
            table.double = double  # type: ignore[attr-defined]
            return await table.start()

        yield make


def double_of(table: Table) -> ModelDouble:
    return table.double  # type: ignore[attr-defined]


def refusals(cycle: Any) -> list[CheckCode]:
    return [check.code for item in cycle.items for check in item.checks if check.verdict is Verdict.REFUSE]


# What a good answer becomes


async def test_an_answer_is_sized_checked_sent_and_written_down_with_what_it_cost(sit: Sit) -> None:
    table = await sit(Says(BUY))
    cycle = await table.decide()
    (item,) = cycle.items
    assert (cycle.outcome, cycle.answered_by, cycle.model) == (Outcome.DECIDED, AnsweredBy.LIVE, "here:model-1")
    assert (item.disposition, item.target_qty) == (Disposition.ACTED, 1)
    await table.bar("50000")
    assert table.position() == 1
    (asked,) = table.asked()
    assert (asked.cycle_id, asked.provider, asked.model, asked.answered) == (
        cycle.cycle_id,
        "here",
        "model-1",
        "model-1",
    )
    assert (asked.input_tokens, asked.output_tokens, asked.reserved_usd, asked.cost_usd, asked.attempt) == (
        100, 20, Decimal("0.10"), Decimal("0.01"), 1,
    )  # fmt: skip
    assert table.kept.get(asked.answer) == BUY
    assert "slot" in (table.kept.get(asked.prompt) or "")


async def test_a_hold_that_was_paid_for_is_a_full_row_and_counts(sit: Sit) -> None:
    table = await sit(Says(HOLD))
    cycle = await table.decide()
    assert [item.disposition for item in cycle.items] == [Disposition.HOLD]
    assert cycle.items[0].rationale == "nothing to do"
    assert table.books.asking.of("thinker") == {"DECIDED": 1}
    assert table.books.asking.attempts == {"thinker": 1}
    assert views.snapshot(table.core, mono_ms=0.0, progress=None, finished=False).agents[0].outcomes == {"DECIDED": 1}


async def test_the_journal_of_asked_models_proves(sit: Sit) -> None:
    table = await sit(Says(BUY), Fails(500))
    for _ in range(3):
        await table.decide()
    table.parts.journal.close()
    assert verify(table.paths.root).first_breach is None


# What is no answer


@pytest.mark.fault("A05", "A06", "A07", "A15", "A21")
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Says("Sure! " + BUY), Outcome.PARSE_FAILED),
        (Says(BUY.replace("BTC/USDT", "ETH/USDT")), Outcome.PARSE_FAILED),
        (Says(BUY, stop="max_tokens"), Outcome.TRUNCATED),
        (Says("", stop="refusal"), Outcome.REFUSED_BY_MODEL),
        (Says(BUY, model="model-2"), Outcome.WRONG_MODEL),
    ],
    ids=["prose", "symbol", "cut", "refusal", "substitute"],
)
async def test_a_bad_answer_is_no_decision_no_fallback_and_no_second_try(
    sit: Sit, answer: Says, outcome: Outcome
) -> None:
    table = await sit(answer, agents=(WITH_FALLBACK,))
    cycle = await table.decide("60000")
    assert (cycle.outcome, cycle.answered_by, cycle.items) == (outcome, AnsweredBy.LIVE, ())
    assert cycle.detail
    assert table.books.asking.of("thinker") == {outcome.value: 1}
    (asked,) = table.asked()
    assert answer.text in ("", table.kept.get(asked.answer))
    assert table.meter.posted == [Usage(input_tokens=100, output_tokens=20)]
    assert any(outcome.value in line for line in table.lines())


DOWN = [
    (Silence(), Outcome.TIMED_OUT, 1), (Fails(429), Outcome.RATE_LIMITED, 3), (Fails(529), Outcome.PROVIDER_DOWN, 2),
    (Fails(500), Outcome.PROVIDER_DOWN, 2), (Cut(), Outcome.PROVIDER_DOWN, 2), (Raw(b"{"), Outcome.PROVIDER_DOWN, 2),
]  # fmt: skip


@pytest.mark.fault("A01", "A02", "A04", "A16")
@pytest.mark.parametrize("kind", ["anthropic", "openai"])
@pytest.mark.parametrize(("answer", "outcome", "attempts"), DOWN, ids=["silent", "429", "529", "500", "cut", "garbled"])
async def test_nobody_answers_so_every_attempt_is_charged_in_full_and_the_fallback_trades(
    sit: Sit, kind: str, answer: Answer, outcome: Outcome, attempts: int
) -> None:
    agent = agent_of(fallback=BREAKOUT, timeframe_ms=60_000)
    table = await sit(answer, agents=(agent,), kind=kind, timeout_ms=150)
    for client in table.clients:
        client.wall = table.clock
        client.timeout_ms = 150 if isinstance(answer, Silence) else 5_000
    for _ in range(20):
        await table.bar("50000", warm=True)
    cycle = await table.decide("60000")
    assert (cycle.outcome, cycle.answered_by, cycle.model) == (outcome, AnsweredBy.FALLBACK, BREAKOUT)
    assert len(table.meter.held) == attempts
    assert isinstance(answer, Silence) or len(double_of(table).asked) == attempts
    assert table.meter.posted == [None] * attempts
    assert [asked.attempt for asked in table.asked()] == list(range(1, attempts + 1))
    assert table.books.asking.of("thinker") == {outcome.value: 1, "FALLBACK": 1}
    assert any(f"FALLBACK after {outcome.value}" in line for line in table.lines())
    assert (table.core.agents["thinker"].failures, table.books.standing.failing.by_agent) == (0, {})


async def test_a_model_that_comes_back_after_one_error_decides(sit: Sit) -> None:
    table = await sit(Fails(529), Says(HOLD))
    cycle = await table.decide()
    assert (cycle.outcome, cycle.answered_by) == (Outcome.DECIDED, AnsweredBy.LIVE)
    assert table.meter.posted == [None, Usage(input_tokens=100, output_tokens=20)]
    assert 500 <= table.clock.slept[0] < 750


@pytest.mark.fault("A02")
async def test_retry_after_is_waited_for_within_the_deadline_and_not_beyond_it(sit: Sit) -> None:
    patient = await sit(Fails(429, headers={"retry-after": "3"}), Says(HOLD))
    assert (await patient.decide()).outcome is Outcome.DECIDED
    assert patient.clock.slept == [3_000]
    hurried = await sit(Fails(429, headers={"retry-after": "3600"}), Says(HOLD))
    assert (await hurried.decide()).outcome is Outcome.RATE_LIMITED
    assert (hurried.clock.slept, len(double_of(hurried).asked)) == ([], 1)


@pytest.mark.fault("A03")
async def test_the_vendors_spending_limit_switches_the_provider_off_and_is_not_tried_again(sit: Sit) -> None:
    spent = {"error": {"code": "insufficient_quota", "message": "You exceeded your quota"}}
    table = await sit(Fails(429, spent), kind="openai")
    cycle = await table.decide()
    assert (cycle.outcome, len(double_of(table).asked)) == (Outcome.RATE_LIMITED, 1)
    midnight = (table.clock.time_ms // 86_400_000 + 1) * 86_400_000
    assert table.meter.switched == [("here", midnight)]


@pytest.mark.fault("A19")
async def test_agents_that_race_for_a_cap_are_answered_as_far_as_it_goes_and_the_others_are_over_budget(
    sit: Sit,
) -> None:
    agents = [agent_of(f"agent-{number}") for number in range(8)]
    table = await sit(Says(HOLD), agents=agents, meter=FakeMeter(holds=5))
    await table.bar("50000")
    await table.settle()
    counted = [table.books.asking.of(agent.name) for agent in agents]
    assert sorted(counted, key=str) == [{"DECIDED": 1}] * 5 + [{"OVER_BUDGET": 1}] * 3
    assert len(double_of(table).asked) == 5


@pytest.mark.fault("A17")
async def test_an_answer_without_usage_is_charged_in_full_and_decides_all_the_same(sit: Sit) -> None:
    table = await sit(Says(HOLD, usage=None))
    assert (await table.decide()).outcome is Outcome.DECIDED
    assert table.meter.posted == [None]
    assert table.asked()[0].input_tokens is None


@pytest.mark.fault("A30")
async def test_a_missing_or_stale_input_means_that_nobody_is_asked(sit: Sit) -> None:
    table = await sit(Says(BUY), agents=(WITH_FALLBACK,), briefing=lambda _request: "the price is 4 minutes old.")
    cycle = await table.decide()
    assert (cycle.outcome, cycle.detail, cycle.items) == (Outcome.STALE_INPUT, "the price is 4 minutes old.", ())
    assert (table.meter.held, double_of(table).asked) == ([], [])


async def test_live_inference_switched_off_by_policy_asks_nobody(sit: Sit) -> None:
    policy = Policy(kill=WIDE, paper=FREE, ai=AiRules(live_inference=False))
    table = await sit(Says(BUY), policy=policy)
    cycle = await table.decide()
    assert cycle.outcome is Outcome.OVER_BUDGET
    assert "live inference is off" in cycle.detail
    assert double_of(table).asked == []


@pytest.mark.parametrize("rule", [FallbackRule.ONLY_REDUCE, FallbackRule.NO_TRADES])
async def test_a_fallback_enters_only_where_the_policy_lets_it(sit: Sit, rule: FallbackRule) -> None:
    policy = Policy(kill=WIDE, paper=FREE, ai=AiRules(fallback_paper=rule))
    table = await sit(Fails(401), agents=(WITH_FALLBACK,), policy=policy)
    for _ in range(20):
        await table.bar("50000", warm=True)
    cycle = await table.decide("60000")
    assert cycle.answered_by is AnsweredBy.FALLBACK
    assert [item.disposition for item in cycle.items] == [Disposition.HOLD]
    assert rule.value in cycle.items[0].rationale


@pytest.mark.fault("A29")
async def test_a_repair_is_off_by_default_and_one_at_most_when_it_is_on(sit: Sit) -> None:
    once = await sit(Says("prose"))
    assert (await once.decide()).outcome is Outcome.PARSE_FAILED
    assert len(once.meter.held) == 1
    repairing = agent_of(model_settings={"repair": 1})
    twice = await sit(Says("prose"), agents=(repairing,))
    assert (await twice.decide()).outcome is Outcome.PARSE_FAILED
    assert len(twice.meter.held) == len(twice.meter.posted) == 2
    mended = await sit(Says("prose"), Says(HOLD), agents=(repairing,))
    assert (await mended.decide()).outcome is Outcome.DECIDED
    assert "could not be read" in double_of(mended).asked[1]["messages"][0]["content"]


@pytest.mark.fault("A04")
async def test_a_provider_that_fails_for_all_agents_is_left_alone_and_asked_again_after_a_rest(sit: Sit) -> None:
    agents = [agent_of(f"agent-{number}") for number in range(4)]
    table = await sit(*[Fails(500)] * 8, agents=agents)
    await table.bar("50000")
    await table.settle()
    sent = len(double_of(table).asked)
    assert table.asker.breaker.is_open
    assert FAILURES_MAX <= sent <= 8
    double_of(table).answers = [Says(HOLD)]
    table.clock.time_ms += 3_600_000
    await table.bar("50000")
    await table.settle()
    assert not table.asker.breaker.is_open
    assert "DECIDED" in {outcome for agent in agents for outcome in table.books.asking.of(agent.name)}


# What goes on meanwhile


async def test_prices_fills_and_commands_go_on_while_a_model_thinks(sit: Sit) -> None:
    table = await sit(Silence())
    await table.bar("50000")
    await double_of(table).taken.wait()
    await table.quote("50500")
    await table.core.on_heartbeat()
    assert table.core.cycles.under_way == ["thinker"]
    assert table.core.desk.surroundings.valuation.price("paper:BTC/USDT") == 50_500
    reply = await table.handlers.handle(api.Halt(reason="now"))
    assert (reply.ok, table.books.state) == (True, TradingState.HALTED)


@pytest.mark.fault("C04")
async def test_a_slot_that_comes_while_the_last_cycle_is_under_way_is_skipped_with_a_reason(sit: Sit) -> None:
    table = await sit(Silence())
    for _ in range(3):
        await table.bar("50000")
    await double_of(table).taken.wait()
    assert table.core.cycles.under_way == ["thinker"]
    skipped = table.rows(CycleSkipped)
    assert [(each.agent, each.trigger) for each in skipped] == [("thinker", "candle")] * 2
    assert "under way" in skipped[0].reason
    assert any("SKIPPED" in line for line in table.lines())


STOPPING = {
    "pause": (api.AgentControl(agent="thinker", action="pause"), CheckCode.AGENT_STATE),
    "stop": (api.AgentControl(agent="thinker", action="stop"), CheckCode.AGENT_STATE),
    "halt": (api.Halt(reason="now"), CheckCode.TRADING_STATE),
}


@pytest.mark.fault("C08")
@pytest.mark.parametrize("what", sorted(STOPPING))
async def test_what_stops_an_agent_while_its_model_thinks_lets_nothing_of_the_answer_out(sit: Sit, what: str) -> None:
    command, code = STOPPING[what]
    table = await sit(Says(BUY))
    await table.bar("50000")
    assert (await table.handlers.handle(command)).ok
    await table.settle()
    assert code in refusals(table.rows(CycleDone)[-1])
    await table.bar("50000")
    assert (table.position(), list(table.books.orders)) == (0, [])


@pytest.mark.fault("C09")
async def test_an_agent_that_is_changed_while_its_model_thinks_does_not_act_on_the_answer(sit: Sit) -> None:
    table = await sit(Says(BUY))
    await table.bar("50000")
    await double_of(table).taken.wait()
    agent = table.core.agents["thinker"]
    agent.config = replace(agent.config, strategy="another")
    await table.settle()
    cycle = table.rows(CycleDone)[-1]
    assert (cycle.outcome, cycle.items) == (Outcome.STALE_INPUT, ())
    assert "changed" in cycle.detail


@pytest.mark.fault("P14")
async def test_leaving_gives_up_a_cycle_under_way_and_posts_its_reservation_in_full(sit: Sit) -> None:
    table = await sit(Silence())
    await table.bar("50000")
    await double_of(table).taken.wait()
    await table.core.cycles.close()
    assert table.core.cycles.under_way == []
    assert (len(table.meter.held), table.meter.posted) == (1, [None])
    assert [(each.outcome, each.cost_usd) for each in table.asked()] == [(Outcome.TIMED_OUT, Decimal("0.10"))]
    await table.bar("50000")
    assert table.core.cycles.under_way == []


@pytest.mark.fault("P37")
async def test_a_cycle_that_breaks_halts_trading_and_is_said(sit: Sit) -> None:
    table = await sit(Says(HOLD))

    def broken(*_events: object) -> None:
        raise ValueError("odd")

    table.core.desk.on_phase = broken
    await table.bar("50000")
    await table.settle()
    assert table.books.state is TradingState.HALTED
    assert "a cycle of thinker failed" in table.books.state_reason


@pytest.mark.fault("A26")
async def test_the_same_decision_of_one_cycle_twice_trades_once(sit: Sit) -> None:
    plan = {"items": [{"instrument": "BTC/USDT", "action": "buy", "confidence": 0.9, "rationale": "x"}] * 2}
    table = await sit(Says(json.dumps(plan)))
    assert (await table.decide()).outcome is Outcome.PARSE_FAILED
    resumed = await sit(Says(BUY))
    await resumed.decide()
    await resumed.bar("50000")
    await resumed.settle()
    assert resumed.position() == 1


async def test_fifty_agents_are_asked_at_once_and_each_has_its_own_row(sit: Sit) -> None:
    agents = [agent_of(f"agent-{number}") for number in range(50)]
    table = await sit(Says(HOLD), agents=agents)
    await table.bar("50000")
    await asyncio.wait_for(table.settle(), 20)
    assert len({asked.cycle_id for asked in table.asked()}) == 50


@pytest.mark.fault("A27")
@pytest.mark.parametrize(
    ("price", "later_ms", "code"),
    [("50600", 0, CheckCode.PRICE_DRIFT), ("50000", 3_600_000, CheckCode.DECISION_AGE)],
    ids=["moved", "old"],
)
async def test_an_answer_that_comes_too_late_is_expired(sit: Sit, price: str, later_ms: int, code: CheckCode) -> None:
    table = await sit(Silence(), Says(BUY))
    double_of(table).answers = [Says(BUY, after=lambda: _pass(table, later_ms))]
    await table.bar("50000")
    await double_of(table).taken.wait()
    await table.quote(price)
    await table.settle()
    assert code in refusals(table.rows(CycleDone)[-1])
    assert list(table.books.orders) == []


def _pass(table: Table, duration_ms: int) -> None:
    table.clock.time_ms += duration_ms


@pytest.mark.fault("A28")
async def test_a_rationale_against_its_own_action_is_kept_and_nobody_asks_again(sit: Sit) -> None:
    table = await sit(Says(BUY.replace("weak", "sell everything at once")))
    cycle = await table.decide()
    assert (cycle.items[0].rationale, len(double_of(table).asked)) == ("sell everything at once", 1)


@pytest.mark.fault("C12")
async def test_a_stop_fills_while_the_model_thinks(sit: Sit) -> None:
    table = await sit(Says(BUY), Silence())
    await table.decide()
    await table.bar("50000")
    assert table.position() == 1
    await table.quote("48000")
    await table.bar("48000")
    assert table.core.cycles.under_way == ["thinker"]
    assert table.position() == 0


async def test_on_a_virtual_clock_the_next_bar_waits_for_the_answer_and_leaving_does_not(sit: Sit) -> None:
    table = await sit(Says(BUY), Silence(), clock=ManualClock(START_MS))
    await table.bar("50000")
    assert table.core.cycles.under_way == []
    assert table.rows(CycleDone)[-1].items[0].disposition is Disposition.ACTED
    double_of(table).taken.clear()
    second = asyncio.create_task(table.bar("50000"))
    await double_of(table).taken.wait()
    await table.core.cycles.close()
    await asyncio.wait_for(second, 5)
    assert table.meter.posted[-1] is None


# The key


SINKS = [Says(f'{{"decision": "hold", "reasoning": "{KEY}"}}'), Fails(401, {"error": {"message": f"bad key {KEY}"}}),
         Fails(500, f"<h1>{KEY}</h1>"), Raw(KEY.encode()), Says(f"not JSON {KEY}")]  # fmt: skip


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
@pytest.mark.fault("W23")
async def test_the_key_is_in_no_file_no_line_and_no_kept_text(sit: Sit, kind: str, caplog: Any, capfd: Any) -> None:
    table = await sit(*SINKS, kind=kind)
    with caplog.at_level("DEBUG"):
        for _ in range(7):
            await table.decide()
    assert KEY in texts(double_of(table).headers)
    await table.close()
    files = [path for path in table.paths.root.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    written = capfd.readouterr()
    sinks = [*table.lines(), *table.kept_texts(), texts(table.asked()), written.out, written.err]
    assert KEY not in "\n".join(sinks)
    assert KEY not in "\n".join(record.getMessage() for record in caplog.records)
