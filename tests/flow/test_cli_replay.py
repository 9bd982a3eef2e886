"""`quarterdeck replay` and what the CLI reads and does with the store it leaves."""

from __future__ import annotations

import csv
import io
import json
import math
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.flow.cli_kit import answered, cli, started

START_MS = 1_667_865_600_000  # 2022-11-08T00:00Z
BARS = 1_230  # ends on the way up, with a position open

RESULT_NAMES = {
    *("source", "instruments", "first_ts", "last_ts", "bars", "rows_skipped", "cycles", "decisions", "refusals"),
    *("intents", "orders", "fills", "fees", "realized_pnl", "unrealized_pnl", "equity_start", "equity_end"),
    *("max_drawdown_frac", "trading_state", "halts", "journal_rows", "journal_hash", "wall_s", "bars_per_s"),
    "rss_mb_max",
}


def recording(folder: Path, name: str = "BTCUSDT_5m.csv", bars: int = BARS, bad_row: str = "") -> Path:
    """Write a market that swings between 19,000 and 21,000, so that averages cross."""
    lines = ["date,open,high,low,close,volume"]
    before = Decimal(20_000)
    for bar in range(bars):
        close = Decimal(round(20_000 + 1_000 * math.sin(bar / 40), 2)).quantize(Decimal("0.01"))
        high, low = max(before, close) + 5, min(before, close) - 5
        lines.append(f"{START_MS + bar * 300_000},{before},{high},{low},{close},500")
        before = close
    lines += [bad_row] if bad_row else []
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("h")


@pytest.fixture(scope="module")
def store(home: Path) -> Path:
    return home / "kept"


@pytest.fixture(scope="module")
def result(home: Path, store: Path) -> dict[str, Any]:
    """The replay that the tests below look at; its store is kept."""
    return answered(home, "replay", recording(home), "--store", store, "--agent", "heuristic:sma_cross")


def test_the_json_object_has_the_promised_names(result: dict[str, Any]) -> None:
    assert result.keys() >= RESULT_NAMES
    assert set(result["decisions"]) == {"buy", "sell", "flat", "hold", "failed"}
    assert result["source"] == "REPLAY"
    assert result["instruments"] == ["paper:BTC/USDT"]
    assert result["bars"] == BARS
    assert result["first_ts"].startswith("2022-11-08T00:0")
    assert result["trading_state"] in ("ACTIVE", "HALTED")


def test_money_in_the_result_is_text(result: dict[str, Any]) -> None:
    for name in ("realized_pnl", "unrealized_pnl", "equity_start", "equity_end", "max_drawdown_frac"):
        assert isinstance(result[name], str)
        Decimal(result[name])
    assert all(isinstance(fee, str) for fee in result["fees"].values())


def test_the_agent_traded(result: dict[str, Any]) -> None:
    assert result["cycles"] > 0
    assert result["fills"] > 0


def test_the_same_input_gives_the_same_hash_and_another_seed_another(home: Path, result: dict[str, Any]) -> None:
    file = home / "BTCUSDT_5m.csv"
    again = started(home, "replay", file, "--agent", "heuristic:sma_cross", "--json")
    assert json.loads(again.stdout)["journal_hash"] == result["journal_hash"], "not so in another process"
    assert answered(home, "replay", file, "--seed", 2)["journal_hash"] != result["journal_hash"]


def test_flags_change_what_is_traded(home: Path, result: dict[str, Any]) -> None:
    file = home / "BTCUSDT_5m.csv"
    assert answered(home, "replay", file, "--max-daily-trades", 0)["fills"] == 0
    assert answered(home, "replay", file, "--observe")["intents"] == 0
    assert answered(home, "replay", file, "--cash", 5000)["equity_start"] == "5000"


def test_approvals_wait_unless_all_are_approved(home: Path, result: dict[str, Any]) -> None:
    file = home / "BTCUSDT_5m.csv"
    assert answered(home, "replay", file, "--approval-mode", "manual")["fills"] == 0
    assert answered(home, "replay", file, "--approval-mode", "manual", "--approve", "all")["fills"] > 0


def test_a_span_of_time_can_be_chosen(home: Path, result: dict[str, Any]) -> None:
    span = answered(home, "replay", home / "BTCUSDT_5m.csv", "--start", "2022-11-09", "--end", "2022-11-10T00:00")
    assert 0 < span["bars"] < BARS
    assert span["last_ts"] <= "2022-11-10T00:05"


