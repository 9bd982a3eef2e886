"""Market data: every price carries where it came from (R36)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from engine.domain.values import quick_value


class SourceKind(StrEnum):
    """Where prices come from; never mistaken for one another."""

    LIVE = "LIVE DATA"
    REPLAY = "REPLAY"
    SIMULATED = "SIMULATED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The origin of a price. speed: multiples of real time; 0 means as fast as it can; None where it has no meaning."""

    kind: SourceKind
    name: str
    speed: float | None = None

    @property
    def label(self) -> str:
        """The words on the safety line, such as "REPLAY x60"."""
        if self.kind is not SourceKind.REPLAY or self.speed is None:
            return self.kind.value
        return f"REPLAY x{self.speed:g}" if self.speed else "REPLAY MAX"


@quick_value
class Candle:
    """One closed bar. ts_ms: its open time; it is known only from ts_ms + interval_ms on."""

    instrument: str
    ts_ms: int
    interval_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    source: Source

    @property
    def close_ms(self) -> int:
        """When the bar closed, and so the first instant anyone may know it."""
        return self.ts_ms + self.interval_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """Best bid and offer. ts_ms: the venue's own time; received_ms: ours. Sizes None: unknown."""

    instrument: str
    ts_ms: int
    received_ms: int
    bid: Decimal
    ask: Decimal
    source: Source
    bid_qty: Decimal | None = None
    ask_qty: Decimal | None = None

    @property
    def mid(self) -> Decimal:
        """The middle of bid and offer."""
        return (self.bid + self.ask) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TradePrint:
    """One public trade. ts_ms: the venue's own time."""

    instrument: str
    ts_ms: int
    price: Decimal
    qty: Decimal
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderBook:
    """Depth at an instant: (price, quantity) levels, best first."""

    instrument: str
    ts_ms: int
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]
    source: Source


@quick_value
class Instant:
    """All bars that closed at ts_ms, in instrument order: one step of the engine (DESIGN section 10).

    warm: bars that only warm the indicators up; nothing trades on them.
    """

    ts_ms: int
    candles: tuple[Candle, ...]
    warm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatus:
    """What a feed says of itself: connected or not, and why, in words."""

    ts_ms: int
    connected: bool
    text: str
    source: Source


FeedEvent = Instant | Quote | TradePrint | OrderBook | FeedStatus
