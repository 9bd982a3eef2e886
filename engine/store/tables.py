"""What each event changes in the tables beside the journal: written by the journal, made again by verify."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal
from functools import lru_cache

from engine.domain.books import Books
from engine.domain.events import (
    Adjusted,
    Event,
    FeePosted,
    FillCorrected,
    Filled,
    FundsMoved,
    InstrumentListed,
    OrderIntended,
    OrderResized,
    OrderShown,
    OrdersResolved,
    OrdersUpdated,
)
from engine.domain.ledger import Account, Posting
from engine.domain.money import ZERO, plain
from engine.domain.order import Fill, Order, OrderStatus
from engine.errors import StoreError
from engine.store.database import ORDER_BY_ID

# Numbers in the tables; a new member goes to the end.
STATUSES = (
    OrderStatus.INTENT_RECORDED,
    OrderStatus.SUBMITTING,
    OrderStatus.UNKNOWN,
    OrderStatus.OPEN,
    OrderStatus.PARTIALLY_FILLED,
    OrderStatus.CANCEL_PENDING,
    OrderStatus.FILLED,
    OrderStatus.CANCELED,
    OrderStatus.REJECTED,
    OrderStatus.EXPIRED,
    OrderStatus.NOT_SENT,
)
ACCOUNTS = (
    Account.HOLDINGS,
    Account.MARKET,
    Account.FEES,
    Account.OUTSIDE,
    Account.ADJUSTED,
    Account.FUNDING,
    Account.AI_SPEND,
    Account.AI_OWED,
)
STATUS_NUMBER = {status: number for number, status in enumerate(STATUSES)}
ACCOUNT_NUMBER = {account: number for number, account in enumerate(ACCOUNTS)}
_BALANCED = (Account.HOLDINGS, Account.FEES)
PAIRS_MAX = 8
MOVERS = (Filled, FillCorrected, FeePosted, FundsMoved, Adjusted, InstrumentListed)
"""The events that can change positions; the books say which they did."""

OrderKey = bytes | str
LedgerRow = tuple[int, int, int, int, str]


@lru_cache(maxsize=1024)
def order_key(client_order_id: str) -> OrderKey:
    """Return an order id as the tables keep it: 16 bytes where it is 32 lower hex digits."""
    if len(client_order_id) == 32:
        try:
            key = bytes.fromhex(client_order_id)
        except ValueError:
            return client_order_id
        if key.hex() == client_order_id:
            return key
    return client_order_id


def order_id(key: OrderKey) -> str:
    """Return the order id behind a key."""
    return key.hex() if isinstance(key, bytes) else key


@lru_cache(maxsize=1024)
def market_name(venue: str, account: str, instrument: str) -> str:
    """Return the name under which a market's trade ids are unique (R12)."""
    return json.dumps([venue, account, instrument], separators=(",", ":"))


