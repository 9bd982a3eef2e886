"""What became of orders in doubt: the venue is asked until it says so, or its horizon has passed (R10).

An UNKNOWN or CANCEL_PENDING order is looked up by our id; one that somebody wants gone is cancelled again instead,
which is safe to repeat and answers the same question (E38). What the venue shows counts, fills first. What it does not
show counts only once its horizon has passed since the send ended, on the clock that never steps, and its trades do not
name the order either: then it was never sent. An answer that fails to come changes nothing (E21). A venue that cannot
be asked by our id leaves the order to the trader.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.clock import Clock
from engine.domain.events import Incident
from engine.domain.money import plain
from engine.domain.order import Fill, Order, OrderStatus
from engine.execution.gateway import Gateway, ResizeUpdate, StatusUpdate, VenueOrder, VenueUpdate
from engine.execution.router import Router
from engine.store.journal import Journal

FIRST_PAUSE_MS = 500.0
LAST_PAUSE_MS = 30_000.0
CLOCKS_DIFFER_MS = 60_000
"""The venue's clock may be this far from ours: trades are asked for from so long before the intent on."""


@dataclass(slots=True)
class _Doubt:
    """One order's questions. since_mono_ms: when its horizon began to run; said: the trader has been told."""

    since_mono_ms: float
    next_mono_ms: float
    pause_ms: float = FIRST_PAUSE_MS
    said: bool = False


