"""Recordings through the whole pipeline: the same input gives the same journal, and every figure adds up."""

from __future__ import annotations

import csv
import io
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.domain.events import CycleDone
from engine.errors import UsageError
from engine.runtime import ReplayOptions, export, replay, verify

ROOT = Path(__file__).resolve().parents[2]
BTC = "paper:BTC/USDT"
NAMES = {
    *("source", "instruments", "first_ts", "last_ts", "bars", "rows_skipped", "cycles", "decisions", "refusals"),
    *("intents", "orders", "fills", "fees", "realized_pnl", "unrealized_pnl", "equity_start", "equity_end"),
    *("max_drawdown_frac", "trading_state", "halts", "journal_rows", "journal_hash", "wall_s", "bars_per_s"),
    "rss_mb_max",
}
MONEY = ("realized_pnl", "unrealized_pnl", "equity_start", "equity_end", "max_drawdown_frac")
MACHINE = ("wall_s", "bars_per_s", "rss_mb_max", "store")
PRINT_HASH = """
import sys
from pathlib import Path
from engine.runtime import ReplayOptions, replay
options = ReplayOptions(
    files=tuple(map(Path, sys.argv[1:])), agents=("heuristic:sma_cross", "heuristic:rsi_reversion"),
    flags={"stop_loss": "1%"},
)
print(replay(options)["journal_hash"])
"""
Bars = list[tuple[float, float, float, float, float]]
Run = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


def rows(store: Path, table: str) -> list[dict[str, str]]:
    """Return a table of a store as its CSV export has it."""
    out = io.StringIO()
    export(store, table, "csv", out)
    return list(csv.DictReader(io.StringIO(out.getvalue())))


def scaled(bars: Bars, factor: float) -> Bars:
    """Return the bars of another coin."""
    return [(o * factor, h * factor, l * factor, c * factor, v) for o, h, l, c, v in bars]  # noqa: E741


def leaning(bars: Bars, up: float) -> Bars:
    """Return the bars with a trend laid over them."""
    factors = [1 + up * place / len(bars) for place in range(len(bars))]
    return [(o * f, h * f, l * f, c * f, v) for f, (o, h, l, c, v) in zip(factors, bars, strict=True)]  # noqa: E741


def bars_at(closes: list[float]) -> Bars:
    """Return bars that stand still at each price."""
    return [(close, close, close, close, 1e9) for close in closes]


def turning(price: float) -> Bars:
    """Return 90 bars that sink a little and then rise, so that averages cross up once."""
    return bars_at(
        [round(price * (1 - i / 10_000), 2) for i in range(60)]
        + [round(price * (0.994 + i / 2_000), 2) for i in range(30)]
    )


@pytest.fixture
def greedy(tmp_path: Path) -> Path:
    """An agent file that lets one position take all of the account."""
    path = tmp_path / "greedy.toml"
    path.write_text(
        'name = "greedy"\nmodel = "heuristic:sma_cross"\ninstruments = ["paper:BTC/USDT"]\ntimeframe = "1m"\n'
        '[protection]\nstop = "off"\n'
        '[limits]\nportfolio_share = "100%"\nposition_notional_max = "1000000"\nqty_fixed = "1000000"\n'
    )
    return path


# The hash


def test_same_input_gives_the_same_journal_and_summary(run: Run, write_bars: Write, waves: Bars) -> None:
    file = write_bars(waves)
    first, again = run(file), run(file)
    assert {k: v for k, v in first.items() if k not in MACHINE} == {k: v for k, v in again.items() if k not in MACHINE}
    assert first["fills"] > 4


def test_the_dictionary_that_decisions_are_packed_with_has_their_words(
    run: Run, write_bars: Write, waves: Bars
) -> None:
    store = run(write_bars(waves))["store"] / "store.db"
    with closing(sqlite3.connect(store)) as connection:
        (most,) = connection.execute(
            "SELECT MAX(LENGTH(payload)) FROM journal WHERE kind = ?", (CycleDone.KIND,)
        ).fetchone()
    assert most < 350, "what guardrails say has changed: add a dictionary to engine/store/dictionaries.py, edit none"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"flags": {"set": ["fast=7"]}},
        {"flags": {"cash": "90000"}},
        {"agents": ["heuristic:rsi_reversion"]},
    ],
    ids=["seed", "setting", "policy", "agent"],
)
def test_other_input_gives_another_journal(run: Run, write_bars: Write, waves: Bars, change: dict[str, Any]) -> None:
    file = write_bars(waves)
    assert run(file)["journal_hash"] != run(file, **change)["journal_hash"]


