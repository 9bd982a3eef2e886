"""An engine core with several instruments and a model that asks, for orders that a guardrail must stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.clock import ManualClock
from engine.control.stream import Stream
from engine.domain.agent import AgentConfig, AgentLimits, Protection
from engine.domain.decision import DecisionDraft, Direction, Outcome
from engine.domain.events import CycleDone, CycleItem, OrderIntended
from engine.domain.instrument import Instrument
from engine.domain.market import Candle, Instant, Quote, Source, SourceKind
from engine.domain.order import OrderRole
from engine.domain.policy import AccountLimits, KillLimits, PaperSettings, Policy
from engine.llm.client import ModelAnswer, ModelRequest, Settings
from engine.paths import StorePaths
from engine.runtime.compose import Plan, arm, assemble, genesis
from engine.store.journal import Journal

MINUTE_MS = 60_000
NEW_YEAR_MS = 1_767_225_600_000  # 2026-01-01T00:00Z, a Thursday
BTC, ETH, SOL = (
    Instrument(
        venue="paper", symbol=f"{base}/USDT", base=base, quote="USDT", price_tick=Decimal("0.01"),
        qty_step=Decimal("0.00001"), min_notional=Decimal(5), maker_fee=Decimal("0.001"), taker_fee=Decimal("0.001"),
        group="coins",
    )
    for base in ("BTC", "ETH", "SOL")
)  # fmt: skip
WIDE = KillLimits(
    gain_frac=Decimal(9), loss_frac=Decimal("0.9"), drawdown_frac=Decimal("0.9"), daily_loss_frac=Decimal("0.9"),
    daily_profit_frac=Decimal(9),
)  # fmt: skip
ROOMY = AgentLimits(
    position_notional_max=Decimal(200_000), portfolio_share_frac=Decimal(1), qty_fixed=Decimal("0.5"),
    cooldown_after_loss_ms=0,
)  # fmt: skip
LOOSE = AccountLimits(daily_loss_frac=Decimal("0.9"))

Asked = Mapping[str, object]
Script = Mapping[int, Mapping[str, Asked]]
"""Bar -> instrument key -> the draft's fields; all others hold."""
Interlude = Callable[["Exchange"], Awaitable[None]]
"""What happens while the model thinks."""


class Asking:
    """A model that asks for what was laid down, and lets something happen while it thinks."""

    provider = "scripted"

    def __init__(self, script: Script, meanwhile: Interlude | None) -> None:
        self.script, self.meanwhile = script, meanwhile
        self.asked = 0
        self.exchange: Exchange | None = None

    def features_needed(self, model: str, settings: Settings) -> tuple[str, ...]:
        return ("close",)

    async def decide(self, request: ModelRequest) -> ModelAnswer:
        wanted = self.script.get(self.asked, {})
        self.asked += 1
        if wanted and self.meanwhile is not None and self.exchange is not None:
            await self.meanwhile(self.exchange)
        drafts = tuple(_draft(view.instrument, wanted.get(view.instrument)) for view in request.views)
        return ModelAnswer(outcome=Outcome.DECIDED, model="scripted:plan", drafts=drafts)


def _draft(instrument: str, wanted: Asked | None) -> DecisionDraft:
    if wanted is None:
        return DecisionDraft(instrument=instrument, direction=Direction.HOLD, rationale="not yet")
    fields: dict[str, Any] = {"rationale": "scripted", "confidence": Decimal("0.9"), **wanted}
    return DecisionDraft(instrument=instrument, **fields)


