"""A small engine for the screens: canned snapshots, scripted replies, and a record of what was asked."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from textual import events
from textual.pilot import Pilot

from console.app import QuarterdeckApp
from engine.api import (
    AgentStatus,
    AgentView,
    ApprovalView,
    Autonomy,
    BudgetView,
    CertificateView,
    ChangeView,
    CheckCode,
    Command,
    EventBatch,
    Halt,
    KillGauge,
    KillTier,
    KillUnit,
    MarketView,
    Mode,
    OrderRole,
    OrderStatus,
    OrderType,
    OrderView,
    PolicyChange,
    PolicyView,
    PositionView,
    PreviewTicket,
    Query,
    Reply,
    RiskCheck,
    Sense,
    Side,
    Snapshot,
    SourceKind,
    StreamLine,
    TicketPreview,
    TradeEffect,
    TradingState,
    Verdict,
)
from screens.widgets.guard import event_clock_s

NOW_MS = 1_790_000_000_000
MONO_MS = 5_000_000.0
BTC, ETH = "paper:BTC/USDT", "paper:ETH/USDT"
CHECKS = (
    RiskCheck(CheckCode.CONFIDENCE, Verdict.PASS, "0.72", "0.6"),
    RiskCheck(CheckCode.RISK_PER_TRADE, Verdict.REDUCE, "0.31", "0.2"),
)

CERTIFICATE = CertificateView(
    flatten_id="fl-1", flat=False, took_ms=1_240, lines=((BTC, Decimal("0.2"), Decimal("0.05"), "no liquidity"),)
)


EFFECT = TradeEffect(
    asset="USDT", value=Decimal("6660.2"), cash_before=Decimal(87_000), cash_after=Decimal("80333.14"),
    free_after=Decimal("80333.14"), qty_before=Decimal(0), qty_after=Decimal(2), gross_before_frac=Decimal("0.128"),
    gross_after_frac=Decimal("0.1946"), at_stop=Decimal("133.2"), at_stop_frac=Decimal("0.00133"),
    fee=Decimal("6.66"),
)  # fmt: skip


def position(**changes: Any) -> PositionView:
    base = PositionView(
        agent="dip-buyer",
        instrument=BTC,
        qty=Decimal("0.2"),
        average_price=Decimal("64012.1"),
        mark=Decimal("64120.55"),
        mark_age_ms=900,
        unrealized=Decimal("21.69"),
        realized=Decimal("102.4"),
        stop_price=Decimal("62731.86"),
        target_price=Decimal("67212.7"),
        source="REPLAY",
    )
    return replace(base, **changes)


def order(**changes: Any) -> OrderView:
    base = OrderView(
        client_order_id="0123abcd6120ea621ee88b0729bf68cf",
        cycle_id="dip-buyer.1",
        agent="dip-buyer",
        instrument=BTC,
        role=OrderRole.STOP,
        side=Side.SELL,
        order_type=OrderType.STOP,
        qty=Decimal("0.2"),
        filled_qty=Decimal(0),
        limit_price=None,
        stop_price=Decimal("62731.86"),
        status=OrderStatus.OPEN,
        age_ms=125_000,
    )
    return replace(base, **changes)


def approval(**changes: Any) -> ApprovalView:
    base = ApprovalView(
        approval_id="ap-1",
        code="QDXF",
        cycle_id="swing.3",
        agent="swing",
        instrument=ETH,
        side=Side.BUY,
        order_type=OrderType.MARKET,
        qty=Decimal(2),
        price=Decimal("3330.1"),
        limit_price=None,
        stop_price=Decimal("3263.5"),
        target_price=None,
        notional=Decimal("6660.2"),
        before_qty=Decimal(0),
        after_qty=Decimal(2),
        confidence=Decimal("0.72"),
        rationale="A higher low on rising volume.",
        checks=CHECKS,
        price_now=Decimal("3333.43"),
        price_age_ms=1_200,
        expires_in_ms=252_000,
        policy="3f2a1b9c00d1e2f3",
        quote_age_ms=48_000,
        drift_max_frac=Decimal("0.01"),
        effect=EFFECT,
    )
    return replace(base, **changes)


def policy(*changes: ChangeView) -> PolicyView:
    return PolicyView(version=3, hash="be1332115cc4cb88", since_ms=NOW_MS - 90_000, changes=changes)


def change(**changes: Any) -> ChangeView:
    base = ChangeView(
        request_id="cr-1",
        code="QDXF",
        base_version=3,
        stale=False,
        changes=(
            PolicyChange("limits.open_positions", "5", "8", Sense.LOOSENS),
            PolicyChange("limits.price_age", "90s", "30s", Sense.TIGHTENS),
        ),
        actor="trader",
        asked_by="file",
        reason="More room for the autumn.",
        asked_ms=NOW_MS - 60_000,
        due_in_ms=None,
    )
    return replace(base, **changes)


def agent(**changes: Any) -> AgentView:
    base = AgentView(
        name="dip-buyer",
        model="heuristic:rsi_reversion",
        autonomy=Autonomy.AUTO,
        status=AgentStatus.RUNNING,
        instruments=(BTC,),
        phase="IDLE",
        cycles=41,
        trades_today=3,
        trades_per_day=10,
        realized=Decimal("102.4"),
        unrealized=Decimal("21.69"),
        last="BUY 0.2 (0 -> 0.2)",
        last_ms=NOW_MS - 40_000,
        failures=0,
        next_slot_ms=None,
    )
    return replace(base, **changes)


def line(seq: int, **changes: Any) -> StreamLine:
    base = StreamLine(
        seq=seq,
        ts_ms=NOW_MS + seq * 1_000,
        kind="decision",
        agent="dip-buyer",
        instrument=BTC,
        action="BUY 0.2 (0 -> 0.2)",
        confidence=Decimal("0.72"),
        outcome="ACTED",
        why="the RSI left oversold",
        cycle_id=f"dip-buyer.{seq}",
    )
    return replace(base, **changes)


def _gauge(rule: str, observed: str, limit: str, used: str) -> KillGauge:
    return KillGauge(
        rule=rule,
        unit=KillUnit.FRAC,
        tier=KillTier.CLEAR,
        observed=Decimal(observed),
        limit=Decimal(limit),
        used_frac=Decimal(used),
        tripped=False,
        warn_at=Decimal(limit) * Decimal("0.6"),
        reduce_at=Decimal(limit) * Decimal("0.8"),
        flatten_at=Decimal(limit),
    )


def snapshot(**changes: Any) -> Snapshot:
    base = Snapshot(
        seq=7,
        now_ms=NOW_MS,
        built_mono_ms=MONO_MS,
        mode=Mode.PAPER,
        source_kind=SourceKind.REPLAY,
        source_label="REPLAY x60",
        source_name="btc",
        feed_text="",
        connected=True,
        state=TradingState.ACTIVE,
        state_reason="started by the demo",
        state_actor="trader",
        state_since_ms=NOW_MS - 754_000,
        currency="USDT",
        equity=Decimal("100012.34"),
        equity_start=Decimal(100_000),
        equity_peak=Decimal(100_400),
        day_start=Decimal(100_000),
        day_pnl=Decimal("12.34"),
        realized=Decimal("94.3"),
        unrealized=Decimal("-4.86"),
        fees={"USDT": Decimal("12.81")},
        balances={"USDT": Decimal(87_000)},
        data_age_ms=1_900,
        positions=(position(), position(agent="trend", instrument=ETH, qty=Decimal("-1.5"), stop_price=None)),
        orders=(order(),),
        approvals=(approval(),),
        kill=(_gauge("loss", "0.012", "0.05", "0.24"), _gauge("daily_loss", "0.024", "0.03", "0.8")),
        budget=BudgetView(
            usd_spent=Decimal("0.42"),
            usd_reserved=Decimal("0.03"),
            usd_cap=Decimal(5),
            tokens_spent=81_234,
            tokens_cap=500_000,
            calls=31,
        ),
        agents=(agent(), agent(name="swing", status=AgentStatus.PAUSED, autonomy=Autonomy.APPROVE)),
        markets=tuple(
            MarketView(
                instrument=name,
                price=Decimal(price),
                price_age_ms=900,
                change_frac=Decimal("0.0123"),
                closes=tuple(float(k * k % 17) for k in range(40)),
                source="REPLAY",
                assumed=False,
            )
            for name, price in ((BTC, "64120.55"), (ETH, "3333.43"))
        ),
        equity_curve=tuple((NOW_MS + k * 60_000, Decimal(100_000 + k * 7 % 31 - k // 3)) for k in range(90)),
        progress=0.43,
    )
    return replace(base, **changes)


def preview(**changes: Any) -> TicketPreview:
    base = TicketPreview(
        preview_id="pv-1",
        refused=False,
        asked_qty=Decimal("0.2"),
        qty=Decimal("0.2"),
        price=Decimal("64120.55"),
        notional=Decimal("12824.11"),
        fee=Decimal("12.82"),
        stop_price=None,
        target_price=None,
        checks=CHECKS,
    )
    return replace(base, **changes)


class FakeClient:
    """Canned answers. sent: every command, in order; gate: answers wait for it, not the halt's."""

    def __init__(self, first: Snapshot | None = None, lines: Sequence[StreamLine] = ()) -> None:
        self.now = first or snapshot()
        self.batches: deque[EventBatch] = deque()
        self.sent: list[Command] = []
        self.calls: list[str] = []
        self.replies: dict[type, Reply] = {PreviewTicket: Reply(ok=True, text="", data=preview())}
        self.snapshots = 0
        self.gate: asyncio.Event | None = None
        if lines:
            self.batches.append(EventBatch(lines=tuple(lines), upto_seq=lines[-1].seq, gap=False))

    async def snapshot(self) -> Snapshot:
        self.snapshots += 1
        return self.now

    async def events(self, since: int) -> EventBatch:
        return self.batches.popleft() if self.batches else EventBatch(lines=(), upto_seq=since, gap=False)

    async def send(self, command: Command) -> Reply:
        self.calls.append(type(command).__name__)
        self.sent.append(command)
        if self.gate is not None and not isinstance(command, Halt):
            await self.gate.wait()
        default = Reply(ok=True, text=f"{type(command).__name__} done.")
        if isinstance(command, Query):
            default = Reply(ok=True, text="", data={"cycle": command.args.get("cycle")})
        return self.replies.get(type(command), default)

    def halt_now(self) -> None:
        self.calls.append("halt_now")
        self.now = replace(self.now, state=TradingState.HALTED, state_reason="halted by the trader")


