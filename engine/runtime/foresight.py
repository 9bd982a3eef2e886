"""What a change of the policy would have done: read and reckoned off the engine's loop, within bounds."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.clock import DAY_MS, iso
from engine.domain.governance import PolicyChange
from engine.domain.money import plain
from engine.errors import UsageError
from engine.paths import StorePaths

if TYPE_CHECKING:
    from engine.control.core import Core
    from engine.governance.preview import Case, Preview

DAYS = 30
READ_MS_MAX = 1_000
"""How long one statement may take; beside it the engine goes on."""


async def preview(paths: StorePaths, core: Core, args: dict[str, str]) -> dict[str, Any]:
    """Return what the last 30 days of decisions would have been under a request, or under changes as a JSON object."""
    from engine.control.handlers import governor_of

    governor = governor_of(core)
    if "request" in args:
        request = governor.book.requests.get(args["request"])
        if request is None:
            raise UsageError(
                f"{args['request'][:20]} does not wait; `quarterdeck policy requests` lists those that do."
            )
        changes = request.changes
    else:
        changes = governor.foreseen(_asked(args.get("changes", "")))
    since_ms = max(0, core.desk.clock.now_ms() - DAYS * DAY_MS)
    made = await asyncio.to_thread(_reckoned, paths, since_ms, changes)
    return {"changes": [_change(each) for each in changes], "preview": _shown(made)}


def _asked(text: str) -> dict[str, str]:
    try:
        asked = json.loads(text)
    except ValueError:
        asked = None
    if not isinstance(asked, dict) or not all(isinstance(value, str) for value in asked.values()):
        raise UsageError("A preview needs a request, or changes as a JSON object of texts.")
    return asked


def _reckoned(paths: StorePaths, since_ms: int, changes: tuple[PolicyChange, ...]) -> Preview:
    from engine.governance.preview import preview as reckon
    from engine.risk.guardrails import table
    from engine.store.history import history
    from engine.store.reader import Reader

    reader = Reader(paths, READ_MS_MAX)
    try:
        past = reader.read(history(since_ms))
    finally:
        reader.close()
    return reckon(past, changes, {row[0]: row[3] for row in table() if row[3]})


def _change(change: PolicyChange) -> dict[str, str]:
    return {"field": change.field, "old": change.old, "new": change.new, "sense": change.sense.value}


def _shown(made: Preview) -> dict[str, Any]:
    from engine.governance.preview import EXAMPLES_MAX

    ways = {
        "would_pass": "PASS",
        "would_be_refused": "REFUSE",
        "would_be_larger": "LARGER",
        "would_be_smaller": "SMALLER",
    }
    return {
        "since": iso(made.since_ms),
        "decisions": made.decisions,
        **{name: _counted(made, how) for name, how in ways.items()},
        "cases": [_case(each) for each in made.cases[-EXAMPLES_MAX:]],
        "unknown": made.unknown,
    }


def _counted(made: Preview, how: str) -> dict[str, Any]:
    known, won, value = made.outcome(how)
    return {"count": made.count(how), "outcome_known": known, "won": won, "value": plain(round(value, 2))}


def _case(case: Case) -> dict[str, Any]:
    return {
        "ts": iso(case.ts_ms), "agent": case.agent, "instrument": case.instrument, "action": case.action,
        "how": case.how, "code": case.code, "observed": case.observed, "old_limit": case.old_limit,
        "new_limit": case.new_limit, "moved_frac": _text(case.moved_frac, 6), "value": _text(case.value, 2),
    }  # fmt: skip


def _text(value: Decimal | None, places: int) -> str | None:
    return None if value is None else plain(round(value, places))
