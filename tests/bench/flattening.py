"""How long it takes from HALTED to a certificate of zero, with twenty positions at the paper venue, store on disk."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from engine import api
from engine.clock import ManualClock
from engine.control.handlers import Handlers
from engine.control.stream import Stream
from engine.domain.instrument import Instrument
from engine.domain.market import Candle, Instant, Quote, Source, SourceKind
from engine.domain.policy import AccountLimits, Policy
from engine.paths import StorePaths
from engine.runtime.compose import Parts, Plan, arm, assemble, genesis
from engine.store.journal import Journal
from tests.bench.report import Row, middle, spread

AREA = "Flatten on the paper venue"
POSITIONS = 20
START_MS = 1_767_225_600_000
MINUTE_MS = 60_000
SOURCE = Source(kind=SourceKind.SIMULATED, name="by hand")


def measure_flattening(folder: Path, rounds: int) -> Iterator[Row]:
    """Open twenty positions with their stops and targets, halt, and flatten; so many times, each on a new store."""
    took, halted = [], []
    for number in range(rounds):
        halt_ms, flat_ms = asyncio.run(_once(folder / f"flatten{number}"))
        halted.append(halt_ms)
        took.append(flat_ms)
    what = f"halted to flat, {POSITIONS} positions"
    yield Row(area=AREA, what="command to HALTED on disk", value=middle(halted), unit="ms", note=spread(halted, "ms"))
    yield Row(
        area=AREA, what=what, value=middle(took), unit="ms", at_most=1_000,
        note=f"{spread(took, 'ms')}; to the certificate, {POSITIONS} capped orders, each on disk first",
    )  # fmt: skip


async def _once(root: Path) -> tuple[float, float]:
    parts, clock = _engine(root)
    try:
        handlers = Handlers(parts.core, _reads_nothing)
        await arm(parts, _plan(), clock.now_ms())
        await _bars(parts, clock)
        await _quotes(parts, clock)
        for instrument in _listed():
            await _buy(handlers, instrument.key)
        await _quotes(parts, clock)
        held = sum(bool(p.qty) for p in parts.journal.books.open_positions())
        if held != POSITIONS:
            raise RuntimeError(f"{held} positions are open, not {POSITIONS}")
        began = time.perf_counter()
        await handlers.handle(api.Halt())
        halted = time.perf_counter()
        await handlers.handle(api.Flatten())
        while parts.journal.books.last_certificate is None:
            await _quotes(parts, clock)
        flat = time.perf_counter()
        if not parts.journal.books.last_certificate.flat:
            raise RuntimeError("the flatten did not end flat")
        return (halted - began) * 1000, (flat - halted) * 1000
    finally:
        parts.close()


def _engine(root: Path) -> tuple[Parts, ManualClock]:
    clock, plan, stream = ManualClock(START_MS), _plan(), Stream()
    journal = Journal.create(StorePaths(root), START_MS, *genesis(plan, "0123abcd"), publish=stream.publish)
    return assemble(plan, journal, stream, clock, durable=True), clock


def _plan() -> Plan:
    limits = AccountLimits(open_positions=POSITIONS, trades_per_day=1000, price_collar_frac=Decimal(1))
    policy = Policy(cash=Decimal(1_000_000), limits=limits)
    return Plan(
        policy=policy, instruments=_listed(), agents=(), source=SOURCE, interval_ms=MINUTE_MS, actor="bench"
    )  # fmt: skip


def _listed() -> tuple[Instrument, ...]:
    return tuple(
        Instrument(
            venue="paper", symbol=f"F{n:02}/USD", base=f"F{n:02}", quote="USD", price_tick=Decimal("0.01"),
            qty_step=Decimal("0.001"), min_notional=Decimal(5), maker_fee=Decimal("0.001"), taker_fee=Decimal("0.001"),
        )
        for n in range(POSITIONS)
    )  # fmt: skip


async def _bars(parts: Parts, clock: ManualClock) -> None:
    """Close enough bars for the guardrails that look back; each instrument moves a little, and by itself."""
    draw = random.Random(1)
    for _ in range(40):
        opened_ms = clock.now_ms()
        clock.advance_ms(MINUTE_MS)
        prices = [(one.key, Decimal(100) + Decimal(draw.randint(-5, 5)) / 100) for one in _listed()]
        candles = tuple(
            Candle(key, opened_ms, MINUTE_MS, price, price, price, price, Decimal(1000), SOURCE)
            for key, price in prices
        )
        await parts.core.on_event(Instant(clock.now_ms(), candles, True))


async def _quotes(parts: Parts, clock: ManualClock) -> None:
    for one in _listed():
        clock.advance_ms(1)
        now_ms = clock.now_ms()
        await parts.core.on_event(
            Quote(
                instrument=one.key, ts_ms=now_ms, received_ms=now_ms, source=SOURCE, bid=Decimal("99.99"),
                ask=Decimal("100.01"),
            )
        )  # fmt: skip


async def _buy(handlers: Handlers, key: str) -> None:
    order = api.Ticket(
        instrument=key, side=api.Side.BUY, order_type=api.OrderType.MARKET, qty=Decimal(10), stop_frac=Decimal("0.05"),
        target_frac=Decimal("0.1"),
    )  # fmt: skip
    shown = (await handlers.handle(api.PreviewTicket(ticket=order))).data
    reply = await handlers.handle(api.SubmitTicket(ticket=order, preview_id=shown.preview_id))
    if not reply.ok:
        raise RuntimeError(f"{key} could not be bought: {reply.text}")


async def _reads_nothing(name: str, args: dict[str, str]) -> object:
    raise RuntimeError(f"nothing here reads {name} {args}")
