"""What differs between venue and journal, as events: each is journaled once, and again only when it changed (R14)."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from decimal import Decimal

from engine.domain.books import Books
from engine.domain.events import Closing, DifferenceClosed, DifferenceFound, DifferenceKind, Event
from engine.domain.instrument import Instrument
from engine.domain.money import ZERO, plain
from engine.domain.order import Fill, Order
from engine.execution.gateway import VenueOrder

ACTOR = "reconcile"
Key = tuple[DifferenceKind, str]


class Findings:
    """Differences as one look at the venue finds them, numbered on from those in the books."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._new: dict[Key, DifferenceFound] = {}
        self._numbers = books.count.differences
        self.seen: set[Key] = set()

    def foreign_order(self, shown: VenueOrder) -> Iterator[Event]:
        """Say that the venue works an order the journal does not know; it is left as it is (E33, P32)."""
        store_id = self._books.genesis.store_id if self._books.genesis else ""
        ours = bool(store_id) and shown.client_order_id.startswith(store_id)
        kind = DifferenceKind.LOST_ORDER if ours else DifferenceKind.EXTERNAL_ORDER
        mark = "with our mark, which this journal does not know" if ours else "that is not ours"
        what = f"{shown.side} {plain(shown.qty)} {shown.instrument} {shown.order_type}"
        detail = f"the venue works an order {mark}: {what}, {shown.client_order_id}"
        yield from self._found(kind, shown.client_order_id, shown.instrument, "", ZERO, shown.qty, detail)

    def foreign_fill(self, fill: Fill) -> Iterator[Event]:
        """Say that a fill no order of ours explains changed a position; it is booked to `external` (E32)."""
        subject = fill.client_order_id or fill.trade_id
        kind = DifferenceKind.EXTERNAL_POSITION
        known = self._known(kind, subject)
        total = fill.signed_qty + (known.venue if known else ZERO)
        detail = (
            f"fills of {subject}, no order of ours, changed {fill.instrument} by {plain(total)}: booked to external"
        )
        yield from self._found(kind, subject, fill.instrument, "", ZERO, total, detail, fresh=True)

    def missed_fill(self, fill: Fill, agent: str) -> tuple[Event, Event]:
        """Say that a fill of ours had not been told of, and that its order explains it (P05)."""
        kind, subject = DifferenceKind.MISSED_FILL, fill.trade_id
        detail = f"the venue filled {fill.side} {plain(fill.qty)} {fill.instrument} at {plain(fill.price)} unseen by us"
        (found,) = self._found(kind, subject, fill.instrument, "", ZERO, fill.signed_qty, detail, fresh=True)
        note = f"it belongs to order {fill.client_order_id} of {agent}"
        return found, closed(found, Closing.EXPLAINED, note)

    def missing_order(self, order: Order) -> Iterator[Event]:
        """Say that the venue does not know an order that it had taken."""
        detail = f"the venue does not know order {order.client_order_id} of {order.agent} any more, which it had taken"
        kind, subject = DifferenceKind.MISSING_ORDER, order.client_order_id
        yield from self._found(kind, subject, order.instrument, "", order.qty, ZERO, detail)

    def balance(self, asset: str, ours: Decimal, venue: Decimal) -> Iterator[Event]:
        """Say that the venue holds more or less of an asset than our entries add up to."""
        listed = instrument_of(self._books, asset)
        kind = DifferenceKind.EXTERNAL_POSITION if listed else DifferenceKind.BALANCE_DRIFT
        detail = f"{asset}: the venue holds {plain(venue)}, our entries add up to {plain(ours)}"
        yield from self._found(kind, asset, listed.key if listed else "", asset, ours, venue, detail)

    def gone(self, waiting: Container[str] = ()) -> Iterator[Event]:
        """Close what a whole look at the venue did not show again, and forget explanations of it.

        waiting: assets of which it is not certain yet.
        """
        for found in (*self._books.differences.values(), *self._books.explained.values()):
            if _is_state(found) and found.asset not in waiting and (found.kind, found.subject) not in self.seen:
                yield closed(found, Closing.GONE, "the venue does not show it any more")

    def _known(self, kind: DifferenceKind, subject: str) -> DifferenceFound | None:
        return self._new.get((kind, subject)) or self._books.difference(kind, subject)

    def _found(
        self, kind: DifferenceKind, subject: str, instrument: str, asset: str, ours: Decimal, venue: Decimal,
        detail: str, *, fresh: bool = False,
    ) -> Iterator[DifferenceFound]:  # fmt: skip
        """Yield the event unless it is on record by as much. fresh: no earlier explanation can cover it."""
        self.seen.add((kind, subject))
        known = self._known(kind, subject)
        if known is not None and known.venue - known.ours == venue - ours:
            return
        explained = self._books.explained.get((kind, subject))
        if known is None and not fresh and explained and explained.venue - explained.ours == venue - ours:
            return
        if known is None:
            self._numbers += 1
        found = DifferenceFound(
            difference_id=known.difference_id if known else f"d{self._numbers}", kind=kind, subject=subject,
            instrument=instrument, asset=asset, ours=ours, venue=venue, detail=detail[:300],
        )  # fmt: skip
        self._new[kind, subject] = found
        yield found


def closed(found: DifferenceFound, how: Closing, note: str, actor: str = ACTOR) -> DifferenceClosed:
    """Return the event that closes a difference."""
    return DifferenceClosed(difference_id=found.difference_id, how=how, actor=actor, note=note[:300])


def drifts(books: Books, venue: Mapping[str, Decimal]) -> list[tuple[str, Decimal, Decimal]]:
    """Return (asset, ours, the venue's) for each asset the two differ in."""
    ours = books.balances
    pairs = ((asset, ours.get(asset, ZERO), venue.get(asset, ZERO)) for asset in sorted({*venue, *ours}))
    return [(asset, mine, theirs) for asset, mine, theirs in pairs if mine != theirs]


def instrument_of(books: Books, asset: str) -> Instrument | None:
    """Return the instrument an asset is the base of; the one that values it, where there are more."""
    listed: Iterable[Instrument] = books.instruments.values()
    key = books.bases.get(asset)
    return books.instruments[key] if key else next((one for one in listed if one.base == asset), None)


def _is_state(found: DifferenceFound) -> bool:
    """Tell a difference that lasts, and is seen at each look, from one that happened."""
    orders = (DifferenceKind.EXTERNAL_ORDER, DifferenceKind.LOST_ORDER)
    return bool(found.asset) or found.kind in orders
