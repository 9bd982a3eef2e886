"""What models may cost and have cost: caps, windows, holds, and the one check that all spending passes (R25).

A hold reserves the worst case of one call before it is made; posting it puts the real cost in its place. Spent and
reserved together stay within every cap: in all, per provider and per agent, by UTC day and month, in USD and tokens. A
hold belongs to the windows it was made in, whenever it is posted. A clock that is set back opens no window again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from enum import StrEnum

from engine.domain.money import ZERO, plain
from engine.domain.prices import Rates

DAY_MS = 86_400_000
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
IN_ALL, PROVIDER, AGENT, PURPOSE = "", "provider", "agent", "purpose"
"""Scopes of caps: all calls together; each provider or agent by itself. One alone is "provider:anthropic".

What is asked beside trading is counted under its purpose too, which has no cap of its own.
"""
USD = "USD"
TOKENS = "tokens"


class Window(StrEnum):
    """For how long a cap holds; both in UTC."""

    DAY = "day"
    MONTH = "month"


class Purpose(StrEnum):
    """What a call beside trading is for; a call that may trade has none."""

    RERUN = "rerun"
    SHADOW = "shadow"


class HowPosted(StrEnum):
    """What a hold was posted by: the usage in the answer, none that could be used, or an engine's end before one."""

    USAGE = "USAGE"
    NO_USAGE = "NO_USAGE"
    CRASH = "CRASH"


@dataclass(frozen=True, slots=True)
class Cap:
    """Most that may be spent and reserved in a window. 0: none."""

    scope: str
    window: Window
    usd: Decimal
    tokens: int


