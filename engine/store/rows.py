"""Journal and table rows as people read them: stable names, Decimals as text, times in UTC ISO 8601."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from engine.clock import iso
from engine.domain.decision import Direction, Disposition, describe_action
from engine.domain.events import (
    Adjusted,
    ApprovalAsked,
    ApprovalClosed,
    BudgetPosted,
    CycleDone,
    CycleHeld,
    CycleItem,
    DifferenceFound,
    Event,
    FeePosted,
    FillCorrected,
    Filled,
    FundsMoved,
    Incident,
    OrderIntended,
    OrderResized,
    OrdersUpdated,
    ShadowEnded,
    ShadowEntered,
    StateChanged,
)
from engine.domain.money import plain
from engine.domain.risk import RiskCheck
from engine.ids import cycle_id
from engine.store import codec
from engine.store.packing import unpack
from engine.store.reader import Row
from engine.store.tables import ACCOUNTS, PAIRS_MAX, STATUSES, order_id

Record = dict[str, Any]

FILL_COLUMNS: tuple[str, ...] = (
    "ts", "venue", "instrument", "side", "qty", "price", "fee", "fee_asset", "liquidity", "order_id",
    "client_order_id", "trade_id", "cycle_id", "agent_id",
)  # fmt: skip
_ITEM_COLUMNS = (
    "instrument", "direction", "disposition", "action", "current_qty", "target_qty", "confidence", "price", "price_ts",
    "rationale", "features", "bound_by", "checks",
)  # fmt: skip


def event_of(kind: int, kept: str | bytes) -> Event:
    """Return the event of a journal row as it is kept."""
    return codec.decode(kind, unpack(kept))


def fill_row(event: Event, order: str | bytes | None) -> Record:
    """Return a fill's row. order: the payload of its OrderIntended, None for an order not ours."""
    assert isinstance(event, Filled)
    fill = event.fill
    intent = event_of(OrderIntended.KIND, order) if order is not None else None
    cycle = intent.cycle_id if isinstance(intent, OrderIntended) else ""
    return {
        "ts": iso(fill.ts_ms),
        "venue": fill.venue,
        "instrument": fill.instrument,
        "side": fill.side.value,
        "qty": plain(fill.qty),
        "price": plain(fill.price),
        "fee": plain(fill.fee),
        "fee_asset": fill.fee_asset,
        "liquidity": fill.liquidity.value,
        "order_id": fill.client_order_id,
        "client_order_id": fill.client_order_id,
        "trade_id": fill.trade_id,
        "cycle_id": cycle,
        "agent_id": event.agent,
    }


def order_row(row: Row) -> Record:
    """Return an order's row, from its tables row and its first and last journal rows."""
    _seq, key, status, filled_qty, filled_cost, resized, ts_ms, first, last_ms, last_kind, last = row
    event = event_of(OrderIntended.KIND, first)
    assert isinstance(event, OrderIntended)
    ended = event_of(last_kind, last)
    filled = Decimal(filled_qty)
    return {
        "ts": iso(ts_ms),
        "client_order_id": order_id(key),
        "cycle_id": event.cycle_id,
        "agent": event.agent,
        "instrument": event.instrument,
        "role": event.role.value,
        "side": event.side.value,
        "order_type": event.order_type.value,
        "qty": resized if resized is not None else plain(event.qty),
        "filled_qty": filled_qty,
        "average_price": plain(Decimal(filled_cost) / filled) if filled else None,
        "limit_price": _text(event.limit_price),
        "stop_price": _text(event.trigger_price),
        "status": STATUSES[status].value,
        "reason": ended.reason if isinstance(ended, OrdersUpdated) else "",
        "updated": iso(last_ms),
    }


def position_row(agent: str, instrument: str, qty: str, cost: str, realized: str, entered_ms: int) -> Record:
    """Return a position's row; average_price None when flat."""
    held = Decimal(qty)
    return {
        "agent": agent,
        "instrument": instrument,
        "qty": qty,
        "average_price": plain(Decimal(cost) / held) if held else None,
        "cost": cost,
        "realized": realized,
        "entered": iso(entered_ms) if held else None,
    }


_REASONS = {
    Filled.KIND: "fill",
    FundsMoved.KIND: "transfer",
    Adjusted.KIND: "adjustment",
    FillCorrected.KIND: "correction",
    FeePosted.KIND: "late fee",
    BudgetPosted.KIND: "AI spend",
}


def ledger_rows(
    number: int, ts_ms: int, kind: int, target: int, source: int, asset: str, amount: str
) -> Iterator[Record]:
    """Return the two lines of a pair: the amount enters one account and leaves the other."""
    reason = _REASONS.get(kind, "")
    for account, signed in ((target, amount), (source, plain(-Decimal(amount)))):
        yield {
            "ts": iso(ts_ms),
            "entry_seq": number // PAIRS_MAX,
            "reason": reason,
            "account": ACCOUNTS[account].value,
            "asset": asset,
            "amount": signed,
        }


def decision_rows(seq: int, ts_ms: int, event: CycleDone | CycleHeld) -> Iterator[Record]:
    """Return a row an instrument; a hold's from its one line, and a failed cycle's own row without one."""
    if isinstance(event, CycleHeld):
        for instrument, reason in held_items(event.items):
            yield _held_row(seq, ts_ms, event.agent, instrument, reason)
        return
    cycle = {
        "ts": iso(ts_ms),
        "seq": seq,
        "cycle_id": event.cycle_id,
        "agent": event.agent,
        "trigger": event.trigger,
        "model": event.model,
        "outcome": event.outcome.value,
        "answered_by": event.answered_by.value,
        "detail": event.detail,
    }
    for item in event.items:
        yield cycle | item_row(item)
    if not event.items:
        yield cycle | dict.fromkeys(_ITEM_COLUMNS) | {"instrument": "", "disposition": Disposition.FAILED.value}