def test_nothing_of_the_machine_enters_the_journal(write_bars: Write, waves: Bars, tmp_path: Path) -> None:
    files = [write_bars(waves), write_bars(scaled(leaning(waves, 0.02), 0.05), "ETHUSDT_1m.csv")]
    found = []
    for number, seed in enumerate(("1", "2")):
        home, cwd = tmp_path / f"home{number}", tmp_path / f"cwd{number}" / "deeper"
        home.mkdir()
        cwd.mkdir(parents=True)
        (cwd / "policy.toml").write_text("[limits]\nopen_positions = 1\n" if number else "")
        env = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "QUARTERDECK_HOME": str(home),
            "TZ": "Asia/Tokyo" if number else "UTC",
        }
        env |= {"PYTHONPATH": str(ROOT), "TMPDIR": str(cwd), "LC_ALL": "C"}
        done = subprocess.run(
            [sys.executable, "-c", PRINT_HASH, *map(str, files)], cwd=cwd, env=env, capture_output=True, text=True,
            check=False, timeout=50,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found.append(done.stdout)
    here = replay(
        ReplayOptions(
            files=tuple(files), agents=("heuristic:sma_cross", "heuristic:rsi_reversion"), flags={"stop_loss": "1%"}
        )
    )
    assert found == [here["journal_hash"] + "\n"] * 2


def test_one_bar_more_only_adds_rows(run: Run, write_bars: Write, waves: Bars) -> None:
    short, whole = run(write_bars(waves[:-1], "BTCUSDT_a.csv")), run(write_bars(waves, "BTCUSDT_b.csv"))
    assert (whole["bars"], whole["cycles"]) == (short["bars"] + 1, short["cycles"] + 1)


# The summary


def test_summary_has_the_promised_names_and_money_as_text(run: Run, write_bars: Write, waves: Bars) -> None:
    summary = run(write_bars(waves))
    assert summary.keys() >= NAMES
    assert set(summary["decisions"]) == {"buy", "sell", "flat", "hold", "failed"}
    assert sum(summary["decisions"].values()) == summary["cycles"] == len(waves)
    for text in (*(summary[name] for name in MONEY), *summary["fees"].values()):
        assert isinstance(text, str)
        assert Decimal(text).is_finite()
        assert "E" not in text
    assert (summary["first_ts"], summary["last_ts"]) == ("2026-01-01T00:00:00.000Z", "2026-01-01T09:59:00.000Z")
    assert (summary["trading_state"], summary["halts"], summary["rows_skipped"]) == ("ACTIVE", 0, 0)


@pytest.mark.parametrize("agent", ["sma_cross", "rsi_reversion", "macd_momentum"])
def test_equity_moved_by_profit_less_fees_to_the_last_cent(
    run: Run, write_bars: Write, waves: Bars, agent: str
) -> None:
    flags = {"stop_loss": "0.5%", "take_profit": "0.7%"}
    summary = run(write_bars(waves[:-30]), agents=[f"heuristic:{agent}"], flags=flags)
    moved = Decimal(summary["equity_end"]) - Decimal(summary["equity_start"])
    profit = Decimal(summary["realized_pnl"]) + Decimal(summary["unrealized_pnl"])
    assert summary["fills"] > 2
    assert moved == profit - Decimal(summary["fees"]["USDT"])


def test_store_of_a_replay_is_proven_and_tells_its_trades(run: Run, write_bars: Write, waves: Bars) -> None:
    summary = run(write_bars(waves))
    report = verify(summary["store"])
    assert (report.first_breach, report.tail_hash, report.rows) == (
        None, summary["journal_hash"], summary["journal_rows"],
    )  # fmt: skip
    trades = rows(summary["store"], "fills")
    assert len(trades) == summary["fills"]
    signs = {"BUY": 1, "SELL": -1}
    spent = sum(signs[t["side"]] * Decimal(t["qty"]) * Decimal(t["price"]) + Decimal(t["fee"]) for t in trades)
    held = sum(signs[t["side"]] * Decimal(t["qty"]) for t in trades)
    last = Decimal(str(waves[-1][3])).quantize(Decimal("0.01"))
    assert Decimal(summary["equity_end"]) == 100_000 - spent + held * last
    assert sum(Decimal(t["fee"]) for t in trades) == Decimal(summary["fees"]["USDT"])


def test_store_that_is_there_already_is_left_alone(run: Run, write_bars: Write, waves: Bars) -> None:
    file = write_bars(waves)
    first = run(file)
    with pytest.raises(Exception, match="holds a store already"):
        run(file, store=first["store"])
    assert verify(first["store"]).tail_hash == first["journal_hash"]


# Files


def test_two_files_are_merged_in_time_order(run: Run, write_bars: Write, waves: Bars) -> None:
    btc, eth = write_bars(waves), write_bars(scaled(leaning(waves, 0.03), 0.05), "ETHUSDT_1m.csv")
    summary = run(btc, eth)
    assert summary["instruments"] == [BTC, "paper:ETH/USDT"]
    assert summary["bars"] == 2 * len(waves)
    assert summary["cycles"] == len(waves)
    assert sum(summary["decisions"].values()) == 2 * len(waves)
    assert {row["instrument"] for row in rows(summary["store"], "fills")} == {BTC, "paper:ETH/USDT"}
    assert summary["journal_hash"] != run(btc)["journal_hash"]


def test_instrument_column_says_whose_each_row_is(run: Run, write_bars: Write, waves: Bars, tmp_path: Path) -> None:
    btc, eth = write_bars(waves), write_bars(scaled(waves, 0.05), "ETHUSDT_1m.csv")
    lines = {"BTC/USDT": btc.read_text().splitlines(), "ETHUSDT": eth.read_text().splitlines()}
    both = tmp_path / "mixed.csv"
    merged = [
        f"{name},{line}"
        for pair in zip(*(lines[n][1:] for n in lines), strict=True)
        for name, line in zip(lines, pair, strict=True)
    ]
    both.write_text("\n".join(["instrument,timestamp,open,high,low,close,volume", *merged]) + "\n")
    one, two = run(both), run(btc, eth)
    assert one["instruments"] == two["instruments"]
    same = ("bars", "cycles", "decisions", "fills", "equity_end", "fees")
    assert {name: one[name] for name in same} == {name: two[name] for name in same}


def test_named_instrument_wins_over_the_file_name(run: Run, write_bars: Write, waves: Bars) -> None:
    file = write_bars(waves, "mine.csv")
    assert run(file, instrument=("BTCUSDT",))["instruments"] == [BTC]


def test_more_instruments_than_files_are_refused(run: Run, write_bars: Write, waves: Bars) -> None:
    with pytest.raises(UsageError, match="--instrument"):
        run(write_bars(waves), instrument=("BTCUSDT", "ETHUSDT"))


@pytest.mark.parametrize("name", ["ZZZ_1m.csv", "BTCUSD0T_1m.csv"])
def test_unknown_file_name_is_refused_with_what_to_do(run: Run, write_bars: Write, waves: Bars, name: str) -> None:
    with pytest.raises(UsageError, match=r"is not in the list of instruments") as refused:
        run(write_bars(waves, name))
    assert refused.value.exit_code == 2
    assert ("did you mean" in str(refused.value)) == name.startswith("BTC")
    assert "--assume-instrument" in str(refused.value)


def test_assumed_instrument_is_labelled(run: Run, write_bars: Write, waves: Bars) -> None:
    summary = run(write_bars(waves, "ZZZ_1m.csv"), assume_instrument=True)
    assert summary["instruments"] == summary["assumed"] == ["paper:ZZZ/USD"]
    assert run(write_bars(waves), assume_instrument=True)["assumed"] == []


def test_unknown_name_in_an_instrument_column_can_be_assumed_too(run: Run, tmp_path: Path, waves: Bars) -> None:
    file = tmp_path / "mixed.csv"
    lines = [
        f"ZZZ,{1_767_225_600_000 + i * 60_000}," + ",".join(f"{v:.2f}" for v in bar) for i, bar in enumerate(waves)
    ]
    file.write_text("\n".join(["instrument,timestamp,open,high,low,close,volume", *lines]) + "\n")
    with pytest.raises(UsageError, match="ZZZ is not in the list"):
        run(file)
    assert run(file, assume_instrument=True)["assumed"] == ["paper:ZZZ/USD"]


def test_bad_rows_are_counted_and_named(run: Run, write_bars: Write, waves: Bars) -> None:
    file = write_bars(waves)
    lines = file.read_text().splitlines()
    lines[10] = lines[10].replace(",", ",nan,", 1).rsplit(",", 1)[0]
    lines[20] = "what is this"
    lines[30] = lines[29]
    file.write_text("\n".join(lines) + "\n")
    summary = run(file)
    assert (summary["rows_skipped"], summary["bars"]) == (3, len(waves) - 3)
    assert sum(summary["skipped"].values()) == 3
    said = " ".join(summary["notes"])
    assert all(f":{row} " in said for row in (11, 21, 31)), said


@pytest.mark.parametrize(("content", "said"), [("", "empty"), ("timestamp,open,high,low,close,volume\n", "bar")])
def test_file_without_a_bar_is_refused(run: Run, tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "BTCUSDT_1m.csv"
    file.write_text(content)
    with pytest.raises(UsageError, match=said):
        run(file)


def test_file_that_is_not_there_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no file"):
        run(tmp_path / "BTCUSDT_1m.csv")


# Agents


def test_agents_act_in_name_order_at_each_instant(run: Run, write_bars: Write, waves: Bars) -> None:
    models = ["heuristic:sma_cross", "heuristic:breakout", "heuristic:sma_cross"]
    summary = run(write_bars(waves), agents=models, flags={"max_position": "1000"})
    decisions = rows(summary["store"], "decisions")
    by_instant: dict[str, list[str]] = {}
    for row in decisions:
        by_instant.setdefault(row["ts"], []).append(row["agent"])
    assert set(map(tuple, by_instant.values())) == {("breakout", "sma-cross", "sma-cross-2")}


def test_decisions_of_one_instant_share_the_limits(run: Run, write_bars: Write) -> None:
    names = ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "LTC", "LINK")
    files = [write_bars(turning(50.0), f"{name}USDT_1m.csv") for name in names]
    summary = run(*files, flags={"max_position": "1000", "set": ["confidence=1"]})
    assert summary["decisions"]["buy"] == 8
    assert len(rows(summary["store"], "positions")) == 5
    assert summary["refusals"] == {"OPEN_POSITIONS": 3}


def test_cash_of_the_account_is_shared_and_never_runs_out(run: Run, write_bars: Write, greedy: Path) -> None:
    pairs = ("BTC", "ETH", "LTC")
    files = [write_bars(turning(50.0), f"{name}USDT_1m.csv") for name in pairs]
    flags = {"set": ["confidence=1"], "asset_pair": [f"{name}/USDT" for name in pairs]}
    summary = run(*files, agents=[str(greedy)] * 2, flags=flags)
    cash = Decimal(100_000)
    trades = rows(summary["store"], "fills")
    for trade in trades:
        sign = 1 if trade["side"] == "BUY" else -1
        cash -= sign * Decimal(trade["qty"]) * Decimal(trade["price"]) + Decimal(trade["fee"])
        assert cash >= 0
    assert cash < 2_000
    assert {row["status"] for row in rows(summary["store"], "orders") if row["role"] == "ENTRY"} == {"FILLED"}


@pytest.mark.parametrize("text", ["1", "0.001"])
def test_size_below_one_step_is_refused_by_name(run: Run, write_bars: Write, text: str) -> None:
    summary = run(write_bars(turning(50.0), "DOGEUSDT_1m.csv"), flags={"risk_per_trade": f"{text}bps", "cash": "30"})
    assert (summary["refusals"], summary["fills"]) == ({"QTY_STEP": 1}, 0)


def test_observer_proposes_and_sends_nothing(run: Run, write_bars: Write, waves: Bars) -> None:
    summary = run(write_bars(waves), flags={"observe": True})
    assert summary["decisions"]["buy"] > 0
    assert (summary["intents"], summary["orders"], summary["fills"]) == (0, 0, 0)
    assert summary["equity_end"] == summary["equity_start"] == "100000"


def test_approvals_wait_and_expire_on_the_virtual_clock(run: Run, write_bars: Write, waves: Bars) -> None:
    summary = run(write_bars(waves), flags={"approval_mode": "manual"})
    asked = rows(summary["store"], "approvals")
    assert summary["fills"] == 0
    assert {(row["answer"], row["actor"]) for row in asked[:-1]} == {("expired", "clock")}
    waited = {(row["answered"] or "")[14:16] != row["ts"][14:16] for row in asked}
    assert waited == {True}


def test_approving_all_trades_as_an_autonomous_agent_does_and_is_journaled_as_such(
    run: Run, write_bars: Write, waves: Bars
) -> None:
    file = write_bars(waves)
    approved = run(file, flags={"approval_mode": "manual"}, approve_all=True)
    auto = run(file)
    assert {row["actor"] for row in rows(approved["store"], "approvals")} == {"replay --approve all"}
    same = ("fills", "fees", "equity_end", "realized_pnl")
    assert {name: approved[name] for name in same} == {name: auto[name] for name in same}


def test_agent_with_an_interval_runs_once_at_each_utc_slot(run: Run, write_bars: Write, waves: Bars) -> None:
    summary = run(write_bars(waves), flags={"analysis_frequency": "5m", "timeframe": "1m"})
    ran = [row["ts"] for row in rows(summary["store"], "decisions")]
    assert len(ran) == len(set(ran)) == summary["cycles"] == len(waves) // 5
    assert all(ts.endswith(":00.000Z") and int(ts[14:16]) % 5 == 0 for ts in ran)


def test_longer_timeframe_decides_when_its_bar_closes(run: Run, write_bars: Write, waves: Bars) -> None:
    summary = run(write_bars(waves), flags={"timeframe": "15m"})
    ran = [row["ts"] for row in rows(summary["store"], "decisions")]
    assert summary["cycles"] == len(waves) // 15
    assert {ts[14:16] for ts in ran} == {"00", "15", "30", "45"}


# The kill switch


def test_kill_switch_halts_flattens_with_a_certificate_and_the_replay_goes_on_halted(
    run: Run, write_bars: Write, greedy: Path
) -> None:
    bars = [*turning(50_000.0), *bars_at([45_000.0] + [46_000.0 + i for i in range(60)])]
    summary = run(write_bars(bars), agents=[str(greedy)], flags={"kill_switch_loss": "5%", "set": ["confidence=1"]})
    assert (summary["trading_state"], summary["halts"]) == ("HALTED", 1)
    assert summary["halt_reason"].startswith("kill switch: loss ")
    certificate = summary["certificate"]
    assert (certificate["flat"], certificate["took_ms"]) == (True, 60_000)
    assert [(line[0], line[2]) for line in certificate["lines"]] == [(BTC, "0")]
    assert (summary["bars"], summary["cycles"]) == (len(bars), len(bars) - 61)
    assert summary["unrealized_pnl"] == "0"
    moved = Decimal(summary["equity_end"]) - Decimal(summary["equity_start"])
    assert moved == Decimal(summary["realized_pnl"]) - Decimal(summary["fees"]["USDT"])
    assert Decimal(summary["max_drawdown_frac"]) > Decimal("0.05")
    assert verify(summary["store"]).ok


def test_trip_at_the_last_bar_names_what_is_left(run: Run, write_bars: Write, greedy: Path) -> None:
    bars = [*turning(50_000.0), *bars_at([45_000.0])]
    summary = run(write_bars(bars), agents=[str(greedy)], flags={"kill_switch_loss": "5%", "set": ["confidence=1"]})
    (line,) = summary["certificate"]["lines"]
    assert (summary["trading_state"], summary["certificate"]["flat"]) == ("HALTED", False)
    assert (line[0], line[1], line[3]) == (BTC, line[2], "the recording ended before the next tradable price")
    assert Decimal(line[2]) > 0
