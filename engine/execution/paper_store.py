"""paper.db: what the paper venue knows, so that it survives the engine being killed (R37).

Its own file and its own schema: the engine never reads it, only the paper gateway does. Money is text.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from engine.domain.money import plain
from engine.domain.order import Bracket, Fill, Liquidity, OrderRequest, OrderStatus, OrderType, Side
from engine.errors import StoreError
from engine.execution.paper_order import PaperOrder

SCHEMA = 1
TABLES = """
CREATE TABLE orders (
    client_order_id TEXT PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, working INTEGER NOT NULL,
    instrument TEXT NOT NULL, side TEXT NOT NULL, order_type TEXT NOT NULL, asked_qty TEXT NOT NULL,
    limit_price TEXT, stop_price TEXT, reduce_only INTEGER NOT NULL, grp TEXT NOT NULL,
    bracket_stop_id TEXT, bracket_stop TEXT, bracket_target_id TEXT, bracket_target TEXT,
    visible_ms INTEGER NOT NULL, qty TEXT NOT NULL, lock_asset TEXT NOT NULL, lock_each TEXT NOT NULL,
    status TEXT NOT NULL, filled TEXT NOT NULL, received TEXT NOT NULL, reason TEXT NOT NULL,
    parent TEXT NOT NULL, triggered INTEGER NOT NULL, rested INTEGER NOT NULL
) STRICT;
CREATE INDEX orders_working ON orders (seq) WHERE working = 1;
CREATE TABLE fills (
    n INTEGER PRIMARY KEY, booked_ms INTEGER NOT NULL, venue TEXT NOT NULL, account TEXT NOT NULL,
    instrument TEXT NOT NULL, trade_id TEXT NOT NULL UNIQUE, client_order_id TEXT NOT NULL, side TEXT NOT NULL,
    qty TEXT NOT NULL, price TEXT NOT NULL, fee TEXT NOT NULL, fee_asset TEXT NOT NULL,
    liquidity TEXT NOT NULL, ts_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX fills_booked ON fills (booked_ms);
CREATE TABLE balances (asset TEXT PRIMARY KEY, total TEXT NOT NULL) STRICT;
CREATE TABLE holdings (instrument TEXT, grp TEXT, qty TEXT NOT NULL, PRIMARY KEY (instrument, grp)) STRICT;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
"""


@dataclass(slots=True)
class PaperState:
    """What a paper venue knows. On saving: the orders and fills that are new or changed, all of the rest.

    fills: (booked_ms, fill). counters: the last number given out per kind of number.
    """

    orders: list[PaperOrder] = field(default_factory=list)
    fills: list[tuple[int, Fill]] = field(default_factory=list)
    balances: dict[str, Decimal] = field(default_factory=dict)
    holdings: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)


class PaperStore:
    """One file, one connection, each save one transaction that is on disk when it returns.

    Raises StoreError when the file cannot be opened, read or written, or was made by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._said("open"):
            # Created here and not by SQLite, so that nobody else may read it for a moment (R31).
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            # The engine may be built on one thread and run on another; only one of them ever uses it at a time.
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._make_tables()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def load(self) -> PaperState:
        """Return everything but closed orders and fills, which are asked for by id and by time."""
        with self._said("read"):
            db = self._db
            orders = db.execute(f"SELECT {ORDER_COLUMNS} FROM orders WHERE working = 1 ORDER BY seq")
            holdings = db.execute("SELECT instrument, grp, qty FROM holdings")
            return PaperState(
                orders=[_order_of(row) for row in orders],
                balances={asset: Decimal(total) for asset, total in db.execute("SELECT asset, total FROM balances")},
                holdings={(instrument, group): Decimal(qty) for instrument, group, qty in holdings},
                counters=dict(db.execute("SELECT name, value FROM counters")),
            )

    def order(self, client_order_id: str) -> PaperOrder | None:
        """Return an order, closed ones too."""
        with self._said("read"):
            query = f"SELECT {ORDER_COLUMNS} FROM orders WHERE client_order_id = ?"
            row = self._db.execute(query, (client_order_id,)).fetchone()
        return _order_of(row) if row else None

    def fills_since(self, booked_ms: int) -> list[Fill]:
        """Return the fills booked at or after an instant, in the order of that."""
        with self._said("read"):
            query = f"SELECT {FILL_COLUMNS} FROM fills WHERE booked_ms >= ? ORDER BY booked_ms, n"
            return [_fill_of(row) for row in self._db.execute(query, (booked_ms,))]

    def save(self, state: PaperState) -> None:
        """Write one operation of the venue: all of it or nothing."""
        with self._said("write"), self._transaction() as db:
            db.executemany(f"REPLACE INTO orders VALUES ({_marks(26)})", map(_order_row, state.orders))
            rows = ((booked_ms, *_fill_row(fill)) for booked_ms, fill in state.fills)
            db.executemany(f"INSERT INTO fills (booked_ms, {FILL_COLUMNS}) VALUES ({_marks(13)})", rows)
            db.executemany("REPLACE INTO balances VALUES (?, ?)", _texts(state.balances.items()))
            db.executemany(
                "REPLACE INTO holdings VALUES (?, ?, ?)", ((*k, plain(v)) for k, v in state.holdings.items())
            )
            db.executemany("REPLACE INTO counters VALUES (?, ?)", state.counters.items())

    def _make_tables(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA:
            raise StoreError(f"{self._path} was written by a newer Quarterdeck; start that version, or move the file.")
        if version < SCHEMA:
            self._db.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _said(self, verb: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            text = (
                f"The paper venue cannot {verb} {self._path} ({error}); free the disk or mend the file, then restart."
            )
            raise StoreError(text) from error


ORDER_COLUMNS = (
    "client_order_id, seq, working, instrument, side, order_type, asked_qty, limit_price, stop_price, reduce_only, grp,"
    " bracket_stop_id, bracket_stop, bracket_target_id, bracket_target, visible_ms, qty, lock_asset, lock_each,"
    " status, filled, received, reason, parent, triggered, rested"
)
FILL_COLUMNS = (
    "venue, account, instrument, trade_id, client_order_id, side, qty, price, fee, fee_asset, liquidity, ts_ms"
)


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _texts(items: Iterable[tuple[str, Decimal]]) -> Iterator[tuple[str, str]]:
    return ((name, plain(value)) for name, value in items)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _order_row(order: PaperOrder) -> tuple[object, ...]:
    asked, bracket = order.request, order.request.bracket or Bracket()
    return (
        *(asked.client_order_id, order.seq, order.status.is_working, asked.instrument, asked.side, asked.order_type),
        *(plain(asked.qty), _text(asked.limit_price), _text(asked.stop_price), asked.reduce_only, asked.group),
        # A bracket that asks for nothing is not the same request as none: its ids are "" and not NULL.
        bracket.stop_order_id if asked.bracket else None,
        *(_text(bracket.stop_price), bracket.target_order_id, _text(bracket.target_price), order.visible_ms),
        *(plain(order.qty), order.lock_asset, plain(order.lock_each), order.status, plain(order.filled)),
        *(plain(order.received), order.reason, order.parent, order.triggered, order.rested),
    )


def _order_of(row: tuple[str, ...]) -> PaperOrder:
    stop_id, stop, target_id, target = row[11:15]
    bracket = Bracket(
        stop_order_id=stop_id, stop_price=_number(stop), target_order_id=target_id, target_price=_number(target)
    )
    request = OrderRequest(
        client_order_id=row[0],
        instrument=row[3],
        side=Side(row[4]),
        order_type=OrderType(row[5]),
        qty=Decimal(row[6]),
        limit_price=_number(row[7]),
        stop_price=_number(row[8]),
        reduce_only=bool(row[9]),
        group=row[10],
        bracket=None if stop_id is None else bracket,
    )
    return PaperOrder(
        request=request,
        seq=int(row[1]),
        visible_ms=int(row[15]),
        qty=Decimal(row[16]),
        lock_asset=row[17],
        lock_each=Decimal(row[18]),
        status=OrderStatus(row[19]),
        filled=Decimal(row[20]),
        received=Decimal(row[21]),
        reason=row[22],
        parent=row[23],
        triggered=bool(row[24]),
        rested=bool(row[25]),
    )


def _fill_row(fill: Fill) -> tuple[object, ...]:
    return (
        *(fill.venue, fill.account, fill.instrument, fill.trade_id, fill.client_order_id, fill.side),
        *(plain(fill.qty), plain(fill.price), plain(fill.fee), fill.fee_asset, fill.liquidity, fill.ts_ms),
    )


def _fill_of(row: tuple[str, ...]) -> Fill:
    return Fill(
        venue=row[0],
        account=row[1],
        instrument=row[2],
        trade_id=row[3],
        client_order_id=row[4],
        side=Side(row[5]),
        qty=Decimal(row[6]),
        price=Decimal(row[7]),
        fee=Decimal(row[8]),
        fee_asset=row[9],
        liquidity=Liquidity(row[10]),
        ts_ms=int(row[11]),
    )
