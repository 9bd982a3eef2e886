"""Everything behind one cycle: what was asked, checked and answered, and each order down to its ledger lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.clock import iso
from engine.domain.events import (
    ApprovalAsked,
    ApprovalClosed,
    CycleDone,
    CycleHeld,
    Filled,
    OrderIntended,
    OrderResized,
    OrdersUpdated,
    ShadowEnded,
    ShadowEntered,
)
from engine.errors import UsageError
from engine.ids import cycle_id as name_cycle
from engine.store.aftermath import became, behind
from engine.store.packing import unpack
from engine.store.queries import RARE
from engine.store.reader import Question, Row
from engine.store.rows import (
    Record,
    answer_of,
    approval_rows,
    decision_rows,
    event_of,
    fill_row,
    ledger_rows,
    order_row,
    update_row,
)
from engine.store.tables import PAIRS_MAX, order_id

_CHUNK = 500
_CHUNKS_AROUND = 10
_NEAREST = 3


def explain(cycle_id: str) -> Question[Record]:
    """Ask for all there is on a cycle, a manual trade's too. Raises UsageError, with the nearest ids, when unknown.

    The answer: the cycle's own fields, its questions to models, its items with their checks and what became of each,
    its approvals, and its orders, each with its updates and its fills, each fill with its ledger lines.
    """
    near: list[str] = []
    found = yield from _cycle(cycle_id, near)
    approvals = yield from _approvals(cycle_id)
    orders = yield from _orders(cycle_id, found["seq"] if found else 0)
    if found is None and not approvals and not orders:
        hint = f"; the nearest are {', '.join(near)}" if near else "; there is none yet"
        raise UsageError(f"no cycle {cycle_id} is on record{hint}.")
    blank = {"cycle_id": cycle_id, "agent": cycle_id.rpartition(".")[0], "items": []}
    told = {**(found or blank), "approvals": approvals, "orders": orders}
    if found is None:
        return told
    for item in told["items"]:
        own = [fill["seq"] for each in orders if each["instrument"] == item["instrument"] for fill in each["fills"]]
        item["became"] = (yield from became(item, told["agent"], min(own))) if own else None
    return {**told, **(yield from behind(cycle_id, found["seq"]))}


def _cycle(cycle_id: str, near: list[str]) -> Question[Record | None]:
    """Look among the rows around the cycle's slot; a row is written at its slot or soon after it."""
    agent, _dot, digits = cycle_id.rpartition(".")
    at = yield from _seq_at(_slot_ms(digits))
    after = max(0, at - _CHUNK)
    for _chunk in range(_CHUNKS_AROUND):
        rows = yield (
            "SELECT seq, ts_ms, kind, payload FROM journal WHERE seq > ? AND kind IN (?, ?) ORDER BY seq LIMIT ?",
            (after, CycleHeld.KIND, CycleDone.KIND, _CHUNK),
        )
        names = [(abs(row[0] - at), _name(row), row) for row in rows]
        for _distance, name, row in names:
            if name == cycle_id:
                return _shaped(cycle_id, row)
        if not near:
            ordered = sorted(names, key=lambda each: (not each[1].startswith(f"{agent}."), each[0]))
            near += [name for _distance, name, _row in ordered[:_NEAREST]]
        if len(rows) < _CHUNK:
            break
        after = rows[-1][0]
    return None


def _slot_ms(digits: str) -> int:
    try:
        return min(int(digits, 36), 2**62)
    except ValueError:
        return 0


def _seq_at(ts_ms: int) -> Question[int]:
    """Return the first seq at or after an instant; times rise with seq but for a clock's small steps back."""
    ((last,),) = yield "SELECT COALESCE(MAX(seq), 0) FROM journal", ()
    low, high = 1, last
    while low < high:
        middle = (low + high) // 2
        ((found_ms,),) = yield "SELECT ts_ms FROM journal WHERE seq = ?", (middle,)
        low, high = (middle + 1, high) if found_ms < ts_ms else (low, middle)
    return low


def _name(row: Row) -> str:
    _seq, ts_ms, kind, kept = row
    event = event_of(kind, kept)
    return event.cycle_id if isinstance(event, CycleDone) else name_cycle(_agent(event), ts_ms)


def _agent(event: Any) -> str:
    return event.agent


