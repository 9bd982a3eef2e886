"""Let a stop or a target rest for a position that is open already (R16)."""

from __future__ import annotations

from decimal import Decimal

from engine.clock import Clock
from engine.domain.events import StopTrailed
from engine.domain.order import OrderRole, OrderStatus
from engine.domain.portfolio import Position
from engine.execution.protection import RESTING, stops_of, uncovered, whole_qty
from engine.execution.router import Router
from engine.risk.gate import aiming_intent, guarding_intent
from engine.store.journal import Journal


async def rest_stop(
    journal: Journal, router: Router, clock: Clock, position: Position, stop: Decimal, price: Decimal, name: str,
    *why: StopTrailed,
) -> bool:  # fmt: skip
    """Send a stop for the whole position; tell whether it rests. why: journaled in the same transaction.

    The new one comes first, and what it stands in for goes once it rests: the position is never naked, and as both only
    reduce, together they never sell more than there is. A venue that holds such orders within the position, as the
    paper venue does, has taken the older ones back by itself.
    """
    books, now_ms = journal.books, clock.now_ms()
    older = [order.client_order_id for order in stops_of(books, position)]
    intent = guarding_intent(position, whole_qty(books, position), price, stop, name, now_ms)
    prepared = router.prepare(intent)
    journal.record(now_ms, *why, *prepared.events)
    if await router.send(prepared) not in (*RESTING, OrderStatus.FILLED):
        return False
    left = [order_id for order_id in older if order_id in books.orders]
    if left:
        await router.cancel(left)
    return True


async def rest_target(
    journal: Journal, router: Router, clock: Clock, position: Position, target: Decimal, price: Decimal, name: str
) -> bool:
    """Send a target for what of a position none covers; tell whether it rests, or has filled at once.

    Targets that rest stay, each at the price of its own entry. The stop may fill while this one is on its way: what has
    no position then is a stray, and is called back by the monitor.
    """
    books, now_ms = journal.books, clock.now_ms()
    qty = uncovered(books, position, OrderRole.TARGET)
    prepared = router.prepare(aiming_intent(position, qty, price, target, name, now_ms))
    journal.record(now_ms, *prepared.events)
    return await router.send(prepared) in (*RESTING, OrderStatus.FILLED)