def test_without_json_a_person_reads_a_summary(home: Path, result: dict[str, Any]) -> None:
    done = cli(home, "replay", home / "BTCUSDT_5m.csv")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        *("recording", "bars", "decisions", "refused", "trades", "equity", "profit", "fees", "drawdown", "state"),
        *("journal", "took"),
    ]
    assert "1,230, 0 rows skipped" in done.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--stop-loss", "5"], "--stop-loss 5 can be read as 5% or as 500%"),
        (["--agent", "nobody"], "--agent nobody is neither an agent file, nor the name of one"),
        (["--agent", "heuristic:astrology"], "astrology"),
        (["--instrument", "BTCUSDX"], "BTCUSDX is not in the list of instruments; did you mean paper:BTC/USDT"),
        (["--set", "fsat=3"], "fsat"),
        (["--start", "yesterday"], "'yesterday' is not a time; write it as 2022-11-08 or 2022-11-08T12:00."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_replayed_is_refused(home: Path, result: dict[str, Any], args: list[str], said: str) -> None:
    done = cli(home, "replay", home / "BTCUSDT_5m.csv", *args)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_unknown_name_needs_leave_to_be_assumed(home: Path) -> None:
    file = recording(home, "ZZZ_5m.csv", bars=200)
    refused = cli(home, "replay", file)
    assert refused.returncode == 2
    assert "ZZZ is not in the list of instruments" in refused.stderr
    assert answered(home, "replay", file, "--assume-instrument")["instruments"] == ["paper:ZZZ/USD"]
    assert answered(home, "replay", file, "--instrument", "BTCUSD")["instruments"] == ["paper:BTC/USDT"]


def test_verify_proves_the_store(home: Path, store: Path, result: dict[str, Any]) -> None:
    report = answered(home, "verify", "--store", store)
    assert report["ok"] is True
    assert (report["rows"], report["tail_hash"]) == (result["journal_rows"], result["journal_hash"])
    assert (report["fills"], report["orders"]) == (result["fills"], result["orders"])
    assert report["first_breach"] is None
    assert cli(home, "verify", "--store", store).stdout.startswith("Proven: ")


@pytest.mark.fault("P28")
def test_verify_names_the_first_breach_and_exits_1(home: Path, tmp_path: Path) -> None:
    broken = tmp_path / "s"
    answered(home, "replay", recording(tmp_path), "--store", broken)
    with sqlite3.connect(broken / "store.db") as db:
        db.execute("UPDATE journal SET ts_ms = ts_ms + 1 WHERE seq = 20")
    done = cli(home, "verify", "--store", broken, "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["ok"] is False
    assert "20" in report["first_breach"]
    assert cli(home, "verify", "--store", broken).stdout.startswith("BREACH: ")


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("decisions", {"ts", "cycle_id", "agent", "instrument", "action", "confidence", "disposition", "rationale"}),
        ("orders", {"ts", "client_order_id", "agent", "instrument", "side", "qty", "status"}),
        ("fills", {"ts", "instrument", "side", "qty", "price", "fee", "fee_asset", "client_order_id", "trade_id"}),
        ("positions", {"agent", "instrument", "qty", "average_price", "realized"}),
    ],
)
def test_tables_are_read_as_json_and_as_text(
    home: Path, store: Path, result: dict[str, Any], name: str, columns: set[str]
) -> None:
    rows = answered(home, name, "--store", store, "--limit", 5)
    assert 0 < len(rows) <= 5
    assert rows[0].keys() >= columns
    assert all(not isinstance(value, float) for row in rows for value in row.values())
    assert all(row["ts"].endswith("Z") for row in rows if "ts" in row)
    assert len(cli(home, name, "--store", store, "--limit", 5).stdout.splitlines()) == len(rows) + 2


def test_reading_leaves_the_journal_as_it_was(home: Path, store: Path, result: dict[str, Any]) -> None:
    for name in ("decisions", "fills", "status", "positions"):
        assert cli(home, name, "--store", store).returncode == 0
    assert answered(home, "verify", "--store", store)["tail_hash"] == result["journal_hash"]


def test_explain_shows_what_is_behind_a_decision(home: Path, store: Path, result: dict[str, Any]) -> None:
    fill = answered(home, "fills", "--store", store, "--limit", 1)[0]
    told = answered(home, "explain", fill["cycle_id"], "--store", store)
    assert fill["client_order_id"] in json.dumps(told)
    assert fill["cycle_id"] in cli(home, "explain", fill["cycle_id"], "--store", store).stdout
    unknown = cli(home, "explain", "nobody.0", "--store", store)
    assert unknown.returncode != 0
    assert unknown.stderr.count("\n") == 1


def test_export_writes_every_fill_in_three_forms(
    home: Path, store: Path, result: dict[str, Any], tmp_path: Path
) -> None:
    table = list(csv.DictReader(io.StringIO(cli(home, "export", "fills", "--store", store).stdout)))
    lines = cli(home, "export", "fills", "--store", store, "--format", "jsonl").stdout.splitlines()
    whole = tmp_path / "fills.json"
    done = cli(home, "export", "fills", "--store", store, "--format", "json", "-o", whole)
    assert (done.returncode, done.stdout) == (0, "")
    assert len(table) == len(lines) == len(json.loads(whole.read_text(encoding="utf-8"))) == result["fills"]
    assert [json.loads(line)["price"] for line in lines] == [row["price"] for row in table]
    assert [path.name for path in tmp_path.iterdir()] == ["fills.json"]


