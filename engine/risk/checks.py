"""What each guardrail asks: one small pure function a check, written in the positive so that NaN and negatives fail.

A function takes a situation and a target, and answers what it leaves (pass, refuse, or a target nearer the current
position), what it observed, and its limit. Their order, and to which orders they apply, is in guardrails.py.
"""

from __future__ import annotations

from decimal import Decimal

from engine.domain.agent import TRADER, AgentStatus, SizingMethod
from engine.domain.decision import Direction
from engine.domain.intent import Autonomy
from engine.domain.money import ONE, ZERO, percent, plain
from engine.domain.policy import TradingState
from engine.risk.inputs import CLOCK_SKEW_MS, known_price, not_negative, positive, price_now
from engine.risk.leaving import Word, added, adds_exposure, as_share, at_most, minutes, seconds, short
from engine.risk.situation import Situation
from engine.risk.sizing import method_qty, protection_prices, risk_qty, stop_distance

HEAD_ROOM_FRAC = Decimal("0.01")
"""Kept free beyond cost and fee, for the price to move between the check and the fill."""


def trading_state(s: Situation, target: Decimal) -> Word:
    allowed = s.state is TradingState.ACTIVE or (s.state is TradingState.REDUCING and not adds_exposure(s, target))
    return allowed, s.state.value, "ACTIVE, or an exit"


def agent_state(s: Situation, target: Decimal) -> Word:
    return s.agent_status is AgentStatus.RUNNING, s.agent_status.value, AgentStatus.RUNNING.value


def autonomy(s: Situation, target: Decimal) -> Word:
    own, most = s.agent.autonomy, s.policy.limits.autonomy
    if s.agent.name == TRADER:
        return True, "the trader's own word", f"{most} for agents"
    return _AUTONOMY.index(own) <= _AUTONOMY.index(most), own.value, f"at most {most}"


_AUTONOMY = (Autonomy.OBSERVE, Autonomy.APPROVE, Autonomy.AUTO)


def confidence(s: Situation, target: Decimal) -> Word:
    said, least = s.draft.confidence, max(s.agent.limits.confidence_min, s.policy.limits.confidence_min)
    if said is None:
        return False, "missing", plain(least)
    return ZERO <= least <= said <= ONE, plain(said), plain(least)


def not_allowed(s: Situation, target: Decimal) -> Word:
    allowed = s.agent.limits.allowed
    listed = s.instrument.key in s.agent.instruments and (not allowed or bool(_names(s) & set(allowed)))
    return listed, s.instrument.key, "the agent's list"


def blocked(s: Situation, target: Decimal) -> Word:
    return not (_names(s) & set(s.agent.limits.blocked)), s.instrument.key, "not on the block list"


def _names(s: Situation) -> set[str]:
    return {s.instrument.key, s.instrument.symbol, *s.instrument.aliases}


def duplicate_decision(s: Situation, target: Decimal) -> Word:
    return s.already_decided is False, "has traded" if s.already_decided else "new", "an id trades once"


def order_working(s: Situation, target: Decimal) -> Word:
    return s.working == 0, f"{s.working} working", "0"


def instrument_blocked(s: Situation, target: Decimal) -> Word:
    return not s.in_doubt, s.in_doubt or "nothing", "nothing in doubt"


def market_closed(s: Situation, target: Decimal) -> Word:
    word = {True: "open", False: "closed", None: "no calendar"}[s.market_open]
    return s.market_open is True, word, "open"


def price_age(s: Situation, target: Decimal) -> Word:
    limit_ms = s.policy.limits.price_age_ms
    if s.mark is None:
        return False, "no price", seconds(limit_ms)
    price, age_ms = s.mark.price, s.now_ms - s.mark.ts_ms
    if not (price.is_finite() and price > 0):
        return False, f"price {price}", "a price above 0"
    return limit_ms > 0 and -CLOCK_SKEW_MS <= age_ms <= limit_ms, f"{seconds(age_ms)} old", seconds(limit_ms)


