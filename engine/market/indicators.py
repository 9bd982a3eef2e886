"""Indicators by TA-Lib over a fixed tail of closed bars, so that live and replay give the same values.

A value is NaN until its indicator is warm, and rounded to 10 significant digits. floats live here and in features,
never in money.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from inspect import unwrap
from math import nan

import numpy as np

from engine.errors import UsageError
from engine.market.series import Series
from engine.market.talib_alone import talib

# Without the look for pandas objects that the public names do on each call.
_SMA, _EMA, _RSI, _MACD = unwrap(talib.SMA), unwrap(talib.EMA), unwrap(talib.RSI), unwrap(talib.MACD)
_BBANDS, _ATR, _STDDEV = unwrap(talib.BBANDS), unwrap(talib.ATR), unwrap(talib.STDDEV)

_WINDOW_MIN = 256
_PERIOD_MAX = 5000
_FORMS = {
    "close": "close",
    "sma": "sma:20",
    "ema": "ema:20",
    "rsi": "rsi:14",
    "macd": "macd:12,26,9",
    "bollinger": "bollinger:20,2",
    "atr": "atr:14",
    "volume_avg": "volume_avg:20",
    "volatility": "volatility:20",
    "highest": "highest:20",
    "lowest": "lowest:20",
}

_Values = tuple[float, ...]
_Compute = Callable[[Series, int], _Values]


class Indicator:
    """One indicator made from its spec. names: of its values, in order. warm_up: bars until they are finite.

    window: bars it looks at, at most: a recursive one sees max(256, 4 periods), however long the history is.
    """

    __slots__ = ("columns", "compute", "names", "spec", "warm_up", "window")

    def __init__(
        self,
        spec: str,
        names: tuple[str, ...],
        warm_up: int,
        window: int,
        compute: _Compute,
        columns: tuple[str, ...] = ("close",),
    ) -> None:
        self.spec, self.names, self.warm_up, self.window = spec, names, warm_up, window
        self.compute, self.columns = compute, columns


class Indicators:
    """A set of indicators for the series of one timeframe; keeps the latest values of each series it is given.

    warm_up: bars until every value is finite, the previous bar's included. window: bars a Series must hold.
    """

    def __init__(self, specs: Iterable[str]) -> None:
        self.indicators = [parse(spec) for spec in dict.fromkeys(spec.strip() for spec in specs)]
        self.names = [name for indicator in self.indicators for name in indicator.names]
        self.warm_up = max((indicator.warm_up for indicator in self.indicators), default=0) + 1
        self.window = max((indicator.window for indicator in self.indicators), default=1) + 1
        self._keys = [*self.names, *(f"{name}_prev" for name in self.names)]
        self._columns = sorted({column for indicator in self.indicators for column in indicator.columns})
        self._computes = [indicator.compute for indicator in self.indicators]
        self._latest: dict[Series, tuple[int, list[float], dict[str, float]]] = {}

    def compute(self, series: Series) -> dict[str, float]:
        """Return name -> value at the latest bar, and name_prev -> value at the bar before; NaN until warm."""
        count = series.count
        kept = self._latest.get(series)
        if kept is None:
            series.reserve(self.window)
            series.use(self._columns)
            before = self._values(series, 1)
        elif kept[0] == count:
            return kept[2]
        else:
            before = kept[1] if kept[0] == count - 1 else self._values(series, 1)
        now = self._values(series, 0)
        found = dict(zip(self._keys, now + before))  # noqa: B905 - as many by construction; asking costs at every bar
        self._latest[series] = count, now, found
        return found

    def _values(self, series: Series, back: int) -> list[float]:
        bars, end = series.count - back, series.end - back
        if bars < self.warm_up:
            return [value for each in self.indicators for value in _cold_or_warm(each, series, bars, end)]
        # the quickest way to 10 digits there is
        return [float("%.10g" % value) for compute in self._computes for value in compute(series, end)]  # noqa: UP031


def _cold_or_warm(indicator: Indicator, series: Series, bars: int, end: int) -> Iterable[float]:
    if bars < indicator.warm_up:
        return (nan,) * len(indicator.names)
    return [float(f"{value:.10g}") for value in indicator.compute(series, end)]


def parse(spec: str) -> Indicator:
    """Make the indicator that a spec such as "sma:20" names. Raises UsageError with what was probably meant."""
    kind, _, written = spec.partition(":")
    build = _BUILDERS.get(kind)
    if build is None:
        close = difflib.get_close_matches(kind, _FORMS, n=2, cutoff=0.5)
        meant = " or ".join(_FORMS[name] for name in close) or ", ".join(_FORMS.values())
        raise UsageError(f'There is no indicator "{spec}"; did you mean {meant}?')
    try:
        return build(spec, *(part.strip() for part in written.split(",") if written))
    except (TypeError, ValueError):
        raise UsageError(
            f'The indicator "{spec}" cannot be read; write it as {_FORMS[kind]}, periods from 2 to {_PERIOD_MAX}.'
        ) from None


def _period(text: str) -> int:
    period = int(text)
    if not 2 <= period <= _PERIOD_MAX:
        raise ValueError
    return period


def _memory(period: int) -> int:
    return max(_WINDOW_MIN, 4 * period)


def _first(end: int, window: int) -> int:
    return end - window if end > window else 0


def _close(spec: str) -> Indicator:
    """The close itself; warm with the first bar."""
    return Indicator(spec, ("close",), 1, 1, lambda series, end: (series.close.item(end - 1),))


def _sma(spec: str, n: str) -> Indicator:
    """Simple moving average of the close; warm after n bars."""
    period = _period(n)

    def compute(series: Series, end: int) -> _Values:
        return (_SMA(series.close[end - period : end], period).item(-1),)

    return Indicator(spec, (f"sma_{period}",), period, period, compute)


def _volume_avg(spec: str, n: str) -> Indicator:
    """Simple moving average of the volume; warm after n bars."""
    period = _period(n)

    def compute(series: Series, end: int) -> _Values:
        return (_SMA(series.volume[end - period : end], period).item(-1),)

    return Indicator(spec, (f"volume_avg_{period}",), period, period, compute, ("volume",))


def _ema(spec: str, n: str) -> Indicator:
    """Exponential moving average of the close, started by the mean of the first n; warm after n bars."""
    period = _period(n)
    window = _memory(period)

    def compute(series: Series, end: int) -> _Values:
        return (_EMA(series.close[_first(end, window) : end], period).item(-1),)

    return Indicator(spec, (f"ema_{period}",), period, window, compute)


def _rsi(spec: str, n: str) -> Indicator:
    """Relative strength index with Wilder's smoothing, 0 to 100; 50 while the price stands still; warm after n + 1."""
    period = _period(n)
    window = _memory(period)

    def compute(series: Series, end: int) -> _Values:
        value = _RSI(series.close[_first(end, window) : end], period).item(-1)
        # TA-Lib says 0 for no movement at all, which would read as oversold
        if value == 0 and not np.ptp(series.close[end - period - 1 : end]):
            value = 50.0
        return (value,)

    return Indicator(spec, (f"rsi_{period}",), period + 1, window, compute)


