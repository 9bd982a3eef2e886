"""Which column of a recording is what, from its header line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.errors import UsageError

# The first name that is there wins, so that an exact epoch is preferred to its own text beside it.
_TIMES = ("timestamp", "open_time", "open time", "opentime", "date", "datetime", "time", "ts", "unix")
_INSTRUMENTS = ("instrument", "symbol", "ticker", "pair")
_NAMES = {
    "time": _TIMES,
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close",),
    "volume": ("volume", "vol"),
    "price": ("price",),
    "qty": ("qty", "amount", "size", "quantity"),
    "id": ("id", "trade_id", "tradeid"),
    "side": ("side",),
    "instrument": _INSTRUMENTS,
}
CANDLE = ("time", "open", "high", "low", "close", "volume")
TRADE = ("time", "price", "qty")
_ADVICE = (
    "a candle recording needs date or timestamp, open, high, low, close and volume, "
    "a trades recording needs timestamp, price and qty, each named in its first line."
)


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the values of a row stand. needed: positions of CANDLE or TRADE, in that order. None: no such column."""

    delimiter: str
    count: int
    is_trades: bool
    needed: tuple[int, ...]
    instrument: int | None
    trade_id: int | None
    ignored: tuple[str, ...]

    @property
    def time(self) -> int:
        """Position of the time."""
        return self.needed[0]


def read_header(line: str, name: str) -> Columns:
    """Find the columns in a header line. Raises UsageError naming the file and what is missing or there twice."""
    delimiter = max(",;\t", key=line.count)
    written = [field.strip().strip('"').strip() for field in line.split(delimiter)]
    found = _positions(written, name)
    is_trades = "open" not in found and "price" in found
    wanted = TRADE if is_trades else CANDLE
    missing = [each for each in wanted if each not in found]
    if missing:
        raise UsageError(f"{name} has no column for {', '.join(missing)}; {_ADVICE}")
    used = {found[each] for each in (*wanted, *(("id", "side") if is_trades else ()), "instrument") if each in found}
    return Columns(
        delimiter=delimiter,
        count=len(written),
        is_trades=is_trades,
        needed=tuple(found[each] for each in wanted),
        instrument=found.get("instrument"),
        trade_id=found.get("id") if is_trades else None,
        ignored=tuple(each or "(no name)" for place, each in enumerate(written) if place not in used),
    )


def _positions(written: Iterable[str], name: str) -> dict[str, int]:
    lowered = [each.lower() for each in written]
    found = {}
    for meaning, names in _NAMES.items():
        present = next((each for each in names if each in lowered), None)
        if present is None:
            continue
        if lowered.count(present) > 1:
            raise UsageError(f"{name} has two columns named {present}; keep the one that is meant.")
        found[meaning] = lowered.index(present)
    return found
