"""What a decision of a language model costs the engine without the model, and whether fifty at once hold it up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from engine.control.pauses import spare_what_is_there
from engine.domain.caps import AiBudget
from engine.domain.decision import Outcome
from engine.domain.events import CycleDone
from engine.domain.policy import Policy
from engine.llm.chat import ChatReply, ChatRequest
from engine.llm.meter import Usage
from tests.bench.report import Row, middle, percentile
from tests.flow.model_double import ModelDouble, Says
from tests.flow.model_kit import FREE, HOLD, WIDE, Table, agent_of

AREA = "Asking language models"
WARM_BARS = 80
AGENTS = 50
SLIP_MS_MAX = 100.0
BEAT_S = 0.005
THINKING_S = 0.2
ROOM = AiBudget(
    usd_per_day=Decimal(100_000), tokens_per_day=10**11, usd_per_month=Decimal(100_000), tokens_per_month=10**12
)


class AtOnce:
    """A model that has answered before it is asked, so that what is left is ours."""

    def prepare(self) -> str:
        return ""

    async def ask(self, request: ChatRequest) -> ChatReply:
        usage = Usage(input_tokens=2_000, output_tokens=60)
        return ChatReply(outcome=Outcome.DECIDED, text=HOLD, model=request.model, usage=usage)

    async def close(self) -> None:
        """There is nothing to let go."""


def measure_asking(folder: Path, decisions: int, rounds: int) -> Iterator[Row]:
    """Measure single decisions, then fifty agents that decide at one instant, over loopback HTTP."""
    yield from asyncio.run(_overhead(folder / "overhead", decisions))
    with _Server() as url:
        yield from asyncio.run(_together(folder / "together", url, rounds))


async def _seated(folder: Path, url: str, agents: int) -> Table:
    policy = Policy(kill=WIDE, paper=FREE, ai_budget=ROOM)
    configs = [agent_of(f"agent-{number}") for number in range(agents)]
    table = await Table(folder, url, *configs, policy=policy, composed=True, timeout_ms=20_000).start()
    for number in range(WARM_BARS):
        await table.bar(str(50_000 + 40 * (number % 7)), warm=True)
    table.parts.models.prepare()
    spare_what_is_there()  # as every engine does before it runs
    return table


async def _overhead(folder: Path, decisions: int) -> list[Row]:
    table, took_ms = await _seated(folder, "http://127.0.0.1:9", 1), []
    table.parts.models.askers["here"].chat = AtOnce()
    for number in range(decisions):
        began = time.perf_counter()
        await table.decide(str(50_000 + 40 * (number % 7)))
        took_ms.append((time.perf_counter() - began) * 1000)
    done = {cycle.outcome for cycle in table.rows(CycleDone)}
    await table.close()
    if done != {Outcome.DECIDED}:
        raise RuntimeError(f"the benchmark's model did not decide: {done}")
    note = f"{decisions} decisions: bar, context, prompt, reservation, parse, checks and five commits"
    return [
        Row(area=AREA, what="engine overhead of a decision, median", value=middle(took_ms), unit="ms", note=note),
        Row(area=AREA, what="engine overhead of a decision, p99", value=percentile(took_ms, 0.99), unit="ms"),
    ]


async def _together(folder: Path, url: str, rounds: int) -> list[Row]:
    table = await _seated(folder, url, AGENTS)
    late_ms: list[float] = []
    took_s: list[float] = []
    beating = asyncio.create_task(_beat(late_ms))
    for number in range(rounds):
        began = time.perf_counter()
        await table.bar(str(50_000 + 40 * (number % 7)))
        await table.settle()
        took_s.append(time.perf_counter() - began)
    beating.cancel()
    decided = sum(table.books.asking.of(f"agent-{number}").get("DECIDED", 0) for number in range(AGENTS))
    await table.close()
    if decided != AGENTS * rounds:
        raise RuntimeError(f"only {decided} of {AGENTS * rounds} decisions came about")
    note = f"{rounds} rounds, the server in this process, {THINKING_S:g} s of thinking; {middle(took_s):.2f} s a round"
    return [
        Row(
            area=AREA, what=f"{AGENTS} agents at once: largest slip of the heartbeat", value=max(late_ms), unit="ms",
            at_most=SLIP_MS_MAX, note=note,
        ),
        Row(area=AREA, what=f"{AGENTS} agents at once: p99 of it", value=percentile(late_ms, 0.99), unit="ms"),
    ]  # fmt: skip


async def _beat(late_ms: list[float]) -> None:
    """Beat far more often than the engine does, so that no standstill falls between two beats."""
    while True:
        due = time.perf_counter() + BEAT_S
        await asyncio.sleep(BEAT_S)
        late_ms.append((time.perf_counter() - due) * 1000)


class _Server:
    """A model's server on a thread and loop of its own."""

    def __enter__(self) -> str:
        self._loop = asyncio.new_event_loop()
        self._double = ModelDouble(Says(HOLD), pause_s=THINKING_S)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._double.__aenter__(), self._loop).result(10)
        return self._double.url

    def __exit__(self, *_error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._double.__aexit__(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
