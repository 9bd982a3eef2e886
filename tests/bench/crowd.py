"""Key to HALTED on the screen, in the console a trader uses, while 50 agents watch 200 instruments tick.

`python -m tests.bench.crowd FOLDER` writes the load's configuration into a folder and prints the command that opens the
console under it, for a probe that drives a terminal by itself: f8 halts; r, a reason letter by letter and enter resume.
The screen never comes to rest, so such a probe must not wait for that.
"""

from __future__ import annotations

import random
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.api import Resume
from engine.runtime import connect, query
from tests.bench.candles import ROOT
from tests.bench.report import Row, percentile, spread
from tests.bench.starts import environment
from tests.bench.terminal import Watched

AREA = "Console: 50 agents, 200 instruments, 2,000 ticks/s"
AGENTS, INSTRUMENTS, TICKS_A_SECOND = 50, 200, 2_000
MINUTE_MS = 60_000
QUOTES_A_BAR = 8
OFFERED = TICKS_A_SECOND * 1.05
"""What is measured begins and ends between two ticks: a little more comes than must be taken."""
SPEED = OFFERED / INSTRUMENTS / QUOTES_A_BAR * 60
"""Times real time: a simulated minute has eight quotes of each instrument. All agents then decide 1.3 times a second,
on four instruments each, where a market would let them once a minute."""
LIMIT_MS = 100.0
PATIENCE_S = 30.0
F8 = b"\x1b[19~"
RESUME = Resume(reason="the benchmark halts again", actor="bench")


def command(home: Path) -> list[str]:
    """Return the command that opens the console under the load; its store and configuration are in a folder."""
    program = [sys.executable, "-m", "console.cli", "--store", str(home / "store"), "--config", str(home)]
    return [*program, "--feed", "simulated", "--speed", f"{SPEED:g}"]


def measure_keys(home: Path, tries: int) -> Iterator[Row]:
    """Press F8 and resume from a second shell, so many times."""
    write_crowd(home)
    console = Watched(command(home), environment(home), ROOT)
    draw, times_ms = random.Random(3), []
    try:
        console.until("ACTIVE", PATIENCE_S)
        _warm(console, home / "store")
        first, began, heard = query(home / "store", "status", {}), time.perf_counter(), len(console.heard)
        for _ in range(tries):
            console.read_for(draw.uniform(0.3, 0.9))
            pressed = time.perf_counter()
            console.send(F8)
            times_ms.append((console.until("HALTED", PATIENCE_S) - pressed) * 1000)
            with connect(home / "store") as link:
                link.send(RESUME)
            console.until("ACTIVE", PATIENCE_S)
        last, took = query(home / "store", "status", {}), time.perf_counter() - began
    finally:
        console.close()
    yield from _rows(times_ms)
    yield _load(first, last, took, f"{(len(console.heard) - heard) / took / 1000:.0f} KB/s drawn")


def _warm(console: Watched, store: Path) -> None:
    """Wait until the bars that only warm up have gone by: the agents then begin to decide."""
    until = time.perf_counter() + PATIENCE_S
    while not query(store, "status", {})["counts"]["cycles"]:
        if time.perf_counter() > until:
            raise RuntimeError(f"no agent decided within {PATIENCE_S:g} s")
        console.read_for(0.5)


def _rows(times_ms: Sequence[float]) -> Iterator[Row]:
    what = "F8 to HALTED on the first line"
    yield Row(area=AREA, what=f"{what}, p50", value=percentile(times_ms, 0.5), unit="ms")
    yield Row(
        area=AREA, what=f"{what}, p95", value=percentile(times_ms, 0.95), unit="ms", at_most=LIMIT_MS,
        note=spread(times_ms, "ms"),
    )  # fmt: skip
    yield Row(area=AREA, what=f"{what}, p99", value=percentile(times_ms, 0.99), unit="ms")


def _load(first: dict[str, Any], last: dict[str, Any], seconds: float, note: str) -> Row:
    ticks = (last["now_ms"] - first["now_ms"]) / MINUTE_MS * INSTRUMENTS * QUOTES_A_BAR / seconds
    cycles = (last["counts"]["cycles"] - first["counts"]["cycles"]) / seconds
    return Row(
        area=AREA, what="prices taken meanwhile", value=ticks, unit="ticks/s", at_least=TICKS_A_SECOND,
        note=f"{cycles:,.0f} cycles/s, {note}",
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ the configuration


def write_crowd(home: Path) -> None:
    """Write instruments, limits and agents: nothing that ends the load early, and every agent acts now and then."""
    (home / "agents").mkdir(parents=True, exist_ok=True)
    names = [f"C{place:03}" for place in range(INSTRUMENTS)]
    (home / "instruments.toml").write_text("".join(_INSTRUMENT.format(name=name) for name in names))
    (home / "policy.toml").write_text(_POLICY.format(most=INSTRUMENTS))
    each = INSTRUMENTS // AGENTS
    for place in range(AGENTS):
        mine = ", ".join(f'"paper:{name}/USD"' for name in names[place * each : (place + 1) * each])
        name = f"agent-{place:02}"
        (home / "agents" / f"{name}.toml").write_text(_AGENT.format(name=name, mine=mine, share=f"{100 / AGENTS:g}%"))


_INSTRUMENT = """[instruments."paper:{name}/USD"]
aliases = ["{name}USD"]
base = "{name}"
quote = "USD"
price_tick = "0.01"
qty_step = "0.001"
min_notional = "5"
maker_fee = "0.1%"
taker_fee = "0.1%"
fee_asset = "quote"
calendar = "24/7"
group = "crowd"

"""
_POLICY = """cash = "10000000"

[kill_switch]
gain = "10000%"
loss = "99%"
drawdown = "99%"
daily_loss = "99%"
action = "halt"

[limits]
open_positions = {most}
trades_per_day = 100000
gross_exposure = "1000%"
price_age = "1d"
price_collar = "100%"
decision_drift = "100%"
"""
_AGENT = """name = "{name}"
model = "heuristic:sma_cross"
instruments = [{mine}]
timeframe = "1m"
capital_share = "{share}"

[model_settings]
fast = 20
slow = 50
confidence = 1

[protection]
stop = "5%"
target = "10%"

[limits]
confidence_min = 0
trades_per_day = 100000
position_notional_max = "50000"
portfolio_share = "100%"
cooldown_after_loss = "0s"
"""


if __name__ == "__main__":
    folder = Path(sys.argv[1]).absolute()
    write_crowd(folder)
    print(shlex.join(command(folder)))
