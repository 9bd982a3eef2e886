"""Changes of the policy, as they are asked for and journaled: values as the policy file writes them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

from engine.ids import short_code


class Sense(StrEnum):
    """Which way a change goes. NEUTRAL: it is no limit, and applies at once."""

    TIGHTENS = "tightens"
    LOOSENS = "loosens"
    NEUTRAL = "neutral"


class AskedBy(StrEnum):
    """Where a change comes from."""

    FILE = "file"
    CLI = "cli"
    TRADER = "trader"
    AGENT = "agent"


class Verdict(StrEnum):
    """How a change request was answered. STALE: the policy moved on; WITHDRAWN: who asked wants it no more."""

    APPROVED = "approved"
    REJECTED = "rejected"
    STALE = "stale"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One value that changes. field: "limits.open_positions", or "agents.NAME.limits.trades_per_day"."""

    field: str
    old: str
    new: str
    sense: Sense


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRequest:
    """A loosening that waits. base_version, base_hash: the policy that it would change, and no other.

    due_ms: from when it may take effect, once approved; 0 while nobody has approved it.
    """

    request_id: str
    base_version: int
    base_hash: str
    changes: tuple[PolicyChange, ...]
    actor: str
    asked_by: AskedBy
    reason: str
    asked_ms: int
    due_ms: int = 0

    @property
    def is_approved(self) -> bool:
        """Tell whether it only waits for its time."""
        return self.due_ms > 0

    @property
    def digest(self) -> str:
        """Return the hash of exactly this change of exactly this policy (S10)."""
        lines = [f"{each.field}\0{each.old}\0{each.new}\0{each.sense}" for each in self.changes]
        text = "\n".join((self.request_id, str(self.base_version), self.base_hash, *lines))
        return blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def code(self) -> str:
        """Return the four letters that approve it."""
        return short_code(self.digest)


def document_hash(policy_json: str, agents: tuple[PolicyChange, ...]) -> str:
    """Return the hash that names a version's content: the policy, and what is changed of agents' own limits."""
    lines = [f"{each.field}\0{each.old}\0{each.new}" for each in agents]
    return blake2b("\n".join((policy_json, *lines)).encode(), digest_size=16).hexdigest()


def tries_words(wrong_tries: int) -> str:
    """Write how often in a row the passphrase was wrong.

    >>> tries_words(1), tries_words(3)
    ('1 wrong try', '3 wrong tries in a row')
    """
    return "1 wrong try" if wrong_tries == 1 else f"{wrong_tries} wrong tries in a row"
