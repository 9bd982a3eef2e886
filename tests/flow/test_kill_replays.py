"""Two recorded crashes: each rule about equity climbs its tiers at the bars where arithmetic by hand says it must."""

from __future__ import annotations

import csv
import gzip
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.domain.decision import DecisionDraft, Direction, Outcome
from engine.domain.events import Filled, KillTierMoved
from engine.llm.client import ModelAnswer, ModelRequest, Settings
from engine.paths import StorePaths
from engine.runtime import ReplayOptions, replay
from engine.store.rows import event_of

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
BAR_MS = 300_000
DAY_MS = 86_400_000
CASH, FEE = Decimal(100_000), Decimal("0.001")
BOUGHT_AT = 25
PROFITS = ("gain", "daily_profit")
WIDE = {"gain": "900%", "loss": "90%", "drawdown": "90%", "daily_loss": "90%", "daily_profit": "900%"}

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the recorded crashes of ../shared/data are not here")


@dataclass(frozen=True)
class Crash:
    """Some hours of a recording, and how much is bought in their third hour."""

    file: str
    start: str
    bars: int
    qty: str

    def rows(self) -> list[dict[str, str]]:
        with gzip.open(DATA / self.file, "rt") as text:
            rows = list(csv.DictReader(text))
        first = next(place for place, row in enumerate(rows) if row["date"].startswith(self.start))
        return rows[first : first + self.bars]


BTC_FALL = Crash("candles_5m_crash_2025-10/BTCUSDT_5m.csv.gz", "2025-10-10 18:00", 60, "0.8")
BTC_RISE = Crash("candles_5m_crash_2025-10/BTCUSDT_5m.csv.gz", "2025-10-10 19:10", 60, "0.8")
SOL_FALL = Crash("candles_5m_ftx_2022-11/SOLUSDT_5m.csv.gz", "2022-11-08 20:00", 260, "3500")
SOL_DAY = Crash("candles_5m_ftx_2022-11/SOLUSDT_5m.csv.gz", "2022-11-09 01:00", 230, "3500")
SOL_RISE = Crash("candles_5m_ftx_2022-11/SOLUSDT_5m.csv.gz", "2022-11-10 09:30", 60, "5000")


class Buyer:
    """Buys once, and holds."""

    provider = "scripted"

    def __init__(self) -> None:
        self.asked = 0

    def features_needed(self, model: str, settings: Settings) -> tuple[str, ...]:
        return ("close",)

    async def decide(self, request: ModelRequest) -> ModelAnswer:
        buys = self.asked == BOUGHT_AT
        self.asked += 1
        draft = DecisionDraft(
            instrument=request.views[0].instrument, direction=Direction.BUY if buys else Direction.HOLD,
            rationale="as told", confidence=Decimal(1) if buys else None,
        )  # fmt: skip
        return ModelAnswer(outcome=Outcome.DECIDED, model="scripted:buyer", drafts=(draft,))


def by_hand(rows: list[dict[str, str]], qty: Decimal, rule: str, limit: Decimal) -> list[tuple[str, int]]:
    """Return (tier, close of the bar at which it is first reached), from the file and a pencil alone."""
    reach = [("flatten", limit), ("warn", limit * Decimal("0.6"))]
    if rule not in PROFITS:
        reach.insert(1, ("reduce", limit * Decimal("0.8")))
    cash, held, climbed, highest = CASH, Decimal(0), [], len(reach)
    peak, day, day_start = CASH, None, CASH
    for place, row in enumerate(rows):
        if place == BOUGHT_AT + 1:
            cash, held = cash - qty * Decimal(row["open"]) * (1 + FEE), qty
        closed_ms = opened_ms(row) + BAR_MS
        equity = cash + held * Decimal(row["close"])
        peak = max(peak, equity)
        if closed_ms // DAY_MS != day:
            day, day_start = closed_ms // DAY_MS, equity
        base = {"drawdown": peak, "daily_loss": day_start, "daily_profit": day_start}.get(rule, CASH)
        moved = equity - base if rule in PROFITS else base - equity
        now = next((at for at, (_tier, share) in enumerate(reach) if moved >= base * share), len(reach))
        if now < highest:
            highest = now
            climbed.append((reach[now][0], closed_ms))
    return climbed


def opened_ms(row: dict[str, str]) -> int:
    return int(datetime.fromisoformat(row["date"]).astimezone(UTC).timestamp() * 1000)


