"""Reading for people: a connection that can only read, and a deadline on every statement.

A question is a generator that yields statements and is sent their rows. So the same question is asked without a loop
by the CLI, when no engine runs, and on aiosqlite by an engine, whose loop a long read never holds up. A statement that
passes its deadline is aborted, so that it cannot keep the write-ahead log from being taken in (P33); a question about
much asks for it a page at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeVar

from engine.clock import wall_s
from engine.errors import StoreError
from engine.paths import StorePaths
from engine.store import database

READ_MS_MAX = 200
_OPS_BETWEEN_LOOKS = 2000

Row = tuple[Any, ...]
Ask = tuple[str, tuple[Any, ...]]
T = TypeVar("T")
Question = Generator[Ask, list[Row], T]


class Reads(Protocol):
    """Whatever answers a question at once."""

    def read(self, question: Question[T]) -> T:
        """Return the question's answer."""
        ...


class Reader:
    """Answers questions at once, for the CLI. limit_ms None: as long as it takes."""

    def __init__(self, paths: StorePaths, limit_ms: float | None = None) -> None:
        self._limit_ms = limit_ms
        self._connection = database.connect_reader(paths.store_db)
        database.schema_of(self._connection, paths.store_db)

    def read(self, question: Question[T]) -> T:
        """Return the question's answer; StoreError when it takes too long or the store cannot be read."""
        rows: list[Row] | None = None
        try:
            while True:
                sql, values = question.send(rows) if rows is not None else next(question)
                if self._limit_ms is not None:
                    self._connection.set_progress_handler(_alarm(self._limit_ms), _OPS_BETWEEN_LOOKS)
                rows = self._connection.execute(sql, values).fetchall()
        except StopIteration as done:
            return done.value
        except database.DAMAGED as error:
            raise _unreadable(error) from None
        finally:
            self._connection.set_progress_handler(None, 0)

    def close(self) -> None:
        """Let go of the file; safe to repeat."""
        self._connection.close()


class AsyncReader:
    """Answers questions on a thread of its own, one at a time, for an engine. Opened by the first question."""

    def __init__(self, paths: StorePaths, limit_ms: float = READ_MS_MAX) -> None:
        self._path = paths.store_db
        self._limit_ms = limit_ms
        self._turn = asyncio.Lock()
        self._connection: Any = None

    async def read(self, question: Question[T]) -> T:
        """Return the question's answer; StoreError when it takes too long or the store cannot be read."""
        async with self._turn:
            connection = await self._opened()
            rows: list[Row] | None = None
            try:
                while True:
                    sql, values = question.send(rows) if rows is not None else next(question)
                    await connection.set_progress_handler(_alarm(self._limit_ms), _OPS_BETWEEN_LOOKS)
                    rows = list(await connection.execute_fetchall(sql, values))
            except StopIteration as done:
                return done.value
            except database.DAMAGED as error:
                raise _unreadable(error) from None

    async def close(self) -> None:
        """Wait for the question in hand and let go of the file; safe to repeat."""
        async with self._turn:
            connection, self._connection = self._connection, None
            if connection is not None:
                await connection.close()

    async def _opened(self) -> Any:
        if self._connection is None:
            import aiosqlite  # only an engine that is asked pays for it

            address = database.reader_uri(self._path)
            connection = await aiosqlite.connect(address, uri=True, isolation_level=None)
            for pragma in database.READER_PRAGMAS:
                await connection.execute(pragma)
            self._connection = connection
        return self._connection


def _alarm(limit_ms: float) -> Callable[[], int]:
    end_s = wall_s() + limit_ms / 1000
    return lambda: int(wall_s() > end_s)


def _unreadable(error: Exception) -> StoreError:
    if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
        return StoreError("the question took too long and was given up, so that trading goes on; ask for fewer rows.")
    return StoreError(f"the store cannot be read: {error}; run quarterdeck verify.")
