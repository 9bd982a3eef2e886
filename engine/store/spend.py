"""What models cost, as a person reads it: a summary of days, the caps and what is left of them, and a ledger by day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from engine.clock import DAY_MS, iso
from engine.domain.budget import Caps, HowPosted, Purpose, Window, day_of, month_of
from engine.domain.burning import burn, runs_out_ms
from engine.domain.decision import AnsweredBy, Outcome
from engine.domain.events import (
    AiSwitched,
    BesideDone,
    BudgetCapped,
    BudgetHeld,
    BudgetPosted,
    CycleDone,
    EquityMarked,
    FundsMoved,
    Genesis,
    HoldTagged,
    OrderIntended,
)
from engine.domain.ledger import Account
from engine.domain.market import SourceKind
from engine.domain.money import ZERO, plain
from engine.domain.order import OrderRole
from engine.store.queries import PAGE_ROWS, RARE, first_at
from engine.store.reader import Question
from engine.store.rows import Record, event_of
from engine.store.tables import ACCOUNT_NUMBER, PAIRS_MAX

_FIGURES = ("calls", "input_tokens", "output_tokens", "cached_tokens")
_MONTH_MS = 31 * DAY_MS
_LATE_MS = 2 * DAY_MS
"""Calls held so long before are read too, for what is posted of them."""
_PLACES = Decimal("1e-9")
DECISION = "decision"


@dataclass(slots=True)
class Call:
    """One hold, and what was posted to it; None while it is open. purpose: None for a decision's."""

    held_ms: int
    held: BudgetHeld
    posted: BudgetPosted | None = None
    purpose: Purpose | None = None

    @property
    def worst_tokens(self) -> int:
        """Tokens it may use at most."""
        return self.held.input_tokens + self.held.output_tokens_max

    @property
    def usd(self) -> Decimal:
        """What it cost, 0 while it is open."""
        return self.posted.usd if self.posted is not None else ZERO

    @property
    def tokens(self) -> int:
        """What it used, 0 while it is open."""
        if self.posted is None:
            return 0
        used = self.posted.input_tokens + self.posted.output_tokens
        return used if self.posted.how is HowPosted.USAGE else self.worst_tokens


@dataclass(slots=True)
class _Facts:
    calls: list[Call] = field(default_factory=list)
    caps: Caps = ()
    off: dict[str, tuple[int, AiSwitched]] = field(default_factory=dict)
    trades: int = 0
    fallback: int = 0
    over_budget: int = 0
    beside: dict[tuple[str, str], int] = field(default_factory=dict)
    pnl: Decimal | None = None
    in_usd: bool = False


def spend(days: int, wall_ms: int) -> Question[Record]:
    """Ask for what models cost in the last days, today included. wall_ms: now; a recording's store has its own time."""
    genesis, last_ms = yield from _origin()
    now_ms = wall_ms if genesis is None or genesis.source_kind == SourceKind.LIVE.value else last_ms
    since_ms = (day_of(now_ms) - days + 1) * DAY_MS
    facts = _Facts(in_usd=genesis is not None and "USD" in (genesis.account_currency, *_pegged(genesis)))
    yield from _calls(facts, min(since_ms, now_ms - _MONTH_MS) - _LATE_MS)
    yield from _results(facts, since_ms)
    period = [call for call in facts.calls if call.held_ms >= since_ms]
    return {
        "days": days,
        "from": iso(since_ms),
        "until": iso(now_ms),
        "summary": _summary(period, facts),
        "windows": list(_windows(facts, now_ms)),
        "off": [_off_row(name, *each) for name, each in facts.off.items() if not 0 < each[1].until_ms <= now_ms],
        "ledger": list(_ledger(period)),
    }


def _pegged(genesis: Genesis) -> tuple[str, ...]:
    return ("USD",) if genesis.account_currency in genesis.usd_peg else ()


def _origin() -> Question[tuple[Genesis | None, int]]:
    rows = yield "SELECT payload, kind FROM journal WHERE seq = 1", ()
    first = event_of(rows[0][1], rows[0][0]) if rows else None
    last = yield "SELECT ts_ms FROM journal ORDER BY seq DESC LIMIT 1", ()
    return (first if isinstance(first, Genesis) else None), (last[0][0] if last else 0)


def _events(kind: int, first: int, among: str = RARE) -> Question[list[tuple[int, Any]]]:
    """Ask for all events of a kind from a row on, with their times, a page at a time: an engine goes on in between."""
    sql = f"SELECT seq, ts_ms, payload FROM journal WHERE kind = {kind} AND {among} AND seq > ? ORDER BY seq LIMIT ?"
    found: list[tuple[int, Any]] = []
    at = first - 1
    while True:
        rows = yield sql, (at, PAGE_ROWS)
        found += [(ts_ms, event_of(kind, kept)) for _seq, ts_ms, kept in rows]
        if len(rows) < PAGE_ROWS:
            return found
        at = rows[-1][0]


