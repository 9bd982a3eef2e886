"""From an Intent to the venue: write, then act, then tell (R9); at most one create per intent, ever (R10)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.clock import Clock
from engine.domain.agent import EXTERNAL
from engine.domain.events import Event, Incident, OrderIntended, OrdersUpdated
from engine.domain.intent import Intent
from engine.domain.order import Bracket, Fill, OrderRequest, OrderRole, OrderStatus, OrderType
from engine.execution.accounting import events_of, overfilled
from engine.execution.gateway import AmbiguousSendError, Gateway, OrderRejectedError, VenueUpdate
from engine.execution.latch import SendLatch
from engine.ids import client_order_id
from engine.store.journal import Journal


@dataclass(frozen=True, slots=True)
class Prepared:
    """An order ready to be written and then sent. events: its intent row, and those of its protective orders."""

    intent: Intent
    request: OrderRequest
    events: tuple[OrderIntended, ...]

    @property
    def client_order_ids(self) -> tuple[str, ...]:
        """The order's id and those of its protective orders."""
        return tuple(event.client_order_id for event in self.events)


class Router:
    """Owns the way to one venue account. Every change it makes is journaled before it is told."""

    def __init__(self, journal: Journal, gateway: Gateway, latch: SendLatch, clock: Clock, store_id: str) -> None:
        self._journal = journal
        self._books = journal.books
        self._gateway = gateway
        self._latch = latch
        self._clock = clock
        self._store_id = store_id
        self._told: list[VenueUpdate] = []
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
        return Prepared(intent, request, (main, *guards))

    async def send(self, prepared: Prepared) -> OrderStatus:
        """Send an order whose rows are on disk; return what is known of it afterwards."""
        refusal = self._latch.refusal(prepared.intent)
        if refusal:
            return self._settle(prepared.client_order_ids, OrderStatus.NOT_SENT, refusal)
        try:
            ack = await self._gateway.create(prepared.request)
        except OrderRejectedError as error:
            return self._settle(prepared.client_order_ids, OrderStatus.REJECTED, str(error))
        except AmbiguousSendError as error:
            return self._settle(prepared.client_order_ids[:1], OrderStatus.UNKNOWN, str(error))
        except Exception as error:  # any other failure says as little about the venue as a dropped socket (E48)
            return self._settle(prepared.client_order_ids[:1], OrderStatus.UNKNOWN, repr(error))
        self._settle(prepared.client_order_ids[:1], OrderStatus.OPEN, "")
        self.pump()
        return ack.status

    async def cancel(self, order_ids: list[str]) -> list[str]:
        """Ask for cancels; return the ids that the venue still shows as working. Safe to repeat (E38)."""
        still: list[str] = []
        for order_id in order_ids:
            try:
                shown = await self._gateway.cancel(order_id)
            except Exception as error:  # whatever failed, the others are asked for too (E39)
                self._settle((order_id,), OrderStatus.CANCEL_PENDING, str(error) or repr(error))
                still.append(order_id)
                continue
            if shown is not None and shown.status.is_working:
                still.append(order_id)
        self.pump()
        return still

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

    def _is_booked(self, fill: Fill) -> bool:
        return self._journal.has_fill(fill.venue, fill.account, fill.instrument, fill.trade_id)

    def _settle(self, order_ids: tuple[str, ...], status: OrderStatus, reason: str) -> OrderStatus:
        known = tuple(i for i in order_ids if i in self._books.orders and self._books.orders[i].status is not status)
        if known:
            events: list[Event] = [OrdersUpdated(client_order_ids=known, status=status, reason=reason[:200])]
            if status is OrderStatus.UNKNOWN:
                events.append(Incident(code="ORDER_UNKNOWN", text=f"order {known[0]}: {reason}"[:300]))
            self._journal.record(self._clock.now_ms(), *events)
        return status

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
