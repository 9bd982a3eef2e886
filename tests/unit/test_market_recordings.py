"""The bundled recordings are whole, unchanged, and what SOURCES.md says of them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from engine.clock import HOUR_MS, MINUTE_MS, ManualClock, iso
from engine.domain.market import Instant
from engine.errors import UsageError
from engine.market import recordings
from engine.market.recording import name_key
from engine.market.recordings import bundled
from engine.market.replay_feed import ReplayFeed

BUNDLED = [
    ("aapl", 1595, MINUTE_MS, "2026-07-31T13:30:00.000Z", "2026-08-06T14:04:00.000Z", 4, "0.01", "a52a8af86132ec6e"),
    (
        "eurusd",
        6225,
        HOUR_MS,
        "2017-01-01T22:00:00.000Z",
        "2017-12-29T21:00:00.000Z",
        51,
        "0.00001",
        "f11701d3f8bcb162",
    ),
]


async def play(path: Path) -> tuple[ReplayFeed, list[Instant]]:
    feed = ReplayFeed([(f"paper:{name_key(path)}", path)], ManualClock())
    return feed, [instant async for instant in feed.events()]


@pytest.mark.parametrize(("name", "bars", "interval_ms", "first", "last", "pauses", "tick", "sha256"), BUNDLED)
async def test_a_bundled_recording_is_sound(
    name: str, bars: int, interval_ms: int, first: str, last: str, pauses: int, tick: str, sha256: str
) -> None:
    feed, instants = await play(bundled(name))
    summary = feed.summary
    assert (len(instants), summary.bars, summary.skipped) == (bars, bars, {})
    assert feed.interval_ms == interval_ms
    assert (iso(summary.first_ts_ms or 0), iso(summary.last_ts_ms or 0)) == (first, last)
    assert f"{pauses} pauses of more than 30 bars taken for closed hours" in summary.notes[-1]
    assert all(candle.close % Decimal(tick) == 0 for instant in instants for candle in instant.candles)
    assert feed.sha256s[bundled(name).name].startswith(sha256)


def test_names_are_found_by_their_beginning_and_unknown_ones_are_refused() -> None:
    assert bundled("AAPL").name == bundled("aapl_1m").name == "AAPL_1m_2026-07-31.csv.gz"
    assert name_key(bundled("eurusd")) == "EURUSD"
    for name in ("msft", "", "aapl_5m", "../secret"):
        with pytest.raises(UsageError, match="there are: aapl, eurusd"):
            bundled(name)


def test_every_recording_has_its_source_and_licence_beside_it() -> None:
    folder = Path(recordings.__file__).parent
    told = (folder / "SOURCES.md").read_text(encoding="utf-8")
    for path in folder.glob("*.csv.gz"):
        assert f"## {path.name}" in told
    assert told.count("Copyright (c)") == 2
    assert "Permission is hereby granted" in told