def _shaped(cycle_id: str, row: Row) -> Record:
    seq, ts_ms, kind, kept = row
    event = event_of(kind, kept)
    assert isinstance(event, CycleDone | CycleHeld)
    cycle = {"ts": iso(ts_ms), "seq": seq, "cycle_id": cycle_id, "agent": event.agent}
    if isinstance(event, CycleDone):
        cycle |= {
            "trigger": event.trigger,
            "model": event.model,
            "outcome": event.outcome.value,
            "answered_by": event.answered_by.value,
            "detail": event.detail,
        }
    rows = [each for each in decision_rows(seq, ts_ms, event) if each["direction"] is not None]
    items = [{name: value for name, value in each.items() if name not in _OF_CYCLE} for each in rows]
    return cycle | {"items": items}


_OF_CYCLE = {"ts", "seq", "cycle_id", "agent", "trigger", "model", "outcome", "answered_by", "detail"}


def _approvals(cycle_id: str) -> Question[list[Record]]:
    rows = yield (
        f"SELECT seq, ts_ms, kind, payload FROM journal WHERE kind IN (?, ?, ?, ?) AND {RARE} ORDER BY seq",
        (ApprovalAsked.KIND, ApprovalClosed.KIND, ShadowEntered.KIND, ShadowEnded.KIND),
    )
    found: dict[str, Record] = {}
    for seq, ts_ms, kind, kept in rows:
        event = event_of(kind, kept)
        if isinstance(event, ApprovalAsked) and event.cycle_id == cycle_id:
            (found[event.approval_id],) = approval_rows(seq, ts_ms, event)
        elif isinstance(event, ApprovalClosed | ShadowEntered | ShadowEnded) and event.approval_id in found:
            found[event.approval_id] |= answer_of(ts_ms, event)
    return list(found.values())


def _orders(cycle_id: str, since: int) -> Question[list[Record]]:
    """Look through the orders since the cycle; an approved or protective one may come much later."""
    found: list[Record] = []
    after = since - 1
    while True:
        rows = yield (
            """SELECT o.seq, o.id, o.status, o.filled_qty, o.filled_cost, o.resized, j.ts_ms, j.payload,
               l.ts_ms, l.kind, l.payload, o.last_seq FROM orders o JOIN journal j ON j.seq = o.seq
               JOIN journal l ON l.seq = o.last_seq WHERE o.seq > ? ORDER BY o.seq LIMIT ?""",
            (after, _CHUNK),
        )
        for row in rows:
            if cycle_id in unpack(row[7]) and _is_of(cycle_id, row[7]):
                order = order_row(row[:11])
                order["updates"] = yield from _updates(order_id(row[1]), row[0], row[11])
                order["fills"] = yield from _fills(row[0])
                found.append(order)
        if len(rows) < _CHUNK:
            return found
        after = rows[-1][0]


def _is_of(cycle_id: str, kept: str | bytes) -> bool:
    event = event_of(OrderIntended.KIND, kept)
    return isinstance(event, OrderIntended) and event.cycle_id == cycle_id


def _updates(client_order_id: str, first: int, last: int) -> Question[list[Record]]:
    rows = yield (
        "SELECT ts_ms, kind, payload FROM journal WHERE seq BETWEEN ? AND ? AND kind IN (?, ?) ORDER BY seq",
        (first, last, OrdersUpdated.KIND, OrderResized.KIND),
    )
    return list(_updates_of(client_order_id, rows))


def _updates_of(client_order_id: str, rows: list[Row]) -> Iterator[Record]:
    for ts_ms, kind, kept in rows:
        event = event_of(kind, kept)
        assert isinstance(event, OrdersUpdated | OrderResized)
        ids = event.client_order_ids if isinstance(event, OrdersUpdated) else (event.client_order_id,)
        if client_order_id in ids:
            yield update_row(ts_ms, event)


def _fills(order_seq: int) -> Question[list[Record]]:
    rows = yield (
        """SELECT f.seq, j.ts_ms, j.payload, o.payload FROM fills f JOIN journal j ON j.seq = f.seq
           JOIN journal o ON o.seq = f.order_seq WHERE f.order_seq = ? ORDER BY f.seq""",
        (order_seq,),
    )
    found: list[Record] = []
    for seq, ts_ms, kept, order in rows:
        lines = yield (
            """SELECT l.id, l.target, l.source, n.name, l.amount FROM ledger l JOIN names n ON n.id = l.asset
               WHERE l.id BETWEEN ? AND ? ORDER BY l.id""",
            (seq * PAIRS_MAX, seq * PAIRS_MAX + PAIRS_MAX - 1),
        )
        entry = [line for number, *rest in lines for line in ledger_rows(number, ts_ms, Filled.KIND, *rest)]
        found.append({**fill_row(event_of(Filled.KIND, kept), order), "seq": seq, "ledger": entry})
    return found
