import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings

from engine.domain.books import Books
from engine.domain.events import CycleHeld, Event, Filled, FundsMoved, OrderIntended, Recorded
from engine.domain.intent import Mode
from engine.domain.ledger import Account, Posting
from engine.errors import RefusedError, StoreError, UsageError
from engine.paths import StorePaths
from engine.store.journal import DuplicateFillError, DuplicateOrderError, Journal
from engine.store.tables import ACCOUNTS, STATUSES, entry_pairs
from engine.store.verify import verify
from engine.store.watched import watched
from tests.store.lives import FULL_LIFE, LIVES, Life
from tests.store.samples import BTC, GENESIS, HELD, LIVE_DATA, OPENING, START_MS, filled, round_trips


@pytest.fixture
def paths(tmp_path: Path) -> StorePaths:
    return StorePaths(tmp_path / "store")


@pytest.fixture
def journal(paths: StorePaths) -> Iterator[Journal]:
    opened = Journal.create(paths, START_MS, LIVE_DATA, *OPENING)
    yield opened
    opened.close()


def told(journal: Journal, life: Life) -> None:
    for ts_ms, events in life:
        journal.record(ts_ms, *events)


def an_order_and_its_fill() -> tuple[OrderIntended, Filled]:
    events = [event for _ts, event in round_trips(1)]
    order, fill = events[1], events[3]
    assert isinstance(order, OrderIntended)
    assert isinstance(fill, Filled)
    return order, fill


def tables(paths: StorePaths) -> dict[str, list[tuple[object, ...]]]:
    with sqlite3.connect(paths.store_db) as connection:
        names = ("journal", "names", "orders", "fills", "ledger", "positions", "balances")
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}


@settings(max_examples=25)
@given(LIVES)
def test_live_and_batched_journals_of_one_life_are_equal_and_reopen_to_equal_books_L6(life: Life) -> None:
    with tempfile.TemporaryDirectory() as folder:
        stores = {batch: StorePaths(Path(folder) / str(batch)) for batch in (False, True)}
        books, tails, rows = {}, {}, {}
        for batch, paths in stores.items():
            journal = Journal.create(paths, START_MS, GENESIS, batch=batch)
            told(journal, life)
            books[batch], tails[batch] = journal.books, journal.tail_hash
            journal.close()
            rows[batch] = tables(paths)
            again = Journal.open(paths, batch=batch)
            assert again.books == books[batch]
            assert (again.tail_hash, again.seq) == (tails[batch], journal.seq)
            again.close()
            assert verify(paths).first_breach is None
        assert books[False] == books[True]
        assert tails[False] == tails[True]
        assert rows[False] == rows[True]


def test_books_are_what_their_own_apply_makes_of_the_events(paths: StorePaths) -> None:
    journal = Journal.create(paths, START_MS, GENESIS, batch=True)
    books = Books()
    books.apply(START_MS, GENESIS)
    for ts_ms, events in FULL_LIFE:
        journal.record(ts_ms, *events)
        for event in events:
            books.apply(ts_ms, event)
    assert journal.books == books
    journal.close()


def test_a_hold_changes_only_the_time_of_the_last_row() -> None:
    # Recovery and verify count on it: they do not apply holds.
    books, other = Books(), Books()
    assert books.apply(5, HELD) == ()
    other.last_ts_ms = 5
    assert books == other


def test_events_are_published_once_they_are_durable_R9(paths: StorePaths) -> None:
    seen: list[tuple[list[Recorded], int]] = []

    def publish(recorded: list[Recorded]) -> None:
        with sqlite3.connect(paths.store_db) as other:
            (rows,) = other.execute("SELECT MAX(seq) FROM journal").fetchone()
        seen.append((recorded, rows))

    journal = Journal.create(paths, START_MS, LIVE_DATA, *OPENING, publish=publish)
    journal.record(START_MS + 1, HELD, HELD)
    assert [[each.seq for each in recorded] for recorded, _rows in seen] == [[1, 2, 3], [4, 5]]
    assert [rows for _recorded, rows in seen] == [3, 5]
    assert seen[1][0][0] == Recorded(4, START_MS + 1, HELD)
    journal.close()


