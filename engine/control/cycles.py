"""The cycles of agents whose model takes a while to answer: each a task of its own.

While a model thinks, prices, fills, the kill switch and commands go on. An agent has one cycle at a time: a slot that
comes meanwhile is skipped, with a reason (R28). What an answer may still do is judged when it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from engine.agents.cycle import Desk, run_cycle
from engine.agents.manager import RunningAgent
from engine.clock import ManualClock
from engine.domain.events import CycleSkipped

UNDER_WAY = "its last cycle is still under way"


class Cycles:
    """Runs cycles on one desk. after: called when one is over; failed: when it broke, with what to say (P37).

    On a virtual clock a cycle is waited for, whatever its model: a replay's next bar comes after its last decision.
    """

    def __init__(
        self, desk: Desk, after: Callable[[RunningAgent], Awaitable[None]], failed: Callable[[str], Awaitable[None]]
    ) -> None:
        self._desk = desk
        self._after = after
        self._failed = failed
        self._is_virtual = isinstance(desk.clock, ManualClock)
        self._is_closed = False
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def under_way(self) -> list[str]:
        """Names of the agents whose model is being waited for."""
        return list(self._tasks)

    async def run(self, agent: RunningAgent, trigger: str, instruments: Sequence[str]) -> None:
        """Begin a cycle."""
        if self._is_closed:
            return
        if agent.name in self._tasks:
            skipped = CycleSkipped(agent=agent.name, trigger=trigger, reason=UNDER_WAY)
            self._desk.journal.record(self._desk.clock.now_ms(), skipped)
            return
        task = asyncio.create_task(self._whole(agent, trigger, instruments), name=f"cycle of {agent.name}")
        self._tasks[agent.name] = task
        task.add_done_callback(lambda _done: self._tasks.pop(agent.name, None))
        if self._is_virtual:
            await asyncio.wait({task})

    async def close(self) -> None:
        """Give up every cycle under way: what was reserved for it is posted, nothing of it is sent."""
        self._is_closed = True
        for task in list(self._tasks.values()):
            task.cancel()
        await self.settle()
        if self._desk.lanes is not None:
            await self._desk.lanes.close()

    async def settle(self) -> None:
        """Wait until every cycle under way is over."""
        while self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    async def _whole(self, agent: RunningAgent, trigger: str, instruments: Sequence[str]) -> None:
        try:
            await run_cycle(self._desk, agent, trigger, instruments)
            self._desk.journal.settle()
            await self._after(agent)
        except Exception as error:
            await self._failed(f"a cycle of {agent.name} failed: {error!r}"[:300])
        finally:
            agent.phase = "IDLE"
