"""Nothing that is not known yet: no fill, no feature and no row of the journal may depend on a later bar."""

from __future__ import annotations

import csv
import io
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain.decision import DecisionDraft, Direction, Outcome
from engine.domain.events import (
    EVENT_TYPES,
    CycleHeld,
    Filled,
    Genesis,
    OrderIntended,
    OrderResized,
    OrdersUpdated,
    RecordingOpened,
)
from engine.domain.market import Candle, Source, SourceKind
from engine.llm.client import ModelAnswer, ModelRequest, Settings
from engine.market.feed import FeedSummary
from engine.market.indicators import Indicators
from engine.market.recording import Recording
from engine.market.series import Series
from engine.runtime import ReplayOptions, export, replay
from engine.store.rows import event_of

BTC = "paper:BTC/USDT"
START_MS = 1_767_225_600_000
MINUTE_MS = 60_000
Rows = list[tuple[Decimal, Decimal, Decimal, Decimal]]
AGENT = """
name = "seer"
model = "clairvoyant:x"
instruments = ["paper:BTC/USDT"]
timeframe = "1m"
[protection]
stop = "off"
[limits]
qty_fixed = "1"
cooldown_after_loss = "0m"
"""
FREE = """
[limits]
gross_exposure = "100%"
trades_per_day = 100000
price_collar = "50%"
[paper]
half_spread = "0%"
slippage = "0%"
volume_share = "99%"
[kill_switch]
gain = "900%"
loss = "90%"
drawdown = "90%"
daily_loss = "90%"
"""
NO_FEES = """
[instruments."paper:BTC/USDT"]
aliases = ["BTCUSDT"]
base = "BTC"
quote = "USDT"
price_tick = "0.01"
qty_step = "0.00001"
min_notional = "5"
maker_fee = "0%"
taker_fee = "0%"
calendar = "24/7"
"""


def write(path: Path, rows: Rows) -> Path:
    lines = [
        f"{START_MS + place * MINUTE_MS}," + ",".join(map(str, row)) + ",1000000" for place, row in enumerate(rows)
    ]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *lines]) + "\n")
    return path


def bar(open_: float, close: float) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    o, c = (Decimal(str(price)).quantize(Decimal("0.01")) for price in (open_, close))
    return o, max(o, c), min(o, c), c


class Clairvoyant:
    """A model that has read the whole file: it buys when the next bar opens higher, and sells at the next."""

    provider = "clairvoyant"

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def features_needed(self, model: str, settings: Settings) -> tuple[str, ...]:
        return ("close",)

    async def decide(self, request: ModelRequest) -> ModelAnswer:
        (view,) = request.views
        place = (request.slot_ms - START_MS) // MINUTE_MS - 1
        draft = DecisionDraft(
            instrument=view.instrument, direction=self._direction(place, view.position_qty), rationale="it is written",
            confidence=Decimal(1),
        )  # fmt: skip
        return ModelAnswer(outcome=Outcome.DECIDED, model="clairvoyant:x", drafts=(draft,))

    def _direction(self, place: int, held: Decimal) -> Direction:
        if held:
            return Direction.FLAT
        bait = place + 1 < len(self.rows) and self.rows[place + 1][0] > self.rows[place][3]
        return Direction.BUY if bait else Direction.HOLD


@pytest.fixture
def place(tmp_path: Path) -> Callable[[], Path]:
    numbers = count()

    def make() -> Path:
        folder = tmp_path / str(next(numbers))
        (folder / "config").mkdir(parents=True)
        (folder / "config" / "policy.toml").write_text(FREE)
        (folder / "config" / "instruments.toml").write_text(NO_FEES)
        (folder / "seer.toml").write_text(AGENT)
        return folder

    return make


