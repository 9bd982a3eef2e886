import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import StoreError, UsageError
from engine.paths import StorePaths
from engine.store import chain, codec, database
from engine.store.codec import encode
from engine.store.journal import Journal
from engine.store.packing import unpack
from engine.store.verify import Proof, verify
from engine.store.walking import walked_apart
from tests.store.lives import FULL_LIFE
from tests.store.samples import GENESIS, HELD, MINUTE_MS, OPENING, START_MS, round_trips

TABLES = ("journal", "names", "orders", "fills", "ledger", "positions", "balances")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> StorePaths:
    """A closed store with every kind of row, for tests that copy it."""
    paths = StorePaths(tmp_path_factory.mktemp("sound") / "store")
    journal = Journal.create(paths, START_MS, GENESIS, *OPENING, batch=True)
    for ts_ms, events in FULL_LIFE:
        journal.record(ts_ms, *events)
    for ts_ms, event in round_trips(6, start_ms=START_MS + 10_000 * MINUTE_MS):
        if "trade_id" not in encode(event):
            journal.record(ts_ms, HELD)
    journal.close()
    return paths


def copy_of(sound: StorePaths, folder: Path) -> StorePaths:
    shutil.rmtree(folder / "copy", ignore_errors=True)
    return StorePaths(Path(shutil.copytree(sound.root, folder / "copy")))


def change(paths: StorePaths, sql: str, *values: Any) -> int:
    """Change the database behind the journal's back, as long as SQLite itself is content; return the rows changed."""
    with sqlite3.connect(paths.store_db) as connection:
        count = connection.execute(sql, values).rowcount
    connection.close()
    return count


def breach(paths: StorePaths) -> str:
    found = verify(paths).first_breach
    assert found is not None
    assert found.endswith(".")
    return found


def test_a_sound_store_is_proven_and_counted(sound: StorePaths) -> None:
    report = verify(sound)
    assert report.first_breach is None
    assert report.ok
    assert (report.rows, report.fills > 3, report.orders > 3) == (report.tail_seq, True, True)
    assert len(report.tail_hash) == 64
    assert report.rows_per_s > 0


def test_verifying_leaves_no_file_behind_and_changes_none(sound: StorePaths) -> None:
    before = {path.name: path.read_bytes() for path in sound.root.iterdir()}
    verify(sound)
    assert {path.name: path.read_bytes() for path in sound.root.iterdir()} == before


def test_a_store_is_proven_while_its_engine_writes(tmp_path: Path) -> None:
    paths = StorePaths(tmp_path / "store")
    journal = Journal.create(paths, START_MS, GENESIS, *OPENING)
    journal.record(START_MS, HELD)
    assert verify(paths).rows == 4
    journal.record(START_MS, HELD)
    assert verify(paths).rows == 5
    journal.close()


LAST_HOLD = "(SELECT MAX(seq) FROM journal WHERE kind = 10)"
BROKEN = {
    "nothing": "SELECT 1",
    "a hold's text": f"UPDATE journal SET payload = payload || ' ' WHERE seq = {LAST_HOLD}",
    "a hold's place": f"DELETE FROM journal WHERE seq = {LAST_HOLD}",
    "a row before the first": "INSERT INTO journal SELECT 0, ts_ms, kind, payload, hash FROM journal WHERE seq = 1",
    "a row before all numbers": f"INSERT INTO journal SELECT {-(1 << 63)}, ts_ms, kind, payload, hash FROM journal "
    "WHERE seq = 1",
    "a fill's bytes": "UPDATE journal SET payload = CAST(X'00' || payload AS BLOB) WHERE kind = 23",
    "an order's kind": "UPDATE journal SET kind = 10 WHERE kind = 20",
    "a ledger row, and a later row of the journal": "UPDATE ledger SET amount = '7' WHERE id = (SELECT MIN(id) FROM "
    f"ledger); UPDATE journal SET ts_ms = ts_ms + 1 WHERE seq = {LAST_HOLD}",
}


@pytest.mark.parametrize("statements", BROKEN.values(), ids=BROKEN)
def test_a_chain_walked_by_a_second_process_proves_the_same(sound: StorePaths, tmp_path: Path, statements: str) -> None:
    paths = copy_of(sound, tmp_path)
    connection = sqlite3.connect(paths.store_db)
    connection.executescript(statements)
    connection.close()
    alone, together = verify(paths), verify(paths, apart_from=1)
    assert replace(together, seconds=alone.seconds) == alone
    assert alone.ok == (statements == BROKEN["nothing"])


@pytest.mark.parametrize("done", ["whole", "in part", "not at all"])
def test_a_proof_goes_on_by_itself_where_the_second_process_ends(sound: StorePaths, done: str) -> None:
    whole = verify(sound)
    upto = {"whole": whole.rows, "in part": 7, "not at all": 0}[done]
    walker = walked_apart(database.reader_uri(sound.store_db), codec.HELD, upto)
    connection = database.connect_reader(sound.store_db)
    proof = Proof(connection)
    proof.walk(walker)
    connection.close()
    assert (proof.seq, proof.head.hex()) == (whole.tail_seq, whole.tail_hash)


