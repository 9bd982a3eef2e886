"""A governor over books in memory: what it journals passes through the store's codec, and a restart reads that back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.clock import ManualClock
from engine.control.admin import AdminSecret
from engine.control.governing import Governor, Ruled, registered
from engine.domain.agent import AgentConfig
from engine.domain.books import Books
from engine.domain.events import Event, Genesis
from engine.domain.intent import Mode
from engine.domain.policy import Policy
from engine.store.codec import decode, encode
from tests.unit.situations import AGENT

START_MS = 1_767_225_600_000
PASSPHRASE = "correct horse"
WORK = 16


class MemoryKeyring:
    """A keyring that lasts as long as the test."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str, /) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str, /) -> None:
        self.kept[service, username] = password


def admin(folder: Path = Path("/nowhere"), ring: Any = None, *, passphrase: str = PASSPHRASE) -> AdminSecret:
    """Return a secret in a keyring of its own, set already unless passphrase is ""."""
    secret = AdminSecret(folder, ring or MemoryKeyring(), trusted=("tests.",), work=WORK)
    if passphrase:
        secret.keep(passphrase)
    return secret


class _Named:
    """Lets an object be built from names."""

    def __init__(self, **parts: Any) -> None:
        self.__dict__.update(parts)


class Approvals:
    """Waiting trades by id."""

    def __init__(self) -> None:
        self.waiting: dict[str, object] = {}

    def take(self, approval_id: str) -> object:
        return self.waiting.pop(approval_id, None)


class Desk:
    """One engine's life after another over one journal."""

    def __init__(
        self, policy: Policy, mode: Mode = Mode.PAPER, secret: AdminSecret | None = None, agent: AgentConfig = AGENT
    ) -> None:
        self.clock, self.secret, self.mode = ManualClock(START_MS), secret or admin(), mode
        self.rows: list[tuple[int, int, str]] = []
        self.books = Books()
        self.record(
            START_MS,
            Genesis(
                store_id="0123abcd", schema=1, mode=mode, source_kind="SIMULATED", account_currency="USD", usd_peg=(),
            ),
        )  # fmt: skip
        self.start(policy, agent=agent)

    def record(self, ts_ms: int, *events: Event) -> None:
        for event in events:
            self.rows.append((ts_ms, event.KIND, encode(event)))
            self.books.apply(ts_ms, event)

    def start(self, file: Policy, environ: dict[str, str] | None = None, agent: AgentConfig = AGENT) -> Governor:
        """Start an engine on what is journaled, with a policy file."""
        self.books = Books()
        for ts_ms, kind, text in self.rows:
            self.books.apply(ts_ms, decode(kind, text))
        self.file = file
        ruled = Ruled(self.books.governance, file, [agent], environ or {}, self.mode, self.clock.now_ms())
        self.record(self.clock.now_ms(), *ruled.news, *map(registered, ruled.agents))
        self.policy = ruled.policy
        self.approvals = Approvals()
        running = {each.name: _Named(name=each.name, config=each) for each in ruled.agents}
        core: Any = _Named(
            books=self.books, journal=self, desk=_Named(clock=self.clock, approvals=self.approvals), agents=running,
            adopt=self._adopt,
        )  # fmt: skip
        self.agents: dict[str, Any] = dict(running)
        self.governor = Governor(core, ruled, self.secret)
        return self.governor

    def _adopt(self, policy: Policy, policy_hash: str) -> None:
        self.policy = policy

    def tick(self, ms: int = 0) -> None:
        """Let time pass, and the engine's heartbeat after it."""
        self.clock.advance_ms(ms)
        if self.governor.waits:
            self.governor.on_clock()

    def waiting(self) -> list[str]:
        return list(self.books.governance.requests)

    def code(self, request_id: str) -> str:
        return self.books.governance.requests[request_id].code


def with_positions(count: int, policy: Policy | None = None) -> Policy:
    """Return a policy that lets so many positions be open."""
    base = policy or Policy()
    return replace(base, limits=replace(base.limits, open_positions=count))


def with_cooling(ms: int, policy: Policy | None = None) -> Policy:
    """Return a policy whose approvals cool off for so long."""
    base = policy or Policy()
    return replace(base, governance=replace(base.governance, cooling_off_ms=ms))