class FakeHost:
    """An EngineHost that has its client at once, runs until told to stop, and says when it stopped."""

    def __init__(self, client: FakeClient, *, error: str | None = None, ready: bool = True) -> None:
        self.client: FakeClient | None = client
        self.ready = threading.Event()
        self.error = error
        self.stopped = threading.Event()
        self.finished = threading.Event()
        self.thread: threading.Thread | None = None
        self._is_ready = ready

    async def run(self) -> None:
        self.thread = threading.current_thread()
        if self.error is not None:
            return
        if self._is_ready:
            self.ready.set()
        await asyncio.to_thread(self.stopped.wait)
        self.finished.set()

    def request_stop(self) -> None:
        self.stopped.set()


def console(client: FakeClient, **options: Any) -> tuple[QuarterdeckApp, FakeHost]:
    """Return an app over a fake engine, its clock standing still at the snapshot's instant."""
    keymap = options.pop("keymap", None)
    host = FakeHost(client, **options)
    return QuarterdeckApp(lambda: host, keymap, mono_ms=lambda: MONO_MS + 200.0), host


async def until(pilot: Pilot[Any], true: Callable[[], bool]) -> None:
    """Wait until something is true; fails after five seconds."""
    for _ in range(500):
        if true():
            return
        await pilot.pause(0.01)
    raise AssertionError("it never came true")


