"""What limits an agent in its own file, value by value: how each is read, written, compared, and put in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from engine.config.agents import governed_keys
from engine.config.distances import as_fields
from engine.config.fields import Parser, words
from engine.domain.agent import AgentConfig, by_share
from engine.governance.directions import AGENT_WAYS, Way
from engine.governance.texts import OFF, read, written

AGENT_PREFIX = "agents."
INSTRUMENTS = "instruments"
BLOCKED = "limits.blocked"
LEFT_OUT = ("limits.qty_fixed", "limits.qty_max", "protection.missing")
Put = Callable[[AgentConfig, Any], AgentConfig]


@dataclass(frozen=True, slots=True)
class AgentField:
    """One such value. name: its place in the file, such as "limits.trades_per_day"; attribute: says its unit."""

    name: str
    attribute: str
    parser: Parser
    way: Way
    of: Callable[[AgentConfig], Any]
    put: Put

    def parse(self, agent: str, text: str) -> Any:
        """Read it as it would stand in the file, or "off" where it may be left out of it. Raises UsageError."""
        if text == OFF and self.name in LEFT_OUT:
            return None
        return self.parser(f"agent {agent} {self.name}", read(text))

    def written(self, value: Any) -> str:
        """Write it as it would stand in the file."""
        return written(value, self.attribute)

    def text(self, agent: AgentConfig) -> str:
        """Write what an agent has."""
        return self.written(self.of(agent))


def parts_of(field: str) -> tuple[str, str]:
    """Split "agents.NAME.KEY" into name and key.

    >>> parts_of("agents.dip-buyer.limits.trades_per_day")
    ('dip-buyer', 'limits.trades_per_day')
    """
    name, _dot, key = field.removeprefix(AGENT_PREFIX).partition(".")
    return name, key


def any_name(where: str, value: Any) -> str:
    """Take any text for the name of an instrument."""
    return str(value)


@cache
def fields_of_agents() -> Mapping[str, AgentField]:
    """Return every value that limits an agent, by its place in the file."""
    return _fields(any_name)


def fields_proposable(listed: Parser = any_name) -> Mapping[str, AgentField]:
    """Return those that a proposal may name. The others an engine takes up at its start, and from the file alone.

    listed: reads the name of an instrument.
    """
    only_filed = lambda name: name == INSTRUMENTS or name.startswith("protection.")  # noqa: E731
    return {name: each for name, each in _fields(listed).items() if not only_filed(name)}


def _fields(listed: Parser) -> dict[str, AgentField]:
    return {
        name: AgentField(name, key.field, key.parse, AGENT_WAYS[name], *_access(name, key.field))
        for name, key in governed_keys(words(listed)).items()
    }


def _access(name: str, attribute: str) -> tuple[Callable[[AgentConfig], Any], Put]:
    table, _dot, _key = name.partition(".")
    if name == INSTRUMENTS:
        return lambda agent: agent.instruments, _hold_instruments
    if name == "protection.stop":
        return _stop_of, lambda agent, new: _inner(agent, "protection", **as_fields("stop", new))
    if table in ("limits", "protection"):
        return (
            lambda agent: getattr(getattr(agent, table), attribute),
            lambda agent, new: _inner(agent, table, **{attribute: new}),
        )
    return lambda agent: getattr(agent, attribute), lambda agent, new: replace(agent, **{attribute: new})


def _inner(agent: AgentConfig, table: str, **values: Any) -> AgentConfig:
    return replace(agent, **{table: replace(getattr(agent, table), **values)})


def _stop_of(agent: AgentConfig) -> Any:
    return agent.protection.stop_by or by_share(agent.protection.stop_frac)


def _hold_instruments(agent: AgentConfig, allowed: tuple[str, ...]) -> AgentConfig:
    """An agent sees all that its file names, and enters only what it was allowed: the rest is blocked for it."""
    extra = sorted(set(agent.instruments) - set(allowed) - set(agent.limits.blocked))
    return _inner(agent, "limits", blocked=(*agent.limits.blocked, *extra))


def without_hold(agent: AgentConfig, allowed: tuple[str, ...]) -> AgentConfig:
    """Return an agent as it was before its instruments were held at what was allowed."""
    held = set(agent.instruments) - set(allowed)
    return _inner(agent, "limits", blocked=tuple(key for key in agent.limits.blocked if key not in held))
