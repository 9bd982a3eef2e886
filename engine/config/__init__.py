"""Files and flags into domain values; what cannot be read exactly is refused in one sentence."""

from engine.config.agents import agent_files, load_agent, load_agents
from engine.config.canonical import canonical_json, config_hash, from_canonical
from engine.config.flags import agents_of, check_flags, flags_to_agent, flags_to_policy
from engine.config.instruments import Instruments, assumed
from engine.config.policy import PolicyField, load_policy, policy_fields, policy_of
from engine.config.prices import load_prices, prices_of
from engine.config.providers import providers_of, timeout_ms_of
from engine.config.starter import write_defaults

__all__ = [
    "Instruments",
    "PolicyField",
    "agent_files",
    "agents_of",
    "assumed",
    "canonical_json",
    "check_flags",
    "config_hash",
    "flags_to_agent",
    "flags_to_policy",
    "from_canonical",
    "load_agent",
    "load_agents",
    "load_policy",
    "load_prices",
    "policy_fields",
    "policy_of",
    "prices_of",
    "providers_of",
    "timeout_ms_of",
    "write_defaults",
]