def test_a_fill_that_is_there_already_changes_nothing_L4(journal: Journal, paths: StorePaths) -> None:
    order, fill = an_order_and_its_fill()
    journal.record(START_MS, order)
    assert not journal.has_fill("paper", "paper", BTC.key, fill.fill.trade_id)
    journal.record(START_MS, fill)
    assert journal.has_fill("paper", "paper", BTC.key, fill.fill.trade_id)
    balances, seq = dict(journal.books.balances), journal.seq
    with pytest.raises(DuplicateFillError):
        journal.record(START_MS, HELD, fill)
    assert (journal.books.balances, journal.seq, journal.broken) == (balances, seq, None)
    journal.record(START_MS, HELD)
    assert journal.seq == seq + 1


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.fault("E06")
def test_a_repeated_fill_is_refused_in_the_same_record_before_and_after_a_flush(paths: StorePaths, batch: bool) -> None:
    journal = Journal.create(paths, START_MS, GENESIS, *OPENING, batch=batch)
    order, fill = an_order_and_its_fill()
    with pytest.raises(DuplicateFillError):
        journal.record(START_MS, order, fill, fill)
    journal.record(START_MS, order, fill)
    for _time in range(2):
        with pytest.raises(DuplicateFillError):
            journal.record(START_MS, fill)
        journal.flush()
    assert journal.books.count.fills == 1
    journal.close()
    assert verify(paths).first_breach is None


def test_the_same_trade_id_on_another_account_is_another_fill_R12(journal: Journal) -> None:
    order, fill = an_order_and_its_fill()
    other = replace(fill, fill=replace(fill.fill, account="second"))
    journal.record(START_MS, order, fill, other)
    assert journal.books.count.fills == 2


@pytest.mark.parametrize("batch", [False, True])
def test_an_order_id_is_never_intended_twice_O4(paths: StorePaths, batch: bool) -> None:
    journal = Journal.create(paths, START_MS, GENESIS, *OPENING, batch=batch)
    order, _fill = an_order_and_its_fill()
    with pytest.raises(DuplicateOrderError):
        journal.record(START_MS, order, order)
    journal.record(START_MS, order)
    for _time in range(2):
        with pytest.raises(DuplicateOrderError):
            journal.record(START_MS, order)
        journal.flush()
    assert journal.books.count.orders == 1
    journal.close()


def test_an_event_that_cannot_be_written_leaves_the_others_of_its_record_out(journal: Journal) -> None:
    before, seq = dict(journal.books.balances), journal.seq
    bad = FundsMoved(asset="USDT", amount=Decimal("NaN"), value=Decimal(1), reason="")
    with pytest.raises(StoreError, match="FundsMoved"):
        journal.record(START_MS, FundsMoved(asset="USDT", amount=Decimal(1), value=Decimal(1), reason=""), bad)
    assert (journal.books.balances, journal.seq, journal.broken) == (before, seq, None)


def test_a_fill_of_an_instrument_nobody_listed_changes_nothing(journal: Journal) -> None:
    order, fill = an_order_and_its_fill()
    stranger = replace(fill, fill=replace(fill.fill, instrument="paper:DOGE/USDT"))
    with pytest.raises(KeyError):
        journal.record(START_MS, order, stranger)
    assert journal.books.orders == {}
    journal.record(START_MS, order, fill)


@pytest.mark.fault("P23", "P24")
def test_a_full_disk_is_latched_applies_nothing_and_can_be_tried_again(journal: Journal, paths: StorePaths) -> None:
    order, fill = an_order_and_its_fill()
    limit_pages(journal, 1)
    held = CycleHeld(agent="a", items="x" * 20_000)
    with pytest.raises(StoreError, match="full"):
        journal.record(START_MS, order, fill, held)
    assert journal.broken is not None
    assert journal.books.orders == {}
    assert journal.books.count.fills == 0
    with pytest.raises(StoreError, match="takes no more writes"):
        journal.record(START_MS, HELD)
    limit_pages(journal, 1_000_000)
    assert journal.try_again()
    journal.record(START_MS, order, fill, held)
    journal.close()
    assert verify(paths).first_breach is None


