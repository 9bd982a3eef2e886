"""SQLite, set up in one place: the schema, the one writing connection, the reading ones.

The writer is one synchronous sqlite3 connection owned by the engine's thread: nothing can interleave inside a
transaction, and a commit takes 0.2 ms. People read through a second connection that can neither write nor
checkpoint (two connections that do both can corrupt a WAL database before SQLite 3.51.3).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from engine.errors import StoreError, UsageError
from engine.paths import StorePaths
from engine.store.files import open_private

SCHEMA = 3
BUSY_MS = 2000

# journal_rare: what people list by kind; not cycles, orders and fills, nor marks of equity, which are many.
# journal: the one truth; all other tables are rebuilt from it, byte for byte. Money is TEXT, in plain form.
# names: asset codes and markets (venue, account, instrument as JSON), by number, in order of appearance.
# orders: id is 16 bytes where the client order id is 32 hex digits. seq, last_seq: its first and last journal row.
#   resized: what it covers now, NULL while that is what was intended. The index has only some bytes of the id, behind
#   those that all orders of a store share: it is asked for by ORDER_BY_ID.
# fills: unique on market and trade id (R12, L4). order_seq: the order's first row, NULL for an order not ours.
# ledger: one balanced pair of lines a row (R13, L3): amount leaves account source and enters account target.
#   id is 8 * seq + number of the pair.
# The indexes are for lists of the newest rows, which must not take longer as history grows.
INDEXES = """
CREATE INDEX journal_done ON journal (kind) WHERE kind = 11;
CREATE UNIQUE INDEX fills_seq ON fills (seq);
CREATE INDEX orders_id ON orders (substr(id, 5, 4));
CREATE INDEX orders_open ON orders (seq) WHERE status < 6;
"""
DDL = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY, ts_ms INTEGER NOT NULL, kind INTEGER NOT NULL, payload ANY NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE INDEX journal_rare ON journal (kind) WHERE kind >= 30 AND kind <> 42;
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE orders (
    id ANY NOT NULL, seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, status INTEGER NOT NULL,
    filled_qty TEXT NOT NULL, filled_cost TEXT NOT NULL, resized TEXT
) STRICT;
CREATE TABLE fills (
    market INTEGER NOT NULL, trade_id TEXT NOT NULL, seq INTEGER NOT NULL, order_seq INTEGER,
    PRIMARY KEY (market, trade_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE ledger (
    id INTEGER PRIMARY KEY, target INTEGER NOT NULL, source INTEGER NOT NULL, asset INTEGER NOT NULL,
    amount TEXT NOT NULL
) STRICT;
CREATE TABLE positions (
    agent TEXT NOT NULL, instrument TEXT NOT NULL, qty TEXT NOT NULL, cost TEXT NOT NULL, realized TEXT NOT NULL,
    entered_ms INTEGER NOT NULL, PRIMARY KEY (agent, instrument)
) STRICT, WITHOUT ROWID;
CREATE TABLE balances (asset TEXT PRIMARY KEY, held TEXT NOT NULL, fees TEXT NOT NULL) STRICT, WITHOUT ROWID;
{INDEXES}"""

ORDER_BY_ID = "substr(id, 5, 4) = substr(?1, 5, 4) AND id = ?1"
"""The condition for the order whose key is the statement's first value; in a store of an older schema it holds too."""


class DamagedError(StoreError):
    """A store is not what was written; what to do about it is said by whoever opens it."""


def exists(paths: StorePaths) -> bool:
    """Tell whether a store's tables were created here. A file whose creation was cut off is none."""
    try:
        return paths.store_db.stat().st_size > 0
    except FileNotFoundError:
        return False


def is_begun(paths: StorePaths) -> bool:
    """Tell whether a store was created here to its first row; a file that cannot be read may have been one."""
    settle(paths.store_db)
    if not exists(paths):
        return False
    try:
        uri = reader_uri(paths.store_db)
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_MS / 1000)) as connection:
            return connection.execute("SELECT 1 FROM journal LIMIT 1").fetchone() is not None
    except sqlite3.Error:
        return True


