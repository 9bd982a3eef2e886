"""The decisions of the last days, with the prices that came after them: what a policy's effect is reckoned from."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from engine.domain.events import CycleDone, CycleItem, Filled
from engine.store.queries import first_at
from engine.store.reader import Question
from engine.store.rows import event_of

PAGE_ROWS = 500
_PAGE = f"""SELECT seq, ts_ms, kind, payload FROM journal WHERE kind IN ({CycleDone.KIND}, {Filled.KIND})
            AND seq >= ? AND seq < ? ORDER BY seq DESC LIMIT {PAGE_ROWS}"""
DECISIONS_MAX = 5_000


@dataclass(frozen=True, slots=True)
class Decided:
    """One instrument's part of a cycle."""

    ts_ms: int
    agent: str
    item: CycleItem


@dataclass(slots=True)
class History:
    """Decisions, oldest first, and prices by instrument in the order of their rows: (ms, price).

    whole: nothing was left out for being too much; since_ms: of the oldest row looked at.
    """

    since_ms: int
    decisions: list[Decided] = field(default_factory=list)
    prices: dict[str, list[tuple[int, Decimal]]] = field(default_factory=dict)
    whole: bool = True


def history(since_ms: int, decisions_max: int = DECISIONS_MAX) -> Question[History]:
    """Ask for the newest decisions since an instant, at most so many, and for the prices on record."""
    first = yield from first_at(since_ms)
    found, at = History(since_ms), 2**62
    while True:
        rows = yield _PAGE, (first, at)
        for _seq, ts_ms, kind, kept in rows:
            _take(found, ts_ms, event_of(kind, kept))
        if len(rows) < PAGE_ROWS:
            break
        if len(found.decisions) >= decisions_max:
            found.whole, found.since_ms = False, rows[-1][1]
            break
        at = rows[-1][0]
    found.decisions.reverse()
    for prices in found.prices.values():
        prices.reverse()
    return found


def _take(found: History, ts_ms: int, event: object) -> None:
    if isinstance(event, Filled):
        found.prices.setdefault(event.fill.instrument, []).append((ts_ms, event.fill.price))
    elif isinstance(event, CycleDone):
        for item in event.items:
            found.decisions.append(Decided(ts_ms, event.agent, item))
            if item.price is not None:
                found.prices.setdefault(item.instrument, []).append((item.price_ms, item.price))