def item_row(item: CycleItem) -> Record:
    """Return one instrument's part of a cycle, with every check."""
    return {
        "instrument": item.instrument,
        "direction": item.direction.value,
        "disposition": item.disposition.value,
        "action": describe_action(item.direction.value, item.current_qty, item.target_qty),
        "current_qty": plain(item.current_qty),
        "target_qty": plain(item.target_qty),
        "confidence": _text(item.confidence),
        "price": _text(item.price),
        "price_ts": iso(item.price_ms) if item.price is not None else None,
        "rationale": item.rationale,
        "features": item.features,
        "bound_by": item.bound_by,
        "checks": [check_row(check) for check in item.checks],
    }


def check_row(check: RiskCheck) -> Record:
    """Return one guardrail's word."""
    return {
        "code": check.code.value,
        "verdict": check.verdict.value,
        "observed": check.observed,
        "limit": check.limit,
    }


def held_items(items: str) -> list[tuple[str, str]]:
    """Split a CycleHeld's items into instrument and reason; a reason may hold ";" itself.

    >>> held_items("paper:BTC/USDT=no cross; flat;paper:ETH/USDT=warm")
    [('paper:BTC/USDT', 'no cross; flat'), ('paper:ETH/USDT', 'warm')]
    """
    found: list[tuple[str, str]] = []
    for part in items.split(";"):
        instrument, sign, reason = part.partition("=")
        if sign and ":" in instrument and " " not in instrument:
            found.append((instrument, reason))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]};{part}")
        else:
            found.append(("", part))
    return found


def approval_rows(seq: int, ts_ms: int, event: ApprovalAsked) -> Iterator[Record]:
    """Return the one row of a question to a person, its answer still None."""
    yield {
        "ts": iso(ts_ms),
        "approval_id": event.approval_id,
        "cycle_id": event.cycle_id,
        "agent": event.agent,
        "instrument": event.instrument,
        "role": event.role.value,
        "side": event.side.value,
        "order_type": event.order_type.value,
        "qty": plain(event.qty),
        "price": plain(event.price),
        "limit_price": _text(event.limit_price),
        "stop_price": _text(event.stop_price),
        "target_price": _text(event.target_price),
        "expires": iso(event.expires_ms),
    } | dict.fromkeys((*ANSWER, *SHADOW))


ANSWER = ("answered", "answer", "actor", "note")
SHADOW = ("would_have", "shadow_how", "shadow_entry", "shadow_exit", "shadow_profit", "shadow_ended")
"""What a rejected trade would have done; None while it is still followed, and for all that were not rejected."""


def answer_of(ts_ms: int, event: ApprovalClosed | ShadowEntered | ShadowEnded) -> Record:
    """Return what a later row adds to an approval's: its answer, or what the rejected trade would have done."""
    if isinstance(event, ApprovalClosed):
        said = (iso(ts_ms), event.answer, event.actor, event.note)
        return dict(zip(ANSWER, said, strict=True))
    if isinstance(event, ShadowEntered):
        return {"would_have": f"filled at {plain(event.price)}, still open", "shadow_entry": plain(event.price)}
    figures = (_text(event.entry_price), _text(event.exit_price), plain(event.profit), iso(ts_ms))
    return dict(zip(SHADOW, (event.sentence, event.how.value, *figures), strict=True))


def update_row(ts_ms: int, event: OrdersUpdated | OrderResized) -> Record:
    """Return one step of an order's life."""
    if isinstance(event, OrderResized):
        return {"ts": iso(ts_ms), "status": "", "reason": "resized", "qty": plain(event.qty)}
    return {"ts": iso(ts_ms), "status": event.status.value, "reason": event.reason, "qty": None}


def _held_row(seq: int, ts_ms: int, agent: str, instrument: str, reason: str) -> Record:
    held = dict.fromkeys(("trigger", "model", "outcome", "answered_by", "detail", *_ITEM_COLUMNS))
    return (
        {"ts": iso(ts_ms), "seq": seq, "cycle_id": cycle_id(agent, ts_ms), "agent": agent}
        | held
        | {
            "instrument": instrument,
            "direction": Direction.HOLD.value,
            "disposition": Disposition.HOLD.value,
            "action": "HOLD",
            "rationale": reason,
            "checks": [],
        }
    )


def state_rows(seq: int, ts_ms: int, event: StateChanged) -> Iterator[Record]:
    """Return the one row of a change of the trading state."""
    yield {
        "ts": iso(ts_ms),
        "state": event.state.value,
        "actor": event.actor,
        "reason": event.reason,
        "evidence": event.evidence,
    }


def incident_rows(seq: int, ts_ms: int, event: Incident) -> Iterator[Record]:
    """Return the one row of an incident."""
    yield {"ts": iso(ts_ms), "code": event.code, "text": event.text}


def difference_row(ts_ms: int, event: DifferenceFound) -> Record:
    """Return the row of a difference with the venue, open until told how it closed."""
    return {
        "ts": iso(ts_ms),
        "difference_id": event.difference_id,
        "kind": event.kind.value,
        "subject": event.subject,
        "instrument": event.instrument,
        "asset": event.asset,
        "ours": plain(event.ours),
        "venue": plain(event.venue),
        "detail": event.detail,
        "closed": None,
        "how": None,
        "actor": None,
        "note": None,
    }


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
