"""What the journal adds up to about asking language models."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.domain.decision import AnsweredBy, Outcome
from engine.domain.events.asking import CycleSkipped, ModelAsked
from engine.domain.events.cycles import CycleDone

ASKING_EVENTS = (ModelAsked, CycleSkipped)
DETERMINISTIC = "heuristic:"


@dataclass(slots=True)
class Asking:
    """Counts by agent. outcomes: (agent, outcome) -> cycles, "FALLBACK" beside the outcome that made it necessary.

    attempts: questions sent. skipped: slots that came while the agent's last cycle was still under way.
    """

    outcomes: dict[tuple[str, str], int] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)

    def done(self, event: CycleDone) -> None:
        """Count a cycle of a language model, or one that failed."""
        fell_back = event.answered_by is AnsweredBy.FALLBACK
        if event.outcome is Outcome.DECIDED and event.model.startswith(DETERMINISTIC):
            return
        for outcome in (event.outcome.value, *((AnsweredBy.FALLBACK.value,) if fell_back else ())):
            key = (event.agent, outcome)
            self.outcomes[key] = self.outcomes.get(key, 0) + 1

    def take(self, event: ModelAsked | CycleSkipped) -> None:
        """Count an attempt that was sent, or a slot that was skipped."""
        if isinstance(event, CycleSkipped):
            self.skipped[event.agent] = self.skipped.get(event.agent, 0) + 1
        elif event.reserved_usd:
            self.attempts[event.agent] = self.attempts.get(event.agent, 0) + 1

    def of(self, agent: str) -> dict[str, int]:
        """Return outcome -> how many, of one agent."""
        return {outcome: count for (name, outcome), count in self.outcomes.items() if name == agent}
