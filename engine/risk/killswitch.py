"""The kill switch: a verdict on the account, with no model, database, clock or screen in its path (R18).

Control acts on the verdict. An exception here, and equity that is not known, are trips: absence of proof is "off".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from engine.domain.killing import (
    EQUITY_RULES,
    PROFITS,
    KillLimits,
    KillRule,
    KillStep,
    KillTier,
    KillUnit,
    climbed,
    steps_of,
)
from engine.domain.money import ONE, ZERO, percent, plain, signed_frac

EQUITY_UNKNOWN = "EQUITY_UNKNOWN"
_ABOUT_EQUITY = {*EQUITY_RULES, EQUITY_UNKNOWN}

_NEVER = Decimal("Infinity")


@dataclass(frozen=True, slots=True)
class Trip:
    """A rule that moves to another tier, up or down.

    rule: a KillRule or EQUITY_UNKNOWN, whose figures are 0. observed, limit: in the rule's unit; limit: where the tier
    it enters begins, or going down, the one it leaves. evidence: the inputs, as "name=value" joined by ";".
    """

    rule: str
    was: KillTier
    tier: KillTier
    observed: Decimal
    limit: Decimal
    evidence: str = ""

    @property
    def is_up(self) -> bool:
        """Tell whether it does more than before."""
        return self.tier.rank > self.was.rank

    @property
    def sentence(self) -> str:
        """Say it on one line, such as "drawdown 10.2% reached the limit of 10%"."""
        if self.rule == EQUITY_UNKNOWN:
            return "the worth of the account is not known"
        unit = KillRule(self.rule).unit
        seen, limit = worded(self.observed, unit), worded(self.limit, unit)
        if not self.is_up:
            return f"{self.rule} {seen} is back below {limit}"
        mark = "the limit" if self.tier.is_latched else f"the mark for {self.tier.words}"
        return f"{self.rule} {seen} reached {mark} of {limit}"


@dataclass(frozen=True, slots=True)
class Gauge:
    """How much of one rule's limit is used up, and where its tiers begin; None: it has no such tier.

    observed, limit and the tiers' beginnings are in `unit`; used_frac is 1 or more where the limit is reached.
    """

    rule: KillRule
    unit: KillUnit
    tier: KillTier
    observed: Decimal
    limit: Decimal
    used_frac: Decimal
    warn_at: Decimal | None = None
    reduce_at: Decimal | None = None
    halt_at: Decimal | None = None
    flatten_at: Decimal | None = None


def worded(value: Decimal, unit: KillUnit) -> str:
    """Write a figure of a rule.

    >>> worded(Decimal("0.05"), KillUnit.FRAC), worded(Decimal(90_000), KillUnit.MS), worded(Decimal(3), KillUnit.COUNT)
    ('5%', '90s', '3')
    """
    if unit is KillUnit.FRAC:
        return percent(value)
    return plain((value / 1000).quantize(Decimal("0.001"))) + "s" if unit is KillUnit.MS else plain(value)


class KillSwitch:
    """Holds the range in which no rule about equity moves, so that an ordinary mark costs two comparisons.

    tiers: rule -> its tier, where it is not clear; whoever acts on a trip says so with take(). others_moved: whether a
    rule that is not about equity is among them. A limit of 0 allows nothing: it trips at the baseline itself (R20).
    """

    def __init__(self, limits: KillLimits, tiers: Mapping[str, KillTier] | None = None) -> None:
        """Raise UsageError unless every limit is finite, 0 or more, and below 1 where equity cannot lose more."""
        self.limits = limits
        self.tiers: dict[str, KillTier] = {}
        self._steps = {rule: steps_of(limits, rule) for rule in KillRule}
        self._begin(tiers or {})

    def take(self, rule: str, tier: KillTier) -> None:
        """Let a rule be in a tier from here on."""
        self._begin({**self.tiers, rule: tier})

    def begin_anew(self) -> None:
        """Let all rules be clear; a person looked."""
        self._begin({})

    def _begin(self, tiers: Mapping[str, KillTier]) -> None:
        self.tiers = {rule: tier for rule, tier in tiers.items() if tier is not KillTier.CLEAR}
        self.others_moved = not self.tiers.keys() <= _ABOUT_EQUITY
        self._floors, self._ceilings = self._bounds()
        self._start = self._peak = self._day_start = ZERO
        self._floor, self._ceiling = _NEVER, ZERO

    def evaluate(self, equity: Decimal | None, start: Decimal, peak: Decimal, day_start: Decimal) -> tuple[Trip, ...]:
        """Return the rules about equity that move: gain, loss, drawdown, daily loss and daily profit, in this order.

        All four in account currency, equity with unrealised profit; EQUITY_UNKNOWN when one is not finite and positive.
        """
        try:
            if start is not self._start or peak is not self._peak or day_start is not self._day_start:
                self._measure_from(start, peak, day_start)
            if self._floor < equity < self._ceiling:  # type: ignore[operator]  # None is caught below, on purpose
                return ()
            return self._moves(equity, start, peak, day_start)
        except Exception:
            return (self._unknown(equity, start, peak, day_start),)

    def assess(self, rule: KillRule, observed: Decimal, evidence: str = "") -> Trip | None:
        """Return how a rule that is not about equity moves, None when it stays. observed: in its unit, not NaN."""
        return self._move(rule, observed, observed, ONE, evidence)

    def gauges(
        self, equity: Decimal | None, start: Decimal, peak: Decimal, day_start: Decimal,
        others: Mapping[KillRule, Decimal] | None = None,
    ) -> tuple[Gauge, ...]:  # fmt: skip
        """Return a gauge per rule, in the rules' order; none about equity when it or a baseline is not known.

        others: what the rules that are not about equity have seen.
        """
        known = equity is not None and all(_known(each) for each in (equity, start, peak, day_start))
        seen = dict(others or {})
        if known and equity is not None:
            for rule, base in self._bases(start, peak, day_start):
                seen[rule] = max(ZERO, signed_frac(_lost(rule, equity, base), base))
        return tuple(self._gauge(rule, seen[rule]) for rule in KillRule if rule in seen)

    def _gauge(self, rule: KillRule, observed: Decimal) -> Gauge:
        limit, tier = self.limits.limit(rule), self.tiers.get(rule, KillTier.CLEAR)
        reached = observed >= limit or tier is self.limits.top(rule)
        used = max(signed_frac(observed, limit), ONE if reached else ZERO)
        begins = {f"{step.tier}_at": step.at for step in self._steps[rule]}
        return Gauge(rule, rule.unit, tier, observed, limit, used, **begins)

    def _bounds(self) -> tuple[list[tuple[int, Decimal]], list[tuple[int, Decimal]]]:
        """Return what equity may not fall to or rise to, as (place of the baseline, factor), for the present tiers."""
        floors, ceilings = [], []
        for rule in EQUITY_RULES:
            up, down = self._edges(rule)
            place, sign = _PLACE[rule], ONE if rule in PROFITS else -ONE
            for edge, is_floor in ((up, rule not in PROFITS), (down, rule in PROFITS)):
                if edge is not None:
                    (floors if is_floor else ceilings).append((place, ONE + sign * edge))
        return floors, ceilings

    def _edges(self, rule: KillRule) -> tuple[Decimal | None, Decimal | None]:
        """Return where a rule's next tier begins, and where its present one ends."""
        now = self.tiers.get(rule, KillTier.CLEAR)
        above = [step.at for step in self._steps[rule] if step.tier.rank > now.rank]
        here = [step.leave for step in self._steps[rule] if step.tier.rank <= now.rank]
        return min(above, default=None), None if now.is_latched else max(here, default=None)

    def _measure_from(self, start: Decimal, peak: Decimal, day_start: Decimal) -> None:
        # No range is in order until the new one stands: a failure in here leaves nothing that could pass.
        self._floor, self._ceiling = _NEVER, ZERO
        self._start, self._peak, self._day_start = start, peak, day_start
        if not (_known(start) and _known(peak) and _known(day_start)):
            return
        bases = (start, peak, day_start)
        floor = max([bases[place] * factor for place, factor in self._floors], default=ZERO)
        self._ceiling = min([bases[place] * factor for place, factor in self._ceilings], default=_NEVER)
        self._floor = floor

    def _moves(self, equity: Decimal | None, start: Decimal, peak: Decimal, day_start: Decimal) -> tuple[Trip, ...]:
        if equity is None or not all(_known(each) for each in (equity, start, peak, day_start)):
            return (self._unknown(equity, start, peak, day_start),)
        evidence = _evidence(equity, start, peak, day_start)
        moves = []
        for rule, base in self._bases(start, peak, day_start):
            lost = _lost(rule, equity, base)
            moves.append(self._move(rule, lost, max(ZERO, signed_frac(lost, base)), base, evidence))
        return tuple(move for move in moves if move is not None)

    def _move(self, rule: KillRule, figure: Decimal, observed: Decimal, base: Decimal, evidence: str) -> Trip | None:
        now, steps = self.tiers.get(rule, KillTier.CLEAR), self._steps[rule]
        tier = climbed(steps, figure, now, base)
        if tier is now:
            return None
        named = max(tier, now, key=lambda each: each.rank)
        return Trip(rule, now, tier, observed, _begins(steps, named), evidence)

    def within(self, trip: Trip, tier: KillTier) -> Trip:
        """Return a trip that goes only as far as a tier; that, and how it is said, changes with it."""
        return replace(trip, tier=tier, limit=_begins(self._steps[KillRule(trip.rule)], tier))

    def _bases(self, start: Decimal, peak: Decimal, day_start: Decimal) -> Iterable[tuple[KillRule, Decimal]]:
        bases = (start, peak, day_start)
        return ((rule, bases[_PLACE[rule]]) for rule in EQUITY_RULES)

    def _unknown(self, equity: object, start: object, peak: object, day_start: object) -> Trip:
        evidence = f"equity={equity};start={start};peak={peak};day_start={day_start}"
        return Trip(EQUITY_UNKNOWN, KillTier.CLEAR, KillTier.HALT, ZERO, ZERO, evidence)


