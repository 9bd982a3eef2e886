"""What is shown of the policy: each value with its origin, what waits, and what a person should know (W06)."""

from __future__ import annotations

from typing import Any

from engine.api import ChangeView, PolicyView
from engine.clock import iso
from engine.config import from_canonical
from engine.control.governing import Governor
from engine.domain.governance import ChangeRequest, PolicyChange
from engine.domain.policy import Policy
from engine.governance.directions import POLICY_WAYS
from engine.governance.document import differences, texts_of
from engine.governance.versions import is_stale


def policy_view(governor: Governor, now_ms: int) -> PolicyView:
    """Return the policy for a snapshot."""
    book = governor.book
    waiting = tuple(change_view(governor, request, now_ms) for request in book.requests.values())
    return PolicyView(
        version=governor.version, hash=book.hash, since_ms=book.since_ms, notices=notices(governor), changes=waiting
    )


def change_view(governor: Governor, request: ChangeRequest, now_ms: int) -> ChangeView:
    """Return one waiting change."""
    return ChangeView(
        request_id=request.request_id,
        code=request.code,
        base_version=request.base_version,
        stale=is_stale(request, governor.book),
        changes=request.changes,
        actor=request.actor,
        asked_by=request.asked_by.value,
        reason=request.reason,
        asked_ms=request.asked_ms,
        due_in_ms=max(0, request.due_ms - now_ms) if request.is_approved else None,
    )


def notices(governor: Governor) -> tuple[str, ...]:
    """Say what differs from the policy file and what the environment does."""
    told = [overlay.sentence for overlay in governor.overlays if overlay.change is not None]
    for change in differences(governor.document.policy, governor.ruled.asked):
        told.append(f"The policy file says {change.new} for {change.field}; {change.old} is in force.")
    for change in governor.document.agents:
        told.append(f"The agent's file says {change.old} for {change.field}; {change.new} is in force.")
    return tuple(told)


def policy_table(governor: Governor) -> dict[str, Any]:
    """Return `quarterdeck policy show`: every value in force, where it comes from, and which way it goes."""
    book, document = governor.book, governor.document
    recorded, effective, plain = texts_of(document.policy), texts_of(governor.ruled.policy), texts_of(Policy())
    first = texts_of(from_canonical(Policy, book.file_json)) if book.file_json else recorded
    by_variable = {each.field: each.variable for each in governor.overlays if each.applies}
    rows = []
    for name, value in effective.items():
        version = book.set_in.get(name)
        written = f"version {version}" if version else "default" if recorded[name] == plain[name] else "file"
        origin = f"env {by_variable[name]}" if name in by_variable else written
        rows.append(
            {"field": name, "value": value, "origin": origin, "recorded": recorded[name],
             "file": first[name], "loosens": POLICY_WAYS[name].words}
        )  # fmt: skip
    return {
        "version": governor.version,
        "hash": book.hash,
        "since": iso(book.since_ms) if book.since_ms else None,
        "values": rows,
        "agents": [change_row(change) for change in document.agents],
        "notices": list(notices(governor)),
        "waiting": [request.request_id for request in book.requests.values()],
    }


def change_row(change: PolicyChange) -> dict[str, str]:
    """Return a change as JSON and tables have it."""
    return {"field": change.field, "old": change.old, "new": change.new, "sense": change.sense.value}
