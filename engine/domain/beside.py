"""What the journal adds up to about questions to models beside trading."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.domain.budget import Purpose
from engine.domain.events.beside import AskedBeside, BesideDone

BESIDE_EVENTS = (AskedBeside, BesideDone)


@dataclass(slots=True)
class Beside:
    """Counts by purpose and agent. outcomes: (purpose, agent, outcome) -> questions; attempts: questions sent.

    last: (purpose, agent) -> the outcome of the latest.
    """

    outcomes: dict[tuple[str, str, str], int] = field(default_factory=dict)
    attempts: dict[tuple[str, str], int] = field(default_factory=dict)
    last: dict[tuple[str, str], str] = field(default_factory=dict)

    def take(self, event: AskedBeside | BesideDone) -> None:
        """Count an attempt that was sent, or a question that is over."""
        if isinstance(event, BesideDone):
            key = (event.purpose.value, event.agent, event.outcome.value)
            self.outcomes[key] = self.outcomes.get(key, 0) + 1
            self.last[event.purpose.value, event.agent] = event.outcome.value
        elif event.reserved_usd:
            sent = (event.purpose.value, event.agent)
            self.attempts[sent] = self.attempts.get(sent, 0) + 1

    def forget(self, purpose: Purpose, agent: str) -> None:
        """Begin an agent's counts of a purpose anew."""
        key = (purpose.value, agent)
        self.outcomes = {each: count for each, count in self.outcomes.items() if each[:2] != key}
        self.attempts.pop(key, None)
        self.last.pop(key, None)

    def of(self, purpose: Purpose, agent: str) -> dict[str, int]:
        """Return outcome -> how many, of one agent's questions for a purpose."""
        return {
            outcome: count
            for (why, name, outcome), count in self.outcomes.items()
            if (why, name) == (purpose.value, agent)
        }
