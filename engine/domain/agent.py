"""An agent: a model with instruments, limits, autonomy and a share of the capital."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from engine.domain.intent import Autonomy, Mode

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """Stop and target as fractions of the entry price; None: none asked for."""

    stop_frac: Decimal | None = Decimal("0.02")
    target_frac: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLimits:
    """One agent's limits. Money in quote; 0 means none allowed (R20).

    qty_fixed: always aim at this many units instead of sizing by risk. qty_max: hard cap in base on what
    a model may ask for. portfolio_share_frac: largest part of equity in one instrument.
    """

    confidence_min: Decimal = Decimal("0.6")
    trades_per_day: int = 100
    position_notional_max: Decimal = Decimal("10000")
    portfolio_share_frac: Decimal = Decimal("0.25")
    cooldown_after_loss_ms: int = 1_800_000
    allowed: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    qty_fixed: Decimal | None = None
    qty_max: Decimal | None = None


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
    approval_ttl_ms: int = 300_000
