"""What the books remember of each agent's trades and decisions: what LEARNING writes and PERCEPTION reads.

Folded from fills and decisions as they come, so that it needs no reading back and survives with the books. A late or
corrected fill counts from its arrival on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from decimal import Decimal

from engine.domain.conduct import Conduct
from engine.domain.decision import Direction, Disposition
from engine.domain.events import CycleItem
from engine.domain.instrument import Instrument
from engine.domain.money import ZERO
from engine.domain.order import Fill
from engine.domain.portfolio import Position
from engine.domain.values import quick_value

DECISIONS_KEPT = 8
TRADES_KEPT = 10
RATIONALE_CHARACTERS_KEPT = 160
_ACTED = (Disposition.ACTED, Disposition.AWAITING_APPROVAL)


@quick_value
class Trade:
    """One round trip that ended. result: in quote, after fees in quote. side: of its entry, +1 or -1."""

    instrument: str
    ended_ms: int
    side: int
    result: Decimal


@quick_value
class Record:
    """One agent's round trips in one instrument. Money in quote.

    realized: results of ended trips, after fees in quote. held_ms: time in position of all of them together.
    entry_qty, entry_cost: of all entries, for their mean price. peak: the highest realized; drop: the deepest below it.
    running, entered_ms, side: of the trip under way; side 0: none is.
    """

    trades: int = 0
    wins: int = 0
    realized: Decimal = ZERO
    held_ms: int = 0
    last_ms: int = 0
    entry_qty: Decimal = ZERO
    entry_cost: Decimal = ZERO
    peak: Decimal = ZERO
    drop: Decimal = ZERO
    running: Decimal = ZERO
    entered_ms: int = 0
    side: int = 0

    def after(self, before: Position, after: Position, fill: Fill, listed: Instrument) -> Record:
        """Return the record after a fill; one that flips the position ends a trip and begins the next."""
        fee = fill.fee if fill.fee_asset == listed.quote else ZERO
        grown = max(ZERO, abs(after.qty) - (abs(before.qty) if before.qty * after.qty >= 0 else ZERO))
        entry_qty, entry_cost = self.entry_qty + grown, self.entry_cost + grown * fill.price
        running = self.running + after.realized - before.realized - fee
        if abs(after.qty) >= listed.qty_step and before.qty * after.qty >= 0:
            side = self.side or (1 if after.qty > 0 else -1)
            entered_ms = self.entered_ms or fill.ts_ms
            return Record(
                self.trades, self.wins, self.realized, self.held_ms, self.last_ms, entry_qty, entry_cost, self.peak,
                self.drop, running, entered_ms, side,
            )  # fmt: skip
        ended = self._ended(running, fill.ts_ms, entry_qty, entry_cost)
        if abs(after.qty) < listed.qty_step:
            return ended
        return replace(ended, side=1 if after.qty > 0 else -1, entered_ms=fill.ts_ms)

    def _ended(self, result: Decimal, ts_ms: int, entry_qty: Decimal, entry_cost: Decimal) -> Record:
        realized = self.realized + result
        peak = max(self.peak, realized)
        return Record(
            trades=self.trades + 1,
            wins=self.wins + (result > 0),
            realized=realized,
            held_ms=self.held_ms + max(0, ts_ms - (self.entered_ms or ts_ms)),
            last_ms=ts_ms,
            entry_qty=entry_qty,
            entry_cost=entry_cost,
            peak=peak,
            drop=max(self.drop, peak - realized),
        )


@quick_value
class Remembered:
    """One decision. price: the mark it was made at. result: of the round trip it began, once that has ended."""

    ts_ms: int
    instrument: str
    direction: Direction
    disposition: Disposition
    current_qty: Decimal
    target_qty: Decimal
    confidence: Decimal | None
    price: Decimal | None
    bound_by: str
    rationale: str
    result: Decimal | None = None

    def with_result(self, result: Decimal) -> Remembered:
        """Return it with what its round trip came to."""
        return Remembered(
            self.ts_ms, self.instrument, self.direction, self.disposition, self.current_qty, self.target_qty,
            self.confidence, self.price, self.bound_by, self.rationale, result,
        )  # fmt: skip


@dataclass(slots=True)
class Memory:
    """records: by agent and instrument. decisions, trades: each agent's last, oldest first. conduct: 30 days of all."""

    records: dict[tuple[str, str], Record] = field(default_factory=dict)
    decisions: dict[str, tuple[Remembered, ...]] = field(default_factory=dict)
    trades: dict[str, tuple[Trade, ...]] = field(default_factory=dict)
    conduct: Conduct = field(default_factory=Conduct)

    def filled(self, before: Position, after: Position, fill: Fill, listed: Instrument) -> None:
        """Take in what a fill made of a position."""
        key = (after.agent, after.instrument)
        record = self.records.get(key) or Record()
        self.records[key] = now = record.after(before, after, fill, listed)
        if now.trades != record.trades:
            trade = Trade(after.instrument, fill.ts_ms, record.side, now.realized - record.realized)
            self.trades[after.agent] = (*self.trades.get(after.agent, ()), trade)[-TRADES_KEPT:]
            self._came_to(after.agent, trade)
            self.conduct.came_to(after.agent, trade.ended_ms, trade.result)

    def decided(self, ts_ms: int, agent: str, items: Collection[CycleItem]) -> None:
        """Take in the decisions of one cycle."""
        self.conduct.judged(ts_ms, agent, items)
        new = [
            Remembered(
                ts_ms, item.instrument, item.direction, item.disposition, item.current_qty, item.target_qty,
                item.confidence, item.price, item.bound_by, item.rationale[:RATIONALE_CHARACTERS_KEPT],
            )
            for item in items
        ]  # fmt: skip
        self.decisions[agent] = (*self.decisions.get(agent, ()), *new)[-DECISIONS_KEPT:]

    def forget(self, agent: str) -> None:
        """Leave nothing of an agent."""
        self.records = {key: each for key, each in self.records.items() if key[0] != agent}
        for kept in (self.decisions, self.trades, self.conduct.ended):
            kept.pop(agent, None)
        refused = self.conduct.refused_ms
        self.conduct.refused_ms = {key: each for key, each in refused.items() if key[0] != agent}

    def _came_to(self, agent: str, trade: Trade) -> None:
        """Write a trip's result beside the decisions that made it."""
        self.decisions[agent] = tuple(
            [
                one.with_result(trade.result)
                if one.result is None and one.disposition in _ACTED and one.instrument == trade.instrument
                else one
                for one in self.decisions.get(agent, ())
            ]
        )
