"""`quarterdeck db` on a store by itself, and beside the engine that owns it."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from engine.runtime import ConsoleOptions, console_host
from tests.flow.cli_kit import answered, cli

START_MS = 1_667_865_600_000


@pytest.fixture
def home(tmp_path: Path) -> Path:
    rows = "\n".join(f"{START_MS + bar * 300_000},20000,20010,19990,20000,5" for bar in range(300))
    (tmp_path / "BTCUSDT_5m.csv").write_text(f"date,open,high,low,close,volume\n{rows}\n", encoding="utf-8")
    (tmp_path / "config").mkdir()
    return tmp_path


def test_a_store_is_described_backed_up_restored_and_halted(home: Path) -> None:
    answered(home, "replay", home / "BTCUSDT_5m.csv", "--store", home / "store")
    info = answered(home, "db", "info")
    assert (info["schema"], info["last_backup"], info["owner_pid"]) == (info["schema_known"], None, None)
    assert info["rows"] == info["anchor_row"] > 200
    made = answered(home, "db", "backup")
    name = Path(made["backup"]).name
    assert (made["verified"], made["rows"]) == (True, info["rows"])
    assert answered(home, "db", "info")["backups"] == [name]
    assert "verified" in cli(home, "db", "info").stdout
    assert answered(home, "db", "migrate")["schema"] == info["schema"]

    (home / "store" / "store.db").unlink()
    lost = cli(home, "halt")
    assert lost.returncode in (1, 2)
    restored = answered(home, "db", "restore", name)
    assert restored["trading_state"] == "HALTED"
    status = answered(home, "status")
    assert status["state"] == "HALTED"
    (incident,) = status["newest_incidents"]
    assert (status["incidents"], incident["code"]) == (1, "RESTORED")
    assert "`quarterdeck differences`; then `quarterdeck resume" in incident["what_to_do"]
    assert f"RESTORED: restored from {name}" in cli(home, "status").stdout
    assert answered(home, "verify")["ok"] is True
    missing = cli(home, "db", "restore", "nothing")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert name in missing.stderr


@pytest.mark.fault("P18")
def test_the_engine_that_owns_a_store_makes_its_backups_and_no_one_restores_under_it(home: Path) -> None:
    options = ConsoleOptions(
        store=home / "store", config_dir=home / "config", feed=str(home / "BTCUSDT_5m.csv"),
        flags={"asset_pair": ("BTCUSD",)},
    )  # fmt: skip
    host = console_host(options)
    thread = threading.Thread(target=lambda: asyncio.run(host.run()))
    thread.start()
    try:
        assert host.ready.wait(30)
        assert host.error is None
        made = answered(home, "db", "backup", "--to", home / "elsewhere")
        assert Path(made["backup"]).parent == home / "elsewhere"
        assert answered(home, "db", "info")["owner_pid"] == os.getpid()
        for refused in (cli(home, "db", "restore", made["backup"]), cli(home, "db", "migrate")):
            assert (refused.returncode, f"pid {os.getpid()}" in refused.stderr) == (3, True)
    finally:
        host.request_stop()
        thread.join(30)
    assert answered(home, "db", "restore", made["backup"])["rows"] == made["rows"]
    assert answered(home, "verify")["ok"] is True
