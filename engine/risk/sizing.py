"""From a draft's direction to a signed target: the one place where quantities are made (R1)."""

from __future__ import annotations

from decimal import Decimal

from engine.domain.agent import Distance, SizingMethod
from engine.domain.conduct import RoundTrips
from engine.domain.decision import Direction
from engine.domain.money import COST_QUANTUM, ONE, ZERO, floor_to, nearest_price, percent, round_price
from engine.domain.values import quick_value
from engine.risk.history import daily_volatility
from engine.risk.inputs import (
    MissingInputError,
    ShortHistoryError,
    at_least,
    finite,
    fresh_quote,
    known_price,
    not_negative,
    positive,
    price_now,
    require_rate,
)
from engine.risk.leaving import as_share, short
from engine.risk.situation import Situation

KELLY_TRIPS_LEAST = 20
STOP_FRAC_ASSUMED = Decimal("0.02")
"""The stop distance sized with when neither the draft nor the agent names a stop."""


@quick_value
class Sizing:
    """A signed target in base, and what made it that large.

    bound_by: RISK_PER_TRADE, VOLATILITY_TARGET, NOTIONAL_FIXED or KELLY (the agent's sizing method), QTY_FIXED,
    SIZE_CAP, QUANTITY or TARGET_QTY (the draft's own ceilings), ALREADY_HELD, HOLD, FLAT, SELL_ALL; CHECK_FAILED when
    an input is missing, and then the target is the current position.
    """

    target_qty: Decimal
    bound_by: str


def size(s: Situation) -> Sizing:
    """Make the target of the agent's sub-position; never raises for an absent or odd input.

    A target is a target: repeating a BUY adds nothing to a position that is already there.
    A size below one quantity step keeps twelve places, so that QTY_STEP can refuse it by name (E16).
    """
    try:
        if s.draft.direction is Direction.BUY:
            return _whole_steps(s, _buy(s))
        if s.draft.direction is Direction.SELL:
            return _whole_steps(s, _sell(s))
    except MissingInputError:
        return Sizing(s.current_qty, "CHECK_FAILED")
    return Sizing(ZERO, "FLAT") if s.draft.direction is Direction.FLAT else Sizing(s.current_qty, "HOLD")


def risk_qty(s: Situation) -> Decimal:
    """Return the units whose loss at the stop is the risk per trade: capital x risk / distance.

    Raises MissingInputError when price, capital, risk or stop is no positive number, or the quote has no rate.
    """
    require_rate(s)
    risk_frac = s.policy.limits.risk_per_trade_frac
    if not (risk_frac.is_finite() and 0 <= risk_frac <= 1):
        raise MissingInputError("no risk per trade")
    return positive(s.capital, "capital") * risk_frac / stop_distance(s)


def method_qty(s: Situation) -> tuple[Decimal, str]:
    """Return the units that the agent's sizing method aims at, and how it reckons them, for the decision's checks.

    Raises MissingInputError, or one of its kinds, for what the method needs and has not.
    """
    limits, capital = s.agent.limits, positive(s.capital, "capital")
    if limits.sizing is SizingMethod.VOLATILITY:
        target, daily = not_negative(limits.volatility_target_frac, "volatility target"), daily_volatility(s)
        qty = capital * target / (price_now(s) * positive(daily, "volatility"))
        return qty, f"{percent(target)} a day at {as_share(daily)}"
    if limits.sizing is SizingMethod.NOTIONAL:
        return not_negative(limits.notional_fixed, "notional") / price_now(
            s
        ), f"{short(limits.notional_fixed)} a position"
    if limits.sizing is SizingMethod.KELLY:
        best, most = kelly_frac(s.trips), not_negative(limits.kelly_share_frac, "kelly share")
        return capital * min(best, most) / price_now(s), f"Kelly {as_share(best)}, at most {percent(most)}"
    return risk_qty(s), f"{percent(s.policy.limits.risk_per_trade_frac)} of {short(capital)} at the stop"


def kelly_frac(trips: RoundTrips) -> Decimal:
    """Return Kelly's share of capital: p - (1 - p) / b, with p the wins and b the mean win in mean losses; 0 to 1.

    >>> kelly_frac(RoundTrips(20, 12, Decimal(1200), Decimal(400)))
    Decimal('0.4')

    Raises ShortHistoryError with fewer than 20 round trips.
    """
    at_least(trips.count, KELLY_TRIPS_LEAST, "round trips")
    wins, losses = trips.wins, trips.count - trips.wins
    if not wins or not trips.won:
        return ZERO
    if not losses or not trips.lost:
        return Decimal(wins) / trips.count
    odds = (trips.won / wins) / (trips.lost / losses)
    return max(ZERO, Decimal(wins) / trips.count - Decimal(losses) / trips.count / odds)


