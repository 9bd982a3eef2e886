"""The kill switch: a verdict on the account's equity, with no model, database, clock or screen in its path (R18).

Control acts on the verdict. An exception here, and equity that is not known, are trips: absence of proof is "off".
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.domain.money import ONE, ZERO, percent, plain, signed_frac
from engine.domain.policy import KillLimits
from engine.errors import UsageError

EQUITY_UNKNOWN = "EQUITY_UNKNOWN"

_NEVER = Decimal("Infinity")


@dataclass(frozen=True, slots=True)
class Trip:
    """A rule that tripped.

    rule: gain, loss, drawdown, daily_loss or EQUITY_UNKNOWN; the fractions are 0 for the last. evidence: the inputs,
    as "name=value" joined by ";".
    """

    rule: str
    observed_frac: Decimal
    limit_frac: Decimal
    evidence: str

    @property
    def sentence(self) -> str:
        """Say it on one line, such as "drawdown 10.2% reached the limit of 10%"."""
        if self.rule == EQUITY_UNKNOWN:
            return "the worth of the account is not known"
        return f"{self.rule} {percent(self.observed_frac)} reached the limit of {percent(self.limit_frac)}"


@dataclass(frozen=True, slots=True)
class Gauge:
    """How much of one rule's threshold is used up; used_frac >= 1 trips."""

    rule: str
    observed_frac: Decimal
    limit_frac: Decimal
    used_frac: Decimal
    tripped: bool


class KillSwitch:
    """Holds the thresholds of the last baselines, so that an ordinary mark costs two comparisons.

    A limit of 0 allows nothing: it trips at the baseline itself (R20).
    """

    def __init__(self, limits: KillLimits) -> None:
        """Raise UsageError unless every limit is finite, 0 or more, and below 1 where equity cannot lose more."""
        for rule, frac in _limits(limits):
            if not (frac.is_finite() and frac >= 0 and (rule == "gain" or frac < 1)):
                raise UsageError(f'kill_switch {rule} {frac} can never trip; write a share such as "5%".')
        self.limits = limits
        self._baselines: tuple[Decimal, Decimal, Decimal] = (ZERO, ZERO, ZERO)
        self._start = self._peak = self._day_start = ZERO
        self._floor = _NEVER
        self._ceiling = ZERO

    def evaluate(self, equity: Decimal | None, start: Decimal, peak: Decimal, day_start: Decimal) -> Trip | None:
        """Return the first tripped rule of gain, loss, drawdown and daily loss; None when all is well.

        All four in account currency, equity with unrealised profit; EQUITY_UNKNOWN when one is not finite and positive.
        """
        try:
            if start is not self._start or peak is not self._peak or day_start is not self._day_start:
                self._measure_from(start, peak, day_start)
            if self._floor < equity < self._ceiling:  # type: ignore[operator]  # None is caught below, on purpose
                return None
            return self._first_tripped(equity, start, peak, day_start)
        except Exception:
            return self._unknown(equity, start, peak, day_start)

    def gauges(self, equity: Decimal | None, start: Decimal, peak: Decimal, day_start: Decimal) -> tuple[Gauge, ...]:
        """Return a gauge per rule, in the order of evaluate(); none when equity or a baseline is not known."""
        if equity is None or not all(_known(each) for each in (equity, start, peak, day_start)):
            return ()
        return tuple(
            Gauge(rule, observed, limit, max(signed_frac(observed, limit), ONE if tripped else ZERO), tripped)
            for rule, observed, limit, tripped in self._rules(equity, start, peak, day_start)
        )

    def _measure_from(self, start: Decimal, peak: Decimal, day_start: Decimal) -> None:
        # No range is in order until the new one stands: a failure in here leaves nothing that could pass.
        self._floor, self._ceiling = _NEVER, ZERO
        self._start, self._peak, self._day_start = start, peak, day_start
        if not (_known(start) and _known(peak) and _known(day_start)):
            return
        limits = self.limits
        self._floor = max(
            start * (ONE - limits.loss_frac),
            peak * (ONE - limits.drawdown_frac),
            day_start * (ONE - limits.daily_loss_frac),
        )
        self._ceiling = start * (ONE + limits.gain_frac)

    def _first_tripped(self, equity: Decimal | None, start: Decimal, peak: Decimal, day_start: Decimal) -> Trip | None:
        if equity is None or not all(_known(each) for each in (equity, start, peak, day_start)):
            return self._unknown(equity, start, peak, day_start)
        for rule, observed, limit, tripped in self._rules(equity, start, peak, day_start):
            if tripped:
                return Trip(rule, observed, limit, _evidence(equity, start, peak, day_start))
        return None

    def _rules(
        self, equity: Decimal, start: Decimal, peak: Decimal, day_start: Decimal
    ) -> tuple[tuple[str, Decimal, Decimal, bool], ...]:
        lim = self.limits
        return (
            ("gain", _over(equity, start), lim.gain_frac, equity >= start * (ONE + lim.gain_frac)),
            ("loss", _under(equity, start), lim.loss_frac, equity <= start * (ONE - lim.loss_frac)),
            ("drawdown", _under(equity, peak), lim.drawdown_frac, equity <= peak * (ONE - lim.drawdown_frac)),
            ("daily_loss", _under(equity, day_start), lim.daily_loss_frac,
             equity <= day_start * (ONE - lim.daily_loss_frac)),
        )  # fmt: skip

    def _unknown(self, equity: object, start: object, peak: object, day_start: object) -> Trip:
        evidence = f"equity={equity};start={start};peak={peak};day_start={day_start}"
        return Trip(EQUITY_UNKNOWN, ZERO, ZERO, evidence)


class TwoSample:
    """Lets a trip from quotes act only when the next mark repeats it; a closed candle acts at once (R39).

    Ask it about every mark, those without a trip too: they clear what was waiting.
    """

    def __init__(self) -> None:
        self._waiting = False
        self._instrument = ""

    def confirm(self, trip: Trip | None, confirmed: bool, instrument: str = "") -> bool:
        """Tell whether to act now. confirmed: the mark is a closed candle. instrument: whose quote it is.

        A quote of another instrument repeats nothing: the mark in doubt has not moved. Unknown equity acts at once.
        """
        if trip is None:
            self._waiting = False
            return False
        if confirmed or trip.rule == EQUITY_UNKNOWN or (self._waiting and instrument == self._instrument):
            self._waiting = False
            return True
        if not self._waiting:
            self._waiting, self._instrument = True, instrument
        return False


def _limits(limits: KillLimits) -> tuple[tuple[str, Decimal], ...]:
    return (
        ("gain", limits.gain_frac),
        ("loss", limits.loss_frac),
        ("drawdown", limits.drawdown_frac),
        ("daily_loss", limits.daily_loss_frac),
    )


def _known(value: Decimal) -> bool:
    return value.is_finite() and value > 0


def _over(equity: Decimal, base: Decimal) -> Decimal:
    return max(ZERO, signed_frac(equity - base, base))


def _under(equity: Decimal, base: Decimal) -> Decimal:
    return max(ZERO, signed_frac(base - equity, base))


def _evidence(equity: Decimal, start: Decimal, peak: Decimal, day_start: Decimal) -> str:
    return f"equity={plain(equity)};start={plain(start)};peak={plain(peak)};day_start={plain(day_start)}"
