"""From an Intent to the venue: write, then act, then tell (R9); at most one create per intent, ever (R10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal

from engine.clock import Clock
from engine.domain.agent import EXTERNAL
from engine.domain.books import IN_DOUBT
from engine.domain.events import Event, OrderIntended
from engine.domain.intent import Intent
from engine.domain.order import Bracket, Fill, Order, OrderRequest, OrderRole, OrderStatus, OrderType
from engine.domain.values import quick_value
from engine.errors import StoreError
from engine.execution.accounting import events_of, overfilled
from engine.execution.gateway import (
    AmbiguousSendError,
    Gateway,
    OrderRejectedError,
    StatusUpdate,
    VenueOrder,
    VenueUpdate,
)
from engine.execution.latch import SendLatch
from engine.ids import client_order_id
from engine.store.journal import Journal

SEND_WITHIN_MS = 30_000
"""An order leaves within this time of its checks, or not at all (O3); so long may those before it take."""
UNSENT = (OrderStatus.INTENT_RECORDED, OrderStatus.CANCEL_PENDING)
ENDED = (OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED)


@quick_value
class Prepared:
    """An order ready to be written and then sent. events: its intent row, and those of its protective orders.

    since_mono_ms: when it was checked and prepared, on the monotonic clock. since_postings: how many ledger postings
    there were then.
    """

    intent: Intent
    request: OrderRequest
    events: tuple[OrderIntended, ...]
    since_mono_ms: float = 0.0
    since_postings: int = 0

    @property
    def client_order_ids(self) -> tuple[str, ...]:
        """The order's id and those of its protective orders."""
        return tuple(event.client_order_id for event in self.events)


