"""`quarterdeck drill`: rehearse halt and flatten under load, on a paper store that is thrown away; keep the times."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from engine.api import DrillView, EngineClient, Flatten, Halt, Resume, TradingState
from engine.clock import SystemClock, iso, wall_s
from engine.errors import StoreError
from engine.paths import StorePaths
from engine.runtime.hosts import ConsoleOptions, EngineHost, console_host
from engine.store.database import is_begun
from engine.store.drilled import save_drill

ACTOR = "drill"
PATIENCE_S = 60.0
OPEN_WITHIN_S = 20.0
POLL_MS = 1.0
WALL = SystemClock()


def drill(store: Path, agents: int = 20, halts: int = 10, seed: int = 1) -> dict[str, Any]:
    """Hold a drill, keep what it measured in the store's directory where there is a store, and return it.

    agents: as many as there are instruments, each trading one. halts: halted and resumed so often before the flatten.
    Raises StoreError when the rehearsal's own engine fails.
    """
    with tempfile.TemporaryDirectory(prefix="quarterdeck-drill-") as folder:
        home = Path(folder)
        write_drill_config(home, agents)
        options = ConsoleOptions(store=home / "store", config_dir=home, feed="simulated", speed=0, seed=seed)
        held = rehearse(console_host(options), agents, halts)
    kept = is_begun(StorePaths(store))
    if kept:
        save_drill(StorePaths(store), held)
    return {**asdict(held), "kept_in": str(StorePaths(store).drill) if kept else None}


def rehearse(host: EngineHost, agents: int, halts: int) -> DrillView:
    """Run a host's engine on a thread of its own, as the console does, and halt and flatten it."""
    thread = threading.Thread(target=lambda: asyncio.run(host.run()), name="quarterdeck-drill", daemon=True)
    thread.start()
    try:
        host.ready.wait(PATIENCE_S)
        if host.client is None:
            raise StoreError(f"The drill's engine did not start: {host.error}")
        return asyncio.run(_measure(host.client, agents, halts))
    finally:
        host.request_stop()
        thread.join(PATIENCE_S)


async def _measure(client: EngineClient, agents: int, halts: int) -> DrillView:
    await _positions(client, agents)
    keys_s = []
    for each in range(halts):
        began_s = wall_s()
        client.halt_now()
        await client.send(Halt(actor=ACTOR, reason="a drill"))
        keys_s.append(wall_s() - began_s)
        if each < halts - 1:
            await client.send(Resume(actor=ACTOR, reason="the drill goes on"))
            await _positions(client, agents)
    open_now = await _open_now(client)
    halted_s = wall_s()
    await client.send(Flatten(actor=ACTOR))
    flat = await _certified(client)
    flat_s = wall_s()
    return DrillView(
        at=iso(WALL.now_ms()), agents=agents, positions=open_now, halts=halts,
        key_to_halt_us=_us(median(keys_s)), key_to_halt_worst_us=_us(max(keys_s)),
        halt_to_flat_us=_us(flat_s - halted_s), flat=flat,
    )  # fmt: skip


async def _positions(client: EngineClient, wanted: int) -> None:
    """Wait until there is something to close: half of what may be open, or what there is after a while."""
    until_s = wall_s() + OPEN_WITHIN_S
    while wall_s() < until_s:
        snapshot = await client.snapshot()
        held = sum(bool(position.qty) for position in snapshot.positions)
        if snapshot.state is TradingState.ACTIVE and 2 * held >= wanted:
            return
        await WALL.sleep_ms(POLL_MS)


async def _open_now(client: EngineClient) -> int:
    """Count the positions of a snapshot that was built after the halt."""
    seen = (await client.snapshot()).built_mono_ms
    until_s = wall_s() + PATIENCE_S
    while wall_s() < until_s:
        snapshot = await client.snapshot()
        if snapshot.built_mono_ms > seen:
            return sum(bool(position.qty) for position in snapshot.positions)
        await WALL.sleep_ms(POLL_MS)
    raise StoreError(f"The drill's engine showed nothing new within {PATIENCE_S:g} s.")


async def _certified(client: EngineClient) -> bool:
    """Wait for the flatten's certificate, as the stream tells it; return whether it says flat."""
    since, until_s = 0, wall_s() + PATIENCE_S
    while wall_s() < until_s:
        batch = await client.events(since)
        for line in batch.lines:
            if line.kind == "flatten" and line.outcome in ("CERTIFIED FLAT", "NOT FLAT"):
                return line.outcome == "CERTIFIED FLAT"
            since = line.seq
        await WALL.sleep_ms(POLL_MS)
    raise StoreError(f"The drill's flatten had no certificate within {PATIENCE_S:g} s.")


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)


def write_drill_config(folder: Path, agents: int) -> None:
    """Write instruments, limits and agents made for a drill: many positions at once, and nothing that ends it early."""
    (folder / "agents").mkdir(parents=True, exist_ok=True)
    names = [f"D{number:02}" for number in range(agents)]
    (folder / "instruments.toml").write_text("".join(_INSTRUMENT.format(name=name) for name in names))
    (folder / "policy.toml").write_text(_POLICY.format(agents=agents))
    for name in names:
        text = _AGENT.format(name=name, agent=name.lower(), share=f"{100 / agents:.4f}%")
        (folder / "agents" / f"{name.lower()}.toml").write_text(text)


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
group = "drill"

"""
_POLICY = """cash = "10000000"

[kill_switch]
gain = "10000%"
loss = "99%"
drawdown = "99%"
daily_loss = "99%"
action = "halt"

[limits]
open_positions = {agents}
trades_per_day = 100000
gross_exposure = "1000%"
price_age = "1d"
price_collar = "100%"
decision_drift = "100%"
"""
_AGENT = """name = "{agent}"
model = "heuristic:sma_cross"
instruments = ["paper:{name}/USD"]
timeframe = "1m"
capital_share = "{share}"

[model_settings]
fast = 3
slow = 8
confidence = 1

[protection]
stop = "5%"
target = "10%"

[limits]
confidence_min = 0
trades_per_day = 100000
position_notional_max = "5000"
portfolio_share = "100%"
cooldown_after_loss = "0s"
"""
