"""What was kept of a decision and what became of it, read from the journal."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from typing import Any

from engine.clock import iso
from engine.domain.decision import describe_action
from engine.domain.events import EVENT_TYPES, AskedBeside, BesideDone, Filled, LaneDecided, SituationKept
from engine.domain.money import ZERO, plain
from engine.domain.portfolio import Position
from engine.store.reader import Question
from engine.store.rows import Record, event_of

RARE = "kind >= 30 AND kind <> 42"
"""As of queries: SQLite uses the index journal_rare only where a statement repeats it."""
MODEL_ASKED = 94
ROWS_AROUND = 20_000
FILLS_MAX = 2_000
BESIDE_MAX = 5_000
"""Questions beside trading that are looked through: an agent with a shadow has one a cycle."""


def behind(cycle_id: str, seq: int) -> Question[Record]:
    """Ask for a cycle's questions to models, oldest first, and for the hash of what it was judged on; "" for none."""
    kinds = [kind for kind in (MODEL_ASKED, SituationKept.KIND) if kind in EVENT_TYPES]
    marks = ", ".join("?" * len(kinds))
    rows = yield (
        f"""SELECT ts_ms, kind, payload FROM journal WHERE kind IN ({marks}) AND {RARE}
            AND seq BETWEEN ? AND ? ORDER BY seq""",
        (*kinds, seq - ROWS_AROUND, seq + ROWS_AROUND),
    )
    asked: list[Record] = []
    situation = ""
    for ts_ms, kind, kept in rows:
        event: Any = event_of(kind, kept)
        if event.cycle_id != cycle_id:
            continue
        if isinstance(event, SituationKept):
            situation = event.digest
        else:
            asked.append(_fields(ts_ms, event))
    return {"asked": asked, "beside": (yield from _beside(cycle_id, seq)), "situation": situation}


def _beside(cycle_id: str, seq: int) -> Question[list[Record]]:
    """Ask for what was asked about a cycle beside trading: its shadow's question, and reruns of it ever since."""
    rows = yield (
        f"""SELECT ts_ms, kind, payload FROM journal WHERE kind IN (?, ?, ?) AND {RARE} AND seq >= ?
            ORDER BY seq LIMIT ?""",
        (AskedBeside.KIND, BesideDone.KIND, LaneDecided.KIND, max(0, seq - ROWS_AROUND), BESIDE_MAX),
    )
    events = [(ts_ms, event_of(kind, kept)) for ts_ms, kind, kept in rows]
    mine = [
        (ts_ms, each)
        for ts_ms, each in events
        if isinstance(each, AskedBeside | BesideDone | LaneDecided) and each.cycle_id == cycle_id
    ]
    return [_lane(ts_ms, each) if isinstance(each, LaneDecided) else _fields(ts_ms, each) for ts_ms, each in mine]


def _lane(ts_ms: int, event: LaneDecided) -> Record:
    names = ("instrument", "current_qty", "target_qty", "confidence", "disposition", "bound_by", "rationale")
    items = [
        {
            "action": describe_action(each.direction, each.current_qty, each.target_qty),
            **{name: _plain(getattr(each, name)) for name in names},
            "checks": [[c.code.value, c.verdict.value, c.observed, c.limit] for c in each.checks],
        }
        for each in event.items
    ]
    return {"ts": iso(ts_ms), "purpose": "shadow", "items": items}


def _fields(ts_ms: int, event: Any) -> Record:
    return {"ts": iso(ts_ms), **{each.name: _plain(getattr(event, each.name)) for each in fields(event)}}


def _plain(value: Any) -> Any:
    return plain(value) if isinstance(value, Decimal) else getattr(value, "value", value)


def became(item: Record, agent: str, first_seq: int) -> Question[Record | None]:
    """Ask what came of one decision: the agent's fills in its instrument from the first of its own until it was flat.

    What was held before counts at the price of the decision. result: in quote, after fees in quote; what is open still
    counts at nothing but what it has realised. None: nothing of it was filled.
    """
    rows = yield (
        """SELECT j.ts_ms, j.payload FROM fills f JOIN journal j ON j.seq = f.seq
           WHERE f.seq >= ? ORDER BY f.seq LIMIT ?""",
        (first_seq, FILLS_MAX),
    )
    before = Decimal(item["current_qty"] or 0)
    position = Position(agent, item["instrument"], before, before * Decimal(item["price"] or 0))
    fees, fills, ended = ZERO, 0, None
    for ts_ms, kept in rows:
        event = event_of(Filled.KIND, kept)
        assert isinstance(event, Filled)
        if (event.agent, event.fill.instrument) != (agent, item["instrument"]):
            continue
        fill = event.fill
        in_base = fill.fee_asset == fill.instrument.partition(":")[2].partition("/")[0]
        position = position.after_fill(fill.signed_qty, fill.price, fill.ts_ms)
        position = position.after_base_fee(fill.fee) if in_base else position
        fees += ZERO if in_base else fill.fee
        fills += 1
        if not position.qty:
            ended = iso(ts_ms)
            break
    if not fills:
        return None
    return {
        "fills_since": fills,
        "result": plain(position.realized - fees),
        "fees": plain(fees),
        "still_open": plain(position.qty),
        "flat_at": ended,
    }
