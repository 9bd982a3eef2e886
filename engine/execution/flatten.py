"""Close everything, and prove it by the venue's own balances (R19, S3)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from engine.clock import Clock
from engine.domain.books import Books
from engine.domain.events import FlattenEnded, FlattenProven, FlattenStarted, FlattenStep, Incident, ResidualLine
from engine.domain.events import VenueProof as Proof
from engine.domain.money import ZERO, plain
from engine.domain.order import OrderRole, OrderStatus
from engine.domain.policy import FlattenLimits
from engine.domain.valuation import Valuation
from engine.execution.gateway import Gateway
from engine.execution.holdings import held_of, is_dust, shares, unlisted
from engine.execution.ladder import Ladder, Tools
from engine.execution.router import Router
from engine.ids import base36
from engine.store.journal import Journal

DOUBT_WAIT_MS = 30_000
"""So long a closing waits for orders in doubt; then it closes what the venue shows. The certificate waits for all."""
UNLISTED = "no instrument that is listed here trades it: sell it at the venue"


@dataclass(slots=True)
class Flatten:
    """One flatten from its start to its certificate; step() is called on every heartbeat and instant.

    Sizes come from the venue's balances, never from our own books: what the venue holds beyond our agents'
    positions is sold as `external`. It never says "flat" while the venue shows more than dust.
    began_mono_ms: when it was asked for, before the halt. trouble: why the venue gave no answer, "" while it does.
    steps: milliseconds from there until a step was done, by its name. waits: instrument -> what its closing waits for.
    """

    journal: Journal
    router: Router
    gateway: Gateway
    valuation: Valuation
    clock: Clock
    actor: str
    limits: FlattenLimits = field(default_factory=FlattenLimits)
    began_mono_ms: float | None = None
    flatten_id: str = ""
    started_ms: int = 0
    rounds: int = 0
    trouble: str = ""
    waits: dict[str, str] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    start_qty: dict[str, Decimal] = field(default_factory=dict)
    _ladders: dict[str, Ladder] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)
    _held: dict[str, Decimal] | None = None
    _busy: bool = False

    @property
    def _books(self) -> Books:
        return self.journal.books

    async def begin(self) -> None:
        """Cancel what works, then send the first closing orders. Trading is halted already."""
        self.started_ms = self.clock.now_ms()
        self.began_mono_ms = self.clock.mono_ms() if self.began_mono_ms is None else self.began_mono_ms
        self.flatten_id = f"flatten.{base36(self.started_ms)}"
        self.journal.record(self.started_ms, FlattenStarted(flatten_id=self.flatten_id, actor=self.actor))
        self._mark_step("halted")
        with self._alone():
            await self._set_out()
            await self._close_all()

    async def take_up(self, flatten_id: str) -> None:
        """Go on with a flatten of a former run; its orders' ids are never used again (O4)."""
        self.flatten_id = flatten_id
        self.started_ms = int(flatten_id.partition(".")[2], 36)
        self.began_mono_ms = self.clock.mono_ms() - max(0, self.clock.now_ms() - self.started_ms)
        self.rounds = max((self._round_of(o.intent_id) for o in self._books.all_orders()), default=0)
        with self._alone():
            await self._set_out()
        for order in self._books.all_orders():
            if self._round_of(order.intent_id) and order.instrument in self._ladders:
                self._ladders[order.instrument].order_ids.append(order.client_order_id)

    async def step(self) -> FlattenEnded | None:
        """Go on where the last step stopped; return the certificate once there is one.

        While another step still waits for the venue's answer, this one does nothing: both would sell the same.
        """
        if self._busy:
            return None
        with self._alone():
            return await self._step()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    async def _step(self) -> FlattenEnded | None:
        self.router.pump()
        self._held = None
        await self._cancel_the_rest()
        await self._close_all()
        if len(self._done) < len(self._ladders) or self._working_entries():
            return None
        stuck = "; ".join(ladder.stuck for ladder in self._ladders.values() if ladder.stuck)
        return await self._certify(stuck)

    async def give_up(self, why: str) -> FlattenEnded | None:
        """End without being flat, naming the residual: no further price will come. None while the venue is silent."""
        return await self._certify(why)

    @property
    def waiting(self) -> tuple[str, ...]:
        """What it waits for, and what a person can do meanwhile, as sentences."""
        silent = [f"the venue does not say what it holds ({self.trouble}); {self._by_hand()}"] if self.trouble else []
        return (*silent, *(f"{key}: {why}; or {self._by_hand(key)}" for key, why in self.waits.items()))

    # ------------------------------------------------------------------------------------------------------ the steps

    async def _set_out(self) -> None:
        await self._cancel_the_rest()
        held = await self._ask() or {}
        self.start_qty = dict(held)
        now = self.clock.mono_ms()
        tools = Tools(self.journal, self.router, self.valuation, self.clock, self.limits)
        self._ladders = {key: Ladder(tools, key, now) for key in self._keys()}

    async def _cancel_the_rest(self) -> None:
        """Ask for the cancel of all that is neither protection nor a closing order of this flatten."""
        ids = [o.client_order_id for o in self._books.orders.values() if self._is_foreign(o.role, o.intent_id)]
        if ids:
            await self.router.cancel(ids)
        if not self._working_entries():
            self._mark_step("canceled")
            if not any(o.status is OrderStatus.UNKNOWN for o in self._books.orders.values()):
                self._mark_step("resolved")

    def _is_foreign(self, role: OrderRole, intent_id: str) -> bool:
        return not role.is_protection and not self._round_of(intent_id)

    def _working_entries(self) -> bool:
        return any(self._is_foreign(o.role, o.intent_id) for o in self._books.orders.values())

    async def _close_all(self) -> None:
        for key, ladder in self._ladders.items():
            if key not in self._done and not await self._is_waiting(ladder):
                await self._close(key, ladder)
            if ladder.stuck and key not in self._done:
                self._done.add(key)
                await ladder.call_back()
            held = (self._held or self.start_qty).get(key)
            self._note_wait(key, ladder.why_waiting() if held and key not in self._done and not self.trouble else "")

    def _note_wait(self, key: str, why: str) -> None:
        """Note what a closing waits for, and say it, once for as long as it waits."""
        if not why:
            self.waits.pop(key, None)
        elif self.waits.get(key) != why:
            self.waits[key] = why
            text = f"{self.flatten_id} waits for {key}: {why}; or {self._by_hand(key)}"
            self.journal.record(self.clock.now_ms(), Incident(code="FLATTEN_WAITS", text=text[:300]))

    def _by_hand(self, key: str = "") -> str:
        return self.limits.by_hand(key.partition(":")[0] or self.gateway.venue)

    async def _is_waiting(self, ladder: Ladder) -> bool:
        had = ladder.is_working
        waits = await ladder.is_waiting()
        self._held = None if had else self._held  # what was called back may have filled first
        return waits

    async def _close(self, key: str, ladder: Ladder) -> None:
        in_doubt = self._in_doubt(key)
        if in_doubt and self.clock.mono_ms() - ladder.start_mono_ms < DOUBT_WAIT_MS:
            return
        if self.valuation.price(key) is None and not self._is_dust(key, self.start_qty.get(key, ZERO)):
            ladder.wait_for_price()
            return
        held = await self._ask()
        if held is None or ladder.stuck:
            return
        if self._is_dust(key, held[key]):
            self._done.update(() if in_doubt else (key,))
            return
        self.rounds += 1
        if await ladder.send(shares(self._books, key, held[key]), f"{self.flatten_id}r{self.rounds}"):
            self._mark_step("first_order")

    def _in_doubt(self, key: str) -> bool:
        """Tell whether something may still change what the venue holds of an instrument (E42)."""
        mine = [order for order in self._books.orders.values() if order.instrument == key]
        return any(o.status is OrderStatus.UNKNOWN or self._is_foreign(o.role, o.intent_id) for o in mine)

    def _round_of(self, intent_id: str) -> int:
        mine, _, rest = intent_id.partition(f"{self.flatten_id}r")
        digits = rest.partition(":")[0]
        return int(digits) if not mine and digits.isdecimal() else 0

    def _mark_step(self, name: str) -> None:
        self.steps.setdefault(name, round(self.clock.mono_ms() - (self.began_mono_ms or 0.0)))

    # ----------------------------------------------------------------------------------------------- the venue's word

    def _keys(self) -> dict[str, Decimal]:
        return held_of({}, self._books, self.valuation)

    async def _venue_qty(self) -> dict[str, Decimal]:
        return held_of(await self.gateway.balances(), self._books, self.valuation)

    async def _ask(self) -> dict[str, Decimal] | None:
        """Return what the venue shows now, asked once a step; None when it gives no answer, which is said once."""
        if self._held is not None:
            return self._held
        try:
            self._held = await self._venue_qty()
        except Exception as error:  # a venue that does not answer is asked again; nothing is closed by guessing
            self._say_unanswered(str(error) or repr(error))
            return None
        self.trouble = ""
        return self._held

    def _say_unanswered(self, error: str) -> None:
        if not self.trouble:
            text = f"{self.flatten_id} waits: the venue does not say what it holds ({error}); {self._by_hand()}"
            self.journal.record(self.clock.now_ms(), Incident(code="FLATTEN_WAITS", text=text[:300]))
        self.trouble = error

    def _is_dust(self, key: str, qty: Decimal) -> bool:
        return is_dust(self._books, self.valuation, key, qty)

    # ------------------------------------------------------------------------------------------------- the certificate

    async def _certify(self, why: str) -> FlattenEnded | None:
        """Ask the venue a last time, and write down what it says; None when it says nothing, and is asked again."""
        try:
            left = await self._venue_qty()
            beyond = unlisted(await self.gateway.balances(), self._books, self.valuation)
            shown = [order.instrument for order in await self.gateway.open_orders()]
        except Exception as error:
            self._say_unanswered(str(error) or repr(error))
            return None
        self.trouble, now_ms = "", self.clock.now_ms()
        flat = not beyond and all(self._is_dust(key, qty) for key, qty in left.items())
        self._mark_step("flat" if flat else "ended")
        lines = [self._line(key, qty, why) for key, qty in left.items() if qty or self.start_qty.get(key)]
        unlisted_why = f"{UNLISTED}{self._page(self.gateway.venue)}"
        lines += [ResidualLine(asset, qty, qty, unlisted_why) for asset, qty in sorted(beyond.items())]
        proven = FlattenProven(
            flatten_id=self.flatten_id,
            steps=tuple(FlattenStep(name, ms) for name, ms in self.steps.items()),
            proofs=self._proofs([line.instrument for line in lines if line.instrument in left], left, shown, now_ms),
        )
        ended = FlattenEnded(
            flatten_id=self.flatten_id, flat=flat, took_ms=now_ms - self.started_ms, lines=tuple(lines)
        )
        self.journal.record(now_ms, proven, ended)
        return ended

    def _proofs(self, keys: list[str], left: dict[str, Decimal], working: list[str], now_ms: int) -> tuple[Proof, ...]:
        made = []
        for key in keys:
            orders = self._ladders[key].orders if key in self._ladders else []
            sold, cost = sum((o.filled_qty for o in orders), ZERO), sum((o.filled_cost for o in orders), ZERO)
            made.append(Proof(key, now_ms, left[key], working.count(key), sold, cost))
        return tuple(made)

    def _line(self, key: str, qty: Decimal, why: str) -> ResidualLine:
        dust = f"dust: {plain(qty)} is less than the venue's least order" if qty and self._is_dust(key, qty) else ""
        stuck = self._ladders[key].stuck if key in self._ladders else ""
        left = f"{stuck or why}{self._page(key.partition(':')[0])}" if qty else ""
        return ResidualLine(key, self.start_qty.get(key, ZERO), qty, dust or left)

    def _page(self, venue: str) -> str:
        """What a residual's reason ends in, where the policy names the page."""
        return f"; {self.limits.by_hand(venue)}" if venue in self.limits.manual_url else ""