def price_collar(s: Situation, target: Decimal) -> Word:
    prices, width = [known_price(s)], s.policy.limits.price_collar_frac
    if s.draft.limit_price is not None:
        prices.append(positive(s.draft.limit_price, "limit price"))
    if s.draft.trigger_price is not None:
        prices.append(positive(s.mark.price if s.mark else None, "price"))
    if not adds_exposure(s, target):
        return True, "an exit", "a price above 0"
    if s.median is None:
        return False, "no median yet", f"{percent(width)} from median"
    middle = positive(s.median, "median")
    off = max(abs(price - middle) for price in prices)
    return off <= middle * width, f"{as_share(off / middle)} from median", f"{percent(width)} from median"


def short_not_allowed(s: Situation, target: Decimal) -> Word:
    draft = s.draft
    if draft.direction is Direction.SELL and s.current_qty <= 0:
        return False, f"sell, {plain(s.current_qty)} held", "sell what is held"
    if draft.direction is Direction.BUY and draft.target_qty is not None and not draft.target_qty >= 0:
        return False, plain(draft.target_qty), "0 or more"
    return target >= 0 or target > s.current_qty, plain(target), "0 or more"


def stop_invalid(s: Situation, target: Decimal) -> Word:
    entry = known_price(s)
    if s.draft.limit_price is not None:
        entry = min(entry, positive(s.draft.limit_price, "limit price"))
    for hint in (s.draft.stop, s.draft.target):
        if hint is not None and not hint > 0:
            return False, f"{hint:f}", "above 0"
    stop, take = protection_prices(s)
    if stop is not None and not 0 < stop < entry:
        return False, f"stop {plain(stop)}", f"above 0, below {plain(entry)}"
    if take is not None and not (take.is_finite() and take > entry):
        return False, f"target {take:f}", f"above {plain(entry)}"
    return True, "no stop" if stop is None else f"stop {plain(stop)}", f"below {plain(entry)}"


def cooldown(s: Situation, target: Decimal) -> Word:
    wait_ms = s.agent.limits.cooldown_after_loss_ms
    if s.last_loss_ms is None:
        return True, "no loss", minutes(wait_ms)
    since_ms = s.now_ms - s.last_loss_ms
    return 0 <= wait_ms <= since_ms, f"{minutes(since_ms)} since a loss", minutes(wait_ms)


def refusal_cooldown(s: Situation, target: Decimal) -> Word:
    wait_ms = s.agent.limits.cooldown_after_refusal_ms
    if s.last_refusal_ms is None:
        return True, "no refusal", minutes(wait_ms)
    since_ms = s.now_ms - s.last_refusal_ms
    return 0 <= wait_ms <= since_ms, f"{minutes(since_ms)} since a refusal", minutes(wait_ms)


def trades_per_day(s: Situation, target: Decimal) -> Word:
    most = s.agent.limits.trades_per_day
    return 0 <= s.trades_today < most, f"{s.trades_today} today", str(most)


def account_trades_per_day(s: Situation, target: Decimal) -> Word:
    most = s.policy.limits.trades_per_day
    return 0 <= s.account_trades_today < most, f"{s.account_trades_today} today", str(most)


def open_positions(s: Situation, target: Decimal) -> Word:
    most = s.policy.limits.open_positions
    return 0 <= s.open_instruments < most, f"{s.open_instruments} others open", str(most)


def size_cap(s: Situation, target: Decimal) -> Word:
    # An agent without a cap of its own may not be asked for more than all of its capital buys: None is never
    # "no limit" (R20).
    most = s.agent.limits.qty_max
    if most is None:
        most = positive(s.capital, "capital") / price_now(s)
    for asked in (s.draft.quantity, s.draft.target_qty):
        if asked is not None and not 0 < asked <= most:
            return False, f"asked {asked:f}", short(most)
    return most > 0 and at_most(s, target, most), plain(target), short(most)


