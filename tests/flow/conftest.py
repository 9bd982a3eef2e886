"""Recordings made to measure, and the pipeline run over them."""

from __future__ import annotations

import math
import os
import random
import subprocess
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.clock import ManualClock
from engine.control.admin import AdminSecret
from engine.control.handlers import Handlers
from engine.control.stream import Stream
from engine.domain.agent import AgentConfig, AgentLimits, Protection
from engine.domain.decision import DecisionDraft, Direction, Outcome
from engine.domain.instrument import Instrument
from engine.domain.market import Candle, Instant, OrderBook, Quote, Source, SourceKind
from engine.domain.policy import KillLimits, PaperSettings, Policy
from engine.llm.client import ModelAnswer, ModelRequest, Settings
from engine.paths import StorePaths
from engine.runtime.compose import Plan, arm, assemble, genesis
from engine.runtime.replay import ReplayOptions, replay
from engine.store.journal import Journal
from engine.store.reader import Question, Reader
from engine.store.rows import event_of

MINUTE_MS = 60_000
START_MS = 1_767_225_600_000  # 2026-01-01T00:00Z

Bar = tuple[float, float, float, float, float]
"""open, high, low, close, volume"""


def bars_of(closes: Sequence[float], volume: float = 1000.0) -> list[Bar]:
    """Return bars that open where the last one closed."""
    opens = [closes[0], *closes[:-1]]
    return [(o, max(o, c), min(o, c), c, volume) for o, c in zip(opens, closes, strict=True)]


@pytest.fixture
def write_bars(tmp_path: Path) -> Callable[..., Path]:
    """Write bars as a candle CSV; returns its path."""

    def write(
        bars: Iterable[Bar], name: str = "BTCUSDT_1m.csv", start_ms: int = START_MS, step_ms: int = MINUTE_MS
    ) -> Path:
        path = tmp_path / name
        lines = ["timestamp,open,high,low,close,volume"]
        for place, bar in enumerate(bars):
            lines.append(f"{start_ms + place * step_ms}," + ",".join(f"{value:.2f}" for value in bar))
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture
def waves() -> list[Bar]:
    """Return 600 bars of seeded waves around 50,000: crosses enough for every model."""
    rng = random.Random(7)
    closes = [50_000 + 600 * math.sin(i / 23) + 250 * math.sin(i / 7) + rng.uniform(-40, 40) for i in range(600)]
    return bars_of(closes)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict]:
    """Replay files with flags through the whole pipeline."""
    places = iter(range(1000))

    def go(*files: Path, agents: Sequence[str] = ("heuristic:sma_cross",), **options: Any) -> dict:
        flags: Any = options.pop("flags", {})
        store = options.pop("store", tmp_path / f"store{next(places)}")
        chosen = ReplayOptions(
            files=files, agents=tuple(agents), flags=flags, store=store, config_dir=tmp_path / "config", **options
        )
        return replay(chosen) | {"store": store}

    return go


class Scripted:
    """A model whose answers are laid down beforehand: bar number -> what it drafts; it holds on all others."""

    provider = "scripted"

    def __init__(
        self, plan: dict[int, dict[str, object]] | None = None, features: tuple[str, ...] = ("close",)
    ) -> None:
        self.plan, self.features = plan or {}, features
        self.asked: list[ModelRequest] = []

    def features_needed(self, model: str, settings: Settings) -> tuple[str, ...]:
        return self.features

    async def decide(self, request: ModelRequest) -> ModelAnswer:
        wanted = self.plan.get(len(self.asked))
        self.asked.append(request)
        drafts = tuple(self._draft(view.instrument, wanted) for view in request.views)
        return ModelAnswer(outcome=Outcome.DECIDED, model="scripted:plan", drafts=drafts)

    def _draft(self, instrument: str, wanted: dict[str, object] | None) -> DecisionDraft:
        if wanted is None:
            return DecisionDraft(instrument=instrument, direction=Direction.HOLD, rationale="not yet")
        fields: dict[str, object] = {"rationale": "scripted", "confidence": Decimal("0.9"), **wanted}
        return DecisionDraft(instrument=instrument, **fields)  # type: ignore[arg-type]


BTC = Instrument(
    venue="paper", symbol="BTC/USDT", base="BTC", quote="USDT", price_tick=Decimal("0.01"),
    qty_step=Decimal("0.00001"), min_notional=Decimal(5), maker_fee=Decimal("0.001"), taker_fee=Decimal("0.001"),
)  # fmt: skip


