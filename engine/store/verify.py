"""The proof: everything beside the journal is computed again from it and compared; the chain is walked row by row.

Checked, in this order for each row: seq without a gap, the hash chain (L6), a strict reading of its event, its fill
and ledger rows (L3, L4); then all other tables, balances against the ledger (L1), positions against the fills and
the account's holdings (L2), profit against money (L9), AI spend against its holds and caps (B1, B2), and the anchor.
The store is opened for reading only; the first breach ends the proof.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn, TypeVar

from engine.clock import wall_s
from engine.domain import events
from engine.domain.agent import EXTERNAL
from engine.domain.books import Books
from engine.domain.events import Adjusted, Event, FeePosted, FillCorrected, Filled, FundsMoved
from engine.domain.ledger import Account
from engine.domain.money import ZERO, plain
from engine.domain.order import Fill
from engine.domain.valuation import money_assets
from engine.errors import StoreError
from engine.paths import StorePaths
from engine.store import chain, codec, database
from engine.store.anchor import read_anchor
from engine.store.freezing import form, freeze
from engine.store.recovery import anchor_problem, tail
from engine.store.tables import ACCOUNT_NUMBER, MOVERS, PAIRS_MAX, Changes, LedgerRow, order_id
from engine.store.trails import apply_event
from engine.store.walking import START, Stretch, walked, walked_apart

APART_FROM = 50_000
"""From so many rows on a second process is worth its start, 0.1 s."""
_HOLDINGS = ACCOUNT_NUMBER[Account.HOLDINGS]
_CARRIED = frozenset(MOVERS)
_AI_SPEND = ACCOUNT_NUMBER[Account.AI_SPEND]
_ROUNDING = Decimal("1e-9")
"""Sums of amounts with more than 28 digits may differ by less than this; nothing else may."""


FillRow = tuple[int, int, str, int | str | None]
_Row = TypeVar("_Row", FillRow, LedgerRow)


class Breach(Exception):
    """What does not hold, in one sentence."""


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was proven. first_breach: None when all of it holds; rows and the tail are then those of the journal."""

    rows: int
    fills: int
    orders: int
    tail_seq: int
    tail_hash: str
    first_breach: str | None
    seconds: float

    @property
    def ok(self) -> bool:
        """Tell whether everything holds."""
        return self.first_breach is None

    @property
    def rows_per_s(self) -> float:
        """Journal rows proven in a second."""
        return self.rows / self.seconds if self.seconds else 0.0


def verify(paths: StorePaths, *, apart_from: int | None = None) -> VerifyReport:
    """Prove a store, or name the first breach. Raises UsageError without a store, StoreError on a newer schema.

    apart_from: with so many rows a second process walks the chain, which is quicker where it has a processor of its
    own; None: never, as beside an engine.
    """
    began = wall_s()
    connection = database.connect_reader(paths.store_db)
    proof = Proof(connection)
    breach = None
    try:
        database.schema_of(connection, paths.store_db)
        proof.note_anchor(paths)
        connection.execute("BEGIN")
        (rows,) = connection.execute("SELECT COALESCE(MAX(seq), 0) FROM journal").fetchone()
        if apart_from is not None and rows >= apart_from:
            with closing(walked_apart(database.reader_uri(paths.store_db), codec.HELD, rows)) as apart:
                proof.walk(apart)
        else:
            proof.walk()
        proof.compare_tables()
        proof.compare_end(paths)
    except Breach as found:
        breach = str(found)
    except database.DAMAGED as error:
        breach = f"the database is damaged after journal row {proof.seq}: {error}."
    finally:
        connection.close()
    return VerifyReport(
        rows=proof.seq,
        fills=proof.books.count.fills,
        orders=proof.books.count.orders,
        tail_seq=proof.seq,
        tail_hash=proof.head.hex(),
        first_breach=breach,
        seconds=wall_s() - began,
    )