def risk_per_trade(s: Situation, target: Decimal) -> Word:
    fixed = s.agent.limits.qty_fixed
    if fixed is not None:
        return (
            fixed > 0 and at_most(s, target, fixed),
            plain(target),
            f"not sized by risk: fixed quantity {plain(fixed)}",
        )
    most, capital = risk_qty(s), positive(s.capital, "capital")
    limit = f"{percent(s.policy.limits.risk_per_trade_frac)} of {short(capital)}"
    return most > 0 and at_most(s, target, most), f"{short(target * stop_distance(s))} at risk", limit


def position_notional(s: Situation, target: Decimal) -> Word:
    price, most = known_price(s), not_negative(s.agent.limits.position_notional_max, "notional limit")
    return at_most(s, target, most / price), short(target * price), short(most)


def portfolio_share(s: Situation, target: Decimal) -> Word:
    price, equity = price_now(s), positive(s.equity, "equity")
    share = not_negative(s.agent.limits.portfolio_share_frac, "share limit")
    others = s.account_qty - s.current_qty
    left = at_most(s, target, equity * share / price - others)
    return left, as_share((others + target) * price / equity), percent(share)


def capital_share(s: Situation, target: Decimal) -> Word:
    price, capital = price_now(s), positive(s.capital, "capital")
    used = not_negative(s.agent_exposure, "agent exposure")
    left = at_most(s, target, s.current_qty + (capital - used) / price)
    return left, short(used + added(s, target) * price), short(capital)


def sizing_method(s: Situation, target: Decimal) -> Word:
    fixed = s.agent.limits.qty_fixed
    if fixed is not None:
        return True, f"fixed quantity {plain(fixed)}", "qty_fixed"
    most, rule = method_qty(s)
    observed = f"{s.agent.limits.sizing}: {short(most)}"
    if s.agent.limits.sizing is SizingMethod.RISK:  # RISK_PER_TRADE holds every method to it
        return True, observed, rule
    return most > 0 and at_most(s, target, most), observed, rule


def gross_exposure(s: Situation, target: Decimal) -> Word:
    price, equity = price_now(s), positive(s.equity, "equity")
    share = not_negative(s.policy.limits.gross_exposure_frac, "exposure limit")
    used = not_negative(s.exposure, "exposure")
    left = at_most(s, target, s.current_qty + (equity * share - used) / price)
    return left, as_share((used + added(s, target) * price) / equity), percent(share)


def buying_power(s: Situation, target: Decimal) -> Word:
    price = max(known_price(s), s.draft.limit_price or ZERO)
    fee = max(ZERO, s.instrument.maker_fee, s.instrument.taker_fee)
    unit_cost = price * (ONE + fee) * (ONE + HEAD_ROOM_FRAC)
    left = s.free_cash > 0 and at_most(s, target, s.current_qty + s.free_cash / unit_cost)
    return left, short(added(s, target) * unit_cost), f"{short(s.free_cash)} free"


def qty_step(s: Situation, target: Decimal) -> Word:
    positive(s.instrument.qty_step, "quantity step")
    delta = target - s.current_qty
    whole = s.instrument.floor_qty(delta)
    observed = _dust(s, target) + plain(abs(delta))
    return (s.current_qty + whole if whole else False), observed, f"step {plain(s.instrument.qty_step)}"


def min_notional(s: Situation, target: Decimal) -> Word:
    price, least = known_price(s), not_negative(s.instrument.min_notional, "minimum notional")
    worth = abs(target - s.current_qty) * min(price, s.draft.limit_price or price)
    return worth >= least, _dust(s, target) + short(worth), short(least)


def _dust(s: Situation, target: Decimal) -> str:
    return "all of it, dust: " if abs(target) < s.instrument.qty_step else ""
