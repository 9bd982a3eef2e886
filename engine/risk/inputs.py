"""What a size or a check needs, or the refusal that it is not there: missing, no number, stale, too short a history."""

from __future__ import annotations

from decimal import Decimal

from engine.domain.decision import Direction
from engine.domain.market import Quote
from engine.domain.policy import Off
from engine.domain.risk import CheckCode
from engine.domain.valuation import money_assets
from engine.risk.situation import Situation

CLOCK_SKEW_MS = 1_000
"""A venue's clock may be this far ahead of ours; a price from later than that has no believable age."""


class MissingInputError(Exception):
    """Something a size or a check needs is absent or no positive number."""

    code = CheckCode.INPUT_MISSING


class StaleInputError(MissingInputError):
    """Something a size or a check needs is too old to go by."""

    code = CheckCode.INPUT_STALE


class ShortHistoryError(MissingInputError):
    """There are too few bars or trades to measure by."""

    code = CheckCode.HISTORY_TOO_SHORT


def is_off(limit: object) -> bool:
    """Tell whether a limit is switched off, by that word and by nothing else (R20)."""
    return limit is Off.OFF


def known_price(s: Situation) -> Decimal:
    """Return the price an order is reckoned at: the mark, or the trigger that a buy waits for where that is dearer.

    Raises MissingInputError unless it is finite and positive (R22).
    """
    price = positive(s.mark.price if s.mark else None, "price")
    if s.draft.trigger_price is None or s.draft.direction is not Direction.BUY:
        return price
    return max(price, positive(s.draft.trigger_price, "trigger price"))


def price_now(s: Situation) -> Decimal:
    """Return the mark's price in account currency. Raises MissingInputError without one, or without a rate."""
    require_rate(s)
    return known_price(s)


def fresh_quote(s: Situation) -> Quote | None:
    """Return the venue's bid and offer; None where it gives none. Raises StaleInputError when they are too old."""
    quote = s.quote
    if quote is None:
        return None
    positive(quote.bid, "bid")
    positive(quote.ask, "offer")
    if not 0 <= s.now_ms - quote.ts_ms + CLOCK_SKEW_MS <= s.policy.limits.price_age_ms + CLOCK_SKEW_MS:
        raise StaleInputError(f"quote {(s.now_ms - quote.ts_ms) // 1000}s old")
    return quote


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
    if s.instrument.quote not in money_assets(s.policy.account_currency, s.policy.usd_peg):
        raise MissingInputError(f"no rate for {s.instrument.quote}")


def finite(value: Decimal, name: str) -> Decimal:
    """Return the value. Raises MissingInputError unless it is a finite number."""
    if not value.is_finite():
        raise MissingInputError(f"no {name}")
    return value


def at_least(count: int, least: int, what: str) -> None:
    """Raise ShortHistoryError unless there are so many."""
    if not count >= least:
        raise ShortHistoryError(f"{count} {what}, {least} needed")
