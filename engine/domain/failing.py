"""What the journal says of cycles that failed: how many in a row, and what follows for the agent (seed 001)."""

from __future__ import annotations

from dataclasses import dataclass, field

WAIT_DOUBLINGS_MAX = 20


def wait_ms(failures: int, first_ms: int, most_ms: int) -> int:
    """Return how long an agent waits after so many failures in a row: the first wait, doubled with each further one.

    >>> [wait_ms(failures, 60_000, 3_600_000) for failures in (1, 2, 3, 10)]
    [60000, 120000, 240000, 3600000]
    """
    return min(most_ms, first_ms * 2 ** min(max(0, failures - 1), WAIT_DOUBLINGS_MAX))


@dataclass(slots=True)
class Failing:
    """Failures in a row, of each agent that has some, and over all agents; one that ends well begins anew.

    until_ms: agent -> it runs no cycle before. paused_ms: agent -> when the engine paused it for its failures.
    """

    in_a_row: int = 0
    by_agent: dict[str, int] = field(default_factory=dict)
    until_ms: dict[str, int] = field(default_factory=dict)
    paused_ms: dict[str, int] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Tell whether a cycle that ends well would change anything here; while it would not, holds need no reading."""
        return bool(self.in_a_row or self.by_agent)

    def ended(self, agent: str, *, failed: bool) -> None:
        """Take the end of a cycle in."""
        if failed:
            self.in_a_row += 1
            self.by_agent[agent] = self.by_agent.get(agent, 0) + 1
        elif self.in_a_row or agent in self.by_agent:
            self.in_a_row = 0
            self.forgive(agent)

    def forgive(self, agent: str) -> None:
        """Forget an agent's failures."""
        for each in (self.by_agent, self.until_ms, self.paused_ms):
            each.pop(agent, None)
