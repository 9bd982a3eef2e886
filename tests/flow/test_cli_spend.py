"""`quarterdeck spend` and `quarterdeck ai` on a store that no engine owns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from console.cli import run
from engine.llm.meter import Usage
from engine.runtime.reads import verify
from tests.unit.meter_kit import MeterBench


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose one call cost more than was reserved for it, and whose engine died with another under way."""
    monkeypatch.setenv("QUARTERDECK_HOME", str(tmp_path))
    bench = MeterBench(tmp_path / "kept")
    bench.held(agent="b")
    bench.meter.post(bench.held(), Usage(input_tokens=5000, output_tokens=100))
    bench.journal.close()
    return tmp_path / "kept"


def said(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str]:
    capsys.readouterr()
    code = run([str(arg) for arg in args])
    out, err = capsys.readouterr()
    return code, out or err


def test_prices_that_are_old_are_said_with_the_bill_and_by_the_doctor(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "init")[0] == 0
    file = store.parent / "config" / "prices.toml"
    told = json.loads(said(capsys, "spend", "--store", store, "--json")[1])["prices"]
    assert (told["file"], told["dated"]) == (str(file), "2026-10-24")
    file.write_text(file.read_text().replace("dated = 2026-10-24", "dated = 2024-10-24"))
    assert "days old, too old to spend by: look them up" in said(capsys, "spend", "--store", store)[1]
    rows = json.loads(said(capsys, "doctor", "--json")[1])
    (prices,) = [row for row in rows if row["check"] == "model prices"]
    assert prices["state"] == "note"
    assert "too old to spend by" in prices["advice"]


def test_spend_is_shown_at_rest_and_models_are_switched_on_with_a_reason(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--store", store)
    code, text = said(capsys, "spend", *at, "--json")
    told = json.loads(text)
    assert (code, told["until"]) == (0, "2026-01-01T00:00:00.000Z")  # a store without live data has its own time
    assert (told["summary"]["usd"], told["summary"]["above_reservation"]) == ("0.0165", 1)
    assert (told["windows"][0]["reserved_usd"], told["off"][0]["actor"]) == ("0.0045", "meter")
    code, text = said(capsys, "spend", *at)
    assert code == 0
    assert "used 5,100 tokens for 0.0165 USD where 1,100 for 0.0045 USD was the most it could" in text
    assert said(capsys, "ai", "on", *at)[0] == 2
    assert said(capsys, "ai", "on", "--reason", "bill read", *at) == (0, "Models are on: all.\n")
    assert said(capsys, "ai", "on", "--reason", "again", *at) == (0, "Models are on already.\n")
    assert said(capsys, "ai", "off", "--provider", "acme", "--reason", "too dear", *at)[0] == 0
    told = json.loads(said(capsys, "spend", "--days", 3660, *at, "--json")[1])
    assert [(row["provider"], row["reason"]) for row in told["off"]] == [("acme", "too dear")]
    assert told["summary"]["charged_in_full"] == 1
    ledger = json.loads(said(capsys, "export", "ledger", "--format", "json", *at)[1])
    lines = [(row["account"], row["asset"], row["amount"]) for row in ledger if row["reason"] == "AI spend"]
    assert sorted(lines) == [
        ("AI_OWED", "USD", "-0.0045"), ("AI_OWED", "USD", "-0.0165"),
        ("AI_SPEND", "USD", "0.0045"), ("AI_SPEND", "USD", "0.0165"),
    ]  # fmt: skip
    assert verify(store).ok


@pytest.mark.parametrize("days", ["0", "9999", "many"])
def test_days_that_are_none_are_refused(store: Path, capsys: pytest.CaptureFixture[str], days: str) -> None:
    code, text = said(capsys, "spend", "--days", days, "--store", store)
    assert (code, text.count("\n")) == (2, 1)
