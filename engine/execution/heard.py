"""A venue whose failures are counted: how many answers in a row did not come, or could not be used (R18)."""

from __future__ import annotations

from collections.abc import Awaitable
from decimal import Decimal
from typing import TypeVar

from engine.domain.order import Fill, OrderRequest
from engine.execution.gateway import Gateway, OrderRejectedError, VenueOrder, VenueUpdate

T = TypeVar("T")


class HeardGateway:
    """Passes every call on to a gateway. failures: calls in a row that raised; why: what the last of them said.

    A rejected order is an answer like any other.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.venue, self.account, self.tier = gateway.venue, gateway.account, gateway.tier
        self.failures = 0
        self.why = ""

    def begin_anew(self) -> None:
        """Forget the failures; a person looked."""
        self.failures, self.why = 0, ""

    async def create(self, request: OrderRequest) -> VenueOrder:
        return await self._hear(self._gateway.create(request))

    async def cancel(self, client_order_id: str) -> VenueOrder | None:
        return await self._hear(self._gateway.cancel(client_order_id))

    async def find(self, client_order_id: str) -> VenueOrder | None:
        return await self._hear(self._gateway.find(client_order_id))

    async def open_orders(self) -> list[VenueOrder]:
        return await self._hear(self._gateway.open_orders())

    async def balances(self) -> dict[str, Decimal]:
        return await self._hear(self._gateway.balances())

    async def fills_since(self, ts_ms: int) -> list[Fill]:
        return await self._hear(self._gateway.fills_since(ts_ms))

    def drain(self) -> list[VenueUpdate]:
        return self._gateway.drain()

    async def _hear(self, asked: Awaitable[T]) -> T:
        try:
            answer = await asked
        except OrderRejectedError:
            self.failures = 0
            raise
        except Exception as error:
            self.failures += 1
            self.why = f"{type(error).__name__}: {error}"[:200]
            raise
        self.failures = 0
        return answer
