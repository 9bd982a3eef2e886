"""Engines for the console: built and run inside a worker thread, after the first paint."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import QuarterdeckError, UsageError

if TYPE_CHECKING:
    from engine.api import EngineClient
    from engine.control.engine import Engine

    Builder = Callable[[AsyncExitStack], Awaitable[Engine]]

DEMO_SPEEDS = {"aapl": 240.0, "eurusd": 14_400.0}
DEMO_WARM_BARS = 120
LIVE_EXCHANGE = "binance"


class EngineHost:
    """One engine's life for a console: run() in the worker's loop; everything else from any thread.

    ready is set once client can be used, or error says in one sentence why there will be none; failure is that
    sentence as the exception whose exit code the process ends with, None when the trader asked for the end.
    """

    def __init__(self, build: Builder) -> None:
        self._build = build
        self._engine: Engine | None = None
        self._stopping = threading.Event()
        self.client: EngineClient | None = None
        self.error: str | None = None
        self.failure: QuarterdeckError | None = None
        self.ready = threading.Event()

    async def run(self) -> None:
        """Build the engine, serve until asked to stop, and close its store."""
        try:
            async with AsyncExitStack() as stack:
                self._engine = await self._build(stack)
                await self._engine.run(self._open_up)
        except QuarterdeckError as error:
            self.error, self.failure = str(error), error
        except Exception as error:
            self.error = f"The engine stopped on {type(error).__name__}: {error}"
            raise
        finally:
            self.ready.set()

    def request_stop(self) -> None:
        """Ask the engine to stop; safe before it has started."""
        self._stopping.set()
        if self._engine is not None:
            self._engine.request_stop()

    def _open_up(self) -> None:
        from engine.control.engine import InProcessClient  # with the engine, after the first paint

        assert self._engine is not None
        self.client = InProcessClient(self._engine)
        self.ready.set()
        if self._stopping.is_set():
            self._engine.request_stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleOptions:
    """What the console runs on. feed: "simulated", an exchange that ccxt knows, or a recording's path.

    flags: run-agent's, by name; None where agents come from the configuration. speed: of a recording, times real time.
    """

    store: Path
    config_dir: Path
    feed: str = LIVE_EXCHANGE
    agents: tuple[str, ...] = ()
    flags: Mapping[str, Any] | None = None
    speed: float = 1.0
    seed: int = 0


def demo_host(recording: str = "aapl", speed: float | None = None) -> EngineHost:
    """Return a host on a throwaway paper store, replaying a bundled recording."""
    if recording not in DEMO_SPEEDS:
        raise UsageError(f"No bundled recording {recording!r}; there are: {', '.join(DEMO_SPEEDS)}.")

    async def build(stack: AsyncExitStack) -> Engine:
        from engine.runtime.consoles import build_demo  # heavy: after the first paint

        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="quarterdeck-demo-"))
        return await build_demo(stack, Path(folder) / "store", recording, speed or DEMO_SPEEDS[recording])

    return EngineHost(build)


def console_host(options: ConsoleOptions) -> EngineHost:
    """Return a host on the trader's own store."""

    async def build(stack: AsyncExitStack) -> Engine:
        from engine.runtime.consoles import build_console  # heavy: after the first paint

        return await build_console(stack, options)

    return EngineHost(build)
