"""Which way each value of the policy goes: the one table that says what tightens and what loosens (R24).

A field that is not here may not be in the policy; a house test compares. A new one takes one line: MORE_LOOSENS for a
ceiling, LESS_LOOSENS for a floor or a wait, ordered() for words, ANY_LOOSENS where no order can be told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.domain.agent import Distance
from engine.domain.governance import Sense
from engine.domain.policy import Off


@dataclass(frozen=True, slots=True)
class Way:
    """How two values of a field compare. words: what a person is told; looser: tells whether the second is looser.

    common: of a change that loosens, how far it tightens too, which applies at once: a list may gain and lose names.
    """

    words: str
    looser: Callable[[Any, Any], bool]
    common: Callable[[Any, Any], Any] = lambda old, new: old

    def sense(self, old: Any, new: Any) -> Sense:
        """Return which way a change from old to new goes; equal values are NEUTRAL."""
        if old == new or self is FREE or (self is ADDED_LOOSENS and not set(old) & set(new)):
            return Sense.NEUTRAL
        return Sense.LOOSENS if self.looser(old, new) else Sense.TIGHTENS


def ordered(*tightest_first: str) -> Way:
    """Order words from the tightest to the loosest."""
    place = {word: at for at, word in enumerate(tightest_first)}
    return Way(f"from tight to loose: {', '.join(tightest_first)}", lambda old, new: place[new] > place[old])


def _more(old: Any, new: Any) -> bool:
    return new is None or (old is not None and not new <= old)  # written so that what cannot be compared loosens


def _less(old: Any, new: Any) -> bool:
    return new is None or (old is not None and not new >= old)


def _wider_list(old: Any, new: Any) -> bool:
    return not new or (bool(old) and not set(new) <= set(old))


def _in_both(old: Any, new: Any) -> Any:
    return tuple(name for name in old if name in new) or old


def _in_either(old: Any, new: Any) -> Any:
    return (*old, *(name for name in new if name not in old))


def _or_off(looser: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Let the word "off" be looser than any value."""
    return lambda old, new: new == Off.OFF or (old != Off.OFF and looser(old, new))


def _further(old: Distance | None, new: Distance | None) -> bool:
    """A stop that is further off, or none; measured in something else, no order can be told."""
    if old is None or new is None:
        return new is None
    alike = (old.measure, old.unit, old.period) == (new.measure, new.unit, new.period)
    return not (alike and new.amount <= old.amount)


def _less_done(old: str | None, new: str | None) -> bool:
    """Where the policy decides again, or instead of it, only the tightest and the loosest word can be told."""
    if old is None or new is None:
        return new != "close" if old is None else old != "alarm"
    return OWN_WORDS.index(new) > OWN_WORDS.index(old)


OWN_WORDS = ("close", "repair", "alarm")
MORE_LOOSENS = Way("more loosens", _more)
LESS_LOOSENS = Way("less loosens", _less)
CEILING_OR_OFF = Way("more loosens; off is no ceiling", _or_off(_more))
FLOOR_OR_OFF = Way("less loosens; off is no floor", _or_off(_less))
LONGER_LIST_LOOSENS = Way("another name loosens; an empty list allows all", _wider_list, _in_both)
ADDED_LOOSENS = Way(
    "another beside those it has loosens; others in their place make another agent of it", _wider_list, _in_both
)
SHORTER_LIST_LOOSENS = Way("a name less loosens", lambda old, new: not set(new) >= set(old), _in_either)
ANY_LOOSENS = Way("any change needs approval", lambda old, new: True)
FURTHER_LOOSENS = Way("further off loosens, and so does another measure; off is none", _further)
OWN_MISSING = Way("from tight to loose: close, repair, alarm; off leaves it to the policy", _less_done)
KEEPING = Way("no limit; how long prompts and answers are kept", lambda old, new: False)
FREE = Way("no limit; for the paper venue, from the next start on", lambda old, new: False)

