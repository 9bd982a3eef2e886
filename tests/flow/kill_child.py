"""Paper engines without a screen that kill themselves where they are told to: `python -m tests.flow.kill_child`.

Each life is a process of its own, forked from this one, which has imported everything already. A line of JSON on stdin
{"run": {...}} starts one and is answered by its pid, {"wait": pid, "within_s": n} by its exit code, negative for a
signal, or null when it still runs. What a life is told (all texts, read here and nowhere in the program):
store, config, recording, out  its files; out takes what it prints.
at      POINT@N: SIGKILL at the N-th time this life reaches the point; *@N: at the N-th point of any kind.
do      COMMAND@N,...: halt, cancel-all or flatten, carried out after this life's N-th bar.
bars    stop after so many bars; 0: recover, and stop before the first one.
creates a file that gets a line for each create as it leaves; written at once, so it outlives the kill.
speed   times real time; 0 never waits.
fsize   no file may grow beyond so many bytes.
A life that ends by itself prints how often each point was reached, as JSON. The exit codes are the command line's.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import inspect
import json
import os
import resource
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

from engine.api import CancelAll, Command, Flatten, Halt, TradingState
from engine.control.core import Core
from engine.control.engine import Engine
from engine.control.stream import Stream
from engine.domain.events import (
    Checkpoint,
    CycleHeld,
    EngineStarted,
    Event,
    Filled,
    Genesis,
    OrderIntended,
    OrdersUpdated,
    StateChanged,
)
from engine.domain.order import OrderStatus
from engine.errors import QuarterdeckError
from engine.execution import reconcile
from engine.execution.paper import PaperGateway
from engine.execution.paper_store import PaperStore
from engine.execution.reconcile import Reconciler
from engine.runtime.consoles import build_console
from engine.runtime.hosts import ConsoleOptions, EngineHost
from engine.store import database, journal
from engine.store.anchor import Anchor
from engine.store.journal import Journal
from tests.flow.pty_kit import Desk, waves

COMMANDS: dict[str, Command] = {
    "halt": Halt(actor="test", reason="the test said so"),
    "cancel-all": CancelAll(include_protection=True),
    "flatten": Flatten(actor="test"),
}
KINDS: dict[type[Event], str] = {
    Genesis: "genesis", Checkpoint: "checkpoint", Filled: "fill", OrderIntended: "intent", EngineStarted: "start",
    CycleHeld: "hold",
}  # fmt: skip
STATES = {OrderStatus.OPEN: "ack", OrderStatus.CANCEL_PENDING: "asking", OrderStatus.CANCELED: "canceled"}


class Points:
    """Counts the points that are reached, and dies at one of them."""

    def __init__(self, kill_at: str) -> None:
        self._name, _, number = kill_at.partition("@")
        self._number = int(number or 0)
        self._counts: Counter[str] = Counter()
        self._within: list[str] = []

    def reach(self, name: str) -> None:
        """Die here if this is the point; else count it."""
        self._counts[name] += 1
        self._counts["*"] += 1
        if self._counts[self._name] == self._number and self._name in (name, "*"):
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """Name what is going on; the points of its statements have that name too."""
        self._within.append(name)
        self.reach(f"{name} before")
        yield
        self.reach(f"{name} after")
        self._within.pop()

    def statement(self, sql: str) -> None:
        """Reach the point before an SQL statement that changes something; the last word names the table."""
        words = sql.split(None, 3)
        if words[0] in ("BEGIN", "COMMIT"):
            self.reach(f"{self.doing} {words[0].lower()}")
        elif words[0] in ("INSERT", "REPLACE") and words[1] == "INTO":
            self.reach(f"{self.doing} {words[2]}")

    @property
    def doing(self) -> str:
        """Say what is going on; the market, when nothing of the above is."""
        return self._within[-1] if self._within else "market"

    def said(self) -> str:
        """Return the counts as JSON."""
        return json.dumps(self._counts)


def around(points: Points, owner: Any, method: str, name_of: Callable[..., str]) -> None:
    """Put a point before and after each call of a function."""
    original = getattr(owner, method)

    @functools.wraps(original)
    def call(*args: Any, **kwargs: Any) -> Any:
        with points.within(name_of(*args)):
            return original(*args, **kwargs)

    @functools.wraps(original)
    async def call_async(*args: Any, **kwargs: Any) -> Any:
        with points.within(name_of(*args)):
            return await original(*args, **kwargs)

    setattr(owner, method, call_async if inspect.iscoroutinefunction(original) else call)


def lay(points: Points) -> None:
    """Lay the points along everything that writes."""
    for owner, method, name in (
        (journal, "take_lock", "lock"), (database, "open_private", "file"), (database, "create_tables", "tables"),
        (Journal, "close", "close"), (PaperGateway, "create", "create"), (PaperGateway, "cancel", "cancel"),
        (PaperGateway, "deposit", "deposit"), (Reconciler, "at_start", "reconcile"), (reconcile, "take_sizes", "sizes"),
        (reconcile, "settle_orders", "settle"), (Reconciler, "_take_fills", "taking"),
        (Reconciler, "_compare", "compare"), (Core, "take_up", "take up"),
    ):  # fmt: skip
        around(points, owner, method, lambda *_args, name=name: name)
    around(points, Journal, "_commit_now", lambda _journal, _ts_ms, events: kind_of(points, events))
    around(points, Anchor, "write", lambda *_args: f"{points.doing} anchor")
    around(points, PaperStore, "save", lambda _store, state: f"{points.doing} venue{' fill' * bool(state.fills)}")
    around(points, Stream, "publish", lambda _stream, rows: f"{kind_of(points, [r.event for r in rows])} publish")
    trace_statements(points)


def kind_of(points: Points, events: Any) -> str:
    """Name a record by what in it matters most, and by the reconcile it belongs to."""
    found = {KINDS[type(event)] for event in events if type(event) in KINDS}
    for event in events:
        if isinstance(event, OrdersUpdated) and event.status in STATES:
            found.add(STATES[event.status])
        if isinstance(event, StateChanged) and event.state is TradingState.HALTED:
            found.add("halt")
    kind = next((k for k in ("genesis", "halt", *KINDS.values(), *STATES.values()) if k in found), "row")
    return f"late {kind}" if points.doing in ("taking", "settle", "compare") else kind


def trace_statements(points: Points) -> None:
    """Reach a point before each statement of the two databases."""
    connect, open_paper = database.connect_writer, PaperStore.__init__

    def connected(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.set_trace_callback(points.statement)
        return connection

    def opened(store: PaperStore, path: Path) -> None:
        points.reach("paper before")
        open_paper(store, path)
        store._db.set_trace_callback(points.statement)
        points.reach("paper after")

    database.connect_writer = connected
    setattr(PaperStore, "__init__", opened)  # noqa: B010 - the type checker wants the very names of the parameters


def log_creates(file: str) -> None:
    """Write a line for each create before it reaches the venue."""
    fd, create = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT), PaperGateway.create

    async def logged(gateway: PaperGateway, request: Any) -> Any:
        os.write(fd, f"{request.client_order_id}\n".encode())
        return await create(gateway, request)

    setattr(PaperGateway, "create", logged)  # noqa: B010 - as above


def starve() -> None:
    """Leave this process no file descriptor to open; those that are open stay."""
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with contextlib.suppress(OSError):
        while True:
            os.dup(0)


def obey(engine: Engine, do: str, bars: int | None) -> None:
    """Carry commands out after their bars, and stop after the last."""
    due = {int(bar): name for name, _, bar in (each.partition("@") for each in do.split(",") if each)}
    core, on_instant, played = engine.core, engine.core.on_instant, 0

    async def counted(instant: Any) -> None:
        nonlocal played
        await on_instant(instant)
        if instant.warm:  # what a former life has traded already
            return
        played += 1
        if due.get(played) == "starve":
            starve()
        elif played in due:
            await engine.handlers.handle(COMMANDS[due[played]])
        if played == bars:
            engine._stop.set()  # at once: the loop has no turn for a request before the next bar

    core.on_instant = counted  # type: ignore[method-assign]


async def live(options: ConsoleOptions, do: str, bars: int | None) -> int:
    """Run one life to its end and return the exit code."""

    async def build(stack: AsyncExitStack) -> Engine:
        engine = await build_console(stack, options)
        obey(engine, do, bars)
        return engine

    if bars == 0:
        async with AsyncExitStack() as stack:
            await build(stack)
        return 0
    host = EngineHost(build)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, host.request_stop)
    await host.run()
    if host.error:
        sys.stderr.write(host.error + "\n")
    return host.failure.exit_code if host.failure else int(host.error is not None)


def one_life(told: dict[str, str]) -> int:
    """Live as told and return the exit code."""
    if "fsize" in told:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(told["fsize"]), resource.RLIM_INFINITY))
    points = Points(told.get("at", ""))
    log_creates(told["creates"])
    lay(points)
    options = ConsoleOptions(
        store=Path(told["store"]), config_dir=Path(told["config"]), feed=told["recording"],
        speed=float(told.get("speed", "0")),
    )  # fmt: skip
    bars = int(told["bars"]) if "bars" in told else None
    code = asyncio.run(live(options, told.get("do", ""), bars))
    sys.stdout.write(points.said() + "\n")
    return code


def begin(told: dict[str, str]) -> int:
    """Fork a life; return its pid."""
    pid = os.fork()
    if pid:
        return pid
    out = os.open(told["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(out, number)
    code = 70
    try:
        code = one_life(told)
    except SystemExit:
        raise
    except QuarterdeckError as error:
        sys.stderr.write(f"{error}\n")
        code = error.exit_code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def ended(pid: int, within_s: float) -> int | None:
    """Wait for a life's end; return its exit code, None when it still runs."""
    until = time.monotonic() + within_s
    while not (found := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() > until:
            return None
        time.sleep(0.002)
    return os.waitstatus_to_exitcode(found[1])


def warm_up() -> None:
    """Live two lives here, so that what a process imports and works out once is there in each that is forked."""
    importlib.import_module("aiohttp.web")
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        desk = Desk(Path(folder), waves(120), "quick", "second")
        options = ConsoleOptions(store=desk.store, config_dir=desk.config, feed=str(desk.recording), speed=0)
        for bars in (60, 0):
            assert asyncio.run(live(options, "", bars)) == 0
    gc.collect()
    gc.freeze()  # or each life looks through all of it at each collection


def main() -> None:
    """Start lives and tell of their ends until stdin closes; what lives then is killed."""
    warm_up()
    alive: set[int] = set()
    for line in sys.stdin:
        asked = json.loads(line)
        if "run" in asked:
            answer: int | None = begin(asked["run"])
            alive.add(answer)
        else:
            answer = ended(asked["wait"], asked["within_s"])
            if answer is not None:
                alive.discard(asked["wait"])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in alive:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
