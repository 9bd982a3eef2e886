"""What the journal knows of one fill or order, however long ago: looked up in the tables, read from its rows."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from engine.domain.events import Event, FeePosted, FillCorrected, Filled, OrderIntended
from engine.domain.order import Fill
from engine.store import codec
from engine.store.database import ORDER_BY_ID
from engine.store.packing import unpack
from engine.store.tables import OrderKey

_FILLS_OF = f"""
SELECT j.seq, j.kind, j.payload FROM journal j WHERE j.seq IN
    (SELECT f.seq FROM fills f JOIN orders o ON o.seq = f.order_seq WHERE {ORDER_BY_ID})
UNION ALL SELECT seq, kind, payload FROM journal
    WHERE kind IN ({FillCorrected.KIND}, {FeePosted.KIND}) AND kind >= 30 AND kind <> 42
ORDER BY 1
"""


def booked(connection: sqlite3.Connection, market: int, trade_id: str) -> Filled | None:
    """Return a fill as it was booked first; market: its number among the names."""
    event = _behind(connection, "SELECT seq FROM fills WHERE market = ? AND trade_id = ?", market, trade_id)
    return event if isinstance(event, Filled) else None


def intent_of(connection: sqlite3.Connection, key: OrderKey) -> OrderIntended | None:
    """Return what an order was intended as."""
    event = _behind(connection, f"SELECT seq FROM orders WHERE {ORDER_BY_ID}", key)
    return event if isinstance(event, OrderIntended) else None


def fills_of(connection: sqlite3.Connection, key: OrderKey) -> list[Filled]:
    """Return an order's fills as they stand: corrections and late fees taken in, what was taken back left out."""
    found: dict[str, Filled] = {}
    for _seq, kind, kept in connection.execute(_FILLS_OF, (key,)).fetchall():
        event = codec.decode(kind, unpack(kept))
        if isinstance(event, Filled):
            found[event.fill.trade_id] = event
        elif isinstance(event, FillCorrected | FeePosted):
            before = event.was if isinstance(event, FillCorrected) else event.fill
            known = found.get(before.trade_id)
            if known is not None and _same_trade(known.fill, before):
                found[before.trade_id] = replace(known, fill=_after(event))
    return [event for event in found.values() if event.fill.qty]


def _after(event: FillCorrected | FeePosted) -> Fill:
    if isinstance(event, FillCorrected):
        return event.now
    return replace(event.fill, fee=event.fee, fee_asset=event.fee_asset)


def _same_trade(one: Fill, other: Fill) -> bool:
    return (one.venue, one.account, one.instrument) == (other.venue, other.account, other.instrument)


def _behind(connection: sqlite3.Connection, sql: str, *values: str | bytes | int) -> Event | None:
    row = connection.execute(f"SELECT kind, payload FROM journal WHERE seq = ({sql})", values).fetchone()
    return None if row is None else codec.decode(row[0], unpack(row[1]))
