"""What guardrails ask of the market: price, spread, volatility, volume, and the way to stop and target."""

from __future__ import annotations

from decimal import Decimal

from engine.domain.money import ZERO, percent, plain
from engine.domain.policy import Off
from engine.risk.history import daily_volume, yearly_volatility
from engine.risk.inputs import MissingInputError, StaleInputError, fresh_quote, positive
from engine.risk.leaving import OFF, Word, as_share, seconds, short, times
from engine.risk.situation import Situation
from engine.risk.sizing import entry_price, protection_prices

DAY_MS = 86_400_000
INDEX_STALE_DAYS = 5
"""A daily index is not published on weekends and holidays; a close older than this is no word on today."""


def decision_age(s: Situation, target: Decimal) -> Word:
    limit_ms = s.policy.limits.decision_age_ms
    if s.seen_ms is None:
        raise MissingInputError("no time of decision")
    age_ms = s.now_ms - s.seen_ms
    return 0 <= age_ms <= limit_ms, f"decided {seconds(age_ms)} ago", seconds(limit_ms)


def price_drift(s: Situation, target: Decimal) -> Word:
    most, seen = s.policy.limits.decision_drift_frac, positive(s.seen_price, "price decided on")
    moved = abs(s.price - seen) / seen
    return moved <= most, f"moved {as_share(moved)}", percent(most)


def spread(s: Situation, target: Decimal) -> Word:
    most, quote = s.policy.limits.spread_frac, fresh_quote(s)
    if quote is None:  # candles have no spread; the paper venue's own is what an order would pay
        assumed = 2 * s.policy.paper.half_spread_frac
        return ZERO <= assumed <= most, f"{percent(assumed)}, paper's: no quote", percent(most)
    wide = (quote.ask - quote.bid) / quote.mid
    return ZERO <= wide <= most, as_share(wide), percent(most)


def volatility_index(s: Situation, target: Decimal) -> Word:
    most = s.policy.limits.volatility_index
    if isinstance(most, Off):
        return OFF
    if s.index is None:
        raise MissingInputError("no earlier close on file")
    days = s.now_ms // DAY_MS - s.index.day
    if not 0 < days <= INDEX_STALE_DAYS:
        raise StaleInputError(f"close of {s.index.date}")
    return s.index.close <= most, f"{plain(s.index.close)} on {s.index.date}", plain(most)


def stop_distance(s: Situation, target: Decimal) -> Word:
    least, entry = s.policy.limits.stop_distance_frac, entry_price(s)
    stop, _take = protection_prices(s)
    if stop is None:
        return True, "no stop asked for", percent(least)
    away = (entry - stop) / entry
    return away >= least, f"{as_share(away)} below {short(entry)}", percent(least)


def reward_risk(s: Situation, target: Decimal) -> Word:
    least = s.policy.limits.reward_risk
    if isinstance(least, Off):
        return OFF
    entry, (stop, take) = entry_price(s), protection_prices(s)
    if stop is None or take is None:
        return False, f"no {'stop' if stop is None else 'target'}", times(least)
    if not stop < entry:
        return False, f"stop {plain(stop)}, entry {short(entry)}", times(least)
    reward = (take - entry) / (entry - stop)
    return reward >= least, f"{times(reward)} from {short(entry)}", times(least)


def volatility(s: Situation, target: Decimal) -> Word:
    most = s.policy.limits.volatility_frac
    if isinstance(most, Off):
        return OFF
    yearly = yearly_volatility(s)
    return ZERO <= yearly <= most, f"{as_share(yearly)} a year", percent(most)


def average_volume(s: Situation, target: Decimal) -> Word:
    least = s.policy.limits.average_volume
    if isinstance(least, Off):
        return OFF
    traded = daily_volume(s)
    return traded >= least, f"{short(traded)} a day", short(least)