def _calls(facts: _Facts, begin_ms: int) -> Question[None]:
    first = yield from first_at(begin_ms)
    by_id = {event.hold_id: Call(ts_ms, event) for ts_ms, event in (yield from _events(BudgetHeld.KIND, first))}
    for _ts_ms, event in (yield from _events(BudgetPosted.KIND, first)):
        if event.hold_id in by_id:
            by_id[event.hold_id].posted = event
    for _ts_ms, event in (yield from _events(HoldTagged.KIND, first)):
        if event.hold_id in by_id:
            by_id[event.hold_id].purpose = event.purpose
    facts.calls = list(by_id.values())
    for _ts_ms, event in (yield from _events(BudgetCapped.KIND, 0)):
        facts.caps = event.caps
    for ts_ms, event in (yield from _events(AiSwitched.KIND, 0)):
        if event.on:
            facts.off = {k: v for k, v in facts.off.items() if event.provider not in ("", k)}
        else:
            facts.off[event.provider] = (ts_ms, event)


def _results(facts: _Facts, since_ms: int) -> Question[None]:
    """Count who answered, the trades of agents that asked models, and what the account made in the meantime."""
    first = yield from first_at(since_ms)
    for _ts_ms, event in (yield from _events(CycleDone.KIND, first, "TRUE")):
        facts.fallback += event.answered_by is AnsweredBy.FALLBACK
        facts.over_budget += event.outcome is Outcome.OVER_BUDGET
    for _ts_ms, event in (yield from _events(BesideDone.KIND, first)):
        key = (event.purpose.value, event.outcome.value)
        facts.beside[key] = facts.beside.get(key, 0) + 1
    agents = {call.held.agent for call in _deciding(facts.calls) if call.held_ms >= since_ms}
    if agents:
        yield from _trades(facts, agents, first)
    mark = "SELECT seq, payload FROM journal WHERE kind = ? AND seq >= ? ORDER BY seq"
    began = yield f"{mark} LIMIT 1", (EquityMarked.KIND, first)
    ended = yield f"{mark} DESC LIMIT 1", (EquityMarked.KIND, first)
    if not began or began == ended:
        return
    old, new = event_of(EquityMarked.KIND, began[0][1]), event_of(EquityMarked.KIND, ended[0][1])
    assert isinstance(old, EquityMarked)
    assert isinstance(new, EquityMarked)
    came = yield from _moved(began[0][0], ended[0][0])
    facts.pnl = new.equity - old.equity - came


def _trades(facts: _Facts, agents: set[str], first: int) -> Question[None]:
    sql = "SELECT o.seq, j.payload FROM orders o JOIN journal j ON j.seq = o.seq WHERE o.seq > ? ORDER BY o.seq LIMIT ?"
    at = first - 1
    while rows := (yield sql, (at, PAGE_ROWS)):
        for _seq, kept in rows:
            event = event_of(OrderIntended.KIND, kept)
            assert isinstance(event, OrderIntended)
            facts.trades += event.agent in agents and event.role in (OrderRole.ENTRY, OrderRole.EXIT)
        at = rows[-1][0]


def _moved(first: int, last: int) -> Question[Decimal]:
    sql = (
        "SELECT DISTINCT j.seq, j.kind, j.payload FROM ledger l JOIN journal j ON j.seq = l.id / ? "
        "WHERE l.id >= ? AND l.id < ? AND ? IN (l.source, l.target)"
    )
    came = ZERO
    bounds = (PAIRS_MAX, first * PAIRS_MAX, last * PAIRS_MAX, ACCOUNT_NUMBER[Account.OUTSIDE])
    for _seq, kind, kept in (yield sql, bounds):
        event = event_of(kind, kept)
        came += event.value if isinstance(event, FundsMoved) else ZERO
    return came


def _deciding(calls: Iterable[Call]) -> list[Call]:
    """Return the calls for decisions that may trade; reruns and shadows are not among them."""
    return [call for call in calls if call.purpose is None]


