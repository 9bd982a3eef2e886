"""Engines whose agents ask a model over loopback HTTP, on a clock that only the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.agents.briefing import Brief, Briefing
from engine.agents.language import LanguageClient
from engine.agents.prompts import Prompt
from engine.clock import Clock
from engine.control.handlers import Handlers
from engine.control.stream import Stream
from engine.domain.agent import AgentConfig, AgentLimits, Protection
from engine.domain.events import CycleDone, ModelAsked
from engine.domain.market import Candle, Instant, Quote, Source, SourceKind
from engine.domain.policy import KillLimits, PaperSettings, Policy
from engine.domain.prices import ModelPrice, PriceList, Rates, Tier
from engine.domain.provider import Protocol, Provider
from engine.keys import Keychain, Secret
from engine.llm.anthropic_client import AnthropicClient
from engine.llm.asking import Asker
from engine.llm.client import ModelRequest
from engine.llm.heuristic import HeuristicClient
from engine.llm.meter import Hold, OverBudget, Usage
from engine.llm.openai_client import OpenAiClient
from engine.llm.turns import Turns
from engine.paths import StorePaths
from engine.runtime.compose import Plan, arm, assemble, genesis
from engine.store.journal import Journal
from engine.store.prompts import PromptStore
from tests.flow.conftest import BTC, MINUTE_MS, START_MS

KEY = "sk-canary-9876543210"
BUY = '{"decision": "buy", "symbol": "BTC/USDT", "reasoning": "weak", "confidence": 0.9}'
HOLD = '{"decision": "hold", "reasoning": "nothing to do"}'
FREE = PaperSettings(half_spread_frac=Decimal(0), slippage_frac=Decimal(0), volume_share_frac=Decimal(1))
FAR = Decimal("0.9")
WIDE = KillLimits(gain_frac=Decimal(9), loss_frac=FAR, drawdown_frac=FAR, daily_loss_frac=FAR)


RATES = Rates(base=Tier(input=Decimal(3), output=Decimal(15), cached=Decimal("0.3")))
PRICES = PriceList(
    lines=dict.fromkeys(
        ("here:model-1", "here:model-2"), ModelPrice(rates=RATES, context_tokens=200_000, origin="a test")
    ),
    estimates={}, dated_ms=START_MS,
)  # fmt: skip


class SteppedClock:
    """Time that stands still until a test moves it, or somebody sleeps; no ManualClock, so cycles run beside it."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.time_ms = now_ms
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return self.time_ms

    def mono_ms(self) -> float:
        return float(self.time_ms)

    def advance_ms(self, duration_ms: int) -> None:
        self.time_ms += duration_ms

    async def sleep_ms(self, duration_ms: float) -> None:
        self.slept.append(duration_ms)
        self.time_ms += int(duration_ms)
        await asyncio.sleep(0)


class FakeMeter:
    """Reserves ten cents each time until there are none left. posted: usage of each hold that was posted, in order."""

    def __init__(self, holds: int = 1_000) -> None:
        self.left = holds
        self.held: list[Hold] = []
        self.posted: list[Usage | None] = []
        self.switched: list[tuple[str, int]] = []

    def hold(self, **asked: Any) -> Hold | OverBudget:
        if not self.left:
            return OverBudget(sentence="the day's cap is reached")
        self.left -= 1
        self.held.append(Hold(hold_id=f"h{len(self.held)}", usd=Decimal("0.10")))
        return self.held[-1]

    def post(self, hold: Hold, usage: Usage | None) -> Decimal:
        self.posted.append(usage)
        return hold.usd if usage is None else Decimal("0.01")

    def switch(self, on: bool, reason: str, actor: str, *, provider: str = "", until_ms: int = 0) -> None:
        self.switched.append((provider, until_ms))


def short_brief(request: ModelRequest) -> Brief | str:
    """Return a brief of one line; BTC/USDT may be named."""
    prompt = Prompt(
        system="You trade.", user=f"slot {request.slot_ms}", version="t1", digest="", schema={"type": "object"},
        dropped=(), tokens=10,
    )  # fmt: skip
    return Brief(prompt=prompt, symbols={"BTC/USDT": BTC.key}, held={})


def agent_of(name: str = "thinker", **changes: Any) -> AgentConfig:
    """Return an agent that trades one whole coin and falls back on nothing."""
    limits = AgentLimits(
        position_notional_max=Decimal(200_000), portfolio_share_frac=Decimal(1), qty_fixed=Decimal(1),
        cooldown_after_loss_ms=0, trades_per_day=1_000,
    )  # fmt: skip
    config = AgentConfig(
        name=name, model="here:model-1", instruments=(BTC.key,), timeframe_ms=MINUTE_MS, limits=limits,
        protection=Protection(stop_frac=Decimal("0.02"), target_frac=Decimal("0.04")),
    )  # fmt: skip
    return replace(config, **changes)


