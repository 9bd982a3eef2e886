"""The trade digest: what an agent's round trips have come to, by instrument, as a model is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.domain.memory import Memory, Record, Trade
from engine.domain.money import ZERO

_DAYS_30_MS = 30 * 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeDigestEntry:
    """One agent's round trips in one instrument. Money in quote; None: unknown, for nothing has ended yet.

    realized_pnl: after fees in quote. win_rate: 0..1. max_drawdown: deepest fall of the summed results below their
    highest. recent_performance_score: results of the last trips over the sum of their sizes, -1..1.
    """

    instrument: str
    trade_count: int
    realized_pnl: Decimal
    win_rate: float | None
    avg_holding_ms: int | None
    last_trade_ts: int | None
    avg_entry_price: Decimal | None
    max_drawdown: Decimal
    recent_performance_score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """An agent's last round trips over all instruments. win_rate None: none ended in 30 days."""

    recent_trades: tuple[Trade, ...]
    trades_30_days: int
    win_rate_30_days: float | None
    total_pnl_30_days: Decimal


def digest(memory: Memory, agent: str, instruments: tuple[str, ...]) -> tuple[TradeDigestEntry, ...]:
    """Return an agent's digest of the instruments it has traded, in the order given."""
    found = [(key, memory.records.get((agent, key))) for key in instruments]
    trades = memory.trades.get(agent, ())
    return tuple(_entry(key, record, trades) for key, record in found if record is not None)


def _entry(instrument: str, record: Record, trades: tuple[Trade, ...]) -> TradeDigestEntry:
    return TradeDigestEntry(
        instrument=instrument,
        trade_count=record.trades,
        realized_pnl=record.realized,
        win_rate=record.wins / record.trades if record.trades else None,
        avg_holding_ms=record.held_ms // record.trades if record.trades else None,
        last_trade_ts=record.last_ms or None,
        avg_entry_price=record.entry_cost / record.entry_qty if record.entry_qty else None,
        max_drawdown=record.drop,
        recent_performance_score=score([each.result for each in trades if each.instrument == instrument]),
    )


def score(results: list[Decimal]) -> float | None:
    """Return results over the sum of their sizes; None without any.

    >>> score([Decimal(30), Decimal(-10)]), score([Decimal(-5)]), score([])
    (0.5, -1.0, None)
    """
    size = sum((abs(each) for each in results), ZERO)
    return float(sum(results, ZERO) / size) if size else None


def performance(memory: Memory, agent: str, now_ms: int) -> Performance:
    """Return what an agent's last round trips came to; of 30 days, as far back as the last ones that are kept."""
    trades = memory.trades.get(agent, ())
    recent = [each for each in trades if each.ended_ms > now_ms - _DAYS_30_MS]
    wins = sum(each.result > 0 for each in recent)
    return Performance(
        recent_trades=trades,
        trades_30_days=len(recent),
        win_rate_30_days=wins / len(recent) if recent else None,
        total_pnl_30_days=sum((each.result for each in recent), ZERO),
    )
