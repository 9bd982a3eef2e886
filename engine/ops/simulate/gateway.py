"""The engine's side of the wire: every call may fail before or after its effect, every message may be lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from engine.domain.money import ZERO
from engine.domain.order import Fill, OrderRequest, OrderStatus
from engine.errors import VenueUnreachableError
from engine.execution.gateway import (
    AmbiguousSendError,
    OrderRejectedError,
    ResizeUpdate,
    VenueOrder,
    VenueTier,
    VenueUpdate,
)
from engine.ops.simulate.faults import FaultBook, SimulatedCrash, pause
from engine.ops.simulate.plan import HORIZON_MS, Fault, Site
from engine.ops.simulate.venue import ACCOUNT, VENUE, SimVenue

TIER = VenueTier(
    finds_by_client_id=True, id_unique_forever=True, horizon_ms=HORIZON_MS, attaches_brackets=True,
    conditional_orders=True, cancel_all_after=False,
)  # fmt: skip


class GarbledAnswerError(KeyError):
    """What reading a malformed answer raises (E23, E48)."""


class SimGateway:
    """One connection of one life of the engine.

    told_balances: its last answer, less what a flatten sent to be sold since. die: ends that life. on_create,
    on_cancel: told each call before anything else happens. Turns are counted by the run.
    """

    venue = VENUE
    account = ACCOUNT

    def __init__(
        self, venue: SimVenue, faults: FaultBook, die: Callable[[str], None],
        on_create: Callable[[OrderRequest], None], on_cancel: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.tier = TIER
        self.turn = 0
        self.dead = False
        self.told_balances: dict[str, Decimal] = {}
        self._venue = venue
        self._faults = faults
        self._die = die
        self._on_create = on_create
        self._on_cancel = on_cancel
        self._inbox: list[tuple[int, VenueUpdate]] = []
        venue.hear = self._hear

    async def create(self, request: OrderRequest) -> VenueOrder:
        self._must_live()
        self._on_create(request)
        fault = self._faults.take(Site.CREATE)
        kind = fault.kind if fault else ""
        await self._way("create leaves", _slow(fault, even=True))
        if kind == "rejected":
            raise OrderRejectedError("the venue says no")
        if kind in ("lost before the venue", "5xx, not accepted", "429", "418"):
            raise AmbiguousSendError(kind)
        if fault and "beyond" in kind:
            self._venue.beyond.add(request.client_order_id)
        if fault and "reaches the venue" in kind:
            self._venue.on_way.append((self._venue.clock.now_ms() + fault.amount, request))
            raise AmbiguousSendError("timed out")
        hidden = fault.amount if fault and "invisible" in kind else 0
        shown = self._venue.accept(request, hidden)
        await self._way("create answers", _slow(fault, even=False))
        if kind == "accepted, garbled answer":
            raise GarbledAnswerError("orderId")
        if kind in ("accepted, answer lost", "5xx, accepted") or "beyond" in kind:
            raise AmbiguousSendError(kind)
        return shown

    async def cancel(self, client_order_id: str) -> VenueOrder | None:
        self._must_live()
        self._on_cancel(client_order_id)
        fault = self._faults.take(Site.CANCEL)
        kind = fault.kind if fault else ""
        await self._way("cancel leaves", _slow(fault, even=True))
        if kind in ("timed out, not done", "5xx"):
            raise VenueUnreachableError(f"cancel: {kind}")
        order = self._venue.find(client_order_id)
        if order is not None and kind == "filled first" and not order.waits:
            self._venue.fill(order, order.open_qty, self._venue.price_of(order))
        if order is not None:
            self._venue.cancel(client_order_id)
        await self._way("cancel answers", _slow(fault, even=False))
        if kind == "timed out, done":
            raise VenueUnreachableError("cancel: timed out")
        if kind == "garbled answer":
            raise GarbledAnswerError("status")
        return order.shown() if order is not None else None

    async def find(self, client_order_id: str) -> VenueOrder | None:
        fault = await self._ask(Site.FIND)
        order = self._venue.find(client_order_id)
        if order is not None and fault and fault.kind == "stale answer" and not order.parent:
            return replace(order.shown(), status=OrderStatus.OPEN, filled_qty=ZERO)
        return order.shown() if order is not None else None

    async def open_orders(self) -> list[VenueOrder]:
        await self._ask(Site.OPEN_ORDERS)
        now_ms = self._venue.clock.now_ms()
        return [order.shown() for order in self._venue.working() if order.shown_ms <= now_ms]

    async def balances(self) -> dict[str, Decimal]:
        await self._ask(Site.BALANCES)
        self.told_balances = dict(self._venue.balances)
        return dict(self.told_balances)

    async def fills_since(self, ts_ms: int) -> list[Fill]:
        fault = await self._ask(Site.FILLS)
        now_ms = self._venue.clock.now_ms()
        fills = [t.fill for t in self._venue.trades if t.fill.ts_ms >= ts_ms and t.shown_ms <= now_ms]
        if fault and fault.kind == "shuffled":
            return fills[::-1]
        return fills * 2 if fault and fault.kind == "doubled" else fills

    def drain(self) -> list[VenueUpdate]:
        self._must_live()
        due = sorted((each for each in self._inbox if each[0] <= self.turn), key=lambda each: each[0])
        self._inbox = [each for each in self._inbox if each[0] > self.turn]
        return [update for _turn, update in due]

    def in_flight(self) -> int:
        """Return how many messages are still on their way to the engine."""
        return len(self._inbox)

    def _hear(self, update: VenueUpdate) -> None:
        fault = self._faults.take(Site.STREAM)
        grows = self._grows(update)
        if fault and fault.kind == "lost" and not grows:
            return
        # Fills come in any order (E09); the sizes of one order do not overtake each other, for they carry no number.
        in_turn = isinstance(update, ResizeUpdate)
        late = fault.amount if fault and fault.kind.startswith("late") and not in_turn else 0
        copies = 2 if fault and fault.kind == "doubled" else 1
        self._inbox += [(self.turn + late, update)] * copies

    def _grows(self, update: VenueUpdate) -> bool:
        """Tell whether protection grows: were that lost, its next fill would look like an overfill, and halt (L5)."""
        if not isinstance(update, ResizeUpdate):
            return False
        order = self._venue.orders[update.client_order_id]
        return order.qty > order.was_qty

    async def _ask(self, site: Site) -> Fault | None:
        self._must_live()
        fault = self._faults.take(site)
        await self._way(f"{site.value} leaves", _slow(fault, even=True) + _slow(fault, even=False))
        kind = fault.kind if fault else ""
        if kind in ("timed out", "5xx", "429"):
            raise VenueUnreachableError(f"{site.value}: {kind}")
        if kind == "garbled answer":
            raise GarbledAnswerError(site.value)
        return fault

    async def _way(self, where: str, turns: int) -> None:
        if self._faults.take(Site.AWAIT) is not None:
            self._die(where)
        if turns:
            await pause(turns)
            self._must_live()

    def _must_live(self) -> None:
        if self.dead:
            raise SimulatedCrash("a dead engine calls the venue")


def _slow(fault: Fault | None, *, even: bool) -> int:
    """Return the turns a slow call takes on one of its two ways."""
    return fault.amount if fault and fault.kind == "slow" and (fault.amount % 2 == 0) is even else 0