POLICY_WAYS: dict[str, Way] = {
    "account_currency": ANY_LOOSENS,
    "cash": FREE,
    "usd_peg": ANY_LOOSENS,
    "kill_switch.gain": MORE_LOOSENS,
    "kill_switch.loss": MORE_LOOSENS,
    "kill_switch.drawdown": MORE_LOOSENS,
    "kill_switch.daily_loss": MORE_LOOSENS,
    "kill_switch.daily_profit": MORE_LOOSENS,
    "kill_switch.analysis_failures": MORE_LOOSENS,
    "kill_switch.venue_failures": MORE_LOOSENS,
    "kill_switch.stale_data": MORE_LOOSENS,
    "kill_switch.ledger_drift": MORE_LOOSENS,
    "kill_switch.clock_skew": MORE_LOOSENS,
    "kill_switch.loop_lag": MORE_LOOSENS,
    "kill_switch.warn_at": MORE_LOOSENS,
    "kill_switch.reduce_at": MORE_LOOSENS,
    "kill_switch.hysteresis": LESS_LOOSENS,
    "kill_switch.thresholds": ANY_LOOSENS,
    "kill_switch.action": ordered("halt_and_flatten", "halt"),
    "limits.open_positions": MORE_LOOSENS,
    "limits.trades_per_day": MORE_LOOSENS,
    "limits.confidence_min": LESS_LOOSENS,
    "limits.autonomy": ordered("observe", "approve", "auto"),
    "limits.gross_exposure": MORE_LOOSENS,
    "limits.net_exposure": MORE_LOOSENS,
    "limits.leverage": MORE_LOOSENS,
    "limits.group_share": MORE_LOOSENS,
    "limits.risk_per_trade": MORE_LOOSENS,
    "limits.stop_distance": LESS_LOOSENS,
    "limits.reward_risk": FLOOR_OR_OFF,
    "limits.daily_loss": MORE_LOOSENS,
    "limits.daily_profit": CEILING_OR_OFF,
    "limits.price_age": MORE_LOOSENS,
    "limits.price_collar": MORE_LOOSENS,
    "limits.spread": MORE_LOOSENS,
    "limits.decision_age": MORE_LOOSENS,
    "limits.decision_drift": MORE_LOOSENS,
    "limits.volatility_index": CEILING_OR_OFF,
    "limits.volatility_index_file": ANY_LOOSENS,
    "limits.volatility": CEILING_OR_OFF,
    "limits.average_volume": FLOOR_OR_OFF,
    "limits.correlation": MORE_LOOSENS,
    "limits.correlated_positions": MORE_LOOSENS,
    "limits.value_at_risk": CEILING_OR_OFF,
    "limits.value_at_risk_confidence": LESS_LOOSENS,
    "limits.win_rate": FLOOR_OR_OFF,
    "limits.agent_loss": CEILING_OR_OFF,
    "ai_budget.usd_per_day": MORE_LOOSENS,
    "ai_budget.tokens_per_day": MORE_LOOSENS,
    "ai_budget.usd_per_month": MORE_LOOSENS,
    "ai_budget.tokens_per_month": MORE_LOOSENS,
    "ai_budget.each_provider.usd_per_day": MORE_LOOSENS,
    "ai_budget.each_provider.tokens_per_day": MORE_LOOSENS,
    "ai_budget.each_provider.usd_per_month": MORE_LOOSENS,
    "ai_budget.each_provider.tokens_per_month": MORE_LOOSENS,
    "ai_budget.each_agent.usd_per_day": MORE_LOOSENS,
    "ai_budget.each_agent.tokens_per_day": MORE_LOOSENS,
    "ai_budget.each_agent.usd_per_month": MORE_LOOSENS,
    "ai_budget.each_agent.tokens_per_month": MORE_LOOSENS,
    "ai_budget.providers": ANY_LOOSENS,
    "ai_budget.agents": ANY_LOOSENS,
    "ai.live_inference": MORE_LOOSENS,
    "ai.fallback_paper": ordered("no_trades", "only_reduce", "may_enter"),
    "ai.fallback_live": ordered("no_trades", "only_reduce", "may_enter"),
    "ai.prompts_kept_days": KEEPING,
    "approvals.ask": ordered("every_trade", "entries", "as_agents_say"),
    "approvals.expires_max": MORE_LOOSENS,
    "governance.require_approval": LESS_LOOSENS,
    "governance.cooling_off": LESS_LOOSENS,
    "protection.missing": ordered("close", "repair", "alarm"),
    "protection.deadline": MORE_LOOSENS,
    "protection.stop": MORE_LOOSENS,
    "protection.external_stop": CEILING_OR_OFF,
    "flatten.slippage_max": MORE_LOOSENS,
    "flatten.steps": FREE,
    "flatten.step_wait": MORE_LOOSENS,
    "flatten.manual_url": FREE,
    "paper.half_spread": FREE,
    "paper.slippage": FREE,
    "paper.volume_share": FREE,
    "paper.latency": FREE,
}

AGENT_WAYS: dict[str, Way] = {
    "instruments": ADDED_LOOSENS,
    "autonomy": ordered("observe", "approve", "auto"),
    "capital_share": MORE_LOOSENS,
    "approval_expires": MORE_LOOSENS,
    "limits.confidence_min": LESS_LOOSENS,
    "limits.trades_per_day": MORE_LOOSENS,
    "limits.position_notional_max": MORE_LOOSENS,
    "limits.portfolio_share": MORE_LOOSENS,
    "limits.cooldown_after_loss": LESS_LOOSENS,
    "limits.cooldown_after_refusal": LESS_LOOSENS,
    "limits.allowed": LONGER_LIST_LOOSENS,
    "limits.blocked": SHORTER_LIST_LOOSENS,
    "limits.qty_fixed": ANY_LOOSENS,
    "limits.qty_max": MORE_LOOSENS,
    "limits.sizing": ANY_LOOSENS,
    "limits.volatility_target": MORE_LOOSENS,
    "limits.notional_fixed": MORE_LOOSENS,
    "limits.kelly_share": MORE_LOOSENS,
    "protection.stop": FURTHER_LOOSENS,
    "protection.trailing": FURTHER_LOOSENS,
    "protection.missing": OWN_MISSING,
    "on_failure.pause_after": MORE_LOOSENS,
    "on_failure.backoff": LESS_LOOSENS,
    "on_failure.backoff_max": LESS_LOOSENS,
    "on_failure.decay": LESS_LOOSENS,
}
"""The same for what limits an agent in its own file, by its place in it."""
