"""The key file at an engine's start: opened by a passphrase file, for a server where nobody sits.

An engine never asks for a passphrase itself: a prompt would hold up a service for ever, and a descriptor cannot be
named in a unit. Whoever sits somewhere unlocks a running engine, from the console or with `quarterdeck keys unlock`.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from engine.api import Reply, UnlockKeys
from engine.control.link import send_over
from engine.domain.events import Incident, KeysTried
from engine.errors import UsageError
from engine.keys import PASSPHRASE_FILE, Keychain, passphrase_in_file
from engine.runtime.stores import there
from engine.store.lock import lock_owner

if TYPE_CHECKING:
    from engine.control.core import Core

UNLOCK_WITHIN_S = 20.0
"""Opening takes half a second of work, more on a small machine."""


async def unlock_at_start(core: Core, keychain: Keychain, environ: Mapping[str, str]) -> None:
    """Open the key file if a passphrase file is named. One that does not open it is an incident, and no try counts."""
    refuse_core_dumps()
    try:
        passphrase = passphrase_in_file(environ)
        if passphrase is None:
            return
        await asyncio.to_thread(keychain.unlock, passphrase)
    except UsageError as error:
        core.journal.record(core.desk.clock.now_ms(), Incident(code="KEYS_LOCKED", text=str(error)[:300]))
        return
    tries = KeysTried(right=True, actor=PASSPHRASE_FILE, wrong_tries=0, locked_until_ms=0)
    core.journal.record(core.desk.clock.now_ms(), tries)


def unlock(store: Path, command: UnlockKeys) -> Reply:
    """Unlock the engine that runs on a store. Raises UsageError where none does: what is opened closes with it."""
    paths = there(store)
    if lock_owner(paths) is None:
        raise UsageError(f"No engine runs on {store}, so none waits for keys; `quarterdeck keys test` opens the file.")
    return send_over(paths.socket, command, UNLOCK_WITHIN_S)


def refuse_core_dumps() -> None:
    """Leave no image of the memory behind when the process dies: keys are in it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
