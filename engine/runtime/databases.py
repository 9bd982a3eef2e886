"""A store's own commands: back it up, restore it, migrate it, and say what is in it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from engine.api import BackUp
from engine.clock import Clock, SystemClock
from engine.control.link import send_over
from engine.domain.events import Incident, StateChanged
from engine.domain.policy import TradingState
from engine.errors import StoreError
from engine.paths import StorePaths
from engine.runtime.stores import there
from engine.store import backups, copies, database
from engine.store.anchor import read_anchor
from engine.store.journal import Journal
from engine.store.lock import lock_owner, refuse_owned, take_lock
from engine.store.places import place_of
from engine.store.verify import verify

BACKUP_WITHIN_S = 3600.0
Fields = dict[str, Any]


def back_up(store: Path, to: Path | None = None) -> Fields:
    """Make a proven backup: the engine that has the store does it, else this process under the store's lock."""
    paths = there(store)
    if lock_owner(paths) is not None:
        folder = str(to.absolute()) if to is not None else ""
        reply = send_over(paths.socket, BackUp(to=folder), BACKUP_WITHIN_S)
        if not reply.ok:
            raise StoreError(reply.text)
        return reply.data
    lock = take_lock(paths)
    try:
        with closing(backups.Frozen(paths)) as frozen:
            made = backups.back_up(frozen, copies.dated_name(paths, SystemClock().now_ms(), to))
        if to is None:
            backups.prune(paths)
    finally:
        lock.release()
    return copies.described_fields(made)


def restore(store: Path, named: str, *, venue_too: bool = False, clock: Clock | None = None) -> Fields:
    """Put a backup in the store's place; it is HALTED after it, and the next start explains what the venue did since.

    Raises StoreLockedError while an engine has the store.
    """
    paths, clock = StorePaths(store), clock or SystemClock()
    refuse_owned(store)
    lock = take_lock(paths)
    try:
        source = copies.found(paths, named)
        label = copies.dated_name(paths, clock.now_ms()).name
        replaced = backups.restore(paths, source, label, venue_too=venue_too)
        rows = verify(paths).rows
        _say_restored(Journal.open(paths, lock=lock), source, rows, clock.now_ms())
    finally:
        lock.release()
    report = verify(paths)
    if report.first_breach:
        raise StoreError(f"{paths.store_db} is not sound after the restore: {report.first_breach}")
    return {
        "restored": str(source),
        "rows": rows,
        "replaced": str(replaced),
        "trading_state": TradingState.HALTED.value,
    }


def _say_restored(journal: Journal, source: Path, rows: int, now_ms: int) -> None:
    text = f"restored from {source.name}: what came after row {rows} is gone from this journal"
    halted = StateChanged(
        state=TradingState.HALTED, actor="restore", reason=f"{text}; look at what the venue did since"
    )
    journal.record(now_ms, Incident(code="RESTORED", text=text), halted)
    journal.close()


def migrate(store: Path) -> Fields:
    """Bring a store's schema up to date, after a backup; opening it does the same."""
    paths = there(store)
    refuse_owned(store)
    lock = take_lock(paths)
    try:
        before = _schema(paths)
        database.migrate(paths)
        return {"schema_before": before, "schema": _schema(paths)}
    finally:
        lock.release()


def describe(store: Path) -> Fields:
    """Say what is in a store and where it lies; reads beside a running engine."""
    paths = there(store)
    place = place_of(paths.root)
    made = copies.listing(paths)
    anchor = read_anchor(paths.anchor)
    with closing(database.connect_reader(paths.store_db)) as connection:
        schema = database.schema_of(connection, paths.store_db)
        meta = dict(connection.execute("SELECT key, value FROM meta"))
        fills, orders = (
            connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in ("fills", "orders")
        )
    owner = lock_owner(paths)
    return {
        "store": str(paths.root),
        "schema": schema,
        "schema_known": database.SCHEMA,
        "rows": int(str(meta.get("tail", "0 ")).split(" ")[0]),
        "anchor_row": anchor[0] if anchor else None,
        "fills": fills,
        "orders": orders,
        "epoch": meta.get("epoch"),
        "owner_pid": owner.pid if owner else None,
        "bytes": {each.name: each.stat().st_size for each in sorted(paths.root.iterdir()) if each.is_file()},
        "disk": place.mount,
        "file_system": place.kind or "unknown",
        "free_bytes": place.free_bytes,
        "note": place.problem,
        "last_backup": copies.described_fields(made[0]) if made else None,
        "backups": [one.path.name for one in made],
    }


def _schema(paths: StorePaths) -> int:
    with closing(database.connect_reader(paths.store_db)) as connection:
        return database.schema_of(connection, paths.store_db)