def limit_pages(journal: Journal, pages: int) -> None:
    """Let the database grow no further than this, as a full disk would: SQLite has no public way in from outside."""
    assert journal._connection is not None
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")


@pytest.mark.fault("P34")
def test_a_database_locked_by_another_program_fails_closed(journal: Journal, paths: StorePaths) -> None:
    assert journal._connection is not None
    journal._connection.execute("PRAGMA busy_timeout = 20")
    other = sqlite3.connect(paths.store_db, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        journal.record(START_MS, HELD)
    assert journal.broken is not None
    assert not journal.try_again()
    other.execute("ROLLBACK")
    other.close()
    assert journal.try_again()
    journal.record(START_MS, HELD)


@pytest.mark.fault("P19")
@pytest.mark.parametrize("batch", [False, True])
def test_an_engine_whose_epoch_is_over_writes_nothing_S5(paths: StorePaths, batch: bool) -> None:
    first = Journal.create(paths, START_MS, GENESIS, *OPENING, batch=batch)
    first.flush()
    paths.lock.unlink()  # a lock file that was copied, or lies on a disk that does not keep locks
    second = Journal.open(paths, batch=batch)
    assert second.epoch == first.epoch + 1
    if batch:
        first.record(START_MS, HELD)  # waits in memory
    with pytest.raises(StoreError, match="another engine has opened it since"):
        first.flush() if batch else first.record(START_MS, HELD)
    assert first.broken is not None
    assert not first.try_again()
    second.record(START_MS, HELD)
    first.close()
    second.close()
    assert verify(paths).rows == len(OPENING) + 2


def test_directory_and_files_are_for_the_trader_alone_R31(paths: StorePaths) -> None:
    paths.root.mkdir(mode=0o755)
    old = os.umask(0)
    try:
        journal = Journal.create(paths, START_MS, LIVE_DATA, *OPENING)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths.root.iterdir()}
    finally:
        os.umask(old)
    assert stat.S_IMODE(paths.root.stat().st_mode) == 0o700
    assert modes == dict.fromkeys(["store.db", "store.db-wal", "store.db-shm", "anchor", "lock"], 0o600)
    journal.close()
    assert sorted(path.name for path in paths.root.iterdir()) == ["anchor", "lock", "store.db"]


