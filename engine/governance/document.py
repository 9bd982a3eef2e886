"""The policy as a document: its values as the file writes them, what differs, and a document with changes in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from decimal import Decimal
from typing import Any

from engine.config import PolicyField, policy_fields
from engine.config.agents import limit_keys
from engine.config.fields import Key, Parser, span, suggestion, words
from engine.config.toml import refuse_secrets
from engine.domain.agent import AgentConfig, AgentLimits
from engine.domain.governance import PolicyChange, Sense
from engine.domain.killing import KillRule, KillUnit
from engine.domain.money import percent, plain
from engine.domain.policy import Policy
from engine.errors import UsageError
from engine.governance.directions import AGENT_WAYS, POLICY_WAYS

OFF = "off"
AGENT_PREFIX = "agents."
LISTS = ("allowed", "blocked")


@dataclass(frozen=True, slots=True)
class Document:
    """What a version of the policy is. agents: what is changed of agents' own limits, by field."""

    policy: Policy
    agents: tuple[PolicyChange, ...] = ()


def written(value: Any, field: str = "") -> str:
    """Write a value as the policy file has it, without quotes. field: its attribute, whose last word is its unit.

    >>> written(Decimal("0.05"), "loss_frac"), written(90_000, "price_age_ms"), written(True), written(("A", "B"))
    ('5%', '90s', 'true', '["A", "B"]')
    """
    if value is None:
        return OFF
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return percent(value) if field.endswith("_frac") else plain(value)
    if isinstance(value, int):
        return span(value) if field.endswith("_ms") else str(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(_quoted(each) for each in value)}]"
    if field == "thresholds":
        return f"{{{', '.join(f'{name} = {json.dumps(_threshold(name, each))}' for name, each in value.items())}}}"
    if is_dataclass(value) or isinstance(value, Mapping):
        return f"{{{', '.join(_pairs(value))}}}"
    return str(value)


def _pairs(value: Any) -> Iterable[str]:
    items = value.items() if isinstance(value, Mapping) else ((f.name, getattr(value, f.name)) for f in fields(value))
    return [f"{name} = {_quoted(inner, str(name))}" for name, inner in items if inner is not None]


def _threshold(name: str, value: Decimal) -> str:
    """A tier's threshold has its rule's unit, which its name alone does not say."""
    rule, _line, tier = name.rpartition("_")
    unit = KillUnit.FRAC if tier == "hysteresis" else KillRule(rule).unit
    if unit is KillUnit.MS:
        return span(int(value))
    return percent(value) if unit is KillUnit.FRAC else plain(value)


def _quoted(value: Any, field: str = "") -> str:
    text = written(value, field)
    return text if text[:1] in "[{" else json.dumps(text, ensure_ascii=False)


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
        _agent_change(name, text, agents, listed or _any_name)
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


def read(text: str) -> Any:
    """Read a value as it would stand in the file, quoted or not."""
    import tomllib  # a tenth of the CLI's start, and most commands change no policy

    try:
        return tomllib.loads(f"value = {text}", parse_float=Decimal)["value"]
    except (tomllib.TOMLDecodeError, ValueError):
        return text


def _agent_change(name: str, text: str, agents: Mapping[str, AgentConfig], listed: Parser) -> PolicyChange | None:
    agent, key, attribute = agent_field(name, agents)
    old = getattr(agents[agent].limits, attribute)
    new = limit_keys(words(listed))[key].parse(f"agent {agent} limits.{key}", read(text))
    if old == new:
        return None
    return PolicyChange(name, written(old, attribute), written(new, attribute), AGENT_WAYS[key].sense(old, new))


def agent_field(name: str, agents: Iterable[str]) -> tuple[str, str, str]:
    """Split "agents.NAME.limits.KEY" into the name, the key, and the attribute it fills; UsageError if it is none."""
    agent, found, key = name.removeprefix(AGENT_PREFIX).partition(".limits.")
    if agent not in set(agents):
        raise UsageError(f"There is no agent {agent[:40]!r}; there are: {', '.join(agents) or 'none'}.")
    if not found or key not in AGENT_WAYS:
        raise UsageError(f"agents.{agent} has no {key or name!r}; {suggestion(key, AGENT_WAYS, 'its limits are')}")
    return agent, key, _limit_key(key).field


def _limit_key(key: str) -> Key:
    return limit_keys(words(_any_name))[key]


def _any_name(where: str, value: Any) -> str:
    return str(value)


def changed(
    document: Document, changes: Iterable[PolicyChange], filed: Mapping[str, AgentConfig] | None = None
) -> Document:
    """Return a document with changes in it; the agents' among them replace older ones of the same field.

    filed: agents as their files have them, which is what a change of their limits is measured from.
    """
    policy, agents = document.policy, {each.field: each for each in document.agents}
    for change in changes:
        if change.field.startswith(AGENT_PREFIX):
            agents[change.field] = replace(change, old=_filed_text(change, filed or {}))
        else:
            field = field_of(change.field)
            policy = with_value(policy, field.path, field.key.parse("policy " + change.field, read(change.new)))
    kept = tuple(each for each in agents.values() if each.old != each.new)
    return Document(policy, kept)


def _filed_text(change: PolicyChange, filed: Mapping[str, AgentConfig]) -> str:
    name, _found, key = change.field.removeprefix(AGENT_PREFIX).partition(".limits.")
    if name not in filed or key not in AGENT_WAYS:
        return change.old
    attribute = _limit_key(key).field
    return written(getattr(filed[name].limits, attribute), attribute)


def with_value(value: Any, path: tuple[str, ...], new: Any) -> Any:
    """Return a nested frozen value with one attribute replaced."""
    name, *rest = path
    inner = with_value(getattr(value, name), tuple(rest), new) if rest else new
    return replace(value, **{name: inner})


def with_limits(agent: AgentConfig, changes: Iterable[PolicyChange]) -> AgentConfig:
    """Return an agent with the document's changes of its limits.

    A change holds as long as the agent's file says what it said when it was made: who edits the file has the last word.
    """
    limits: AgentLimits = agent.limits
    for change in changes:
        name, _found, key = change.field.removeprefix(AGENT_PREFIX).partition(".limits.")
        if name != agent.name or key not in AGENT_WAYS:
            continue
        attribute = _limit_key(key).field
        if written(getattr(agent.limits, attribute), attribute) == change.old:
            new = _limit_key(key).parse(f"agent {name} limits.{key}", read(change.new))
            limits = replace(limits, **{attribute: new})
    return agent if limits is agent.limits else replace(agent, limits=limits)


def loosening(changes: Iterable[PolicyChange]) -> tuple[PolicyChange, ...]:
    """Return those that loosen."""
    return tuple(change for change in changes if change.sense is Sense.LOOSENS)


def harmless(changes: Iterable[PolicyChange]) -> tuple[PolicyChange, ...]:
    """Return those that apply at once: they tighten, or are no limit."""
    return tuple(change for change in changes if change.sense is not Sense.LOOSENS)
