"""The account's limits: one versioned document. Every limit exists and is finite (R20)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from engine.domain.caps import DOCUMENTED, AiBudget
from engine.domain.intent import Autonomy
from engine.domain.killing import KillLimits


class Off(StrEnum):
    """The word that switches a limit off; nothing else does, and every screen shows it (R20)."""

    OFF = "off"


class TradingState(StrEnum):
    """What the whole engine may do (R17)."""

    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """Limits over all agents; money in account currency, shares of equity unless said otherwise.

    confidence_min: least confidence, whatever an agent's own is. autonomy: the most that agents may do by themselves.
    leverage: gross exposure in times of equity. group_share_frac: instruments of one group together.
    stop_distance_frac: nearest stop, of the entry. reward_risk: least way to the target in ways to the stop.
    daily_loss_frac, daily_profit_frac: since 00:00 UTC, of equity then. price_age_ms: oldest price an order may be made
    on; price_collar_frac: farthest a price may be from the median of the last ones. spread_frac: of the middle.
    decision_age_ms, decision_drift_frac: how long ago a decision's price may have been seen, and how far it may have
    moved since. volatility_index: its highest close; volatility_index_file: a CSV of daily closes, as written in the
    policy. volatility_frac: annualised. average_volume: traded a day, in quote. correlation: from where on two
    instruments count as one; correlated_positions: how many of those may be held, the new one included.
    value_at_risk_frac: what a day loses in all but value_at_risk_confidence of days. win_rate_frac, agent_loss_frac: an
    agent's last 30 days, of its round trips and of its capital.
    """

    open_positions: int = 5
    trades_per_day: int = 50
    confidence_min: Decimal = Decimal(0)
    autonomy: Autonomy = Autonomy.AUTO
    gross_exposure_frac: Decimal = Decimal(1)
    net_exposure_frac: Decimal = Decimal(1)
    leverage: Decimal = Decimal(1)
    group_share_frac: Decimal = Decimal(1)
    risk_per_trade_frac: Decimal = Decimal("0.01")
    stop_distance_frac: Decimal = Decimal("0.001")
    reward_risk: Decimal | Off = Off.OFF
    daily_loss_frac: Decimal = Decimal("0.03")
    daily_profit_frac: Decimal | Off = Off.OFF
    price_age_ms: int = 90_000
    price_collar_frac: Decimal = Decimal("0.10")
    spread_frac: Decimal = Decimal("0.01")
    decision_age_ms: int = 120_000
    decision_drift_frac: Decimal = Decimal("0.01")
    volatility_index: Decimal | Off = Off.OFF
    volatility_index_file: str = ""
    volatility_frac: Decimal | Off = Off.OFF
    average_volume: Decimal | Off = Off.OFF
    correlation: Decimal = Decimal("0.7")
    correlated_positions: int = 5
    value_at_risk_frac: Decimal | Off = Off.OFF
    value_at_risk_confidence: Decimal = Decimal("0.95")
    win_rate_frac: Decimal | Off = Off.OFF
    agent_loss_frac: Decimal | Off = Off.OFF


class FallbackRule(StrEnum):
    """What the deterministic model that stands in for one that cannot be reached may do (R7)."""

    NO_TRADES = "no_trades"
    ONLY_REDUCE = "only_reduce"
    MAY_ENTER = "may_enter"


@dataclass(frozen=True, slots=True, kw_only=True)
class AiRules:
    """Whether language models are asked at all, and what their stand-in may do on paper and live.

    prompts_kept_days: how long what was asked, answered and judged on is kept word for word; 0: not beyond the day.
    """

    live_inference: bool = True
    fallback_paper: FallbackRule = FallbackRule.MAY_ENTER
    fallback_live: FallbackRule = FallbackRule.ONLY_REDUCE
    prompts_kept_days: int = 90


class AskFor(StrEnum):
    """Which agents' trades wait for a person, whatever their files say."""

    AS_AGENTS_SAY = "as_agents_say"
    ENTRIES = "entries"
    EVERY_TRADE = "every_trade"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRules:
    """Rules over all agents' approvals. expires_max_ms: longest that one may wait; an agent's own may be shorter."""

    ask: AskFor = AskFor.AS_AGENTS_SAY
    expires_max_ms: int = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernanceRules:
    """How this policy is loosened (R24). require_approval: by an admin only; without it, on paper, by the trader too.

    cooling_off_ms: from an approval until what it loosens takes effect.
    """

    require_approval: bool = True
    cooling_off_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSettings:
    """How the paper venue fills: fractions of the price against us, and the largest share of a candle's volume."""

    half_spread_frac: Decimal = Decimal("0.0002")
    slippage_frac: Decimal = Decimal("0.0001")
    volume_share_frac: Decimal = Decimal("0.10")
    latency_ms: int = 0


class OnMissing(StrEnum):
    """What follows when a position has been without its resting stop for too long (R16)."""

    ALARM = "alarm"
    REPAIR = "repair"
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionRules:
    """Stops that must rest. missing: what to do without one. deadline_ms: from when it is missing, at the latest.

    stop_frac: the distance of a stop that is put back for a position whose agent is not known any more.
    external_stop_frac: that of a stop put there for a position nobody here opened; off: only a person asks for one.
    """

    missing: OnMissing = OnMissing.REPAIR
    deadline_ms: int = 10_000
    stop_frac: Decimal = Decimal("0.02")
    external_stop_frac: Decimal | Off = Off.OFF


@dataclass(frozen=True, slots=True, kw_only=True)
class FlattenLimits:
    """The ladder that closes positions: the farthest from the last price in so many rungs, each for so long.

    manual_url: by venue, where a person closes by hand what the program cannot.
    """

    slippage_max_frac: Decimal = Decimal("0.02")
    steps: int = 4
    step_ms: int = 5_000
    manual_url: Mapping[str, str] = field(default_factory=dict)

    def by_hand(self, venue: str) -> str:
        """Say where a person closes at a venue.

        >>> FlattenLimits().by_hand("paper"), FlattenLimits(manual_url={"x": "https://x.test"}).by_hand("x")
        ('close it by hand at paper', 'close it by hand at x: https://x.test')
        """
        url = self.manual_url.get(venue)
        return f"close it by hand at {venue}" + (f": {url}" if url else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The limits in force. usd_peg: assets declared to be worth one unit of the account currency each."""

    account_currency: str = "USD"
    cash: Decimal = Decimal(100_000)
    usd_peg: tuple[str, ...] = ("USDT", "USDC")
    kill: KillLimits = field(default_factory=KillLimits)
    limits: AccountLimits = AccountLimits()
    ai_budget: AiBudget = DOCUMENTED
    ai: AiRules = AiRules()
    approvals: ApprovalRules = ApprovalRules()
    governance: GovernanceRules = GovernanceRules()
    paper: PaperSettings = PaperSettings()
    protection: ProtectionRules = ProtectionRules()
    flatten: FlattenLimits = FlattenLimits()
