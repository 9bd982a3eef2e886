"""A recorded question asked again of a language model: priced, agreed to, reserved, posted and judged; nothing sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from console.cli import run
from engine.api import AskAgain, Reply, SwitchAi
from engine.clock import SystemClock
from engine.control.engine import Engine
from engine.control.handlers import Handlers
from engine.control.socket import ControlServer
from engine.control.spending import budget_view
from engine.domain.budget import Purpose
from engine.domain.caps import AiBudget
from engine.domain.events import AskedBeside, BesideDone, BudgetHeld, BudgetPosted, HoldTagged, OrderIntended
from engine.domain.money import plain
from engine.domain.policy import AiRules, Policy
from engine.errors import StoreLockedError
from engine.runtime import rerun_cycle, verify
from engine.runtime.asking_again import Again
from engine.store.freezing import freeze, thaw
from engine.store.reader import Reader
from engine.store.spend import spend
from tests.flow.model_double import Answer, Fails, ModelDouble, Says, Silence
from tests.flow.model_kit import FREE, HOLD, RATES, WIDE, Table, agent_of
from tests.flow.pty_kit import Console
from tests.flow.test_rerun import explained
from tests.flow.test_socket_flow import until

ROOM = AiBudget(usd_per_day=Decimal(9), tokens_per_day=10**9, usd_per_month=Decimal(9), tokens_per_month=10**9)
BUY = '{"decision": "buy", "symbol": "BTC/USDT", "quantity": 0.30, "confidence": 0.9, "reasoning": "weak"}'
HALF = BUY.replace("0.30", "0.15")
USAGE = (900, 30, 0)
Sit = Callable[..., Any]


class Seat:
    """An engine whose one cycle bought 0.3, and the server that is asked. model: how a rerun names it."""

    model = "here:model-1"

    def __init__(self, table: Table, double: ModelDouble, cycle: str) -> None:
        self.table, self.double, self.cycle = table, double, cycle
        again = Again(table.paths, table.core.desk, table.parts.models)
        self.handlers = Handlers(table.core, table._read, ask_again=again.ask)

    async def ask(self, usd_max: str | None = None, cycle: str = "", model: str = "") -> Reply:
        agreed = None if usd_max is None else Decimal(usd_max)
        return await self.handlers.handle(
            AskAgain(cycle_id=cycle or self.cycle, model=model or self.model, usd_max=agreed)
        )


@pytest.fixture
async def sit(tmp_path: Path) -> AsyncIterator[Sit]:
    async with AsyncExitStack() as stack:

        async def make(*answers: Answer, kind: str = "anthropic", budget: AiBudget = ROOM) -> Seat:
            double = await stack.enter_async_context(ModelDouble(Says(BUY, usage=USAGE), *answers))
            policy = Policy(kill=WIDE, paper=FREE, ai_budget=budget)
            table = Table(
                tmp_path / "store", double.url, agent_of(), kind=kind, composed=True, policy=policy, timeout_ms=2_000
            )
            stack.push_async_callback(table.close)
            await table.start()
            for at in range(60):
                await table.bar(str(50_000 + 10 * (at % 7)), warm=True)
            return Seat(table, double, (await table.decide("50000")).cycle_id)

        yield make


@pytest.mark.parametrize("kind", ["anthropic", "openai"])
async def test_the_recorded_question_is_asked_again_word_for_word_and_is_spent_as_a_rerun(sit: Sit, kind: str) -> None:
    seat = await sit(Says(HALF, usage=USAGE), kind=kind)
    table = seat.table
    rows, orders = table.parts.journal.seq, len(table.rows(OrderIntended))
    price = await seat.ask()
    assert price.ok
    assert "for at most" in price.text
    assert (table.parts.journal.seq, len(seat.double.asked)) == (rows, 1)
    reply = await seat.ask(price.data["usd_max"])
    assert (reply.ok, reply.data["outcome"], reply.data["text"]) == (True, "DECIDED", HALF)
    first, again = seat.double.asked
    assert again == first
    (asked,), (done,), (tag,) = table.rows(AskedBeside), table.rows(BesideDone), table.rows(HoldTagged)
    held, posted = table.rows(BudgetHeld)[-1], table.rows(BudgetPosted)[-1]
    assert (held.hold_id, tag.purpose, held.agent, held.cycle_id) == (tag.hold_id, Purpose.RERUN, "trader", seat.cycle)
    assert price.data["usd_max"] == plain(held.usd)
    assert asked.cost_usd == done.cost_usd == posted.usd == RATES.cost(900, 30, 0)
    assert asked.prompt == table.asked()[0].prompt
    assert table.books.beside.of(Purpose.RERUN, "thinker") == {"DECIDED": 1}
    assert any(line.startswith("agent RERUN DECIDED") for line in table.lines())
    assert [each["outcome"] for each in explained(table.paths, seat.cycle)["beside"]] == ["DECIDED", "DECIDED"]
    assert len(table.rows(OrderIntended)) == orders
    assert thaw(freeze(table.books)).spend == table.books.spend
    assert verify(table.paths.root).ok


async def test_a_rerun_is_no_decision_and_shares_neither_its_count_nor_its_cost(sit: Sit) -> None:
    seat = await sit(Says(HALF, usage=USAGE))
    table = seat.table
    await seat.ask("1")
    cost = RATES.cost(900, 30, 0)
    now = budget_view(table.core, table.clock.now_ms())
    assert (now.usd_spent, now.usd_beside, now.decisions, now.usd_per_decision) == (2 * cost, cost, 1, cost)
    assert (now.trades, now.usd_per_trade) == (1, cost)
    reader = Reader(table.paths)
    told = reader.read(spend(1, table.clock.now_ms()))
    reader.close()
    by_purpose = {row["purpose"]: (row["calls"], row["usd"]) for row in told["summary"]["by_purpose"]}
    assert by_purpose == {"decision": (1, plain(cost)), "rerun": (1, plain(cost))}
    assert (told["summary"]["decisions"], told["summary"]["usd_per_decision"]) == (1, plain(cost))
    assert told["summary"]["beside"] == [{"purpose": "rerun", "outcome": "DECIDED", "questions": 1}]
    assert [(row["purpose"], row["agent"]) for row in told["ledger"]] == [("decision", "thinker"), ("rerun", "trader")]


FAILURES: tuple[tuple[str, Answer], ...] = (
    ("PARSE_FAILED", Says('{"decision": "buy"}', usage=USAGE)),
    ("PARSE_FAILED", Says(BUY.replace("BTC/USDT", "paper:BTC/USDT"), usage=USAGE)),
    ("TRUNCATED", Says(BUY, usage=USAGE, stop="max_tokens")),
    ("WRONG_MODEL", Says(BUY, usage=USAGE, model="model-2")),
    ("PROVIDER_DOWN", Fails(500)),
    ("RATE_LIMITED", Fails(402)),
)


async def test_a_rerun_that_fails_is_an_outcome_charged_counted_and_told_and_switches_nothing_off(sit: Sit) -> None:
    seat = await sit(*(answer for _outcome, answer in FAILURES))
    table = seat.table
    for number, (outcome, _answer) in enumerate(FAILURES):
        reply = await seat.ask("1")
        assert (reply.ok, reply.data["outcome"]) == (True, outcome)
        assert Decimal(reply.data["usd"]) == table.rows(BudgetPosted)[-1].usd > 0
        assert any(line.startswith(f"agent RERUN {outcome}") for line in table.lines())
        assert len(seat.double.asked) == 2 + number
    counts = {"PARSE_FAILED": 2, "TRUNCATED": 1, "WRONG_MODEL": 1, "PROVIDER_DOWN": 1, "RATE_LIMITED": 1}
    assert table.books.beside.of(Purpose.RERUN, "thinker") == counts
    assert table.books.spend.off == {}
    rested = await seat.ask("1")
    assert (rested.data["outcome"], len(seat.double.asked)) == ("OVER_BUDGET", 1 + len(FAILURES))


async def test_a_rerun_needs_models_switched_on_a_price_room_and_what_was_agreed_to(sit: Sit) -> None:
    seat = await sit(budget=replace(ROOM, usd_per_day=Decimal("0.045")))
    table, rules = seat.table, seat.table.core.desk.surroundings
    said = {
        "price": await seat.ask(model="here:model-9"),
        "provider": await seat.ask(model="nowhere:model-1"),
        "agreed": await seat.ask("0.0001"),
        "cycle": await seat.ask(cycle="thinker.nothing"),
    }
    rules.policy = replace(rules.policy, ai=AiRules(live_inference=False))
    said["policy"] = await seat.ask()
    rules.policy = replace(rules.policy, ai=AiRules())
    await table.handlers.handle(SwitchAi(on=False, reason="too dear"))
    said["off"] = await seat.ask()
    await table.handlers.handle(SwitchAi(on=True, reason="read the bill"))
    table.parts.core.desk.meter.hold(
        provider="here", model="model-1", agent="thinker", cycle_id="c", input_tokens=7_000, output_tokens_max=100,
        now_ms=table.clock.now_ms(),
    )  # fmt: skip
    said["room"] = await seat.ask()
    words = {
        "price": 'add [models."here:model-9"]', "provider": "no provider", "agreed": "was agreed to",
        "cycle": "no cycle",
        "policy": "live inference is off by policy", "off": "models are off: too dear", "room": "would pass the cap",
    }  # fmt: skip
    assert {name: reply.ok for name, reply in said.items()} == dict.fromkeys(words, False)
    assert [name for name, word in words.items() if word not in said[name].text] == []
    assert len(seat.double.asked) == 1


async def test_beside_a_running_engine_it_goes_over_its_socket_and_shows_the_difference(sit: Sit) -> None:
    seat = await sit(Says(HALF, usage=USAGE), Says(HOLD, usage=USAGE), Says("no", usage=USAGE))
    table, prices = seat.table, list[str]()
    server = ControlServer(Engine(table.core, None, seat.handlers, table.stream, SystemClock()), table.paths.socket)
    await server.start()
    half, hold, bad = [
        await asyncio.to_thread(rerun_cycle, table.paths.root, seat.cycle, model=seat.model, agree=prices.append)
        for _ in range(3)
    ]
    await server.stop()
    changed = {each["field"]: each["now"] for each in half["differences"]}
    assert (half["same"], changed["target_qty"], half["under"]["model"]) == (True, "0.15", seat.model)
    assert {each["field"]: each["now"] for each in hold["differences"]}["direction"] == "hold"
    assert (bad["asked"]["outcome"], "differences" in bad, len(prices)) == ("PARSE_FAILED", False, 3)
    assert {row.purpose for row in table.rows(BesideDone)} == {Purpose.RERUN}


async def test_an_engine_that_leaves_meanwhile_posts_all_that_was_held(sit: Sit) -> None:
    seat = await sit(Silence())
    table = seat.table
    server = ControlServer(Engine(table.core, None, seat.handlers, table.stream, SystemClock()), table.paths.socket)
    await server.start()
    asking = asyncio.create_task(
        asyncio.to_thread(rerun_cycle, table.paths.root, seat.cycle, model=seat.model, agree=lambda _price: None)
    )
    await until(lambda: len(seat.double.asked) == 2)
    await server.stop()
    with pytest.raises(StoreLockedError):
        await asking
    (cut,) = table.rows(AskedBeside)
    assert (cut.outcome.value, cut.cost_usd, table.books.spend.holds) == ("TIMED_OUT", cut.reserved_usd, {})


async def test_at_rest_the_command_is_the_engine_for_a_moment_and_wants_a_yes(
    sit: Sit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seat = await sit(Says(HALF, usage=USAGE))
    await seat.table.close()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "providers.toml").write_text(
        f'[providers.here]\nkind = "anthropic"\nbase_url = "{seat.double.url}"\n'
    )
    (tmp_path / "config" / "prices.toml").write_text(
        'dated = 2026-01-01\n[models."here:model-1"]\ninput = "3"\noutput = "15"\ncontext = 200000\n'
    )
    monkeypatch.setenv("QUARTERDECK_HOME", str(tmp_path))

    async def said(*args: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(run, [*args, "--store", str(seat.table.paths.root)])
        told = capsys.readouterr()
        return code, told.out, told.err

    words = ("rerun", seat.cycle, "--model", seat.model)
    code, _out, err = await said(*words)
    assert (code, len(seat.double.asked)) == (2, 1)
    assert "for at most" in err
    assert "write --yes" in err
    console = Console(tmp_path, *words, "--store", seat.table.paths.root)
    try:
        await asyncio.to_thread(console.shows, "for at most", "Ask it? [y/N]:")
        console.type("n\r")
        assert await asyncio.to_thread(console.ended) == 2
        assert "nothing was spent" in console.text
    finally:
        console.close()
    code, out, err = await said(*words, "--yes", "--json")
    told = json.loads(out)
    assert (code, told["asked"]["outcome"], told["asked"]["usd"]) == (0, "DECIDED", plain(RATES.cost(900, 30, 0)))
    assert {each["field"]: each["now"] for each in told["differences"]}["target_qty"] == "0.15"
    assert len(seat.double.asked) == 2
    code, out, _err = await said("spend", "--days", "3660", "--json")
    assert [row["purpose"] for row in json.loads(out)["summary"]["by_purpose"]] == ["decision", "rerun"]
    assert verify(seat.table.paths.root).ok
