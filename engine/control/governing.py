"""The policy of a running engine: what is in force, who may change it, and when a change takes effect (R24)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.agents.manager import RunningAgent
from engine.config import canonical_json, config_hash
from engine.config.instruments import Instruments
from engine.control.admin import AdminSecret
from engine.domain.agent import AgentConfig
from engine.domain.events import (
    AdminTried,
    AgentRegistered,
    ApprovalClosed,
    Event,
    Incident,
    PolicyAdopted,
    PolicyVersioned,
)
from engine.domain.governance import AskedBy, ChangeRequest, PolicyChange, Verdict
from engine.domain.intent import Mode
from engine.domain.policy import GovernanceRules, Policy
from engine.domain.policy_book import PolicyBook
from engine.errors import RefusedError
from engine.governance.agent_fields import AGENT_PREFIX
from engine.governance.document import Document, proposed, with_limits
from engine.governance.environment import Overlay, overlaid
from engine.governance.starting import at_start, while_away
from engine.governance.validity import contradiction, refuse_change, refuse_variables
from engine.governance.versions import (
    OPEN_MAX,
    Drafting,
    Wish,
    is_stale,
    stale_words,
)

if TYPE_CHECKING:
    from engine.control.core import Core

WRONG_TRIES_MAX = 5
LOCK_MS = 15 * 60_000
LOCK_MS_MAX = 24 * 3_600_000


class Ruled:
    """The limits an engine starts with: the policy in force and what the environment tightens, before it is armed.

    asked: the policy file's, flags taken in. events: what the start will journal; document and book stand as after it.
    """

    def __init__(
        self, book: PolicyBook, asked: Policy, agents: Iterable[AgentConfig], environ: Mapping[str, str], mode: Mode,
        now_ms: int,
    ) -> None:  # fmt: skip
        self.asked, self.environ, self.mode = asked, environ, mode
        self.filed = {agent.name: agent for agent in agents}
        drafting = Drafting.of(book, now_ms, self.filed, environ)
        if drafting.book.version == 0:
            _first(drafting, asked, environ)
        else:
            at_start(drafting, asked, self._rules(drafting.document.policy), mode)
        self.events: tuple[Event, ...] = tuple(drafting.events)
        self._away = tuple(self.away(drafting.book, self.events))
        self.document = drafting.document
        self.policy, self.overlays = overlaid(self.document.policy, environ)
        if not contradiction(Document(self.document.policy), {}, {}, ""):
            refuse_variables(self.document.policy, environ, "The policy that would be in force:")
        self.version = drafting.book.version

    def _rules(self, policy: Policy) -> GovernanceRules:
        return overlaid(policy, self.environ)[0].governance

    @property
    def agents(self) -> tuple[AgentConfig, ...]:
        """Return the agents with the document's changes of their limits."""
        return tuple(with_limits(agent, self.document.agents) for agent in self.filed.values())

    @property
    def news(self) -> tuple[Event, ...]:
        """Return the rows that a start adds: versions and requests, what was left aside, the limits in force."""
        aside = [o for o in self.overlays if o.change is not None and not o.applies]
        told = [Incident(code="POLICY_ENV", text=each.sentence[:300]) for each in aside]
        adopted = PolicyAdopted(policy_hash=config_hash(self.policy), policy_json=canonical_json(self.policy))
        return (*self.events, *told, adopted, *self._away)

    def agents_changed(
        self, book: PolicyBook, document: Document, events: Iterable[Event]
    ) -> Iterator[AgentRegistered]:
        """Yield the agents that a document sets otherwise than they were last registered, those that are away too."""
        for agent in self.filed.values():
            made = with_limits(agent, document.agents)
            if book.registered.get(agent.name) != canonical_json(made):
                yield registered(made)
        yield from self.away(book, events)

    def away(self, book: PolicyBook, events: Iterable[Event]) -> Iterator[AgentRegistered]:
        """Yield the agents without a file here whose limits new versions change."""
        changes = [change for event in events if isinstance(event, PolicyVersioned) for change in event.changes]
        yield from map(registered, while_away(book.registered, self.filed, changes))


