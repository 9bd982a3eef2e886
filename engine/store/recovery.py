"""Opening a store: a start after a crash and a clean start are this same path."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from engine.domain.books import Books
from engine.domain.events import Checkpoint, Genesis
from engine.domain.intent import Mode
from engine.domain.market import SourceKind
from engine.errors import RefusedError, StoreError, UsageError
from engine.paths import StorePaths
from engine.store import chain, codec, database
from engine.store.anchor import read_anchor
from engine.store.copies import advice
from engine.store.database import DamagedError
from engine.store.files import secure_directory
from engine.store.freezing import form, thaw
from engine.store.packing import unpack
from engine.store.places import refuse_for_money
from engine.store.trails import apply_event

RARE = "kind >= 30 AND kind <> 42"
"""The condition of the index journal_rare, which SQLite uses only where a statement repeats it."""
_LIVE_DATA = (SourceKind.LIVE.value, SourceKind.LIVE.name)


@dataclass(slots=True)
class Recovered:
    """A store as it was found, on the connection that will write it. head: the last row's 32-byte hash."""

    connection: sqlite3.Connection
    seq: int
    head: bytes
    epoch: int
    names: dict[str, int]
    sum: Summed

    @property
    def books(self) -> Books:
        """What the journal adds up to."""
        return self.sum.books


@dataclass(slots=True)
class Summed:
    """What rows add up to. rows, acted: how many there are from the newest checkpoint on, and how many are no holds."""

    books: Books
    seq: int
    head: bytes
    rows: int = 0
    acted: int = 0


def recover(paths: StorePaths, *, batch: bool, factory: type[sqlite3.Connection] = sqlite3.Connection) -> Recovered:
    """Open the writing connection, start a new epoch and add up what the journal holds. The caller has the lock."""
    if not database.exists(paths):
        refuse_lost(paths)
        raise UsageError(f"there is no store at {paths.root}; start quarterdeck once, or name one with --store.")
    secure_directory(paths.root)
    try:
        database.migrate(paths)
        return _recovered(paths, batch, factory)
    except DamagedError as error:
        raise unusable(paths, str(error)) from None
    except database.DAMAGED as error:
        raise unusable(paths, f"{paths.store_db} cannot be opened: {error}.") from None


def unusable(paths: StorePaths, problem: str) -> StoreError:
    """Return the error for a store nothing may trade on: what is wrong, and the backup to go back to (P28)."""
    return DamagedError(f"{problem.rstrip('.')}; nothing trades on it: {advice(paths)}.")


def refuse_lost(paths: StorePaths) -> None:
    """Raise StoreError where a store was and its database is gone, so that no new one is begun in its place (P31)."""
    if paths.restoring.exists():
        raise unusable(paths, f"a restore into {paths.root} was cut off")
    try:
        anchor = read_anchor(paths.anchor)
    except StoreError:
        anchor = None
    if anchor is not None and anchor[0] > 0 and not database.exists(paths):
        raise unusable(paths, f"{paths.store_db} is gone, and its anchor says that it had {anchor[0]} rows")


def _recovered(paths: StorePaths, batch: bool, factory: type[sqlite3.Connection]) -> Recovered:
    connection = database.connect_writer(paths.store_db, batch=batch, factory=factory)
    try:
        database.schema_of(connection, paths.store_db)
        epoch = _next_epoch(connection)
        seq, head = tail(connection)
        _check_tail(connection, paths, seq, head)
        names = {name: number for number, name in connection.execute("SELECT id, name FROM names")}
        return Recovered(connection, seq, head, epoch, names, load_books(connection, (seq, head)))
    except BaseException:
        connection.close()
        raise


def load_books(connection: sqlite3.Connection, end: tuple[int, bytes]) -> Summed:
    """Add up the journal from its newest checkpoint on, and prove the chain from there to its end.

    So a start takes as long after a million fills as after a thousand: what is read is bounded by how often the journal
    writes checkpoints. The chain ends at the hash that `meta` and the anchor have, so nothing in what was read, the
    checkpoint included, can have been changed. What lies before it is proven by `verify`, and with each backup.
    """
    found = _newest_checkpoint(connection)
    sql = "SELECT seq, ts_ms, kind, payload, hash FROM journal WHERE seq > ? ORDER BY seq"
    for row in connection.execute(sql, (found.seq,)):
        _add(found, row, connection)
    if (found.seq, found.head) != end:
        raise DamagedError(f"the journal does not end at row {end[0]} with the hash that meta has.")
    return found


