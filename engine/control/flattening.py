"""Which flatten is under way: one that the journal knows, or, while it takes nothing, one on the emergency file."""

from __future__ import annotations

from engine.agents.cycle import Desk
from engine.domain.events import FlattenEnded
from engine.domain.policy import Policy
from engine.errors import StoreError
from engine.execution.blind import BlindFlatten, take_in
from engine.execution.flatten import Flatten
from engine.execution.gateway import Gateway
from engine.execution.ladder import Tools
from engine.execution.latch import SendLatch
from engine.store.emergency import EmergencyFile

NO_FILE = "the journal cannot be written, and there is no emergency file: close what is open at the venue"


class Flattening:
    """Starts, steps and ends flattens; trading is halted by the caller first. policy: the one in force.

    file: None in a replay, and where none could be had.
    """

    def __init__(self, desk: Desk, gateway: Gateway, latch: SendLatch, policy: Policy) -> None:
        self.policy = policy
        self.file: EmergencyFile | None = None
        self.current: Flatten | None = None
        self.blind: BlindFlatten | None = None
        self._desk = desk
        self._journal = desk.journal
        self._gateway = gateway
        self._latch = latch

    @property
    def is_under_way(self) -> bool:
        """Tell whether anything is being closed."""
        return self.current is not None or (self.blind is not None and not self.blind.is_done)

    async def start(self, actor: str, began_mono_ms: float) -> bool:
        """Begin; False when one is under way already. Raises StoreError where nothing can be written down at all."""
        if self.is_under_way:
            return False
        self.blind = None
        if self._journal.broken is None:
            self.current = self._new(actor, began_mono_ms)
            try:
                await self.current.begin()
                return True
            except StoreError:
                if self._journal.broken is None:
                    raise
        await self._go_blind(actor)
        return True

    async def step(self) -> FlattenEnded | None:
        """Go on; return the certificate once there is one."""
        if self._journal.broken is not None:
            await self._step_blind()
            return None
        if self.current is None:
            return None
        try:
            ended = await self.current.step()
        except StoreError:
            if self._journal.broken is None:
                raise
            return None  # the next step is one without the journal
        if ended is not None:
            self.current = None
        return ended

    async def give_up(self, why: str) -> None:
        """End what is under way without being flat: there will be no further price."""
        if self.current is not None and await self.current.give_up(why) is not None:
            self.current = None

    @property
    def waiting(self) -> tuple[str, ...]:
        """What a flatten under way waits for, and what a person can do meanwhile, as sentences."""
        if self._journal.broken is not None:
            return (self.blind.told,) if self.blind is not None else ()
        return self.current.waiting if self.current is not None else ()

    async def take_up(self, actor: str) -> None:
        """Go on with the flatten that the journal says is under way, if there is one."""
        if self._journal.books.flatten_id and self.current is None:
            self.current = self._new(actor, None)
            await self.current.take_up(self._journal.books.flatten_id)

    def take_in(self, now_ms: int) -> int:
        """Take the emergency file into the journal, HALTED as it was left; return how many orders it held (R19)."""
        if self.file is None:
            return 0
        orders = take_in(self._journal, self.file, now_ms)
        if orders:
            self._latch.close()
        return orders

    async def mended(self, now_ms: int) -> None:
        """The journal takes writes again: take in what was done without it, before anything else is booked.

        A disk that is full may take a small write and not the next: then all goes on as it was.
        """
        try:
            self.take_in(now_ms)
        except StoreError:
            if self._journal.broken is None:
                raise
            return
        self.blind = None
        await self.take_up("emergency file")

    def _new(self, actor: str, began_mono_ms: float | None) -> Flatten:
        desk, valuation = self._desk, self._desk.surroundings.valuation
        return Flatten(
            desk.journal, desk.router, self._gateway, valuation, desk.clock, actor, self.policy.flatten,
            began_mono_ms=began_mono_ms,
        )  # fmt: skip

    async def _step_blind(self) -> None:
        if self.current is not None:
            await self._go_blind(self.current.actor)
        elif self.blind is not None:
            await self.blind.step()

    async def _go_blind(self, actor: str) -> None:
        was, self.current = self.current, None
        if self.file is None:
            raise StoreError(NO_FILE)
        desk = self._desk
        tools = Tools(desk.journal, desk.router, desk.surroundings.valuation, desk.clock, self.policy.flatten)
        self.blind = BlindFlatten(self.file, self._gateway, tools, actor)
        if was is not None and self._journal.books.flatten_id:
            self.blind.flatten_id, self.blind.rounds = was.flatten_id, was.rounds
        await self.blind.begin()
