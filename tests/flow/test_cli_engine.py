"""The CLI beside an engine that owns the store: over its socket, and in one sentence when that does not answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.paths import StorePaths
from engine.runtime import ConsoleOptions, EngineHost, console_host
from engine.store.lock import take_lock
from tests.flow.cli_kit import answered, cli

START_MS = 1_667_865_600_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("e")


@pytest.fixture(scope="module")
def engine(home: Path) -> Iterator[EngineHost]:
    """An engine on a slow recording, in a thread of its own, as the console runs it."""
    rows = "\n".join(f"{START_MS + bar * 300_000},20000,20010,19990,20000,5" for bar in range(50))
    recording = home / "BTCUSDT_5m.csv"
    recording.write_text(f"date,open,high,low,close,volume\n{rows}\n", encoding="utf-8")
    (home / "config").mkdir()
    flags = {"asset_pair": ("BTCUSD",)}
    options = ConsoleOptions(
        store=home / "store", config_dir=home / "config", feed=str(recording), flags=flags, speed=1.0
    )
    host = console_host(options)
    thread = threading.Thread(target=lambda: asyncio.run(host.run()))
    thread.start()
    assert host.ready.wait(30)
    assert host.error is None
    yield host
    host.request_stop()
    thread.join(30)
    assert not thread.is_alive()


def test_commands_reach_the_engine_that_owns_the_store(home: Path, engine: EngineHost) -> None:
    assert answered(home, "status")["state"] == "ACTIVE"
    assert answered(home, "halt", "--reason", "from a shell")["data"]["trading_state"] == "HALTED"
    status = answered(home, "status")
    assert (status["state"], status["state_reason"]) == ("HALTED", "from a shell")
    assert answered(home, "resume", "--reason", "tried")["ok"] is True
    assert answered(home, "fills") == []


def test_agents_are_listed_shown_and_paused(home: Path, engine: EngineHost) -> None:
    assert [row["name"] for row in answered(home, "agents", "list")] == ["sma-cross"]
    assert answered(home, "agents", "pause", "sma-cross", "--reason", "lunch")["ok"] is True
    assert answered(home, "agents", "show", "sma-cross")["status"] == "PAUSED"
    assert answered(home, "agents", "resume", "sma-cross")["ok"] is True
    assert "RUNNING" in cli(home, "agents", "list").stdout
    unknown = cli(home, "agents", "pause", "nobody")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (1, 1)
    assert cli(home, "agents", "show", "nobody").stderr == (
        "There is no agent 'nobody' in this store; there are: sma-cross.\n"
    )


def test_cancel_and_flatten_answer(home: Path, engine: EngineHost) -> None:
    assert answered(home, "cancel-all")["data"]["asked"] == 0
    assert answered(home, "flatten")["ok"] is True
    assert answered(home, "status")["state"] == "HALTED"


def test_word_on_an_order_that_is_not_in_doubt_is_refused_in_a_sentence(home: Path, engine: EngineHost) -> None:
    refused = cli(home, "resolve", "0123", "--assume", "canceled", "--reason", "seen")
    assert (refused.returncode, refused.stderr) == (
        1,
        "Nothing assumed: 0123 names no order in doubt; in doubt: none.\n",
    )
    filled = cli(home, "resolve", "0123", "--assume", "filled")
    assert (filled.returncode, "'not-sent', 'canceled'" in filled.stderr) == (2, True)
    held = cli(home, "unblock", "paper:BTC/USDT", "--reason", "seen")
    assert (held.returncode, held.stderr) == (1, "paper:BTC/USDT is not held up; those that are: none.\n")


@pytest.mark.fault("P18")
def test_a_lock_without_an_engine_that_answers_is_exit_3(home: Path, tmp_path: Path, engine: EngineHost) -> None:
    done = cli(home, "replay", home / "BTCUSDT_5m.csv", "--store", tmp_path / "s", "--json")
    assert done.returncode == 0, done.stderr
    lock = take_lock(StorePaths(tmp_path / "s"))
    try:
        refused = cli(home, "cancel-all", "--store", tmp_path / "s")
    finally:
        lock.release()
    assert refused.returncode == 3
    assert refused.stderr.count("\n") == 1
    assert "Nothing was canceled or closed" in refused.stderr
    assert StorePaths(tmp_path / "s").halt_latch.exists()


@pytest.mark.fault("U10")
def test_halt_without_an_answer_leaves_the_halt_file_and_says_so(
    home: Path, tmp_path: Path, engine: EngineHost
) -> None:
    assert cli(home, "replay", home / "BTCUSDT_5m.csv", "--store", tmp_path / "s").returncode == 0
    paths = StorePaths(tmp_path / "s")
    lock = take_lock(paths)
    try:
        done = cli(home, "halt", "--store", paths.root, "--reason", "smoke")
    finally:
        lock.release()
    assert (done.returncode, done.stderr) == (0, "")
    assert f"no answer within 2 s. So the file {paths.halt_latch} was written" in done.stdout
    assert (paths.halt_latch.read_text(), paths.halt_latch.stat().st_mode & 0o777) == ("trader: smoke\n", 0o600)


def test_start_that_is_refused_lets_go_of_the_store(
    home: Path, engine: EngineHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ConsoleOptions(
        store=tmp_path / "store", config_dir=home / "config", feed=str(home / "BTCUSDT_5m.csv"),
        flags={"asset_pair": ("BTCUSD",)},
    )  # fmt: skip
    monkeypatch.setenv("QUARTERDECK_LIMITS_DAILY_LOSS", "0.1%")
    host = console_host(options)
    asyncio.run(host.run())
    assert "QUARTERDECK_LIMITS_DAILY_LOSS" in (host.error or "")
    take_lock(StorePaths(tmp_path / "store")).release()
