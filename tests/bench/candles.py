"""The candles that everything is measured on: a recording of BTC minutes, repeated until there are enough."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECORDING = ROOT.parent / "shared" / "data" / "candles_1m_btc_2026-01" / "BTCUSDT_1m.csv.gz"
NAME = "BTCUSDT_1m.csv"
HEADER = "date,open,high,low,close,volume"
FIRST_MINUTE = 29_433_600  # 2025-12-18 00:00 UTC, where the recording starts
SEED = 20_260_131


def origin() -> str:
    """Say what the candles are, in words for the report."""
    if RECORDING.exists():
        return (
            "BTC/USDT minutes recorded from 2025-12-18 on, repeated: times go on without a gap, prices of each repeat "
            "are as recorded, so they jump where one begins"
        )
    return f"a random walk of seed {SEED}: the recording of BTC minutes is not on this machine"


def write_candles(folder: Path, bars: int) -> Path:
    """Write a CSV file of so many one-minute candles into a folder of its own; return its path."""
    path = folder / f"candles-{bars}" / NAME
    if not path.exists():
        path.parent.mkdir(parents=True)
        with path.open("w") as out:
            out.write(HEADER + "\n")
            out.writelines(f"{_stamp(place)},{prices}\n" for place, prices in enumerate(islice(_prices(), bars)))
    return path


def _prices() -> Iterator[str]:
    return cycle(_recorded()) if RECORDING.exists() else _walked()


def _recorded() -> list[str]:
    with gzip.open(RECORDING, "rt") as lines:
        header = next(lines).strip()
        if header != HEADER:
            raise SystemExit(f"{RECORDING.name} has the columns {header}; the benchmark reads {HEADER}.")
        return [line.strip().partition(",")[2] for line in lines]


def _walked() -> Iterator[str]:
    draw, last = random.Random(SEED), 86_000.0
    while True:
        opened, last = last, max(1_000.0, last * (1 + draw.gauss(0, 0.0006)))
        reach = abs(draw.gauss(0, 15.0))
        high, low = max(opened, last) + reach, min(opened, last) - reach
        yield f"{opened:.2f},{high:.2f},{low:.2f},{last:.2f},{draw.uniform(1, 40):.5f}"


def _stamp(place: int) -> str:
    moment = datetime.fromtimestamp((FIRST_MINUTE + place) * 60, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S+00:00")