class Resolver:
    """Settles the orders in doubt of one router. step() is called on every heartbeat and does what is due."""

    def __init__(self, journal: Journal, router: Router, gateway: Gateway, clock: Clock) -> None:
        self._journal = journal
        self._books = journal.books
        self._router = router
        self._gateway = gateway
        self._clock = clock
        self._doubts: dict[str, _Doubt] = {}
        self._watched: set[str] = set()
        self._busy = False

    @property
    def has_work(self) -> bool:
        """Tell whether any order must be asked for; costs nothing when there is none."""
        return bool(self._books.in_doubt or self._watched or self._doubts)

    async def take_up(self) -> None:
        """Start: take back what the venue works and we held for ended (E04), and have each working order shown once."""
        for shown in await self._gateway.open_orders():
            order = self._books.order(shown.client_order_id)
            word = self._router.word(shown.client_order_id, shown)
            if order is not None and order.status.is_terminal and word is not None:
                self._router.hear([word])
        self.watch()

    def watch(self) -> None:
        """Have each working order shown once more: what the venue told of it may have got lost (E25)."""
        if self._gateway.tier.horizon_ms:
            self._watched.update(self._books.orders)

    async def step(self) -> None:
        """Ask for what is due; each order's pauses double up to half a minute."""
        if self._busy or not self.has_work:
            return
        self._busy = True
        try:
            for order in self._due():
                await self._ask(order)
        finally:
            self._busy = False

    async def ask(self, client_order_id: str) -> Order | None:
        """Ask for one order at once, whatever its pause; return it as it stands then."""
        order = self._books.order(client_order_id)
        if order is not None and order.status.is_working:
            self._doubt(client_order_id)
            await self._ask(order)
        return self._books.order(client_order_id)

    def left_ms(self, client_order_id: str) -> float:
        """Return how long the venue may still take to show an order it has."""
        doubt = self._doubts.get(client_order_id)
        passed_ms = self._clock.mono_ms() - doubt.since_mono_ms if doubt else 0.0
        return max(0.0, self._gateway.tier.horizon_ms - passed_ms)

    def _due(self) -> list[Order]:
        orders = self._books.orders
        self._watched = {order_id for order_id in self._watched if order_id in orders}
        wanted = self._books.in_doubt | self._watched
        self._doubts = {order_id: doubt for order_id, doubt in self._doubts.items() if order_id in wanted}
        now = self._clock.mono_ms()
        asked = [order_id for order_id in orders if order_id in wanted and order_id not in self._router.sending]
        return [orders[order_id] for order_id in asked if self._doubt(order_id).next_mono_ms <= now]

    def _doubt(self, order_id: str) -> _Doubt:
        now = self._clock.mono_ms()
        return self._doubts.setdefault(order_id, _Doubt(now, now))

    async def _ask(self, order: Order) -> None:
        doubt = self._doubt(order.client_order_id)
        left_ms = self.left_ms(order.client_order_id)  # as of the question: a slow answer is as old as that
        try:
            shown = await self._look(order)
            if shown is not None:
                await self._shown(order, shown)
            elif left_ms <= 0:
                await self._not_shown(order, doubt)
        except Exception:  # no answer is no evidence, whatever went wrong with it (E21, E48)
            if self._journal.broken is not None:
                raise
        doubt.next_mono_ms = self._clock.mono_ms() + doubt.pause_ms
        doubt.pause_ms = min(LAST_PAUSE_MS, doubt.pause_ms * 2)

    async def _look(self, order: Order) -> VenueOrder | None:
        """Cancel what is wanted gone, look the others up."""
        if order.status is OrderStatus.CANCEL_PENDING or order.client_order_id in self._router.wanted_gone:
            return await self._gateway.cancel(order.client_order_id)
        if not self._gateway.tier.finds_by_client_id:
            return None
        return await self._gateway.find(order.client_order_id)

    async def _shown(self, order: Order, shown: VenueOrder) -> None:
        order_id = order.client_order_id
        fills = await self._fills(order) if shown.filled_qty > order.filled_qty else []
        self._router.hear([*self._as_it_is(order, shown), *fills])  # its size first: its fills end it by that
        word = self._router.word(order_id, shown)
        if word is not None:
            self._router.hear([word])
            self._watched.discard(order_id)
            await self._cancel_if_wanted(order_id)
        self._settle_guards(order)

    def _as_it_is(self, order: Order, shown: VenueOrder) -> list[VenueUpdate]:
        """Take the venue's size of an order; where it is not protection, somebody must know that it differs (E05)."""
        if (shown.instrument, shown.side, shown.qty) == (order.instrument, order.side, order.qty):
            return []
        if not order.role.is_protection:
            text = (
                f"order {order.client_order_id} is {shown.side} {plain(shown.qty)} {shown.instrument} at the venue, "
                f"and {order.side} {plain(order.qty)} {order.instrument} here"
            )
            self._journal.record(self._clock.now_ms(), Incident(code="ORDER_DIFFERS", text=text))
        return [ResizeUpdate(client_order_id=order.client_order_id, qty=shown.qty)]

    async def _cancel_if_wanted(self, order_id: str) -> None:
        """Cancel an order that was UNKNOWN when somebody asked for that, now that the venue shows it."""
        order = self._books.orders.get(order_id)
        if order_id in self._router.wanted_gone and order is not None and order.status is not OrderStatus.UNKNOWN:
            self._router.wanted_gone.discard(order_id)
            await self._router.cancel([order_id])

    async def _not_shown(self, order: Order, doubt: _Doubt) -> None:
        order_id, tier = order.client_order_id, self._gateway.tier
        fills = await self._fills(order)  # a venue may forget an order and still know its trades
        self._router.hear(fills)
        after = self._books.orders.get(order_id)
        if any(fill.client_order_id == order_id for fill in fills) or after is None:
            return
        if not tier.finds_by_client_id:
            self._tell_trader(order, doubt)
            return
        reason = f"the venue does not know it, and would within {tier.horizon_ms / 1000:g} s"
        self._router.hear([StatusUpdate(client_order_ids=(order_id,), status=OrderStatus.NOT_SENT, reason=reason)])
        self._watched.discard(order_id)
        self._settle_guards(order)

    def _tell_trader(self, order: Order, doubt: _Doubt) -> None:
        if not doubt.said:
            doubt.said = True
            text = (
                f"order {order.client_order_id} is {order.status} and this venue cannot be asked for it by our id: "
                f"look there, and say what became of it with `quarterdeck resolve {order.client_order_id}`"
            )
            self._journal.record(self._clock.now_ms(), Incident(code="NEEDS_TRADER", text=text))

    async def _fills(self, order: Order) -> list[Fill]:
        return await self._gateway.fills_since(max(0, order.created_ms - CLOCKS_DIFFER_MS))

    def _settle_guards(self, order: Order) -> None:
        """Let what became of an entry become of the protection that travelled with it.

        Of an entry that never was there is none; of one that ended, the venue is asked what it made of it.
        """
        entry = self._books.order(order.client_order_id)
        if entry is None or entry.status.is_working:
            return
        never = entry.status in (OrderStatus.NOT_SENT, OrderStatus.REJECTED)
        status = entry.status if never else OrderStatus.UNKNOWN
        guards = guards_of(self._books.orders.values(), entry)
        if guards:
            ids = tuple(guard.client_order_id for guard in guards)
            self._router.hear([StatusUpdate(client_order_ids=ids, status=status, reason="its entry ended")])


def guards_of(orders: Iterable[Order], entry: Order) -> list[Order]:
    """Return the protective orders that travelled with an entry and that the venue has not spoken of yet."""
    return [
        order
        for order in orders
        if order.status is OrderStatus.INTENT_RECORDED and order.intent_id.rpartition(":")[0] == entry.intent_id
    ]
