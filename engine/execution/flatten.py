"""Close everything, and prove it by the venue's own balances (R19, S3)."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from engine.clock import Clock
from engine.domain.agent import EXTERNAL
from engine.domain.books import Books
from engine.domain.events import FlattenEnded, FlattenStarted, ResidualLine
from engine.domain.instrument import Instrument
from engine.domain.money import ZERO, plain
from engine.domain.order import OrderRole, OrderStatus
from engine.domain.portfolio import Position
from engine.domain.valuation import Valuation
from engine.execution.gateway import Gateway
from engine.execution.router import Router
from engine.ids import base36
from engine.risk.gate import closing_intent
from engine.store.journal import Journal

ROUNDS_MAX = 20


@dataclass(slots=True)
class Flatten:
    """One flatten from its start to its certificate; step() is called on every heartbeat and instant.

    Sizes come from the venue's balances, never from our own books: what the venue holds beyond our agents'
    positions is sold as `external`. It never says "flat" while the venue shows more than dust.
    """

    journal: Journal
    router: Router
    gateway: Gateway
    valuation: Valuation
    clock: Clock
    actor: str
    flatten_id: str = ""
    started_ms: int = 0
    rounds: int = 0
    start_qty: dict[str, Decimal] = field(default_factory=dict)

    @property
    def _books(self) -> Books:
        return self.journal.books

    async def begin(self) -> None:
        """Cancel what works, then send the first round of closing orders. Trading is halted already."""
        self.started_ms = self.clock.now_ms()
        self.flatten_id = f"flatten.{base36(self.started_ms)}"
        self.journal.record(self.started_ms, FlattenStarted(flatten_id=self.flatten_id, actor=self.actor))
        await self._cancel_the_rest()
        self.start_qty = await self._venue_qty()
        await self._send_round()

    async def take_up(self, flatten_id: str) -> None:
        """Go on with a flatten of a former run; its orders' ids are never used again (O4)."""
        self.flatten_id = flatten_id
        self.started_ms = int(flatten_id.partition(".")[2], 36)
        self.rounds = max((self._round_of(o.intent_id) for o in self._books.all_orders()), default=0)
        await self._cancel_the_rest()
        self.start_qty = await self._venue_qty()

    async def _cancel_the_rest(self) -> bool:
        """Ask for the cancel of all that is neither protection nor ours; tell whether none of it can fill any more."""
        ids = [o.client_order_id for o in self._books.orders.values() if o.role in (OrderRole.ENTRY, OrderRole.EXIT)]
        if ids:
            await self.router.cancel(ids)
        return not any(order_id in self._books.orders for order_id in ids)

    def _round_of(self, intent_id: str) -> int:
        mine, _, rest = intent_id.partition(f"{self.flatten_id}r")
        digits = rest.partition(":")[0]
        return int(digits) if not mine and digits.isdecimal() else 0

    async def step(self) -> FlattenEnded | None:
        """Go on where the last step stopped; return the certificate once there is one."""
        self.router.pump()
        if not await self._cancel_the_rest():
            return None
        if any(o.role is OrderRole.FLATTEN or o.status is OrderStatus.UNKNOWN for o in self._books.orders.values()):
            return None
        left = await self._venue_qty()
        if all(self._is_dust(key, qty) for key, qty in left.items()):
            return self._end(left, flat=True, why="")
        if self.rounds >= ROUNDS_MAX:
            return self._end(left, flat=False, why=f"{ROUNDS_MAX} rounds of closing orders did not empty it")
        await self._send_round()
        return None

    async def give_up(self, why: str) -> FlattenEnded:
        """End without being flat, naming the residual: there will be no further price."""
        left = await self._venue_qty()
        flat = all(self._is_dust(key, qty) for key, qty in left.items())
        return self._end(left, flat=flat, why="" if flat else why)

    async def _send_round(self) -> None:
        self.rounds += 1
        held = await self._venue_qty()
        for key, venue_qty in held.items():
            if self._is_dust(key, venue_qty):
                continue
            for position in self._shares(key, venue_qty):
                await self._close(position)

    def _shares(self, key: str, venue_qty: Decimal) -> list[Position]:
        """Split what the venue holds over our agents, pro rata when it holds less; the rest is external (R38)."""
        ours = [p for p in self._books.open_positions() if p.instrument == key and p.qty > 0]
        booked = sum((p.qty for p in ours), ZERO)
        floor = self._instrument(key).floor_qty
        share = {p.agent: p.qty if booked <= venue_qty else p.qty * venue_qty / booked for p in ours}
        share[EXTERNAL] = share.get(EXTERNAL, ZERO) + max(ZERO, venue_qty - booked)
        return [Position(agent, key, floor(qty)) for agent, qty in share.items() if floor(qty) > 0]

    async def _close(self, position: Position) -> None:
        price = self.valuation.price(position.instrument) or ZERO
        round_id = f"{self.flatten_id}r{self.rounds}"
        intent = closing_intent(position, position.qty, price, round_id, self.clock.now_ms())
        prepared = self.router.prepare(intent)
        self.journal.record(self.clock.now_ms(), *prepared.events)
        await self.router.send(prepared)

    async def _venue_qty(self) -> dict[str, Decimal]:
        """Return what the venue holds per instrument; an asset counts for the first instrument it is base of."""
        balances = await self.gateway.balances()
        held: dict[str, Decimal] = {}
        seen: set[str] = set()
        for key, instrument in self._books.instruments.items():
            if instrument.base not in seen and not self.valuation.is_money(instrument.base):
                seen.add(instrument.base)
                held[key] = balances.get(instrument.base, ZERO)
        return held

    def _is_dust(self, key: str, qty: Decimal) -> bool:
        """Less than one step, or worth less than the venue's least order: nothing can sell it (E41)."""
        instrument = self._instrument(key)
        price = self.valuation.price(key)
        small = price is not None and qty * price < instrument.min_notional
        return qty < instrument.qty_step or small

    def _instrument(self, key: str) -> Instrument:
        return self._books.instruments[key]

    def _end(self, left: dict[str, Decimal], *, flat: bool, why: str) -> FlattenEnded:
        lines = tuple(self._line(key, qty, why) for key, qty in left.items() if qty or self.start_qty.get(key))
        now_ms = self.clock.now_ms()
        ended = FlattenEnded(flatten_id=self.flatten_id, flat=flat, took_ms=now_ms - self.started_ms, lines=lines)
        self.journal.record(now_ms, ended)
        return ended

    def _line(self, key: str, qty: Decimal, why: str) -> ResidualLine:
        dust = f"dust: {plain(qty)} is less than the venue's least order" if qty and self._is_dust(key, qty) else ""
        return ResidualLine(key, self.start_qty.get(key, ZERO), qty, dust or (why if qty else ""))
