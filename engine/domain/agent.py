"""An agent: a model with instruments, limits, autonomy and a share of the capital."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from engine.domain.intent import Autonomy, Mode
from engine.domain.policy import OnMissing

TRADER = "trader"
EXTERNAL = "external"


class AgentStatus(StrEnum):
    """Whether its cycles run."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When cycles run: on each closed candle, or by interval, or by a cron line in a zone."""

    every_candle: bool = True
    interval_ms: int | None = None
    cron: str | None = None
    zone: str = "UTC"


class Measure(StrEnum):
    """What a distance from a price is measured in."""

    SHARE = "share"
    PRICE = "price"
    ATR = "ATR"


ATR_PERIOD = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class Distance:
    """How far from a price: a share of it, an amount of quote, or so many average true ranges.

    unit: the currency of an amount. period: of the ranges, in closed candles of the agent's own length.
    """

    measure: Measure
    amount: Decimal
    unit: str = ""
    period: int = ATR_PERIOD

    def of(self, price: Decimal, atr: Decimal | None) -> Decimal | None:
        """Return it in quote; None where the ranges are not known.

        >>> Distance(measure=Measure.SHARE, amount=Decimal("0.02")).of(Decimal(500), None)
        Decimal('10.00')
        >>> Distance(measure=Measure.ATR, amount=Decimal(2)).of(Decimal(500), Decimal(7))
        Decimal('14')
        """
        if self.measure is Measure.PRICE:
            return self.amount
        if self.measure is Measure.SHARE:
            return price * self.amount
        return None if atr is None else self.amount * atr


def by_share(frac: Decimal | None) -> Distance | None:
    """Return a share of the price as a distance."""
    return None if frac is None else Distance(measure=Measure.SHARE, amount=frac)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """Where the stop and the target of an entry rest. None: none asked for.

    stop_frac, target_frac: as shares of the entry price; stop_by, target_by: as another distance, in their place.
    trail: a stop follows the best closed price at this distance, and only ever moves in the position's favour; without
    a stop of its own an entry begins with it. missing: what to do without a resting stop, in place of the policy's.
    """

    stop_frac: Decimal | None = Decimal("0.02")
    target_frac: Decimal | None = None
    stop_by: Distance | None = None
    target_by: Distance | None = None
    trail: Distance | None = None
    missing: OnMissing | None = None

    @property
    def stop(self) -> Distance | None:
        """How far below its entry a position's stop begins."""
        return self.stop_by or by_share(self.stop_frac) or self.trail

    @property
    def target(self) -> Distance | None:
        """How far above its entry a position's target is."""
        return self.target_by or by_share(self.target_frac)

    @property
    def periods(self) -> set[int]:
        """The periods of the average true ranges it is measured in."""
        asked = (self.stop, self.target, self.trail)
        return {one.period for one in asked if one is not None and one.measure is Measure.ATR}


class SizingMethod(StrEnum):
    """How a target is made from a draft to buy; ceilings and guardrails then only make it smaller."""

    RISK = "risk"
    VOLATILITY = "volatility"
    NOTIONAL = "notional"
    KELLY = "kelly"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLimits:
    """One agent's limits. Money in quote; 0 means none allowed (R20).

    qty_fixed: always aim at this many units instead of sizing by a method. qty_max: hard cap in base on what
    a model may ask for. portfolio_share_frac: largest part of equity in one instrument.
    sizing: risk: what is lost at the stop is the risk per trade. volatility: what a usual day moves it is
    volatility_target_frac of capital. notional: notional_fixed in quote. kelly: Kelly's share of capital by the agent's
    own round trips of 30 days, at most kelly_share_frac.
    """

    confidence_min: Decimal = Decimal("0.6")
    trades_per_day: int = 100
    position_notional_max: Decimal = Decimal("10000")
    portfolio_share_frac: Decimal = Decimal("0.25")
    cooldown_after_loss_ms: int = 1_800_000
    cooldown_after_refusal_ms: int = 0
    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    qty_fixed: Decimal | None = None
    qty_max: Decimal | None = None
    sizing: SizingMethod = SizingMethod.RISK
    volatility_target_frac: Decimal = Decimal("0.01")
    notional_fixed: Decimal = Decimal(0)
    kelly_share_frac: Decimal = Decimal("0.10")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptConfig:
    """How a language model is asked. system, user: templates, "" for our own. tokens_max: of both, by estimate."""

    system: str = ""
    user: str = ""
    tokens_max: int = 8_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """An agent as its file or flags describe it. timeframe_ms: length of the candles it reads.

    strategy, goal: plain words for language models. risk_appetite: 0..100, for them too; it moves no limit. shadow: a
    model that decides on the same inputs, on books of its own.
    """

    name: str
    model: str
    instruments: tuple[str, ...]
    timeframe_ms: int
    mode: Mode = Mode.PAPER
    autonomy: Autonomy = Autonomy.AUTO
    capital_share_frac: Decimal = Decimal(1)
    strategy: str = ""
    goal: str = ""
    risk_appetite: int = 50
    prompt: PromptConfig = PromptConfig()
    shadow: str | None = None
    model_settings: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    schedule: Schedule = Schedule()
    protection: Protection = Protection()
    limits: AgentLimits = AgentLimits()
    fallback: str | None = None
    pause_after_failures: int = 5
    backoff_ms: int = 60_000
    backoff_max_ms: int = 3_600_000
    failures_decay_ms: int = 1_800_000
    approval_ttl_ms: int = 300_000
