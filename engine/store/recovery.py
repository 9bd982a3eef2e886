"""Opening a store: a start after a crash and a clean start are this same path."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from engine.domain.books import Books
from engine.domain.events import Genesis
from engine.domain.intent import Mode
from engine.domain.market import SourceKind
from engine.errors import RefusedError, StoreError, UsageError
from engine.paths import StorePaths
from engine.store import chain, codec, database
from engine.store.anchor import read_anchor
from engine.store.files import secure_directory
from engine.store.packing import unpack

_LIVE_DATA = (SourceKind.LIVE.value, SourceKind.LIVE.name)


@dataclass(slots=True)
class Recovered:
    """A store as it was found, on the connection that will write it. head: the last row's 32-byte hash."""

    connection: sqlite3.Connection
    books: Books
    seq: int
    head: bytes
    epoch: int
    names: dict[str, int]


def recover(paths: StorePaths, *, batch: bool, factory: type[sqlite3.Connection] = sqlite3.Connection) -> Recovered:
    """Open the writing connection, start a new epoch and add up what the journal holds. The caller has the lock."""
    if not database.exists(paths):
        raise UsageError(f"there is no store at {paths.root}; start quarterdeck once, or name one with --store.")
    secure_directory(paths.root)
    database.migrate(paths)
    connection = database.connect_writer(paths.store_db, batch=batch, factory=factory)
    try:
        database.schema_of(connection, paths.store_db)
        epoch = _next_epoch(connection)
        seq, head = tail(connection)
        _check_tail(connection, paths, seq, head)
        names = {name: number for number, name in connection.execute("SELECT id, name FROM names")}
        return Recovered(connection, load_books(connection), seq, head, epoch, names)
    except database.DAMAGED as error:
        connection.close()
        raise StoreError(f"{paths.store_db} cannot be opened: {error}; restore a backup.") from None
    except BaseException:
        connection.close()
        raise


def load_books(connection: sqlite3.Connection) -> Books:
    """Add up the journal. Holds are left out: all that one changes is the time of the last row."""
    books = Books()
    sql = "SELECT seq, ts_ms, kind, payload FROM journal WHERE kind <> ? ORDER BY seq"
    for seq, ts_ms, kind, kept in connection.execute(sql, (codec.HELD,)):
        try:
            books.apply(ts_ms, codec.decode(kind, unpack(kept)))
        except (StoreError, KeyError) as error:
            raise StoreError(f"journal row {seq} cannot be applied: {error} Restore a backup.") from None
    last = connection.execute("SELECT ts_ms FROM journal ORDER BY seq DESC LIMIT 1").fetchone()
    books.last_ts_ms = last[0] if last else 0
    return books


def tail(connection: sqlite3.Connection) -> tuple[int, bytes]:
    """Return the last row's seq and whole hash as the table `meta` has them."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'tail'").fetchone()
    if row is None:
        return 0, chain.GENESIS
    try:
        seq, head = str(row[0]).split(" ")
        return int(seq), bytes.fromhex(head)
    except ValueError:
        raise StoreError("the table meta does not say where the journal ends; restore a backup.") from None


def check_anchor(paths: StorePaths, found: Recovered) -> None:
    """Compare journal and anchor; StoreError when rows are gone or rewritten (P28). No anchor: nothing to compare."""
    anchor = read_anchor(paths.anchor)
    if anchor is not None:
        problem = anchor_problem(found.connection, anchor, (found.seq, found.head))
        if problem:
            raise StoreError(f"{problem} Run quarterdeck verify; after restoring a backup, delete {paths.anchor}.")


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
        raise StoreError(
            f"{paths.store_db} ends at row {found[0]}, not as its table meta says; run quarterdeck verify."
        )


def refuse_batch(genesis: Genesis | None, batch: bool) -> None:
    """Raise RefusedError when a store of live data would be written in batches: it can never be fetched again."""
    if batch and (genesis is None or genesis.source_kind in _LIVE_DATA):
        raise RefusedError("a store with live data is written row by row; batches are for replays and simulations.")


def refuse_mode(genesis: Genesis | None, mode: Mode | None) -> None:
    """Raise RefusedError when a store is not for the mode; None: any will do (L10)."""
    if mode is None or genesis is None:
        return
    if genesis.mode is not mode:
        raise RefusedError(f"this store is for {genesis.mode} trading and cannot be opened for {mode}; name another.")
    if mode is Mode.LIVE and genesis.source_kind not in _LIVE_DATA:
        raise RefusedError(f"this store holds {genesis.source_kind} data and can never be opened for LIVE.")