def test_a_shared_directory_with_other_files_is_not_made_a_store(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    folder.mkdir(mode=0o755)
    (folder / "letters.txt").write_text("mine")
    with pytest.raises(UsageError, match="name an empty directory"):
        Journal.create(StorePaths(folder), START_MS, LIVE_DATA)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_a_store_is_not_made_where_one_is(journal: Journal, paths: StorePaths) -> None:
    journal.close()
    with pytest.raises(StoreError, match="holds a store already"):
        Journal.create(paths, START_MS, LIVE_DATA)
    Journal.open(paths).close()


def test_opening_without_a_store_says_what_to_do(paths: StorePaths) -> None:
    with pytest.raises(UsageError, match="there is no store"):
        Journal.open(paths)


@pytest.mark.parametrize(
    ("genesis", "mode"),
    [
        (GENESIS, Mode.LIVE),
        (replace(GENESIS, mode=Mode.LIVE), Mode.LIVE),
        (replace(GENESIS, mode=Mode.LIVE, source_kind="SIMULATED"), Mode.LIVE),
        (LIVE_DATA, Mode.LIVE),
        (replace(LIVE_DATA, mode=Mode.LIVE), Mode.PAPER),
    ],
)
def test_a_store_opens_only_for_its_mode_and_a_replay_never_for_live_L10(
    paths: StorePaths, genesis: Event, mode: Mode
) -> None:
    Journal.create(paths, START_MS, genesis).close()  # type: ignore[arg-type]
    with pytest.raises(RefusedError):
        Journal.open(paths, mode=mode)
    Journal.open(paths).close()


def test_a_live_store_opens_for_live(disk: Path) -> None:
    paths = StorePaths(disk / "store")
    Journal.create(paths, START_MS, replace(LIVE_DATA, mode=Mode.LIVE)).close()
    Journal.open(paths, mode=Mode.LIVE).close()


def test_live_data_is_never_written_in_batches(paths: StorePaths) -> None:
    with pytest.raises(RefusedError):
        Journal.create(paths, START_MS, LIVE_DATA, batch=True)
    Journal.create(paths, START_MS, LIVE_DATA).close()
    with pytest.raises(RefusedError):
        Journal.open(paths, batch=True)


def test_a_batch_is_flushed_by_size_and_on_close(paths: StorePaths) -> None:
    journal = Journal.create(paths, START_MS, GENESIS, *OPENING, batch=True)
    for minute in range(20_000):
        journal.record(START_MS + minute, HELD)
    with sqlite3.connect(paths.store_db) as other:
        (committed,) = other.execute("SELECT COUNT(*) FROM journal").fetchone()
    assert 0 < committed < 20_003
    journal.close()
    journal.close()
    assert verify(paths).rows == 20_003 + 1  # and the checkpoint


def test_a_closed_journal_takes_no_events(journal: Journal) -> None:
    journal.close()
    with pytest.raises(StoreError, match="closed"):
        journal.record(START_MS, HELD)


def test_many_partial_fills_of_one_order_add_up_on_disk_as_in_memory(journal: Journal, paths: StorePaths) -> None:
    order, _fill = an_order_and_its_fill()
    journal.record(START_MS, order)
    for number in range(4):
        journal.record(START_MS, filled(order, START_MS, number, Decimal(100 + number), order.qty / 4))
    journal.close()
    (row,) = tables(paths)["orders"]
    kept = journal.books.order(order.client_order_id)
    assert kept is not None
    assert row[4:6] == (f"{kept.filled_qty.normalize():f}", f"{kept.filled_cost.normalize():f}")


def test_every_status_and_account_has_its_number() -> None:
    from engine.domain.order import OrderStatus

    assert sorted(STATUSES) == sorted(OrderStatus)
    assert sorted(ACCOUNTS) == sorted(Account)


@pytest.mark.parametrize(
    "lines",
    [
        (Posting(Account.HOLDINGS, "A", Decimal(1)),),
        (Posting(Account.HOLDINGS, "A", Decimal(1)), Posting(Account.MARKET, "A", Decimal(-2))),
        (Posting(Account.HOLDINGS, "A", Decimal(1)), Posting(Account.MARKET, "B", Decimal(-1))),
    ],
)
def test_an_entry_that_does_not_net_to_zero_is_not_written_L3(lines: tuple[Posting, ...]) -> None:
    with pytest.raises(StoreError, match="net to zero"):
        entry_pairs(lines)


def test_holds_of_one_instant_share_a_commit_and_keep_their_place(paths: StorePaths) -> None:
    Journal.create(paths, START_MS, GENESIS, *OPENING).close()
    commits: list[str] = []
    heard: list[Recorded] = []
    factory = watched(lambda sql: commits.append(sql) if sql == "COMMIT" else None, lambda sql: None)
    journal = Journal.open(paths, factory=factory, publish=heard.extend)
    holds = [replace(HELD, agent=name) for name in ("one", "two", "three")]
    moved = FundsMoved(asset="USDT", amount=Decimal(1), value=Decimal(1), reason="gift")
    commits.clear()

    journal.record_hold(START_MS + 1, holds[0])
    journal.record_hold(START_MS + 2, holds[1])
    assert (commits, heard) == ([], [])
    journal.settle()
    assert len(commits) == 1
    journal.record_hold(START_MS + 3, holds[2])
    journal.record(START_MS + 4, moved)
    journal.record_hold(START_MS + 5, holds[0])
    journal.close()

    assert [row.event for row in heard] == [*holds, moved, holds[0]]
    assert [row.ts_ms - START_MS for row in heard] == [2, 2, 3, 4, 5]
    assert verify(paths).ok


def test_holds_of_a_broken_store_are_said_and_gone(journal: Journal) -> None:
    journal.broken = "its disk is full"
    journal.record_hold(START_MS + 1, HELD)
    with pytest.raises(StoreError, match="its disk is full"):
        journal.settle()
    before = journal.seq
    journal.broken = None
    journal.settle()
    assert journal.seq == before
