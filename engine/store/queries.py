"""What people ask of the store: rows with stable names, Decimals as text, times in UTC ISO 8601.

Each function returns a question for a Reader or AsyncReader. Lists are newest first; limit None: all of them.
PAGES reads the same rows in journal order, a page at a time, for exports without end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from engine.clock import iso
from engine.domain.decision import Disposition
from engine.domain.events import (
    ApprovalAsked,
    ApprovalClosed,
    CycleDone,
    CycleHeld,
    DifferenceClosed,
    DifferenceFound,
    Filled,
    Incident,
    ShadowEnded,
    ShadowEntered,
    StateChanged,
)
from engine.store.reader import Question, Row
from engine.store.rows import (
    Record,
    answer_of,
    approval_rows,
    decision_rows,
    difference_row,
    event_of,
    fill_row,
    incident_rows,
    ledger_rows,
    order_row,
    position_row,
    state_rows,
)

PAGE_ROWS = 500
RARE = "kind >= 30 AND kind <> 42"
"""The condition of the index journal_rare, which SQLite uses only where a statement repeats it."""
Page = tuple[list[Record], int | None]
"""Rows, and where the next page begins; None after the last."""
PageOf = Callable[[int, bool], Question[Page]]

_ACTED = (Disposition.ACTED, Disposition.AWAITING_APPROVAL)
_CLOSED_FROM = 6
"""Statuses from this number on are terminal; the index orders_open is used only where a statement repeats it."""
_FIRST, _LAST = 0, 2**62


def decisions(
    limit: int | None = 100, agent: str | None = None, acted_only: bool = False, instrument: str | None = None
) -> Question[list[Record]]:
    """Ask for decisions, one row an instrument. acted_only: those that became, or asked to become, an order."""

    def wanted(row: Record) -> bool:
        return (
            (agent is None or row["agent"] == agent)
            and (instrument is None or row["instrument"] == instrument)
            and (not acted_only or row["disposition"] in _ACTED)
        )

    kinds = (CycleDone.KIND,) if acted_only else (CycleHeld.KIND, CycleDone.KIND)
    return _listed(lambda at, newest: _events(kinds, decision_rows, at, newest), limit, wanted)


def orders(limit: int | None = 100, open_only: bool = False) -> Question[list[Record]]:
    """Ask for orders. open_only: those that may still fill."""
    return _listed(lambda at, newest: _orders(at, newest, open_only), limit)


def fills(limit: int | None = 100) -> Question[list[Record]]:
    """Ask for fills, with the columns of rows.FILL_COLUMNS. order_id: the venue's id where it is known, else ours."""
    return _listed(_fills, limit)


def positions(open_only: bool = False) -> Question[list[Record]]:
    """Ask for positions, flat ones with their realised profit too unless open_only."""
    rows, _end = yield from _positions(_FIRST, False)
    return [row for row in rows if row["qty"] != "0"] if open_only else rows


def balances() -> Question[list[Record]]:
    """Ask for what the account holds and has paid in fees, by asset."""
    rows = yield "SELECT asset, held, fees FROM balances ORDER BY asset", ()
    return [{"asset": asset, "held": held, "fees_paid": fees} for asset, held, fees in rows]


def ledger(limit: int | None = 100) -> Question[list[Record]]:
    """Ask for ledger lines; the lines of one entry_seq net to zero per asset."""
    return _listed(_ledger, limit)


def states(limit: int | None = 100) -> Question[list[Record]]:
    """Ask for changes of the trading state."""
    return _listed(PAGES["states"], limit)


def incidents(limit: int | None = 100) -> Question[list[Record]]:
    """Ask for incidents."""
    return _listed(PAGES["incidents"], limit)


def approvals(limit: int | None = 100) -> Question[list[Record]]:
    """Ask for approvals with their answers; answer None while one waits."""
    return _listed(_approvals, limit)


def differences(limit: int | None = 100, open_only: bool = False) -> Question[list[Record]]:
    """Ask for differences with the venue, with their latest figures; how None while one is open."""
    rows, _end = yield from _differences(_FIRST, False)
    found = [row for row in reversed(rows) if not (open_only and row["how"])]
    return found if limit is None else found[:limit]


def first_at(ts_ms: int) -> Question[int]:
    """Ask for the first row at or after an instant; found by halving, so it takes as long in any history."""
    low, high = 1, 1 + int((yield "SELECT COALESCE(MAX(seq), 0) FROM journal", ())[0][0])
    while low < high:
        middle = (low + high) // 2
        rows = yield "SELECT ts_ms FROM journal WHERE seq = ?", (middle,)
        low, high = (middle + 1, high) if rows and rows[0][0] < ts_ms else (low, middle)
    return low


# Pages. A page question is told where it begins (the seq before its first row) and which way it goes.


def _listed(page: PageOf, limit: int | None, wanted: Callable[[Record], bool] | None = None) -> Question[list[Record]]:
    found: list[Record] = []
    at: int | None = _LAST
    while at is not None and (limit is None or len(found) < limit):
        rows, at = yield from page(at, True)
        found += filter(wanted, rows) if wanted else rows
    return found if limit is None else found[:limit]


