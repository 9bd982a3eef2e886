"""How fast a halt is while a recording is replayed at full speed through the trader's own engine, store and console."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.api import EngineClient, Halt, Resume, Snapshot, StreamLine, TradingState
from engine.runtime import ConsoleOptions, EngineHost, connect, console_host
from tests.bench.candles import ROOT
from tests.bench.report import Row, percentile, spread
from tests.bench.settings import BTC, write_config
from tests.bench.starts import environment
from tests.bench.terminal import Watched

AREA = "Halt beside a replay at full speed"
LIMIT_MS = 100.0
F8 = b"\x1b[19~"
PATIENCE_S = 20.0
RESUME = Resume(reason="the benchmark halts again", actor="bench")


def measure_halting(folder: Path, file: Path, tries: int) -> Iterator[Row]:
    """Halt through the client and resume, so many times; then with F8 in a terminal, a fifth as often."""
    home = folder / "halting"
    write_config(home, BTC, protected=True)
    yield from _through_client(home, file, tries)
    yield from _on_screen(home, file, max(5, tries // 5))


# ------------------------------------------------------------------------------------------------ through the client


def _through_client(home: Path, file: Path, tries: int) -> Iterator[Row]:
    options = ConsoleOptions(store=home / "store", config_dir=home, feed=str(file), speed=0)
    host = console_host(options)
    thread = threading.Thread(target=lambda: asyncio.run(host.run()))
    thread.start()
    try:
        yield from asyncio.run(_halts(_client_of(host), tries))
    finally:
        host.request_stop()
        thread.join(PATIENCE_S)


def _client_of(host: EngineHost) -> EngineClient:
    host.ready.wait(PATIENCE_S)
    if host.client is None:
        raise RuntimeError(f"the engine did not start: {host.error}")
    return host.client


async def _halts(client: EngineClient, tries: int) -> list[Row]:
    draw, latched, durable, shown, lines = random.Random(1), [], [], [], []
    began, first = time.perf_counter(), await client.snapshot()
    for _ in range(tries):
        await asyncio.sleep(draw.uniform(0.02, 0.12))
        pressed = time.perf_counter()
        client.halt_now()
        latched.append(_ms_since(pressed))
        waiting = asyncio.create_task(client.send(Halt(actor="bench")))
        waiting.add_done_callback(lambda _done, pressed=pressed: durable.append(_ms_since(pressed)))
        await _until(client, TradingState.HALTED)
        shown.append(_ms_since(pressed))
        await waiting
        lines += (await client.events(lines[-1].seq if lines else 0)).lines
        await client.send(RESUME)
        await _until(client, TradingState.ACTIVE)
    last = await client.snapshot()
    if last.finished:
        raise RuntimeError("the recording ended before the last try; give it more bars")
    pace = _pace(first, last, time.perf_counter() - began)
    return [
        *_rows("halt_now() to the latch that every send reads", latched, pace),
        *_rows("halt_now() to HALTED in a snapshot", shown, ""),
        *_rows("halt_now() to the halt's row on disk, and answered", durable, ""),
        Row(area=AREA, what="orders journaled between HALTED and ACTIVE", value=_orders_while_halted(lines), unit="",
            at_most=0, note=f"{sum(line.kind == 'order' for line in lines)} orders in all"),
    ]  # fmt: skip


async def _until(client: EngineClient, state: TradingState) -> None:
    deadline = time.perf_counter() + PATIENCE_S
    while (await client.snapshot()).state is not state:
        if time.perf_counter() > deadline:
            raise RuntimeError(f"the engine was not {state} within {PATIENCE_S:g} s")
        await asyncio.sleep(0.0005)


def _orders_while_halted(lines: Sequence[StreamLine]) -> int:
    halted, count = False, 0
    for line in lines:
        if line.kind == "state":
            halted = line.outcome == TradingState.HALTED
        count += halted and line.kind == "order" and line.outcome in ("ENTRY", "EXIT")
    return count


def _pace(first: Snapshot, last: Snapshot, seconds: float) -> str:
    bars = (last.now_ms - first.now_ms) / 60_000
    return f"the engine took {bars / seconds:,.0f} bars/s meanwhile, each row committed by itself"


def _rows(what: str, times_ms: Sequence[float], note: str) -> Iterator[Row]:
    yield Row(area=AREA, what=f"{what}, p50", value=percentile(times_ms, 0.5), unit="ms", note=note)
    yield Row(
        area=AREA, what=f"{what}, p99", value=percentile(times_ms, 0.99), unit="ms", at_most=LIMIT_MS,
        note=spread(times_ms, "ms"),
    )  # fmt: skip


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


# ------------------------------------------------------------------------------------------------- with the real key


def _on_screen(home: Path, file: Path, tries: int) -> Iterator[Row]:
    store = home / "screen-store"
    command = [sys.executable, "-m", "console.cli", "--store", str(store), "--config", str(home)]
    terminal = Watched([*command, "--feed", str(file), "--speed", "0"], environment(home), ROOT)
    draw, times_ms = random.Random(2), []
    try:
        terminal.until("ACTIVE", PATIENCE_S)
        for _ in range(tries):
            terminal.read_for(draw.uniform(0.3, 0.6))
            pressed = time.perf_counter()
            terminal.send(F8)
            times_ms.append((terminal.until("HALTED", PATIENCE_S) - pressed) * 1000)
            with connect(store) as link:
                link.send(RESUME)
            terminal.until("ACTIVE", PATIENCE_S)
    finally:
        terminal.close()
    yield from _rows("F8 to HALTED on the screen", times_ms, "in a pseudo-terminal, the key as a terminal sends it")
