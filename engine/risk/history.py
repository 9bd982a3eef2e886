"""What the last bars say of risk: volatility, correlation, a day's loss, volume; all in Decimal, so that equal bars
give equal answers on every machine.

Measured on the latest bars that the market state keeps, up to 240 of the feed's own length: four hours of minutes, ten
days of hours. Longer spans follow by the square root of time. Returns are simple: close / close before - 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from operator import add, mul

from engine.domain.market import Candle
from engine.domain.money import ONE, ZERO
from engine.market.sessions import ALWAYS, WEEKDAYS
from engine.risk.inputs import MissingInputError, StaleInputError, at_least, not_negative
from engine.risk.situation import Situation

RETURNS_LEAST = 30
TAIL_LEAST = 2
"""So many of the returns must lie in the tail that value at risk is read from."""
BARS_STALE = 3
OTHERS_STALE_MS = 4 * 86_400_000
"""Bars of other instruments may be as old as a market stays closed over a long weekend."""
_INFINITY = Decimal("Infinity")
_DAY_MS = 86_400_000
_SESSION_MS = 23_400_000
"""6.5 hours: the trading day of an exchange that closes."""
_DAYS_A_YEAR = {ALWAYS: 365, WEEKDAYS: 260}
_SESSION_DAYS_A_YEAR = 252


def daily_volatility(s: Situation) -> Decimal:
    """Return the standard deviation of a day's return. Raises MissingInputError, or one of its kinds."""
    bars = bars_of(s)
    at_least(len(bars) - 1, RETURNS_LEAST, "returns")
    return deviation(_returns(bars)) * bars_a_day(s, bars).sqrt()


def yearly_volatility(s: Situation) -> Decimal:
    """Return the annualised volatility: 365 days a year for 24/7, 260 for 24/5, 252 for an exchange."""
    return daily_volatility(s) * Decimal(_DAYS_A_YEAR.get(s.instrument.calendar, _SESSION_DAYS_A_YEAR)).sqrt()


def daily_volume(s: Situation) -> Decimal:
    """Return the mean value traded a day, in quote."""
    bars = bars_of(s)
    at_least(len(bars), RETURNS_LEAST, "bars")
    traded = sum((bar.volume * bar.close for bar in bars), ZERO) / len(bars) * bars_a_day(s, bars)
    return not_negative(traded, "volume in a bar")


def correlation(s: Situation, other: str) -> Decimal:
    """Return the correlation of the instrument's returns with another's, over the closes that both have.

    Raises MissingInputError where one of them never moved: that says nothing of how they move together.
    """
    mine, theirs = aligned([_closes(bars_of(s)), _closes(bars_of(s, other))])
    at_least(len(mine), RETURNS_LEAST, "common returns")
    spread, other_spread = deviation(mine), deviation(theirs)
    if not spread * other_spread > 0:
        raise MissingInputError(f"{other} or this did not move")
    return (_mean_product(mine, theirs) - _mean(mine) * _mean(theirs)) / (spread * other_spread)


def loss_at_risk(s: Situation, confidence: Decimal) -> Callable[[Decimal], Decimal]:
    """Return how a value of the instrument held makes the account's value at risk, over a day, in account currency.

    Historical: what the positions would have made in each of the last bars; the loss that all but 1 - confidence of
    them stayed below, times the square root of the bars in a day. Never below 0.
    """
    own = s.instrument.key
    others = {key: value for key, value in s.held.items() if key != own and value}
    bars = bars_of(s)
    mine, *theirs = aligned([_closes(bars), *(_closes(bars_of(s, key)) for key in others)])
    tail = int(len(mine) * (ONE - confidence))
    at_least(len(mine), max(RETURNS_LEAST, int(TAIL_LEAST / (ONE - confidence))), "common returns")
    base = [sum(parts, ZERO) for parts in zip(*_scaled(theirs, others), strict=True)] if others else [ZERO] * len(mine)
    scale = bars_a_day(s, bars).sqrt()

    def loss(value: Decimal) -> Decimal:
        made = sorted(map(add, base, [value * change for change in mine]))
        return max(ZERO, -made[tail - 1]) * scale

    return loss


def bars_of(s: Situation, key: str = "") -> Sequence[Candle]:
    """Return an instrument's kept bars. Raises MissingInputError when one is no price, StaleInputError when old."""
    bars = s.history(key or s.instrument.key)
    at_least(len(bars), 2, "bars")
    if not _all_positive([bar.close for bar in bars]):
        raise MissingInputError("no price in a bar")
    last = bars[-1]
    oldest_ms = OTHERS_STALE_MS if key else max(BARS_STALE * last.interval_ms, s.policy.limits.price_age_ms)
    if not s.now_ms - last.close_ms <= oldest_ms:
        raise StaleInputError(f"last bar {(s.now_ms - last.close_ms) // 1000}s old")
    return bars


def _all_positive(values: Sequence[Decimal]) -> bool:
    try:
        return ZERO < min(values) <= max(values) < _INFINITY
    except InvalidOperation:  # a NaN has no order
        return False


def bars_a_day(s: Situation, bars: Sequence[Candle]) -> Decimal:
    """Return how many bars a trading day of the instrument has; at least one."""
    day_ms = _DAY_MS if s.instrument.calendar in _DAYS_A_YEAR else _SESSION_MS
    return max(ONE, Decimal(day_ms) / bars[-1].interval_ms)


def deviation(values: Sequence[Decimal]) -> Decimal:
    """Return the population standard deviation.

    >>> deviation([Decimal(1), Decimal(3)])
    Decimal('1')
    """
    return max(ZERO, _mean_product(values, values) - _mean(values) ** 2).sqrt()


def aligned(closes: Sequence[Mapping[int, Decimal]]) -> list[list[Decimal]]:
    """Return each one's returns between the instants that all of them have."""
    shared = sorted(set.intersection(*(set(each) for each in closes)))
    return [[each[now] / each[before] - ONE for before, now in pairwise(shared)] for each in closes]


def _closes(bars: Sequence[Candle]) -> dict[int, Decimal]:
    return {bar.ts_ms + bar.interval_ms: bar.close for bar in bars}


def _returns(bars: Sequence[Candle]) -> list[Decimal]:
    return [now.close / before.close - ONE for before, now in pairwise(bars)]


def _scaled(returns: Sequence[Sequence[Decimal]], values: Mapping[str, Decimal]) -> list[list[Decimal]]:
    return [[value * each for each in some] for value, some in zip(values.values(), returns, strict=True)]


def _mean(values: Sequence[Decimal]) -> Decimal:
    return sum(values, ZERO) / len(values)


def _mean_product(some: Sequence[Decimal], others: Sequence[Decimal]) -> Decimal:
    return sum(map(mul, some, others), ZERO) / len(some)
