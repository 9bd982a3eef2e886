"""Flatten while the database takes nothing: the same ladder, with the emergency file in the journal's place (R19).

The books stand still then, so all that counts is the venue: what it holds is asked before each step, and each closing
order is called back by its id before the next one leaves. One create an intent holds as ever: each id is written down,
and on disk, before its only create.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal

from engine.domain.events import FlattenStarted, Incident, OrderIntended, OrdersUpdated, StateChanged
from engine.domain.money import plain
from engine.domain.order import OrderStatus, Side
from engine.domain.policy import TradingState
from engine.domain.portfolio import Position
from engine.errors import StoreError
from engine.execution.gateway import Gateway
from engine.execution.holdings import held_of, is_dust, shares
from engine.execution.ladder import TRIES_MAX, Tools, collar
from engine.ids import base36
from engine.risk.gate import closing_intent
from engine.store.emergency import EmergencyFile
from engine.store.journal import Journal

LOOK_EVERY_MS = 1_000
WORDS_MAX = 20
"""So many different calls for help are left in the file; more would take its room."""
RAN = "a flatten ran on the emergency file"


@dataclass(slots=True)
class BlindFlatten:
    """One flatten without a journal. told: how it stands, for a person; is_done: the venue shows zero, or it gave up.

    flatten_id, rounds: of the flatten it goes on with, where one was under way.
    """

    file: EmergencyFile
    gateway: Gateway
    tools: Tools
    actor: str
    flatten_id: str = ""
    rounds: int = 0
    told: str = ""
    is_done: bool = False
    _asked_by_hand: set[str] = field(default_factory=set)
    _tries: int = 0
    _price_ms: dict[str, int] = field(default_factory=dict)
    _ids: list[str] = field(default_factory=list)
    _sent_mono_ms: float | None = None
    _next_mono_ms: float = 0.0

    async def begin(self) -> None:
        """Name the flatten, cancel what works, and send the first closing orders."""
        now_ms = self.tools.clock.now_ms()
        if not self.flatten_id:
            self.flatten_id = f"flatten.{base36(now_ms)}"
            self.file.append(now_ms, FlattenStarted(flatten_id=self.flatten_id, actor=self.actor))
        await self.step()

    async def step(self) -> None:
        """Go on where the last step stopped, once a second at most; nothing that fails ends it."""
        now = self.tools.clock.mono_ms()
        if self.is_done or now < self._next_mono_ms:
            return
        self._next_mono_ms = now + LOOK_EVERY_MS
        try:
            await self._look(now)
        except StoreError as error:
            self.told, self.is_done = str(error), True
        except Exception as error:  # a venue that gives no answer is asked again
            by_hand = self.tools.limits.by_hand(self.gateway.venue)
            self.told = f"the venue gives no answer ({error or repr(error)}), and is asked again; or {by_hand}"
            self._leave_word(self.told)

    def _leave_word(self, text: str) -> None:
        """Write into the file, once, what a person must do; who reads it finds it there, and later in the journal."""
        if text not in self._asked_by_hand and len(self._asked_by_hand) < WORDS_MAX:
            self._asked_by_hand.add(text)
            with suppress(StoreError):  # closing orders need the room more
                self.file.append(self.tools.clock.now_ms(), Incident(code="CLOSE_BY_HAND", text=text[:300]))

    async def _look(self, now: float) -> None:
        left = await self._left()
        if not left:
            self.told = "the venue shows zero; the certificate follows once the journal can be written"
            self.is_done = True
        elif self._is_due(now, left) and await self._call_back():
            await self._send(await self._left(), now)

    async def _left(self) -> dict[str, Decimal]:
        books, valuation = self.tools.journal.books, self.tools.valuation
        held = held_of(await self.gateway.balances(), books, valuation)
        return {key: qty for key, qty in held.items() if not is_dust(books, valuation, key, qty)}

    def _is_due(self, now: float, left: Iterable[str]) -> bool:
        """Tell whether a step may be taken: its time is over, and some price is newer than the one it was made from."""
        if self._sent_mono_ms is None:
            return True
        marks = self.tools.valuation.marks
        newer = any(key in marks and marks[key].ts_ms > self._price_ms.get(key, -1) for key in left)
        return newer and now - self._sent_mono_ms >= self.tools.limits.step_ms

    async def _call_back(self) -> bool:
        """Cancel entries, exits and our own last orders; tell whether none of them can fill any more."""
        orders = self.tools.journal.books.orders.values()
        ids = [o.client_order_id for o in orders if not o.role.is_protection] + self._ids
        answers = [await self.gateway.cancel(order_id) for order_id in ids]
        return all(shown is None or shown.status.is_terminal for shown in answers)

    async def _send(self, left: dict[str, Decimal], now: float) -> None:
        if self._tries >= TRIES_MAX:
            self.told, self.is_done = f"NOT FLAT after {TRIES_MAX} steps: {self._kept(left)}", True
            self._leave_word(self.told)
            return
        self._tries, self.rounds, self._sent_mono_ms, self._ids = self._tries + 1, self.rounds + 1, now, []
        for key, qty in left.items():
            mark = self.tools.valuation.marks.get(key)
            if mark is not None:
                self._price_ms[key] = mark.ts_ms
                for position in shares(self.tools.journal.books, key, qty):
                    await self._close(position, mark.price)
        self.told = f"{len(self._ids)} closing orders of step {self._tries} are at the venue"
        unpriced = {key: qty for key, qty in left.items() if key not in self.tools.valuation.marks}
        if unpriced:
            waits = f"no price has come that would cap a sale of {self._kept(unpriced)}"
            self.told = f"{self.told}; {waits}"
            self._leave_word(waits)

    def _kept(self, left: dict[str, Decimal]) -> str:
        pages = dict.fromkeys(self.tools.limits.by_hand(key.partition(":")[0]) for key in left)
        return f"{', '.join(f'{key} {plain(qty)}' for key, qty in left.items())}; {', '.join(pages)}"

    async def _close(self, position: Position, price: Decimal) -> None:
        tools, now_ms = self.tools, self.tools.clock.now_ms()
        tick = tools.journal.books.instruments[position.instrument].price_tick
        limit = collar(Side.SELL, price, tools.limits, tick, self._tries)
        name = f"{self.flatten_id}r{self.rounds}"
        prepared = tools.router.prepare(closing_intent(position, position.qty, price, name, now_ms, limit))
        self.file.append(now_ms, *prepared.events)  # on disk before the first byte leaves
        self._ids.append(prepared.request.client_order_id)
        try:
            await self.gateway.create(prepared.request)
        except Exception:  # what became of it shows when it is called back, and once the journal can ask
            return


def take_in(journal: Journal, file: EmergencyFile, now_ms: int) -> int:
    """Take what an emergency file holds into the journal, in one transaction, then empty it; return how many orders.

    It says HALTED, as trading was when the file was used.

    The orders are UNKNOWN then, and asked for like any other; none is ever sent again. Safe to repeat. The flatten they
    belong to is under way again, so that it ends in a certificate.
    """
    found = [event for _ts_ms, event in file.events()]
    started = [event for event in found if isinstance(event, FlattenStarted)]
    intended = [e for e in found if isinstance(e, OrderIntended) and journal.intent_of(e.client_order_id) is None]
    ids = tuple(event.client_order_id for event in intended)
    fresh = started[-1:] if ids and not journal.books.flatten_id else []
    if ids:
        unknown = OrdersUpdated(client_order_ids=ids, status=OrderStatus.UNKNOWN, reason="sent by the emergency file")
        text = f"{RAN}: {len(ids)} closing orders were sent while the journal could not be written"
        halted = StateChanged(state=TradingState.HALTED, actor="emergency file", reason=RAN)
        told = [] if journal.books.state is TradingState.HALTED else [halted]
        journal.record(now_ms, *told, Incident(code="EMERGENCY_FILE", text=text), *fresh, *intended, unknown)
    words = [event for event in found if isinstance(event, Incident)]
    if words:
        journal.record(now_ms, *words)
    if found:
        file.clear()
    return len(ids)
