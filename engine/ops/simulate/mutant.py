"""Deliberate bugs of our own protocol, each one rule turned round: the simulator must find every one of them.

A mutant replaces one part of the engine. Its docstring says the rule that it breaks, and the invariants (FAULTS) that
the rule is there for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.ops.simulate.rig import Protocol


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug, by name. rule: what it breaks, with the codes."""

    name: str
    rule: str
    protocol: Protocol


MUTANTS: dict[str, Mutant] = {}
"""All of them, by name, once the modules that define them are imported."""


def mutant(part: str) -> Callable[[Any], Any]:
    """Register what it decorates as the mutant of that name, in which it replaces a part of the protocol."""

    def register(replacement: Any) -> Any:
        name = _dashed(replacement.__name__)
        MUTANTS[name] = Mutant(name, (replacement.__doc__ or "").strip(), Protocol(name, **{part: replacement}))
        return replacement

    return register


def _dashed(name: str) -> str:
    """Write a class's or function's name as a person types it: RetryOnTimeout is retry-on-timeout."""
    words = "".join(f"-{c.lower()}" if c.isupper() else c for c in name)
    return words.strip("-").replace("_", "-")
