"""What the kill switch costs at each mark, and how long it takes from the tick that trips it to HALTED, under load."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from engine.api import Resume, TradingState
from engine.clock import MINUTE_MS, SystemClock
from engine.control.engine import Engine
from engine.control.handlers import Handlers
from engine.control.pauses import spare_what_is_there
from engine.control.stream import Stream
from engine.domain.agent import AgentConfig, AgentLimits, Protection
from engine.domain.events import FundsMoved
from engine.domain.instrument import Instrument
from engine.domain.killing import KillAction, KillLimits
from engine.domain.market import Candle, FeedEvent, Instant, Quote, Source, SourceKind
from engine.domain.policy import Policy
from engine.market.feed import FeedSummary
from engine.paths import StorePaths
from engine.risk.killswitch import KillSwitch
from engine.runtime.compose import Parts, Plan, arm, assemble, genesis
from engine.store.journal import Journal
from tests.bench.report import Row, percentile, spread

AREA = "Kill switch: 50 agents, 200 instruments, 2,000 ticks/s"
AGENTS, INSTRUMENTS, TICKS_A_SECOND = 50, 200, 2_000
HELD = 20
EVALUATIONS = 200_000
PRICE, SHOCK = Decimal(100), Decimal(60)
LIMIT_MS = 100.0
SOURCE = Source(kind=SourceKind.SIMULATED, name="bench")
KILL = KillLimits(
    gain_frac=Decimal(9), loss_frac=Decimal("0.005"), drawdown_frac=Decimal("0.9"), daily_loss_frac=Decimal("0.9"),
    daily_profit_frac=Decimal(9), stale_data_ms=3_600_000, action=KillAction.HALT,
)  # fmt: skip


def measure_kill_switch(folder: Path, tries: int) -> Iterator[Row]:
    """Time single evaluations, then halts of an engine on its own store while ticks come in, so many times."""
    yield _evaluation()
    took, look, pace = asyncio.run(_halts(folder / "kill-switch", tries))
    yield look
    yield Row(area=AREA, what="tick to HALTED, on disk, p50", value=percentile(took, 0.5), unit="ms", note=pace)
    yield Row(
        area=AREA, what="tick to HALTED, on disk, p99", value=percentile(took, 0.99), unit="ms", at_most=LIMIT_MS,
        note=spread(took, "ms") + "; from when the second of two quotes was due",
    )  # fmt: skip


def _evaluation() -> Row:
    kill, base = KillSwitch(KILL), Decimal(100_000)
    marks = [Decimal(100_000 + place % 97) for place in range(EVALUATIONS)]
    began = time.perf_counter_ns()
    for equity in marks:
        kill.evaluate(equity, base, base, base)
    return Row(
        area=AREA, what="kill-switch evaluation per mark", value=(time.perf_counter_ns() - began) / EVALUATIONS,
        unit="ns", note="five rules about equity, none of them moves",
    )  # fmt: skip


class Quiet:
    """A model that always holds."""

    provider = "scripted"

    def features_needed(self, model: str, settings: object) -> tuple[str, ...]:
        return ("close",)

    async def decide(self, request: object) -> object:
        raise RuntimeError("no candle closes in this benchmark")


class Ticks:
    """Quotes at a fixed pace, each due at an instant of its own; a shock is two quotes of one instrument in a row."""

    def __init__(self, keys: list[str]) -> None:
        self.source, self.summary = SOURCE, FeedSummary()
        self.keys, self.shocked = keys, ""
        self.taken, self.behind, self.due_s = 0, 0.0, 0.0
        self.halted_after_s = asyncio.get_running_loop().create_future()
        self.core: object = None

    async def events(self) -> AsyncIterator[FeedEvent]:
        began, number, shocks = time.perf_counter(), 0, 0
        while True:
            due = began + number / TICKS_A_SECOND
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            key, price = self.keys[number % len(self.keys)], PRICE
            if self.shocked:
                key, price, shocks = self.shocked, SHOCK, shocks + 1
            yield self._quote(key, price)
            number, self.taken, self.behind = number + 1, number + 1, max(0.0, -wait)
            if shocks == 2 and not self.halted_after_s.done():
                self.halted_after_s.set_result(time.perf_counter() - due)
                self.shocked, shocks = "", 0

    def _quote(self, key: str, price: Decimal) -> Quote:
        now_ms = time.time_ns() // 1_000_000
        return Quote(instrument=key, ts_ms=now_ms, received_ms=now_ms, bid=price, ask=price, source=self.source)


def _plan() -> Plan:
    listed = tuple(
        Instrument(
            venue="paper", symbol=f"C{place:03}/USDT", base=f"C{place:03}", quote="USDT", price_tick=Decimal("0.01"),
            qty_step=Decimal("0.001"), min_notional=Decimal(5), maker_fee=Decimal(0), taker_fee=Decimal(0),
        )
        for place in range(INSTRUMENTS)
    )  # fmt: skip
    agents = tuple(
        AgentConfig(
            name=f"agent-{place:02}", model="scripted:quiet", timeframe_ms=MINUTE_MS, limits=AgentLimits(),
            instruments=tuple(one.key for one in listed[place * 4 : place * 4 + 4]), protection=Protection(),
        )
        for place in range(AGENTS)
    )  # fmt: skip
    return Plan(
        policy=Policy(kill=KILL), instruments=listed, agents=agents, source=SOURCE, interval_ms=MINUTE_MS, actor="bench"
    )


async def _engine(stack: AsyncExitStack, root: Path) -> tuple[Engine, Ticks, Parts]:
    plan, clock, stream, paths = _plan(), SystemClock(), Stream(), StorePaths(root)
    now_ms = clock.now_ms() // MINUTE_MS * MINUTE_MS
    journal = Journal.create(paths, now_ms, *genesis(plan, "0123abcd"), publish=stream.publish)
    parts = assemble(plan, journal, stream, clock, durable=True, find_client=lambda _model: Quiet())  # type: ignore[arg-type]
    stack.callback(parts.close)
    await arm(parts, plan, clock.now_ms())
    warm = [
        Candle(i.key, now_ms - MINUTE_MS, MINUTE_MS, PRICE, PRICE, PRICE, PRICE, Decimal(1), SOURCE)
        for i in plan.instruments
    ]
    await parts.core.on_event(Instant(now_ms, tuple(warm), True))
    for one in plan.instruments[:HELD]:  # what is held, so that a price moves equity
        parts.gateway.deposit(one.base, Decimal(50))
        journal.record(clock.now_ms(), FundsMoved(asset=one.base, amount=Decimal(50), value=50 * PRICE, reason="bench"))
    ticks = Ticks([one.key for one in plan.instruments])
    spare_what_is_there()  # as every engine does before it runs

    async def nothing(name: str, args: dict[str, str]) -> object:
        return []

    return Engine(parts.core, ticks, Handlers(parts.core, nothing), stream, clock), ticks, parts


async def _halts(root: Path, tries: int) -> tuple[list[float], Row, str]:
    took: list[float] = []
    draw = random.Random(1)
    async with AsyncExitStack() as stack:
        engine, ticks, parts = await _engine(stack, root)
        running = asyncio.create_task(engine.run())
        began = time.perf_counter()
        while len(took) < tries:
            await asyncio.sleep(draw.uniform(0.1, 0.3))
            engine.wanted = True
            ticks.halted_after_s = asyncio.get_running_loop().create_future()
            ticks.shocked = ticks.keys[draw.randrange(HELD)]
            late_s = await ticks.halted_after_s
            if parts.core.books.state is not TradingState.HALTED:
                raise RuntimeError(f"two quotes that halve a holding did not halt: {parts.core.books.state}")
            took.append(late_s * 1000)
            await asyncio.sleep(2 * INSTRUMENTS / TICKS_A_SECOND)
            await engine.handlers.handle(Resume(reason="the benchmark goes on", actor="bench"))
        seconds = time.perf_counter() - began
        pace = f"{ticks.taken / seconds:,.0f} ticks/s taken, {ticks.behind * 1000:.1f} ms behind at the end"
        engine.request_stop()
        await running
        look = await _look(parts)
    return took, look, pace


async def _look(parts: Parts) -> Row:
    core, key = parts.core, next(iter(parts.journal.books.instruments))
    mark = core.desk.surroundings.valuation.marks[key]
    began, count = time.perf_counter_ns(), 20_000
    for place in range(count):
        core.desk.surroundings.valuation.mark(key, replace(mark, price=PRICE + Decimal(place % 3) / 100))
        if (moved := core.watch.look(mark.ts_ms, confirmed=False, instrument=key)) is not None:
            await moved
    return Row(
        area=AREA, what="a mark valued, baselines and kill switch looked at", unit="ns",
        value=(time.perf_counter_ns() - began) / count, note=f"{HELD} instruments held",
    )  # fmt: skip
