"""The oracle: a backtester that is not ours must make the same trades, bar by bar, of the same cross."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.bench.peers import read_frame, run_backtesting
from tests.bench.settings import Market, write_config

DIGITS = 10  # our features have as many: equal averages are then equal in both
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Deal:
    """One fill. bar: index of the candle at whose open it was."""

    bar: int
    side: str
    qty: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to; equity to the cent."""

    deals: list[Deal]
    equity: Decimal


def ours(file: Path, market: Market, folder: Path) -> Outcome:
    """Replay the file through our whole pipeline, and read the fills back from the store."""
    from engine.runtime.reads import export
    from engine.runtime.replay import ReplayOptions, replay

    agent, store, out = write_config(folder, market), folder / "store", io.StringIO()
    summary = replay(
        ReplayOptions(
            files=(file,), agents=(str(agent),), policy=folder / "policy.toml", config_dir=folder, store=store
        )
    )
    export(store, "fills", "json", out)
    opens = {stamp: bar for bar, stamp in enumerate(read_frame(file).index)}
    deals = [_deal(fill, opens) for fill in json.loads(out.getvalue())]
    return Outcome(deals, Decimal(summary["equity_end"]).quantize(CENT))


def _deal(fill: dict[str, str], opens: dict[Any, int]) -> Deal:
    stamp = datetime.fromisoformat(fill["ts"]).replace(tzinfo=None)
    return Deal(opens[stamp], fill["side"], Decimal(fill["qty"]), Decimal(fill["price"]))


def theirs(file: Path, market: Market) -> Outcome:
    """Run the same cross in backtesting.py."""
    stats, still_open = run_backtesting(read_frame(file), units=market.units, digits=DIGITS)
    deals = [deal for trade in stats["_trades"].itertuples() for deal in _both(trade)]
    deals += [Deal(trade.entry_bar, "BUY", _exact(trade.size), _exact(trade.entry_price)) for trade in still_open]
    deals.sort(key=lambda deal: deal.bar)
    return Outcome(deals, _exact(stats["Equity Final [$]"]).quantize(CENT))


def _both(trade: Any) -> Iterable[Deal]:
    qty = _exact(trade.Size)
    yield Deal(trade.EntryBar, "BUY", qty, _exact(trade.EntryPrice))
    yield Deal(trade.ExitBar, "SELL", qty, _exact(trade.ExitPrice))


def _exact(number: Any) -> Decimal:
    return Decimal(repr(float(number)))