def entry_price(s: Situation) -> Decimal:
    """Return what an entry would really cost: the offer, with the paper venue's slippage; a limit where that is less.

    Without a quote the offer is the price with the paper venue's half spread. Raises MissingInputError without a price.
    """
    paper = s.policy.paper
    quote = fresh_quote(s)
    price = known_price(s)  # of a buy that waits for its trigger, that
    offer = price * (ONE + paper.half_spread_frac) if quote is None else max(quote.ask, price)
    if s.draft.limit_price is not None:
        return min(offer, positive(s.draft.limit_price, "limit price"))
    return offer * (ONE + paper.slippage_frac)


def stop_distance(s: Situation) -> Decimal:
    """Return how far a long's stop is below the price, in quote; at least one price tick.

    The draft's stop when it is below the price, else the agent's, else 2 % of the price.
    """
    price = known_price(s)
    hint = s.draft.stop
    if hint is not None and hint.is_finite() and 0 < hint < price:
        return max(price - hint, s.instrument.price_tick)
    asked = distance_of(s, s.agent.protection.stop, price)
    asked = price * STOP_FRAC_ASSUMED if asked is None else positive(asked, "stop distance")
    return max(min(asked, price), s.instrument.price_tick)


def protection_prices(s: Situation) -> tuple[Decimal | None, Decimal | None]:
    """Return the stop and target that an entry brings: the draft's hints, else the agent's fractions of its price.

    Its price is the limit, the trigger, or the present one. Raises MissingInputError when there is no price.
    """
    draft, wanted, tick = s.draft, s.agent.protection, s.instrument.price_tick
    entry = draft.limit_price or known_price(s)
    below = None if draft.stop is not None else distance_of(s, wanted.stop, entry)
    above = None if draft.target is not None else distance_of(s, wanted.target, entry)
    stop = draft.stop if below is None else entry - below
    take = draft.target if above is None else entry + above
    return (
        None if stop is None else round_price(stop, tick, up=True),
        None if take is None else nearest_price(take, tick),
    )


def distance_of(s: Situation, distance: Distance | None, price: Decimal) -> Decimal | None:
    """Return a distance from a price in quote, None where none is asked for.

    Raises ShortHistoryError while too few candles have closed for its average true range.
    """
    if distance is None:
        return None
    measured = distance.of(price, s.atr.get(distance.period))
    if measured is None:
        raise ShortHistoryError(f"average true range of {distance.period} closed candles")
    return measured


def _buy(s: Situation) -> Sizing:
    limits, draft = s.agent.limits, s.draft
    if limits.qty_fixed is not None:
        sizing = Sizing(not_negative(limits.qty_fixed, "qty_fixed"), "QTY_FIXED")
    else:
        qty, _rule = method_qty(s)
        sizing = Sizing(qty, _BOUND_BY[limits.sizing])
    if limits.qty_max is not None:
        sizing = _at_most(sizing, not_negative(limits.qty_max, "qty_max"), "SIZE_CAP")
    if draft.quantity is not None:
        sizing = _at_most(sizing, s.current_qty + not_negative(draft.quantity, "quantity"), "QUANTITY")
    if draft.target_qty is not None:
        sizing = _at_most(sizing, finite(draft.target_qty, "target_qty"), "TARGET_QTY")
    return sizing if sizing.target_qty > s.current_qty else Sizing(s.current_qty, "ALREADY_HELD")


_BOUND_BY = {
    SizingMethod.RISK: "RISK_PER_TRADE",
    SizingMethod.VOLATILITY: "VOLATILITY_TARGET",
    SizingMethod.NOTIONAL: "NOTIONAL_FIXED",
    SizingMethod.KELLY: "KELLY",
}


def _sell(s: Situation) -> Sizing:
    # A cash account sells what it holds; a ceiling leaves some of it.
    sizing = Sizing(ZERO, "SELL_ALL")
    if s.draft.quantity is not None:
        sizing = _at_least(sizing, s.current_qty - not_negative(s.draft.quantity, "quantity"), "QUANTITY")
    if s.draft.target_qty is not None:
        sizing = _at_least(sizing, finite(s.draft.target_qty, "target_qty"), "TARGET_QTY")
    return sizing if sizing.target_qty < s.current_qty else Sizing(s.current_qty, "ALREADY_HELD")


def _at_most(sizing: Sizing, ceiling: Decimal, bound_by: str) -> Sizing:
    return Sizing(ceiling, bound_by) if ceiling < sizing.target_qty else sizing


def _at_least(sizing: Sizing, floor: Decimal, bound_by: str) -> Sizing:
    return Sizing(floor, bound_by) if floor > sizing.target_qty else sizing


def _whole_steps(s: Situation, sizing: Sizing) -> Sizing:
    # The order is the delta, so the delta is what must be whole steps: fees taken in base leave odd positions.
    delta = sizing.target_qty - s.current_qty
    whole = s.instrument.floor_qty(delta)
    return Sizing(s.current_qty + (whole or floor_to(delta, COST_QUANTUM)), sizing.bound_by)
