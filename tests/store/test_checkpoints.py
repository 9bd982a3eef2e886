"""Checkpoints: a start reads the newest one and what follows it; the proof computes each of them again."""

import copy
import sqlite3
from dataclasses import fields, is_dataclass, make_dataclass, replace
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given, settings

from engine.domain.books import Books
from engine.domain.events import Checkpoint, EquityMarked
from engine.errors import StoreError
from engine.paths import StorePaths
from engine.store import chain, codec, freezing
from engine.store.freezing import form, freeze, thaw
from engine.store.journal import ACTED_FEW, ACTED_MAX, ROWS_MAX, Journal
from engine.store.packing import pack, unpack
from engine.store.verify import verify
from tests.store.lives import FULL_LIFE, LIVES, Life
from tests.store.samples import GENESIS, HELD, LIVE_DATA, MINUTE_MS, OPENING, START_MS, round_trips

DAY_MS = 86_400_000
MARK = EquityMarked(equity=Decimal(1), peak=Decimal(2), day=3, day_start=Decimal(4))


@pytest.fixture
def paths(tmp_path: Path) -> StorePaths:
    return StorePaths(tmp_path / "store")


def lived(life: Life) -> Books:
    books = Books()
    books.apply(START_MS, GENESIS)
    for ts_ms, events in life:
        for event in events:
            books.apply(ts_ms, event)
    return books


def example(hint: Any) -> Any:
    """Return a value of a type that is not the empty one, so that a field left out would be missed."""
    if is_dataclass(hint):
        hints = get_type_hints(hint)
        return hint(**{field.name: example(hints[field.name]) for field in fields(hint)})  # type: ignore[operator]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return list(hint)[1 % len(hint)]
    parts = get_args(hint)
    if type(None) in parts:
        return example(next(part for part in parts if part is not type(None)))
    if isinstance(hint, type) and not parts:
        return {str: "x \ud800 é", int: 7, bool: True, Decimal: Decimal("12345678901.1234567890123456789")}[hint]
    origin = hint.__origin__
    if origin is tuple:
        return tuple(example(part) for part in parts if part is not ...)
    return origin([(example(parts[0]), example(parts[1]))] if len(parts) == 2 else [example(parts[0])])


def test_every_field_of_the_books_is_kept() -> None:
    hints = get_type_hints(Books)
    empty = Books()
    for field in (each for each in fields(Books) if each.compare):
        books = replace(copy.deepcopy(empty), **{field.name: example(hints[field.name])})
        assert books != empty, f"{field.name}: the example is the default"
        assert getattr(thaw(freeze(books)), field.name) == getattr(books, field.name), field.name


def test_a_field_of_a_type_without_a_form_fails_aloud() -> None:
    strange = make_dataclass("Strange", [("bytes_", bytes)])
    with pytest.raises(TypeError, match="no form for"):
        codec.compile_hint(strange, codec.PLAIN, freezing._container)


@settings(max_examples=50)
@given(LIVES)
def test_books_come_back_equal_and_with_the_same_text(life: Life) -> None:
    books = lived(life)
    again = thaw(freeze(books))
    assert again == books
    assert freeze(again) == freeze(books)
    for ts_ms, events in FULL_LIFE[1:]:
        for event in events:
            assert again.apply(ts_ms, event) == books.apply(ts_ms, event)
    assert freeze(again) == freeze(books)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '["x"]', "[" * 100_000])
def test_what_is_no_state_is_refused(text: str) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        thaw(text)


def checkpoints(paths: StorePaths) -> list[int]:
    with sqlite3.connect(paths.store_db) as connection:
        rows = connection.execute("SELECT seq FROM journal WHERE kind = ?", (Checkpoint.KIND,)).fetchall()
    return [seq for (seq,) in rows]


def test_a_small_store_is_closed_without_one(paths: StorePaths) -> None:
    journal = Journal.create(paths, START_MS, LIVE_DATA, *OPENING)
    for _ in range(ACTED_FEW - 4):
        journal.record(START_MS, MARK)
    journal.close()
    assert checkpoints(paths) == []


@pytest.mark.parametrize("batch", [False, True])
def test_a_clean_close_leaves_one_and_the_next_start_reads_only_from_there(paths: StorePaths, batch: bool) -> None:
    journal = Journal.create(paths, START_MS, GENESIS if batch else LIVE_DATA, *OPENING, batch=batch)
    for ts_ms, event in round_trips(100):
        journal.record(ts_ms, event)
    books = journal.books
    journal.close()
    assert checkpoints(paths) == [journal.seq]
    spoil(paths, 7)  # so early that only the proof reads it
    again = Journal.open(paths, batch=batch)
    assert again.books == books
    again.close()
    assert checkpoints(paths) == [journal.seq]
    assert verify(paths).first_breach == "journal row 7 is not what was written: the hash chain breaks there."


def spoil(paths: StorePaths, seq: int) -> None:
    with sqlite3.connect(paths.store_db) as connection:
        connection.execute("UPDATE journal SET ts_ms = ts_ms + 1 WHERE seq = ?", (seq,))
    connection.close()


