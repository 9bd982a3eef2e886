"""The policy's history as people read it: what was asked, what was answered, and which versions came of it."""

from __future__ import annotations

from collections.abc import Iterable

from engine.clock import iso
from engine.domain.events import AdminTried, ChangeAnswered, ChangeRequested, PolicyAdopted, PolicyVersioned
from engine.domain.governance import ChangeRequest, PolicyChange, Verdict, tries_words
from engine.store.queries import RARE
from engine.store.reader import Question
from engine.store.rows import Record, event_of

_KINDS = tuple(each.KIND for each in (PolicyVersioned, ChangeRequested, ChangeAnswered, AdminTried))
_FIRST = f"SELECT 1 FROM journal WHERE kind = {PolicyAdopted.KIND} LIMIT 1"
_ROWS_MAX = 10_000


def policy_events(limit: int | None = 100) -> Question[list[Record]]:
    """Ask for what happened to the policy, newest first."""
    rows = yield from _rows()
    found = [_event_row(ts_ms, event) for ts_ms, event in reversed(rows)]
    return found if limit is None else found[:limit]


def policy_requests(limit: int | None = 100, open_only: bool = False) -> Question[list[Record]]:
    """Ask for change requests with what became of them, newest first.

    status: pending, approved (it waits for its time), in force, rejected, stale or withdrawn.
    """
    rows = yield from _rows()
    found: dict[str, Record] = {}
    first = len((yield _FIRST, ()))  # a new store's first limits are version 1, without a row of their own
    version = max((event.version for _ts_ms, event in rows if isinstance(event, PolicyVersioned)), default=first)
    for ts_ms, event in rows:
        if isinstance(event, ChangeRequested):
            found[event.request_id] = _request_row(ts_ms, event)
        elif isinstance(event, ChangeAnswered) and event.request_id in found:
            found[event.request_id].update(
                status=event.answer.value, answered=iso(ts_ms), answered_by=event.actor, note=event.note,
                due=iso(event.due_ms) if event.answer is Verdict.APPROVED else None,
            )  # fmt: skip
        elif isinstance(event, PolicyVersioned) and event.request_id in found:
            found[event.request_id].update(status="in force", version=event.version)
    waiting = [row for row in found.values() if row["status"] in ("pending", "approved")]
    for row in waiting:
        if row["base_version"] != version:
            row["note"] = f"stale: version {version} is in force; propose it again"
    kept = waiting[::-1] if open_only else list(reversed(found.values()))
    return kept if limit is None else kept[:limit]


def _rows() -> Question[list[tuple[int, object]]]:
    kinds = ", ".join(map(str, _KINDS))
    rows = yield (
        f"SELECT ts_ms, kind, payload FROM journal WHERE kind IN ({kinds}) AND {RARE} ORDER BY seq DESC LIMIT ?",
        (_ROWS_MAX,),
    )
    return [(ts_ms, event_of(kind, kept)) for ts_ms, kind, kept in reversed(rows)]


def _request_row(ts_ms: int, event: ChangeRequested) -> Record:
    request = ChangeRequest(
        request_id=event.request_id, base_version=event.base_version, base_hash=event.base_hash, changes=event.changes,
        actor=event.actor, asked_by=event.asked_by, reason=event.reason, asked_ms=ts_ms,
    )  # fmt: skip
    return {
        "request_id": event.request_id, "ts": iso(ts_ms), "status": "pending", "code": request.code,
        "base_version": event.base_version, "changes": _said(event.changes), "actor": event.actor,
        "asked_by": event.asked_by.value, "reason": event.reason, "answered": None, "answered_by": None, "note": None,
        "due": None, "version": None,
    }  # fmt: skip


def _event_row(ts_ms: int, event: object) -> Record:
    row: Record = {"ts": iso(ts_ms), "event": "", "request_id": None, "version": None, "actor": None, "detail": ""}
    if isinstance(event, PolicyVersioned):
        row.update(event="in force", request_id=event.request_id or None, version=event.version, actor=event.actor,
                   detail="; ".join(filter(None, (_said(event.changes), event.reason))))  # fmt: skip
    elif isinstance(event, ChangeRequested):
        row.update(event="requested", request_id=event.request_id, version=event.base_version, actor=event.actor,
                   detail=f"{_said(event.changes)}; {event.asked_by}: {event.reason}")  # fmt: skip
    elif isinstance(event, ChangeAnswered):
        row.update(event=event.answer.value, request_id=event.request_id, actor=event.actor, detail=event.note)
    elif isinstance(event, AdminTried):
        until = f"; locked until {iso(event.locked_until_ms)}" if event.locked_until_ms else ""
        word = "right passphrase" if event.right else "wrong passphrase"
        row.update(event=word, actor="admin", detail=f"{tries_words(event.wrong_tries)}{until}")
    return row


def _said(changes: Iterable[PolicyChange]) -> str:
    return ", ".join(f"{each.field} {each.old} -> {each.new} ({each.sense.value})" for each in changes)
