"""The order life cycle as one table: every state, everything that can be told of an order, and what follows.

A cell names the next state. "=": absorbed, nothing changes. "!": an incident, a person must see it; what stands behind
the "!" is the next state, none means that it stays. Fills are accepted in every state (R11, O5); of states that
contradict each other the one with more evidence wins, so that the order in which news arrives does not matter.
Only ABSENT, UNCLEAR and SHOWN are about a moment, and may be true after each other.

Nothing is written between INTENT_RECORDED and a create's answer: SUBMITTING in the journal is what the venue says of a
protective order that it holds until its entry fills. A create under way is a mark in the router's memory. A row would
cost a second sync before each send, and what it proves has no use: an intent found after a crash is asked for all the
same, and never sent again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from engine.domain.events import OrderIntended
from engine.domain.order import Fill, Order, OrderStatus


class News(StrEnum):
    """What can be told of an order.

    SUBMITTED: it is with the venue, or on the way there, and does not work yet. UNCLEAR: a send without an answer.
    ABSENT: the venue does not know it, past its horizon, or the trader says so, or it was never sent. SHOWN: the venue
    was asked just now and it works there; ACCEPTED may be an old message.
    PART_FILLED, ALL_FILLED: a fill after which less than, or at least, the whole quantity is filled.
    """

    SUBMITTED = "SUBMITTED"
    ACCEPTED = "ACCEPTED"
    SHOWN = "SHOWN"
    REJECTED = "REJECTED"
    UNCLEAR = "UNCLEAR"
    ABSENT = "ABSENT"
    CANCEL_ASKED = "CANCEL_ASKED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    PART_FILLED = "PART_FILLED"
    ALL_FILLED = "ALL_FILLED"


NEWS_OF_STATUS = {
    OrderStatus.INTENT_RECORDED: News.SUBMITTED,
    OrderStatus.SUBMITTING: News.SUBMITTED,
    OrderStatus.OPEN: News.ACCEPTED,
    OrderStatus.REJECTED: News.REJECTED,
    OrderStatus.UNKNOWN: News.UNCLEAR,
    OrderStatus.NOT_SENT: News.ABSENT,
    OrderStatus.CANCEL_PENDING: News.CANCEL_ASKED,
    OrderStatus.CANCELED: News.CANCELED,
    OrderStatus.EXPIRED: News.EXPIRED,
    OrderStatus.PARTIALLY_FILLED: News.ACCEPTED,
    OrderStatus.FILLED: News.ACCEPTED,
}
"""Which news an OrdersUpdated row with that status is. That it filled is only ever said by its fills."""

_SENDING = """
state             SUBMITTED    ACCEPTED  SHOWN  REJECTED  UNCLEAR  ABSENT     CANCEL_ASKED
INTENT_RECORDED   SUBMITTING   OPEN      OPEN   REJECTED  UNKNOWN  NOT_SENT   CANCEL_PENDING
SUBMITTING        =            OPEN      OPEN   REJECTED  UNKNOWN  NOT_SENT   CANCEL_PENDING
UNKNOWN           SUBMITTING   OPEN      OPEN   REJECTED  =        NOT_SENT   =
OPEN              =            =         =      !         =        !CANCELED  CANCEL_PENDING
PARTIALLY_FILLED  =            =         =      !         =        !CANCELED  CANCEL_PENDING
CANCEL_PENDING    =            =         =      REJECTED  =        CANCELED   =
FILLED            =            =         !      !         =        =          =
CANCELED          =            =         !OPEN  =         =        =          =
REJECTED          !            !OPEN     !OPEN  =         =        =          =
EXPIRED           =            =         !OPEN  =         =        =          =
NOT_SENT          !SUBMITTING  !OPEN     !OPEN  REJECTED  =        =          =
"""

_ENDING = """
state             CANCELED   EXPIRED   PART_FILLED        ALL_FILLED
INTENT_RECORDED   CANCELED   EXPIRED   PARTIALLY_FILLED   FILLED
SUBMITTING        CANCELED   EXPIRED   PARTIALLY_FILLED   FILLED
UNKNOWN           CANCELED   EXPIRED   PARTIALLY_FILLED   FILLED
OPEN              CANCELED   EXPIRED   PARTIALLY_FILLED   FILLED
PARTIALLY_FILLED  CANCELED   EXPIRED   =                  FILLED
CANCEL_PENDING    CANCELED   EXPIRED   =                  FILLED
FILLED            =          =         !                  !
CANCELED          =          =         !                  !FILLED
REJECTED          CANCELED   EXPIRED   !PARTIALLY_FILLED  !FILLED
EXPIRED           CANCELED   =         !                  !FILLED
NOT_SENT          !CANCELED  !EXPIRED  !PARTIALLY_FILLED  !FILLED
"""

WHY = (
    (
        "UNKNOWN, CANCEL_ASKED",
        "asking is no evidence: it stays UNKNOWN (R10), and is cancelled once the venue shows it",
    ),
    ("UNKNOWN, SUBMITTED", "the venue holds it until its entry fills: it is there, so it is known"),
    ("OPEN, UNCLEAR", "an answer that got lost takes nothing back that the venue said in another way"),
    ("OPEN, ABSENT", "it was there and is gone without a word: as good as cancelled, and a person must see it"),
    ("OPEN, SUBMITTED", "an older message, overtaken"),
    (
        "CANCEL_PENDING, REJECTED",
        "a cancel may be asked for while a create is under way that is then refused",
    ),
    ("CANCELED, ACCEPTED", "an acknowledgement that a cancel has overtaken is ordinary"),
    ("CANCELED, SHOWN", "we held it for dead and it works: it is ours again, and entries in its instrument stop"),
    ("CANCELED, PART_FILLED", "a late fill is booked; the rest of the order stays cancelled"),
    ("CANCELED, ALL_FILLED", "the fills are the evidence"),
    ("REJECTED, CANCELED", "what the venue cancels it had taken; either way nothing of it is left"),
    ("NOT_SENT, CANCELED", "it did reach the venue: its horizon is longer than it says"),
    ("NOT_SENT, REJECTED", "it did reach the venue, and nothing of it ever existed there"),
)
"""The cells that are not obvious, and why they are as they are."""


@dataclass(frozen=True, slots=True)
class Step:
    """What follows from a piece of news: the state afterwards, and whether a person must see it."""

    status: OrderStatus
    incident: bool


def _read(table: str) -> dict[tuple[OrderStatus, News], Step]:
    head, *rows = table.strip().splitlines()
    columns = [News(name) for name in head.split()[1:]]
    steps: dict[tuple[OrderStatus, News], Step] = {}
    for row in rows:
        name, *cells = row.split()
        state = OrderStatus(name)
        for news, cell in zip(columns, cells, strict=True):
            target = cell.removeprefix("!")
            steps[state, news] = Step(state if target in ("", "=") else OrderStatus(target), cell.startswith("!"))
    return steps


STEPS = _read(_SENDING) | _read(_ENDING)


def step(status: OrderStatus, news: News) -> Step:
    """Return what follows for an order in a state; there is a row for every state and every piece of news.

    >>> step(OrderStatus.UNKNOWN, News.ACCEPTED).status.value, step(OrderStatus.CANCELED, News.PART_FILLED).incident
    ('OPEN', True)
    """
    return STEPS[status, news]


def new_order(intended: OrderIntended, ts_ms: int) -> Order:
    """Return the order that an intent on record is before anything is known of it."""
    return Order(
        client_order_id=intended.client_order_id,
        intent_id=intended.intent_id,
        cycle_id=intended.cycle_id,
        agent=intended.agent,
        instrument=intended.instrument,
        side=intended.side,
        order_type=intended.order_type,
        role=intended.role,
        qty=intended.qty,
        limit_price=intended.limit_price,
        stop_price=intended.trigger_price,
        status=OrderStatus.INTENT_RECORDED,
        created_ms=ts_ms,
        updated_ms=ts_ms,
        price=intended.price,
    )


def after_news(order: Order, news: News, ts_ms: int, reason: str = "") -> Order:
    """Return the order after a piece of news that is no fill; the same one where the news is absorbed."""
    status = STEPS[order.status, news].status
    if status is order.status:
        return order
    if status is OrderStatus.OPEN and order.filled_qty:
        status = OrderStatus.PARTIALLY_FILLED
    return order.in_status(status, ts_ms, reason, reopened=_reopened(order, status))


def after_fill(order: Order, fill: Fill, ts_ms: int) -> Order:
    """Return the order after one of its fills, which counts whatever its state is (R11)."""
    status = STEPS[order.status, _fill_news(order.filled_qty + fill.qty, order.qty)].status
    return order.with_fill(fill, status, ts_ms, reopened=_reopened(order, status))


def after_size(order: Order, qty: Decimal, ts_ms: int) -> Order:
    """Return the order once the venue has changed its size: one that has filled that much by now is done."""
    sized = replace(order, qty=qty, updated_ms=ts_ms)
    done = 0 < sized.qty <= sized.filled_qty
    return replace(sized, status=STEPS[order.status, News.ALL_FILLED].status) if done else sized


def _reopened(order: Order, status: OrderStatus) -> bool:
    return order.reopened or (order.status.is_terminal and status.is_working)


def fill_news(filled: Order) -> News:
    """Return which news the last fill of an order was."""
    return _fill_news(filled.filled_qty, filled.qty)


def _fill_news(filled_qty: Decimal, qty: Decimal) -> News:
    return News.ALL_FILLED if filled_qty >= qty else News.PART_FILLED


def as_markdown() -> str:
    """Return the table for ARCHITECTURE.md, a part above the other, and why the odd cells are as they are."""
    reasons = "\n".join(f"- {cell}: {why}." for cell, why in WHY)
    return "\n\n".join((_markdown(_SENDING), _markdown(_ENDING), reasons))


def _markdown(table: str) -> str:
    lines = [line.split() for line in table.strip().splitlines()]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