class World:
    """An engine core on a real store, driven bar by bar on a manual clock."""

    def __init__(
        self, root: Path, script: Scripted, agent: AgentConfig, policy: Policy, *, durable: bool = False,
        instrument: Instrument = BTC, admin: AdminSecret | None = None,
    ) -> None:  # fmt: skip
        self.script, self.stream, self.paths = script, Stream(), StorePaths(root)
        self.clock = ManualClock(START_MS)
        self.source = Source(kind=SourceKind.SIMULATED, name="by hand")
        self.plan = Plan(
            policy=policy,
            instruments=(instrument,),
            agents=(agent,),
            source=self.source,
            interval_ms=MINUTE_MS,
            actor="test",
            admin=admin,
        )
        if self.paths.store_db.exists():
            journal = Journal.open(self.paths, publish=self.stream.publish)
            self.clock.set_ms(journal.books.last_ts_ms)
        else:
            first = genesis(self.plan, "0123abcd")
            journal = Journal.create(self.paths, START_MS, *first, publish=self.stream.publish)
        self.parts = assemble(
            self.plan, journal, self.stream, self.clock, durable=durable, find_client=lambda _model: script
        )
        self.core, self.books = self.parts.core, journal.books
        self.handlers = Handlers(self.core, self._read)

    async def _read(self, name: str, args: dict[str, str]) -> object:
        raise AssertionError(f"nothing here reads {name} {args}")

    async def start(self) -> World:
        await arm(self.parts, self.plan, self.clock.now_ms())
        for _ in range(6):  # the price collar wants some closes before it lets anything through
            await self.bar("50000", warm=True)
        return self

    async def bar(self, *prices: str, volume: str = "1000", warm: bool = False) -> None:
        """Close one bar: one price for all, or open, high, low, close."""
        o, h, l, c = (Decimal(p) for p in (prices * 4 if len(prices) == 1 else prices))  # noqa: E741
        opened_ms = self.clock.now_ms()
        self.clock.advance_ms(MINUTE_MS)
        candle = Candle(BTC.key, opened_ms, MINUTE_MS, o, h, l, c, Decimal(volume), self.source)
        await self.core.on_event(Instant(self.clock.now_ms(), (candle,), warm))

    async def quote(self, bid: str, ask: str = "", *, after_ms: int = 1_000, old_ms: int = 0) -> None:
        """Let time pass, then quote. old_ms: how long before it arrives the venue stamped it."""
        self.clock.advance_ms(after_ms)
        now_ms = self.clock.now_ms()
        await self.core.on_event(
            Quote(
                instrument=BTC.key, ts_ms=now_ms - old_ms, received_ms=now_ms, source=self.source,
                bid=Decimal(bid), ask=Decimal(ask or bid),
            )
        )  # fmt: skip

    async def book(self, bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]) -> None:
        """Show an order book: (price, quantity), best first."""
        self.clock.advance_ms(1_000)
        sides = [tuple((Decimal(price), Decimal(qty)) for price, qty in side) for side in (bids, asks)]
        shown = OrderBook(
            instrument=BTC.key, ts_ms=self.clock.now_ms(), bids=sides[0], asks=sides[1], source=self.source
        )
        await self.core.on_event(shown)

    def incidents(self) -> list[str]:
        return self.outcomes("incident")

    async def bars(self, count: int, price: str) -> None:
        for _ in range(count):
            await self.bar(price)

    def position(self, agent: str = "tester") -> Decimal:
        return self.books.position(agent, BTC.key).qty

    def outcomes(self, kind: str) -> list[str]:
        return [line.outcome for line in self.stream.after(0).lines if line.kind == kind]

    def rows_of(self, name: str) -> list[Any]:
        """Return the journal's events of a kind, by the name of their class."""
        with closing(Reader(self.paths)) as reader:
            rows = reader.read(_rows("SELECT kind, payload FROM journal ORDER BY seq"))
        return [event for kind, kept in rows if type(event := event_of(kind, kept)).__name__ == name]

    def close(self) -> None:
        self.parts.close()


def _rows(sql: str) -> Question[Any]:
    rows = yield sql, ()
    return rows


WIDE = KillLimits(
    gain_frac=Decimal(9), loss_frac=Decimal("0.9"), drawdown_frac=Decimal("0.9"), daily_loss_frac=Decimal("0.9")
)


@pytest.fixture
def in_base() -> Instrument:
    """The same coin where the venue takes its fees in it."""
    return replace(BTC, fee_asset="base")


@pytest.fixture
def tester() -> AgentConfig:
    """An agent that trades one whole coin at most, protected at 2 % and 4 %."""
    limits = AgentLimits(
        position_notional_max=Decimal(200_000), portfolio_share_frac=Decimal(1), qty_fixed=Decimal(1),
        cooldown_after_loss_ms=0,
    )  # fmt: skip
    return AgentConfig(
        name="tester", model="scripted:plan", instruments=(BTC.key,), timeframe_ms=MINUTE_MS, limits=limits,
        protection=Protection(stop_frac=Decimal("0.02"), target_frac=Decimal("0.04")),
    )  # fmt: skip


@pytest.fixture
def make_world(tmp_path: Path, tester: AgentConfig) -> Iterator[Callable[..., Awaitable[World]]]:
    """Build worlds; closes them at the end. script: bar number -> draft fields."""
    made: list[World] = []

    async def make(
        script: dict[int, dict[str, object]] | None = None, *, agent: AgentConfig | None = None,
        policy: Policy | None = None, root: Path | None = None, durable: bool = False, instrument: Instrument = BTC,
        features: tuple[str, ...] = ("close",), admin: AdminSecret | None = None,
    ) -> World:  # fmt: skip
        free = PaperSettings(half_spread_frac=Decimal(0), slippage_frac=Decimal(0), volume_share_frac=Decimal(1))
        chosen = policy or Policy(kill=WIDE, paper=free)
        world = World(
            root or tmp_path / f"world{len(made)}", Scripted(script, features), agent or tester, chosen,
            durable=durable, instrument=instrument, admin=admin,
        )  # fmt: skip
        made.append(world)
        return await world.start()

    yield make
    for world in made:
        world.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with 3 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