class Proof:
    """One walk over a store. seq and head: the last row that the chain was found to hold to."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.seq, self.head = 0, chain.GENESIS
        self.anchor: tuple[int, bytes] | None = None
        self.books = Books()
        self.changes = Changes({})
        self.held: dict[int, Decimal] = {}
        self.traded: dict[tuple[str, str], Decimal] = {}
        self.aside = ZERO
        self.ai_spend = ZERO
        self.markets: set[tuple[int, str]] = set()
        self.filled: list[FillRow] = []
        self.fills = self.ledger = connection.cursor()

    def walk(self, apart: Iterable[Stretch] = ()) -> None:
        """Prove the journal's rows one after the other, and with each fill its rows in fills and ledger.

        apart: the first of them, where another process has walked their chain.
        """
        self.fills = self.connection.execute("SELECT seq, market, trade_id, order_seq FROM fills ORDER BY seq")
        self.ledger = self.connection.execute("SELECT id, target, source, asset, amount FROM ledger ORDER BY id")
        last = START
        for stretch in apart:
            self._take_in(stretch)
            last = stretch
        for stretch in walked(self.connection, codec.HELD, last):
            self._take_in(stretch)
        for table, rest in (("fills", self.fills), ("ledger", self.ledger)):
            if (extra := next(rest, None)) is not None:
                _breach(f"{table} row {extra[0]} has no journal row behind it.")

    def compare_tables(self) -> None:
        """Compare the tables that hold the latest state."""
        orders = {key: tuple(row) for key, row in self.changes.orders.items()}
        self._compare("orders", orders, "SELECT * FROM orders", order_id)
        self._compare("names", {number: (name,) for name, number in self.changes.fresh.items()}, "SELECT * FROM names")
        self._compare("positions", self.changes.positions, "SELECT * FROM positions", keys=2)
        self._compare("balances", self.changes.balances, "SELECT * FROM balances")
        self._sums()
        (word,) = self.connection.execute("PRAGMA integrity_check(1)").fetchone()
        if word != "ok":
            _breach(f"the database is damaged: {word}.")

    def note_anchor(self, paths: StorePaths) -> None:
        """Read the anchor before the journal: beside a running engine it must not be newer than the rows looked at."""
        try:
            self.anchor = read_anchor(paths.anchor)
        except StoreError as error:
            _breach(str(error))

    def compare_end(self, paths: StorePaths) -> None:
        """Compare the journal's end with what the table meta and the anchor say of it."""
        end = (self.seq, self.head)
        try:
            if tail(self.connection) != end:
                _breach(f"meta row 'tail' does not name the journal's last row, {self.seq}.")
        except StoreError as error:
            _breach(str(error))
        row = self.connection.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
        if row is None or type(row[0]) is not int or row[0] < max(1, self.books.epoch):
            _breach(f"meta row 'epoch' is behind the journal's own epoch {self.books.epoch}.")
        if self.anchor is None:
            _breach(f"the anchor {paths.anchor} is missing, so nothing shows that the journal is whole.")
        if problem := anchor_problem(self.connection, self.anchor, end):
            _breach(problem)

    # The journal, a stretch at a time: what is read is first understood and then applied, because going to and fro
    # between the two would each time find the processor's cache cold.

    def _take_in(self, stretch: Stretch) -> None:
        last, self.seq, self.head = self.seq, stretch.seq, stretch.head
        read: list[Event] = []
        problem = stretch.problem
        for seq, _ts_ms, kind, text, _before, _before_ms in stretch.acts:
            try:
                read.append(codec.decode(kind, text))
            except StoreError as error:
                problem = f"journal row {seq}: {error}"
                break
        books, failing = self.books, self.books.standing.failing
        try:
            for (seq, ts_ms, _kind, _text, before, before_ms), event in zip(stretch.acts, read, strict=False):
                if failing.any:
                    self._holds(last, seq)
                books.last_ts_ms = before_ms
                self._act(seq, ts_ms, event, before)
                last = seq
        except Breach:
            self._rows_of_fills()  # what is wrong with the rows of an earlier one comes first
            raise
        self._rows_of_fills()
        if problem:
            _breach(problem)
        if failing.any:
            self._holds(last, stretch.seq + 1)
        books.last_ts_ms = stretch.ts_ms

    def _holds(self, after: int, before: int) -> None:
        """Apply the holds between two rows; one of them may end a row of failures."""
        if before - after < 2:
            return
        sql = "SELECT seq, ts_ms, payload FROM journal WHERE seq > ? AND seq < ? ORDER BY seq"
        for seq, ts_ms, text in self.connection.execute(sql, (after, before)):
            try:
                apply_event(self.books, ts_ms, codec.decode(codec.HELD, text), self.connection, seq)
            except StoreError as error:
                _breach(f"journal row {seq}: {error}")

    def _act(self, seq: int, ts_ms: int, event: Event, before: bytes) -> None:
        try:
            if type(event) is events.Checkpoint:
                self._checkpoint(seq, before, event)
            postings = apply_event(self.books, ts_ms, event, self.connection, seq)
            self.changes.take(seq, event, postings, self.books)
        except StoreError as error:
            _breach(f"journal row {seq}: {error}")
        except KeyError as error:
            _breach(f"journal row {seq}: it names {error}, which no row before it lists.")
        if self.books.governance.breach:
            _breach(f"journal row {seq}: {self.books.governance.breach}.")
        if type(event) is Filled:
            self._fill(seq, event)
        if type(event) in _CARRIED:
            self._carry(event)

    def _checkpoint(self, seq: int, before: bytes, event: events.Checkpoint) -> None:
        # One of another form was written by another version, whose state this one has no words for.
        if event.head != before.hex() or (event.form == form() and event.state != freeze(self.books)):
            _breach(f"journal row {seq} is a checkpoint of something else than what the rows before it add up to.")

    def _fill(self, seq: int, event: Event) -> None:
        assert isinstance(event, Filled)
        ((market, trade_id), (_seq, key)) = self.changes.fills.popitem()
        if (market, trade_id) in self.markets:
            _breach(f"journal row {seq} repeats trade {trade_id} of {event.fill.instrument}.")
        self.markets.add((market, trade_id))
        order = self.changes.orders.get(key)
        self.filled.append((seq, market, trade_id, order[0] if order else None))

    def _rows_of_fills(self) -> None:
        """Compare what was taken in with its rows in fills and ledger, and add up what the ledger moved."""
        fills, self.filled = self.filled, []
        ledger, self.changes.ledger = self.changes.ledger, []
        wrong = _first_wrong(fills, self.fills.fetchmany(len(fills)) if fills else [])
        other = _first_wrong(ledger, self.ledger.fetchmany(len(ledger)) if ledger else [])
        if wrong is not None and (other is None or wrong[0] <= other[0] // PAIRS_MAX):
            _breach(f"fills row {wrong[0]} is not what journal row {wrong[0]} says.")
        if other is not None:
            _breach(f"ledger row {other[0]} is not what journal row {other[0] // PAIRS_MAX} says.")
        for row in ledger:
            self._add_up(row)

    def _carry(self, event: Event) -> None:
        """Add up what positions should be, and what of the money moved nothing here can value."""
        if isinstance(event, Filled):
            self._traded(event.agent, event.fill, self._in_base(event.fill))
        elif isinstance(event, FillCorrected):
            self._traded(event.agent, event.was, self._in_base(event.now) - self._in_base(event.was))
        elif isinstance(event, FeePosted):
            paid = event.fee if event.fee_asset == self.books.instruments[event.fill.instrument].base else ZERO
            self._traded(event.agent, event.fill, -paid)
        elif isinstance(event, FundsMoved | Adjusted):
            if event.asset in self._money():
                self.aside += event.value - event.amount
            elif event.asset not in self.books.bases:
                self.aside += event.value
            if isinstance(event, Adjusted) and event.instrument:
                where = (event.agent, event.instrument)
                self.traded[where] = self.traded.get(where, ZERO) + event.amount

    def _traded(self, agent: str, fill: Fill, change: Decimal) -> None:
        where = (agent, fill.instrument)
        self.traded[where] = self.traded.get(where, ZERO) + change

    def _in_base(self, fill: Fill) -> Decimal:
        paid_in_base = fill.fee_asset == self.books.instruments[fill.instrument].base
        return fill.signed_qty - (fill.fee if paid_in_base else ZERO)

    def _money(self) -> frozenset[str]:
        genesis = self.books.genesis
        return money_assets(genesis.account_currency, genesis.usd_peg) if genesis else frozenset()

    def _add_up(self, row: LedgerRow) -> None:
        _id, target, source, asset, text = row
        amount = Decimal(text)
        if target == _HOLDINGS:
            self.held[asset] = self.held.get(asset, ZERO) + amount
        if target == _AI_SPEND:
            self.ai_spend += amount
        if source == _HOLDINGS:
            self.held[asset] = self.held.get(asset, ZERO) - amount

    # The tables that hold the latest state.

    def _compare(
        self, table: str, wanted: dict[Any, tuple[Any, ...]], sql: str, name: Any = str, keys: int = 1
    ) -> None:
        left = dict(wanted)
        for row in self.connection.execute(sql):
            key = row[0] if keys == 1 else row[:keys]
            if key not in left:
                _breach(f"{table} row {_shown(key, name)} has no journal row behind it.")
            if left.pop(key) != row[keys:]:
                _breach(f"{table} row {_shown(key, name)} is not what the journal adds up to.")
        for key in left:
            _breach(f"{table} row {_shown(key, name)} is missing.")

    def _sums(self) -> None:
        for asset, (held, _fees) in self.changes.balances.items():
            total = self.held.get(self.changes.fresh[asset], ZERO)
            if plain(total) != held:
                _breach(f"balances row {asset} is {held}, but its ledger lines add up to {plain(total)}.")
        for where, figures in self.changes.positions.items():
            total = self.traded.get(where, ZERO)
            if where[0] != EXTERNAL and plain(total) != figures[0]:
                _breach(f"positions row {where} is {figures[0]}, but its fills add up to {plain(total)}.")
        if self.ai_spend != self.books.spend.total.usd:
            _breach(
                f"ledger rows of AI spend add up to {plain(self.ai_spend)}, but {plain(self.books.spend.total.usd)} "
                "USD was posted."
            )
        self._holdings()
        self._profit()

    def _holdings(self) -> None:
        """All agents' positions in an asset, `external` included, are what the account holds of it (L2)."""
        books = self.books
        quoted = {instrument.quote for instrument in books.instruments.values()}
        for asset in books.bases.keys() - quoted:
            total = sum((p.qty for p in books.positions.values() if self._base_of(p.instrument) == asset), ZERO)
            held = books.balances.get(asset, ZERO)
            if total != held:
                _breach(
                    f"positions rows of {asset} add up to {plain(total)}, but balances row {asset} is {plain(held)}."
                )

    def _base_of(self, instrument: str) -> str:
        return self.books.instruments[instrument].base

    def _profit(self) -> None:
        """Money is what came, plus what was realised, less what is in positions and fees: L9 without its marks."""
        books, money = self.books, self._money()
        if any(instrument.quote not in money for instrument in books.instruments.values()):
            return
        came = books.funded + books.adjusted + books.funding - self.aside
        made = sum((p.realized - p.cost for p in books.positions.values()), ZERO)
        paid = sum((books.fees.get(asset, ZERO) for asset in money), ZERO)
        held = sum((books.balances.get(asset, ZERO) for asset in money), ZERO)
        if abs(came + made - paid - held) > _ROUNDING:
            _breach(
                f"balances rows of money add up to {plain(held)}, but deposits, profit and fees in positions and "
                f"ledger rows make {plain(came + made - paid)}."
            )


def _first_wrong(wanted: Sequence[_Row], found: list[Any]) -> _Row | None:
    """Return the first row that is not there as it should be."""
    if found == wanted:
        return None
    return next(row for place, row in enumerate(wanted) if found[place : place + 1] != [row])


def _shown(key: Any, name: Any) -> str:
    return " ".join(map(str, key)) if isinstance(key, tuple) else str(name(key))


def _breach(sentence: str) -> NoReturn:
    raise Breach(sentence)
