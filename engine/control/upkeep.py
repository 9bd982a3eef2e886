"""What a running engine does for its own store: a look at its files each minute, a proven backup each day."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, Clock
from engine.control.core import Core
from engine.domain.events import Incident
from engine.errors import RefusedError, StoreError
from engine.paths import StorePaths
from engine.store import copies
from engine.store.backups import Frozen, back_up, prune
from engine.store.copies import KEPT, Backup, dated_name, is_dated, listing
from engine.store.database import DamagedError
from engine.store.places import Place, place_of
from engine.store.prompts import PromptStore

LOG_BYTES_MAX = 64_000_000
FREE_BYTES_MIN = 200_000_000
T = TypeVar("T")


class Upkeep:
    """Watches one open store. keep: how many daily backups; 0: none are made unless asked for.

    All methods run on the engine's thread; the copying and proving of a backup runs on one of its own. wall: the
    machine's clock, also beside a recording, whose days pass in minutes.
    """

    def __init__(self, core: Core, paths: StorePaths, wall: Clock, *, keep: int = KEPT) -> None:
        self._core = core
        self._paths = paths
        self._wall = wall
        self._keep = keep
        self._file = _identity(paths.store_db)
        self._next_ms = wall.mono_ms() + MINUTE_MS
        self._wait_ms = 0.0
        self._task: asyncio.Task[None] | None = None
        self._is_copying = False
        self._said: set[str] = set()
        self._pruned = -1

    async def beat(self) -> None:
        """Do what is due; called with each heartbeat of the engine."""
        now_ms = self._wall.mono_ms()
        if now_ms < self._next_ms:
            return
        self._next_ms = now_ms + MINUTE_MS
        await self._check_file()
        place = place_of(self._paths.root)
        log_bytes = _size(self._paths.store_db.with_name("store.db-wal"))
        self._warn("DISK_LOW", place.free_bytes < FREE_BYTES_MIN, f"only {_mb(place)} MB are free on {place.mount}")
        self._warn("LOG_LARGE", log_bytes > LOG_BYTES_MAX, "a long read keeps the write-ahead log from shrinking")
        if self._keep and not self._is_copying and now_ms >= self._wait_ms and self._is_due():
            self._wait_ms = now_ms + HOUR_MS
            self._task = asyncio.create_task(self._daily())
        if self._wall.now_ms() // DAY_MS != self._pruned:
            self._pruned = self._wall.now_ms() // DAY_MS
            await self._prune_prompts()

    async def back_up(self, folder: str = "") -> Backup:
        """Make a backup now, in a folder or among the others, and return it. Raises RefusedError while one is made."""
        if self._is_copying:
            raise RefusedError("A backup is being made already; wait for it.")
        frozen = Frozen(self._paths)
        self._is_copying = True
        try:
            target = dated_name(self._paths, self._wall.now_ms(), Path(folder) if folder else None)
            return await _on_a_thread(lambda: back_up(frozen, target))
        finally:
            self._is_copying = False
            frozen.close()

    async def described_backup(self, folder: str) -> dict[str, object]:
        """Make a backup and describe it as JSON can carry it; it was proven, or there would be none."""
        return copies.described_fields(await self.back_up(folder))

    async def close(self) -> None:
        """Let go of a backup under way; the next one removes what it leaves."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _is_due(self) -> bool:
        made = [backup.made_ms for backup in listing(self._paths) if is_dated(backup)]
        return not made or abs(self._wall.now_ms() - max(made)) >= DAY_MS

    async def _daily(self) -> None:
        try:
            await self.back_up()
            prune(self._paths, self._keep)
        except DamagedError as error:
            await self._core.halt("store", f"the store is damaged: {error}"[:300])
        except (StoreError, OSError) as error:
            self._incident("BACKUP_FAILED", f"the daily backup was not made: {error}")

    async def _prune_prompts(self) -> None:
        """Delete, once a day, what the policy no longer keeps of what models were asked and answered."""
        kept, days = PromptStore(self._paths.prompts), self._core.policy.ai.prompts_kept_days
        with contextlib.suppress(OSError):
            await _on_a_thread(lambda: kept.prune(self._wall.now_ms(), days))

    async def _check_file(self) -> None:
        """A database that was deleted or replaced takes rows that nobody will ever read (P31)."""
        if _identity(self._paths.store_db) == self._file or "STORE_GONE" in self._said:
            return
        self._said.add("STORE_GONE")
        gone = f"{self._paths.store_db} was deleted or replaced while this engine has it open"
        await self._core.halt("store", f"{gone}; stop the engine and restore a backup")

    def _warn(self, code: str, is_so: bool, text: str) -> None:
        if is_so and code not in self._said:
            self._said.add(code)
            self._incident(code, text)
        elif not is_so:
            self._said.discard(code)

    def _incident(self, code: str, text: str) -> None:
        with contextlib.suppress(StoreError):  # a journal that takes nothing has halted trading already
            self._core.journal.record(self._core.desk.clock.now_ms(), Incident(code=code, text=text[:300]))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def _mb(place: Place) -> int:
    return place.free_bytes // 1_000_000


async def _on_a_thread(work: Callable[[], T]) -> T:
    """Wait for work on a thread that does not hold up the end of the process, as a pool's would."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def tell(answer: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if future.done() else answer())

    def run() -> None:
        try:
            made = work()
        except BaseException as error:
            failure = error
            tell(lambda: future.set_exception(failure))
        else:
            tell(lambda: future.set_result(made))

    threading.Thread(target=run, name="quarterdeck-backup", daemon=True).start()
    return await future
