"""Mutants of sending: what leaves, how often, and what is believed of it afterwards."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

from engine.domain.agent import AgentConfig
from engine.domain.decision import DecisionDraft
from engine.domain.events import DifferenceFound, Event, OrderIntended, OrdersUpdated, StateChanged
from engine.domain.instrument import Instrument
from engine.domain.intent import Intent
from engine.domain.money import ZERO
from engine.domain.order import Order, OrderRequest, OrderStatus, Side
from engine.domain.policy import TradingState
from engine.errors import VenueUnreachableError
from engine.execution.flatten import Flatten
from engine.execution.gateway import AmbiguousSendError, OrderRejectedError, VenueOrder
from engine.execution.latch import SendLatch
from engine.execution.reconcile import Reconciler
from engine.execution.resolver import Resolver
from engine.execution.router import Prepared, Router
from engine.ops.simulate.gateway import SimGateway
from engine.ops.simulate.mutant import mutant
from engine.risk.situation import Situation
from engine.risk.surroundings import Coming, Seen, Surroundings
from engine.store.journal import Journal


@mutant("gateway")
class RetryOnTimeout(SimGateway):
    """A create whose outcome is not known is never repeated (R10, O4, E01)."""

    async def create(self, request: OrderRequest) -> VenueOrder:
        try:
            return await super().create(request)
        except AmbiguousSendError:
            return await super().create(request)


@mutant("router")
class NewIdPerTry(Router):
    """The client order id is a function of the intent, so that no try makes a second order (R9, O1, A26)."""

    async def send(self, prepared: Prepared) -> OrderStatus:
        status = await super().send(prepared)
        if status is not OrderStatus.UNKNOWN:
            return status
        again = self.prepare(replace(prepared.intent, intent_id=prepared.intent.intent_id + "#2"))
        self._journal.record(self._clock.now_ms(), *again.events)
        return await super().send(again)


@mutant("gateway")
class TimeoutIsRejected(SimGateway):
    """A timeout says nothing about the venue: the order is UNKNOWN, not rejected (R10, O6, E01)."""

    async def create(self, request: OrderRequest) -> VenueOrder:
        try:
            return await super().create(request)
        except AmbiguousSendError as error:
            raise OrderRejectedError(str(error)) from error


@mutant("gateway")
class TimeoutIsAccepted(SimGateway):
    """A timeout says nothing about the venue: the order is UNKNOWN, not open (R10, O6, E02)."""

    async def create(self, request: OrderRequest) -> VenueOrder:
        try:
            return await super().create(request)
        except AmbiguousSendError:
            return VenueOrder(
                client_order_id=request.client_order_id, instrument=request.instrument, side=request.side,
                order_type=request.order_type, qty=request.qty, filled_qty=ZERO, status=OrderStatus.OPEN,
            )  # fmt: skip


@mutant("gateway")
class HorizonTooShort(SimGateway):
    """Not found is no evidence before the venue's own horizon (R10, O6, E03)."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        self.tier = replace(self.tier, horizon_ms=self.tier.horizon_ms // 10)


@mutant("gateway")
class NotFoundIsCanceled(SimGateway):
    """An order that a query does not show has not been cancelled by that (R10, O6, E03)."""

    async def find(self, client_order_id: str) -> VenueOrder | None:
        shown = await super().find(client_order_id)
        known = self._venue.orders.get(client_order_id)
        return replace(known.shown(), status=OrderStatus.CANCELED) if shown is None and known is not None else shown


@mutant("gateway")
class ErrorIsNotFound(SimGateway):
    """A query that fails says nothing of the order: no answer is no evidence (E21, O6)."""

    async def find(self, client_order_id: str) -> VenueOrder | None:
        try:
            return await super().find(client_order_id)
        except VenueUnreachableError:
            return None


@mutant("router")
class CancelBeforeWrite(Router):
    """That a cancel was asked for is on disk before it leaves (R9, P12)."""

    async def cancel(self, order_ids: list[str]) -> list[str]:
        for order_id in order_ids:
            with suppress(Exception):
                await self._gateway.cancel(order_id)
        return await super().cancel(order_ids)


