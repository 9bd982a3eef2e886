"""The same moving-average cross in other people's backtesters, each run as a process of its own.

A cross is the same for all: the fast average was not above the slow one a bar ago and is now, and the other way round
for the way out; orders fill at the next bar's open. `python -m tests.bench.peers backtrader|backtesting FILE`.
"""

from __future__ import annotations

import sys
import time
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.bench.child import Result, Watch, report_child
from tests.bench.settings import CASH, FAST, SLOW, UNITS


def read_frame(path: Path) -> Any:
    """Read a recording as the two backtesters want it: capital letters, and the time as index."""
    pd = import_module("pandas")
    frame = pd.read_csv(path, index_col=0)
    frame.columns = [name.capitalize() for name in frame.columns]
    times = frame.index.to_series()
    epoch_ms = pd.api.types.is_integer_dtype(times)
    frame.index = pd.DatetimeIndex(pd.to_datetime(times, utc=True, unit="ms" if epoch_ms else None)).tz_localize(None)
    return frame


def run_backtesting(frame: Any, *, units: int = UNITS, digits: int | None = None) -> tuple[Any, list[Any]]:
    """Run the cross in backtesting.py; return its statistics and the trades still open at the end.

    digits: significant digits that the averages are rounded to before they are compared; None: as they come.
    """
    package, np, pd = import_module("backtesting"), import_module("numpy"), import_module("pandas")

    def average(values: Any, length: int) -> Any:
        mean = pd.Series(values).rolling(length).mean().to_numpy()
        return mean if digits is None else np.array([float(f"{value:.{digits}g}") for value in mean])

    class Cross(package.Strategy):
        def init(self) -> None:
            self.fast = self.I(average, self.data.Close, FAST)
            self.slow = self.I(average, self.data.Close, SLOW)

        def next(self) -> None:
            was_above, is_above = self.fast[-2] > self.slow[-2], self.fast[-1] > self.slow[-1]
            if self.position:
                if self.fast[-2] >= self.slow[-2] and self.fast[-1] < self.slow[-1]:
                    self.position.close()
            elif is_above and not was_above:
                self.buy(size=units)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a trade is open at the end is what we want
        stats = package.Backtest(frame, Cross, cash=CASH, commission=0, spread=0, trade_on_close=False).run()
    return stats, list(stats["_strategy"].trades)


def backtesting(path: Path) -> Result:
    """Time backtesting.py from the file to the final equity."""
    began = time.perf_counter()
    package = import_module("backtesting")
    import_s, watch = time.perf_counter() - began, Watch()
    frame = read_frame(path)
    stats, still_open = run_backtesting(frame)
    return {
        **watch.result,
        "import_s": import_s,
        "version": package.__version__,
        "bars": len(frame),
        "fills": 2 * len(stats["_trades"]) + len(still_open),
        "equity_end": float(stats["Equity Final [$]"]),
    }


def backtrader(path: Path) -> Result:
    """Time backtrader from the file to the final equity, without the observers it adds by itself."""
    began = time.perf_counter()
    bt, _pandas = import_module("backtrader"), import_module("pandas")
    import_s, watch, fills = time.perf_counter() - began, Watch(), 0

    class Cross(bt.Strategy):
        def __init__(self) -> None:
            self.fast = bt.indicators.SMA(self.data.close, period=FAST)
            self.slow = bt.indicators.SMA(self.data.close, period=SLOW)

        def next(self) -> None:
            if len(self) <= SLOW:
                return
            fast, slow, fast_before, slow_before = self.fast[0], self.slow[0], self.fast[-1], self.slow[-1]
            if self.position:
                if fast_before >= slow_before and fast < slow:
                    self.close()
            elif fast_before <= slow_before and fast > slow:
                self.buy(size=UNITS)

        def notify_order(self, order: Any) -> None:
            nonlocal fills
            fills += order.status == order.Completed

    cerebro = bt.Cerebro(stdstats=False)
    cerebro.broker.setcash(CASH)
    frame = read_frame(path)
    cerebro.adddata(bt.feeds.PandasData(dataname=frame))
    cerebro.addstrategy(Cross)
    cerebro.run()
    return {
        **watch.result,
        "import_s": import_s,
        "version": bt.__version__,
        "bars": len(frame),
        "fills": fills,
        "equity_end": cerebro.broker.getvalue(),
    }


if __name__ == "__main__":
    _, wanted, file = sys.argv
    report_child(lambda: {"backtrader": backtrader, "backtesting": backtesting}[wanted](Path(file)))
