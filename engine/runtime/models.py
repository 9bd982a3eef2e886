"""The language models of one engine: one way to each provider, shared by all agents that ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from engine.agents.cycle import Desk
from engine.agents.language import LanguageClient
from engine.agents.manager import RunningAgent
from engine.clock import Clock, SystemClock
from engine.domain.agent import AgentConfig
from engine.domain.budget import Purpose
from engine.domain.provider import Protocol, Provider
from engine.errors import UsageError
from engine.keys import Keychain, find_key
from engine.llm.anthropic_client import AnthropicClient
from engine.llm.asking import Asker
from engine.llm.client import ModelClient
from engine.llm.heuristic import HeuristicClient
from engine.llm.openai_client import OpenAiClient
from engine.llm.router import DEFAULT_PROVIDER, client_for, parse_model
from engine.llm.sdk import FindKey, SdkClient
from engine.llm.turns import Turns
from engine.store.prompts import PromptStore

CLIENTS: Mapping[Protocol, type[SdkClient]] = {
    Protocol.ANTHROPIC: AnthropicClient,
    Protocol.OPENAI: OpenAiClient,
}
HURRIED = "where days pass in minutes each would bring the day's budget anew, so no language model is asked there"
"""Why none is asked on a recording, or in a simulation faster than real time."""


class Models:
    """Finds each agent's model. barred: why none may be asked here, "" when they may.

    askers: one a provider in use, and one more for each purpose beside trading. now_ms: the
    engine's clock, for the windows of budgets. wall: for timeouts, waits and latencies.
    """

    def __init__(
        self, providers: Mapping[str, Provider], store: PromptStore, now_ms: Callable[[], int], *, timeout_ms: int,
        barred: str = "", wall: Clock | None = None, keys: FindKey | Keychain = find_key,
    ) -> None:  # fmt: skip
        self._providers = providers
        self._store = store
        self._now_ms = now_ms
        self._timeout_ms = timeout_ms
        self._barred = barred
        self._wall = wall or SystemClock()
        self._keys = keys.find if isinstance(keys, Keychain) else keys
        self._why_locked = keys.why_locked if isinstance(keys, Keychain) else _never_locked
        self._turns = Turns()
        self.askers: dict[str, Asker] = {}

    @property
    def barred(self) -> str:
        """Why no language model may be asked here, "" when they may."""
        return self._barred

    @property
    def wall(self) -> Clock:
        """The clock of timeouts and deadlines."""
        return self._wall

    @property
    def timeout_ms(self) -> int:
        """Of one attempt."""
        return self._timeout_ms

    def client_for(self, config: AgentConfig) -> ModelClient:
        """Return what answers for an agent. Raises UsageError when no provider does."""
        provider, model = parse_model(config.model, self._providers)
        if provider == DEFAULT_PROVIDER:
            return client_for(config.model)
        return LanguageClient(
            config, model, self._asker(provider), HeuristicClient(), self._store, self._wall, self._turns,
            self._timeout_ms, barred=self._barred,
        )  # fmt: skip

    def beside(self, model: str, purpose: Purpose) -> tuple[Asker, str]:
        """Return the way to a model for what is asked beside trading, and its name there; UsageError for none.

        Its connections and breaker are its own: an agent's question waits for none of its places, and does not rest
        because it failed.
        """
        provider, name = parse_model(model, self._providers)
        if provider == DEFAULT_PROVIDER:
            raise UsageError(f"{model} is no language model.")
        return self._asker(provider, purpose.value), name

    def shadow_for(self, twin: AgentConfig) -> ModelClient | None:
        """Return what answers beside an agent; None for a language model where none may be asked.

        Raises UsageError as client_for does.
        """
        provider, _name = parse_model(twin.model, self._providers)
        if provider == DEFAULT_PROVIDER:
            return client_for(twin.model)
        if self._barred:
            return None
        asker, name = self.beside(twin.model, Purpose.SHADOW)
        return LanguageClient(
            twin, name, asker, None, self._store, self._wall, self._turns, self._timeout_ms,
            purpose=Purpose.SHADOW,
        )  # fmt: skip

    def attach(self, desk: Desk, agents: Iterable[RunningAgent]) -> None:
        """Give the agents' models the desk they work on, once that is built."""
        for agent in agents:
            if isinstance(agent.client, LanguageClient):
                agent.client.attach(desk, agent, desk.meter)

    def prepare(self) -> list[str]:
        """Load SDKs and keys before anything runs, for that takes a second; return what is missing.

        A key that is only locked is not missing.
        """
        if self._barred:
            return []
        problems = [
            problem
            for asker in self.askers.values()
            if (problem := asker.chat.prepare()) and not self.locked(asker.name)
        ]
        return list(dict.fromkeys(problems))

    async def close(self) -> None:
        """Let all connections go."""
        for asker in self.askers.values():
            await asker.chat.close()

    def locked(self, provider: str) -> str:
        """Return why a provider's key cannot be read yet, "" when it can."""
        return self._why_locked(self._providers[provider].key_name)

    def _asker(self, name: str, purpose: str = "") -> Asker:
        key = f"{name} {purpose}" if purpose else name
        if key not in self.askers:
            provider = self._providers[name]
            chat = CLIENTS[provider.kind](provider, self._keys, self._wall)
            locked = partial(self.locked, name)
            self.askers[key] = Asker(name, chat, self._wall, self._now_ms, self._turns, locked)
        return self.askers[key]


def _never_locked(_name: str) -> str:
    return ""
