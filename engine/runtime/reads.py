"""Everything a person may read of a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from engine.clock import SystemClock
from engine.control.wire import to_json
from engine.domain.money import plain
from engine.errors import UsageError
from engine.paths import StorePaths
from engine.runtime.foresight import preview
from engine.runtime.link import LIVE_VIEWS
from engine.runtime.stores import there
from engine.store import queries
from engine.store.changes import policy_events, policy_requests
from engine.store.explain import explain
from engine.store.export import export as export_table
from engine.store.reader import AsyncReader, Question, Reader
from engine.store.spend import spend
from engine.store.troubles import troubles
from engine.store.verify import APART_FROM, VerifyReport
from engine.store.verify import verify as verify_store

if TYPE_CHECKING:
    from engine.control.core import Core

ROWS_SHOWN = 50
ROWS_MAX = 1_000_000
SPEND_DAYS, SPEND_DAYS_MAX = 30, 3_660


class StoreReader:
    """Answers queries inside a running engine: what is live from the core, what is past from the store."""

    def __init__(self, paths: StorePaths, core: Core) -> None:
        self._core = core
        self._paths = paths
        self._reader = AsyncReader(paths)

    async def read(self, name: str, args: dict[str, str]) -> Any:
        """Answer one query with rows or fields that JSON can carry."""
        if name == "policy_preview":
            return await preview(self._paths, self._core, args)
        if name in LIVE_VIEWS:
            return live_view(self._core, name)
        rows = with_files(self._paths, name, await self._reader.read(question(name, args)))
        return [_valued(self._core, row) for row in rows] if name == "answered" else rows

    async def close(self) -> None:
        """Close the read connection."""
        await self._reader.close()


def _valued(core: Core, row: Any) -> Any:
    """Say what a rejected trade that is still followed would be worth now, where there is a price."""
    price = core.desk.surroundings.valuation.price(row["instrument"])
    if row["shadow_entry"] is None or row["shadow_how"] is not None or price is None:
        return row
    sign = 1 if row["side"] == "BUY" else -1
    moved = (price - Decimal(row["shadow_entry"])) * Decimal(row["qty"]) * sign
    word = "up" if moved >= 0 else "down"
    told = f"filled at {row['shadow_entry']}, now {plain(price)}: {word} {plain(abs(moved))} before fees"
    return row | {"would_have": told}


def question(name: str, args: dict[str, str]) -> Question[Any]:
    """Return the store's question behind a reading command; UsageError for one that there is not."""
    agent, instrument = args.get("agent"), args.get("instrument")
    limit = _limit(args.get("limit", str(ROWS_SHOWN)))
    if name == "explain":
        return explain(args.get("cycle", ""))
    if name == "decisions":
        acted = args.get("acted_only", "").lower() == "true"
        return queries.decisions(limit, agent=agent, acted_only=acted, instrument=instrument)
    if name == "positions":
        return _only(queries.positions(open_only=True), agent, instrument, limit)
    if name == "differences":
        return queries.differences(limit, open_only=args.get("open_only", "").lower() == "true")
    if name == "spend":
        return spend(_days(args.get("days", str(SPEND_DAYS))), SystemClock().now_ms())
    if name == "policy_requests":
        return policy_requests(limit, open_only=args.get("open_only", "").lower() == "true")
    plain_lists = {
        "orders": queries.orders, "fills": queries.fills, "ledger": queries.ledger, "states": queries.states,
        "incidents": troubles, "answered": queries.approvals, "policy_events": policy_events,
    }  # fmt: skip
    if name not in plain_lists:
        known = ", ".join(
            ("decisions", "positions", "differences", "explain", "spend", "policy_requests", *plain_lists)
        )
        raise UsageError(f"No table {name!r}; there are: {known}.")
    return _only(plain_lists[name](limit if not (agent or instrument) else None), agent, instrument, limit)


def with_files(paths: StorePaths, name: str, answer: Any) -> Any:
    """Return a reading command's answer with what the store keeps beside its journal."""
    if name != "explain" or not (answer.get("asked") or answer.get("situation") or answer.get("beside")):
        return answer
    from engine.runtime.explaining import with_kept  # only what a model was asked needs it

    return with_kept(paths, answer)


def _days(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) <= SPEND_DAYS_MAX):
        raise UsageError(f"days {text[:20]!r} is not a number of days from 1 to {SPEND_DAYS_MAX}.")
    return int(text)


def _limit(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) <= ROWS_MAX):
        raise UsageError(f"limit {text[:20]!r} is not a number of rows from 1 to {ROWS_MAX}.")
    return int(text)


def _only(asked: Question[Any], agent: str | None, instrument: str | None, limit: int) -> Question[Any]:
    rows = yield from asked
    kept = [
        row
        for row in rows
        if agent in (None, row.get("agent", row.get("agent_id"))) and instrument in (None, row.get("instrument"))
    ]
    return kept[:limit]


def live_view(core: Core, name: str) -> Any:
    """Return the status, the agents or the waiting approvals, as JSON can carry them."""
    from engine.control import views  # the whole core, which the past can be read without
    from engine.control.handlers import governor_of
    from engine.control.policy_views import policy_table

    if name == "policy":
        return policy_table(governor_of(core))
    shown = views.snapshot(core, mono_ms=SystemClock().mono_ms(), progress=None, finished=False)
    if name == "status":
        return to_json(shown)
    return to_json(shown.agents if name == "agents" else shown.approvals)


def export(
    store: Path, table: str, fmt: str, out: TextIO, since_ms: int | None = None, until_ms: int | None = None
) -> int:
    """Write a table, or its rows of a time; returns their number. Reads beside a running engine, on a connection of
    its own."""
    with reading(store) as reader:
        return export_table(reader, table, fmt, out, since_ms=since_ms, until_ms=until_ms)


@contextmanager
def reading(store: Path) -> Iterator[Reader]:
    """Open a store for reading only, whether an engine owns it or not."""
    reader = Reader(there(store))
    try:
        yield reader
    finally:
        reader.close()


def verify(store: Path) -> VerifyReport:
    """Prove a store's chain and ledger; UsageError when there is none."""
    return verify_store(there(store), apart_from=APART_FROM)