def flipped(value: Any, where: int) -> Any:
    """Return a value of the same type that differs in one place."""
    if isinstance(value, int):
        return value ^ (1 << where % 40)
    if isinstance(value, str):
        at = where % len(value) if value else 0
        return value[:at] + ("0" if value[at : at + 1] != "0" else "1") + value[at + 1 :]
    at = where % len(value)
    return value[:at] + bytes([value[at] ^ (1 << where % 8)]) + value[at + 1 :]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.sampled_from(TABLES), where=st.integers(0, 10**9))
@pytest.mark.fault("P28")
def test_a_change_in_any_place_of_any_row_is_found_and_its_table_named(
    sound: StorePaths, tmp_path: Path, table: str, where: int
) -> None:
    paths = copy_of(sound, tmp_path)
    connection = sqlite3.connect(paths.store_db)
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    keys = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[5]]
    rows = connection.execute(f"SELECT * FROM {table}").fetchall()
    connection.close()
    row = dict(zip(columns, rows[where % len(rows)], strict=True))
    column = columns[where // 7 % len(columns)]
    if row[column] is None:
        return
    matches = " AND ".join(f"{key} = ?" for key in keys)
    try:
        wanted = flipped(row[column], where // 3)
        change(paths, f"UPDATE {table} SET {column} = ? WHERE {matches}", wanted, *(row[key] for key in keys))
    except sqlite3.IntegrityError:
        return  # it would be another row's key
    found = breach(paths)
    assert table in found


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, 10**9))
@pytest.mark.fault("P28")
def test_a_byte_changed_in_the_file_is_found_or_changes_no_row(sound: StorePaths, tmp_path: Path, where: int) -> None:
    paths = copy_of(sound, tmp_path)
    data = bytearray(paths.store_db.read_bytes())
    at = 100 + where % (len(data) - 100)
    data[at] ^= 1 << where % 8
    paths.store_db.write_bytes(data)
    try:
        if verify(paths).first_breach is not None:
            return
    except StoreError:
        return
    assert dump(paths) == dump(sound)


def dump(paths: StorePaths) -> list[list[tuple[Any, ...]]]:
    connection = sqlite3.connect(paths.store_db)
    rows = [connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES]
    connection.close()
    return rows


@pytest.mark.parametrize("table", [table for table in TABLES if table != "journal"])
def test_a_row_too_few_or_too_many_is_found(sound: StorePaths, tmp_path: Path, table: str) -> None:
    paths = copy_of(sound, tmp_path)
    connection = sqlite3.connect(paths.store_db)
    key = connection.execute(f"PRAGMA table_info({table})").fetchone()[1]
    last = connection.execute(f"SELECT * FROM {table} ORDER BY 1 DESC, 2 DESC LIMIT 1").fetchone()
    connection.close()
    assert change(paths, f"DELETE FROM {table} WHERE {key} = ?", last[0])
    assert table in breach(paths)
    paths = copy_of(sound, tmp_path)
    extra = {"names": (99, "X"), "orders": ("x", 1, 1, 1, "0", "0", None), "fills": (1, "x", 1, None)}
    extra |= {"ledger": (9**12, 0, 1, 1, "1"), "positions": ("x", "y", "0", "0", "0", 0), "balances": ("X", "1", "0")}
    change(paths, f"INSERT INTO {table} VALUES ({','.join('?' * len(extra[table]))})", *extra[table])
    assert table in breach(paths)


def test_a_row_cut_out_of_the_middle_is_found(sound: StorePaths, tmp_path: Path) -> None:
    paths = copy_of(sound, tmp_path)
    change(paths, "DELETE FROM journal WHERE seq = 5")
    assert breach(paths) == "journal row 5 is missing."


def cut(paths: StorePaths, seq: int) -> None:
    """Cut the journal after a row, and make its own tail agree, as someone would who knows the format."""
    change(paths, "DELETE FROM journal WHERE seq > ?", seq)
    connection = sqlite3.connect(paths.store_db)
    head = chain.GENESIS
    for number, ts_ms, kind, kept in connection.execute("SELECT seq, ts_ms, kind, payload FROM journal ORDER BY seq"):
        head = chain.link(head, number, ts_ms, kind, unpack(kept))
    connection.close()
    change(paths, "UPDATE meta SET value = ? WHERE key = 'tail'", f"{seq} {head.hex()}")


def holds_only(folder: Path, reason: str = "no cross") -> StorePaths:
    paths = StorePaths(folder)
    journal = Journal.create(paths, START_MS, GENESIS, *OPENING, batch=True)
    for minute in range(20):
        journal.record(START_MS + minute, type(HELD)(agent="a", items=f"paper:BTC/USDT={reason}"))
    journal.close()
    return paths


