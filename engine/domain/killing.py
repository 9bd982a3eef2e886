"""The kill switch's rules: what each watches, the tiers it climbs, and where each tier begins and ends.

A limit is where a rule's highest tier begins. The tiers below it begin at a share of the limit, unless the trader wrote
a threshold of their own, and each ends a little below where it began, so that nothing flaps (hysteresis).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise

from engine.domain.money import ONE, percent, plain
from engine.errors import UsageError

KILL_SWITCH = "kill-switch"
"""The actor of what the kill switch does."""


class KillAction(StrEnum):
    """What the highest tier of a rule about equity does."""

    HALT = "halt"
    HALT_AND_FLATTEN = "halt_and_flatten"


class KillTier(StrEnum):
    """How far a rule has gone; each tier does what the ones below it do, and more."""

    CLEAR = "clear"
    WARN = "warn"
    REDUCE = "reduce"
    HALT = "halt"
    FLATTEN = "flatten"

    @property
    def rank(self) -> int:
        """0 for CLEAR, to 4 for FLATTEN."""
        return _RANK[self]

    @property
    def is_latched(self) -> bool:
        """Whether only a person leaves it (R17)."""
        return self.rank >= _RANK[KillTier.HALT]

    @property
    def words(self) -> str:
        """What it does, in words, such as "entries off"."""
        return _WORDS[self]


_RANK = {tier: place for place, tier in enumerate(KillTier)}
_WORDS = {
    KillTier.CLEAR: "clear",
    KillTier.WARN: "warning",
    KillTier.REDUCE: "entries off",
    KillTier.HALT: "halt",
    KillTier.FLATTEN: "halt and flatten",
}


class KillUnit(StrEnum):
    """What a rule's figures count: a share of money, things that failed, or milliseconds."""

    FRAC = "frac"
    COUNT = "count"
    MS = "ms"


class KillRule(StrEnum):
    """What the kill switch watches. The first five watch equity, unrealised profit included, at every mark."""

    GAIN = "gain"
    LOSS = "loss"
    DRAWDOWN = "drawdown"
    DAILY_LOSS = "daily_loss"
    DAILY_PROFIT = "daily_profit"
    ANALYSIS_FAILURES = "analysis_failures"
    VENUE_FAILURES = "venue_failures"
    STALE_DATA = "stale_data"
    LEDGER_DRIFT = "ledger_drift"
    CLOCK_SKEW = "clock_skew"
    LOOP_LAG = "loop_lag"

    @property
    def unit(self) -> KillUnit:
        """What its figures count."""
        return _UNITS.get(self, KillUnit.FRAC)


_UNITS = {
    KillRule.ANALYSIS_FAILURES: KillUnit.COUNT,
    KillRule.VENUE_FAILURES: KillUnit.COUNT,
    KillRule.STALE_DATA: KillUnit.MS,
    KillRule.CLOCK_SKEW: KillUnit.MS,
    KillRule.LOOP_LAG: KillUnit.MS,
}
EQUITY_RULES = (KillRule.GAIN, KillRule.LOSS, KillRule.DRAWDOWN, KillRule.DAILY_LOSS, KillRule.DAILY_PROFIT)
OTHER_RULES = tuple(rule for rule in KillRule if rule not in EQUITY_RULES)
PROFITS = (KillRule.GAIN, KillRule.DAILY_PROFIT)
"""Rules about too much profit: up to their limit entries go on, for nothing is wrong yet."""
UNBOUNDED = (KillRule.GAIN, KillRule.DAILY_PROFIT, *(rule for rule in KillRule if rule.unit is not KillUnit.FRAC))
"""Rules whose limit may be 1 or more: equity cannot lose all of itself twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KillLimits:
    """Where each rule's highest tier begins, and where those below it do.

    gain, loss: of equity at the start; drawdown: from the highest equity; daily: of equity at 00:00 UTC.
    analysis_failures: cycles failed in a row, over all agents; venue_failures: answers of the venue that failed in a
    row. stale_data_ms: age of the price of something held, while its market is open. ledger_drift_frac: worth of what
    the books hold and the venue does not show, of equity. clock_skew_ms: how far the clock jumped, or the venue's is
    ahead. loop_lag_ms: how long the engine's loop stood still; its highest tier is entries off.
    warn_at_frac, reduce_at_frac: of a limit, where warning and entries off begin; hysteresis_frac: how much of its
    threshold a figure must fall back below to leave a tier. thresholds: what the trader wrote instead, such as
    "loss_warn", "loss_reduce", "loss_halt" or "loss_hysteresis", in the rule's own unit.
    """

    gain_frac: Decimal = Decimal("0.5")
    loss_frac: Decimal = Decimal("0.05")
    drawdown_frac: Decimal = Decimal("0.10")
    daily_loss_frac: Decimal = Decimal("0.03")
    daily_profit_frac: Decimal = Decimal("0.5")
    analysis_failures: int = 10
    venue_failures: int = 5
    stale_data_ms: int = 300_000
    ledger_drift_frac: Decimal = Decimal("0.01")
    clock_skew_ms: int = 2_000
    loop_lag_ms: int = 5_000
    warn_at_frac: Decimal = Decimal("0.6")
    reduce_at_frac: Decimal = Decimal("0.8")
    hysteresis_frac: Decimal = Decimal("0.1")
    thresholds: Mapping[str, Decimal] = field(default_factory=dict)
    action: KillAction = KillAction.HALT_AND_FLATTEN

    def limit(self, rule: KillRule) -> Decimal:
        """Return where the rule's highest tier begins, in its unit."""
        suffix = "" if rule.unit is KillUnit.COUNT else f"_{rule.unit.value}"
        return Decimal(getattr(self, rule.value + suffix))

    def top(self, rule: KillRule) -> KillTier:
        """Return the rule's highest tier. Only rules about equity flatten: the others say that what we know is in
        doubt, and then nothing says that selling is right."""
        if rule is KillRule.LOOP_LAG:
            return KillTier.REDUCE
        flattens = rule in EQUITY_RULES and self.action is KillAction.HALT_AND_FLATTEN
        return KillTier.FLATTEN if flattens else KillTier.HALT