def test_a_running_store_writes_one_after_so_many_acted_rows_and_at_the_first_row_of_a_day(paths: StorePaths) -> None:
    journal = Journal.create(paths, START_MS, LIVE_DATA, *OPENING)
    midnight = (START_MS // DAY_MS + 1) * DAY_MS
    journal.record(START_MS, *[MARK] * ACTED_FEW)
    journal.record(midnight - 1, MARK)
    assert checkpoints(paths) == []
    journal.record(midnight, HELD)
    assert checkpoints(paths) == [journal.seq]
    journal.record(midnight + DAY_MS, MARK)  # too little has happened
    assert len(checkpoints(paths)) == 1
    for _ in range(4):
        journal.record(midnight + DAY_MS, *[MARK] * (ACTED_MAX // 4))
    assert checkpoints(paths)[1:] == [journal.seq]
    journal.record(midnight + DAY_MS, *[HELD] * ROWS_MAX)
    assert checkpoints(paths)[2:] == [journal.seq]
    journal.close()
    assert verify(paths).first_breach is None


def test_a_store_killed_between_two_checkpoints_adds_up_to_the_same(paths: StorePaths) -> None:
    journal = Journal.create(paths, START_MS, LIVE_DATA, *OPENING)
    events = round_trips(60)
    journal.record(START_MS, *(event for _ts, event in events))
    journal.record(START_MS + DAY_MS, HELD)
    assert len(checkpoints(paths)) == 0
    journal.record(START_MS + DAY_MS, *[MARK] * ACTED_FEW)
    journal.record(START_MS + 2 * DAY_MS, HELD)
    assert len(checkpoints(paths)) == 1
    tail = [
        (ts + 3 * DAY_MS, event) for ts, event in round_trips(7, start_ms=START_MS + 10_000 * MINUTE_MS)
        if "trade_id" not in str(event)
    ]  # fmt: skip
    for ts_ms, event in tail:
        journal.record(ts_ms, event)
    wanted, seq = copy.deepcopy(journal.books), journal.seq
    journal._connection.close()  # type: ignore[union-attr]
    journal._lock.release()
    again = Journal.open(paths)
    assert (again.books, again.seq) == (wanted, seq)
    again.close()
    assert verify(paths).first_breach is None


@pytest.mark.fault("P28")
def test_a_changed_row_after_the_checkpoint_keeps_the_store_from_opening(paths: StorePaths) -> None:
    journal = Journal.create(paths, START_MS, LIVE_DATA, *OPENING)
    for _ in range(20):
        journal.record(START_MS, MARK)
    journal.close()
    spoil(paths, 11)
    with pytest.raises(StoreError, match="journal row 11 is not what was written"):
        Journal.open(paths)


def with_state(paths: StorePaths, edit: Any) -> int:
    """Write the checkpoint and all after it anew with a chain that holds, anchor and all; return its row."""
    connection = sqlite3.connect(paths.store_db)
    (seq,) = connection.execute("SELECT seq FROM journal WHERE kind = ?", (Checkpoint.KIND,)).fetchone()
    head, end = None, ""
    sql = "SELECT seq, ts_ms, kind, payload FROM journal WHERE seq >= ? ORDER BY seq"
    for number, ts_ms, kind, kept in connection.execute(sql, (seq,)).fetchall():
        text = unpack(kept)
        if kind == Checkpoint.KIND:
            event = codec.decode(kind, text)
            assert isinstance(event, Checkpoint)
            head, text = bytes.fromhex(event.head), codec.encode(edit(event))
        assert head is not None
        head = chain.link(head, number, ts_ms, kind, text)
        kept = pack(text)
        values = (kept, chain.check(head, kept), number)
        connection.execute("UPDATE journal SET payload = ?, hash = ? WHERE seq = ?", values)
        end = f"{number} {head.hex()}"
    connection.execute("UPDATE meta SET value = ? WHERE key = 'tail'", (end,))
    connection.commit()
    connection.close()
    paths.anchor.write_text(f"{int(end.split()[0]):020d} {end.split()[1]}\n")
    return seq


@pytest.fixture
def closed(paths: StorePaths) -> StorePaths:
    journal = Journal.create(paths, START_MS, LIVE_DATA, *OPENING)
    for ts_ms, event in round_trips(80):
        journal.record(ts_ms, event)
    journal.close()
    return paths


def test_a_forged_state_in_a_chain_that_holds_is_named_by_the_proof(closed: StorePaths) -> None:
    row = with_state(closed, lambda event: replace(event, state=event.state.replace('"USDT","', '"USDT","9')))
    assert verify(closed).first_breach == (
        f"journal row {row} is a checkpoint of something else than what the rows before it add up to."
    )


def test_one_of_another_form_is_left_out_by_the_start_and_the_proof(closed: StorePaths) -> None:
    journal = Journal.open(closed)
    wanted = copy.deepcopy(journal.books)
    journal.close()
    with_state(closed, lambda event: Checkpoint(form="0" * 16, head=event.head, state="[]"))
    assert verify(closed).first_breach is None
    again = Journal.open(closed)
    assert again.books == wanted
    again.close()
    assert len(form()) == 16


def test_the_size_of_one_does_not_grow_with_history() -> None:
    sizes = []
    for trips in (2_000, 8_000):
        books = lived([(START_MS, OPENING)])
        for ts_ms, event in round_trips(trips):
            books.apply(ts_ms, event)
        sizes.append(len(freeze(books)))
    assert sizes[1] < sizes[0] * 1.02
