"""Signals: whichever asks the process to end, the console leaves as if q had been pressed (P13, P14, P15)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT") if hasattr(signal, name))
LAST_RESORT_S = 20.0


@contextlib.contextmanager
def leaving_on_signals(stop_engine: Callable[[], None], leave: Callable[[], None]) -> Iterator[None]:
    """While inside, a signal stops the engine at once and asks the running loop to leave.

    stop_engine must be callable from any thread: a terminal that reads no more blocks the loop, and the engine
    must be told all the same. Should the loop never run again, the process ends by itself after 20 s.
    """
    loop = asyncio.get_running_loop()
    done = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop_engine()
        loop.call_soon_threadsafe(leave)
        threading.Thread(target=_last_resort, args=(done,), daemon=True).start()

    kept = [(number, signal.signal(number, on_signal)) for number in SIGNALS]
    try:
        yield
    finally:
        done.set()
        for number, handler in kept:
            signal.signal(number, handler)


def _last_resort(done: threading.Event) -> None:
    if not done.wait(LAST_RESORT_S):
        os._exit(1)
