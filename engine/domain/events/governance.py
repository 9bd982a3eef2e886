"""Events of governance: versions of the policy, what was asked to change in it, and what was answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engine.domain.governance import AskedBy, PolicyChange, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyVersioned:
    """A version of the policy is in force from here on. policy_json: all of it, canonical.

    agents: what is changed of agents' own limits, as a whole. changes: what this version changed. request_id: the
    approved request behind it, "" where nothing was loosened.
    """

    KIND: ClassVar[int] = 106
    version: int
    policy_json: str
    agents: tuple[PolicyChange, ...]
    changes: tuple[PolicyChange, ...]
    actor: str
    asked_by: AskedBy
    request_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequested:
    """Somebody asks to loosen the policy: from one version, known by its hash."""

    KIND: ClassVar[int] = 107
    request_id: str
    base_version: int
    base_hash: str
    changes: tuple[PolicyChange, ...]
    actor: str
    asked_by: AskedBy
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAnswered:
    """A request was answered. digest: of what was answered. due_ms: when an approved one may take effect, else 0."""

    KIND: ClassVar[int] = 108
    request_id: str
    answer: Verdict
    actor: str
    note: str
    digest: str
    due_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminTried:
    """Somebody gave the admin's passphrase, rightly or not. wrong_tries: in a row by now, 0 after a right one."""

    KIND: ClassVar[int] = 109
    right: bool
    wrong_tries: int
    locked_until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFileSeen:
    """What the policy file said at a start, where that is not what it said before; canonical JSON."""

    KIND: ClassVar[int] = 110
    policy_json: str