def test_clairvoyant_cannot_earn_the_gap_it_foresees(place: Callable[[], Path]) -> None:
    # Each third bar opens 5 % above the last close and falls all the way back within the bar.
    rows: Rows = []
    for number in range(60):
        rows.append(bar(1050, 1000) if number % 3 == 2 else bar(1000, 1000 + number % 3))
    folder = place()
    file = write(folder / "BTCUSDT_1m.csv", rows)
    options = ReplayOptions(
        files=(file,), agents=(str(folder / "seer.toml"),), store=folder / "s", config_dir=folder / "config"
    )
    summary = replay(options, find_client=lambda _model: Clairvoyant(rows))
    # Decided at the close of a bar with number % 3 == 1, filled at the next open, 1050; decided to leave at that bar's
    # close, filled at the open after it, 1000. Four closes are no measure for the price collar: no order.
    deals = sum(1 for number in range(60) if number % 3 == 1 and number >= 4 and number + 2 < 60)
    last_entry = 1 if 58 % 3 == 1 else 0  # bought at the last open, valued at its close
    assert summary["fills"] == 2 * deals + last_entry
    fills = fills_of(folder / "s")
    for entry, exit_ in zip(fills[::2], fills[1::2], strict=False):
        assert (entry["side"], entry["price"], exit_["side"], exit_["price"]) == ("BUY", "1050", "SELL", "1000")
    assert Decimal(summary["realized_pnl"]) == -50 * deals
    assert Decimal(summary["equity_end"]) == 100_000 - 50 * deals - 50 * last_entry


def test_profit_of_a_clairvoyant_is_the_sum_of_the_moves_from_open_to_open(place: Callable[[], Path]) -> None:
    steps = [3, -2, 5, 1, -4, 7, -1, 2, -6, 4]
    rows: Rows = []
    close = 1000.0
    for number in range(80):
        open_ = close + steps[number % 10]
        close = open_ + steps[(number + 3) % 10] / 2
        rows.append(bar(open_, close))
    folder = place()
    file = write(folder / "BTCUSDT_1m.csv", rows)
    options = ReplayOptions(
        files=(file,), agents=(str(folder / "seer.toml"),), store=folder / "s", config_dir=folder / "config"
    )
    summary = replay(options, find_client=lambda _model: Clairvoyant(rows))
    expected, held_from = Decimal(0), None
    for number in range(4, len(rows) - 1):  # the collar wants five closes
        next_open = rows[number + 1][0]
        if held_from is not None:
            expected += next_open - held_from
            held_from = None
        elif next_open > rows[number][3]:
            held_from = next_open
    if held_from is not None:
        expected += rows[-1][3] - held_from
    assert summary["fills"] > 20
    assert Decimal(summary["equity_end"]) - 100_000 == expected


def fills_of(store: Path) -> list[dict[str, Any]]:
    out = io.StringIO()
    export(store, "fills", "csv", out)
    return list(csv.DictReader(io.StringIO(out.getvalue())))


# The prefix property


Row = tuple[int, int, int, Any]


def journal(store: Path) -> list[Row]:
    with closing(sqlite3.connect(store / "store.db")) as db:
        return db.execute("SELECT seq, ts_ms, kind, payload FROM journal ORDER BY seq").fetchall()


