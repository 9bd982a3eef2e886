"""What the screens know of the engine: the newest snapshot, the newest stream lines, and how old both are.

The screens pull; nothing here waits for the engine longer than it must, and nothing calls into it but the halt.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine.api import (
    ApprovalView,
    Command,
    EngineClient,
    Halt,
    Query,
    Reply,
    Snapshot,
    StreamLine,
    TradingState,
)

LINES_MAX = 2_000
PULL_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 10.0
STALE_MS = 3_000.0
NOTE_MS = 8_000.0
BELL_EVERY_MS = 10_000.0
"""However many trades begin to wait, the bell rings once in this time."""
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def machine_ms() -> float:
    """Return the clock that a snapshot's built_mono_ms was taken from."""
    return time.clock_gettime_ns(_BOOT_CLOCK) / 1e6


@dataclass(frozen=True, slots=True)
class LostLines:
    """Stands in the stream where lines went by unseen. after_seq: the last one seen before them."""

    after_seq: int


StreamItem = StreamLine | LostLines


class ConsoleModel:
    """The console's side of the boundary. client None: the engine is not up yet."""

    def __init__(self, mono_ms: Callable[[], float] = machine_ms) -> None:
        self.mono_ms = mono_ms
        self.client: EngineClient | None = None
        self.snapshot: Snapshot | None = None
        self.lines: deque[StreamItem] = deque(maxlen=LINES_MAX)
        self.lines_version = 0
        self.error: str | None = None
        self.leaving = False
        self.halt_wanted = False
        self._seq = 0
        self._pulling = False
        self._note = ("", "", 0.0)
        self._data = (0, 0.0)
        self._known: set[str] = set()
        self._rang_ms = -BELL_EVERY_MS
        self.bell_wanted = True
        self.rebound: Mapping[str, str] = {}

    def key(self, name: str) -> str:
        """Return the key that stands where this one was, by the trader's keymap; most stand for themselves."""
        return self.rebound.get(name, name)

    # -- the engine's side ---------------------------------------------------------

    def attach(self, client: EngineClient) -> None:
        """Take the engine's client; a halt asked for before it was there is latched first."""
        self.client = client
        if self.halt_wanted:
            self.latch_halt()

    async def pull(self) -> None:
        """Take what is new; a second call while one is under way does nothing."""
        if self.client is None or self._pulling:
            return
        self._pulling = True
        try:
            async with asyncio.timeout(PULL_TIMEOUT_S):
                await self._take(self.client)
        except TimeoutError:
            pass  # the engine's age says it
        finally:
            self._pulling = False

    async def _take(self, client: EngineClient) -> None:
        snapshot = await client.snapshot()
        batch = await client.events(self._seq)
        if batch.gap:
            if self.lines:
                self.lines.append(LostLines(self._seq))
            snapshot = await client.snapshot()
        if batch.lines or batch.gap:
            self.lines.extend(batch.lines)
            self.lines_version += 1
        self._seq = max(self._seq, batch.upto_seq)
        self.snapshot = snapshot
        self._watch_data(snapshot)
        if snapshot.state is TradingState.HALTED:
            self.halt_wanted = False

    def _watch_data(self, snapshot: Snapshot) -> None:
        """Note when data last came: a virtual clock stands still when none comes, and its ages with it."""
        newest_ms = snapshot.now_ms - (snapshot.data_age_ms or 0)
        if newest_ms != self._data[0]:
            self._data = (newest_ms, snapshot.built_mono_ms)

    async def send(self, command: Command) -> Reply:
        """Carry a command to the engine; every failure comes back as a sentence."""
        if self.client is None:
            return Reply(ok=False, text=self.error or "The engine is still starting; try again when it is up.")
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await self.client.send(command)
        except TimeoutError:
            return Reply(ok=False, text="The engine has not answered for 10 s; see the stream before trying again.")
        except Exception as error:  # whatever the transport raises, the person must read it
            return Reply(ok=False, text=f"The engine could not be asked: {error or type(error).__name__}.")

    async def ask(self, command: Command) -> Reply:
        """Send a command and keep its answer as the note on the bottom line."""
        reply = await self.send(command)
        self.note(reply.text, "accent" if reply.ok else "warn")
        return reply

    async def explain(self, cycle_id: str) -> Reply:
        """Ask for everything behind one decision."""
        return await self.send(Query(name="explain", args={"cycle": cycle_id}))

    def latch_halt(self) -> None:
        """Latch the halt in the engine's memory before returning; without an engine, keep it for when it is up."""
        self.halt_wanted = True
        if self.client is not None:
            self.client.halt_now()

    async def halt(self) -> Reply:
        """Make a latched halt durable."""
        if self.client is not None:
            return await self.ask(Halt())
        reply = Reply(ok=False, text=self.error or "HALT is kept, and comes first when the engine is up.")
        self.note(reply.text, "danger")
        return reply

    # -- the screens' side ---------------------------------------------------------

    @property
    def engine_age_ms(self) -> float | None:
        """How old the snapshot is; None before the first."""
        if self.snapshot is None:
            return None
        return max(0.0, self.mono_ms() - self.snapshot.built_mono_ms)

    @property
    def is_stale(self) -> bool:
        """The numbers shown may no longer be true (U12)."""
        age_ms = self.engine_age_ms
        return age_ms is None or age_ms > STALE_MS

    @property
    def data_age_ms(self) -> float | None:
        """How old the newest market data is; None: there is none."""
        if self.snapshot is None or self.snapshot.data_age_ms is None:
            return None
        return self.aged(self.snapshot.data_age_ms)

    def aged(self, age_ms: int | None) -> float | None:
        """Return how old by now a price is that was so old when the snapshot was built; None stays None.

        At least as long as no data has come at all, by the machine's clock.
        """
        if age_ms is None:
            return None
        return max(age_ms + (self.engine_age_ms or 0.0), self.mono_ms() - self._data[1] if self._data[0] else 0.0)

    def approval(self, approval_id: str) -> ApprovalView | None:
        """Return a waiting trade as the engine shows it now; None: it waits no longer."""
        waiting = self.snapshot.approvals if self.snapshot else ()
        return next((each for each in waiting if each.approval_id == approval_id), None)

    def rings(self) -> bool:
        """Say whether the bell rings now: a trade began to wait since the last call, and it has not rung just before.

        Those that wait already when the console opens ring as well: somebody has yet to see them.
        """
        waiting = {each.approval_id for each in self.snapshot.approvals} if self.snapshot else set[str]()
        fresh, self._known = waiting - self._known, waiting
        if not (fresh and self.bell_wanted) or self.mono_ms() - self._rang_ms < BELL_EVERY_MS:
            return False
        self._rang_ms = self.mono_ms()
        return True

    def note(self, text: str, ink: str = "accent") -> None:
        """Show one sentence on the bottom line for some seconds."""
        self._note = (text, ink, self.mono_ms())

    def unnote(self) -> None:
        """Take the note away: what comes next has words of its own."""
        self._note = ("", "", 0.0)

    def noted(self) -> tuple[str, str]:
        """Return the note and its ink; empty when it has been shown long enough."""
        text, ink, since = self._note
        return (text, ink) if text and self.mono_ms() - since < NOTE_MS else ("", "")