class Table:
    """An engine core on a real store whose agents ask one server.

    wall: for waits and latencies; the clock, if None. composed: with the engine's own prompts, prices and budget, as
    the trader's console is built; else each of these is a short stand-in.
    """

    def __init__(
        self, root: Path, url: str, *agents: AgentConfig, kind: str = "anthropic", meter: Any = None,
        policy: Policy | None = None, timeout_ms: int = 5_000, wall: Clock | None = None,
        briefing: Briefing | None = short_brief, composed: bool = False, clock: Any = None,
        keys: Keychain | None = None,
    ) -> None:  # fmt: skip
        self.clock: Any = clock or SteppedClock()
        self.stream, self.paths = Stream(), StorePaths(root)
        self.kept = PromptStore(self.paths.prompts)
        self.meter = meter or FakeMeter()
        path = "" if kind == "anthropic" else "/v1"
        provider = Provider(name="here", kind=Protocol(kind), base_url=url + path, key_name="here")
        make = AnthropicClient if kind == "anthropic" else OpenAiClient
        chat = make(provider, lambda _name: Secret(KEY, "test"), wall or self.clock)
        self.asker = Asker("here", chat, wall or self.clock, self.clock.now_ms)
        configs, turns = {each.name: each for each in agents or (agent_of(),)}, Turns()
        mine = provider if keys is not None else replace(provider, key_name="")
        self.source = Source(kind=SourceKind.SIMULATED, name="by hand")
        self.plan = Plan(
            policy=policy or Policy(kill=WIDE, paper=FREE), instruments=(BTC,), agents=tuple(configs.values()),
            source=self.source, interval_ms=MINUTE_MS, actor="test", prices=PRICES, providers={"here": mine},
            keys=keys,
        )  # fmt: skip
        journal = Journal.create(self.paths, START_MS, *genesis(self.plan, "0123abcd"), publish=self.stream.publish)
        waiting = iter(configs.values())
        self.clients: list[LanguageClient] = []

        def client(_config: AgentConfig) -> LanguageClient:
            self.clients.append(
                LanguageClient(
                    next(waiting), "model-1", self.asker, HeuristicClient(), self.kept, wall or self.clock, turns,
                    timeout_ms, briefing=briefing,
                )
            )  # fmt: skip
            return self.clients[-1]

        found = None if composed else client
        self.parts = assemble(self.plan, journal, self.stream, self.clock, durable=False, find_client=found)
        self.core, self.books = self.parts.core, journal.books
        for each in self.clients:
            each.attach(self.core.desk, self.core.agents[each.config.name], self.meter)
        self.handlers = Handlers(self.core, self._read)

    async def _read(self, name: str, args: dict[str, str]) -> object:
        raise AssertionError(f"nothing here reads {name} {args}")

    async def start(self) -> Table:
        """Arm the engine and show it enough bars to price by."""
        await arm(self.parts, self.plan, self.clock.now_ms())
        for _ in range(6):
            await self.bar("50000", warm=True)
        return self

    async def bar(self, price: str, *, warm: bool = False) -> None:
        """Close one bar at a price; cycles that it begins are under way when this returns."""
        opened_ms, value = self.clock.now_ms(), Decimal(price)
        self.clock.advance_ms(MINUTE_MS)
        candle = Candle(BTC.key, opened_ms, MINUTE_MS, value, value, value, value, Decimal(1000), self.source)
        await self.core.on_event(Instant(self.clock.now_ms(), (candle,), warm))

    async def quote(self, price: str) -> None:
        """Quote a price a second later."""
        self.clock.advance_ms(1_000)
        value = Decimal(price)
        await self.core.on_event(
            Quote(
                instrument=BTC.key, ts_ms=self.clock.now_ms(), received_ms=self.clock.now_ms(), source=self.source,
                bid=value, ask=value,
            )
        )  # fmt: skip

    async def settle(self) -> None:
        """Wait until no cycle is under way."""
        await self.core.cycles.settle()

    async def decide(self, price: str = "50000") -> CycleDone:
        """Close a bar and return the cycle it came to."""
        await self.bar(price)
        await self.settle()
        return self.rows(CycleDone)[-1]

    def rows(self, kind: type) -> list[Any]:
        """Return the journal's events of a kind."""
        import sqlite3

        from engine.store.rows import event_of

        with sqlite3.connect(self.paths.store_db) as db:
            found = db.execute("SELECT kind, payload FROM journal WHERE kind = ? ORDER BY seq", (kind.KIND,)).fetchall()
        return [event_of(number, kept) for number, kept in found]

    def asked(self) -> list[ModelAsked]:
        """Return every attempt on record."""
        return self.rows(ModelAsked)

    def kept_texts(self) -> list[str]:
        """Return every text that was kept of what models were asked and answered."""
        names = [path.name.partition(".")[0] for path in self.paths.prompts.rglob("*") if path.is_file()]
        return [self.kept.get(name) or "" for name in names]

    def lines(self) -> list[str]:
        """Return the stream as text."""
        return [f"{line.kind} {line.outcome} {line.action} {line.why}" for line in self.stream.after(0).lines]

    def position(self, agent: str = "thinker") -> Decimal:
        """Return what an agent holds."""
        return self.books.position(agent, BTC.key).qty

    async def close(self) -> None:
        """Leave: cycles are given up, connections and the store closed."""
        await self.core.cycles.close()
        await self.asker.chat.close()
        await self.parts.models.close()
        self.parts.close()


def texts(rows: Sequence[Any]) -> str:
    """Return everything in some rows as one text."""
    return "\n".join(repr(row) for row in rows)
