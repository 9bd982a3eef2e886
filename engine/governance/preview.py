"""What the last days would have looked like under another policy, from the checks that were recorded.

A check is on record with what it observed and its limit, so a changed limit can be held against it. What cannot be
known is said: the checks behind a refusal were not made, and a trade that would have been made would have changed what
the decisions after it saw.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from engine.domain.decision import Disposition, describe_action
from engine.domain.governance import PolicyChange, Sense
from engine.domain.money import ZERO, signed_frac
from engine.domain.risk import RiskCheck, Verdict
from engine.governance.agent_fields import AGENT_PREFIX, parts_of
from engine.governance.directions import AGENT_WAYS, LESS_LOOSENS, MORE_LOOSENS, POLICY_WAYS
from engine.store.history import Decided, History

HORIZON_MS = 86_400_000
"""How long after a decision its outcome is read: at the last price on record by then."""
EXAMPLES_MAX = 12
COUNTED = frozenset({"OPEN_POSITIONS", "TRADES_PER_DAY", "ACCOUNT_TRADES_PER_DAY"})
"""Checks whose observed number is how many there are already: one more must still fit under the limit."""
SIZED = frozenset(
    {
        "SIZE_CAP",
        "RISK_PER_TRADE",
        "POSITION_NOTIONAL",
        "PORTFOLIO_SHARE",
        "GROUP_SHARE",
        "NET_EXPOSURE",
        "GROSS_EXPOSURE",
        "LEVERAGE",
        "BUYING_POWER",
    }
)
"""Checks that make an order smaller, and only refuse it when nothing is left."""
_UNIT = {
    "": Decimal(1), "x": Decimal(1), "%": Decimal("0.01"), "ms": Decimal(1), "s": Decimal(1_000),
    "m": Decimal(60_000), "h": Decimal(3_600_000), "d": Decimal(86_400_000),
}  # fmt: skip
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?)(%|ms|s|m|h|d|x)?(?![\w.])")
_OF = re.compile(r" of (\d+(?:\.\d+)?)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One decision that would have gone another way. how: PASS, REFUSE, LARGER or SMALLER.

    moved_frac: what the price did for the trade until a day later, as a part of its price; None: no price is on record.
    value: the same in money of the quote, for the size that was asked.
    """

    ts_ms: int
    agent: str
    instrument: str
    action: str
    how: str
    code: str
    observed: str
    old_limit: str
    new_limit: str
    moved_frac: Decimal | None
    value: Decimal | None


@dataclass(slots=True)
class Preview:
    """What would have been otherwise. unknown: what this does not tell, in sentences."""

    since_ms: int
    decisions: int = 0
    cases: list[Case] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def count(self, how: str) -> int:
        """Return how many decisions would have gone that way."""
        return sum(case.how == how for case in self.cases)

    def outcome(self, how: str) -> tuple[int, int, Decimal]:
        """Return of how many the outcome is known, how many of these won, and what they add up to in money."""
        known = [case for case in self.cases if case.how == how and case.value is not None]
        return len(known), sum((case.value or ZERO) > 0 for case in known), sum((c.value or ZERO for c in known), ZERO)


def preview(past: History, changes: Iterable[PolicyChange], limits_of: Mapping[str, str]) -> Preview:
    """Hold the changed limits against the decisions on record.

    limits_of: check code -> its limit's name as the table of guardrails has it, "policy limits.open_positions".
    """
    made = Preview(past.since_ms, len(past.decisions))
    wanted = {change.field: change for change in changes}
    seen: set[str] = set()
    for decided in past.decisions:
        case = _case(decided, wanted, limits_of, seen, past.prices)
        if case is not None:
            made.cases.append(case)
    made.unknown += list(_unknown(made, past, wanted, seen))
    return made


def _case(
    decided: Decided, wanted: Mapping[str, PolicyChange], limits_of: Mapping[str, str], seen: set[str],
    prices: Mapping[str, list[tuple[int, Decimal]]],
) -> Case | None:  # fmt: skip
    held = [
        (check, wanted[name])
        for check in decided.item.checks
        for name in _fields(limits_of.get(check.code.value, ""), decided.agent)
        if name in wanted
    ]
    seen |= {change.field for _check, change in held}
    for check, change in held:
        how = _how(check, change, decided)
        if how:
            moved, value = _outcome(decided, prices)
            item = decided.item
            return Case(
                ts_ms=decided.ts_ms, agent=decided.agent, instrument=item.instrument,
                action=describe_action(item.direction, item.current_qty, item.target_qty), how=how,
                code=check.code.value, observed=check.observed, old_limit=check.limit, new_limit=change.new,
                moved_frac=moved, value=value,
            )  # fmt: skip
    return None


