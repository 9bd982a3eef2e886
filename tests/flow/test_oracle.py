"""A trading oracle that we did not write: backtesting.py makes the same trades of the same cross as our replay does."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.market.recordings import bundled
from tests.bench.candles import RECORDING
from tests.bench.settings import BTC, EUR, Market

pytest.importorskip("backtesting", reason="the bench extra is not installed: pip install .[bench]")

from tests.bench.oracle import ours, theirs  # it stands on that extra

RECORDINGS = [pytest.param(bundled("eurusd"), EUR, id="bundled EUR/USD hours")]
if RECORDING.exists():
    RECORDINGS.append(pytest.param(RECORDING, BTC, id="recorded BTC/USDT minutes"))


@pytest.mark.parametrize(("file", "market"), RECORDINGS)
def test_sma_cross_trades_as_backtesting_py_does_at_the_same_bars_prices_and_final_equity(
    file: Path, market: Market, tmp_path: Path
) -> None:
    expected, found = theirs(file, market), ours(file, market, tmp_path)
    assert len(expected.deals) > 50
    for mine, other in zip(found.deals, expected.deals, strict=False):
        assert mine == other
    assert len(found.deals) == len(expected.deals)
    assert found.equity == expected.equity
