"""The invariants, asked after every turn: the journal's rows and the engine's books against the venue's truth."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from engine.domain.books import Books
from engine.domain.money import ONE, ZERO
from engine.domain.order import OrderRequest, OrderRole, OrderStatus, Side
from engine.domain.policy import TradingState
from engine.ops.simulate.faults import Violation
from engine.ops.simulate.rig import Rig
from engine.ops.simulate.shadow import Shadow
from engine.ops.simulate.stage import STORE_ID
from engine.ops.simulate.venue import SimVenue

S = OrderStatus
TOLERANCE = Decimal("1.03")
"""Prices move between the check of a market order and its send; what is reserved for it may be off by that much."""
MAY_FOLLOW: dict[OrderStatus, frozenset[OrderStatus]] = {
    S.FILLED: frozenset(),
    S.CANCELED: frozenset({S.FILLED}),
    S.EXPIRED: frozenset({S.FILLED}),
    S.REJECTED: frozenset({S.OPEN, S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.EXPIRED, S.CANCEL_PENDING}),
    S.NOT_SENT: frozenset({S.OPEN, S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED, S.CANCEL_PENDING}),
}
"""What may follow a terminal state: only what shows that the order did exist, or filled, all the same (O5)."""


class Checker:
    """Watches one schedule over all its lives. asked: how many times each invariant was looked at."""

    def __init__(self, venue: SimVenue, shadow: Shadow) -> None:
        self.venue = venue
        self.shadow = shadow
        self.created: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self._seen: dict[str, OrderStatus] = {}

    def hold(self, code: str, holds: bool, text: str) -> None:
        """Count that an invariant was looked at; Violation when it does not hold."""
        self.asked[code] += 1
        if not holds:
            raise Violation(code, text)

    # At each create, before the first byte leaves.

    def on_create(self, rig: Rig, request: OrderRequest) -> None:
        """Look at a create call as it is made; everything it needs must be on disk already."""
        order_id = request.client_order_id
        self.created[order_id] += 1
        self.hold("O4", self.created[order_id] == 1, f"order {order_id} is created a second time")
        intent = self.shadow.intents.get(order_id)
        if intent is None:
            raise Violation("O2", f"order {order_id} leaves before its row is on disk")
        legs = request.bracket and (request.bracket.stop_order_id, request.bracket.target_order_id)
        self.hold("O2", all(leg in self.shadow.intents for leg in legs or () if leg), "protection is not on disk")
        same = (intent.instrument, intent.side, intent.order_type, intent.qty, intent.limit_price)
        sent = (request.instrument, request.side, request.order_type, request.qty, request.limit_price)
        self.hold("O3", same == sent, f"order {order_id} is sent as {sent}, written as {same}")
        if request.side is Side.BUY or not request.reduce_only:
            self.hold("S1", not rig.halted and self.shadow.state is not TradingState.HALTED,
                       f"order {order_id} adds exposure while trading is HALTED")  # fmt: skip
            self.hold("S1", rig.armed, f"order {order_id} leaves before the start has reconciled")
            self._affordable(request)
        elif intent.role is OrderRole.FLATTEN:
            told, base = rig.gateway.told_balances, self.venue.instruments[request.instrument].base
            held = told.get(base, ZERO)
            self.hold("S3", request.qty <= held, f"flatten sells {request.qty} of {held}")
            told[base] = held - request.qty
        else:
            held = self.shadow.positions.get((intent.agent, request.instrument), ZERO)
            self.hold("O8", request.qty <= held, f"{intent.agent} sells {request.qty} of {held}")

    def on_cancel(self, rig: Rig, order_id: str) -> None:
        """Look at a cancel call as it is made; it needs no write only where none is possible (R19)."""
        order = rig.books.order(order_id)
        said = order is not None and (order.status in (S.CANCEL_PENDING, S.UNKNOWN) or order.status.is_terminal)
        wanted = order_id in rig.router.wanted_gone  # was UNKNOWN when asked, and came to light since
        self.hold("P12", said or wanted or rig.journal.broken is not None, f"a cancel of {order_id} leaves unwritten")

    def _affordable(self, request: OrderRequest) -> None:
        reserved = sum((self._reserved(i) for i in self.shadow.intents if i != request.client_order_id), ZERO)
        needed = self._cost(
            request.instrument, request.qty, request.limit_price or self.venue.prices[request.instrument]
        )
        cash = self.shadow.balances.get("USDT", ZERO)
        self.hold(
            "O7", reserved + needed <= cash * TOLERANCE, f"{needed} is spent of {cash}, {reserved} of it reserved"
        )

    def _reserved(self, order_id: str) -> Decimal:
        intent, status = self.shadow.intents[order_id], self.shadow.told[order_id]
        if intent.side is not Side.BUY or status.is_terminal or order_id in self.venue.beyond:
            return ZERO  # nobody can keep money for what a venue has denied, and shows when the next is on its way
        left = max(ZERO, intent.qty - self.shadow.filled.get(order_id, 0))
        return self._cost(intent.instrument, left, intent.limit_price or intent.price)

    def _cost(self, instrument: str, qty: Decimal, price: Decimal) -> Decimal:
        return qty * price * (ONE + self.venue.instruments[instrument].taker_fee)

    # After every turn.

    def after_turn(self, rig: Rig) -> None:
        """Compare books, rows and truth as they stand now."""
        books = rig.books
        self.shadow.halt_said = rig.latch.halted and rig.owed is None
        self._sums(books)
        self._truths(books)
        self._orders(books)
        if self.shadow.overfilled:
            halted = self.shadow.overfill_halted or rig.journal.broken is not None
            self.hold("L5", halted, f"order {self.shadow.overfilled} filled beyond its quantity, no halt")
            self.shadow.overfilled = ""

    def at_start(self, rig: Rig) -> None:
        """Look at a life that just began: what was acknowledged is there, and a halt still holds."""
        self.hold("L6", rig.journal.seq == self.shadow.seq, f"{self.shadow.seq} rows before, {rig.journal.seq} after")
        if self.shadow.halt_said or self.shadow.state is TradingState.HALTED:
            self.hold("S1", rig.halted, "a halt did not survive the restart")

    def _sums(self, books: Books) -> None:
        for asset in {*books.balances, *self.shadow.balances}:
            ours, sums = books.balances.get(asset, ZERO), self.shadow.balances.get(asset, ZERO)
            self.hold("L1", ours == sums, f"{asset}: books say {ours}, the rows add up to {sums}")
        for where in {*books.positions, *self.shadow.positions}:
            ours, sums = books.position(*where).qty, self.shadow.positions.get(where, ZERO)
            self.hold("L2", ours == sums, f"{where}: books say {ours}, the rows add up to {sums}")

    def _truths(self, books: Books) -> None:
        """Every booked fill happened, as booked; every order of ours at the venue has its intent."""
        happened = {(t.fill.instrument, t.fill.trade_id): t.fill for t in self.venue.trades}
        for key, event in self.shadow.fills.items():
            self.hold("L4", happened.get(key) == event.fill, f"trade {key} is not what happened")
        for order_id in self.venue.orders:
            if order_id.startswith(STORE_ID):
                self.hold("O1", order_id in self.shadow.intents, f"order {order_id} has no intent")

    def _orders(self, books: Books) -> None:
        for order in books.all_orders():
            order_id, before = order.client_order_id, self._seen.get(order.client_order_id)
            if before is not None and before.is_terminal and before is not order.status:
                late = self._is_beyond(order_id) and order.status.is_working
                went = f"order {order_id} went {before} -> {order.status}"
                self.hold("O5", late or order.status in MAY_FOLLOW[before], went)
            if order.status is not before:
                self._moved(order_id, order.status)
            self._seen[order_id] = order.status

    def _moved(self, order_id: str, status: OrderStatus) -> None:
        """What we say of an order must be true: nothing is given up that may still fill, nothing made up."""
        truth = self.venue.orders.get(order_id)
        if status in (S.OPEN, S.PARTIALLY_FILLED):
            self.hold("O6", truth is not None, f"order {order_id} is {status}, and the venue never had it")
        if not status.is_terminal or self._is_beyond(order_id):
            return  # a venue that breaks its own promise cannot be seen through; what comes late must be taken in (E04)
        on_way = any(request.client_order_id == order_id for _at, request in self.venue.on_way)
        if truth is None:
            known = status in (S.NOT_SENT, S.REJECTED, S.CANCELED) and not on_way
            self.hold(
                "O6", known, f"order {order_id} is {status}, and the venue {'will get' if on_way else 'never had'} it"
            )
        elif status is not S.FILLED or truth.qty <= self.shadow.covers[order_id]:
            # else it grew with its entry while nobody could hear of it: what we know it to cover has filled
            self.hold("O6", truth.status.is_terminal, f"order {order_id} is {status}, the venue has it {truth.status}")

    def _is_beyond(self, order_id: str) -> bool:
        """Tell whether the venue broke its promise about an order, or about the entry that it protects."""
        truth = self.venue.orders.get(order_id)
        return order_id in self.venue.beyond or (truth is not None and truth.parent in self.venue.beyond)

    # At rest: faults off, everything delivered.

    def at_rest(self, rig: Rig) -> None:
        """Everything that can be known is known, and is the same on both sides."""
        books = rig.books
        for order in books.orders.values():
            settled = order.status in (S.OPEN, S.PARTIALLY_FILLED) or self._is_waiting(order.client_order_id)
            self.hold("O6", settled, f"order {order.client_order_id} is still {order.status}")
        for order_id, truth in self.venue.orders.items():
            if order_id.startswith(STORE_ID):
                self._same(books, order_id, truth.status)
        for trade in self.venue.trades:
            key = (trade.fill.instrument, trade.fill.trade_id)
            self.hold("L4", key in self.shadow.fills, f"trade {key} was never booked")
        for asset in {*self.venue.balances, *books.balances}:
            ours, moved = books.balances.get(asset, ZERO), self.venue.moved.get(asset, ZERO)
            theirs = self.venue.balances.get(asset, ZERO)
            explained = theirs == ours or (theirs - ours == moved and self.shadow.incidents.total() > 0)
            self.hold(
                "L8", explained, f"{asset}: the ledger says {ours}, the venue {theirs}, {moved} of it moved by itself"
            )
        self._flat(rig)

    def _is_waiting(self, order_id: str) -> bool:
        truth = self.venue.orders.get(order_id)
        return truth is not None and truth.waits

    def _same(self, books: Books, order_id: str, truth: OrderStatus) -> None:
        order = books.order(order_id)
        if order is None:
            raise Violation("O1", f"order {order_id} is at the venue and not in the books")
        grew = self.venue.orders[order_id].qty > self.shadow.covers[order_id]
        if self._is_beyond(order_id) and (grew or self._is_waiting(order_id)):
            return  # its entry came to life again; it follows once that fills, what it grew by with the next start
        same = order.status.is_working == truth.is_working
        if truth.is_terminal and self.shadow.filled[order_id] < self.shadow.covers[order_id]:
            same = same and (order.status in (truth, S.NOT_SENT) or self._is_beyond(order_id))
        self.hold("O1", same, f"order {order_id} is {order.status} here and {truth} at the venue")

    def _flat(self, rig: Rig) -> None:
        self.hold("S3", rig.flattening is None, "a flatten never came to its end")