def _macd(spec: str, fast: str, slow: str, signal: str) -> Indicator:
    """Difference of a fast and a slow EMA, its signal EMA, and theirs; warm after slow + signal - 1 bars."""
    quick, long, smooth = _period(fast), _period(slow), _period(signal)
    if quick >= long:
        raise ValueError
    window = _memory(long + smooth)
    tail = f"{quick}_{long}_{smooth}"

    def compute(series: Series, end: int) -> _Values:
        line, average, difference = _MACD(series.close[_first(end, window) : end], quick, long, smooth)
        return line.item(-1), average.item(-1), difference.item(-1)

    names = f"macd_{tail}", f"macd_signal_{tail}", f"macd_hist_{tail}"
    return Indicator(spec, names, long + smooth - 1, window, compute)


def _bollinger(spec: str, n: str, width: str) -> Indicator:
    """SMA of n closes, and it plus and minus width population standard deviations of them; warm after n bars."""
    period, deviations = _period(n), float(width)
    if not 0 < deviations <= 10:
        raise ValueError
    tail = f"{period}_{deviations:g}".replace(".", "_")

    def compute(series: Series, end: int) -> _Values:
        upper, middle, lower = _BBANDS(series.close[end - period : end], period, deviations, deviations)
        return upper.item(-1), middle.item(-1), lower.item(-1)

    names = f"bollinger_upper_{tail}", f"bollinger_middle_{tail}", f"bollinger_lower_{tail}"
    return Indicator(spec, names, period, period, compute)


def _atr(spec: str, n: str) -> Indicator:
    """Average true range with Wilder's smoothing, in quote; warm after n + 1 bars."""
    period = _period(n)
    window = _memory(period)

    def compute(series: Series, end: int) -> _Values:
        start = _first(end, window)
        return (_ATR(series.high[start:end], series.low[start:end], series.close[start:end], period).item(-1),)

    return Indicator(spec, (f"atr_{period}",), period + 1, window, compute, ("high", "low", "close"))


def _volatility(spec: str, n: str) -> Indicator:
    """Population standard deviation of the last n returns close to close, per bar; warm after n + 1 bars."""
    period = _period(n)

    def compute(series: Series, end: int) -> _Values:
        close = series.close[end - period - 1 : end]
        return (_STDDEV(close[1:] / close[:-1] - 1, period).item(-1),)

    return Indicator(spec, (f"volatility_{period}",), period + 1, period + 1, compute)


def _highest(spec: str, n: str) -> Indicator:
    """Highest high of the n bars before the latest, which is not counted; warm after n + 1 bars."""
    period = _period(n)

    def compute(series: Series, end: int) -> _Values:
        return (series.high[end - period - 1 : end - 1].max().item(),)

    return Indicator(spec, (f"highest_{period}",), period + 1, period + 1, compute, ("high",))


def _lowest(spec: str, n: str) -> Indicator:
    """Lowest low of the n bars before the latest, which is not counted; warm after n + 1 bars."""
    period = _period(n)

    def compute(series: Series, end: int) -> _Values:
        return (series.low[end - period - 1 : end - 1].min().item(),)

    return Indicator(spec, (f"lowest_{period}",), period + 1, period + 1, compute, ("low",))


_BUILDERS: dict[str, Callable[..., Indicator]] = {
    "close": _close,
    "sma": _sma,
    "ema": _ema,
    "rsi": _rsi,
    "macd": _macd,
    "bollinger": _bollinger,
    "atr": _atr,
    "volume_avg": _volume_avg,
    "volatility": _volatility,
    "highest": _highest,
    "lowest": _lowest,
}