def _newest_checkpoint(connection: sqlite3.Connection) -> Summed:
    sql = f"SELECT seq, payload FROM journal WHERE kind = {Checkpoint.KIND} AND {RARE} ORDER BY seq DESC LIMIT 1"
    row = connection.execute(sql).fetchone()
    if row is None:
        return Summed(Books(), 0, chain.GENESIS)
    seq, kept = row
    try:
        event = codec.decode(Checkpoint.KIND, unpack(kept))
        assert isinstance(event, Checkpoint)
        if event.form != form():
            return Summed(Books(), 0, chain.GENESIS)
        return Summed(thaw(event.state), seq - 1, bytes.fromhex(event.head))
    except (StoreError, ValueError) as error:
        raise DamagedError(f"journal row {seq} is not what was written: {error}") from None


def _add(found: Summed, row: tuple[Any, ...], connection: sqlite3.Connection) -> None:
    seq, ts_ms, kind, kept, check = row
    try:
        text = unpack(kept)
        head = chain.link(found.head, seq, ts_ms, kind, text)
        if seq != found.seq + 1 or check != chain.check(head, kept):
            raise DamagedError(f"journal row {seq} is not what was written: the hash chain breaks there.")
        found.rows += 1
        if kind == codec.HELD and not found.books.standing.failing.any:
            found.books.last_ts_ms = ts_ms
        else:
            found.acted += kind not in (Checkpoint.KIND, codec.HELD)
            apply_event(found.books, ts_ms, codec.decode(kind, text), connection, seq)
    except DamagedError:
        raise
    except (StoreError, KeyError, chain.NumberError, UnicodeError, TypeError) as error:
        raise DamagedError(f"journal row {seq} cannot be applied: {error!r}.") from None
    found.seq, found.head = seq, head


def tail(connection: sqlite3.Connection) -> tuple[int, bytes]:
    """Return the last row's seq and whole hash as the table `meta` has them."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'tail'").fetchone()
    if row is None:
        return 0, chain.GENESIS
    try:
        seq, head = str(row[0]).split(" ")
        return int(seq), bytes.fromhex(head)
    except ValueError:
        raise DamagedError("the table meta does not say where the journal ends.") from None


def check_anchor(paths: StorePaths, found: Recovered) -> None:
    """Compare journal and anchor; StoreError when rows are gone or rewritten (P28). No anchor: nothing to compare."""
    anchor = read_anchor(paths.anchor)
    if anchor is not None:
        problem = anchor_problem(found.connection, anchor, (found.seq, found.head))
        if problem:
            raise unusable(paths, problem)


def anchor_problem(connection: sqlite3.Connection, anchor: tuple[int, bytes], end: tuple[int, bytes]) -> str | None:
    """Return what is wrong between an anchor and the journal's end, in a sentence; None when they agree."""
    seq, head = anchor
    if seq > end[0]:
        return f"the journal ends at row {end[0]} but its anchor is at row {seq}: its tail was cut off."
    if seq == end[0]:
        return None if head == end[1] else f"journal row {seq} is not the one its anchor names: it was rewritten."
    row = connection.execute("SELECT payload, hash FROM journal WHERE seq = ?", (seq,)).fetchone()
    if seq and (row is None or chain.check(head, row[0]) != row[1]):
        return f"journal row {seq} is not the one its anchor names: it was rewritten."
    return None


def _next_epoch(connection: sqlite3.Connection) -> int:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO meta VALUES ('epoch', 1) ON CONFLICT (key) DO UPDATE SET value = value + 1")
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('tail', ?)", (f"0 {chain.GENESIS.hex()}",))
    (epoch,) = connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    connection.execute("COMMIT")
    return epoch


def _check_tail(connection: sqlite3.Connection, paths: StorePaths, seq: int, head: bytes) -> None:
    row = connection.execute("SELECT seq, payload, hash FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
    found = (0, chain.GENESIS) if row is None else (row[0], row[2])
    wanted = (0, chain.GENESIS) if seq == 0 else (seq, row and chain.check(head, row[1]))
    if found != wanted:
        raise DamagedError(f"{paths.store_db} ends at row {found[0]}, not as its table meta says.")


def refuse_batch(genesis: Genesis | None, batch: bool) -> None:
    """Raise RefusedError when a store of live data would be written in batches: it can never be fetched again."""
    if batch and (genesis is None or genesis.source_kind in _LIVE_DATA):
        raise RefusedError("a store with live data is written row by row; batches are for replays and simulations.")


def refuse_mode(paths: StorePaths, genesis: Genesis | None, mode: Mode | None) -> None:
    """Raise RefusedError when a store is not for the mode, or lies where none may (L10, P20). None: any will do."""
    if mode is None or genesis is None:
        return
    if genesis.mode is not mode:
        raise RefusedError(f"this store is for {genesis.mode} trading and cannot be opened for {mode}; name another.")
    if mode is Mode.LIVE and genesis.source_kind not in _LIVE_DATA:
        raise RefusedError(f"this store holds {genesis.source_kind} data and can never be opened for LIVE.")
    if mode is Mode.LIVE:
        refuse_for_money(paths.root)
