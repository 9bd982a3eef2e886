"""The agents at work: each with its model, its indicators, and what it did last."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.domain.agent import AgentConfig
from engine.domain.events import CycleHeld
from engine.llm.client import ModelAnswer, ModelClient
from engine.market.indicators import Indicators


@dataclass(slots=True)
class RunningAgent:
    """One agent in memory. last: its latest decision in words; failures: cycles failed in a row.

    decisions: direction, or "failed", -> how many; refusals: code of the check -> how many. hold_answer: the latest
    answer that only held, and hold_row its journal row. pulse: the indicators a language model is told of; wide: those
    that deterministic models would read, for the record. waits: its model takes a while to answer.
    """

    config: AgentConfig
    client: ModelClient
    indicators: dict[str, Indicators]
    phase: str = "IDLE"
    cycles: int = 0
    failures: int = 0
    last: str = ""
    last_ms: int | None = None
    decisions: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)
    hold_answer: ModelAnswer | None = None
    hold_row: CycleHeld | None = None
    pulse: Indicators | None = None
    waits: bool = False
    wide: Indicators | None = None

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.config.name

    @property
    def bars_needed(self) -> int:
        """Bars of its timeframe that its indicators look at."""
        return max((each.window for each in self.indicators.values()), default=1)


def hire(config: AgentConfig, client: ModelClient) -> RunningAgent:
    """Make an agent ready to run; UsageError when its model refuses its settings."""
    specs = client.features_needed(config.model, config.model_settings)
    indicators = {key: Indicators(specs) for key in config.instruments}
    return RunningAgent(config, client, indicators, waits=getattr(client, "waits", False))