def played(crash: Crash, rule: str, limit: str, folder: Path) -> tuple[dict[str, Any], list[Any]]:
    """Replay the hours with only this rule near; return the summary, and (time, event) of the journal."""
    symbol = Path(crash.file).name.split("USDT")[0]
    file = folder / Path(crash.file).name.removesuffix(".gz")
    rows = crash.rows()
    file.write_text("\n".join([",".join(rows[0]), *(",".join(row.values()) for row in rows)]) + "\n")
    daily = limit if rule in ("loss", "daily_loss") else "90%"  # a wider one contradicts the loss, and is refused
    kill = "".join(f'{name} = "{value}"\n' for name, value in {**WIDE, "daily_loss": daily, rule: limit}.items())
    (folder / "policy.toml").write_text(
        f'account_currency = "USDT"\n[kill_switch]\n{kill}[limits]\nprice_collar = "100%"\ndaily_loss = "{daily}"\n'
        '[paper]\nhalf_spread = "0%"\nslippage = "0%"\nvolume_share = "100%"\n'
    )
    (folder / "buyer.toml").write_text(
        f'name = "buyer"\nmodel = "scripted:buyer"\ninstruments = ["paper:{symbol}/USDT"]\ntimeframe = "5m"\n'
        f'[protection]\nstop = "off"\ntarget = "off"\n[limits]\nqty_fixed = "{crash.qty}"\n'
        'position_notional_max = "1000000"\nportfolio_share = "100%"\n'
    )
    chosen = ReplayOptions(
        files=(file,), agents=(str(folder / "buyer.toml"),), policy=folder / "policy.toml", store=folder / "s"
    )
    summary = replay(chosen, find_client=lambda _model: Buyer())
    with sqlite3.connect(StorePaths(folder / "s").store_db) as db:
        found = db.execute("SELECT ts_ms, kind, payload FROM journal WHERE kind IN (?, ?) ORDER BY seq",
                           (KillTierMoved.KIND, Filled.KIND)).fetchall()  # fmt: skip
    return summary, [(ts_ms, event_of(kind, kept)) for ts_ms, kind, kept in found]


@pytest.mark.parametrize(
    ("crash", "rule", "limit"),
    [
        pytest.param(BTC_FALL, "loss", "5%", id="BTC 2025-10 loss"),
        pytest.param(BTC_FALL, "drawdown", "8%", id="BTC 2025-10 drawdown"),
        pytest.param(BTC_FALL, "daily_loss", "3%", id="BTC 2025-10 daily loss"),
        pytest.param(BTC_RISE, "gain", "5%", id="BTC 2025-10 gain"),
        pytest.param(BTC_RISE, "daily_profit", "4%", id="BTC 2025-10 daily profit"),
        pytest.param(SOL_DAY, "loss", "20%", id="SOL 2022-11 loss"),
        pytest.param(SOL_FALL, "drawdown", "25%", id="SOL 2022-11 drawdown"),
        pytest.param(SOL_FALL, "daily_loss", "10%", id="SOL 2022-11 daily loss"),
        pytest.param(SOL_RISE, "gain", "8%", id="SOL 2022-11 gain"),
        pytest.param(SOL_RISE, "daily_profit", "8%", id="SOL 2022-11 daily profit"),
    ],
)
def test_rule_climbs_its_tiers_at_the_bars_where_arithmetic_by_hand_says(
    crash: Crash, rule: str, limit: str, tmp_path: Path
) -> None:
    share = Decimal(limit.removesuffix("%")) / 100
    expected = by_hand(crash.rows(), Decimal(crash.qty), rule, share)
    assert expected[-1][0] == "flatten", "the recording must reach the limit"
    summary, events = played(crash, rule, limit, tmp_path)
    highest, climbed = 0, []
    for ts_ms, event in events:
        if isinstance(event, KillTierMoved) and event.rule == rule and event.tier.rank > highest:
            highest = event.tier.rank
            climbed.append((event.tier.value, ts_ms))
    assert climbed == expected
    assert (summary["trading_state"], summary["halts"]) == ("HALTED", 1)
    assert summary["halt_reason"].startswith(f"kill switch: {rule} ")
    bought, sold = [(ts_ms, event.fill) for ts_ms, event in events if isinstance(event, Filled)]
    assert (bought[1].qty, sold[1].qty) == (Decimal(crash.qty), Decimal(crash.qty))
    assert sold[0] == expected[-1][1] + BAR_MS
    assert summary["certificate"]["flat"] is True
