"""What guardrails ask of the account and of the agent's record: exposure together, loss at risk, results so far."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from engine.domain.money import ONE, ZERO, percent, plain
from engine.domain.policy import Off
from engine.risk.history import correlation, loss_at_risk
from engine.risk.inputs import finite, not_negative, positive, price_now
from engine.risk.leaving import OFF, Word, added, as_share, at_most, times
from engine.risk.situation import Situation

TRIPS_LEAST = 10
"""An agent is judged by its record from so many round trips on; before, there is none."""


def daily_loss(s: Situation, target: Decimal) -> Word:
    most, (made, shown) = s.policy.limits.daily_loss_frac, _made_today(s)
    return -made <= most and most > 0, shown, f"-{percent(most)}"


def daily_profit(s: Situation, target: Decimal) -> Word:
    most = s.policy.limits.daily_profit_frac
    if isinstance(most, Off):
        return OFF
    made, shown = _made_today(s)
    return made < most, shown, percent(most)


def _made_today(s: Situation) -> tuple[Decimal, str]:
    began = positive(s.day_start, "equity at the day's start")
    made = positive(s.equity, "equity") / began - ONE
    return made, f"{as_share(made)} today"


def win_rate(s: Situation, target: Decimal) -> Word:
    least, trips = s.policy.limits.win_rate_frac, s.trips
    if isinstance(least, Off):
        return OFF
    if trips.count < TRIPS_LEAST:
        return True, f"{trips.count} round trips", f"{percent(least)} from {TRIPS_LEAST} on"
    rate = Decimal(trips.wins) / trips.count
    return rate >= least, f"{as_share(rate)} of {trips.count} won", percent(least)


def agent_loss(s: Situation, target: Decimal) -> Word:
    most, trips = s.policy.limits.agent_loss_frac, s.trips
    if isinstance(most, Off):
        return OFF
    if trips.count < TRIPS_LEAST:
        return True, f"{trips.count} round trips", f"-{percent(most)} from {TRIPS_LEAST} on"
    made = finite(trips.net, "result") / positive(s.capital, "capital")
    return -made <= most, f"{as_share(made)} in {trips.count} trips", f"-{percent(most)}"


def correlated(s: Situation, target: Decimal) -> Word:
    limits = s.policy.limits
    rule = f"{limits.correlated_positions} above {plain(limits.correlation)}"
    others = [key for key, value in s.held.items() if key != s.instrument.key and value]
    if len(others) < limits.correlated_positions:  # however they move, they are few enough
        return True, f"{len(others)} others held", rule
    alike = sum(correlation(s, key) > limits.correlation for key in others)
    return alike < limits.correlated_positions, f"{alike} of {len(others)} move alike", rule


def group_share(s: Situation, target: Decimal) -> Word:
    price, equity = price_now(s), positive(s.equity, "equity")
    share = not_negative(s.policy.limits.group_share_frac, "group share")
    used = not_negative(s.group_exposure, "group exposure")
    left = at_most(s, target, s.current_qty + (equity * share - used) / price)
    name = s.instrument.group or "its own group"
    return left, f"{as_share((used + added(s, target) * price) / equity)} in {name[:12]}", percent(share)


def net_exposure(s: Situation, target: Decimal) -> Word:
    price, equity = price_now(s), positive(s.equity, "equity")
    share = not_negative(s.policy.limits.net_exposure_frac, "net exposure limit")
    used = finite(s.net_exposure, "net exposure")
    left = at_most(s, target, s.current_qty + (equity * share - used) / price)
    return left, as_share((used + (target - s.current_qty) * price) / equity), percent(share)


def leverage(s: Situation, target: Decimal) -> Word:
    price, equity = price_now(s), positive(s.equity, "equity")
    most = not_negative(s.policy.limits.leverage, "leverage")
    used = not_negative(s.exposure, "exposure")
    left = at_most(s, target, s.current_qty + (equity * most - used) / price)
    return left, times((used + added(s, target) * price) / equity), times(most)


def value_at_risk(s: Situation, target: Decimal) -> Word:
    limits = s.policy.limits
    most = limits.value_at_risk_frac
    if isinstance(most, Off):
        return OFF
    price, equity, step = price_now(s), positive(s.equity, "equity"), s.instrument.qty_step
    held, loss = s.held.get(s.instrument.key, ZERO), loss_at_risk(s, limits.value_at_risk_confidence)

    def fits(steps: int) -> bool:
        return loss(held + steps * step * price) <= equity * most

    asked = int(abs(target - s.current_qty) / positive(step, "quantity step"))
    observed = f"{as_share(loss(held + (target - s.current_qty) * price) / equity)} in a day"
    limit = f"{percent(most)} at {percent(limits.value_at_risk_confidence)}"
    if fits(asked):
        return True, observed, limit
    return s.current_qty + _most_steps(asked, fits) * step, observed, limit


def _most_steps(asked: int, fits: Callable[[int], bool]) -> int:
    """Return how many steps still fit, by halving; 0 when none are found."""
    least, beyond = 0, asked
    while beyond - least > 1:
        middle = (least + beyond) // 2
        least, beyond = (middle, beyond) if fits(middle) else (least, middle)
    return least
