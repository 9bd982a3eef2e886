"""Reach a store's engine from a shell: over its socket while one runs, else by being it for a moment."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.api import Command, Query, Reply
from engine.control.link import send_over
from engine.errors import StoreError
from engine.paths import StorePaths
from engine.runtime.stores import there
from engine.store.lock import lock_owner

if TYPE_CHECKING:
    from engine.runtime.local import LocalLink

ANSWER_WITHIN_S = 2.0
LIVE_VIEWS = ("status", "agents", "approvals", "policy", "policy_preview")


@dataclass(slots=True)
class SocketLink:
    """Commands to the engine that owns the store."""

    paths: StorePaths
    within_s: float = ANSWER_WITHIN_S

    def send(self, command: Command) -> Reply:
        """Send a command; StoreLockedError when the engine does not answer in time."""
        return send_over(self.paths.socket, command, self.within_s)


@contextmanager
def connect(
    store: Path, *, anyway: bool = False, within_s: float = ANSWER_WITHIN_S
) -> Iterator[SocketLink | LocalLink]:
    """Reach a store's engine: over its socket while the lock is held, else by taking the lock.

    anyway: a configuration that cannot be read is no reason not to; documented defaults stand in for it.
    """
    paths = there(store)
    if lock_owner(paths) is not None:
        yield SocketLink(paths, within_s)
        return
    from engine.runtime.local import local_link  # the whole engine, where a socket needs none of it

    with local_link(paths, anyway=anyway) as link:
        yield link


def query(store: Path, name: str, args: dict[str, str]) -> Any:
    """Answer a reading command, from the running engine or from the store, which reading leaves as it was."""
    paths = there(store)
    if name not in LIVE_VIEWS and lock_owner(paths) is None:
        from engine.runtime.reads import question, reading, with_files  # as above

        with reading(store) as reader:
            return with_files(paths, name, reader.read(question(name, args)))
    with connect(store, anyway=name == "status") as link:  # how things stand must show whatever a file says
        reply = link.send(Query(name=name, args=args))
    if not reply.ok:
        raise StoreError(reply.text)
    return reply.data