def test_an_unknown_table_is_refused(home: Path, store: Path, result: dict[str, Any], tmp_path: Path) -> None:
    done = cli(home, "export", "secrets", "--store", store, "-o", tmp_path / "x")
    assert done.returncode in (1, 2)
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_status_names_state_and_money(home: Path, store: Path, result: dict[str, Any]) -> None:
    status = answered(home, "status", "--store", store)
    assert status["state"] == result["trading_state"]
    assert "equity_curve" not in status
    assert cli(home, "status", "--store", store).stdout.startswith(result["trading_state"])


def test_halt_and_resume_reach_a_store_that_no_engine_owns(home: Path, tmp_path: Path) -> None:
    own = tmp_path / "s"
    answered(home, "replay", recording(tmp_path, bars=200), "--store", own)
    assert answered(home, "halt", "--store", own)["data"]["trading_state"] == "HALTED"
    assert answered(home, "status", "--store", own)["state"] == "HALTED"
    refused = cli(home, "resume", "--reason", " ", "--store", own)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Not resumed: write a reason")
    assert answered(home, "resume", "--reason", "tested", "--store", own)["data"]["trading_state"] == "ACTIVE"
    assert answered(home, "approvals", "--store", own) == []
    unknown = cli(home, "approve", "nothing", "ABCD", "--store", own)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert answered(home, "verify", "--store", own)["ok"] is True


@pytest.mark.parametrize("name", ["status", "fills", "halt", "flatten", "verify", "export", "db", "agents"])
def test_a_store_that_is_not_there_is_one_sentence(home: Path, tmp_path: Path, name: str) -> None:
    none = tmp_path / "none"
    done = cli(home, name, *{"export": ["fills"], "db": ["info"], "agents": ["list"]}.get(name, []), "--store", none)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"There is no store in {none}; the console makes one at its first start, and --store names another.\n"
    )
    assert not none.exists()


@pytest.fixture
def half_broken(home: Path, tmp_path: Path) -> Path:
    """A home whose store holds a position and whose configuration cannot be read."""
    answered(home, "replay", recording(tmp_path, bars=220), "--store", tmp_path / "store")
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "policy.toml").write_text("[kill_switch]\nloss = 5\n", encoding="utf-8")
    return tmp_path


@pytest.mark.fault("U10")
def test_halt_needs_no_configuration(half_broken: Path) -> None:
    assert cli(half_broken, "resume", "--reason", "try").returncode == 2
    done = cli(half_broken, "halt", "--reason", "smoke")
    assert (done.returncode, done.stdout[:7]) == (0, "HALTED:")
    assert cli(half_broken, "halt").stdout == "HALTED already.\n"
    assert answered(half_broken, "verify")["ok"] is True
    (half_broken / "config" / "policy.toml").unlink()
    assert answered(half_broken, "status")["state_reason"] == "smoke"


def test_flatten_that_nothing_can_fill_is_not_done_and_says_what_it_did_without(half_broken: Path) -> None:
    done = cli(half_broken, "flatten")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Not flat: trading is HALTED, and no closing order could be sent; ")
    assert "It waits for paper:BTC/USDT: no price has come" in done.stderr
    assert "The configuration was left aside: " in done.stderr
    assert "loss 5 can be read as" in done.stderr


def test_data_import_keeps_the_sound_rows_and_names_the_others(tmp_path: Path) -> None:
    bad = f"{START_MS + 300 * 300_000},nan,1,1,1,1"
    file = recording(tmp_path, "mine.csv", bars=300, bad_row=bad)
    said = answered(tmp_path, "data", "import", file, "--instrument", "BTC/USDT", "--name", "swing")
    assert (said["instrument"], said["bars"], said["rows_skipped"]) == ("paper:BTC/USDT", 300, 1)
    assert "302" in said["first_skips"][0]
    kept = Path(said["path"])
    assert kept.parent == tmp_path / "recordings"
    again = answered(tmp_path, "replay", kept, "--instrument", "BTCUSD")
    assert (again["bars"], again["rows_skipped"]) == (300, 0)


@pytest.mark.fault("U10")
def test_variable_that_contradicts_the_limits_holds_up_no_order_that_takes_risk_away(
    half_broken: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (half_broken / "config" / "policy.toml").unlink()
    monkeypatch.setenv("QUARTERDECK_LIMITS_DAILY_LOSS", "0.1%")
    refused = cli(half_broken, "resume", "--reason", "try")
    assert (refused.returncode, "with QUARTERDECK_LIMITS_DAILY_LOSS: " in refused.stderr) == (2, True)
    done = cli(half_broken, "cancel-all")
    assert (done.returncode, "was left aside: The policy that would be" in done.stdout) == (0, True), done.stderr
    done = cli(half_broken, "flatten")
    assert (done.returncode, done.stderr[:34]) == (1, "Not flat: trading is HALTED, and n")
    assert "The configuration was left aside: " in done.stderr
    assert answered(half_broken, "status")["state"] == "HALTED"