@mutant("router")
class CancelsWrittenOnce(Router):
    """Where the store takes writes again between two cancels, the second is on disk before it leaves (P12, P24)."""

    _is_asked = False

    async def cancel(self, order_ids: list[str]) -> list[str]:
        self._is_asked = False
        return await super().cancel(order_ids)

    def _want_gone(self, order_ids: Iterable[str]) -> None:
        if not self._is_asked:
            super()._want_gone(order_ids)
        self._is_asked = True


@mutant("journal")
class SendBeforeWrite(Journal):
    """Intent and order row are on disk before the first byte leaves (R9, O2, P03)."""

    _late: tuple[Event, ...] = ()

    def record(self, ts_ms: int, *events: Event) -> None:
        if any(isinstance(event, OrderIntended) for event in events):
            for event in events:
                self.books.apply(ts_ms, event)
            self._late = events
            return
        late, self._late = self._late, ()
        super().record(ts_ms, *late, *events)


@mutant("router")
class GuardsNotWritten(Router):
    """The protective orders that travel with an entry are on disk before it leaves, too (R9, R16, O2)."""

    def prepare(self, intent: Intent) -> Prepared:
        prepared = super().prepare(intent)
        return replace(prepared, events=prepared.events[:1])


@mutant("reconciler")
class ResendAtStart(Reconciler):
    """What a crash left unsent is looked up and never sent by itself (P03, O4)."""

    async def at_start(self, sending: Container[str] = ()) -> list[DifferenceFound]:
        for order in list(self.journal.books.orders.values()):
            if order.status is OrderStatus.INTENT_RECORDED and not order.role.is_protection:
                await self.gateway.create(_again(order))
        return await super().at_start(sending)


def _again(order: Order) -> OrderRequest:
    return OrderRequest(
        client_order_id=order.client_order_id, instrument=order.instrument, side=order.side,
        order_type=order.order_type, qty=order.qty, limit_price=order.limit_price, group=order.agent,
    )  # fmt: skip


@mutant("reconciler")
class StartWithoutAsking(Reconciler):
    """A start reconciles with the venue before anything trades (R14, P04, P05, O1)."""

    async def at_start(self, sending: Container[str] = ()) -> list[DifferenceFound]:
        self.gateway.drain()
        return []


@mutant("reconciler")
class RestartResumes(Reconciler):
    """A halt holds over restarts until a person resumes (R17, S1)."""

    async def at_start(self, sending: Container[str] = ()) -> list[DifferenceFound]:
        found = await super().at_start(sending)
        if self.journal.books.state is TradingState.HALTED:
            resumed = StateChanged(state=TradingState.ACTIVE, actor="start", reason="all is well")
            self.journal.record(self.clock.now_ms(), resumed)
        return found


@mutant("reconciler")
class TradingHidesDrift(Reconciler):
    """A drift is the same as long as its amount is, whatever the account trades between two looks (R14, L8, E34)."""

    _balances: dict[str, Decimal] | None = None

    async def while_running(self) -> None:
        if self._balances != self.journal.books.balances:
            self._suspected = {}
        await super().while_running()
        self._balances = dict(self.journal.books.balances)


@mutant("resolver")
class NeverAsked(Resolver):
    """An order in doubt is asked for until the venue says what became of it (R10, O6)."""

    async def step(self) -> None:
        return


@mutant("router")
class GuardsThoughtThere(Router):
    """Protection travels with its entry: while that is on its way, nobody can say that it is not there (O6, R16)."""

    def _on_way(self, prepared: Prepared) -> set[str]:
        return {prepared.request.client_order_id}


@mutant("resolver")
class OldAnswerTakenForNew(Resolver):
    """An order is absent as of when the venue was asked, not as of when a slow answer came (R10, O6)."""

    async def _ask(self, order: Order) -> None:
        doubt = self._doubt(order.client_order_id)
        shown = await self._look(order)
        if shown is not None:
            await self._shown(order, shown)
        elif self.left_ms(order.client_order_id) <= 0:
            await self._not_shown(order, doubt)
        doubt.next_mono_ms = self._clock.mono_ms() + doubt.pause_ms