def _fields(limit: str, agent: str) -> list[str]:
    """Return the fields that a guardrail's limit is made of: the account's, and the agent's own.

    >>> _fields("limits.confidence_min, policy limits.confidence_min", "a")
    ['agents.a.limits.confidence_min', 'limits.confidence_min']
    """
    parts = limit.split(", ")
    return [part.removeprefix("policy ") if part.startswith("policy ") else f"agents.{agent}.{part}" for part in parts]


def _how(check: RiskCheck, change: PolicyChange, decided: Decided) -> str:
    observed, limit = number(check.observed), _limit(check.limit, change.new)
    if observed is None or limit is None:
        return ""
    if change.sense is Sense.LOOSENS and number(check.limit) != number(change.old):
        return ""  # a tighter limit of the agent's or the account's decided, and still does
    fits = _fits(check.code.value, change.field)
    was_refused = check.verdict is Verdict.REFUSE
    if was_refused and decided.item.disposition is Disposition.REFUSED:
        return "PASS" if fits(observed, limit) else ""
    if check.verdict is Verdict.REDUCE:
        old = number(check.limit)
        if old is None or limit == old:
            return ""
        return "LARGER" if limit > old else "SMALLER"
    if check.verdict is Verdict.PASS and not fits(observed, limit):
        return "SMALLER" if check.code.value in SIZED and limit > 0 else "REFUSE"
    return ""


def _fits(code: str, field_name: str) -> Callable[[Decimal, Decimal], bool]:
    is_agents = field_name.startswith(AGENT_PREFIX)
    way = AGENT_WAYS.get(parts_of(field_name)[1]) if is_agents else POLICY_WAYS.get(field_name)
    if way is LESS_LOOSENS:
        return lambda observed, limit: observed >= limit
    if way is not MORE_LOOSENS:
        return lambda observed, limit: True  # no order, so nothing can be told
    if code in COUNTED:
        return lambda observed, limit: observed < limit
    return lambda observed, limit: observed <= limit


def _limit(was: str, new: str) -> Decimal | None:
    """Return the new limit in the old one's terms: "1% of 98000" was a share of something."""
    read, base = number(new), _OF.search(was)
    return read if read is None or base is None else read * Decimal(base[1])


def number(text: str) -> Decimal | None:
    """Return the first number of a check's words: shares as fractions, durations in milliseconds.

    >>> number("12.5% from median"), number("5 others open"), number("90s old"), number("missing")
    (Decimal('0.125'), Decimal('5'), Decimal('90000'), None)
    """
    found = _NUMBER.search(text)
    return None if found is None else Decimal(found[1]) * _UNIT[found[2] or ""]


def _outcome(
    decided: Decided, prices: Mapping[str, list[tuple[int, Decimal]]]
) -> tuple[Decimal | None, Decimal | None]:
    item, known = decided.item, prices.get(decided.item.instrument, [])
    delta = item.target_qty - item.current_qty
    last = bisect_right(known, decided.ts_ms + HORIZON_MS, key=lambda each: each[0]) - 1
    if item.price is None or not item.price > 0 or not delta or last < 0 or known[last][0] <= decided.ts_ms:
        return None, None
    moved = known[last][1] - item.price
    return signed_frac(moved if delta > 0 else -moved, item.price), moved * delta


def _unknown(made: Preview, past: History, wanted: Mapping[str, PolicyChange], seen: set[str]) -> Iterable[str]:
    blind = sorted(set(wanted) - seen)
    if blind:
        yield f"No decision on record was checked against {', '.join(blind)}: what it would do is not known."
    if not past.whole:
        yield "Only the newest decisions were looked at; there are more in the 30 days."
    if made.count("PASS"):
        yield "A refusal ended the checks: whether the later ones would have passed is not known."
    if any(case.value is None for case in made.cases):
        yield "Where no later price is on record, the outcome is not known."
    if made.cases:
        yield "Outcomes are at the last price within a day, before fees, stops and targets; each trade by itself."
