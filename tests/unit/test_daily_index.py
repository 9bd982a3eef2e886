"""A volatility index from a file: what is known of it, and when."""

from __future__ import annotations

import os
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from engine.market.daily_index import DailyIndex

VIX = Path(__file__).parents[2].parent / "shared" / "data" / "vix" / "vix-daily.csv"
ROWS = "DATE,OPEN,HIGH,LOW,CLOSE\n2026-07-22,17.42,19.49,16.64,16.64\n2026-07-23,17.67,20.31,17.32,18.70\n"


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "vix.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


def test_only_days_before_an_instants_own_are_known(file: Path) -> None:
    index = DailyIndex(file)
    assert index.before(at("2026-07-22T23:59:59Z")) is None
    for instant, date in (("2026-07-23T00:00:00Z", "2026-07-22"), ("2026-07-24T12:00:00Z", "2026-07-23")):
        close = index.before(at(instant))
        assert close is not None
        assert close.date == date
    assert index.before(at("2026-08-30T00:00:00Z")) == index.before(at("2026-07-24T00:00:00Z"))


def test_a_file_that_changes_is_read_again_and_one_that_goes_is_gone(file: Path) -> None:
    index, now = DailyIndex(file), at("2026-07-25T00:00:00Z")
    assert index.before(now) is not None
    with file.open("a", encoding="utf-8") as out:
        out.write("07/24/2026,1,1,1,31.5\n")
    os.utime(file, ns=(1, 1))
    close = index.before(now)
    assert close is not None
    assert (close.date, close.close) == ("2026-07-24", Decimal("31.5"))
    file.unlink()
    assert index.before(now) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DAY,VALUE\n2026-07-23,18\n",
        "DATE,CLOSE\n2026-07-23,NaN\n2026-07-22,0\n2026-07-21,-3\n2026-07-20,soon\n",
        "DATE,CLOSE\n2026-02-30,18\nyesterday,18\n2026-07-23\n",
    ],
    ids=["empty", "other columns", "no closes", "no days"],
)
def test_a_file_without_a_day_and_a_close_above_zero_has_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vix.csv"
    path.write_text(text, encoding="utf-8")
    assert DailyIndex(path).before(at("2026-07-25T00:00:00Z")) is None


def test_the_recorded_index_is_read_as_it_stands() -> None:
    if not VIX.is_file():
        pytest.skip(f"{VIX} is not here")
    close = DailyIndex(VIX).before(at("2020-03-17T12:00:00Z"))
    assert close is not None
    assert (close.date, close.close) == ("2020-03-16", Decimal("82.690000"))
