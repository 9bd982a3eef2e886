"""From a draft's direction to a signed target: the one place where quantities are made (R1)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.domain.agent import Distance
from engine.domain.decision import Direction
from engine.domain.money import COST_QUANTUM, ZERO, floor_to, nearest_price, round_price
from engine.risk.situation import Situation

STOP_FRAC_ASSUMED = Decimal("0.02")
"""The stop distance sized with when neither the draft nor the agent names a stop."""


class MissingInputError(Exception):
    """Something a size or a check needs is absent or no positive number."""


@dataclass(frozen=True, slots=True)
class Sizing:
    """A signed target in base, and what made it that large.

    bound_by: RISK_PER_TRADE, QTY_FIXED, SIZE_CAP, QUANTITY or TARGET_QTY (the draft's own ceilings), ALREADY_HELD,
    HOLD, FLAT, SELL_ALL; CHECK_FAILED when an input is missing, and then the target is the current position.
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

    Raises MissingInputError while too few candles have closed for its average true range.
    """
    if distance is None:
        return None
    measured = distance.of(price, s.atr.get(distance.period))
    if measured is None:
        raise MissingInputError(f"average true range of {distance.period} closed candles")
    return measured


def known_price(s: Situation) -> Decimal:
    """Return the price an order is reckoned at: the mark, or the trigger that a buy waits for where that is dearer.

    Raises MissingInputError unless it is finite and positive (R22).
    """
    price = positive(s.mark.price if s.mark else None, "price")
    if s.draft.trigger_price is None or s.draft.direction is not Direction.BUY:
        return price
    return max(price, positive(s.draft.trigger_price, "trigger price"))


def positive(value: Decimal | None, name: str) -> Decimal:
    """Return the value. Raises MissingInputError unless it is a finite number above 0."""
    if value is None or not (value.is_finite() and value > 0):
        raise MissingInputError(f"no {name}")
    return value


def not_negative(value: Decimal, name: str) -> Decimal:
    """Return the value. Raises MissingInputError unless it is a finite number of 0 or more."""
    if not (value.is_finite() and value >= 0):
        raise MissingInputError(f"no {name}")
    return value


def require_rate(s: Situation) -> None:
    """Raise MissingInputError unless quote amounts are amounts of account currency, by name or by peg (R38)."""
    home, pegs = s.policy.account_currency, s.policy.usd_peg
    money = {home, *(pegs if home == "USD" or home in pegs else ())}
    if s.instrument.quote not in money:
        raise MissingInputError(f"no rate for {s.instrument.quote}")


def _buy(s: Situation) -> Sizing:
    limits, draft = s.agent.limits, s.draft
    if limits.qty_fixed is not None:
        sizing = Sizing(not_negative(limits.qty_fixed, "qty_fixed"), "QTY_FIXED")
    else:
        sizing = Sizing(risk_qty(s), "RISK_PER_TRADE")
    if limits.qty_max is not None:
        sizing = _at_most(sizing, not_negative(limits.qty_max, "qty_max"), "SIZE_CAP")
    if draft.quantity is not None:
        sizing = _at_most(sizing, s.current_qty + not_negative(draft.quantity, "quantity"), "QUANTITY")
    if draft.target_qty is not None:
        sizing = _at_most(sizing, _finite(draft.target_qty, "target_qty"), "TARGET_QTY")
    return sizing if sizing.target_qty > s.current_qty else Sizing(s.current_qty, "ALREADY_HELD")


def _sell(s: Situation) -> Sizing:
    # A cash account sells what it holds; a ceiling leaves some of it.
    sizing = Sizing(ZERO, "SELL_ALL")
    if s.draft.quantity is not None:
        sizing = _at_least(sizing, s.current_qty - not_negative(s.draft.quantity, "quantity"), "QUANTITY")
    if s.draft.target_qty is not None:
        sizing = _at_least(sizing, _finite(s.draft.target_qty, "target_qty"), "TARGET_QTY")
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


def _finite(value: Decimal, name: str) -> Decimal:
    if not value.is_finite():
        raise MissingInputError(f"no {name}")
    return value
