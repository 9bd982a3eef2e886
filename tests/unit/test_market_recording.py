"""Recordings: what a row may look like, what is left out and said, and what refuses the whole file."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.market import Candle, Source, SourceKind
from engine.domain.money import AmountError, amount
from engine.errors import UsageError
from engine.market.feed import FeedSummary
from engine.market.recording import Recording, name_key
from engine.market.times import TimeReader

SOURCE = Source(kind=SourceKind.REPLAY, name="test")
T0 = 1_766_016_000_000  # 2025-12-18T00:00:00Z
HEADER = "timestamp,open,high,low,close,volume"


def row(minute: int, rest: str = "10,12,9,11,5") -> str:
    return f"{T0 + minute * 60_000},{rest}"


def write(folder: Path, *lines: str, name: str = "X_1m.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read(path: Path, instrument: str | None = "paper:X", **options: object) -> tuple[list[Candle], FeedSummary]:
    summary = FeedSummary()
    return list(Recording(path, instrument, **options).candles(SOURCE, summary)), summary  # type: ignore[arg-type]


def minutes(candles: list[Candle]) -> list[int]:
    return [(candle.ts_ms - T0) // 60_000 for candle in candles]


def test_a_plain_file_gives_exact_decimals_and_the_source(tmp_path: Path) -> None:
    candles, summary = read(write(tmp_path, HEADER, row(0, "0.10,0.30,0.1,0.2,1.50"), row(1), row(2)))
    assert candles[0] == Candle(
        "paper:X",
        T0,
        60_000,
        Decimal("0.10"),
        Decimal("0.30"),
        Decimal("0.1"),
        Decimal("0.2"),
        Decimal("1.50"),
        SOURCE,
    )
    assert str(candles[0].open) == "0.10"
    assert minutes(candles) == [0, 1, 2]
    assert summary.rows_skipped == 0
    assert summary.notes == []


BAD_ROWS = [
    ("short", f"{T0 + 120_000},10,12,9,11", "SHORT_ROW"),
    ("long, as a thousands separator makes it", row(2, "1,0,12,9,11,5"), "LONG_ROW"),
    ("time is a word", "yesterday,10,12,9,11,5", "BAD_TIME"),
    ("time is empty", ",10,12,9,11,5", "BAD_TIME"),
    ("time is a date without dashes", "20251218,10,12,9,11,5", "BAD_TIME"),
    ("time has hour 24", "2025-12-18 24:00:00,10,12,9,11,5", "BAD_TIME"),
    ("time before 1970", "1969-12-31,10,12,9,11,5", "BAD_TIME"),
    ("price is empty", row(2, "10,12,,11,5"), "BAD_NUMBER"),
    ("price is a word", row(2, "10,12,null,11,5"), "BAD_NUMBER"),
    ("price has an underscore", row(2, "10,1_2,9,11,5"), "BAD_NUMBER"),
    ("price has foreign digits", row(2, "10,12,9,١١,5"), "BAD_NUMBER"),
    ("price has two points", row(2, "10,1.2.3,9,11,5"), "BAD_NUMBER"),
    ("price is beyond 18 digits", row(2, "10,1e19,9,11,5"), "BAD_NUMBER"),
    ("price has 19 places", row(2, "10,12,9,11.0000000000000000001,5"), "BAD_NUMBER"),
    ("price is NaN", row(2, "10,12,NaN,11,5"), "NAN"),
    ("price is infinite", row(2, "10,inf,9,11,5"), "NAN"),
    ("volume is nan", row(2, "10,12,9,11,nan"), "NAN"),
    ("price is zero", row(2, "10,12,0,11,5"), "NOT_POSITIVE"),
    ("price is negative", row(2, "10,12,-9,11,5"), "NOT_POSITIVE"),
    ("high below low", row(2, "10,9,12,11,5"), "HIGH_BELOW_LOW"),
    ("open above high", row(2, "13,12,9,11,5"), "HIGH_BELOW_LOW"),
    ("close below low", row(2, "10,12,9,8,5"), "HIGH_BELOW_LOW"),
    ("volume negative", row(2, "10,12,9,11,-1"), "NEGATIVE_VOLUME"),
    ("same time again", row(1, "11,12,9,11,5"), "DUPLICATE"),
    ("earlier time", row(0, "11,12,9,11,5"), "OUT_OF_ORDER"),
]


@pytest.mark.fault("E27")
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize(("line", "rule"), [case[1:] for case in BAD_ROWS], ids=[case[0] for case in BAD_ROWS])
def test_a_row_that_breaks_a_rule_is_left_out_counted_and_named(
    tmp_path: Path, line: str, rule: str, packed: bool
) -> None:
    path = write(tmp_path, HEADER, row(0), row(1), line, row(3))
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    candles, summary = read(path, interval_ms=60_000)
    assert minutes(candles) == [0, 1, 3]
    assert summary.skipped == {rule: 1}
    assert summary.first_skips == [f"X_1m.csv:4 {rule}"]


ACCEPTED = [
    ("exponent", "1e1,1.2E+1,9,11,5"),
    ("quoted", '"10","12","9","11","5"'),
    ("spaces", " 10 , 12 ,9, 11,5 "),
    ("plus sign", "+10,+12,9,11,5"),
    ("bare point", "10.,12,9.,11,.5"),
    ("zero volume", "10,12,9,11,0"),
    ("18 places", "10,12,9,11.000000000000000001,5"),
]


@pytest.mark.parametrize("figures", [case[1] for case in ACCEPTED], ids=[case[0] for case in ACCEPTED])
def test_an_unusual_but_plain_figure_is_read(tmp_path: Path, figures: str) -> None:
    candles, summary = read(write(tmp_path, HEADER, row(0), row(1, figures), row(2)))
    assert minutes(candles) == [0, 1, 2]
    assert summary.rows_skipped == 0
    assert candles[1].open == 10
    assert all(isinstance(value, Decimal) for value in (candles[1].open, candles[1].close, candles[1].volume))


@given(st.text(alphabet="0123456789.eE+-_naif ", max_size=24))
def test_figures_are_read_as_money_reads_them_whatever_path_they_take(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        lines = [HEADER, row(0), row(1, f"10,12,9,11,{text}"), row(2)]
        candles, summary = read(write(Path(folder), *lines), interval_ms=60_000)
    try:
        volume = amount(text.strip()) if "_" not in text else None
    except AmountError:
        volume = None
    if volume is None or volume < 0:
        assert minutes(candles) == [0, 2]
        assert summary.rows_skipped == 1
    else:
        assert candles[1].volume == volume
        assert summary.rows_skipped == 0


TIMES = [
    ("1766016000", T0),
    ("1766016000.250", T0 + 250),
    ("1766016000000", T0),
    ("1766016000000000", T0),
    ("1766016000000000000", T0),
    ("2025-12-18", T0),
    ("2025-12-18 00:00", T0),
    ("2025-12-18 00:00:00", T0),
    ("2025-12-18T00:00:00Z", T0),
    ("2025-12-18 00:00:00 UTC", T0),
    ("2025-12-18T00:00:00.123456Z", T0 + 123),
    ("2025-12-18 02:00:00+02:00", T0),
    ("2025-12-17T19:00:00-0500", T0),
    ("2025-12-17T19:00:00-05", T0),
    ("2025-02-30", None),
    ("2025-12-18 00:60:00", None),
    ("2025-12-18 00:00:00 EST", None),
    ("18.12.2025", None),
    ("12/18/2025", None),
    ("99999999", None),
    ("-1766016000", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "ts_ms"), TIMES)
def test_times_are_read_as_utc(text: str, ts_ms: int | None) -> None:
    reader = TimeReader()
    assert [reader.read(text), reader.read(text)] == [ts_ms, ts_ms]


@pytest.mark.parametrize(
    ("text", "ts_ms"),
    [
        ("18.12.2025 00:00:00.000", T0),
        ("18.12.2025", T0),
        ("18/12/2025 00:00", T0),
        ("12.18.2025", None),
        ("2025-12-18", T0),
    ],
)
def test_day_first_times_are_read_where_told_so(text: str, ts_ms: int | None) -> None:
    assert TimeReader(dayfirst=True).read(text) == ts_ms


def test_day_first_times_without_being_told_refuse_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "Time,Open,High,Low,Close,Volume", "18.12.2025 00:00:00.000,10,12,9,11,5")
    with pytest.raises(UsageError, match="day comes first"):
        read(path)


@pytest.mark.parametrize(
    "stamp",
    [
        lambda minute: str(T0 // 1000 + minute * 60),
        lambda minute: str(T0 + minute * 60_000),
        lambda minute: f"2025-12-18 {minute // 60:02}:{minute % 60:02}:00+00:00",
        lambda minute: f"2025-12-18T{minute // 60:02}:{minute % 60:02}:00Z",
    ],
    ids=["seconds", "milliseconds", "iso", "iso-t-z"],
)
def test_every_time_format_gives_the_same_candles(tmp_path: Path, stamp: object) -> None:
    lines = [f"{stamp(minute)},10,12,9,11,5" for minute in range(300)]  # type: ignore[operator]
    candles, summary = read(write(tmp_path, "Date,Open,HIGH,low,Close,Volume", *lines))
    assert minutes(candles) == list(range(300))
    assert {candle.interval_ms for candle in candles} == {60_000}
    assert summary == FeedSummary()


def test_columns_in_any_order_and_unknown_ones_are_noted_once(tmp_path: Path) -> None:
    path = write(tmp_path, "close,trades,volume,timestamp,low,high,open,note", *(
        f"11,7,5,{T0 + minute * 60_000},9,12,10,hello" for minute in range(3)
    ))  # fmt: skip
    candles, summary = read(path)
    assert (candles[0].open, candles[0].high, candles[0].low, candles[0].close) == (10, 12, 9, 11)
    assert summary.notes == ["X_1m.csv: columns ignored: trades, note"]


REFUSED = [
    ("no volume", ["timestamp,open,high,low,close", "1,2,3,4,5"], "no column for volume"),
    ("no header", [row(0), row(1)], "no column for time, open"),
    ("empty", [], "is empty"),
    ("two columns of a name", ["timestamp,open,high,low,close,close,volume"], "two columns named close"),
    ("bar length not shown", [HEADER, row(0)], "how long its bars are"),
    ("trades without price", ["timestamp,qty", "1,2"], "no column for open, high"),
]


@pytest.mark.parametrize(("lines", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_a_file_that_is_no_recording_is_refused_by_name(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        read(write(tmp_path, *lines))
    assert "X_1m.csv" in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / "none.csv")


def test_a_damaged_gzip_is_refused_when_its_damage_is_met(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, *(row(minute) for minute in range(50_000)))
    packed = gzip.compress(path.read_bytes())
    path.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(UsageError, match="damaged"):
        read(path)


def test_no_instrument_named_anywhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no instrument column"):
        read(write(tmp_path, HEADER, row(0), row(1)), None)


def test_many_instruments_in_one_file_keep_their_own_order(tmp_path: Path) -> None:
    path = write(tmp_path, f"symbol,{HEADER}", *(
        f"{symbol},{row(minute)}" for minute in range(3) for symbol in ("AAA", "BBB", "AAA")
    ))  # fmt: skip
    candles, summary = read(path, None, resolve=lambda name: f"paper:{name}")
    assert [candle.instrument for candle in candles] == ["paper:AAA", "paper:BBB"] * 3
    assert summary.skipped == {"DUPLICATE": 3}


def test_a_second_instrument_in_a_file_said_to_hold_one_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path, f"symbol,{HEADER}", f"AAA,{row(0)}", f"BBB,{row(0)}", f"AAA,{row(1)}")
    candles, summary = read(path, interval_ms=60_000)
    assert [candle.instrument for candle in candles] == ["paper:X", "paper:X"]
    assert summary.skipped == {"OTHER_INSTRUMENT": 1}


def test_gaps_and_closed_hours_are_said_and_not_skipped(tmp_path: Path) -> None:
    candles, summary = read(write(tmp_path, HEADER, *(row(minute) for minute in (0, 1, 2, 5, 6, 100, 101))))
    assert len(candles) == 7
    assert summary.rows_skipped == 0
    assert summary.notes == [
        "X_1m.csv: paper:X: 1 gap, 2 bars missing (2 from 2025-12-18T00:03:00.000Z)",
        "X_1m.csv: paper:X: 1 pause of more than 30 bars taken for closed hours (93 from 2025-12-18T00:07:00.000Z)",
    ]


def test_prices_are_rounded_to_the_tick_where_asked(tmp_path: Path) -> None:
    noisy = "304.80999755859375,306.8999938964844,303.6400146484375,304.04998779296875,5"
    candles, summary = read(write(tmp_path, HEADER, row(0, noisy), row(1, noisy)), quantize=Decimal("0.01"))
    assert str(candles[1].open) == "304.81"
    assert str(candles[0].high) == "306.90"
    assert summary.notes == ["X_1m.csv: prices rounded to the instrument's tick"]


def test_the_hash_is_of_the_files_bytes_and_progress_ends_at_one(tmp_path: Path) -> None:
    path = write(tmp_path, HEADER, row(0), row(1))
    recording = Recording(path, "paper:X")
    assert recording.progress == 0
    assert len(list(recording.candles(SOURCE, FeedSummary()))) == 2
    assert recording.progress == 1


def test_a_short_recording_is_not_at_its_end_from_the_start(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    rows = "".join(f"{T0 + minute * 60_000},10,12,9,10,5\n" for minute in range(1000))
    path.write_text("timestamp,open,high,low,close,volume\n" + rows)
    recording = Recording(path, "X")
    shown = [recording.progress for _ in recording.candles(SOURCE, FeedSummary())]
    assert shown[0] < 0.01
    assert 0.4 < shown[500] < 0.6
    assert shown[-1] < 1 == recording.progress
    assert recording.sha256 == __import__("hashlib").sha256(path.read_bytes()).hexdigest()


def test_windows_line_ends_a_byte_order_mark_and_no_last_line_break_are_read(tmp_path: Path) -> None:
    path = tmp_path / "w.csv"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([HEADER, row(0), "", row(1)]).encode())
    candles, summary = read(path)
    assert minutes(candles) == [0, 1]
    assert summary.rows_skipped == 0


def test_a_file_longer_than_a_block_keeps_its_row_numbers(tmp_path: Path) -> None:
    lines = [row(minute) for minute in range(20_000)]
    lines[15_000] = row(15_000, "10,12,0,11,5")
    candles, summary = read(write(tmp_path, HEADER, *lines))
    assert len(candles) == 19_999
    assert summary.first_skips == ["X_1m.csv:15002 NOT_POSITIVE"]


TRADES = "timestamp,price,amount,side,id"


def trade(ms: int, price: str, qty: str = "1", trade_id: str = "") -> str:
    return f"{T0 + ms},{price},{qty},buy,{trade_id or ms}"


def test_trades_become_closed_candles_only(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        TRADES,
        trade(-500, "90"),
        trade(1_000, "100"),
        trade(20_000, "105", "2"),
        trade(59_999, "101"),
        trade(60_000, "102"),
        trade(240_000, "103"),
    )
    candles, summary = read(path)
    assert [(c.ts_ms - T0, c.open, c.high, c.low, c.close, c.volume) for c in candles] == [
        (0, 100, 105, 100, 101, 4),
        (60_000, 102, 102, 102, 102, 1),
    ]
    assert summary.notes[0].endswith("are left out, for trades do not fill them")


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (trade(30_000, "100", "1", "20000"), "DUPLICATE"),
        (trade(10_000, "100"), "OUT_OF_ORDER"),
        (trade(30_000, "0"), "NOT_POSITIVE"),
        (trade(30_000, "100", "0"), "NOT_POSITIVE"),
        (trade(30_000, "100", "-1"), "NOT_POSITIVE"),
        (trade(30_000, "nan"), "NAN"),
        (f"{T0},1", "SHORT_ROW"),
    ],
)
def test_a_trade_that_breaks_a_rule_is_left_out(tmp_path: Path, line: str, rule: str) -> None:
    path = write(tmp_path, TRADES, trade(0, "100"), trade(20_000, "101"), line, trade(60_000, "102"))
    candles, summary = read(path)
    assert [(candle.close, candle.volume) for candle in candles] == [(101, 2)]
    assert summary.skipped == {rule: 1}


SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
RECORDED = [
    ("candles_1m_btc_2026-01/BTCUSDT_1m.csv.gz", 63_643, 60_000),
    ("candles_5m_crash_2025-10/BTCUSDT_5m.csv.gz", 6_912, 300_000),
    ("candles_5m_ftx_2022-11/SOLUSDT_5m.csv.gz", 10_656, 300_000),
    ("candles_5m_ftx_2022-11/DOGEUSDT_5m.csv.gz", 10_656, 300_000),
]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the recordings for development are not beside this checkout")
@pytest.mark.parametrize(("name", "bars", "interval_ms"), RECORDED)
def test_real_recordings_are_read_whole(name: str, bars: int, interval_ms: int) -> None:
    candles, summary = read(SHARED / name)
    assert (len(candles), summary.rows_skipped, summary.notes) == (bars, 0, [])
    assert {candle.interval_ms for candle in candles} == {interval_ms}


def test_the_key_of_a_file_is_its_name_before_the_first_underscore() -> None:
    assert [name_key(Path(name)) for name in ("AAPL_1m_2026-07-31.csv.gz", "BTCUSDT.csv", "x/EURUSD_1h.csv")] == [
        "AAPL",
        "BTCUSDT",
        "EURUSD",
    ]