def swinging(bars: int) -> Rows:
    rows: Rows = []
    close = 1000.0
    for number in range(bars):
        open_, close = close, close * (1 + (0.004 if (number // 14) % 2 else -0.004) + 0.001 * ((number * 7) % 5 - 2))
        rows.append(bar(open_, close))
    return rows


def played(folder: Path, rows: Rows) -> list[Row]:
    folder.mkdir()
    file = write(folder / "BTCUSDT_1m.csv", rows)
    replay(
        ReplayOptions(
            files=(file,),
            agents=("heuristic:sma_cross", "heuristic:rsi_reversion", "heuristic:breakout"),
            flags={"set": ["confidence=1"], "stop_loss": "1%", "take_profit": "2%", "kill_switch_loss": "30%"},
            store=folder / "s",
        )
    )
    return journal(folder / "s")


@settings(max_examples=12)
@given(
    k=st.integers(30, 118),
    noise=st.lists(st.floats(-0.06, 0.06, allow_nan=False), min_size=8, max_size=8),
)
def test_what_comes_after_a_bar_changes_no_row_up_to_it(
    tmp_path_factory: pytest.TempPathFactory, k: int, noise: list[float]
) -> None:
    folder = tmp_path_factory.mktemp("prefix")
    rows = swinging(120)
    close, changed = float(rows[k][3]), rows[: k + 1]
    for number in range(k + 1, len(rows)):
        open_, close = close, max(1.0, close * (1 + noise[number % len(noise)]))
        changed.append(bar(open_, close))
    one, other = played(folder / "a", rows), played(folder / "b", changed)
    assert sum(row[2] == Filled.KIND for row in one) > 4
    until_ms = START_MS + (k + 1) * MINUTE_MS
    # The first rows name the recording's own hash, and the store's name follows from it: order ids differ, no more.
    mine, theirs = ([row for row in each if row[1] <= until_ms] for each in (one, other))
    assert [row[:3] for row in mine] == [row[:3] for row in theirs]
    assert [told(row) for row in mine] == [told(row) for row in theirs]


def told(row: Row) -> Any:
    """Return a row's event without what is derived from the hash of the whole file."""
    _seq, _ts, kind, kept = row
    if EVENT_TYPES[kind] is CycleHeld:
        return kept
    event: Any = event_of(kind, kept)
    if isinstance(event, Genesis):
        return replace(event, store_id="")
    if isinstance(event, RecordingOpened):
        return replace(event, sha256="")
    if isinstance(event, Filled):
        return replace(event, fill=replace(event.fill, client_order_id=event.fill.client_order_id[8:]))
    if isinstance(event, OrderIntended | OrderResized):
        return replace(event, client_order_id=event.client_order_id[8:])
    if isinstance(event, OrdersUpdated):
        return replace(event, client_order_ids=tuple(each[8:] for each in event.client_order_ids))
    return event


# Features

SPECS = (
    "close",
    "sma:5",
    "ema:12",
    "rsi:14",
    "atr:14",
    "macd:12,26,9",
    "bollinger:20,2",
    "highest:20",
    "volatility:20",
)


class Watching:
    """A model that keeps the features it was shown."""

    provider = "watching"

    def __init__(self) -> None:
        self.seen: list[tuple[int, dict[str, float]]] = []

    def features_needed(self, model: str, settings: Settings) -> tuple[str, ...]:
        return SPECS

    async def decide(self, request: ModelRequest) -> ModelAnswer:
        (view,) = request.views
        self.seen.append((request.slot_ms, dict(view.features)))
        held = DecisionDraft(instrument=view.instrument, direction=Direction.HOLD, rationale="watching")
        return ModelAnswer(outcome=Outcome.DECIDED, model="watching:x", drafts=(held,))


def test_features_of_each_bar_are_those_of_the_bars_before_it_alone(tmp_path: Path) -> None:
    rows, model = swinging(90), Watching()
    file = write(tmp_path / "BTCUSDT_1m.csv", rows)
    replay(ReplayOptions(files=(file,), agents=("watching:x",)), find_client=lambda _model: model)
    assert len(model.seen) == len(rows)
    for length in (1, 5, 20, 21, 34, 60, 90):
        series, indicators = Series(256), Indicators(SPECS)
        for candle in candles_of(file)[:length]:
            series.append(candle)
        alone = indicators.compute(series)
        slot_ms, shown = model.seen[length - 1]
        assert slot_ms == START_MS + length * MINUTE_MS
        assert repr(shown) == repr(dict(alone))


def candles_of(file: Path) -> list[Candle]:
    source = Source(kind=SourceKind.REPLAY, name=file.name)
    return list(Recording(file, BTC).candles(source, FeedSummary()))
