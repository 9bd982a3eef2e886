"""The trader's word on what nobody else can tell: what became of an order, and that an instrument may be entered again.

An assumption frees what the order reserves, so it may only be one that later evidence can put right: that the order
never reached the venue, or that nothing more of it will fill. That it filled is never assumed: money moves by the
venue's own trades, with their ids, prices and fees, or by an adjustment that says it is one (R14).
"""

from __future__ import annotations

from engine.api import Resolve, Unblock
from engine.control.core import Core
from engine.domain.events import EntriesBlocked, OrdersResolved
from engine.domain.money import plain
from engine.domain.order import Order, OrderStatus
from engine.errors import RefusedError
from engine.execution.resolver import guards_of

ASSUMPTIONS = {"not-sent": OrderStatus.NOT_SENT, "canceled": OrderStatus.CANCELED}


async def resolve(core: Core, command: Resolve) -> str:
    """Take the trader's word on an order, unless the venue answers after all; return a sentence."""
    order = _in_question(core, command.client_order_id)
    status = _assumed(order, command.assume)
    if not command.reason.strip():
        raise RefusedError(f"Nothing assumed yet. {_meaning(core, order, status)} Write a reason to do it.")
    asked = await core.resolver.ask(order.client_order_id)
    if asked is not None and asked.status is not order.status:
        return f"The venue answered: order {order.client_order_id} is {asked.status}. Nothing was assumed."
    guards = guards_of(core.books.orders.values(), order) if not order.filled_qty else []
    ids = (order.client_order_id, *(guard.client_order_id for guard in guards))
    said = OrdersResolved(client_order_ids=ids, status=status, actor=command.actor, reason=command.reason.strip()[:200])
    core.journal.record(core.desk.clock.now_ms(), said)
    return _meaning(core, order, status)


def unblock(core: Core, command: Unblock) -> str:
    """Let an instrument be entered again that was held up until a person has looked; return a sentence."""
    why = core.books.held_up.get(command.instrument)
    if why is None:
        held = ", ".join(sorted(core.books.held_up)) or "none"
        raise RefusedError(f"{command.instrument} is not held up; those that are: {held}.")
    if not command.reason.strip():
        raise RefusedError(f"{command.instrument} stays held up: {why}. Write a reason to let it be entered again.")
    note = command.reason.strip()[:200]
    lifted = EntriesBlocked(instrument=command.instrument, reason="", actor=command.actor, note=note)
    core.journal.record(core.desk.clock.now_ms(), lifted)
    return f"{command.instrument} may be entered again; it was held up because {why}."


def _in_question(core: Core, name: str) -> Order:
    """Find an order by its id or the beginning of it; only one in doubt is anybody's to decide."""
    wanted = [core.books.orders[i] for i in sorted(core.books.in_doubt) if name and i.startswith(name)]
    if len(wanted) == 1:
        return wanted[0]
    known = ", ".join(sorted(core.books.in_doubt)) or "none"
    what = "more than one order" if wanted else "no order"
    raise RefusedError(f"Nothing assumed: {name or 'an empty id'} names {what} in doubt; in doubt: {known}.")


def _assumed(order: Order, assume: str) -> OrderStatus:
    if assume == "filled":
        raise RefusedError(
            "Nothing assumed: that an order filled is booked from the venue's own trades, with their price and fee; "
            "if it shows none, assume canceled, and account for the difference when it is reconciled."
        )
    status = ASSUMPTIONS.get(assume)
    if status is None:
        raise RefusedError(f"Nothing assumed: {assume!r} is no assumption; there are {' and '.join(ASSUMPTIONS)}.")
    if status is OrderStatus.NOT_SENT and order.status is not OrderStatus.UNKNOWN:
        raise RefusedError(
            f"Nothing assumed: order {order.client_order_id} is {order.status}, and only one that is UNKNOWN may never "
            "have been sent; assume canceled."
        )
    return status


def _meaning(core: Core, order: Order, status: OrderStatus) -> str:
    what = "never reached the venue"
    if status is OrderStatus.CANCELED:
        what = f"is gone from the venue with {plain(order.filled_qty)} of {plain(order.qty)} filled"
    left_ms = core.resolver.left_ms(order.client_order_id)
    early = f" The venue may still show it within {left_ms / 1000:.0f} s." if left_ms > 0 else ""
    return (
        f"Assumed: order {order.client_order_id} ({order.side} {plain(order.qty)} {order.instrument}) {what}. It "
        f"reserves nothing more and holds up nothing.{early} If the venue shows or fills it after all, that is booked, "
        "an incident is raised, and entries in its instrument stop."
    )
