"""Close in one instrument with limit orders that reach further step by step, and never past the policy's cap (E40).

The cap is a share of the last price, not of the price at the beginning: a market that has moved is no slippage, and
what must be closed must be closed in a fall too. A step waits its time, and for a price newer than the one it was
measured from; while anything fills, the orders stay where they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from engine.clock import MINUTE_MS, Clock
from engine.domain.money import ONE, ZERO, percent, round_price
from engine.domain.order import Order, Side
from engine.domain.policy import FlattenLimits
from engine.domain.portfolio import Position
from engine.domain.valuation import Valuation
from engine.execution.router import Router
from engine.market.sessions import is_open
from engine.risk.gate import closing_intent
from engine.store.journal import Journal

TRIES_MAX = 20
"""So many closing orders in a row without a fill; then somebody must look."""
PRICE_WAIT_MS = 10 * MINUTE_MS
"""An open market that names no price for so long will not name one: there is nothing to measure a cap from."""

QUIET_MS = MINUTE_MS
"""Candles of a minute are the slowest prices that nobody need be told of."""


def collar(side: Side, price: Decimal, limits: FlattenLimits, tick: Decimal, rung: int) -> Decimal:
    """Return the limit of a closing order on a rung, 1 the nearest, rounded so that the cap is never passed.

    >>> [str(collar(Side.SELL, Decimal(100), FlattenLimits(), Decimal("0.1"), rung)) for rung in (1, 4, 9)]
    ['99.5', '98.0', '98.0']
    """
    reach = limits.slippage_max_frac * min(rung, limits.steps) / limits.steps
    return max(tick, round_price(price * (ONE + side.sign * reach), tick, up=side is Side.SELL))


@dataclass(frozen=True, slots=True)
class Tools:
    """What closing orders are made, written and sent with."""

    journal: Journal
    router: Router
    valuation: Valuation
    clock: Clock
    limits: FlattenLimits


@dataclass(slots=True)
class Ladder:
    """The closing orders of one instrument. tries: sent since anything filled; stuck: why it gave up, "" before.

    order_ids: of all it has sent. start_mono_ms: since when it wants to close; sent_mono_ms: the last try, or the
    last fill of it. price_ms: of when the price was that the last try was measured from.
    """

    tools: Tools
    key: str
    start_mono_ms: float
    tries: int = 0
    stuck: str = ""
    order_ids: list[str] = field(default_factory=list)
    sent_mono_ms: float | None = None
    price_ms: int = -1
    _filled: Decimal = ZERO

    @property
    def orders(self) -> list[Order]:
        """Its orders, as far back as the books remember them."""
        books = self.tools.journal.books
        return [order for order_id in self.order_ids if (order := books.order(order_id)) is not None]

    @property
    def is_working(self) -> bool:
        """Tell whether an order of it may still fill."""
        return any(order.status.is_working for order in self.orders)

    async def is_waiting(self) -> bool:
        """Tell whether its orders must be left alone for now; those that have waited long enough are called back."""
        now, working = self.tools.clock.mono_ms(), [o for o in self.orders if o.status.is_working]
        filled = sum((order.filled_qty for order in self.orders), ZERO)
        if filled > self._filled:
            self._filled, self.tries, self.sent_mono_ms = filled, 0, now
        if not working:
            return self.sent_mono_ms is not None and self.tries > 0 and not self._is_due(now)
        if not self._is_due(now) or not self._has_newer_price():
            self.wait_for_price()
            return not self.stuck
        return bool(await self.tools.router.cancel([order.client_order_id for order in working]))

    async def send(self, positions: Iterable[Position], name: str) -> bool:
        """Send one closing order a position, a step further than the last; False while there is no price to cap it by.

        name: of the round; no two rounds of one closing share it.
        """
        tools, now = self.tools, self.tools.clock.mono_ms()
        mark = tools.valuation.marks.get(self.key)
        if mark is None:
            self.wait_for_price()
            return False
        if self.tries >= TRIES_MAX:
            cap = percent(tools.limits.slippage_max_frac)
            self.stuck = f"{TRIES_MAX} closing orders in a row found no buyer within {cap} of the price"
            return False
        self.tries, self.sent_mono_ms, self.price_ms = self.tries + 1, now, mark.ts_ms
        for position in positions:
            await self._close(position, mark.price, name)
        return True

    async def call_back(self) -> None:
        """Cancel what still works of it."""
        await self.tools.router.cancel([o.client_order_id for o in self.orders if o.status.is_working])

    async def _close(self, position: Position, price: Decimal, name: str) -> None:
        tools = self.tools
        side = Side.SELL if position.qty > 0 else Side.BUY
        tick = tools.journal.books.instruments[self.key].price_tick
        limit, now_ms = collar(side, price, tools.limits, tick, self.tries), tools.clock.now_ms()
        prepared = tools.router.prepare(closing_intent(position, abs(position.qty), price, name, now_ms, limit))
        tools.journal.record(now_ms, *prepared.events)
        self.order_ids += prepared.client_order_ids
        await tools.router.send(prepared)

    def _since(self) -> float:
        return self.start_mono_ms if self.sent_mono_ms is None else self.sent_mono_ms

    def _is_due(self, now: float) -> bool:
        return self.sent_mono_ms is None or now - self.sent_mono_ms >= self.tools.limits.step_ms

    def _has_newer_price(self) -> bool:
        mark = self.tools.valuation.marks.get(self.key)
        return mark is not None and mark.ts_ms > self.price_ms

    def why_waiting(self) -> str:
        """Say what it lacks to go on, "" while it has what it needs or only lets its last step have its time."""
        tools = self.tools
        since, mark = self._since(), tools.valuation.marks.get(self.key)
        quiet = tools.clock.mono_ms() - since >= QUIET_MS
        if self.stuck or (mark is not None and (self.sent_mono_ms is None or self._has_newer_price() or not quiet)):
            return ""
        if is_open(tools.journal.books.instruments[self.key].calendar, tools.clock.now_ms()) is False:
            return "its market is closed; it is sold at the first price after the opening"
        what = "no price has come" if mark is None else "no newer price has come"
        return f"{what}, and nothing else caps a sale; it is given up after {PRICE_WAIT_MS // MINUTE_MS} minutes so"

    def wait_for_price(self) -> None:
        """Give up where an open market names no price for too long."""
        now, since = self.tools.clock.mono_ms(), self._since()
        instrument = self.tools.journal.books.instruments[self.key]
        if now - since >= PRICE_WAIT_MS and is_open(instrument.calendar, self.tools.clock.now_ms()) is not False:
            self.stuck = (
                f"no price has come for {PRICE_WAIT_MS // MINUTE_MS} minutes, and without one nothing caps a sale"
            )