@mutant("latch")
class GateReadOnce(SendLatch):
    """The trading state is read again in the send section itself (S2)."""

    _first: str | None = None

    def refusal(self, intent: Intent) -> str:
        if self._first is None:
            self._first = super().refusal(intent)
        return self._first


@mutant("latch")
class HaltFileIgnored(SendLatch):
    """A HALT file holds every send, whoever put it there (R19, S1, U10)."""

    def refusal(self, intent: Intent) -> str:
        return "" if super().refusal(intent) == "a HALT file is in the store" else super().refusal(intent)


@mutant("journal")
class HaltInMemoryOnly(Journal):
    """A halt is latched on disk as well as in memory (R17, R19, S1)."""

    def record(self, ts_ms: int, *events: Event) -> None:
        kept = [e for e in events if not (isinstance(e, StateChanged) and e.state is TradingState.HALTED)]
        if kept:
            super().record(ts_ms, *kept)


class _Bent(Surroundings):
    """Reads a situation and changes it."""

    def bend(self, situation: Situation) -> Situation:
        return situation

    def gather(
        self, agent: AgentConfig, draft: DecisionDraft, decision_id: str, now_ms: int, beside: Sequence[Intent] = (),
        *, seen: Seen | None = None,
    ) -> Situation:  # fmt: skip
        return self.bend(super().gather(agent, draft, decision_id, now_ms, beside, seen=seen))


@mutant("surroundings")
class UnknownDoesNotBlock(_Bent):
    """An UNKNOWN order keeps entries out of its instrument (R10, O6)."""

    def bend(self, situation: Situation) -> Situation:
        return replace(situation, working=0, in_doubt="")


@mutant("surroundings")
class UnknownReservesNothing(Surroundings):
    """An UNKNOWN order reserves its full notional (R10, O7)."""

    def left_of(self, instrument: Instrument, coming: Collection[Coming]) -> Decimal:
        unknown = [o for o in self.books.orders.values() if o.status is OrderStatus.UNKNOWN and o.side is Side.BUY]
        held_back = sum((o.qty * (o.limit_price or self.valuation.price(o.instrument) or ZERO) for o in unknown), ZERO)
        return super().left_of(instrument, coming) + held_back


@mutant("surroundings")
class OpenReservesNothing(Surroundings):
    """What working orders may still spend is not free (O7)."""

    def left_of(self, instrument: Instrument, coming: Collection[Coming]) -> Decimal:
        return self.books.balances.get(instrument.quote, ZERO)


@mutant("surroundings")
class MoneyAskedOnce(Surroundings):
    """Money that a late fill took since the checks is not spent again by the next order (O7, E12)."""

    def shortfall(self, intent: Intent) -> str:
        return ""


@mutant("surroundings")
class SellsTwice(_Bent):
    """A second exit waits for the first one: together they never flip the sign (O8, R15)."""

    def bend(self, situation: Situation) -> Situation:
        return replace(situation, current_qty=situation.current_qty * 2)


@mutant("router")
class CancelTimeoutIsCanceled(Router):
    """A cancel that timed out leaves the order as it may be: pending (E38, P12)."""

    async def cancel(self, order_ids: list[str]) -> list[str]:
        still = await super().cancel(order_ids)
        pending = [i for i in still if self._books.orders[i].status is OrderStatus.CANCEL_PENDING]
        if pending:
            said = OrdersUpdated(client_order_ids=tuple(pending), status=OrderStatus.CANCELED)
            self._journal.record(self._clock.now_ms(), said)
        return still


@mutant("flatten")
class FlattenFromBooks(Flatten):
    """A flatten is sized by what the venue holds, not by our books (R19, S3)."""

    async def _venue_qty(self) -> dict[str, Decimal]:
        held = await super()._venue_qty()
        return {key: self._books.held(key) for key in held}


@mutant("flatten")
class FlatAtOnce(Flatten):
    """Flat is what the venue shows, not that the orders were sent (R19, S3, E40)."""

    def _is_dust(self, key: str, qty: Decimal) -> bool:
        return self.rounds > 0 or super()._is_dust(key, qty)
