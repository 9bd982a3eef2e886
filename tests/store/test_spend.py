"""AI spend in the store: what a person reads of it, and what verify finds when it was tampered with."""

import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.domain.budget import Cap, Window
from engine.domain.events import EquityMarked
from engine.llm.meter import Usage
from engine.runtime.reads import reading
from engine.store.chain import GENESIS, check, link
from engine.store.packing import pack, unpack
from engine.store.spend import spend
from engine.store.verify import verify
from tests.unit.desk_kit import START_MS
from tests.unit.meter_kit import DAY_MS, MeterBench, capped

USED = Usage(input_tokens=900, output_tokens=50, cached_tokens=400)  # 0.00237 USD


def spent(bench: MeterBench, days: int = 30) -> dict[str, Any]:
    with reading(bench.paths.root) as reader:
        return reader.read(spend(days, bench.clock.now_ms()))


@pytest.fixture
def bench(tmp_path: Path) -> MeterBench:
    """Two calls of a's one cycle yesterday; today one of b's without usage, and one of a's under way."""
    bench = MeterBench(tmp_path / "store", capped("0.02", 10**6, Cap("agent:b", Window.DAY, capped()[0].usd, 5000)))
    bench.meter.post(bench.held(), USED)
    bench.meter.post(bench.held(model="other:one"), USED)
    bench.journal.record(START_MS, _marked(START_MS, 100_000))
    bench.clock.advance_ms(DAY_MS)
    bench.meter.post(bench.held(agent="b", cycle="b.1"), None)
    bench.clock.advance_ms(3_600_000)
    bench.held(cycle="a.2")
    bench.journal.record(bench.clock.now_ms(), _marked(bench.clock.now_ms(), 100_010))
    bench.journal.close()
    return bench


def _marked(ts_ms: int, equity: int) -> EquityMarked:
    return EquityMarked(equity=Decimal(equity), peak=Decimal(equity), day=ts_ms // DAY_MS, day_start=Decimal(equity))


def test_a_summary_says_what_models_cost_for_a_decision_and_of_the_profit(bench: MeterBench) -> None:
    told = spent(bench)["summary"]
    assert {name: told[name] for name in ("calls", "decisions", "usd", "charged_in_full", "above_reservation")} == {
        "calls": 3, "decisions": 3, "usd": "0.00924", "charged_in_full": 1, "above_reservation": 0,
    }  # fmt: skip
    assert (told["usd_per_decision"], told["trades"], told["usd_per_trade"]) == ("0.00308", 0, None)
    assert (told["pnl"], told["pnl_after_ai"], told["usd_share_of_pnl"]) == ("10", "9.99076", "0.000924")
    assert [(row["agent"], row["usd"]) for row in told["by_agent"]] == [("a", "0.00474"), ("b", "0.0045")]
    assert spent(bench, days=1)["summary"]["usd"] == "0.0045"


def test_caps_show_what_is_spent_reserved_and_left_and_when_it_runs_out(bench: MeterBench) -> None:
    day, month, agent = spent(bench)["windows"]
    assert (day["spent_usd"], day["reserved_usd"], day["cap_usd"], day["usd_per_hour"]) == (
        "0.0045", "0.0045", "0.02", "0.0045",
    )  # fmt: skip
    assert day["runs_out"] == "2026-01-02T03:26:40.000Z"
    assert (month["spent_usd"], month["spent_tokens"]) == ("0.00924", 3000)
    assert (agent["scope"], agent["spent_tokens"], agent["reserved_tokens"]) == ("agent:b", 1100, 0)


def test_the_ledger_has_a_row_a_day_model_and_agent(bench: MeterBench) -> None:
    rows = [(row["day"], row["provider"], row["agent"], row["calls"], row["usd"]) for row in spent(bench)["ledger"]]
    assert rows == [
        ("2026-01-02", "acme", "a", 0, "0"),
        ("2026-01-02", "acme", "b", 1, "0.0045"),
        ("2026-01-01", "acme", "a", 1, "0.00237"),
        ("2026-01-01", "other", "a", 1, "0.00237"),
    ]


def test_models_that_are_off_are_shown_with_the_reason(tmp_path: Path) -> None:
    bench = MeterBench(tmp_path / "store")
    bench.meter.post(bench.held(), Usage(input_tokens=5000, output_tokens=100))
    bench.meter.switch(False, "for now", "acme", provider="acme", until_ms=START_MS + 5)
    (all_off, acme) = spent(bench)["off"]
    assert (all_off["provider"], all_off["actor"]) == ("all", "meter")
    assert (acme["provider"], acme["until"]) == ("acme", "2026-01-01T00:00:00.005Z")
    assert spent(bench)["summary"]["above_reservation"] == 1
    bench.clock.advance_ms(10)
    bench.journal.record(bench.clock.now_ms(), _marked(START_MS, 1))
    assert [row["provider"] for row in spent(bench)["off"]] == ["all"]
    bench.journal.close()


def test_a_ledger_row_of_ai_spend_that_was_changed_is_found(bench: MeterBench) -> None:
    assert verify(bench.paths).first_breach is None
    with sqlite3.connect(bench.paths.store_db) as db:
        db.execute("UPDATE ledger SET amount = '0.001' WHERE target = 6")
    assert "ledger row" in str(verify(bench.paths).first_breach)


@pytest.mark.parametrize(
    ("kind", "old", "new", "said"),
    [
        (98, "0.0045", "0.0001", "was posted at 0.0001 USD, not at 0.0045"),
        (97, "1000,100", "9000,100", "is not the worst case of its tokens"),
        (99, "0.02", "0.002", "would pass the cap of 0.002 USD a day"),
    ],
)
def test_a_journal_forged_with_its_whole_chain_is_found_by_what_does_not_add_up_B1_B2(
    bench: MeterBench, kind: int, old: str, new: str, said: str
) -> None:
    forge(bench.paths.store_db, kind, old, new)
    assert said in str(verify(bench.paths).first_breach)


def forge(path: Path, kind: int, old: str, new: str) -> None:
    """Change the first row of a kind that has a text in it, and hash everything after it again."""
    with sqlite3.connect(path) as db:
        head, done = GENESIS, False
        for seq, ts_ms, number, kept in db.execute("SELECT seq, ts_ms, kind, payload FROM journal").fetchall():
            text = unpack(kept)
            if number == kind and old in text and not done:
                text, done = text.replace(old, new), True
            head = link(head, seq, ts_ms, number, text)
            packed = text if kept is text else pack(text)
            db.execute("UPDATE journal SET payload = ?, hash = ? WHERE seq = ?", (packed, check(head, packed), seq))
        assert done