async def started(pilot: Pilot[Any]) -> None:
    """Wait for the first snapshot to be on the screen."""
    app: QuarterdeckApp = pilot.app  # type: ignore[assignment]
    await until(pilot, lambda: app.model.snapshot is not None)
    await pilot.pause()


async def back(pilot: Pilot[Any], now: Snapshot | None = None, size: tuple[int, int] | None = None) -> None:
    """Return to the overview for the next case, over another snapshot or in another window when one is given."""
    app: QuarterdeckApp = pilot.app  # type: ignore[assignment]
    while len(app.screen_stack) > 1:
        app.pop_screen()
    if size is not None:
        await pilot.resize_terminal(*size)
    if now is not None:
        client = app.model.client
        assert isinstance(client, FakeClient)
        client.now = now
        await app._pull()
    await pilot.pause()


async def keys(pilot: Pilot[Any], *names: str, after_s: float = 10.0, gap_s: float = 0.1) -> None:
    """Press keys as if they arrived gap_s apart, the first one after_s from now; no time passes really."""
    at = event_clock_s() + after_s
    for name in names:
        event = events.Key(name, name if len(name) == 1 else None)
        event.time = at
        at += gap_s
        pilot.app.post_message(event)
    await pilot.pause()
    await pilot.pause()


def screen_text(app: QuarterdeckApp) -> str:
    """Return what is on the screen, row by row."""
    return "\n".join("".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips())


def first_row(app: QuarterdeckApp) -> str:
    """Return the screen's first row: the safety line's place."""
    return screen_text(app).split("\n", 1)[0]