def _paged(sql: str, values: tuple[Any, ...], at: int, newest: bool, key: str = "j.seq") -> Question[list[Row]]:
    way, sign = ("DESC", "<") if newest else ("ASC", ">")
    rows = yield f"{sql} AND {key} {sign} ? ORDER BY {key} {way} LIMIT {PAGE_ROWS}", (*values, at)
    return rows


def _page(records: Iterable[Record], rows: list[Row]) -> Page:
    return list(records), rows[-1][0] if len(rows) == PAGE_ROWS else None


def _events(
    kinds: tuple[int, ...], shape: Callable[[int, int, Any], Iterable[Record]], at: int, newest: bool
) -> Question[Page]:
    sql = "SELECT j.seq, j.ts_ms, j.kind, j.payload FROM journal j WHERE j.kind "
    sql += f"IN ({','.join(map(str, kinds))})" if len(kinds) > 1 else f"= {min(kinds)}"
    if min(kinds) >= ApprovalAsked.KIND:
        sql += f" AND {RARE}"
    rows = yield from _paged(sql, (), at, newest)
    return _page((record for seq, ts, kind, kept in rows for record in shape(seq, ts, event_of(kind, kept))), rows)


def _fills(at: int, newest: bool) -> Question[Page]:
    sql = """SELECT f.seq, j.payload, o.payload FROM fills f JOIN journal j ON j.seq = f.seq
             LEFT JOIN journal o ON o.seq = f.order_seq WHERE 1"""
    rows = yield from _paged(sql, (), at, newest, "f.seq")
    return _page((fill_row(event_of(Filled.KIND, kept), order) for _seq, kept, order in rows), rows)


def _orders(at: int, newest: bool, open_only: bool = False) -> Question[Page]:
    sql = """SELECT o.seq, o.id, o.status, o.filled_qty, o.filled_cost, o.resized, j.ts_ms, j.payload,
             l.ts_ms, l.kind, l.payload FROM orders o JOIN journal j ON j.seq = o.seq
             JOIN journal l ON l.seq = o.last_seq WHERE """
    sql += f"o.status < {_CLOSED_FROM}" if open_only else "1"
    rows = yield from _paged(sql, (), at, newest, "o.seq")
    return _page(map(order_row, rows), rows)


def _positions(at: int, newest: bool) -> Question[Page]:
    rows = yield "SELECT agent, instrument, qty, cost, realized, entered_ms FROM positions ORDER BY 1, 2", ()
    return [position_row(*row) for row in rows], None


def _ledger(at: int, newest: bool) -> Question[Page]:
    sql = """SELECT l.id, j.ts_ms, j.kind, l.target, l.source, n.name, l.amount FROM ledger l
             JOIN journal j ON j.seq = l.id / 8 JOIN names n ON n.id = l.asset WHERE 1"""
    rows = yield from _paged(sql, (), at, newest, "l.id")
    return _page((line for row in rows for line in ledger_rows(*row)), rows)


def _approvals(at: int, newest: bool) -> Question[Page]:
    asked, end = yield from _events((ApprovalAsked.KIND,), approval_rows, at, newest)
    kinds = f"kind IN ({ApprovalClosed.KIND}, {ShadowEntered.KIND}, {ShadowEnded.KIND}) AND {RARE}"
    answers = yield f"SELECT ts_ms, kind, payload FROM journal WHERE {kinds} ORDER BY seq", ()
    rows = {row["approval_id"]: row for row in asked}
    for ts_ms, kind, kept in answers:
        event = event_of(kind, kept)
        assert isinstance(event, ApprovalClosed | ShadowEntered | ShadowEnded)
        if event.approval_id in rows:
            rows[event.approval_id].update(answer_of(ts_ms, event))
    return asked, end


def _differences(at: int, newest: bool) -> Question[Page]:
    """Read all of them at once: they are rare, and a later row changes an earlier one."""
    kinds = f"kind IN ({DifferenceFound.KIND}, {DifferenceClosed.KIND}) AND {RARE}"
    rows = yield f"SELECT ts_ms, kind, payload FROM journal WHERE {kinds} AND seq > ? ORDER BY seq", (at,)
    found: dict[str, Record] = {}
    for ts_ms, kind, kept in rows:
        event = event_of(kind, kept)
        if isinstance(event, DifferenceFound):
            since = found.get(event.difference_id, {}).get("ts")
            row = difference_row(ts_ms, event)
            found[event.difference_id] = row | ({"ts": since} if since else {})
        elif isinstance(event, DifferenceClosed) and event.difference_id in found:
            said = zip(("closed", "how", "actor", "note"), (iso(ts_ms), event.how.value, event.actor, event.note),
                       strict=True)  # fmt: skip
            found[event.difference_id].update(said)
    return (list(found.values()) if at == _FIRST else []), None


PAGES: dict[str, PageOf] = {
    "decisions": lambda at, newest: _events((CycleHeld.KIND, CycleDone.KIND), decision_rows, at, newest),
    "orders": _orders,
    "fills": _fills,
    "positions": _positions,
    "ledger": _ledger,
    "states": lambda at, newest: _events((StateChanged.KIND,), state_rows, at, newest),
    "incidents": lambda at, newest: _events((Incident.KIND,), incident_rows, at, newest),
    "approvals": _approvals,
    "differences": _differences,
}
"""Table name -> its page question: begin at 0, then at what the page before returned, newest False."""