class Exchange:
    """A core on a real store and the paper venue, driven minute by minute; every instrument has the same price."""

    def __init__(
        self, root: Path, script: Script, *, limits: Mapping[str, object], own: Mapping[str, object],
        agent: Mapping[str, object], policy: Mapping[str, object],
        instruments: tuple[Instrument, ...] = (BTC, ETH, SOL), meanwhile: Interlude | None = None,
        start_ms: int = NEW_YEAR_MS,
    ) -> None:  # fmt: skip
        changed: dict[str, Any] = dict(policy)
        chosen = Policy(
            kill=WIDE,
            paper=PaperSettings(half_spread_frac=Decimal(0), slippage_frac=Decimal(0), volume_share_frac=Decimal(1)),
            limits=replace(LOOSE, **dict[str, Any](limits)),
        )
        chosen = replace(chosen, **changed)
        keys = tuple(one.key for one in instruments)
        config = AgentConfig(
            name="tester", model="scripted:plan", instruments=keys, timeframe_ms=MINUTE_MS,
            limits=replace(ROOMY, **dict[str, Any](own)),
            protection=Protection(stop_frac=Decimal("0.02"), target_frac=Decimal("0.04")),
        )  # fmt: skip
        self.config = replace(config, **dict[str, Any](agent))
        self.keys, self.model = keys, Asking(script, meanwhile)
        self.model.exchange = self
        self.clock, self.root = ManualClock(start_ms), root
        self.source = Source(kind=SourceKind.SIMULATED, name="by hand")
        self.plan = Plan(
            policy=chosen, instruments=instruments, agents=(self.config,), source=self.source, interval_ms=MINUTE_MS,
            actor="test", folder=root,
        )  # fmt: skip
        self.stream, self.told = Stream(), list[Any]()
        self.journal = Journal.create(
            StorePaths(root / "store"), start_ms, *genesis(self.plan, "0123abcd"), publish=self._publish
        )
        self.parts = assemble(
            self.plan, self.journal, self.stream, self.clock, durable=False, find_client=lambda _model: self.model
        )
        self.core, self.books = self.parts.core, self.journal.books

    def _publish(self, rows: Any) -> None:
        self.told.extend(row.event for row in rows)
        self.stream.publish(rows)

    async def open(self, warm: list[Decimal]) -> None:
        """Start, and let bars pass before anything is asked."""
        await arm(self.parts, self.plan, self.clock.now_ms())
        for price in warm:
            await self.bar(price, warm=True)

    async def bar(self, price: object, *, warm: bool = False, volumes: Mapping[str, Decimal] | None = None) -> None:
        """Close one bar of every instrument. volumes: of some of them, where it is not 1,000."""
        traded = volumes or {}
        at, opened_ms = Decimal(str(price)), self.clock.now_ms()
        self.clock.advance_ms(MINUTE_MS)
        candles = tuple(
            Candle(key, opened_ms, MINUTE_MS, at, at, at, at, traded.get(key, Decimal(1000)), self.source)
            for key in self.keys
        )
        await self.core.on_event(Instant(self.clock.now_ms(), candles, warm))

    async def quote(self, bid: str, ask: str, key: str = BTC.key) -> None:
        """Let a second pass, then quote."""
        self.clock.advance_ms(1_000)
        now_ms = self.clock.now_ms()
        quote = Quote(
            instrument=key, ts_ms=now_ms, received_ms=now_ms, source=self.source, bid=Decimal(bid), ask=Decimal(ask)
        )
        await self.core.on_event(quote)

    def last(self, key: str = BTC.key) -> CycleItem:
        """Return what the journal says of the last decision on an instrument."""
        cycle = next(event for event in reversed(self.told) if isinstance(event, CycleDone))
        return next(item for item in cycle.items if item.instrument == key)

    def cycle(self) -> str:
        """Return the last cycle's id."""
        return next(event.cycle_id for event in reversed(self.told) if isinstance(event, CycleDone))

    def entries(self, key: str = BTC.key) -> int:
        """Count the entry orders that were written down."""
        orders = [event for event in self.told if isinstance(event, OrderIntended)]
        return sum(order.instrument == key and order.role is OrderRole.ENTRY for order in orders)

    def close(self) -> None:
        self.parts.close()
