"""Signals: whichever asks the process to end, the console leaves as if q had been pressed (P13, P14, P15)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Protocol

SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT") if hasattr(signal, name))
ENGINE_ENDS_S = 18.0
SCREEN_ENDS_S = 2.0


class Suspendable(Protocol):
    """The part of a Textual driver that gives the terminal back and takes it again."""

    def suspend_application_mode(self) -> None:
        """Give the terminal back."""
        ...

    def resume_application_mode(self) -> None:
        """Take it again."""
        ...


@contextlib.contextmanager
def leaving_on_signals(
    stop_engine: Callable[[], None], leave: Callable[[], None], engine_ended: threading.Event
) -> Iterator[None]:
    """While inside, a signal stops the engine at once and asks the running loop to leave.

    stop_engine must be callable from any thread: a terminal that reads no more blocks the loop, and the engine
    must be told all the same. Should the loop never run again, the process ends soon after the engine has.
    """
    loop = asyncio.get_running_loop()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop_engine()
        loop.call_soon_threadsafe(leave)
        threading.Thread(target=_last_resort, args=(engine_ended,), daemon=True).start()

    kept = [(number, signal.signal(number, on_signal)) for number in SIGNALS]
    try:
        yield
    finally:
        for number, handler in kept:
            signal.signal(number, handler)


@contextlib.contextmanager
def continuing(driver: Suspendable, is_leaving: Callable[[], bool]) -> Iterator[None]:
    """While inside, SIGCONT finds the terminal as the program left it, and starts nothing twice.

    Textual takes the terminal on every SIGCONT, also after a SIGSTOP that never gave it back: it would then read keys
    in two threads, and restore its own settings in place of the shell's. A hang-up sends SIGCONT as well.
    """
    textual = signal.getsignal(signal.SIGCONT)

    def on_continue(number: int, frame: FrameType | None) -> None:
        if is_leaving() or not callable(textual):
            return
        if not getattr(driver, "_must_signal_resume", False):
            driver.suspend_application_mode()
        textual(number, frame)

    signal.signal(signal.SIGCONT, on_continue)
    try:
        yield
    finally:
        signal.signal(signal.SIGCONT, textual)


def end_within(seconds: float, code: int) -> None:
    """Let the process end by then: what is left to do is for a screen that may be gone, and may wait for ever."""
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()


def _last_resort(engine_ended: threading.Event) -> None:
    """The screen may hold its own end up for ever; the engine's is waited for, and decides on the exit code."""
    clean = engine_ended.wait(ENGINE_ENDS_S)
    end_within(SCREEN_ENDS_S, 0 if clean else 1)
