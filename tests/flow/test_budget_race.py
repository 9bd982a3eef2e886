"""200 agents against one cap, over loopback HTTP, killed in the middle: never a cent over."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from engine.domain.budget import Window
from engine.llm.meter import BudgetCode
from engine.paths import StorePaths
from engine.store.journal import Journal
from engine.store.verify import verify
from tests.flow.spend_child import AGENTS, ANSWERED, ASKED, Office
from tests.unit.meter_kit import TIER, MeterBench, capped

WORST = (TIER.input * ASKED + TIER.output * ANSWERED).scaleb(-6)
HALF = {"input_tokens": ASKED // 2, "output_tokens": ANSWERED // 2}
CAP = 300 * WORST
ANSWERED_FIRST, KILLED_AT = 50, 120


class Provider:
    """A server that bills for each request it takes, answered or not. usage: what the next answers say they used."""

    def __init__(self) -> None:
        self.holds: list[str] = []
        self.answers = 0
        self.usage: dict[str, Any] = dict(HALF)
        self.gate = asyncio.Event()
        self.killed_at = asyncio.Event()
        self.answers_max = ANSWERED_FIRST

    async def ask(self, request: web.Request) -> web.Response:
        self.holds.append((await request.json())["hold"])
        if len(self.holds) >= KILLED_AT:
            self.killed_at.set()
        if self.answers >= self.answers_max:
            await self.gate.wait()
        self.answers += 1
        return web.json_response({"usage": self.usage})

    @property
    def billed(self) -> Decimal:
        """What it charges for all it took, in USD."""
        used = (TIER.input * HALF["input_tokens"] + TIER.output * HALF["output_tokens"]).scaleb(-6)
        return used * len(self.holds)


@pytest.fixture
async def served() -> AsyncIterator[tuple[Provider, str]]:
    provider, app = Provider(), web.Application()
    app.router.add_post("/ask", provider.ask)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield provider, f"http://127.0.0.1:{port}/ask"
    provider.gate.set()
    await runner.cleanup()


async def life(root: Path, url: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.flow.spend_child", str(root), url, str(CAP),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.fault("A19", "P11")
async def test_two_hundred_agents_killed_in_the_middle_never_spend_a_cent_above_the_cap(
    served: tuple[Provider, str], tmp_path: Path
) -> None:
    provider, url = served
    root = tmp_path / "store"
    first = await life(root, url)
    await asyncio.wait_for(provider.killed_at.wait(), 40)
    first.send_signal(signal.SIGKILL)
    assert await first.wait() == -signal.SIGKILL
    taken = len(provider.holds)
    provider.answers_max = 10**9
    provider.gate.set()
    second = await life(root, url)
    out, _err = await asyncio.wait_for(second.communicate(), 40)
    told = json.loads(out)
    assert told["refused"] == AGENTS
    assert told["codes"] == [BudgetCode.OVER_CAP.value]
    assert told["left_open"] >= taken - ANSWERED_FIRST
    spent = total_of(root)
    assert provider.billed <= spent <= CAP
    assert CAP - spent < WORST
    assert len(set(provider.holds)) == len(provider.holds) > taken
    assert verify(StorePaths(root)).first_breach is None


def total_of(root: Path) -> Decimal:
    journal = Journal.open(StorePaths(root))
    spend = journal.books.spend
    assert not spend.holds
    assert spend.total == spend.spent(Window.DAY)
    journal.close()
    return spend.total.usd


@pytest.mark.fault("A18")
async def test_a_provider_that_bills_more_than_was_reserved_halts_the_models_B6(
    served: tuple[Provider, str], tmp_path: Path
) -> None:
    provider, url = served
    provider.usage = {"input_tokens": 2 * ASKED, "output_tokens": ANSWERED}
    bench = MeterBench(tmp_path / "store", capped(str(CAP)))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        office = Office(bench, session, url)
        await asyncio.gather(*(office.agent(f"agent-{number}") for number in range(20)))
    assert {each.code for each in office.refused} == {BudgetCode.AI_OFF}
    assert len(provider.holds) == 20
    assert bench.journal.books.spend.overruns == 20
    assert bench.journal.books.count.incidents == 20
    bench.journal.close()
    assert verify(bench.paths).first_breach is None
