"""Ask the venue, explain every difference, and only then let anything trade (R14).

What our own orders explain is booked: fills we had not been told of, with their agent, fees named late, trades taken
back. What nothing explains is a difference: journaled once, shown, and in the way of entries until it is gone, or a
person explains or approves it. The ledger never follows the venue by itself.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from engine.clock import MINUTE_MS, Clock
from engine.domain.agent import EXTERNAL
from engine.domain.events import (
    Closing,
    DifferenceFound,
    DifferenceKind,
    Event,
    FeePosted,
    FillCorrected,
    Filled,
    Incident,
    Reconciled,
)
from engine.domain.money import ZERO, plain
from engine.domain.order import Fill, Order, OrderRole, OrderStatus
from engine.execution.accounting import events_of, overfilled
from engine.execution.differences import Findings, closed, drifts
from engine.execution.gateway import Gateway, StatusUpdate, VenueOrder
from engine.execution.settling import settle_orders, take_sizes
from engine.store.journal import Journal

EVERY_MS = 5 * MINUTE_MS
MARK_MS = 60 * MINUTE_MS
"""So often a running engine notes up to when it has all fills; the next start asks for those since."""
CLOCKS_DIFFER_MS = 60 * MINUTE_MS
"""While running, fills are asked for from so long before the last look on."""
TAKEN = (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.CANCEL_PENDING)
Drift = tuple[str, Decimal, Decimal]


async def reconcile(journal: Journal, gateway: Gateway, clock: Clock, sending: Container[str] = ()) -> list[str]:
    """Reconcile as a start does, and return the differences that are open after it, as sentences."""
    return [found.detail for found in await Reconciler(journal, gateway, clock).at_start(sending)]


@dataclass(slots=True)
class Reconciler:
    """Compares one venue account with the journal: whole at a start, and by what can be asked cheaply while running.

    breach: an order that filled beyond its quantity, "" while none has; trading must halt on it (L5).
    """

    journal: Journal
    gateway: Gateway
    clock: Clock
    breach: str = ""
    _looked_ms: int = 0
    _suspected: dict[str, Decimal] = field(default_factory=dict)
    _failing: bool = False

    async def at_start(self, sending: Container[str] = ()) -> list[DifferenceFound]:
        """Take the venue's word on fills and orders, and return the differences that are open after it (P08).

        sending: ids of orders whose create is under way; they are not asked for.
        """
        journal, gateway, clock = self.journal, self.gateway, self.clock
        gateway.drain()  # what these updates say is asked again below, from the venue's own record
        await take_sizes(journal, gateway, clock)
        now_ms = clock.now_ms()
        self._take_fills(await gateway.fills_since(self._first_ms()))
        taken = [order for order in journal.books.orders.values() if order.status in TAKEN]
        await settle_orders(journal, gateway, clock, sending)
        self._looked_ms = clock.now_ms()
        shown, balances = await gateway.open_orders(), await gateway.balances()
        if drifts(journal.books, balances):  # only then is all that ever was worth reading
            asked_ms, fills = clock.now_ms(), await gateway.fills_since(0)
            self._take_fills(fills)
            await self._take_back(fills, asked_ms - gateway.tier.horizon_ms)
        missing = [order for order in taken if await self._is_missing(order)]
        self._compare(shown, drifts(journal.books, balances), missing)
        self._mark(now_ms)
        return list(journal.books.differences.values())

    @property
    def is_due(self) -> bool:
        """Tell whether it is time to look again; a clock that was set back does not hold it up for long."""
        return abs(self.clock.now_ms() - self._looked_ms) >= EVERY_MS

    async def while_running(self) -> None:
        """Look at fills, open orders and balances again; the caller has booked what was told.

        A venue's answers are not of one instant: a drift counts when a second look finds the same amount, whatever the
        account has traded meanwhile.
        """
        now_ms, gateway = self.clock.now_ms(), self.gateway
        since_ms, self._looked_ms = max(0, self._looked_ms - CLOCKS_DIFFER_MS), now_ms
        try:
            fills = await gateway.fills_since(since_ms)
            shown, balances = await gateway.open_orders(), await gateway.balances()
        except Exception as error:  # no answer is no difference; that there is none must be seen, once
            self._say_failing(str(error) or repr(error))
            return
        self._failing = False
        self._take_fills(fills)
        self._take_up(shown)
        found = drifts(self.journal.books, balances)
        suspected, self._suspected = self._suspected, {asset: theirs - ours for asset, ours, theirs in found}
        known = [(asset, ours, theirs) for asset, ours, theirs in found if suspected.get(asset) == theirs - ours]
        self._compare(shown, known, [], waiting=self._suspected)
        self._mark(now_ms)

    def _first_ms(self) -> int:
        """Return from when on fills must be asked for: what is older is here, but for fees that were not named yet."""
        books = self.journal.books
        return max(0, min([books.reconciled_ms, *(f.ts_ms for f in books.fees_pending.values())]) - CLOCKS_DIFFER_MS)

    def _mark(self, now_ms: int) -> None:
        books = self.journal.books
        if books.count.fills and now_ms - books.reconciled_ms >= MARK_MS:  # before the first, there is nothing to spare
            self.journal.record(now_ms, Reconciled(upto_ms=now_ms))

    def _record(self, events: Iterable[Event]) -> None:
        rows = tuple(events)
        if rows:
            self.journal.record(self.clock.now_ms(), *rows)

    # Fills.

    def _take_fills(self, fills: Iterable[Fill]) -> None:
        """Book what is new, each with the difference it was; what is known already can only bring its fee."""
        books, findings = self.journal.books, Findings(self.journal.books)
        unseen: dict[tuple[str, str], Fill] = {}
        for fill in fills:
            key = (fill.instrument, fill.trade_id)
            if not self.journal.has_fill(fill.venue, fill.account, fill.instrument, fill.trade_id):
                unseen.setdefault(key, fill)
            elif key in books.fees_pending and fill.fee_asset:
                self._record(self._late_fee(books.fees_pending[key], fill))
        mine = [fill for fill in unseen.values() if books.order(fill.client_order_id) is not None]
        events = list(self._explained(events_of(mine, books, lambda fill: False), findings))
        for fill in unseen.values():
            if books.order(fill.client_order_id) is None:
                events.extend(self._of_no_known_order(fill, findings))
        self._record(events)
        self.breach = self.breach or overfilled(books, events)

    def _explained(self, events: Iterable[Event], findings: Findings) -> Iterator[Event]:
        for event in events:
            if isinstance(event, Filled):
                found, ended = findings.missed_fill(event.fill, event.agent)
                yield from (found, event, ended)
            else:
                yield event

    def _of_no_known_order(self, fill: Fill, findings: Findings) -> Iterator[Event]:
        """Book a fill of an order the books no longer keep to its agent, any other to `external`."""
        intent = self.journal.intent_of(fill.client_order_id)
        if intent is None:
            yield Filled(agent=EXTERNAL, role=OrderRole.ENTRY, fill=fill)
            yield from findings.foreign_fill(fill)
            return
        found, ended = findings.missed_fill(fill, intent.agent)
        yield from (found, Filled(agent=intent.agent, role=intent.role, fill=fill), ended)
        yield Incident(code="LATE_FILL", text=f"order {fill.client_order_id} ended long ago and filled all the same")

    def _late_fee(self, came: Fill, fill: Fill) -> Iterator[Event]:
        booked = self.journal.booked(came.venue, came.account, came.instrument, came.trade_id)
        if booked is not None:
            yield FeePosted(agent=booked.agent, fill=came, fee=fill.fee, fee_asset=fill.fee_asset)

    async def _take_back(self, fills: Iterable[Fill], shown_until_ms: int) -> None:
        """Book trades the venue has taken back: gone from its list, and from what it says their order filled (E14).

        shown_until_ms: a trade after it may be missing from both because the venue does not show it yet.
        """
        books = self.journal.books
        listed = {(fill.instrument, fill.trade_id) for fill in fills}
        for order in [order for order in books.all_orders() if order.filled_qty]:
            shown = await self.gateway.find(order.client_order_id)
            if shown is None or shown.filled_qty >= order.filled_qty:
                continue
            booked = self.journal.fills_of(order.client_order_id)
            gone = [each for each in booked if (each.fill.instrument, each.fill.trade_id) not in listed]
            if any(each.fill.ts_ms > shown_until_ms for each in gone):
                continue
            if sum((each.fill.qty for each in gone), ZERO) == order.filled_qty - shown.filled_qty:
                self._record(event for each in gone for event in _bust(each))

    # Orders and balances.

    def _take_up(self, shown: Iterable[VenueOrder]) -> None:
        """Take up again what we held for ended and the venue works all the same (E04)."""
        books = self.journal.books
        alive = [
            StatusUpdate(client_order_ids=(order.client_order_id,), status=order.status, asked=True)
            for order in shown
            if (ours := books.order(order.client_order_id)) is not None and ours.status.is_terminal
        ]
        self._record(events_of(alive, books, lambda fill: True))

    async def _is_missing(self, order: Order) -> bool:
        now = self.journal.books.order(order.client_order_id)
        if now is None or now.status.is_working or now.status is OrderStatus.FILLED:
            return False
        return await self.gateway.find(order.client_order_id) is None

    def _compare(
        self, shown: Iterable[VenueOrder], found: Iterable[Drift], missing: Iterable[Order],
        waiting: Container[str] = (),
    ) -> None:  # fmt: skip
        """Record what is found, and close what is not found again. waiting: assets not yet certain to agree."""
        books, findings = self.journal.books, Findings(self.journal.books)
        events: list[Event] = []
        for order in shown:
            if books.order(order.client_order_id) is None and self.journal.intent_of(order.client_order_id) is None:
                events += findings.foreign_order(order)
        for asset, ours, venue in found:
            events += findings.balance(asset, ours, venue)
        for order in missing:
            events += findings.missing_order(order)
        self._record(events)
        self._record(closing for closing in findings.gone(waiting))
        self._record(self._harmless(waiting))

    def _harmless(self, waiting: Container[str]) -> Iterator[Event]:
        """Explain orders that went missing where balances agree: had they filled, it would show."""
        books = self.journal.books
        for found in list(books.differences.values()):
            if found.kind is not DifferenceKind.MISSING_ORDER:
                continue
            listed = books.instruments[found.instrument]
            differing = {each.asset for each in books.differences.values()}
            if not {listed.base, listed.quote} & differing and not (listed.base in waiting or listed.quote in waiting):
                yield closed(found, Closing.EXPLAINED, "balances agree with ours, so nothing of it filled unseen")

    def _say_failing(self, why: str) -> None:
        if not self._failing:
            self._failing = True
            self._record([Incident(code="RECONCILE_FAILED", text=f"the venue could not be compared: {why}"[:300])])


def _bust(booked: Filled) -> Iterator[Event]:
    was = booked.fill
    now = replace(was, qty=ZERO, fee=ZERO)
    reason = f"the venue took trade {was.trade_id} back"
    yield FillCorrected(agent=booked.agent, was=was, now=now, reason=reason)
    text = f"{reason}: {was.side} {plain(was.qty)} {was.instrument} at {plain(was.price)} of {booked.agent}"
    yield Incident(code="BUST", text=text)