def _summary(calls: list[Call], facts: _Facts) -> Record:
    usd = sum((call.usd for call in calls), ZERO)
    deciding = _deciding(calls)
    decided_usd = sum((call.usd for call in deciding), ZERO)
    decisions = len({call.held.cycle_id for call in deciding})
    pnl = facts.pnl
    return {
        **_figures(calls),
        "decisions": decisions,
        "fallback_answers": facts.fallback,
        "over_budget": facts.over_budget,
        "trades": facts.trades,
        "usd_per_decision": _share(decided_usd, decisions),
        "usd_per_trade": _share(decided_usd, facts.trades),
        "pnl": None if pnl is None else plain(pnl),
        "pnl_after_ai": plain(pnl - usd) if pnl is not None and facts.in_usd else None,
        "usd_share_of_pnl": _share(usd, pnl) if pnl is not None and pnl > 0 and facts.in_usd else None,
        "by_provider": _grouped(calls, ("provider",)),
        "by_model": _grouped(calls, ("provider", "model")),
        "by_agent": _grouped(calls, ("agent",)),
        "by_purpose": _by_purpose(calls),
        "beside": [
            {"purpose": purpose, "outcome": outcome, "questions": count}
            for (purpose, outcome), count in sorted(facts.beside.items())
        ],
    }


def _figures(calls: Iterable[Call]) -> Record:
    """Add up calls. Tokens are those that answers named; what was charged in full had none."""
    posted = [call for call in calls if call.posted is not None]
    told = [call.posted for call in posted if call.posted is not None]
    over = [call for call in posted if call.usd > call.held.usd or call.tokens > call.worst_tokens]
    return {
        "calls": len(posted),
        "input_tokens": sum(each.input_tokens for each in told),
        "output_tokens": sum(each.output_tokens for each in told),
        "cached_tokens": sum(each.cached_tokens for each in told),
        "charged_in_full": sum(each.how is not HowPosted.USAGE for each in told),
        "above_reservation": len(over),
        "usd": plain(sum((call.usd for call in posted), ZERO)),
    }


def _grouped(calls: Iterable[Call], names: tuple[str, ...]) -> list[Record]:
    groups: dict[tuple[str, ...], list[Call]] = {}
    for call in calls:
        groups.setdefault(tuple(getattr(call.held, name) for name in names), []).append(call)
    return [dict(zip(names, key, strict=True)) | _figures(group) for key, group in sorted(groups.items())]


def _by_purpose(calls: Iterable[Call]) -> list[Record]:
    groups: dict[str, list[Call]] = {}
    for call in calls:
        groups.setdefault(_purpose(call), []).append(call)
    return [{"purpose": name} | _figures(group) for name, group in sorted(groups.items())]


def _purpose(call: Call) -> str:
    return DECISION if call.purpose is None else call.purpose.value


def _ledger(calls: Iterable[Call]) -> Iterator[Record]:
    """Yield a row a day, purpose, provider, model and agent, newest day first."""
    days: dict[tuple[int, str], list[Call]] = {}
    for call in calls:
        days.setdefault((-day_of(call.held_ms), _purpose(call)), []).append(call)
    for (day, purpose), group in sorted(days.items()):
        for row in _grouped(group, ("provider", "model", "agent")):
            yield {"day": iso(-day * DAY_MS)[:10], "purpose": purpose, **row}


def _windows(facts: _Facts, now_ms: int) -> Iterator[Record]:
    """Yield a row a cap: what is spent, held and left in the open window, and when it runs out at this pace."""
    for cap in facts.caps:
        of = day_of if cap.window is Window.DAY else month_of
        mine = [call for call in facts.calls if of(call.held_ms) == of(now_ms) and _in_scope(call, cap.scope)]
        if ":" not in cap.scope and cap.scope:
            continue  # each by itself has no one sum
        spent = sum((call.usd for call in mine), ZERO)
        held = sum((call.held.usd for call in mine if call.posted is None), ZERO)
        pace = burn(spent, min((call.held_ms for call in mine), default=now_ms), now_ms)
        out_ms = runs_out_ms(cap.usd - spent - held, pace, cap.window, now_ms)
        yield {
            "scope": cap.scope or "all",
            "window": cap.window.value,
            "spent_usd": plain(spent),
            "reserved_usd": plain(held),
            "cap_usd": plain(cap.usd),
            "spent_tokens": sum(call.tokens for call in mine),
            "reserved_tokens": sum(call.worst_tokens for call in mine if call.posted is None),
            "cap_tokens": cap.tokens,
            "usd_per_hour": plain(pace),
            "runs_out": iso(out_ms) if out_ms is not None else None,
        }


def _in_scope(call: Call, scope: str) -> bool:
    return scope in ("", f"provider:{call.held.provider}", f"agent:{call.held.agent}")


def _off_row(provider: str, since_ms: int, event: AiSwitched) -> Record:
    return {
        "provider": provider or "all",
        "since": iso(since_ms),
        "until": iso(event.until_ms) if event.until_ms else None,
        "actor": event.actor,
        "reason": event.reason,
    }


def _share(usd: Decimal, whole: Any) -> str | None:
    return plain((usd / whole).quantize(_PLACES)) if whole else None