Caps = tuple[Cap, ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """What was posted. cycles: how many decisions it was for; a cycle that asks twice in a row makes two calls."""

    usd: Decimal = ZERO
    tokens: int = 0
    calls: int = 0
    cycles: int = 0


NOTHING = Tally()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHold:
    """A call that may be under way. usd, tokens: what it may cost at most; day, month: the windows it belongs to.

    purpose: None for a decision's.
    """

    hold_id: str
    provider: str
    model: str
    agent: str
    cycle_id: str
    usd: Decimal
    tokens: int
    rates: Rates
    day: int
    month: int
    held_ms: int
    purpose: Purpose | None = None


@dataclass(frozen=True, slots=True)
class AiOff:
    """Why a provider, or all of them, may not be asked. until_ms 0: until a person says so."""

    reason: str
    actor: str
    since_ms: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class Over:
    """A cap that a call would break. used: spent and reserved; wanted: by the call; in `unit`."""

    scope: str
    window: Window
    unit: str
    used: Decimal
    wanted: Decimal
    cap: Decimal

    def __str__(self) -> str:
        """Say it in one sentence."""
        whose = {IN_ALL: "in all"}.get(self.scope, f"for {self.scope.replace(':', ' ')}")
        return (
            f"{_amount(self.wanted, self.unit)} more {whose} would pass the cap of {_amount(self.cap, self.unit)} a "
            f"{self.window.value}: {_amount(self.used, self.unit)} is spent or reserved."
        )


@dataclass(frozen=True, slots=True)
class SpendBook:
    """All that the journal says of AI spend; a value that each event replaces, its containers never change.

    day, month: the windows that are open, as days since 1970 and months since year 0; never an earlier one again.
    daily, monthly: scope -> what was posted in them. cycle_of: agent -> the last cycle a call of it was posted for.
    first_ms: when the day's first hold was made, 0 before it. made: holds ever made. overruns: calls that cost more
    than was reserved. off: provider, "" for all -> why nothing may be asked.
    """

    day: int = -1
    month: int = -1
    daily: dict[str, Tally] = field(default_factory=dict)
    monthly: dict[str, Tally] = field(default_factory=dict)
    total: Tally = NOTHING
    holds: dict[str, OpenHold] = field(default_factory=dict)
    cycle_of: dict[str, str] = field(default_factory=dict)
    caps: Caps = ()
    off: dict[str, AiOff] = field(default_factory=dict)
    first_ms: int = 0
    made: int = 0
    overruns: int = 0

    def rolled(self, ts_ms: int) -> SpendBook:
        """Return the book with the windows of an instant open; those of an earlier one stay closed (S6, P22)."""
        day, month = day_of(ts_ms), month_of(ts_ms)
        book = self
        if day > book.day:
            book = replace(book, day=day, daily={}, first_ms=0)
        if month > book.month:
            book = replace(book, month=month, monthly={})
        return book

    def spent(self, window: Window, scope: str = IN_ALL) -> Tally:
        """Return what was posted in the open window of a scope such as "provider:openai"."""
        return (self.daily if window is Window.DAY else self.monthly).get(scope, NOTHING)

    def reserved(self, window: Window, scope: str = IN_ALL) -> tuple[Decimal, int]:
        """Return what holds of the open window may still cost: USD and tokens."""
        usd, tokens = ZERO, 0
        for hold in self.holds.values():
            if self._is_in(hold, window) and scope in scopes_of(hold.provider, hold.agent):
                usd, tokens = usd + hold.usd, tokens + hold.tokens
        return usd, tokens

    def over(self, caps: Caps, provider: str, agent: str, usd: Decimal, tokens: int) -> Over | None:
        """Return the first cap that a call of this worst case would break in the open windows, None when it fits.

        A window of all calls together that has no cap allows none (R20).
        """
        for window in Window:
            for scope in scopes_of(provider, agent):
                cap = cap_of(caps, scope, window)
                if cap is None:
                    continue
                spent, (held, held_tokens) = self.spent(window, scope), self.reserved(window, scope)
                used, used_tokens = spent.usd + held, spent.tokens + held_tokens
                if not used + usd <= cap.usd:
                    return Over(scope, window, USD, used, usd, cap.usd)
                if not used_tokens + tokens <= cap.tokens:
                    unit = (Decimal(each) for each in (used_tokens, tokens, cap.tokens))
                    return Over(scope, window, TOKENS, *unit)
        return None

    def why_off(self, provider: str, ts_ms: int) -> AiOff | None:
        """Return why a provider may not be asked at an instant, None when it may."""
        for name in (IN_ALL, provider):
            off = self.off.get(name)
            if off is not None and not 0 < off.until_ms <= ts_ms:
                return off
        return None

    def _is_in(self, hold: OpenHold, window: Window) -> bool:
        return hold.day == self.day if window is Window.DAY else hold.month == self.month


def day_of(ts_ms: int) -> int:
    """Return the UTC day of an instant, as days since 1970."""
    return ts_ms // DAY_MS


def month_of(ts_ms: int) -> int:
    """Return the UTC month of an instant, as months since year 0.

    >>> month_of(0) == 1970 * 12, month_of(31 * 86_400_000) - month_of(0)
    (True, 1)
    """
    day = date.fromordinal(_EPOCH_ORDINAL + day_of(ts_ms))
    return day.year * 12 + day.month - 1


def scopes_of(provider: str, agent: str) -> tuple[str, str, str]:
    """Return the scopes a call counts in.

    >>> scopes_of("openai", "dip")
    ('', 'provider:openai', 'agent:dip')
    """
    return IN_ALL, f"{PROVIDER}:{provider}", f"{AGENT}:{agent}"


def cap_of(caps: Caps, scope: str, window: Window) -> Cap | None:
    """Return the cap of a scope: its own, else that of each provider or agent; None where it shares that of all.

    All calls together always have one: without it nothing is allowed (R20).
    """
    general = scope.partition(":")[0]
    for name in (scope, general):
        for cap in caps:
            if cap.scope == name and cap.window is window:
                return cap
    return Cap(IN_ALL, window, ZERO, 0) if scope == IN_ALL else None


def _amount(value: Decimal, unit: str) -> str:
    return f"{plain(value)} {unit}"
