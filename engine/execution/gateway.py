"""The one protocol behind which every venue stands, paper included (R37)."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from decimal import Decimal
from typing import Protocol

from engine.domain.order import Fill, OrderRequest, OrderStatus, OrderType, Side
from engine.domain.values import quick_value


class OrderRejectedError(Exception):
    """The venue said no to a create; nothing of it exists there."""


class AmbiguousSendError(Exception):
    """Nobody knows whether the venue took the order: UNKNOWN until there is evidence (R10)."""


class DuplicateIdError(AmbiguousSendError):
    """The venue has an order with this id already: it is asked what that is, and nothing is sent again (E05)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTier:
    """What a venue can do, stated by its gateway and relied on by the router (R10).

    finds_by_client_id: it can be asked for an order by our id. id_unique_forever: a used id is refused for ever; else
    only while its order is open. horizon_ms: an order that cannot be found this long after its send ended does not
    exist, 0: at once. attaches_brackets: it rests protection itself as the entry fills. conditional_orders: stops rest
    at the venue. cancel_all_after: it can cancel all by itself when it no longer hears from us.
    """

    finds_by_client_id: bool
    id_unique_forever: bool
    horizon_ms: int
    attaches_brackets: bool
    conditional_orders: bool
    cancel_all_after: bool


@quick_value
class VenueOrder:
    """An order as the venue shows it."""

    _: KW_ONLY
    client_order_id: str
    instrument: str
    side: Side
    order_type: OrderType
    qty: Decimal
    filled_qty: Decimal
    status: OrderStatus
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    reason: str = ""


@quick_value
class StatusUpdate:
    """The venue moved one or more orders to a state. asked: it is the answer to a question put just now."""

    _: KW_ONLY
    client_order_ids: tuple[str, ...]
    status: OrderStatus
    reason: str = ""
    asked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResizeUpdate:
    """The venue changed the total quantity of a protective order."""

    client_order_id: str
    qty: Decimal


VenueUpdate = StatusUpdate | ResizeUpdate | Fill


class Gateway(Protocol):
    """A venue account. All money is Decimal; all times are the venue's own."""

    venue: str
    account: str
    tier: VenueTier

    async def create(self, request: OrderRequest) -> VenueOrder:
        """Place an order, once; the very same request again shows the same order.

        Raises OrderRejectedError when nothing of it exists, DuplicateIdError when another order has its id, and
        AmbiguousSendError, or anything else, when the outcome is not known.
        """
        ...

    async def cancel(self, client_order_id: str) -> VenueOrder | None:
        """Cancel an order; safe to repeat. Returns what the venue shows of it afterwards, None when unknown there."""
        ...

    async def find(self, client_order_id: str) -> VenueOrder | None:
        """Look an order up by our id; None is "not found", which is no evidence before the horizon."""
        ...

    async def open_orders(self) -> list[VenueOrder]:
        """Return all orders that may still fill, conditional ones included."""
        ...

    async def balances(self) -> dict[str, Decimal]:
        """Return total holdings per asset, what orders lock included."""
        ...

    async def fills_since(self, ts_ms: int) -> list[Fill]:
        """Return all fills at or after an instant, oldest first, to the last one there is."""
        ...

    def drain(self) -> list[VenueUpdate]:
        """Take the updates that arrived since the last call, in the venue's order; never waits."""
        ...
