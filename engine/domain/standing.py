"""Where the kill switch's rules and the agents' failures stand, as the journal has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.domain.agent import TRADER, AgentStatus
from engine.domain.decision import AnsweredBy, Outcome
from engine.domain.events import AgentChanged, AgentWaits, CycleDone, CycleHeld, KillTierMoved, StateChanged
from engine.domain.failing import Failing
from engine.domain.killing import KILL_SWITCH, KillTier
from engine.domain.policy import TradingState

ENGINE = "engine"
"""The actor that pauses an agent for its failures, and wakes it again."""
ONLY_HERE = (CycleHeld, AgentWaits, KillTierMoved)
"""Events that change nothing else in the books."""


@dataclass(slots=True)
class Standing:
    """tiers: rule -> its tier, where it is not clear. failing: cycles that failed in a row."""

    tiers: dict[str, KillTier] = field(default_factory=dict)
    failing: Failing = field(default_factory=Failing)

    def apply(self, ts_ms: int, event: Any) -> None:
        """Take one event in."""
        if type(event) is CycleHeld:
            self.failing.ended(event.agent, failed=False)
        elif isinstance(event, CycleDone):
            if event.agent != TRADER and event.outcome is not Outcome.KEYS_LOCKED:  # it waits for a person
                answered = event.outcome is Outcome.DECIDED or event.answered_by is AnsweredBy.FALLBACK
                self.failing.ended(event.agent, failed=not answered)
        elif isinstance(event, KillTierMoved):
            self._moved(event)
        elif isinstance(event, AgentWaits):
            self.failing.until_ms[event.agent] = event.until_ms
        elif isinstance(event, AgentChanged):
            self._agent(ts_ms, event)
        elif isinstance(event, StateChanged):
            self._state(event)

    def _moved(self, event: KillTierMoved) -> None:
        if event.tier is KillTier.CLEAR:
            self.tiers.pop(event.rule, None)
        else:
            self.tiers[event.rule] = event.tier

    def _agent(self, ts_ms: int, event: AgentChanged) -> None:
        if event.status is AgentStatus.PAUSED and event.actor == ENGINE:
            self.failing.paused_ms[event.agent] = ts_ms
        else:
            self.failing.forgive(event.agent)

    def _state(self, event: StateChanged) -> None:
        """A person who lets trading go on has looked: rules and failures in a row begin anew."""
        if event.state is TradingState.ACTIVE and event.actor != KILL_SWITCH:
            self.tiers.clear()
            self.failing.in_a_row = 0
