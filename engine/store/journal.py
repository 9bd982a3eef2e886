"""The one write path: append, commit, then apply in memory, then publish (R9: write, then act, then tell)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from engine.clock import DAY_MS
from engine.domain.events import Checkpoint, CycleDone, CycleHeld, Event, Filled, Genesis, OrderIntended, Recorded
from engine.domain.intent import Mode
from engine.domain.portfolio import LateMoveError
from engine.errors import StoreError
from engine.paths import StorePaths
from engine.store import chain, codec, database, lookup
from engine.store.anchor import Anchor
from engine.store.freezing import form, freeze
from engine.store.lock import StoreLock, take_lock
from engine.store.packing import pack
from engine.store.places import trouble
from engine.store.recovery import Recovered, check_anchor, recover, refuse_batch, refuse_lost, refuse_mode
from engine.store.staging import adopt, copied
from engine.store.tables import Changes, market_name, order_key, write_changes
from engine.store.trails import apply_event
from engine.store.written import Written

BATCH_ROWS = 8192
DECIDED = CycleDone.KIND
# When a checkpoint is due: what a start may have to read since the last one. A hold costs it 1 us, other rows 15.
ACTED_MAX, ROWS_MAX = 4096, 50_000
ACTED_FEW, ROWS_FEW = 256, 10_000
"""Fewer than these are not worth one at the end of a day or on closing."""

Publish = Callable[[list[Recorded]], None]
Row = tuple[int, int, int, str | bytes, bytes]


class DuplicateFillError(StoreError):
    """A fill with this trade id is in the journal already (R12); nothing was written."""


class DuplicateOrderError(StoreError):
    """An order with this client order id is in the journal already (O4); nothing was written."""


class Journal:
    """One store, open for writing by the one engine that holds its lock; used from one thread.

    books: the state all recorded events add up to. seq: the last row; acted_seq: the last that is no hold. broken: why
    nothing can be written any more, None while all is well; the engine halts on it (S9). epoch: this opening's number,
    checked in every write (S5).
    """

    def __init__(
        self, paths: StorePaths, lock: StoreLock, found: Recovered, *, batch: bool, publish: Publish | None
    ) -> None:
        self.paths = paths
        self.books = found.books
        self.seq = self.acted_seq = found.seq
        self.epoch = found.epoch
        self.broken: str | None = None
        self.publish = publish
        self._head = found.head
        self._names = found.names
        self._lock = lock
        self._batch = batch
        self._connection: sqlite3.Connection | None = found.connection
        self._anchor = Anchor(paths.anchor)
        self._rows: list[Row] = []
        self._waiting: list[tuple[int, int, str]] = []
        self._changes = Changes(self._names)
        self._may_mend = False
        self._written = Written(is_whole=batch and found.seq == 0)
        self._holds: list[CycleHeld] = []
        self._holds_ms = 0
        self._held: CycleHeld | None = None
        self._held_text = ""
        self._before = self.seq - found.sum.rows
        self._acted = found.sum.acted
        self._day = self.books.last_ts_ms // DAY_MS

    @classmethod
    def create(
        cls,
        paths: StorePaths,
        ts_ms: int,
        genesis: Genesis,
        *events: Event,
        batch: bool = False,
        publish: Publish | None = None,
        lock: StoreLock | None = None,
    ) -> Journal:
        """Make a new store whose first rows are these, and open it.

        batch: commit thousands of rows at a time; refused for live data, which can never be fetched again.
        lock: the store's lock when the caller has it; else it is taken. Raises StoreError when a store is there.
        """
        refuse_batch(genesis, batch)
        held = lock or take_lock(paths)
        try:
            if database.is_begun(paths):
                raise StoreError(f"{paths.root} holds a store already; open it, or name another --store.")
            refuse_lost(paths)
            paths.anchor.unlink(missing_ok=True)
            database.create_tables(paths.store_db)
            journal = cls(paths, held, recover(paths, batch=batch), batch=batch, publish=publish)
            journal._anchor.write(0, chain.GENESIS, ts_ms)  # a crash after the first rows must not look like a lost one
            journal.record(ts_ms, genesis, *events)
        except BaseException:
            if lock is None:
                held.release()
            raise
        return journal

    @classmethod
    def open(
        cls,
        paths: StorePaths,
        *,
        batch: bool = False,
        publish: Publish | None = None,
        lock: StoreLock | None = None,
        mode: Mode | None = None,
        factory: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> Journal:
        """Open a store after a clean end or a crash alike: books are what its rows add up to.

        mode: what the caller wants to trade in; a store of the other mode, or a replay's or simulation's store for
        LIVE, raises RefusedError (L10). factory: see engine.store.watched. Raises StoreLockedError while another
        engine has it; StoreError when it cannot be read, has a newer schema, or is shorter than its anchor says (P28,
        P30).
        """
        held = lock or take_lock(paths)
        try:
            found = recover(paths, batch=batch, factory=factory)
            try:
                refuse_batch(found.books.genesis, batch)
                refuse_mode(paths, found.books.genesis, mode)
                check_anchor(paths, found)
                return cls(paths, held, found, batch=batch, publish=publish)
            except BaseException:
                found.connection.close()
                raise
        except BaseException:
            if lock is None:
                held.release()
            raise

    @property
    def tail_hash(self) -> str:
        """The hash of the last row, 64 hex digits; two journals with equal tails are equal."""
        self._chain_waiting()
        return self._head.hex()

    def record(self, ts_ms: int, *events: Event) -> None:
        """Append events at an instant: all of them, or none and an exception.

        Events take effect on books only once they are committed (batch: appended), and are published after that.
        Raises DuplicateFillError and DuplicateOrderError, after which the journal goes on; and StoreError, with
        `broken` set when the store itself failed.
        """
        if self._connection is None or self.broken is not None:
            raise StoreError(f"{self.paths.store_db} takes no more writes: {self.broken or 'it is closed'}.")
        if self._holds:
            self.settle()
        first = self.seq + 1
        if self._batch:
            self._append(ts_ms, events)
        else:
            self._commit_now(ts_ms, events)
        if self.publish is not None:
            self.publish([Recorded(first + offset, ts_ms, event) for offset, event in enumerate(events)])
        if not self._batch and self._is_due(ts_ms):
            self._checkpoint(ts_ms)

    def record_hold(self, ts_ms: int, held: CycleHeld) -> None:
        """Append a hold, after which nothing is done that it must be on disk for: `settle` commits it.

        So all that hold at an instant share one commit. Any other record settles first, so that rows keep their order.
        """
        if not self._batch:
            self._holds.append(held)
            self._holds_ms = ts_ms
        elif self._connection is None or self.broken is not None or self.publish is not None:
            self.record(ts_ms, held)
        else:
            self._append_hold(ts_ms, held)

    def settle(self) -> None:
        """Commit the holds that were appended; raises as `record` does, after which they are gone."""
        if self._holds:
            holds, self._holds = self._holds, []
            self.record(self._holds_ms, *holds)

    def sum_up(self) -> None:
        """Write a checkpoint if the next start would otherwise read many rows; closing does it too."""
        if self._acted >= ACTED_FEW or self.seq - self._before >= ROWS_FEW:
            self._checkpoint(self.books.last_ts_ms)

    def _is_due(self, ts_ms: int) -> bool:
        day, self._day = self._day, ts_ms // DAY_MS
        rows, acted = self.seq - self._before, self._acted
        return acted >= ACTED_MAX or rows >= ROWS_MAX or (day != self._day and acted >= ACTED_FEW)

    def _checkpoint(self, ts_ms: int) -> None:
        """Write down what the journal adds up to, for the next start; the rows before stand without it."""
        event = Checkpoint(form=form(), head=self.tail_hash, state=freeze(self.books))
        self._before, self._acted = self.seq, 0
        try:
            if self._batch:
                self._append(ts_ms, (event,))
            else:
                self._commit_now(ts_ms, (event,))
        except StoreError:
            return  # what was to be recorded is; that nothing more can be is latched
        if self.publish is not None:
            self.publish([Recorded(self.seq, ts_ms, event)])

    def has_fill(self, venue: str, account: str, instrument: str, trade_id: str) -> bool:
        """Tell whether a fill is recorded, so that the venue's repetitions can be left out (R12, E06)."""
        market = self._names.get(market_name(venue, account, instrument))
        if market is None:
            market = self._changes.fresh.get(market_name(venue, account, instrument), 0)
        key = (market, trade_id)
        if key in self._changes.fills:
            return True
        if self._written.lacks(key):
            return False
        return self._is_there("SELECT 1 FROM fills WHERE market = ? AND trade_id = ?", market, trade_id)

    def require_ours(self) -> None:
        """Raise StoreError when writing has failed, or another engine has opened the store since (S5, P19).

        Asked right before an order leaves. A batch's store is a recording's; no order of it goes anywhere.
        """
        if self._batch:
            return
        if self._connection is None or self.broken is not None:
            raise StoreError(f"{self.paths.store_db} takes no more writes: {self.broken or 'it is closed'}.")
        try:
            self._check_epoch()
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def booked(self, venue: str, account: str, instrument: str, trade_id: str) -> Filled | None:
        """Return a recorded fill as it was booked first, None when there is none."""
        self.flush()
        market = self._names.get(market_name(venue, account, instrument), 0)
        return lookup.booked(self._open(), market, trade_id)

    def intent_of(self, client_order_id: str) -> OrderIntended | None:
        """Return what an order of ours was intended as, however long ago; None for one this journal does not know."""
        self.flush()
        return lookup.intent_of(self._open(), order_key(client_order_id))

    def fills_of(self, client_order_id: str) -> list[Filled]:
        """Return the fills of an order of ours as they stand, less those that were taken back (E14)."""
        self.flush()
        return lookup.fills_of(self._open(), order_key(client_order_id))

    def flush(self) -> None:
        """Commit what a batch still holds; nothing to do for a live journal."""
        self._chain_waiting()
        if self._rows:
            rows, changes = self._rows, self._changes
            self._rows, self._changes = [], Changes(self._names)
            try:
                self._write(rows, changes, self.seq, self._head)
            except StoreError as error:
                self.broken = self.broken or str(error)
                raise
            self._mark_anchor(rows[-1][1])

    def close(self) -> None:
        """Commit, let go of the files and release the lock; safe to repeat."""
        if self._connection is None:
            return
        try:
            if self.broken is None:
                self.settle()
                self.sum_up()
                self.flush()
        finally:
            self._close_files()

    def try_again(self) -> bool:
        """After a full, busy or read-only disk: tell whether writing works again, and if so take writes again (P24).

        It is tried by writing. Where a commit's outcome is not known (P27), the answer stays False: reopen the store.
        """
        if self._connection is None or self._batch or not self._may_mend:
            return False
        try:
            self._begin()
            self._connection.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (self.epoch,))
            self._connection.execute("COMMIT")
            self._anchor.write(self.seq, self._head, self.books.last_ts_ms)
        except (sqlite3.Error, StoreError, OSError):
            self._roll_back()
            return False
        self.broken = None
        return True

    # Live: one durable transaction a record. The events are applied to a copy first, because the tables are made
    # from the state after each; the books themselves take the copy's parts over only once the commit is done.

    def _commit_now(self, ts_ms: int, events: tuple[Event, ...]) -> None:
        texts = [self._checked(event, events[:place]) for place, event in enumerate(events)]
        staged, changes = copied(self.books), Changes(self._names)
        rows: list[Row] = []
        seq, head = self.seq, self._head
        for place, (event, text) in enumerate(zip(events, texts, strict=True)):
            seq += 1
            head = chain.link(head, seq, ts_ms, event.KIND, text)
            kept = text if event.KIND == codec.HELD else pack(text, has_ids=event.KIND != DECIDED)
            rows.append((seq, ts_ms, event.KIND, kept, chain.check(head, kept)))
            postings = apply_event(staged, ts_ms, event, self._open(), seq, events[:place])
            changes.take(seq, event, postings, staged)
        self._write(rows, changes, seq, head)
        self.seq, self._head = seq, head
        adopt(self.books, staged)
        acted = sum(event.KIND != codec.HELD for event in events)
        self._acted += acted
        self.acted_seq = seq if acted else self.acted_seq
        self._mark_anchor(ts_ms)

    # Batch: rows wait in memory for the next flush. A hold, which is nearly every row of a replay, goes the short way.

    def _append(self, ts_ms: int, events: tuple[Event, ...]) -> None:
        if len(events) == 1 and type(events[0]) is CycleHeld:
            self._append_hold(ts_ms, events[0])
            return
        texts = [self._checked(event, events[:place]) for place, event in enumerate(events)]
        try:
            for event, text in zip(events, texts, strict=True):
                self._append_one(ts_ms, event, text)
        except Exception as error:
            self.broken = f"an event could not be applied ({error!r})"
            raise
        if len(self._waiting) >= BATCH_ROWS:
            self.flush()

    def _append_hold(self, ts_ms: int, event: CycleHeld) -> None:
        if event is not self._held:
            self._held, self._held_text = event, codec.encode_held(event.agent, event.items)
        self.seq += 1
        self._waiting.append((ts_ms, codec.HELD, self._held_text))
        self.books.hold(ts_ms, event)
        if len(self._waiting) >= BATCH_ROWS:
            self.flush()

    def _append_one(self, ts_ms: int, event: Event, text: str) -> None:
        seq = self.seq + 1
        try:
            postings = self.books.apply(ts_ms, event)
        except LateMoveError:
            self.flush()
            postings = apply_event(self.books, ts_ms, event, self._open(), seq)
        self._changes.take(seq, event, postings, self.books)
        self._waiting.append((ts_ms, event.KIND, text))
        self.seq = seq
        if event.KIND != codec.HELD:
            self._acted += 1
            self.acted_seq = seq

    def _chain_waiting(self) -> None:
        """Hash and pack what waits in one go: done bar by bar, both would each time find the processor's cache cold."""
        seq, head, rows = self.seq - len(self._waiting), self._head, self._rows
        link, check, held = chain.link, chain.check, codec.HELD
        for ts_ms, kind, text in self._waiting:
            seq += 1
            head = link(head, seq, ts_ms, kind, text)
            kept = text if kind == held else pack(text, has_ids=kind != DECIDED)
            rows.append((seq, ts_ms, kind, kept, check(head, kept)))
        self._head = head
        self._waiting.clear()

    def _checked(self, event: Event, before: tuple[Event, ...]) -> str:
        """Return the text of an event; refuse a fill or order that is there already."""
        if isinstance(event, Filled):
            fill = event.fill
            key = (fill.venue, fill.account, fill.instrument, fill.trade_id)
            if any(isinstance(e, Filled) and _fill_key(e) == key for e in before) or self.has_fill(*key):
                raise DuplicateFillError(f"trade {fill.trade_id} of {fill.instrument} is in the journal already.")
        elif isinstance(event, OrderIntended):
            wanted = event.client_order_id
            if any(isinstance(e, OrderIntended) and e.client_order_id == wanted for e in before) or self._has_order(
                wanted
            ):
                raise DuplicateOrderError(f"order {wanted} is in the journal already; it is never sent again.")
        return codec.encode(event)

    def _has_order(self, client_order_id: str) -> bool:
        key = order_key(client_order_id)
        if key in self._changes.orders:
            return True
        return not self._written.lacks(key) and self._is_there(
            f"SELECT 1 FROM orders WHERE {database.ORDER_BY_ID}", key
        )

    def _is_there(self, sql: str, *values: str | bytes | int) -> bool:
        connection = self._open()
        try:
            if self._batch and not connection.in_transaction:
                connection.execute("BEGIN")  # for all looks up to the next flush: each by itself locks the file anew
            return connection.execute(sql, values).fetchone() is not None
        except sqlite3.Error as error:
            raise self._failed(error) from None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"{self.paths.store_db} is closed.")
        return self._connection

    # The transaction itself.

    def _write(self, rows: list[Row], changes: Changes, seq: int, head: bytes) -> None:
        assert self._connection is not None
        try:
            self._begin()
            self._connection.executemany("INSERT INTO journal VALUES (?, ?, ?, ?, ?)", rows)
            write_changes(self._connection, changes)
            self._connection.execute("UPDATE meta SET value = ? WHERE key = 'tail'", (f"{seq} {head.hex()}",))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self._failed(error) from None
        except BaseException:
            self._roll_back()
            raise
        self._written.take(changes.orders, changes.fills)
        self._names.update(changes.fresh)

    def _begin(self) -> None:
        assert self._connection is not None
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self._connection.execute("BEGIN IMMEDIATE")
        self._check_epoch()

    def _check_epoch(self) -> None:
        assert self._connection is not None
        row = self._connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        if row != (self.epoch,):
            self._may_mend = False
            self.broken = f"another engine has opened it since (epoch {row and row[0]}, ours is {self.epoch})"
            raise StoreError(f"{self.paths.store_db} was not written: {self.broken}.")

    def _roll_back(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                self.broken = f"a transaction could not be rolled back ({error})"
                self._may_mend = False

    def _failed(self, error: sqlite3.Error) -> StoreError:
        """Latch what SQLite reported and return the exception for it."""
        name = getattr(error, "sqlite_errorname", "") or type(error).__name__
        if "fills." in str(error):
            return DuplicateFillError(f"{self.paths.store_db} has a fill with this trade id already ({error}).")
        if "orders." in str(error):
            return DuplicateOrderError(f"{self.paths.store_db} has an order with this id already ({error}).")
        self.broken = f"{error} ({name}); {trouble(self.paths.store_db)}"
        self._may_mend = name.startswith(("SQLITE_FULL", "SQLITE_BUSY", "SQLITE_READONLY"))
        return StoreError(f"{self.paths.store_db} could not be written: {self.broken}.")

    def _mark_anchor(self, ts_ms: int) -> None:
        # The events are durable already: a failing anchor must stop the next record, not undo this one.
        try:
            self._anchor.write(self.seq, self._head, ts_ms)
        except OSError as error:
            self.broken = f"the anchor cannot be written ({error.strerror}); {trouble(self.paths.anchor)}"
            self._may_mend = True

    def _close_files(self) -> None:
        connection, self._connection = self._connection, None
        try:
            if connection is not None:
                connection.rollback()
                database.close_writer(connection)
            self._anchor.close()
        finally:
            self._lock.release()


def _fill_key(event: Filled) -> tuple[str, str, str, str]:
    fill = event.fill
    return fill.venue, fill.account, fill.instrument, fill.trade_id
