"""One schedule from its first act to rest: turns, lives and deaths of the engine, and the checks after each turn."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.clock import ManualClock
from engine.domain.events import Incident
from engine.domain.order import OrderRequest, OrderStatus, OrderType
from engine.errors import StoreError
from engine.execution.reconcile import EVERY_MS
from engine.ops.simulate.acts import VENUE_ACTS
from engine.ops.simulate.checks import Checker
from engine.ops.simulate.faults import FaultBook, SimulatedCrash, Violation
from engine.ops.simulate.gateway import SimGateway
from engine.ops.simulate.plan import Act, Do, Schedule, Site
from engine.ops.simulate.rig import VENUE_ERRORS, Protocol, Rig
from engine.ops.simulate.shadow import Shadow
from engine.ops.simulate.stage import CASH, SPECS, START_MS, copy_store, market
from engine.ops.simulate.venue import SimVenue
from engine.paths import StorePaths
from engine.store.lock import StoreLock, take_lock
from engine.store.verify import verify
from engine.store.watched import disk_full, rows_after, watched

ROUNDS_TO_REST = 60
ROUNDS_OF_CALM = 2
LIVES_MAX = 12
HEARTBEAT_MS = 500
READS = ("SELECT", "PRAGMA", "ROLLBACK")
Task = Coroutine[Any, Any, None]


@dataclass(slots=True)
class Outcome:
    """What came of one schedule. broken: what does not hold, with its code; None when all did. story: if asked for."""

    schedule: Schedule
    broken: Violation | None = None
    lives: int = 0
    turns: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    visits: Counter[Site] = field(default_factory=Counter)
    story: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Parked:
    """A task that waits for the venue."""

    name: str
    task: Task
    turns: int


class Run:
    """Plays a schedule once, in a directory of its own."""

    def __init__(self, schedule: Schedule, template: StorePaths, root: Path, protocol: Protocol, *, tell: bool) -> None:
        self.schedule = schedule
        self.protocol = protocol
        self.root = root
        self.clock = ManualClock(START_MS)
        self.venue = SimVenue(self.clock, SPECS, {"USDT": CASH})
        self.faults = FaultBook(schedule.faults)
        self.shadow = Shadow(self.venue)
        self.checker = Checker(self.venue, self.shadow)
        self.outcome = Outcome(schedule)
        self.tell = tell
        self.parked: list[Parked] = []
        self.rig: Rig | None = None
        self.gateway: SimGateway | None = None
        self._lock: StoreLock | None = None
        self._image = copy_store(template, root / "0")
        self._full_until = 0
        self._doomed = False
        self._die_after = False
        self.venue.hide = self._hidden_ms

    # the whole of it

    def play(self) -> Outcome:
        """Play all acts, then bring everything to rest; what is broken is in the outcome."""
        out = self.outcome
        try:
            self._guard(self._begin_life)
            for act in self.schedule.acts:
                self._guard(lambda act=act: self._turn(act))
            self._rest()
        except Violation as broken:
            out.broken = broken
            self._say(f"BROKEN {broken}")
        finally:
            self._bury()
            out.struck = Counter(f"{fault.site.value}: {fault.kind}" for fault in self.faults.struck)
            out.asked, out.visits = self.checker.asked, self.faults.visits
        return out

    def _guard(self, step: Callable[[], None]) -> None:
        """Do a step; when the engine dies in it, start it again from what it left on disk, which may kill it again."""
        for _life in range(LIVES_MAX):
            try:
                step()
                return
            except SimulatedCrash as crash:
                self._say(f"CRASH at {crash}")
                self._bury()
                step = self._begin_life
        raise Violation("P09", f"the engine did not come up in {LIVES_MAX} lives")

    def _turn(self, act: Act) -> None:
        self.clock.advance_ms(act.ms)
        self.outcome.turns += 1
        self._say(str(act))
        self._deliver()
        self._wake()
        self._do(act)
        if act.ms >= HEARTBEAT_MS and self.rig is not None:
            self._start("beat", self.rig.beat())
        self._check()

    def _rest(self) -> None:
        """Faults off: let time pass until all that was on its way has arrived and nothing is unknown."""
        self.faults.off = True
        self._full_until = 0
        self._say("faults off")
        while self.parked:
            self._guard(self._wake)
        calm = 0
        for _round in range(ROUNDS_TO_REST):
            self.clock.advance_ms(EVERY_MS)
            self._guard(self._calm_turn)
            calm = calm + 1 if self._is_calm() else 0
            if calm == ROUNDS_OF_CALM:
                break
        rig = self._life()
        self._check()
        self.checker.at_rest(rig)
        rig.journal.close()
        report = verify(rig.paths)
        if report.first_breach:
            raise Violation("L6", report.first_breach)

    def _calm_turn(self) -> None:
        self._deliver()  # first: what was on its way has arrived by now, whether or not an engine lives to see it
        rig = self.rig
        if rig is None or (rig.journal.broken is not None and not rig.journal.try_again()):
            self._say("restarts, for its store is broken")
            self._bury()
            self._begin_life()
            rig = self._life()
        for order in self.venue.working():
            if order.request.order_type is OrderType.MARKET:
                self.venue.fill(order, order.open_qty, self.venue.price_of(order))
        self._start("beat", rig.beat())
        self._check()

    def _is_calm(self) -> bool:
        rig = self._life()
        books = rig.books
        settled = (OrderStatus.OPEN, OrderStatus.PARTIALLY_FILLED, OrderStatus.SUBMITTING)
        unsettled = [o for o in books.orders.values() if o.status not in settled]
        hidden = any(order.shown_ms > self.clock.now_ms() for order in self.venue.orders.values())
        return not (unsettled or hidden or self.venue.on_way) and rig.armed and rig.flattening is None

    # lives and deaths

    def _life(self) -> Rig:
        if self.rig is None:
            raise Violation("P09", "there is no engine")
        return self.rig

    def _begin_life(self) -> None:
        """Start as after any end: the lock, the journal, reconcile, and only then trading."""
        try:
            self._open(self._image)
        except StoreError as error:  # a full disk; someone will start it again
            self._say(f"  it does not start: {self._told(error)}")
            self._bury()
            return
        self._start("start", self._life().arm())
        self._check()

    def _open(self, paths: StorePaths) -> None:
        self.outcome.lives += 1
        self._say(f"life {self.outcome.lives} begins")
        self._lock = take_lock(paths, START_MS)
        gateway = self.protocol.gateway(self.venue, self.faults, self._die, self._on_create, self._on_cancel)
        gateway.turn = self.outcome.turns
        factory = watched(self._before_sql, self._after_sql)
        self._image = paths
        journal = self.protocol.journal.open(paths, publish=self.shadow.take, lock=self._lock, factory=factory)
        if journal.seq > self.shadow.seq:  # a commit that nobody was told of before the end
            self.shadow.take(rows_after(paths, self.shadow.seq))
        self.shadow.may_resume = False
        self.shadow.life = self.outcome.lives
        self.gateway = gateway
        self.rig = Rig(self.protocol, journal, gateway, self.clock, market(), self.venue.prices)
        self.checker.at_start(self.rig)

    def _die(self, where: str) -> None:
        """Keep what is on disk at this very moment, and end the life."""
        self._doomed = True
        self._image = copy_store(self._image, self.root / str(self.outcome.lives))
        raise SimulatedCrash(where)

    def _bury(self) -> None:
        """Let go of what the dead engine held; nothing of it reaches the image of its store."""
        self._doomed = True
        if self.gateway is not None:
            self.gateway.dead = True
        self.venue.hear = lambda update: None
        for parked in self.parked:
            with suppress(SimulatedCrash):
                parked.task.close()
        self.parked.clear()
        if self.rig is not None:
            with suppress(Exception):
                self.rig.journal.close()
        if self._lock is not None:
            self._lock.release()
        self.rig, self.gateway, self._lock, self._doomed = None, None, None, False

    def _restart(self) -> None:
        rig = self._life()
        for parked in list(self.parked):
            self._step(parked)
        self._image = rig.paths
        self._bury()
        self._begin_life()

    def _usurp(self) -> None:
        """Take the store from a living engine, as on a disk whose locks do not hold; the old one must notice (S5)."""
        old = self._life()
        if self.parked or self._lock is None:
            return
        self._lock.release()
        gateway = self.gateway
        try:
            self._open(old.paths)
        except StoreError:
            self._bury()
            return
        before = self.shadow.seq
        with suppress(StoreError):
            old.journal.record(self.clock.now_ms(), Incident(code="USURPED", text="still here"))
        kept = self.shadow.seq == before and self._life().journal.seq == before
        self.checker.hold("S5", kept, "an engine that lost its store wrote to it")
        if gateway is not None:
            gateway.dead = True
        with suppress(Exception):
            old.journal.close()
        self._start("start", self._life().arm())

    # tasks

    def _start(self, name: str, task: Task) -> None:
        if any(parked.name == name for parked in self.parked):
            task.close()
            return
        self._step(Parked(name, task, 0))

    def _step(self, parked: Parked) -> None:
        if parked in self.parked:
            self.parked.remove(parked)
        try:
            parked.turns = parked.task.send(None)
            self.parked.append(parked)
            self._say(f"  ... {parked.name} waits")
        except StopIteration:
            return
        except VENUE_ERRORS as error:
            self._say(f"  {parked.name} failed: {self._told(error)}")
            self._after_failure(parked.name, error)
        except Violation:
            raise
        except Exception as error:
            raise Violation("P37", f"{parked.name} failed: {type(error).__name__} {error}") from error

    def _after_failure(self, name: str, error: Exception) -> None:
        if name == "beat" and self._life().armed:
            self._life().halt("engine", f"a heartbeat failed: {error!r}"[:300])

    def _wake(self) -> None:
        for parked in list(self.parked):
            parked.turns -= 1
            if parked.turns <= 0 and parked in self.parked:
                self._say(f"  ... {parked.name} goes on")
                self._step(parked)

    def _deliver(self) -> None:
        self.venue.arrive()
        if self.gateway is not None:
            self.gateway.turn = self.outcome.turns

    def _check(self) -> None:
        if self.rig is not None:
            self.checker.after_turn(self.rig)

    # acts

    def _do(self, act: Act) -> None:
        rig = self.rig
        handler = VENUE_ACTS.get(act.do)
        if handler is not None:
            handler(self.venue, act)
        elif rig is None:
            self._begin_life()
        elif act.do is Do.RESTART:
            self._restart()
        elif act.do is Do.USURP:
            self._usurp()
        elif rig.armed:
            self._act_of_engine(rig, act)
        if rig is not None and self.rig is rig and rig.armed and not any(p.name == "beat" for p in self.parked):
            self._guarded_pump(rig)

    def _guarded_pump(self, rig: Rig) -> None:
        with suppress(StoreError):
            rig.router.pump()
            rig.halt_on_breach()

    def _act_of_engine(self, rig: Rig, act: Act) -> None:
        if act.do is Do.BUY:
            self._start(act.agent, rig.enter(act))
        elif act.do is Do.SELL:
            self._start(act.agent, rig.leave(act))
        elif act.do is Do.CANCEL:
            self._start("trader", rig.cancel(act.agent, protection=act.amount > 80))
        elif act.do is Do.CANCEL_ALL:
            self._start("trader", rig.cancel(None, protection=act.amount > 80))
        elif act.do is Do.FLATTEN:
            self._start("trader", rig.start_flatten())
        elif act.do is Do.RECONNECT and not self.parked:
            self._start("reconnect", rig.reconnect())
        elif act.do is Do.HALT:
            rig.halt("trader", "enough")
        elif act.do is Do.HALT_FILE:
            rig.paths.halt_latch.touch()
        elif act.do is Do.RESUME:
            rig.paths.halt_latch.unlink(missing_ok=True)
            self.shadow.may_resume = True
            with suppress(StoreError):
                rig.resume()
            self.shadow.may_resume = False

    # hooks

    def _before_sql(self, sql: str) -> None:
        if self._doomed:
            return
        fault = self.faults.take(Site.SQL)
        if fault is not None and fault.kind == "crash":
            self._die(f"SQL {self.faults.visits[Site.SQL]}, before {sql[:40]}")
        if fault is not None and fault.kind.startswith("disk full"):
            self._full_until = self.faults.visits[Site.SQL] + fault.amount
        if self.faults.visits[Site.SQL] < self._full_until and not sql.startswith(READS):
            raise disk_full()
        self._die_after = fault is not None and fault.kind == "crash after it"

    def _after_sql(self, sql: str) -> None:
        if not self._doomed and self._die_after:
            self._die_after = False
            self._die(f"SQL {self.faults.visits[Site.SQL]}, after {sql[:40]}")

    def _hidden_ms(self) -> int:
        fault = self.faults.take(Site.TRADE)
        return fault.amount if fault else 0

    def _on_create(self, request: OrderRequest) -> None:
        self._say(f"  create {request.side} {request.qty} {request.instrument} {request.client_order_id[8:14]}")
        self.checker.on_create(self._life(), request)

    def _on_cancel(self, order_id: str) -> None:
        self._say(f"  cancel {order_id[8:14]}")
        self.checker.on_cancel(self._life(), order_id)

    def _told(self, error: Exception) -> str:
        """Return an error's sentence without this machine's paths and disks, so that a story can be compared."""
        return str(error).replace(f"{self.root}/", "").partition(";")[0]

    def _say(self, text: str) -> None:
        if self.tell:
            self.outcome.story.append(f"{(self.clock.now_ms() - START_MS) / 1000:8.3f}  {text}")


def play(schedule: Schedule, template: StorePaths, root: Path, protocol: Protocol, *, tell: bool = False) -> Outcome:
    """Play a schedule in a directory that is gone afterwards."""
    root.mkdir()
    try:
        return Run(schedule, template, root, protocol, tell=tell).play()
    finally:
        shutil.rmtree(root, ignore_errors=True)
