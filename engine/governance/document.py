"""The policy as a document: its values as the file writes them, what differs, and a document with changes in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine.config import PolicyField, policy_fields
from engine.config.fields import Parser, suggestion
from engine.config.toml import refuse_secrets
from engine.domain.agent import AgentConfig
from engine.domain.governance import PolicyChange, Sense
from engine.domain.policy import Policy
from engine.errors import UsageError
from engine.governance.agent_fields import AGENT_PREFIX, any_name, fields_of_agents, fields_proposable, parts_of
from engine.governance.directions import POLICY_WAYS
from engine.governance.texts import read, written


@dataclass(frozen=True, slots=True)
class Document:
    """What a version of the policy is. agents: what is changed of agents' own limits, by field."""

    policy: Policy
    agents: tuple[PolicyChange, ...] = ()


def texts_of(policy: Policy) -> dict[str, str]:
    """Return every value of a policy as text, in the file's order."""
    return {name: written(each.of(policy), each.path[-1]) for name, each in policy_fields().items()}


def differences(old: Policy, new: Policy) -> tuple[PolicyChange, ...]:
    """Return what differs between two policies, each with the way it goes."""
    return tuple(
        change
        for each in policy_fields().values()
        if (change := _change(each.name, each.path[-1], each.of(old), each.of(new))) is not None
    )


def _change(name: str, attribute: str, old: Any, new: Any) -> PolicyChange | None:
    if old == new:
        return None
    return PolicyChange(name, written(old, attribute), written(new, attribute), POLICY_WAYS[name].sense(old, new))


def proposed(
    document: Document, asked: Mapping[str, str], agents: Mapping[str, AgentConfig], listed: Parser | None = None
) -> tuple[PolicyChange, ...]:
    """Return the changes that texts ask for, field -> value; what is so already is left out.

    agents: as they run, the document's own changes of them taken in. listed: reads the name of an instrument, None: any
    text is one. Raises UsageError, in the words of the policy file, for a field that there is not and for a value that
    it may not have.
    """
    refuse_secrets(dict(asked), "The proposal")
    found = [
        _agent_change(name, text, agents, listed or any_name)
        if name.startswith(AGENT_PREFIX)
        else _policy_change(document, name, text)
        for name, text in asked.items()
    ]
    return tuple(change for change in found if change is not None)


def _policy_change(document: Document, name: str, text: str) -> PolicyChange | None:
    field = field_of(name)
    return _change(name, field.path[-1], field.of(document.policy), field.key.parse("policy " + name, read(text)))


def field_of(name: str) -> PolicyField:
    """Return a field of the policy by its name. Raises UsageError, with the one that was probably meant."""
    known = policy_fields()
    if name not in known:
        raise UsageError(f"The policy has no {name!r}; {suggestion(name, known, 'it has')}")
    return known[name]


def _agent_change(name: str, text: str, agents: Mapping[str, AgentConfig], listed: Parser) -> PolicyChange | None:
    agent, key = _agent_field(name, agents)
    field = fields_proposable(listed)[key]
    old, new = field.of(agents[agent]), field.parse(agent, text)
    if old == new:
        return None
    return PolicyChange(name, field.written(old), field.written(new), field.way.sense(old, new))


def _agent_field(name: str, agents: Iterable[str]) -> tuple[str, str]:
    """Split "agents.NAME.KEY" into the name and the key; UsageError if there is no such value to propose."""
    agent, key = parts_of(name)
    known = fields_proposable()
    if agent not in set(agents):
        raise UsageError(f"There is no agent {agent[:40]!r}; there are: {', '.join(agents) or 'none'}.")
    if key not in known:
        raise UsageError(f"agents.{agent} has no {key or name!r}; {suggestion(key, known, 'it has')}")
    return agent, key


def changed(
    document: Document, changes: Iterable[PolicyChange], filed: Mapping[str, AgentConfig] | None = None
) -> Document:
    """Return a document with changes in it; the agents' among them replace older ones of the same field.

    filed: agents as their files have them, which is what a change of their limits is measured from.
    """
    policy, agents = document.policy, {each.field: each for each in document.agents}
    for change in changes:
        if change.field.startswith(AGENT_PREFIX):
            agents[change.field] = replace(change, old=_filed_text(change, filed or {}, agents.get(change.field)))
        else:
            field = field_of(change.field)
            policy = with_value(policy, field.path, field.key.parse("policy " + change.field, read(change.new)))
    kept = tuple(each for each in agents.values() if each.old != each.new)
    return Document(policy, kept)


def _filed_text(change: PolicyChange, filed: Mapping[str, AgentConfig], older: PolicyChange | None) -> str:
    """What the agent's file says; where the file is not at hand, what it said when the field was changed before."""
    name, key = parts_of(change.field)
    if name in filed and key in fields_of_agents():
        return fields_of_agents()[key].text(filed[name])
    return older.old if older else change.old


def with_value(value: Any, path: tuple[str, ...], new: Any) -> Any:
    """Return a nested frozen value with one attribute replaced."""
    name, *rest = path
    inner = with_value(getattr(value, name), tuple(rest), new) if rest else new
    return replace(value, **{name: inner})


def with_limits(agent: AgentConfig, changes: Iterable[PolicyChange]) -> AgentConfig:
    """Return an agent with the document's changes of its limits.

    A change holds as long as the agent's file says what it said when it was made: an edited file is looked at anew, at
    the next start.
    """
    made, known = agent, fields_of_agents()
    for change in sorted(changes, key=lambda each: each.field.endswith(".instruments")):
        name, key = parts_of(change.field)
        if name == agent.name and key in known and known[key].text(agent) == change.old:
            made = known[key].put(made, known[key].parse(name, change.new))
    return made


def loosening(changes: Iterable[PolicyChange]) -> tuple[PolicyChange, ...]:
    """Return those that loosen."""
    return tuple(change for change in changes if change.sense is Sense.LOOSENS)


def harmless(changes: Iterable[PolicyChange]) -> tuple[PolicyChange, ...]:
    """Return those that apply at once: they tighten, or are no limit."""
    return tuple(change for change in changes if change.sense is not Sense.LOOSENS)
