"""Bars a second and peak memory: our replay with the full pipeline and its journal, beside two backtesters."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.candles import write_candles
from tests.bench.child import Result, run_child
from tests.bench.report import Row, middle, spread
from tests.bench.settings import BTC, write_config

AREA_PEERS = "SMA 20/50 cross on {:,} one-minute candles"
AREA_SIZE = "The same, ours alone, by length"
TIMES_BACKTRADER_MIN, PACE_KEPT_MIN, PEAK_MB_MAX = 2.0, 0.85, 250.0
CENT = 0.005


def measure_peers(folder: Path, bars: int, rounds: int) -> Iterator[Row]:
    """Run all three in turns, so many rounds, on the same file."""
    file, area = write_candles(folder, bars), AREA_PEERS.format(bars)
    runners: dict[str, Callable[[], Result]] = {
        "quarterdeck": lambda: _ours(folder, file, "peers"),
        "backtesting": lambda: run_child("peers", "backtesting", file),
        "backtrader": lambda: run_child("peers", "backtrader", file),
    }
    runs: dict[str, list[Result]] = {name: [] for name in runners}
    for _ in range(rounds):
        for name, run in runners.items():
            runs[name].append(run())
    for name, results in runs.items():
        yield from _rows(area, name, results)
    yield from _against(area, runs)


def measure_lengths(folder: Path, short: int, long: int, rounds: int) -> Iterator[Row]:
    """Run ours on a short and on a long file in turns: the pace must keep, the memory must not grow."""
    runs: dict[int, list[Result]] = {short: [], long: []}
    for _ in range(rounds):
        for bars, results in runs.items():
            results.append(_ours(folder, write_candles(folder, bars), f"length-{bars}"))
    for bars, results in runs.items():
        rates = [_rate(result) for result in results]
        yield Row(
            area=AREA_SIZE, what=f"{bars:,} bars", value=middle(rates), unit="bars/s", note=spread(rates, "bars/s")
        )
    kept = middle(map(_rate, runs[long])) / middle(map(_rate, runs[short]))
    yield Row(area=AREA_SIZE, what="pace kept", value=kept, unit="x", at_least=PACE_KEPT_MIN)
    peak = max(result["peak_mb"] for result in runs[long])
    yield Row(
        area=AREA_SIZE, what=f"peak memory at {long:,} bars", value=peak, unit="MB", at_most=PEAK_MB_MAX,
        note=f"{max(result['peak_mb'] for result in runs[short]):.0f} MB at {short:,}",
    )  # fmt: skip


def _ours(folder: Path, file: Path, name: str) -> Result:
    home = folder / name
    shutil.rmtree(home, ignore_errors=True)
    return run_child("ours", "replay", file, write_config(home, BTC), home / "store")


def _pace(results: list[Result]) -> tuple[float, float]:
    """Return bars a second of the fastest run, and of the run that took the least CPU time."""
    return max(map(_rate, results)), max(result["bars"] / result["cpu_s"] for result in results)


def _rate(result: Result) -> float:
    return result["bars"] / result["run_s"]


def _rows(area: str, name: str, results: list[Result]) -> Iterator[Row]:
    if "missing" in results[0]:
        yield Row(area=area, what=name, value=None, unit="", note=results[0]["missing"])
        return
    rates, last = [_rate(result) for result in results], results[-1]
    title = f"{name} {last.get('version', '')}".strip()
    whole = middle(result["process_s"] for result in results)
    yield Row(
        area=area, what=title, value=middle(rates), unit="bars/s",
        note=f"{spread(rates, 'bars/s')}; {last['fills']:,} fills, equity {last['equity_end']:,.2f}; "
        f"{whole:.1f} s with start and imports",
    )  # fmt: skip
    yield Row(
        area=area, what=f"{title}, peak memory", value=max(result["peak_mb"] for result in results), unit="MB",
        at_most=PEAK_MB_MAX if name == "quarterdeck" else None,
    )  # fmt: skip


def _against(area: str, runs: dict[str, list[Result]]) -> Iterator[Row]:
    there = {name: results for name, results in runs.items() if "missing" not in results[0]}
    mine, mine_cpu = _pace(there["quarterdeck"])
    for name in ("backtrader", "backtesting"):
        if name in there:
            pace, pace_cpu = _pace(there[name])
            yield Row(
                area=area, what=f"ours against {name}", value=mine / pace, unit="x",
                at_least=TIMES_BACKTRADER_MIN if name == "backtrader" else None,
                note=f"the fastest run of each; {mine_cpu / pace_cpu:.2f} x by CPU time, which minds other work less",
            )  # fmt: skip
    ends = [results[-1]["equity_end"] for results in there.values()]
    fills = {results[-1]["fills"] for results in there.values()}
    same = len(fills) == 1 and max(ends) - min(ends) < CENT
    yield Row(
        area=area, what="all make as many fills and the same equity to the cent", value=float(same), unit="", at_least=1
    )