def settle(path: Path) -> None:
    """Let SQLite take back what a process cut off outside WAL mode; a reader can neither do that nor look past it.

    Making the tables and going into and out of WAL mode leave a rollback journal when they are cut off. That of a
    living process is locked and stays; where nothing can be written, the reader says so.
    """
    if not (path.exists() and beside(path, "journal").exists()):
        return
    with suppress(sqlite3.Error), closing(sqlite3.connect(path, timeout=BUSY_MS / 1000)) as connection:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()


def beside(path: Path, ending: str) -> Path:
    """Return the file that SQLite keeps beside a database: its wal, shm or journal."""
    return path.with_name(f"{path.name}-{ending}")


def connect_writer(
    path: Path, *, batch: bool, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    """Open the writing connection. Transactions are begun and ended by hand.

    batch: for a store that can be made again from its recording; a power cut may then cost the file. factory: the
    class of the connection, where one that watches its statements is wanted.
    """
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1000, factory=factory)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA journal_mode = {'MEMORY' if batch else 'WAL'}")
    connection.execute(f"PRAGMA synchronous = {'OFF' if batch else 'FULL'}")
    return connection


def create_tables(path: Path) -> None:
    """Make the file, 0600, with the schema's tables, in place of one that a cut-off creation left; all or none."""
    for left in (path, *(beside(path, ending) for ending in ("wal", "shm", "journal"))):
        left.unlink(missing_ok=True)
    os.close(open_private(path))
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA page_size = 4096")
        connection.executescript(f"BEGIN IMMEDIATE; {DDL} INSERT INTO meta VALUES ('schema', {SCHEMA}); COMMIT;")
    finally:
        connection.close()


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a connection that can only read. Raises UsageError when there is no store."""
    if not path.exists():
        raise UsageError(f"there is no store at {path.parent}; name one with --store.")
    settle(path)
    connection = sqlite3.connect(reader_uri(path), uri=True, isolation_level=None, timeout=BUSY_MS / 1000)
    for pragma in READER_PRAGMAS:
        connection.execute(pragma)
    return connection


DAMAGED = (sqlite3.Error, UnicodeError)
"""What reading a damaged file raises; its texts, and SQLite's own messages about them, may be no UTF-8."""

READER_PRAGMAS = ("PRAGMA query_only = ON", "PRAGMA trusted_schema = OFF", "PRAGMA temp_store = MEMORY")


def reader_uri(path: Path) -> str:
    """Return the address under which SQLite opens a file for reading only."""
    return f"file:{quote(str(path.absolute()))}?mode=ro"


def schema_of(connection: sqlite3.Connection, path: Path) -> int:
    """Return a store's schema number. Raises StoreError when there is none, or a newer program wrote it (P30)."""
    try:
        row = connection.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()
    except DAMAGED as error:
        raise DamagedError(f"{path} is no store ({error}).") from None
    if row is None or type(row[0]) is not int:
        raise DamagedError(f"{path} names no schema.")
    if row[0] > SCHEMA:
        raise StoreError(f"{path} has schema {row[0]} and this quarterdeck knows {SCHEMA}; install a newer one.")
    return row[0]


def close_writer(connection: sqlite3.Connection) -> None:
    """Close the writing connection so that the store is one file again, readable without leaving files beside it."""
    # While someone reads, or the disk fails, the -wal file stays, and the next open takes it in.
    try:
        with suppress(sqlite3.Error):
            connection.execute("PRAGMA journal_mode = DELETE")
    finally:
        connection.close()


def migrate(paths: StorePaths) -> None:
    """Bring an older schema up to date, after a backup (P29); a store of today's schema costs one look."""
    settle(paths.store_db)
    connection = sqlite3.connect(reader_uri(paths.store_db), uri=True, timeout=BUSY_MS / 1000)
    try:
        schema = schema_of(connection, paths.store_db)
    finally:
        connection.close()
    if schema < SCHEMA:
        from engine.store.migrations import upgrade  # brings sqlite-utils: 0.4 s that only an old store pays

        upgrade(paths, schema)
