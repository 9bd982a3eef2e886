"""What follows from a change that is wanted: a version at once, or a request that waits (R24). Pure: events only."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field

from engine.config import canonical_json, from_canonical
from engine.domain.agent import AgentConfig
from engine.domain.events import ChangeAnswered, ChangeRequested, Event, PolicyVersioned
from engine.domain.governance import AskedBy, ChangeRequest, PolicyChange, Verdict
from engine.domain.intent import Mode
from engine.domain.policy import GovernanceRules, Policy
from engine.domain.policy_book import PolicyBook
from engine.errors import UsageError
from engine.governance.document import Document, changed
from engine.governance.together import apart
from engine.governance.validity import refuse_change

REASON_MAX = 300
EDITED = "an agent's file was edited"
OPEN_MAX = 50
"""Requests that may wait at once, over everybody who asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A change that somebody wants."""

    changes: tuple[PolicyChange, ...]
    actor: str
    asked_by: AskedBy
    reason: str


@dataclass(slots=True)
class Drafting:
    """Events in the making, on a copy of the book, so that each is made of what the one before it leaves."""

    book: PolicyBook
    now_ms: int
    filed: Mapping[str, AgentConfig]
    environ: Mapping[str, str]
    events: list[Event] = field(default_factory=list)

    @classmethod
    def of(
        cls, book: PolicyBook, now_ms: int, filed: Mapping[str, AgentConfig], environ: Mapping[str, str]
    ) -> Drafting:
        """Begin from a book, which stays as it is. filed: the agents as their files have them."""
        return cls(deepcopy(book), now_ms, filed, environ)

    @property
    def document(self) -> Document:
        """Return the policy as the events so far leave it."""
        return document_of(self.book)

    def tell(self, event: Event) -> None:
        """Add an event."""
        self.book.take(self.now_ms, event)  # type: ignore[arg-type]
        self.events.append(event)

    def version(self, wish: Wish, request_id: str = "") -> None:
        """Put changes in force as the next version."""
        after = changed(self.document, wish.changes, self.filed)
        self.tell(
            PolicyVersioned(
                version=self.book.version + 1,
                policy_json=canonical_json(after.policy),
                agents=after.agents,
                changes=wish.changes,
                actor=wish.actor,
                asked_by=wish.asked_by,
                request_id=request_id,
                reason=wish.reason[:REASON_MAX],
            )
        )

    def hold(self, agents: tuple[PolicyChange, ...]) -> None:
        """Put what is changed of agents' own limits on record anew: a file was edited, and what is in force was not."""
        if agents != self.book.agents:
            self.tell(
                PolicyVersioned(
                    version=self.book.version + 1, policy_json=self.book.policy_json, agents=agents, changes=(),
                    actor="trader", asked_by=AskedBy.FILE, request_id="", reason=EDITED,
                )
            )  # fmt: skip

    def version_one(self, policy: Policy) -> None:
        """Put a new store's first policy on record."""
        self.tell(
            PolicyVersioned(
                version=1, policy_json=canonical_json(policy), agents=(), changes=(), actor="trader",
                asked_by=AskedBy.FILE, request_id="", reason="new store",
            )
        )  # fmt: skip

    def wish(self, wish: Wish, rules: GovernanceRules, mode: Mode) -> str:
        """Apply what tightens at once, and let what loosens wait; return the request's id, "" when nothing waits.

        Settings that mean something only beside each other wait together.

        rules: those in force, environment included. Without require_approval a person's own loosening on paper applies
        at once too; an agent's never does.
        """
        free = is_free(rules, mode) and wish.asked_by is not AskedBy.AGENT
        at_once, waits = (wish.changes, ()) if free else apart(wish.changes)
        if at_once:
            self.version(Wish(changes=at_once, actor=wish.actor, asked_by=wish.asked_by, reason=wish.reason))
        return self.request(wish, waits) if waits else ""

    def request(self, wish: Wish, changes: tuple[PolicyChange, ...]) -> str:
        """Ask for an approval, from the version in force; return the request's id."""
        request_id = f"cr-{self.book.asked + 1}"
        self.tell(
            ChangeRequested(
                request_id=request_id,
                base_version=self.book.version,
                base_hash=self.book.hash,
                changes=changes,
                actor=wish.actor,
                asked_by=wish.asked_by,
                reason=wish.reason[:REASON_MAX],
            )
        )
        return request_id

    def answer(self, request: ChangeRequest, answer: Verdict, actor: str, note: str, due_ms: int = 0) -> None:
        """Answer a request."""
        self.tell(
            ChangeAnswered(
                request_id=request.request_id, answer=answer, actor=actor, note=note[:REASON_MAX],
                digest=request.digest, due_ms=due_ms,
            )
        )  # fmt: skip

    def apply_due(self, *, arming: bool, mode: Mode) -> None:
        """Put approved requests in force whose time has come, in LIVE only while arming.

        A stale one is closed, and so is one that by now contradicts what is in force beside it.
        """
        for request in list(self.book.requests.values()):
            if not request.is_approved:
                continue
            if is_stale(request, self.book):
                self.answer(request, Verdict.STALE, "clock", stale_words(request, self.book))
            elif self.now_ms >= request.due_ms and (arming or mode is Mode.PAPER):
                self._apply(request)

    def _apply(self, request: ChangeRequest) -> None:
        try:
            where = f"{request.request_id}:"
            refuse_change(self.document, request.changes, self.filed, self.environ, where, whole=True)
        except UsageError as error:
            self.answer(request, Verdict.REJECTED, "clock", str(error))
            return
        made = Wish(changes=request.changes, actor=request.actor, asked_by=request.asked_by, reason=request.reason)
        self.version(made, request.request_id)


def is_free(rules: GovernanceRules, mode: Mode) -> bool:
    """Tell whether a person loosens without being asked."""
    return mode is Mode.PAPER and not rules.require_approval


def document_of(book: PolicyBook) -> Document:
    """Return the policy in force; StoreError when it cannot be read."""
    return Document(from_canonical(Policy, book.policy_json), book.agents)


def is_stale(request: ChangeRequest, book: PolicyBook) -> bool:
    """Tell whether the policy is another by now than the one a request would change."""
    return not (request.base_version == book.version and request.base_hash == book.hash)


def stale_words(request: ChangeRequest, book: PolicyBook) -> str:
    """Say why a stale request cannot apply."""
    return f"it would change version {request.base_version}, and version {book.version} is in force"