def test_a_tail_cut_off_with_all_its_traces_inside_is_found_by_the_anchor(tmp_path: Path) -> None:
    paths = holds_only(tmp_path / "store")
    cut(paths, 10)
    assert breach(paths) == "the journal ends at row 10 but its anchor is at row 23: its tail was cut off."
    with pytest.raises(StoreError, match="its tail was cut off"):
        Journal.open(paths, batch=True)


def test_a_chain_written_anew_is_found_by_the_anchor(tmp_path: Path) -> None:
    paths, other = holds_only(tmp_path / "store"), holds_only(tmp_path / "other", "another story")
    shutil.copy(other.store_db, paths.store_db)
    assert breach(paths) == "journal row 23 is not the one its anchor names: it was rewritten."
    with pytest.raises(StoreError, match="it was rewritten"):
        Journal.open(paths, batch=True)


def test_an_anchor_behind_by_what_a_crash_left_is_accepted_and_checked(tmp_path: Path) -> None:
    paths = holds_only(tmp_path / "store")
    behind = paths.anchor.read_bytes()
    journal = Journal.open(paths, batch=True)
    for _ts, event in round_trips(1, start_ms=START_MS + MINUTE_MS):
        journal.record(START_MS + MINUTE_MS, event)
    journal.close()
    paths.anchor.write_bytes(behind)
    assert verify(paths).first_breach is None
    Journal.open(paths, batch=True).close()
    paths.anchor.write_bytes(re.sub(rb" [0-9a-f]{8}", b" 00000000", behind))
    assert "journal row 23" in breach(paths)


def test_a_missing_or_garbled_anchor_is_a_breach(tmp_path: Path) -> None:
    paths = holds_only(tmp_path / "store")
    kept = paths.anchor.read_bytes()
    paths.anchor.write_bytes(b"not an anchor")
    assert "is not a seq and a hash" in breach(paths)
    paths.anchor.unlink()
    assert "is missing" in breach(paths)
    paths.anchor.write_bytes(kept)
    assert verify(paths).ok


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("UPDATE meta SET value = '3 00' WHERE key = 'tail'", "meta row 'tail'"),
        ("UPDATE meta SET value = 'x' WHERE key = 'tail'", "meta"),
        ("UPDATE meta SET value = 0 WHERE key = 'epoch'", "meta row 'epoch'"),
        ("DELETE FROM meta WHERE key = 'epoch'", "meta row 'epoch'"),
    ],
)
def test_a_changed_meta_row_is_found(tmp_path: Path, sql: str, named: str) -> None:
    paths = holds_only(tmp_path / "store")
    assert change(paths, sql)
    assert named in breach(paths)


def rewritten(paths: StorePaths, edit: Callable[[int, str], str]) -> None:
    """Write the journal anew with edited payloads and a chain that holds, anchor included."""
    connection = sqlite3.connect(paths.store_db)
    seq, head = 0, chain.GENESIS
    for seq, ts_ms, kind, kept in connection.execute("SELECT seq, ts_ms, kind, payload FROM journal").fetchall():
        text = edit(seq, unpack(kept))
        head = chain.link(head, seq, ts_ms, kind, text)
        values = (text, chain.check(head, text), seq)
        connection.execute("UPDATE journal SET payload = ?, hash = ? WHERE seq = ?", values)
    connection.execute("UPDATE meta SET value = ? WHERE key = 'tail'", (f"{seq} {head.hex()}",))
    connection.commit()
    connection.close()
    paths.anchor.write_text(f"{seq:020d} {head.hex()}\n")


def test_a_forged_amount_in_a_chain_that_holds_shows_in_the_ledger_L1(tmp_path: Path) -> None:
    paths = holds_only(tmp_path / "store")
    rewritten(paths, lambda seq, text: text.replace("100000", "900000"))
    assert breach(paths) == "ledger row 24 is not what journal row 3 says."


def test_a_row_that_is_no_event_is_found_even_in_a_chain_that_holds(tmp_path: Path) -> None:
    paths = holds_only(tmp_path / "store")
    rewritten(paths, lambda seq, text: text.replace("100000", "NaN"))
    assert breach(paths).startswith("journal row 3: a FundsMoved cannot be read")


@pytest.mark.fault("P30")
def test_a_newer_schema_is_refused_naming_it(tmp_path: Path) -> None:
    paths = holds_only(tmp_path / "store")
    change(paths, "UPDATE meta SET value = 999 WHERE key = 'schema'")
    for attempt in (lambda: verify(paths), lambda: Journal.open(paths, batch=True)):
        with pytest.raises(StoreError, match=f"has schema 999 and this quarterdeck knows {database.SCHEMA}"):
            attempt()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    paths = holds_only(tmp_path / "store")
    paths.store_db.write_bytes(os.urandom(8192))
    for attempt in (lambda: verify(paths), lambda: Journal.open(paths, batch=True)):
        with pytest.raises(StoreError, match="is no store"):
            attempt()


def test_no_store_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no store"):
        verify(StorePaths(tmp_path / "nowhere"))
