"""What the journal's events add up to for the policy: its version, what waits, and the lock on the admin's door."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from engine.domain.events.governance import (
    AdminTried,
    ChangeAnswered,
    ChangeRequested,
    PolicyFileSeen,
    PolicyVersioned,
)
from engine.domain.events.stores import AgentRegistered, PolicyAdopted
from engine.domain.governance import ChangeRequest, PolicyChange, Sense, Verdict, document_hash

GovernanceEvent = (
    PolicyAdopted | PolicyVersioned | ChangeRequested | ChangeAnswered | AdminTried | PolicyFileSeen | AgentRegistered
)  # fmt: skip
GOVERNANCE_EVENTS: tuple[type, ...] = GovernanceEvent.__args__


@dataclass(slots=True)
class PolicyBook:
    """The policy in force, as a document; environment variables and flags are no part of it.

    version 0: there is none yet. policy_json: canonical. agents: what is changed of agents' own limits, against what
    their files said then. file_json: what the policy file said when it was last read. registered: agent -> all of its
    settings as they were last put in force, canonical; what its file says is compared with these. set_in: field -> the
    version that last changed it. requests: those that are open, by id. asked: how many there ever were.
    breach: what no run of this program does, "" while all is well; `verify` reports it.
    """

    version: int = 0
    policy_json: str = ""
    agents: tuple[PolicyChange, ...] = ()
    since_ms: int = 0
    file_json: str = ""
    registered: dict[str, str] = field(default_factory=dict)
    set_in: dict[str, int] = field(default_factory=dict)
    requests: dict[str, ChangeRequest] = field(default_factory=dict)
    asked: int = 0
    wrong_tries: int = 0
    locked_until_ms: int = 0
    breach: str = ""

    @property
    def hash(self) -> str:
        """Return the hash of what is in force."""
        return document_hash(self.policy_json, self.agents)

    def take(self, ts_ms: int, event: GovernanceEvent) -> None:
        """Take one event in."""
        if isinstance(event, PolicyAdopted):
            if self.version == 0:  # a new store's first limits are its first version
                self.version, self.policy_json, self.since_ms = 1, event.policy_json, ts_ms
                self.file_json = self.file_json or event.policy_json
        elif isinstance(event, PolicyVersioned):
            self._versioned(ts_ms, event)
        elif isinstance(event, ChangeRequested):
            self._requested(ts_ms, event)
        elif isinstance(event, ChangeAnswered):
            self._answered(event)
        elif isinstance(event, AdminTried):
            self.wrong_tries, self.locked_until_ms = event.wrong_tries, event.locked_until_ms
        elif isinstance(event, AgentRegistered):
            self.registered[event.agent] = event.config_json
        else:
            self.file_json = event.policy_json

    def _versioned(self, ts_ms: int, event: PolicyVersioned) -> None:
        self.breach = self.breach or self._unapproved(event)
        self.set_in.update({change.field: event.version for change in event.changes})
        self.version, self.policy_json, self.agents = event.version, event.policy_json, event.agents
        self.since_ms, self.file_json = ts_ms, self.file_json or event.policy_json
        self.requests.pop(event.request_id, None)

    def _unapproved(self, event: PolicyVersioned) -> str:
        """Say what is wrong with a version; a request's must be approved, and be exactly what was asked for."""
        request = self.requests.get(event.request_id)
        if event.version != self.version + 1:
            return f"policy version {event.version} follows version {self.version}"
        if not event.request_id:
            unasked = loosens(event.changes) and _needs_approval(self.policy_json)
            return f"policy version {event.version} loosens a limit that nobody was asked about" if unasked else ""
        if request is None or not request.is_approved:
            return f"policy version {event.version} names request {event.request_id}, which nobody approved"
        if request.changes != event.changes or (request.base_version, request.base_hash) != (self.version, self.hash):
            return f"policy version {event.version} is not what request {event.request_id} asked for"
        return ""

    def _requested(self, ts_ms: int, event: ChangeRequested) -> None:
        self.asked += 1
        self.requests[event.request_id] = ChangeRequest(
            request_id=event.request_id,
            base_version=event.base_version,
            base_hash=event.base_hash,
            changes=event.changes,
            actor=event.actor,
            asked_by=event.asked_by,
            reason=event.reason,
            asked_ms=ts_ms,
        )

    def _answered(self, event: ChangeAnswered) -> None:
        request = self.requests.get(event.request_id)
        if request is None:
            return
        if event.answer is not Verdict.APPROVED:
            del self.requests[event.request_id]
        elif event.digest == request.digest:
            self.requests[event.request_id] = replace(request, due_ms=event.due_ms)


def loosens(changes: tuple[PolicyChange, ...]) -> bool:
    """Tell whether one of them is looser than what it replaces."""
    return any(change.sense is Sense.LOOSENS for change in changes)


def _needs_approval(policy_json: str) -> bool:
    return json.loads(policy_json).get("governance", {}).get("require_approval") is not False
