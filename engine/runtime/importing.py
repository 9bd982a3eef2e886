"""`quarterdeck data import`: check a recording row by row and keep a clean copy of it."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from engine.clock import iso
from engine.config import Instruments
from engine.domain.market import Candle, Source, SourceKind
from engine.domain.money import plain
from engine.market.feed import FeedSummary
from engine.market.recording import Recording
from engine.paths import default_store

HEADER = "timestamp,open,high,low,close,volume\n"


def import_recording(file: Path, *, instrument: str, name: str | None, config_dir: Path) -> dict[str, Any]:
    """Copy the sound candles of a file into the recordings folder; the summary names the rows left out."""
    listed = Instruments.load(config_dir).resolve(instrument, where="--instrument")
    recording, fed = Recording(file, listed.key), FeedSummary()
    folder = default_store().parent / "recordings"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = folder / f"{name or file.name.partition('.')[0]}.csv.gz"
    part = kept.with_suffix(".part")
    source = Source(kind=SourceKind.REPLAY, name=file.name)
    try:
        with gzip.GzipFile(filename="", fileobj=part.open("wb"), mode="wb", mtime=0) as out:
            out.write(HEADER.encode())
            for candle in recording.candles(source, fed):
                out.write(_row(candle, fed).encode())
        part.replace(kept)
    finally:
        part.unlink(missing_ok=True)
    return {
        "recording": kept.name,
        "instrument": listed.key,
        "interval_ms": recording.interval_ms,
        "bars": fed.bars,
        "first_ts": iso(fed.first_ts_ms) if fed.first_ts_ms is not None else None,
        "last_ts": iso(fed.last_ts_ms) if fed.last_ts_ms is not None else None,
        "rows_skipped": fed.rows_skipped,
        "skipped": fed.skipped,
        "first_skips": fed.first_skips,
        "notes": fed.notes,
        "path": str(kept),
    }


def _row(candle: Candle, fed: FeedSummary) -> str:
    fed.bars += 1
    fed.last_ts_ms = candle.ts_ms
    if fed.first_ts_ms is None:
        fed.first_ts_ms = candle.ts_ms
    prices = (candle.open, candle.high, candle.low, candle.close, candle.volume)
    return f"{candle.ts_ms}," + ",".join(plain(price) for price in prices) + "\n"
