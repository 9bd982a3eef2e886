"""Indicators against plain Python, cold and warm, and the same however the history was cut."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from itertools import pairwise
from statistics import fmean, pstdev

import pytest

from engine.domain.market import Candle, Source, SourceKind
from engine.errors import UsageError
from engine.market.indicators import Indicators, parse
from engine.market.series import Series

SOURCE = Source(kind=SourceKind.SIMULATED, name="test")


def bars(count: int, seed: int = 7) -> list[Candle]:
    rng, close, made = random.Random(seed), 100.0, []
    for index in range(count):
        opened, close = close, max(1.0, close + rng.uniform(-2, 2))
        high, low = max(opened, close) + rng.random(), min(opened, close) - rng.random()
        o, h, low, c, v = (Decimal(f"{value:.2f}") for value in (opened, high, low, close, rng.uniform(0, 50)))
        made.append(Candle("x", index * 60_000, 60_000, o, h, low, c, v, SOURCE))
    return made


def series_of(candles: list[Candle], window: int = 600) -> Series:
    series = Series(window)
    for candle in candles:
        series.append(candle)
    return series


def column(candles: list[Candle], name: str) -> list[float]:
    return [float(getattr(candle, name)) for candle in candles]


# The references: written out from the definitions, over the whole history.


def sma(values: list[float], n: int) -> float:
    return fmean(values[-n:])


def ema_line(values: list[float], n: int) -> list[float]:
    line = [fmean(values[:n])]
    for value in values[n:]:
        line.append(line[-1] + (value - line[-1]) * 2 / (n + 1))
    return line


def wilder(values: list[float], n: int) -> float:
    average = fmean(values[:n])
    for value in values[n:]:
        average = (average * (n - 1) + value) / n
    return average


def rsi(closes: list[float], n: int) -> float:
    moves = [after - before for before, after in pairwise(closes)]
    gain, loss = wilder([max(move, 0) for move in moves], n), wilder([max(-move, 0) for move in moves], n)
    return 100 * gain / (gain + loss)


def macd(closes: list[float], fast: int, slow: int, signal: int) -> tuple[float, float, float]:
    # TA-Lib starts the fast average so that both have their first value at the same bar
    quick, long = ema_line(closes[slow - fast :], fast), ema_line(closes, slow)
    line = [one - other for one, other in zip(quick, long, strict=True)]
    average = ema_line(line, signal)[-1]
    return line[-1], average, line[-1] - average


def atr(candles: list[Candle], n: int) -> float:
    high, low, close = (column(candles, name) for name in ("high", "low", "close"))
    ranges = [
        max(top, before) - min(bottom, before)
        for top, bottom, before in zip(high[1:], low[1:], close[:-1], strict=True)
    ]
    return wilder(ranges, n)


def expected(candles: list[Candle]) -> dict[str, float]:
    close, volume = column(candles, "close"), column(candles, "volume")
    line, signal, difference = macd(close, 5, 9, 4)
    middle, width = sma(close, 10), 1.5 * pstdev(close[-10:])
    returns = [after / before - 1 for before, after in pairwise(close)]
    return {
        "close": close[-1],
        "sma_5": sma(close, 5),
        "ema_8": ema_line(close, 8)[-1],
        "rsi_7": rsi(close, 7),
        "macd_5_9_4": line,
        "macd_signal_5_9_4": signal,
        "macd_hist_5_9_4": difference,
        "bollinger_upper_10_1_5": middle + width,
        "bollinger_middle_10_1_5": middle,
        "bollinger_lower_10_1_5": middle - width,
        "atr_6": atr(candles, 6),
        "volume_avg_5": sma(volume, 5),
        "volatility_6": pstdev(returns[-6:]),
        "highest_4": max(column(candles[-5:-1], "high")),
        "lowest_4": min(column(candles[-5:-1], "low")),
    }


SPECS = (
    "close",
    "sma:5",
    "ema:8",
    "rsi:7",
    "macd:5,9,4",
    "bollinger:10,1.5",
    "atr:6",
    "volume_avg:5",
    "volatility:6",
    "highest:4",
    "lowest:4",
)


@pytest.mark.parametrize("count", [14, 40, 200])
def test_values_are_those_of_the_definitions(count: int) -> None:
    candles = bars(count)
    indicators = Indicators(SPECS)
    found = indicators.compute(series_of(candles))
    for name, value in expected(candles).items():
        assert found[name] == pytest.approx(value, rel=1e-7, abs=1e-9), name
        assert found[f"{name}_prev"] == pytest.approx(expected(candles[:-1])[name], rel=1e-7, abs=1e-9), name
    assert set(found) == {*indicators.names, *(f"{name}_prev" for name in indicators.names)}


WARM_UP = {
    "close": 1,
    "sma:5": 5,
    "ema:8": 8,
    "rsi:7": 8,
    "macd:5,9,4": 12,
    "bollinger:10,2": 10,
    "atr:6": 7,
    "volume_avg:5": 5,
    "volatility:6": 7,
    "highest:4": 5,
    "lowest:4": 5,
}


@pytest.mark.parametrize(("spec", "warm_up"), WARM_UP.items())
def test_every_value_is_nan_until_its_indicator_is_warm_and_never_after(spec: str, warm_up: int) -> None:
    indicators, series = Indicators([spec]), Series(600)
    assert parse(spec).warm_up == warm_up
    for count, candle in enumerate(bars(40), 1):
        series.append(candle)
        found = indicators.compute(series)
        for name in indicators.names:
            assert math.isnan(found[name]) == (count < warm_up), (count, name)
            assert math.isnan(found[f"{name}_prev"]) == (count < warm_up + 1), (count, name)
    assert indicators.warm_up == warm_up + 1


def test_previous_is_what_was_computed_at_the_bar_before_also_after_bars_without_a_look() -> None:
    steady, skipping = Indicators(SPECS), Indicators(SPECS)
    series = Series(600)
    for count, candle in enumerate(bars(900)):
        series.append(candle)
        found = steady.compute(series)
        if count % 7 in (0, 1, 5):
            assert str(skipping.compute(series)) == str(found)


def test_values_are_the_same_wherever_the_history_starts_once_the_window_is_full() -> None:
    candles = bars(1500)
    indicators = Indicators([*SPECS, "ema:50", "rsi:30"])
    whole, cut = series_of(candles, 300), series_of(candles[-indicators.window :], 900)
    assert Indicators([*SPECS, "ema:50", "rsi:30"]).compute(whole) == indicators.compute(cut)


def test_an_indicator_does_not_depend_on_its_company() -> None:
    series = series_of(bars(1200), 2000)
    alone, among = Indicators(["ema:50"]), Indicators(["ema:50", "sma:400", "ema:300"])
    assert alone.compute(series)["ema_50"] == among.compute(series)["ema_50"]


def test_values_have_ten_significant_digits() -> None:
    found = Indicators(["sma:7"]).compute(series_of(bars(30)))
    assert all(value == float(f"{value:.10g}") for value in found.values())


def test_asked_twice_at_one_bar_previous_stays() -> None:
    series = series_of(bars(30))
    indicators = Indicators(["sma:5"])
    assert indicators.compute(series) == indicators.compute(series)


def test_one_set_serves_several_series() -> None:
    one, other = series_of(bars(30, seed=1)), series_of(bars(30, seed=2))
    shared = Indicators(["sma:5"])
    first = shared.compute(one)
    assert shared.compute(other) == Indicators(["sma:5"]).compute(other)
    assert shared.compute(one) == first


def test_rsi_of_a_price_that_stands_still_is_neutral() -> None:
    five = Decimal(5)
    flat = [Candle("x", i * 60_000, 60_000, five, five, five, five, five, SOURCE) for i in range(40)]
    assert Indicators(["rsi:14"]).compute(series_of(flat))["rsi_14"] == 50


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("smma:20", "did you mean sma:20"),
        ("bolinger:20,2", "did you mean bollinger:20,2"),
        ("vwap", "did you mean close, sma:20"),
        ("sma", "write it as sma:20"),
        ("sma:x", "write it as sma:20"),
        ("sma:1", "periods from 2 to 5000"),
        ("sma:20,5", "write it as sma:20"),
        ("macd:26,12,9", "write it as macd:12,26,9"),
        ("bollinger:20,nan", "write it as bollinger:20,2"),
        ("close:5", "write it as close"),
    ],
)
def test_a_spec_that_cannot_be_read_says_what_was_meant(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Indicators([spec])


def test_a_series_keeps_its_window_over_many_bars() -> None:
    candles, series = bars(1000), Series(50)
    for count, candle in enumerate(candles, 1):
        series.append(candle)
        if count == 333:
            series.use(["close"])
        if count > 333:
            closes = column(candles[:count], "close")
            assert series.tail("close", 50).tolist() == closes[-50:]
            assert series.tail("close", 10, back=3).tolist() == closes[-13:-3]
    assert series.last is candles[-1]
    assert series.tail("high", 20).tolist() == column(candles, "high")[-20:]


def test_a_series_grows_when_indicators_need_more_and_loses_nothing() -> None:
    candles, series, other = bars(700), Series(40), Series(1000)
    for count, candle in enumerate(candles, 1):
        series.append(candle)
        other.append(candle)
        if count == 30:
            assert Indicators(["sma:20"]).compute(series) == Indicators(["sma:20"]).compute(other)
            series.reserve(10)
        if count == 35:
            assert math.isnan(Indicators(["ema:90"]).compute(series)["ema_90"])
    assert series.window == 361
    assert Indicators(["ema:90", "sma:20"]).compute(series) == Indicators(["ema:90", "sma:20"]).compute(other)
