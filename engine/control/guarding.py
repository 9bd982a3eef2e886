"""The monitor of R16: a position has its stop within the deadline, or somebody is told, or it is mended, or closed.

No model stands in this path, and it goes on while trading is halted: a stop only ever takes risk away. Targets are
watched beside it, see aiming.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from engine.agents.cycle import Desk
from engine.agents.manager import RunningAgent
from engine.clock import Clock
from engine.control.aiming import Aims
from engine.control.cutting import Cuts
from engine.control.strangers import Strangers
from engine.control.trailing import Trailing
from engine.domain.agent import EXTERNAL
from engine.domain.events import Incident
from engine.domain.market import Instant
from engine.domain.money import ZERO, plain
from engine.domain.policy import OnMissing, Policy
from engine.domain.portfolio import Position
from engine.domain.wishes import Who
from engine.execution.ladder import Ladder, Tools
from engine.execution.protection import (
    in_doubt,
    is_covered,
    stop_asked,
    stops_of,
    strays_of,
    whole_qty,
)
from engine.execution.stops import rest_stop
from engine.ids import base36

NOT_SEEN = (-1, -1, -1, -1)


class Guard:
    """Watches the protection of all positions of one engine, on its thread.

    It looks when orders or fills have changed, and while anything is missing. policy: the one in force.
    """

    def __init__(self, desk: Desk, policy: Policy, agents: Mapping[str, RunningAgent]) -> None:
        self.policy = policy
        self.trailing = Trailing(desk, {name: agent.config for name, agent in agents.items()})
        self._desk = desk
        self._books = desk.journal.books
        self._configs = {name: agent.config for name, agent in agents.items()}
        self.targets = Aims(desk, self._configs)
        self.strangers = Strangers(desk)
        self._cuts = Cuts(desk)
        self._missing: dict[Who, float] = {}
        self._told: set[Who] = set()
        self._closing: dict[Who, Ladder] = {}
        self._seen = NOT_SEEN
        for config in self._configs.values():
            for period in config.protection.periods:
                for key in config.instruments:
                    desk.surroundings.ranges.follow(key, config.timeframe_ms, period)

    def on_candles(self, instant: Instant) -> None:
        """Take in closed candles, warm ones too, before anything is decided at their instant."""
        self._desk.surroundings.ranges.take(self._desk.market, instant.candles)

    async def at_start(self) -> None:
        """Verify the protection of every position before anything may be entered; what is missing is acted on at once.

        A position of an agent that this engine does not know waits for the deadline: the engine may be one for a single
        command, which knows no agents.
        """
        self._note()
        for position in list(self._naked()):
            if position.agent in self._configs:
                await self._act(position)
        if not self._books.flatten_id:
            await self.targets.check(self.policy.protection, self._closing, at_once=True)
        self._note()

    @property
    def has_work(self) -> bool:
        """Tell whether anything has changed since the last beat, or is missing; costs next to nothing."""
        count, (fills, orders, working, transfers) = self._books.count, self._seen
        if count.fills != fills or count.orders != orders or len(self._books.orders) != working:
            return True
        if count.transfers != transfers or self._missing or self.targets.missing:
            return True
        return self._cuts.wait or bool(self.strangers.untold)

    def _count(self) -> tuple[int, int, int, int]:
        count = self._books.count
        return count.fills, count.orders, len(self._books.orders), count.transfers

    async def beat(self) -> None:
        """Do what is due."""
        seen = self._count()
        if seen != self._seen:
            self._seen = seen
            await self._call_back_strays()
            await self._cuts.check(self.policy.protection)
            self._note()
        elif self._cuts.wait:
            await self._cuts.check(self.policy.protection)
        if self._missing or self.targets.missing or self.strangers.untold:
            await self._check()

    def look_again(self) -> None:
        """Look with the next beat whatever has changed: what is asked for is another."""
        self._seen = NOT_SEEN

    def unprotected(self) -> dict[Who, str]:
        """Return whose position stands without the stop that it should have, or nobody has asked one for, and why."""
        strangers = dict.fromkeys(self.strangers.since, "nobody here opened it, and no stop was asked for")
        naked = dict.fromkeys(self._missing, "no stop rests for its whole quantity")
        return {(EXTERNAL, key): why for key, why in strangers.items()} | naked

    def _naked(self) -> Iterable[Position]:
        for position in self._books.open_positions():
            if position.qty > 0 and not is_covered(self._books, position) and self._asked(position) is not None:
                yield position

    def _asked(self, position: Position) -> Decimal | None:
        config = self._configs.get(position.agent)
        known = self._desk.surroundings.atr(config, position.instrument) if config else {}
        return stop_asked(self._books, self._configs, position, self.policy.protection, known)

    def _note(self) -> None:
        """Note who lacks protection and since when; nothing is entered beside it meanwhile."""
        now, naked = self._clock.mono_ms(), list(self._naked())
        self._missing = {who: self._missing.get(who, now) for who in map(_who, naked)}
        self._told &= self._missing.keys()
        self._closing = {who: ladder for who, ladder in self._closing.items() if who in self._missing}
        self.strangers.note(self.policy.protection)
        lacking = self.targets.note()
        lacking |= {p.instrument: f"{p.agent} has no resting stop for its {plain(p.qty)}" for p in naked}
        if lacking or self._desk.surroundings.unguarded:
            self._desk.surroundings.unguarded = lacking

    async def _check(self) -> None:
        self._note()
        if self._books.flatten_id:
            return  # all of it is being closed already
        for position in list(self._naked()):
            ladder = self._closing.get(_who(position))
            if ladder is not None:
                await self._close(position, ladder)
            elif self._clock.mono_ms() - self._missing[_who(position)] >= self.policy.protection.deadline_ms:
                await self._act(position)
        await self.targets.check(self.policy.protection, self._closing)
        self.strangers.check(self.policy.protection)

    async def _call_back_strays(self) -> None:
        """Cancel protection whose position is gone: where the venue does not, it would open or oversell the next."""
        strays = [order.client_order_id for order in strays_of(self._books)]
        if strays:
            await self._desk.router.cancel(strays)

    @property
    def _clock(self) -> Clock:
        return self._desk.clock

    async def _act(self, position: Position) -> None:
        """Say that protection is missing, once, and do what the policy says about it."""
        if self._books.flatten_id:
            return
        config = self._configs.get(position.agent)
        wanted = (config and config.protection.missing) or self.policy.protection.missing
        who = _who(position)
        self._tell(position, wanted)
        self._missing[who] = self._clock.mono_ms()  # the next try has its deadline too
        if wanted is OnMissing.ALARM or in_doubt(self._books, position):
            return  # an order in doubt may be the very stop: it is asked for, and a second one waits
        if wanted is OnMissing.CLOSE or not await self._repair(position):
            tools = Tools(
                self._desk.journal, self._desk.router, self._desk.surroundings.valuation, self._clock,
                self.policy.flatten,
            )  # fmt: skip
            self._closing[who] = Ladder(tools, position.instrument, self._clock.mono_ms())
            await self._close(position, self._closing[who])

    def _tell(self, position: Position, wanted: OnMissing) -> None:
        if _who(position) not in self._told:
            self._told.add(_who(position))
            does = {OnMissing.ALARM: "nobody mends it", OnMissing.REPAIR: "one is put there"}
            text = (
                f"{position.agent} holds {plain(position.qty)} {position.instrument} without a resting stop for its "
                f"whole quantity; {does.get(wanted, 'the position is closed')}"
            )
            self._desk.journal.record(self._clock.now_ms(), Incident(code="UNPROTECTED", text=text))

    async def _repair(self, position: Position) -> bool:
        """Put a stop where it belongs; False when the price is there already, so that only closing is left."""
        stop = self._stop_price(position)
        price = self._desk.surroundings.valuation.price(position.instrument)
        if stop <= 0 or (price is not None and stop >= price):
            return False
        name = f"guard.{base36(self._desk.journal.seq)}"
        await rest_stop(self._desk.journal, self._desk.router, self._clock, position, stop, price or stop, name)
        return True

    def _stop_price(self, position: Position) -> Decimal:
        """Return the stop that is asked for, and no lower than what rests for a part of the position."""
        resting = [order.stop_price for order in stops_of(self._books, position) if order.stop_price]
        return max([self._asked(position) or ZERO, *resting])

    async def _close(self, position: Position, ladder: Ladder) -> None:
        if not ladder.stuck and not await ladder.is_waiting():
            left = Position(position.agent, position.instrument, whole_qty(self._books, position))
            await ladder.send([left] if left.qty else [], f"guard.{base36(self._desk.journal.seq)}")
        if ladder.stuck:
            del self._closing[_who(position)]
            self._missing[_who(position)] = self._clock.mono_ms()
            text = f"{position.agent} keeps {plain(position.qty)} {position.instrument}: {ladder.stuck}"
            self._desk.journal.record(self._clock.now_ms(), Incident(code="NOT_CLOSED", text=text[:300]))


def _who(position: Position) -> Who:
    return position.agent, position.instrument
