"""Drive the core: from a feed, at the feed's pace, on the engine's own thread and loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

from engine.api import Command, EventBatch, Reply, Snapshot
from engine.clock import Clock, ManualClock
from engine.control import views
from engine.control.core import Core
from engine.control.handlers import Handlers
from engine.control.pauses import spare_what_came
from engine.control.stream import Stream
from engine.control.upkeep import Upkeep
from engine.control.watchdog import Watchdog
from engine.domain.market import FeedEvent, Instant, SourceKind
from engine.market.feed import Feed
from engine.triggers.schedule import WallSchedule

SLICE_MS = 2.0
"""A feed that never waits gives way to commands this often: what F8 may wait behind."""
SNAPSHOT_EVERY_MS = 100.0
HEARTBEAT_MS = 250.0


class Engine:
    """A core, its feed and its drivers.

    wall: the machine's clock; the core's own may be virtual. schedule: of agents that run by the machine's clock.
    stall_ms: a loop that stands still for longer holds entries until the venue has been asked (P16, P21, P36); None:
    as the policy's loop_lag says.
    """

    def __init__(
        self,
        core: Core,
        feed: Feed | None,
        handlers: Handlers,
        stream: Stream,
        wall: Clock,
        schedule: WallSchedule | None = None,
        upkeep: Upkeep | None = None,
        stall_ms: float | None = None,
    ) -> None:
        self.core = core
        self.feed = feed
        self.handlers = handlers
        self.stream = stream
        self.wall = wall
        self.schedule = schedule
        self.upkeep = upkeep
        self._watchdog = Watchdog(wall, self._hold, stall_ms or core.policy.kill.loop_lag_ms)
        self.finished = False
        self.latest: Snapshot | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._taking = False
        self._warmed = self._spared = False
        self.wanted = True

    async def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Run until asked to stop; a recording that ends leaves the engine serving. Leaving never trades (R15)."""
        self.loop = asyncio.get_running_loop()
        self.refresh()
        if on_ready is not None:
            on_ready()
        if self.schedule is not None:
            self.schedule.start()
        self._watchdog.start()
        driving = asyncio.create_task(self._drive())
        tasks = [driving, asyncio.create_task(self._snapshots()), asyncio.create_task(self._heartbeats())]
        try:
            await self._play(driving)
        finally:
            self._watchdog.stop()
            if self.upkeep is not None:
                await self.upkeep.close()
            if self.schedule is not None:
                self.schedule.shutdown()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.refresh()

    async def _play(self, driving: asyncio.Task[None]) -> None:
        """Wait for the stop; the event in hand is then finished, but not the wait for the feed's next one."""
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({driving, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if driving.done():
                await self._end_of_feed(driving.exception())
                await stopping
            await self.core.cycles.close()  # first: an event in hand may be waiting for a model
            if self._taking and not driving.done():
                await driving
            await stopping
        finally:
            stopping.cancel()

    async def _end_of_feed(self, error: BaseException | None) -> None:
        """A feed that fails halts trading; the engine goes on serving what protects and what can be read (P37)."""
        if error is not None:
            await self.core.halt("feed", f"the feed failed: {error or repr(error)}"[:300])
            self.finished = True
        self.wanted = True

    def request_stop(self) -> None:
        """Ask the engine to stop after the event in hand; safe from any thread, and when it has stopped already."""
        if self.loop is not None:
            with contextlib.suppress(RuntimeError):  # its loop may close between a look and the call
                self.loop.call_soon_threadsafe(self._stop.set)

    def refresh(self) -> None:
        """Build the snapshot that readers get."""
        is_recorded = self.core.source.kind is SourceKind.REPLAY  # a recording has an end, a market has none
        progress = getattr(self.feed, "progress", None) if is_recorded else None
        self.latest = views.snapshot(self.core, mono_ms=self.wall.mono_ms(), progress=progress, finished=self.finished)

    async def _drive(self) -> None:
        if self.feed is None:
            self.finished = True
            return
        virtual = self.core.desk.clock if isinstance(self.core.desk.clock, ManualClock) else None
        slice_end = self.wall.mono_ms() + SLICE_MS
        async for event in self.feed.events():
            if virtual is not None:
                virtual.set_ms(max(virtual.now_ms(), event.ts_ms))  # what a former run played is earlier than its end
            self._taking = True
            await self._take(event)
            self._taking = False
            if self.wall.mono_ms() >= slice_end:
                await asyncio.sleep(0)
                slice_end = self.wall.mono_ms() + SLICE_MS
            if self._stop.is_set():
                return
        self._taking = True
        await self.core.end_of_data()
        self._taking = False
        self.finished = True

    async def _take(self, event: FeedEvent) -> None:
        """One event; whatever fails in it halts trading and is said, and the next event is taken all the same (P37)."""
        if isinstance(event, Instant) and not self._spared:
            self._spare_warm_up(event)
        try:
            await self.core.on_event(event)
        except Exception as error:
            await self.core.halt("engine", f"an event could not be processed: {error!r}"[:300])

    def _spare_warm_up(self, instant: Instant) -> None:
        """Once, with the first bar after the warm-up: later ones that come too late to trade on are warm as well."""
        if not instant.warm:
            if self._warmed:
                spare_what_came()
            self._spared = True
        self._warmed = instant.warm

    def _hold(self, why: str) -> None:
        self.core.latch.held = why

    async def _snapshots(self) -> None:
        while True:
            if self.wanted:
                self.wanted = False
                await self._refresh_or_halt()
            await self.wall.sleep_ms(SNAPSHOT_EVERY_MS)

    async def _refresh_or_halt(self) -> None:
        """What cannot be shown must not trade; the next try may show why (P37)."""
        try:
            self.refresh()
        except Exception as error:
            await self.core.halt("engine", f"a snapshot failed: {error!r}"[:300])

    async def _heartbeats(self) -> None:
        while True:
            await self.wall.sleep_ms(HEARTBEAT_MS)
            try:
                stood_ms = self._watchdog.beat()
                self.core.watch.health.lag_ms = self._watchdog.lag_ms
                if stood_ms:
                    await self.core.catch_up(f"the engine did not move for {stood_ms / 1000:.1f} s")
                await self.core.on_heartbeat()
                if self.upkeep is not None:
                    await self.upkeep.beat()
            except Exception as error:
                await self.core.halt("engine", f"a heartbeat failed: {error!r}"[:300])


class InProcessClient:
    """EngineClient for a user interface in the same process, on another thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def snapshot(self) -> Snapshot:
        """Return the newest snapshot and ask for a fresher one; a state that changed since then shows at once."""
        engine = self._engine
        engine.wanted = True
        latest = engine.latest
        if latest is None:
            raise RuntimeError("the engine has not started")
        core, state = engine.core, engine.core.shown_state
        if state is latest.state:
            return latest
        is_said = core.books.state is state or core.unwritten or core.journal.broken
        why = core.shown_reason if is_said else "halted at once"
        return replace(latest, state=state, state_reason=why)

    async def events(self, since: int) -> EventBatch:
        """Return stream lines after a journal seq."""
        return self._engine.stream.after(since)

    async def send(self, command: Command) -> Reply:
        """Carry a command out on the engine's thread."""
        loop = self._engine.loop
        if loop is None or loop.is_closed():
            return Reply(ok=False, text="The engine has stopped.")
        future = asyncio.run_coroutine_threadsafe(self._engine.handlers.handle(command), loop)
        return await asyncio.wrap_future(future)

    def halt_now(self) -> None:
        """Latch HALTED in memory at once, from any thread."""
        self._engine.core.latch.close()
