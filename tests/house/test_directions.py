"""Every value of the policy, and of an agent's limits, says which way it goes (R24)."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from engine.config import policy_fields
from engine.config.agents import NO_LIMITS, governed_keys, key_names, limit_keys
from engine.domain.agent import AgentLimits
from engine.domain.policy import Policy
from engine.governance.directions import AGENT_WAYS, POLICY_WAYS


def leaves(value: Any, at: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Return the attribute paths of all that is not a dataclass itself."""
    if not is_dataclass(value):
        return {at}
    return {path for each in fields(value) for path in leaves(getattr(value, each.name), (*at, each.name))}


def test_every_field_of_the_policy_has_one_line_in_the_table_of_directions() -> None:
    assert set(POLICY_WAYS) == set(policy_fields()), "engine/governance/directions.py"


def test_every_limit_of_an_agent_has_one_line_in_the_table_of_directions() -> None:
    assert set(AGENT_WAYS) == set(governed_keys(lambda where, value: value)), "engine/governance/directions.py"
    assert key_names() == set(AGENT_WAYS) | NO_LIMITS, "engine/config/agents.py"


def test_the_policy_file_reaches_every_value_that_the_policy_has() -> None:
    assert {each.path for each in policy_fields().values()} == leaves(Policy()), "engine/config/policy.py"
    assert {key.field for key in limit_keys(lambda where, value: value).values()} == {
        each.name for each in fields(AgentLimits)
    }
