"""What both vendors' clients share: the key, the clock, the deadline, and that nothing ever escapes as an exception."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from engine.clock import Clock
from engine.domain.decision import Outcome
from engine.domain.provider import Provider
from engine.keys import KeysLockedError, Secret
from engine.llm.chat import DETAIL_CHARACTERS_MAX, ChatReply, ChatRequest, of_error

FindKey = Callable[[str], Secret | None]
NO_KEY = Secret("unused", "")
KEY_REFUSED = (401, 403)


class SdkClient(ABC):
    """A ChatClient over one SDK. SDK and key are loaded by the first question, or by prepare() ahead of it.

    wall: the machine's clock, for latencies. calls_max of the provider are in flight at once; the rest wait.
    """

    def __init__(self, provider: Provider, find_key: FindKey, wall: Clock) -> None:
        self.provider = provider
        self._find_key = find_key
        self._wall = wall
        self._secret = NO_KEY
        self._sdk: Any = None
        self._refused = False
        self._former: list[Any] = []
        self._places = asyncio.Semaphore(provider.calls_max)

    def prepare(self) -> str:
        """As of ChatClient. A key that was refused is looked for again: the trader may have kept another one."""
        if self._sdk is not None and not self._refused:
            return ""
        name = self.provider.key_name
        try:
            secret = self._find_key(name) if name else NO_KEY
        except KeysLockedError as error:
            self._module()  # now, for once the keys are unlocked the engine must not stand still for a second
            return f"{self.provider.name} waits for its key: {error}"
        if secret is None:
            return f"there is no key for {self.provider.name}; give it with: quarterdeck keys set {name}"
        self._refused = False
        if self._sdk is None or secret != self._secret:
            self._former += [] if self._sdk is None else [self._sdk]  # requests may be under way on it
            self._secret, self._sdk = secret, self._load(secret.value)
        return ""

    async def ask(self, request: ChatRequest) -> ChatReply:
        """As of ChatClient."""
        problem = self.prepare()
        if problem:
            return ChatReply(outcome=Outcome.PROVIDER_DOWN, detail=problem, final=True)
        began_ms, secret = self._wall.mono_ms(), self._secret
        try:
            async with asyncio.timeout(request.timeout_ms / 1000), self._places:
                reply = self._read(await self._send(request), request)
        except Exception as error:
            reply = of_error(error)
            self._refused = self._refused or getattr(error, "status_code", 0) in KEY_REFUSED
        detail = secret.scrub(reply.detail)[:DETAIL_CHARACTERS_MAX]
        latency_ms = int(self._wall.mono_ms() - began_ms)
        return replace(reply, text=secret.scrub(reply.text), detail=detail, latency_ms=latency_ms)

    async def close(self) -> None:
        """As of ChatClient."""
        for each in (*self._former, self._sdk):
            if each is not None:
                await each.close()
        self._former, self._sdk = [], None

    @staticmethod
    def _http() -> Any:
        """Return the transport: no proxy of the environment's, and no redirect that would carry the key on (W20)."""
        import httpx2  # what both SDKs stand on; their own default reads proxies whatever it is told

        limits = httpx2.Limits(max_connections=1_000)
        return httpx2.AsyncClient(trust_env=False, follow_redirects=False, limits=limits, verify=_trusted())

    @staticmethod
    @abstractmethod
    def _module() -> Any:
        """Return the SDK; the first call takes up to a second."""

    @abstractmethod
    def _load(self, key: str) -> Any:
        """Return the SDK's client on _http(), without retries and without any credential of the environment's."""

    @abstractmethod
    async def _send(self, request: ChatRequest) -> Any:
        """Send one request and return the SDK's answer, or raise what the SDK raises."""

    @abstractmethod
    def _read(self, answer: Any, request: ChatRequest) -> ChatReply:
        """Turn the SDK's answer into an outcome; what is no answer may raise anything."""


@cache
def _trusted() -> Any:
    import httpx2  # as above; one set of certificates for all, for reading them takes 40 ms

    return httpx2.create_ssl_context(trust_env=False)
