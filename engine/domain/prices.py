"""What models charge: per tier, in USD per million tokens, and what a call costs at most and in fact."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.domain.money import plain

PER_MILLION = -6
"""Prices are per 10^6 tokens; moving the point keeps the product exact."""
DAY_MS = 86_400_000
WARN_AFTER_MS = 90 * DAY_MS
REFUSE_AFTER_MS = 365 * DAY_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """USD per million tokens: asked, answered, and asked again from the provider's cache."""

    input: Decimal
    output: Decimal
    cached: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What one model charges. long: the tier of a call that asks more than long_from tokens; None: there is none."""

    base: Tier
    long: Tier | None = None
    long_from: int = 0

    def worst(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return what a call costs at most, in USD: every token at the dearest of all tiers (B1).

        >>> rates = Rates(base=Tier(input=Decimal(3), output=Decimal(15), cached=Decimal("0.3")))
        >>> rates.worst(1000, 100)
        Decimal('0.004500')
        """
        tiers = (self.base, self.long) if self.long is not None else (self.base,)
        dearest = max(max(tier.input, tier.cached) for tier in tiers)
        return (input_tokens * dearest + output_tokens * max(tier.output for tier in tiers)).scaleb(PER_MILLION)

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int) -> Decimal:
        """Return what a call cost, in USD. cached_tokens: how many of input_tokens came from the cache.

        >>> rates = Rates(base=Tier(input=Decimal(3), output=Decimal(15), cached=Decimal("0.3")))
        >>> rates.cost(1000, 100, 500)
        Decimal('0.0031500')
        """
        tier = self.long if self.long is not None and input_tokens > self.long_from else self.base
        asked = (input_tokens - cached_tokens) * tier.input + cached_tokens * tier.cached
        return (asked + output_tokens * tier.output).scaleb(PER_MILLION)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPrice:
    """One model's line in the price list. context_tokens: most that one call may ask and be answered, 0: not stated.

    origin: where the price is from, in words.
    """

    rates: Rates
    context_tokens: int
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceList:
    """The trader's prices as of a day, and what the environment says where the list is silent.

    lines: "provider:model" -> price. estimates: provider -> USD per million tokens of any kind, from the environment.
    dated_ms: the start of the UTC day they were looked up on, None without a list. file: how messages name the list.
    """

    lines: dict[str, ModelPrice]
    estimates: dict[str, Decimal]
    dated_ms: int | None = None
    warn_after_ms: int = WARN_AFTER_MS
    refuse_after_ms: int = REFUSE_AFTER_MS
    file: str = "prices.toml"

    def find(self, provider: str, model: str, now_ms: int) -> ModelPrice | str:
        """Return a model's price, or the sentence that says which line to add: what has no price is not asked (B5)."""
        key = f"{provider}:{model}"
        line = self.lines.get(key)
        unusable = self._unusable(now_ms)
        if line is not None and not unusable:
            return line
        estimate = self.estimates.get(provider)
        if estimate is not None:
            tier = Tier(input=estimate, output=estimate, cached=estimate)
            return ModelPrice(rates=Rates(base=tier), context_tokens=0, origin=estimate_name(provider))
        if line is not None:
            return f"{unusable[:1].lower()}{unusable[1:]}"
        return (
            f'{key} has no price: add [models."{key}"] with input, output and cached in USD per million tokens and '
            f"context in tokens to {self.file}, or set {estimate_name(provider)}."
        )

    def age_ms(self, now_ms: int) -> int:
        """Return how old the list is; 0 without one, or with one of a day still to come."""
        return max(0, now_ms - self.dated_ms) if self.dated_ms is not None else 0

    def warning(self, now_ms: int) -> str:
        """Return what to say of the list's age, "" while it is young enough."""
        if not self.lines:
            return ""
        if unusable := self._unusable(now_ms):
            return unusable
        if self.age_ms(now_ms) <= self.warn_after_ms:
            return ""
        days = self.age_ms(now_ms) // DAY_MS
        return f"The prices in {self.file} are {days} days old: look them up, and set `dated` to the day you did."

    def _unusable(self, now_ms: int) -> str:
        """Return why nothing may be spent by the list; a day that is still to come says nothing of its age."""
        if self.dated_ms is not None and self.dated_ms - now_ms > DAY_MS:
            return f"The prices in {self.file} are of a day that is still to come: set `dated` to the day you looked."
        if self.age_ms(now_ms) <= self.refuse_after_ms:
            return ""
        days = self.age_ms(now_ms) // DAY_MS
        return (
            f"The prices in {self.file} are {days} days old, too old to spend by: look them up, correct them, and "
            "set `dated` to the day you did."
        )


NO_PRICES = PriceList(lines={}, estimates={})


def estimate_name(provider: str) -> str:
    """Return the environment variable that prices all of a provider's models where the list is silent.

    >>> estimate_name("openai")
    'OPENAI_ESTIMATED_COST_USD_PER_1K_TOKENS'
    """
    return f"{provider.upper().replace('-', '_')}_ESTIMATED_COST_USD_PER_1K_TOKENS"


def describe(rates: Rates) -> str:
    """Write a price as the list does: input, output and cached per million tokens.

    >>> describe(Rates(base=Tier(input=Decimal(3), output=Decimal(15), cached=Decimal(0))))
    '3 in, 15 out, 0 cached'
    """
    base = rates.base
    return f"{plain(base.input)} in, {plain(base.output)} out, {plain(base.cached)} cached"
