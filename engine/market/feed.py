"""The one protocol behind which all market data arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from engine.domain.market import FeedEvent, Source


@dataclass(slots=True)
class FeedSummary:
    """What a feed has delivered. skipped: rule -> rows; first_skips: "file:row rule" of the first few, for people."""

    bars: int = 0
    first_ts_ms: int | None = None
    last_ts_ms: int | None = None
    skipped: dict[str, int] = field(default_factory=dict)
    first_skips: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def rows_skipped(self) -> int:
        """Rows refused or skipped over all rules."""
        return sum(self.skipped.values())

    def skip(self, rule: str, where: str) -> None:
        """Count a row that a rule left out; the first twenty are named."""
        self.skipped[rule] = self.skipped.get(rule, 0) + 1
        if len(self.first_skips) < 20:
            self.first_skips.append(f"{where} {rule}")


class Feed(Protocol):
    """Market data from one origin, in time order. Only closed candles are delivered.

    An Instant holds every candle that closed at its ts_ms. A feed that never waits (a replay at full speed)
    never suspends in events(), so the caller must yield to its loop by itself.
    """

    source: Source
    summary: FeedSummary

    def events(self) -> AsyncIterator[FeedEvent]:
        """Yield what happens, in time order; ends when a recording ends."""
        ...


@runtime_checkable
class ResumableFeed(Feed, Protocol):
    """A feed on a clock of its own, which can go on where an earlier run of the same store has lived to."""

    def resume_after(self, ts_ms: int) -> None:
        """Let what is not warm begin after this time; to be called before events()."""
        ...