class Changes:
    """Rows to write, gathered event by event. names: what the store already numbers; new ones come to fresh."""

    def __init__(self, names: dict[str, int]) -> None:
        self.names = names
        self.fresh: dict[str, int] = {}
        self.orders: dict[OrderKey, list[int | str | None]] = {}
        self.moved: dict[OrderKey, list[int | str | None]] = {}
        self.fills: dict[tuple[int, str], tuple[int, OrderKey]] = {}
        self.ledger: list[LedgerRow] = []
        self.positions: dict[tuple[str, str], tuple[str, str, str, int]] = {}
        self.balances: dict[str, tuple[str, str]] = {}

    def take(self, seq: int, event: Event, postings: tuple[Posting, ...], books: Books) -> None:
        """Take in what an event changed. books: the state after it; postings: the entry it made."""
        kind = type(event)
        if kind is OrderIntended:
            self._intended(seq, event.client_order_id, books)  # type: ignore[union-attr]
        elif kind is OrdersUpdated or kind is OrdersResolved:
            for client_order_id in event.client_order_ids:  # type: ignore[union-attr]
                self._moved(seq, client_order_id, books)
        elif kind is OrderResized:
            self._moved(seq, event.client_order_id, books, resized=True)  # type: ignore[union-attr]
        elif kind is OrderShown:
            self._moved(seq, event.client_order_id, books)  # type: ignore[union-attr]
        elif kind is Filled:
            self._filled(seq, event, books)  # type: ignore[arg-type]
        elif kind is FillCorrected:
            self._moved(seq, event.was.client_order_id, books)  # type: ignore[union-attr]
        if kind in MOVERS:
            for where in books.moved:
                self._positioned(where, books)
        if postings:
            self._posted(seq, postings, books)

    def market(self, fill: Fill) -> int:
        """Return the number of the market a fill's trade id is unique in."""
        return self._number(market_name(fill.venue, fill.account, fill.instrument))

    def _number(self, name: str) -> int:
        number = self.names.get(name) or self.fresh.get(name)
        if number is None:
            number = self.fresh[name] = len(self.names) + len(self.fresh) + 1
        return number

    def _intended(self, seq: int, client_order_id: str, books: Books) -> None:
        order = books.order(client_order_id)
        if order is not None:
            self.orders[order_key(client_order_id)] = [seq, *_state(seq, order), None]

    def _moved(self, seq: int, client_order_id: str, books: Books, *, resized: bool = False) -> None:
        order = books.order(client_order_id)
        if order is None:
            return
        key = order_key(client_order_id)
        row = self.orders.get(key)
        if row is not None:
            row[1:5] = _state(seq, order)
        else:
            before = self.moved.get(key)
            row = self.moved[key] = [*_state(seq, order), before[4] if before else None]
        if resized:
            row[-1] = plain(order.qty)

    def _filled(self, seq: int, event: Filled, books: Books) -> None:
        fill = event.fill
        self.fills[self.market(fill), fill.trade_id] = (seq, order_key(fill.client_order_id))
        self._moved(seq, fill.client_order_id, books)

    def _positioned(self, where: tuple[str, str], books: Books) -> None:
        position = books.positions[where]
        figures = plain(position.qty), plain(position.cost), plain(position.realized)
        self.positions[where] = (*figures, position.entered_ms)

    def _posted(self, seq: int, postings: tuple[Posting, ...], books: Books) -> None:
        for number, (target, source) in enumerate(entry_pairs(postings)):
            self.ledger.append(
                (
                    seq * PAIRS_MAX + number,
                    ACCOUNT_NUMBER[target.account],
                    ACCOUNT_NUMBER[source.account],
                    self._number(target.asset),
                    plain(target.amount),
                )
            )
        for asset in {line.asset for line in postings if line.account in _BALANCED}:
            held, fees = books.balances.get(asset, ZERO), books.fees.get(asset, ZERO)
            self.balances[asset] = (plain(held), plain(fees))


def entry_pairs(postings: tuple[Posting, ...]) -> list[tuple[Posting, Posting]]:
    """Split an entry into pairs of lines that net to zero; StoreError when it has other lines (L3)."""
    pairs = list(zip(postings[::2], postings[1::2], strict=False))
    sound = len(postings) % 2 == 0 and len(pairs) <= PAIRS_MAX
    if not sound or any(a.asset != b.asset or a.amount + b.amount for a, b in pairs):
        raise StoreError("a ledger entry does not net to zero in pairs of lines; nothing was written.")
    return pairs


def write_changes(connection: sqlite3.Connection, changes: Changes) -> None:
    """Write gathered rows, inside the caller's transaction. A fill that is there already: IntegrityError."""
    put = connection.executemany
    if changes.fresh:
        put("INSERT INTO names VALUES (?, ?)", [(number, name) for name, number in changes.fresh.items()])
    if changes.orders:
        put("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?)", [(key, *row) for key, row in changes.orders.items()])
    if changes.moved:
        put(_MOVE_ORDER, [(key, *row) for key, row in changes.moved.items()])
    if changes.fills:
        put(_ADD_FILL, [(order, *key, seq) for key, (seq, order) in changes.fills.items()])
    if changes.ledger:
        put("INSERT INTO ledger VALUES (?, ?, ?, ?, ?)", changes.ledger)
    if changes.positions:
        put("REPLACE INTO positions VALUES (?, ?, ?, ?, ?, ?)", [(*k, *row) for k, row in changes.positions.items()])
    if changes.balances:
        put("REPLACE INTO balances VALUES (?, ?, ?)", [(asset, *row) for asset, row in changes.balances.items()])


_MOVE_ORDER = (
    "UPDATE orders SET last_seq = ?2, status = ?3, filled_qty = ?4, filled_cost = ?5, "
    f"resized = COALESCE(?6, resized) WHERE {ORDER_BY_ID}"
)
_ADD_FILL = f"INSERT INTO fills VALUES (?2, ?3, ?4, (SELECT seq FROM orders WHERE {ORDER_BY_ID}))"


def _state(seq: int, order: Order) -> tuple[int, int, str, str]:
    return seq, STATUS_NUMBER[order.status], _figure(order.filled_qty), _figure(order.filled_cost)


def _figure(value: Decimal) -> str:
    return plain(value) if value else "0"
