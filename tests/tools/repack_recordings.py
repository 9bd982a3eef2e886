"""Make the bundled recordings from two packages of others: `python -m tests.tools.repack_recordings`.

Needs `mintalib==0.1.13` and `gym-anytrading==2.0.0` (--no-deps will do: only their data files are read). The same
packages give the same bytes; tests/unit/test_market_recordings.py holds the SHA-256 of each.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.metadata import distribution
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "engine" / "market" / "recordings"
HEADER = "timestamp,open,high,low,close,volume"
CENT = Decimal("0.01")


def data_file(package: str, name: str) -> Path:
    """Return where an installed package keeps a data file, without importing the package."""
    return Path(str(distribution(package).locate_file(name)))


def aapl(path: Path) -> Iterator[str]:
    """Yield AAPL's minutes: prices to the cent, times to UTC, the stub of a minute at the end left out."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if Decimal(rows[-1]["volume"]) == 0:
        rows.pop()
    for row in rows:
        moment = datetime.fromisoformat(row["datetime"])
        prices = (Decimal(row[name]).quantize(CENT, ROUND_HALF_EVEN) for name in ("open", "high", "low", "close"))
        yield line(moment, prices, Decimal(row["volume"]))


def eurusd(path: Path) -> Iterator[str]:
    """Yield EUR/USD's hours as they are written, times to epochs."""
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            moment = datetime.strptime(row["Time"], "%d.%m.%Y %H:%M:%S.%f").replace(tzinfo=UTC)
            prices = (Decimal(row[name]) for name in ("Open", "High", "Low", "Close"))
            yield line(moment, prices, Decimal(row["Volume"]))


def line(moment: datetime, prices: Iterable[Decimal], volume: Decimal) -> str:
    return ",".join([str(int(moment.timestamp()) * 1000), *(f"{price:f}" for price in prices), f"{volume:f}"])


def write(name: str, rows: Iterable[str]) -> None:
    text = "\n".join([HEADER, *rows]) + "\n"
    # neither a time nor a name goes into the header, so that the bytes depend on the figures alone
    packed = gzip.compress(text.encode(), compresslevel=9, mtime=0)
    (FOLDER / name).write_bytes(packed)
    sys.stdout.write(
        f"{name}: {text.count(chr(10)) - 1} bars, {len(packed)} bytes, sha256 {hashlib.sha256(packed).hexdigest()}\n"
    )


def main() -> None:
    sources = {
        "AAPL_1m_2026-07-31.csv.gz": (aapl, data_file("mintalib", "mintalib/samples/minute-prices.csv")),
        "EURUSD_1h_2017.csv.gz": (
            eurusd,
            data_file("gym-anytrading", "gym_anytrading/datasets/data/FOREX_EURUSD_1H_ASK.csv"),
        ),
    }
    for name, (read, path) in sources.items():
        sys.stdout.write(f"reading {path}\n")
        write(name, read(path))


if __name__ == "__main__":
    main()
