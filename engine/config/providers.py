"""providers.toml: servers that models answer on, beside the vendors' own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from engine.config.fields import Key, choice_of, pattern, read_table, shown, text, whole, words
from engine.config.toml import read_toml
from engine.domain.provider import BUILT_IN, Protocol, Provider
from engine.errors import UsageError

FILE_NAME = "providers.toml"
TIMEOUT_NAME = "AI_PROVIDER_TIMEOUT_MS"
TIMEOUT_MS = 30_000
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

PROVIDER = pattern(r"[a-z0-9_]{1,20}", 'up to 20 small letters, digits and underscores, such as "ollama"')


def load_providers(path: Path) -> dict[str, Provider]:
    """Read one providers file; a table named like a vendor replaces what is built in."""
    tables = read_table(read_toml(path), str(path), {"providers": Key("providers", _providers)})
    return {each.name: each for each in BUILT_IN} | tables.get("providers", {})


def providers_of(config_dir: Path) -> dict[str, Provider]:
    """Return every provider by name: the vendors, and those of a configuration directory's providers.toml."""
    path = config_dir / FILE_NAME
    return load_providers(path) if path.exists() else {each.name: each for each in BUILT_IN}


def with_provider(table: dict[str, Any]) -> dict[str, Any]:
    """Return an agent's table with its provider in front of its model (R6): the agent's own setting, then that of its
    model's settings, then what stands before the colon already. What is no text is left for its own parser to refuse.

    >>> with_provider({"model": "llama3:8b", "provider": "ollama"})["model"]
    'ollama:llama3:8b'
    >>> with_provider({"model": "openai:gpt-5", "model_settings": {"provider": "openrouter"}})["model"]
    'openrouter:gpt-5'
    """
    settings = table.get("model_settings")
    inner = settings.get("provider") if isinstance(settings, dict) else None
    provider, model = table.get("provider", inner), table.get("model")
    if isinstance(settings, dict) and isinstance(inner, str):
        table = {**table, "model_settings": {name: each for name, each in settings.items() if name != "provider"}}
    if not (isinstance(provider, str) and isinstance(model, str)):
        return table
    before, colon, name = model.partition(":")
    bare = name if colon and before in (provider, "heuristic", *(each.name for each in BUILT_IN)) else model
    return {**table, "model": f"{provider}:{bare}"}


def timeout_ms_of(environment: Mapping[str, str] = os.environ) -> int:
    """Return how long one request to a model may take; AI_PROVIDER_TIMEOUT_MS, 30 s without it."""
    given = environment.get(TIMEOUT_NAME)
    return TIMEOUT_MS if given is None else whole(100, 600_000)(TIMEOUT_NAME, given)


def _providers(where: str, value: Any) -> dict[str, Provider]:
    if not isinstance(value, dict):
        raise UsageError(f"{where} must be tables such as [providers.ollama].")
    return {PROVIDER(where, name): _provider(where, name, table) for name, table in value.items()}


def _provider(where: str, name: str, table: Any) -> Provider:
    inside = f"{where.rpartition(' ')[0]} [providers.{name}]"
    if name == "heuristic":
        raise UsageError(f"{inside} is taken by the engine itself; choose another name.")
    return Provider(name=name, **read_table(table, inside, _KEYS))


def _base_url(where: str, value: Any) -> str:
    """Read an address; in the clear only on this machine, for a key travels with each request."""
    read = text(300)(where, value)
    parts = urlsplit(read)
    if parts.username or parts.password:
        raise UsageError(f"{where} holds a name or password; keep secrets with `quarterdeck keys set`.")
    if not (parts.hostname and (parts.scheme == "https" or _is_local(parts.scheme, parts.hostname))):
        raise UsageError(
            f'{where} {shown(value)} must be an https address, or http on this machine such as "http://localhost:11434/v1".'
        )
    return read


def _is_local(scheme: str, host: str) -> bool:
    return scheme == "http" and host in LOCAL_HOSTS


def _yes(where: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"{where} must be true or false.")
    return value


_KEYS = {
    "kind": Key("kind", choice_of(Protocol), required=True),
    "base_url": Key("base_url", _base_url, required=True),
    "key_name": Key("key_name", pattern(r"[a-z0-9_-]{0,40}", 'the name given to `quarterdeck keys set`, or ""')),
    "calls_max": Key("calls_max", whole(1, 1_000)),
    "answers_as": Key("answers_as", words(text(100))),
    "structured": Key("structured", _yes),
}
