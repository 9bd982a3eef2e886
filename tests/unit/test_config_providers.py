"""providers.toml: which servers there are besides the vendors' own."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.providers import providers_of, timeout_ms_of
from engine.domain.provider import BUILT_IN, Protocol, Provider
from engine.errors import UsageError


def read(folder: Path, text: str) -> dict[str, Provider]:
    (folder / "providers.toml").write_text(text)
    return providers_of(folder)


def test_without_a_file_there_are_the_two_vendors(tmp_path: Path) -> None:
    assert providers_of(tmp_path) == {each.name: each for each in BUILT_IN}


def test_a_server_on_this_machine_needs_no_key(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        '[providers.ollama]\nkind = "openai"\nbase_url = "http://localhost:11434/v1"\n'
        "calls_max = 2\nstructured = false\n",
    )["ollama"]
    assert found == Provider(
        name="ollama", kind=Protocol.OPENAI, base_url="http://localhost:11434/v1", calls_max=2, structured=False
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('base_url = "http://example.com/v1"', "must be an https address"),
        ('base_url = "https://me:pass@example.com/v1"', "name or password"),
        ('base_url = "ftp://localhost"', "must be an https address"),
        ('base_url = "https://example.com/v1"\nkey = "x"', "key"),
        ('base_url = "https://example.com/v1"\ncalls_max = 0', "out of bounds"),
        ('base_url = "https://example.com/v1"\napi_key = "abc"', "secret"),
    ],
)
def test_what_would_leak_a_key_or_cannot_be_is_refused(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(tmp_path, f'[providers.mine]\nkind = "openai"\n{line}\n')


def test_the_heuristic_s_name_is_taken(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="taken"):
        read(tmp_path, '[providers.heuristic]\nkind = "openai"\nbase_url = "https://example.com"\n')


def test_the_timeout_comes_from_the_environment_within_bounds() -> None:
    assert timeout_ms_of({}) == 30_000
    assert timeout_ms_of({"AI_PROVIDER_TIMEOUT_MS": "4000"}) == 4_000
    with pytest.raises(UsageError, match="AI_PROVIDER_TIMEOUT_MS"):
        timeout_ms_of({"AI_PROVIDER_TIMEOUT_MS": "0"})