def registered(agent: AgentConfig) -> AgentRegistered:
    """Return the row that says how an agent is set up from here on."""
    return AgentRegistered(agent=agent.name, config_hash=config_hash(agent), config_json=canonical_json(agent))


def _first(drafting: Drafting, asked: Policy, environ: Mapping[str, str]) -> None:
    """A new store's first version is the file's; where the environment tightens it, a row of its own says so."""
    effective, _overlays = overlaid(asked, environ)
    if effective == asked:
        adopted = PolicyAdopted(policy_hash=config_hash(asked), policy_json=canonical_json(asked))
        drafting.book.take(drafting.now_ms, adopted)
    else:
        drafting.version_one(asked)


class Governor:
    """Changes the policy of one running engine. Every method runs on the engine's own thread.

    A refusal is a RefusedError or UsageError with its sentence. The document is the journal's; nothing is kept here
    that a restart would lose.
    """

    def __init__(self, core: Core, ruled: Ruled, admin: AdminSecret) -> None:
        self._core = core
        self._admin = admin
        self._trying = asyncio.Lock()
        self.ruled = ruled

    @property
    def book(self) -> PolicyBook:
        """The policy as the journal has it."""
        return self._core.books.governance

    @property
    def document(self) -> Document:
        """The version in force; before the engine is armed, the one that it will start with."""
        return self.ruled.document

    @property
    def overlays(self) -> tuple[Overlay, ...]:
        """What the environment says."""
        return self.ruled.overlays

    @property
    def version(self) -> int:
        """The version in force."""
        return self.book.version or self.ruled.version

    # -- asking ------------------------------------------------------------------------

    def propose(
        self, asked: Mapping[str, str], reason: str, *, actor: str = "trader", asked_by: AskedBy = AskedBy.TRADER
    ) -> tuple[tuple[PolicyChange, ...], str]:
        """Ask for changes, field -> value as the policy file writes it. Return them, and the id of what waits or "".

        What tightens is in force when this returns. An agent may ask for other limits of its own and for nothing else.
        """
        if asked_by is AskedBy.AGENT:
            self._refuse_beyond_own(actor, asked)
        if not reason.strip():
            raise RefusedError("Nothing was proposed: say why, it goes into the journal.")
        changes = self.foreseen(asked)
        if not changes:
            raise RefusedError("Nothing was proposed: every value named is in force already.")
        self._refuse_invalid(changes, "The proposal:")
        drafting = self._drafting()
        self._refuse_crowd(actor, asked_by)
        wish = Wish(changes=changes, actor=actor, asked_by=asked_by, reason=reason.strip())
        request_id = drafting.wish(wish, self._rules, self._mode)
        self._record(drafting)
        return changes, request_id

    def _refuse_beyond_own(self, actor: str, asked: Mapping[str, str]) -> None:
        own = f"{AGENT_PREFIX}{actor}.limits."
        beyond = [name for name in asked if not name.startswith(own)]
        if actor not in self._core.agents or beyond:
            what = beyond[0][:60] if beyond else "anything"
            raise RefusedError(f"Agent {actor[:40]} may ask for other limits of its own, and not for {what}.")

    def _refuse_crowd(self, actor: str, asked_by: AskedBy) -> None:
        """An agent has one request open at a time, so that none can bury what the trader must see."""
        waiting = self.book.requests.values()
        if len(self.book.requests) >= OPEN_MAX:
            raise RefusedError(f"Nothing was proposed: {OPEN_MAX} requests wait already; answer some of them first.")
        if asked_by is AskedBy.AGENT and any(r.asked_by is AskedBy.AGENT and r.actor == actor for r in waiting):
            raise RefusedError(f"Agent {actor} has asked already, and waits for an answer.")

    def foreseen(self, asked: Mapping[str, str]) -> tuple[PolicyChange, ...]:
        """Return the changes that a proposal would ask for, asking for nothing."""
        agents = {name: agent.config for name, agent in self._core.agents.items()}
        return proposed(self.document, asked, agents, Instruments(self._core.books.instruments.values()).key_of)

    def _refuse_invalid(self, changes: Iterable[PolicyChange], where: str, *, whole: bool = False) -> None:
        """Hold changes to what the policy file is held to, now and with what the environment tightens."""
        refuse_change(self.document, changes, self.ruled.filed, self.ruled.environ, where, whole=whole)

    # -- answering ---------------------------------------------------------------------

    async def approve(self, request_id: str, code: str, passphrase: str, note: str, actor: str) -> str:
        """Approve exactly the change that the code stands for, of the policy it was asked of; return a sentence."""
        request = self._answerable(request_id, code)
        if request.is_approved:
            raise RefusedError(f"{request_id} is approved already, and takes effect {self._when(request.due_ms)}.")
        await self._unlock(passphrase)
        request = self._answerable(request_id, code)  # the world went on while the passphrase was looked at
        drafting = self._drafting()
        due_ms = drafting.now_ms + self._rules.cooling_off_ms
        drafting.answer(request, Verdict.APPROVED, actor, note, due_ms)
        drafting.apply_due(arming=False, mode=self._mode)
        self._record(drafting)
        if request_id in self.book.requests:
            return f"Approved: {request_id} takes effect {self._when(due_ms)}."
        return f"Approved: version {self.book.version} of the policy is in force."

    async def reject(self, request_id: str, passphrase: str, note: str, actor: str) -> str:
        """Reject a request, an approved one that has not taken effect too; return a sentence."""
        self._open(request_id)
        await self._unlock(passphrase)
        drafting = self._drafting()
        drafting.answer(self._open(request_id), Verdict.REJECTED, actor, note)
        self._record(drafting)
        return f"Rejected: {request_id} changes nothing."

    async def set_passphrase(self, old: str, new: str) -> str:
        """Set the admin's passphrase; where there is one, the old one is asked for."""
        if await asyncio.to_thread(lambda: self._admin.is_set):
            await self._unlock(old)
        await asyncio.to_thread(self._admin.keep, new)
        return f"The admin's passphrase is set; its hash is kept in {self._admin.place}."

    def _open(self, request_id: str) -> ChangeRequest:
        request = self.book.requests.get(request_id)
        if request is None:
            raise RefusedError(f"{request_id[:20]} does not wait: it was answered already, or was never asked for.")
        return request

    def _answerable(self, request_id: str, code: str) -> ChangeRequest:
        """Return an open request if it still stands on the policy in force, and is what the code was shown for."""
        request = self._open(request_id)
        if is_stale(request, self.book):
            why = stale_words(request, self.book)
            drafting = self._drafting()
            drafting.answer(request, Verdict.STALE, "engine", why)
            self._record(drafting)
            raise RefusedError(f"{request_id} is stale: {why}. It was closed; propose it again.")
        if code.strip().upper() != request.code:
            raise RefusedError(f"That is not the code of {request_id} as it stands; nothing was answered.")
        self._refuse_invalid(request.changes, f"{request_id} cannot be approved:", whole=True)
        return request

    async def _unlock(self, passphrase: str) -> None:
        """Let the admin in, or refuse; wrong tries in a row lock the door for longer and longer, over restarts too."""
        async with self._trying:  # one at a time: tries side by side would share one count
            now_ms = self._now_ms
            if now_ms < self.book.locked_until_ms:
                raise RefusedError(f"Too many wrong passphrases: the admin is locked out {self._until_lock_ends()}.")
            if not await asyncio.to_thread(lambda: self._admin.is_set):
                raise RefusedError("No admin passphrase is set; set one with `quarterdeck policy passphrase`.")
            right = await asyncio.to_thread(self._admin.is_right, passphrase)
            self._note_try(right)
        if not right:
            left = WRONG_TRIES_MAX - self.book.wrong_tries
            more = f"{left} more tries" if left > 0 else f"locked out {self._until_lock_ends()}"
            raise RefusedError(f"That is not the admin's passphrase: {more}.")

    def _note_try(self, right: bool) -> None:
        wrong = 0 if right else self.book.wrong_tries + 1
        if right and not self.book.wrong_tries:
            return
        lock_ms = min(LOCK_MS_MAX, LOCK_MS * 2 ** min(20, wrong - WRONG_TRIES_MAX)) if wrong >= WRONG_TRIES_MAX else 0
        until_ms = self._now_ms + lock_ms if lock_ms else 0
        self._journal(AdminTried(right=right, wrong_tries=wrong, locked_until_ms=until_ms))

    # -- in force ----------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        """Tell whether an approved change waits for its time."""
        requests = self.book.requests
        return bool(requests) and any(request.is_approved for request in requests.values())

    def on_clock(self) -> None:
        """Put in force what has waited long enough; in LIVE that is for the next start."""
        drafting = self._drafting()
        drafting.apply_due(arming=False, mode=self._mode)
        self._record(drafting)

    def _record(self, drafting: Drafting) -> None:
        """Write, then act: the policy's consumers get the new limits once these are on record."""
        if not drafting.events:
            return
        version = self.book.version
        document = drafting.document
        policy, overlays = overlaid(document.policy, self.ruled.environ)
        if drafting.book.version == version:
            self._journal(*drafting.events)
            return
        adopted = PolicyAdopted(policy_hash=config_hash(policy), policy_json=canonical_json(policy))
        stale = f"the policy is version {drafting.book.version} by now"
        closed = [
            ApprovalClosed(approval_id=waiting, answer="refused", actor="policy", note=stale)
            for waiting in self._core.desk.approvals.waiting
        ]
        changed = self.ruled.agents_changed(self.book, document, drafting.events)
        self._journal(*drafting.events, adopted, *changed, *closed)
        for each in closed:
            self._core.desk.approvals.take(each.approval_id)
        self.ruled.document, self.ruled.policy, self.ruled.overlays = document, policy, overlays
        self._core.adopt(policy, config_hash(policy))
        self._limit(self._core.agents.values())

    def _limit(self, agents: Iterable[RunningAgent]) -> None:
        for agent in agents:
            filed = self.ruled.filed.get(agent.name)
            if filed is not None:
                made = with_limits(filed, self.document.agents)
                agent.config = replace(made, protection=agent.config.protection)  # the monitor learns it at a start

    # -- what it stands on -------------------------------------------------------------

    @property
    def _rules(self) -> GovernanceRules:
        return self.ruled.policy.governance

    @property
    def _mode(self) -> Mode:
        genesis = self._core.books.genesis
        return genesis.mode if genesis else Mode.LIVE

    @property
    def _now_ms(self) -> int:
        return self._core.desk.clock.now_ms()

    def _drafting(self) -> Drafting:
        return Drafting.of(self.book, self._now_ms, self.ruled.filed, self.ruled.environ)

    def _journal(self, *events: Event) -> None:
        self._core.journal.record(self._now_ms, *events)

    def _when(self, due_ms: int) -> str:
        left_ms = due_ms - self._now_ms
        wait = f"in {_minutes(left_ms)}" if left_ms > 0 else "at once"
        if self._mode is Mode.LIVE:
            return "when the engine is armed again" + (f", {wait} at the earliest" if left_ms > 0 else "")
        return wait

    def _until_lock_ends(self) -> str:
        return f"for {_minutes(self.book.locked_until_ms - self._now_ms)} more"


def _minutes(left_ms: int) -> str:
    minutes = max(1, -(-left_ms // 60_000))
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