class TwoSample:
    """Lets a move on quotes act only when the next mark repeats it; a closed candle acts at once (R39).

    Ask it about every mark, those without a move too: they clear what was waiting.
    """

    def __init__(self, kill: KillSwitch) -> None:
        self._kill = kill
        self._waiting: dict[str, Trip] = {}
        self._instrument = ""

    def confirm(self, trips: tuple[Trip, ...], confirmed: bool, instrument: str = "") -> tuple[Trip, ...]:
        """Return what to act on now. confirmed: the mark is a closed candle. instrument: whose quote it is.

        A quote of another instrument repeats nothing: the mark in doubt has not moved. Unknown equity acts at once. A
        second mark that says more than the first confirms only what the first said.
        """
        if not trips:
            if self._waiting:
                self._waiting = {}
            return ()
        if confirmed or trips[0].rule == EQUITY_UNKNOWN:
            self._waiting = {}
            return trips
        if self._waiting and instrument != self._instrument:
            return ()
        first, self._waiting = self._waiting, {trip.rule: trip for trip in trips}
        self._instrument = instrument
        return tuple(self._shared(first[trip.rule], trip) for trip in trips if self._agree(first.get(trip.rule), trip))

    def _agree(self, first: Trip | None, trip: Trip) -> bool:
        return first is not None and first.is_up is trip.is_up

    def _shared(self, first: Trip, trip: Trip) -> Trip:
        if not trip.is_up or first.tier.rank >= trip.tier.rank:
            return trip
        return self._kill.within(trip, first.tier)


_PLACE = {
    KillRule.GAIN: 0,
    KillRule.LOSS: 0,
    KillRule.DRAWDOWN: 1,
    KillRule.DAILY_LOSS: 2,
    KillRule.DAILY_PROFIT: 2,
}
"""Which of start, peak and day_start a rule measures from."""


def _known(value: Decimal) -> bool:
    return value.is_finite() and value > 0


def _lost(rule: KillRule, equity: Decimal, base: Decimal) -> Decimal:
    """Return by how much equity is away from a baseline, in the rule's direction."""
    return equity - base if rule in PROFITS else base - equity


def _begins(steps: Iterable[KillStep], tier: KillTier) -> Decimal:
    return next((step.at for step in steps if step.tier is tier), ZERO)


def _evidence(equity: Decimal, start: Decimal, peak: Decimal, day_start: Decimal) -> str:
    return f"equity={plain(equity)};start={plain(start)};peak={plain(peak)};day_start={plain(day_start)}"
