"""Unlocking the key file while an engine runs: one try at a time, each on record, and what waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.api import KeysView
from engine.domain.events import Incident, KeysTried
from engine.domain.key_tries import lock_ms
from engine.errors import RefusedError
from engine.keys import LOCKED, Keychain, WrongPassphraseError

if TYPE_CHECKING:
    from engine.control.core import Core


class Unlocking:
    """prepare: makes the models ready whose keys can be had now, and returns what is missing, a sentence each.

    Opening takes half a second of scrypt, so it has a thread; everything else happens on the engine's own.
    """

    def __init__(self, core: Core, keychain: Keychain, prepare: Callable[[], list[str]]) -> None:
        self._core = core
        self._keychain = keychain
        self._prepare = prepare
        self._trying = asyncio.Lock()

    def view(self, now_ms: int) -> KeysView | None:
        """Return what waits for the key file; None: nothing does."""
        locked = dict(self._keychain.locked)
        if not locked:
            return None
        wait_ms = max(0, self._core.books.key_tries.until_ms - now_ms)
        odd = next((why for why in locked.values() if why != LOCKED), "")
        return KeysView(names=tuple(sorted(locked)), problem=odd, wait_ms=wait_ms)

    async def unlock(self, passphrase: str, actor: str) -> str:
        """Open the key file and return what that gave; RefusedError for a wrong passphrase, or one that is too soon."""
        async with self._trying:  # one at a time: tries side by side would share one count
            self._refuse_too_soon()
            try:
                await asyncio.to_thread(self._keychain.unlock, passphrase)
            except WrongPassphraseError as error:
                raise RefusedError(f"{error} {self._note(actor, right=False)}".strip()) from None
            self._note(actor, right=True)
        missing = self._prepare()
        for problem in missing:
            self._record(Incident(code="MODEL_NOT_READY", text=problem))
        return "The keys are unlocked until this engine ends." + "".join(f" But {each}." for each in missing)

    def _refuse_too_soon(self) -> None:
        left_ms = self._core.books.key_tries.until_ms - self._now_ms
        if left_ms > 0:
            raise RefusedError(f"Too many wrong passphrases: the next is looked at in {-(-left_ms // 1000)} s.")

    def _note(self, actor: str, *, right: bool) -> str:
        """Write a try down, and return the sentence that says what it costs."""
        wrong = 0 if right else self._core.books.key_tries.wrong + 1
        wait_ms = lock_ms(wrong)
        until_ms = self._now_ms + wait_ms if wait_ms else 0
        self._record(KeysTried(right=right, actor=actor, wrong_tries=wrong, locked_until_ms=until_ms))
        return f"The next is looked at in {wait_ms // 1000} s." if wait_ms else ""

    def _record(self, event: Incident | KeysTried) -> None:
        self._core.journal.record(self._now_ms, event)

    @property
    def _now_ms(self) -> int:
        return self._core.desk.clock.now_ms()
