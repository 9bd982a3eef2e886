"""The journal's rows read and their chain proven, a stretch at a time; in a process of its own where that pays.

A hold changes nothing but the chain while no cycle has failed, so only other rows are handed on. A process that walks
apart sends its stretches down a pipe; whoever takes them in goes on by itself where they end, whatever the reason.
"""

from __future__ import annotations

import gc
import marshal
import os
import sqlite3
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import StoreError
from engine.store import chain
from engine.store.packing import unpack

_FETCH = 1024
_ALL = (1 << 63) - 1
_LENGTH_BYTES = 4
_PIPE_BYTES = 1 << 20

Act = tuple[int, int, int, str, bytes, int]
"""A row that is no hold: seq, time, kind, text, and of the row before it the hash and the time."""


class Stretch(NamedTuple):
    """Some rows. seq, head, ts_ms: of the last one the chain holds to; problem: what is wrong with the next, or ""."""

    acts: list[Act]
    seq: int
    head: bytes
    ts_ms: int
    problem: str


START = Stretch([], 0, chain.GENESIS, 0, "")


def walked(connection: sqlite3.Connection, held: int, start: Stretch = START, upto: int = _ALL) -> Iterator[Stretch]:
    """Yield the rows after a stretch, up to the first that is not what was written. held: the kind of a hold."""
    first = start.seq + 1 if start.seq else -_ALL - 1
    sql = "SELECT seq, ts_ms, kind, payload, hash FROM journal WHERE seq >= ? AND seq <= ? ORDER BY seq"
    found = connection.execute(sql, (first, upto))
    while rows := found.fetchmany(_FETCH):
        start = _walk(rows, held, start)
        yield start
        if start.problem:
            return


def walked_apart(uri: str, held: int, upto: int) -> Generator[Stretch, None, None]:
    """Yield the same from a second process, as far as it comes; nothing where none can be started.

    uri: the address of a reader of the database. The process imports little, so that its start takes 0.05 s.
    """
    import subprocess  # which the second process has no use for

    if not sys.executable:
        return
    command = [sys.executable, "-P", "-S", "-m", "engine.store.walking", uri, str(held), str(upto)]
    places = os.pathsep.join((str(Path(__file__).parents[2]), *filter(None, sys.path)))
    try:
        walker = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": places}, pipesize=_PIPE_BYTES,
        )  # fmt: skip
    except OSError:
        return
    assert walker.stdout is not None
    try:
        while len(size := walker.stdout.read(_LENGTH_BYTES)) == _LENGTH_BYTES:
            message = walker.stdout.read(int.from_bytes(size, "big"))
            if len(message) < int.from_bytes(size, "big"):
                return
            yield Stretch(*marshal.loads(message))
    finally:
        walker.kill()
        walker.stdout.close()
        walker.wait()


def _walk(rows: list[tuple[Any, ...]], held: int, start: Stretch) -> Stretch:
    acts: list[Act] = []
    _none, seq, head, before_ms, _sound = start
    check_bytes, numbers = chain.CHECK_BYTES, chain.NUMBERS
    for row in rows:
        number, ts_ms, kind, kept, check = row
        if kind == held and number == seq + 1 and type(kept) is str and type(ts_ms) is int:
            following = sha256(head + numbers(number, ts_ms, kind) + kept.encode()).digest()
            if check == following[:check_bytes]:
                seq, head, before_ms = number, following, ts_ms
                continue
        try:
            text, following = _linked(row, seq, head)
        except StoreError as error:
            return Stretch(acts, seq, head, before_ms, str(error))
        acts.append((number, ts_ms, kind, text, head, before_ms))
        seq, head, before_ms = number, following, ts_ms
    return Stretch(acts, seq, head, before_ms, "")


def _linked(row: tuple[Any, ...], last: int, head: bytes) -> tuple[str, bytes]:
    seq, ts_ms, kind, kept, check = row
    try:
        text = unpack(kept)
    except StoreError as error:
        raise StoreError(f"journal row {seq}: {error}") from None
    if seq != last + 1:
        raise StoreError(f"journal row {last + 1} is missing.")
    try:
        head = chain.link(head, seq, ts_ms, kind, text)
        if check != chain.check(head, kept):
            raise StoreError(f"journal row {seq} is not what was written: the hash chain breaks there.")
    except (chain.NumberError, UnicodeError) as error:
        raise StoreError(f"journal row {seq} is not what was written: {error}.") from None
    return text, head


def main() -> None:
    """Walk a store's journal and write its stretches to standard output."""
    gc.disable()  # nothing here refers to itself
    uri, held, upto = sys.argv[1:]
    connection = sqlite3.connect(uri, uri=True)
    with suppress(BrokenPipeError, sqlite3.Error, UnicodeError):  # whoever reads finds out by itself
        for stretch in walked(connection, int(held), upto=int(upto)):
            message = marshal.dumps(tuple(stretch))
            sys.stdout.buffer.write(len(message).to_bytes(_LENGTH_BYTES, "big") + message)
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
