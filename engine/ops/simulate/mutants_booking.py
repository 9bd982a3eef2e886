"""Mutants of booking: which fills count, how often, and for what."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

from engine.domain.events import Event, Filled, Incident, StateChanged
from engine.domain.money import ZERO
from engine.domain.order import Fill, OrderStatus
from engine.execution.gateway import VenueUpdate
from engine.ops.simulate.gateway import SimGateway
from engine.ops.simulate.mutant import mutant
from engine.store.journal import Journal


@mutant("journal")
class DedupBeforeEffect(Journal):
    """That a fill is known is written in the same transaction as its effect (R12, L4)."""

    def __init__(self, *args: object, **named: object) -> None:
        super().__init__(*args, **named)  # type: ignore[arg-type]
        self._marked: set[tuple[str, ...]] = set()

    def has_fill(self, venue: str, account: str, instrument: str, trade_id: str) -> bool:
        key = (venue, account, instrument, trade_id)
        known = key in self._marked or super().has_fill(*key)
        self._marked.add(key)
        return known


@mutant("journal")
class DedupInMemoryOnly(Journal):
    """Which fills are booked is known after a restart, too (R12, P05)."""

    def __init__(self, *args: object, **named: object) -> None:
        super().__init__(*args, **named)  # type: ignore[arg-type]
        self._marked: set[tuple[str, ...]] = set()

    def has_fill(self, venue: str, account: str, instrument: str, trade_id: str) -> bool:
        return (venue, account, instrument, trade_id) in self._marked

    def record(self, ts_ms: int, *events: Event) -> None:
        super().record(ts_ms, *events)
        fills = [event.fill for event in events if isinstance(event, Filled)]
        self._marked |= {(f.venue, f.account, f.instrument, f.trade_id) for f in fills}


class _Filtered(SimGateway):
    """Lets only some fills, or changed ones, reach the engine."""

    def taken(self, fill: Fill) -> Fill | None:
        return fill

    def drain(self) -> list[VenueUpdate]:
        updates = super().drain()
        read = [self.taken(update) if isinstance(update, Fill) else update for update in updates]
        return [update for update in read if update is not None]

    async def fills_since(self, ts_ms: int) -> list[Fill]:
        fills = await super().fills_since(ts_ms)
        return [fill for each in fills if (fill := self.taken(each)) is not None]


@mutant("gateway")
class DedupByFigures(_Filtered):
    """Two fills are the same by their trade id alone, not by price and quantity (R12, L4)."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self._known: dict[tuple[str, Decimal, Decimal], str] = {}

    def taken(self, fill: Fill) -> Fill | None:
        first = self._known.setdefault((fill.client_order_id, fill.qty, fill.price), fill.trade_id)
        return fill if first == fill.trade_id else None


@mutant("gateway")
class FeeForgotten(_Filtered):
    """Fees are posted, each in its own asset (R13, L1)."""

    def taken(self, fill: Fill) -> Fill | None:
        return replace(fill, fee=ZERO)


@mutant("gateway")
class FeeInWrongAsset(_Filtered):
    """A fee taken in base leaves less to sell (L2, E35)."""

    def taken(self, fill: Fill) -> Fill | None:
        return fill if fill.fee_asset == "USDT" else replace(fill, fee=fill.fee * fill.price, fee_asset="USDT")


@mutant("gateway")
class RebateIsAFee(_Filtered):
    """A negative fee is a rebate, and comes in (E35, L1)."""

    def taken(self, fill: Fill) -> Fill | None:
        return replace(fill, fee=abs(fill.fee))


@mutant("gateway")
class PriceRounded(_Filtered):
    """Money is kept exactly as the venue has it (R8, L1)."""

    def taken(self, fill: Fill) -> Fill | None:
        return replace(fill, price=fill.price.quantize(Decimal("0.1"), ROUND_HALF_UP))


@mutant("gateway")
class ForeignFillDropped(_Filtered):
    """A fill of an order that is not ours is booked too, to `external` (R38, E32, E33)."""

    def taken(self, fill: Fill) -> Fill | None:
        return None if fill.client_order_id.startswith("web-") else fill


@mutant("gateway")
class OnePageOfFills(SimGateway):
    """Fills are asked for until the venue has no more (LESSONS: a page cap hid losing trades; E25, L4)."""

    async def fills_since(self, ts_ms: int) -> list[Fill]:
        return (await super().fills_since(ts_ms))[:2]


@mutant("gateway")
class RecentFillsOnly(SimGateway):
    """After a gap all fills are asked for, however old (E25, P05, L4)."""

    async def fills_since(self, ts_ms: int) -> list[Fill]:
        return await super().fills_since(max(ts_ms, self._venue.clock.now_ms() - 1_000))


@mutant("journal")
class LateFillDropped(Journal):
    """A terminal state absorbs everything except fills (R11, O5, E12)."""

    def record(self, ts_ms: int, *events: Event) -> None:
        kept = [event for event in events if not self._is_late(event)]
        if kept:
            super().record(ts_ms, *kept)

    def _is_late(self, event: Event) -> bool:
        order = self.books.order(event.fill.client_order_id) if isinstance(event, Filled) else None
        return order is not None and order.status.is_terminal and order.status is not OrderStatus.FILLED


@mutant("journal")
class LateFillUnsaid(Journal):
    """A fill that comes after an order's end is told as an incident (R11, O5)."""

    def record(self, ts_ms: int, *events: Event) -> None:
        kept = [e for e in events if not (isinstance(e, Incident) and e.code == "LATE_FILL")]
        if kept:
            super().record(ts_ms, *kept)


def _is_halt(event: Event) -> bool:
    return isinstance(event, StateChanged) and event.actor == "ledger"


@mutant("journal")
class OverfillNotHalted(Journal):
    """An order that fills beyond its quantity is booked, and trading halts (L5, E13)."""

    def record(self, ts_ms: int, *events: Event) -> None:
        kept = [event for event in events if not _is_halt(event)]
        if kept:
            super().record(ts_ms, *kept)


@mutant("journal")
class OverfillHaltedLater(Journal):
    """The halt for an overfill is in the fill's own transaction, so that no crash comes between (L5, P06)."""

    def record(self, ts_ms: int, *events: Event) -> None:
        super().record(ts_ms, *(event for event in events if not _is_halt(event)))
        if halts := [event for event in events if _is_halt(event)]:
            super().record(ts_ms, *halts)


@mutant("journal")
class AnyoneMayWrite(Journal):
    """Every write names the epoch of the engine that owns the store (R23, S5, P19)."""

    def _begin(self) -> None:
        assert self._connection is not None
        self._connection.execute("BEGIN IMMEDIATE")


@mutant("journal")
class ToldBeforeWritten(Journal):
    """Books change once the commit is done, not before (R9, P23, L6)."""

    def record(self, ts_ms: int, *events: Event) -> None:
        for event in events:
            self.books.apply(ts_ms, event)
        super().record(ts_ms, *events)
