"""Any terminal size, at any moment; the console's way out; the first paint's imports."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from console.app import QuarterdeckApp
from engine.api import OrderStatus, TradingState
from screens.flatten import FlattenScreen
from screens.overview import OverviewScreen
from tests.ui.fakes import FakeClient, back, change, console, line, order, policy, screen_text, snapshot, started, until

ROOT = Path(__file__).parents[2]
SIZES = [(1, 1), (20, 5), (80, 24), (200, 60), (2, 40), (200, 2), (39, 30), (120, 40), (0, 0), (80, 24)]
WAYS = [(), ("a",), ("t",), ("r",), ("question_mark",), ("enter",), ("f10",), ("ctrl+p",), ("g",)]


@pytest.mark.fault("U01")
@pytest.mark.parametrize("first", range(0, len(WAYS), 3))
async def test_no_size_breaks_a_screen(first: int) -> None:
    shown = snapshot(policy=policy(change()))
    app, _host = console(FakeClient(shown, lines=[line(seq) for seq in range(1, 60)]))
    async with app.run_test(size=(120, 40)) as pilot:
        await started(pilot)
        for way in WAYS[first : first + 3]:
            await back(pilot, size=(120, 40))
            for size in SIZES:
                await pilot.press(*way)
                await pilot.resize_terminal(*size)
                await app._pull()
            await pilot.press("escape")
            assert "PAPER" in screen_text(app), way


@pytest.mark.fault("U01")
async def test_a_card_that_decides_closes_in_a_tiny_window() -> None:
    app, _host = console(FakeClient())
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        for key in ("a", "t", "f10"):
            await pilot.press(key)
            await pilot.pause()
            assert len(app.screen_stack) == 2
            await pilot.resize_terminal(39, 24)
            await pilot.pause(0.05)
            assert isinstance(app.screen, OverviewScreen)
            await pilot.resize_terminal(80, 24)
            await pilot.pause(0.05)
        await pilot.press("f10")
        await pilot.pause()
        assert isinstance(app.screen, FlattenScreen)


async def test_what_is_typed_is_seen_in_the_smallest_window_a_card_stays_open_in() -> None:
    app, _host = console(FakeClient(snapshot(state=TradingState.HALTED)))
    async with app.run_test(size=(40, 10)) as pilot:
        await started(pilot)
        for open_card, label in ((app.action_resume, "Reason"), (app.action_ai, "Reason"), (_resolve(app), "Word")):
            open_card()
            await pilot.pause(0.05)
            assert label in screen_text(app)
            await pilot.press("escape")
            await pilot.pause()


def _resolve(app: QuarterdeckApp) -> Callable[[], None]:
    return lambda: app.action_resolve(order(status=OrderStatus.UNKNOWN))


@pytest.mark.parametrize("key", ["q", "ctrl+q", "ctrl+c"])
async def test_leaving_stops_the_engine_and_waits_for_it(key: str) -> None:
    client = FakeClient()
    app, host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await pilot.press(key)
        await until(pilot, host.finished.is_set)
    assert app.return_code == 0
    assert client.sent == []


async def test_the_engine_runs_in_a_thread_of_its_own() -> None:
    app, host = console(FakeClient())
    async with app.run_test() as pilot:
        await started(pilot)
        assert host.thread is not None
        assert host.thread.ident != app._thread_id


async def test_q_in_a_field_is_a_letter() -> None:
    app, _host = console(FakeClient())
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await pilot.press("slash", "q")
        await pilot.pause()
        assert not app.model.leaving


def in_a_terminal(number: int, code: str) -> tuple[int, bytes]:
    """Run code in a pty, send it a signal once it has drawn the overview, and return its exit code and all output."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.environ.update(TERM="xterm-256color", COLUMNS="80", LINES="24", PYTHONPATH=str(ROOT))
        os.execv(sys.executable, [sys.executable, "-c", code])
    seen, signalled, until_s = b"", False, time.monotonic() + 20
    while time.monotonic() < until_s:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                seen += os.read(fd, 65_536)
            except OSError:
                break
        if not signalled and b"Decisions" in seen and b"100,012" in seen:
            signalled = True
            os.kill(pid, number)
    _pid, status = os.waitpid(pid, 0)
    os.close(fd)
    return os.waitstatus_to_exitcode(status), seen


@pytest.mark.fault("P13", "P14", "P15")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_leaves_with_the_terminal_restored(number: signal.Signals) -> None:
    code = (
        "from tests.ui.fakes import *; a, h = console(FakeClient()); a.run(); raise SystemExit(not h.finished.is_set())"
    )
    status, seen = in_a_terminal(number, code)
    assert status == 0
    assert b"\x1b[?1049l" in seen
    assert b"\x1b[?25h" in seen


def test_the_console_loads_nothing_heavy_before_its_first_paint() -> None:
    code = "import console.app, json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    heavy = {
        "ccxt",
        "anthropic",
        "openai",
        "talib",
        "numpy",
        "keyring",
        "sqlite_utils",
        "pydantic",
        "aiohttp",
        "tomllib",
    }
    assert set(json.loads(done.stdout)) & (heavy | {"textual_plotext", "plotext"}) == set()


def test_over_ssh_textual_is_told_to_be_quiet() -> None:
    code = "import console.app, textual.constants as c; print(c.MAX_FPS, c.TEXTUAL_ANIMATIONS, c.SMOOTH_SCROLL)"
    env = {**os.environ, "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30, env=env
    )
    assert done.stdout.split() == ["12", "none", "False"]