@dataclass(frozen=True, slots=True)
class KillStep:
    """One tier of a rule: it begins when the figure reaches `at`, and ends when it is `leave` or less."""

    tier: KillTier
    at: Decimal
    leave: Decimal


def steps_of(limits: KillLimits, rule: KillRule) -> tuple[KillStep, ...]:
    """Return a rule's tiers, lowest first. Raises UsageError when they can never be reached or are out of order.

    >>> [(step.tier.value, str(step.at), str(step.leave)) for step in steps_of(KillLimits(), KillRule.LOSS)]
    [('warn', '0.030', '0.0270'), ('reduce', '0.040', '0.0360'), ('flatten', '0.05', '0.045')]
    """
    limit, top = limits.limit(rule), limits.top(rule)
    if not (limit.is_finite() and limit >= 0 and (rule in UNBOUNDED or limit < 1)):
        raise UsageError(f'kill_switch {rule} {limit} can never trip; write a share such as "5%".')
    begins = {KillTier.WARN: limit * limits.warn_at_frac, top: limit}
    if top is not KillTier.REDUCE and rule not in PROFITS:
        begins[KillTier.REDUCE] = limit * limits.reduce_at_frac
    for tier in (KillTier.WARN, KillTier.REDUCE, KillTier.HALT):
        written = limits.thresholds.get(f"{rule}_{tier}")
        if written is not None and tier.rank < top.rank:
            begins[tier] = written
    ordered = sorted(begins.items(), key=lambda item: item[0].rank)
    _refuse_disorder(rule, ordered)
    keep = ONE - limits.thresholds.get(f"{rule}_hysteresis", limits.hysteresis_frac)
    return tuple(KillStep(tier, at, at * keep) for tier, at in ordered)


def _refuse_disorder(rule: KillRule, ordered: list[tuple[KillTier, Decimal]]) -> None:
    for (lower, low), (higher, high) in pairwise(ordered):
        if not 0 <= low <= high:
            write = percent if rule.unit is KillUnit.FRAC else plain
            order = f"{lower} begins at {write(low)}, above {higher} at {write(high)}"
            raise UsageError(f"kill_switch {rule}: {order}; put them in order.")


def climbed(steps: Iterable[KillStep], observed: Decimal, current: KillTier, base: Decimal = ONE) -> KillTier:
    """Return the tier of a figure, coming from a tier. base: what the thresholds are shares of; latched tiers stay.

    >>> steps = steps_of(KillLimits(), KillRule.LOSS)
    >>> [climbed(steps, Decimal(seen), KillTier.CLEAR).value for seen in ("0.029", "0.03", "0.045", "0.5")]
    ['clear', 'warn', 'reduce', 'flatten']
    >>> climbed(steps, Decimal("0.037"), KillTier.REDUCE).value, climbed(steps, Decimal("0.036"), KillTier.REDUCE).value
    ('reduce', 'warn')
    """
    found = KillTier.CLEAR
    for step in steps:
        reached = observed >= base * step.at
        if reached or (step.tier.rank <= current.rank and observed > base * step.leave):
            found = step.tier
    return current if current.is_latched and found.rank < current.rank else found