class Router:
    """Owns the way to one venue account. Every change it makes is journaled before it is told.

    shortfall: says what is missing to pay for an intent that is on record, "" when nothing is.

    sending: orders whose create is under way. wanted_gone: UNKNOWN orders somebody asked to cancel: they are cancelled
    as soon as the venue shows them. breach: what was found wrong with the books, "" while nothing is.
    """

    def __init__(
        self, journal: Journal, gateway: Gateway, latch: SendLatch, clock: Clock, store_id: str,
        shortfall: Callable[[Intent], str],
    ) -> None:  # fmt: skip
        self._journal = journal
        self._books = journal.books
        self._gateway = gateway
        self._latch = latch
        self._clock = clock
        self._store_id = store_id
        self._shortfall = shortfall
        self._told: list[VenueUpdate] = []
        self._left: set[str] = set()
        self.sending: set[str] = set()
        self.wanted_gone: set[str] = set()
        self.breach = ""

    def prepare(self, intent: Intent) -> Prepared:
        """Turn an intent into the request and the rows that must be on disk before it leaves; changes nothing."""
        order_id = client_order_id(self._store_id, intent.intent_id)
        bracket, guards = self._bracket(intent)
        request = OrderRequest(
            client_order_id=order_id,
            instrument=intent.instrument,
            side=intent.side,
            order_type=intent.order_type,
            qty=intent.qty,
            limit_price=intent.limit_price,
            stop_price=intent.trigger_price,
            reduce_only=intent.reduce_only,
            group="" if intent.agent == EXTERNAL else intent.agent,
            bracket=bracket,
        )
        main = OrderIntended(
            intent_id=intent.intent_id,
            client_order_id=order_id,
            cycle_id=intent.cycle_id,
            agent=intent.agent,
            instrument=intent.instrument,
            role=intent.role,
            side=intent.side,
            order_type=intent.order_type,
            qty=intent.qty,
            price=intent.price,
            limit_price=intent.limit_price,
            trigger_price=intent.trigger_price,
        )
        return Prepared(intent, request, (main, *guards), self._clock.mono_ms(), self._books.count.postings)

    async def send(self, prepared: Prepared) -> OrderStatus:
        """Send an order whose rows are on disk, once; return what is known of it afterwards.

        Raises StoreError, and sends nothing, when it is not on disk, or the store is broken or another engine's.
        """
        order_id = prepared.request.client_order_id
        order = self._recorded(order_id)
        if order_id in self._left or order.status not in UNSENT:
            return order.status
        refusal = self._refusal(prepared, order)
        if refusal:
            return self._say(prepared.client_order_ids, OrderStatus.NOT_SENT, refusal)
        self._left.add(order_id)
        on_way = self._on_way(prepared)
        self.sending |= on_way
        try:
            ack = await self._gateway.create(prepared.request)
        except OrderRejectedError as error:
            return self._say(prepared.client_order_ids, OrderStatus.REJECTED, str(error))
        except AmbiguousSendError as error:
            return self._say((order_id,), OrderStatus.UNKNOWN, str(error))
        except Exception as error:  # any other failure says as little about the venue as a dropped socket (E48)
            return self._say((order_id,), OrderStatus.UNKNOWN, repr(error))
        finally:
            self.sending -= on_way
        ended = ack.status.is_terminal and ack.status is not OrderStatus.FILLED and not ack.filled_qty
        return self._say((order_id,), ack.status if ended else OrderStatus.OPEN, ack.reason if ended else "")

    def _on_way(self, prepared: Prepared) -> set[str]:
        """Return which orders a create carries: until it has answered, no venue can be asked for any of them (O6)."""
        return set(prepared.client_order_ids)

    def _recorded(self, order_id: str) -> Order:
        order = self._books.order(order_id)
        if order is None:
            raise StoreError(f"Order {order_id} is not in the journal; nothing was sent (O2).")
        return order

    def _refusal(self, prepared: Prepared, order: Order) -> str:
        """Say why an order may not leave now, "" when it may: the last look before the wire (S2, O3, S5)."""
        if order.status is not OrderStatus.INTENT_RECORDED:
            return "it was canceled before it was sent"
        waited_ms = self._clock.mono_ms() - prepared.since_mono_ms
        if waited_ms > SEND_WITHIN_MS and prepared.intent.role is not OrderRole.FLATTEN:
            return f"it was checked {waited_ms / 1000:.0f} s ago"
        self._journal.require_ours()
        return self._latch.refusal(prepared.intent) or self._lack(prepared)

    def _lack(self, prepared: Prepared) -> str:
        """Say what an entry lacks after money moved since its checks: a fill that nobody had reserved for (O7).

        Such is the late fill of an order that the venue had called CANCELED.
        """
        if prepared.intent.reduce_only or self._books.count.postings == prepared.since_postings:
            return ""
        return self._shortfall(prepared.intent)

    async def cancel(self, order_ids: list[str]) -> list[str]:
        """Ask for cancels; return the ids that may still fill. Safe to repeat, and needs no write (R19, E38)."""
        working = [order_id for order_id in order_ids if order_id in self._books.orders]
        self._want_gone(working)
        answers = {order_id: await self._ask_to_cancel(order_id) for order_id in working}
        with suppress(StoreError):  # what could not be written is kept, and written with the next
            self.pump()
            self.hear(word for i, shown in answers.items() if shown is not None and (word := self.word(i, shown)))
        ended = {order_id for order_id, shown in answers.items() if shown is not None and shown.status.is_terminal}
        return [order_id for order_id in working if order_id in self._books.orders and order_id not in ended]

    def _want_gone(self, order_ids: Iterable[str]) -> None:
        """Write down that orders are to be cancelled, where it can be and is not yet."""
        known = [order for order_id in order_ids if (order := self._books.orders.get(order_id)) is not None]
        self.wanted_gone.update(o.client_order_id for o in known if o.status is OrderStatus.UNKNOWN)
        unsaid = tuple(o.client_order_id for o in known if o.status not in IN_DOUBT)
        if unsaid and self._journal.broken is None:
            with suppress(StoreError):  # a cancel is the safe direction: it leaves, written or not
                self._say(unsaid, OrderStatus.CANCEL_PENDING, "")

    async def _ask_to_cancel(self, order_id: str) -> VenueOrder | None:
        """Ask for one cancel; return what the venue shows of the order then, None when that is not known."""
        self._want_gone((order_id,))  # again, for a store that failed may take writes since: those before took a while
        if order_id in self.sending:
            return None  # what has not arrived cannot be cancelled: the resolver asks once it has
        try:
            return await self._gateway.cancel(order_id)
        except Exception:  # whatever failed: it stays CANCEL_PENDING, and the others are asked for too (E38, E39)
            return None

    def word(self, order_id: str, shown: VenueOrder) -> StatusUpdate | None:
        """Return what an answer of the venue says of an order of ours; None when only its fills can say it.

        An order that ended counts as ended once all that it filled is booked: else it would be replaced too early.
        """
        order = self._books.order(order_id)
        if order is None or shown.status is OrderStatus.FILLED:
            return None
        if shown.status.is_terminal and shown.filled_qty > order.filled_qty:
            return None
        status = shown.status if shown.status in (*ENDED, OrderStatus.SUBMITTING) else OrderStatus.OPEN
        return StatusUpdate(client_order_ids=(order_id,), status=status, reason=shown.reason[:200], asked=True)

    @property
    def owes(self) -> bool:
        """Tell whether something the venue told is not booked yet, or a breach not acted on; costs next to nothing."""
        return bool(self._told or self.breach)

    def pump(self) -> list[Event]:
        """Book what the venue has told since the last call; each batch is one transaction."""
        self._told += self._gateway.drain()
        if not self._told:
            return []
        events = events_of(self._told, self._books, self._is_booked)
        if events:
            self._journal.record(self._clock.now_ms(), *events)
            self.breach = self.breach or overfilled(self._books, events)
        self._told = []  # only now: what could not be written is tried again with the next (P24)
        return events

    def hear(self, updates: Iterable[VenueUpdate]) -> list[Event]:
        """Book what was found out by asking, before what the venue has told since."""
        self._told += updates
        return self.pump()

    def _say(self, order_ids: tuple[str, ...], status: OrderStatus, reason: str) -> OrderStatus:
        """Book a state we know of ourselves; return what the first of the orders is then."""
        self.hear([StatusUpdate(client_order_ids=order_ids, status=status, reason=reason[:200])])
        order = self._books.order(order_ids[0]) if order_ids else None
        return order.status if order is not None else status

    def _is_booked(self, fill: Fill) -> bool:
        return self._journal.has_fill(fill.venue, fill.account, fill.instrument, fill.trade_id)

    def _bracket(self, intent: Intent) -> tuple[Bracket | None, tuple[OrderIntended, ...]]:
        """Name the protective orders an entry brings along; they rest at the venue as it fills (R16)."""
        wanted = (
            (OrderRole.STOP, OrderType.STOP, intent.stop_price),
            (OrderRole.TARGET, OrderType.TAKE_PROFIT, intent.target_price),
        )
        guards = tuple(self._guard(intent, role, kind, price) for role, kind, price in wanted if price is not None)
        if not guards:
            return None, ()
        ids = {guard.role: guard.client_order_id for guard in guards}
        bracket = Bracket(
            stop_order_id=ids.get(OrderRole.STOP, ""),
            stop_price=intent.stop_price,
            target_order_id=ids.get(OrderRole.TARGET, ""),
            target_price=intent.target_price,
        )
        return bracket, guards

    def _guard(self, intent: Intent, role: OrderRole, kind: OrderType, price: Decimal) -> OrderIntended:
        intent_id = f"{intent.intent_id}:{role.value.lower()}"
        return OrderIntended(
            intent_id=intent_id,
            client_order_id=client_order_id(self._store_id, intent_id),
            cycle_id=intent.cycle_id,
            agent=intent.agent,
            instrument=intent.instrument,
            role=role,
            side=intent.side.opposite,
            order_type=kind,
            qty=intent.qty,
            price=intent.price,
            limit_price=price if role is OrderRole.TARGET else None,
            trigger_price=price if role is OrderRole.STOP else None,
        )
