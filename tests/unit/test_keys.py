"""Keys: kept where nobody can read them, or not kept; named, never shown."""

from __future__ import annotations

import json
from collections.abc import Iterator

import keyring
import pytest
from click.testing import CliRunner
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from console.cli import quarterdeck
from console.options import Settings
from engine.errors import UsageError
from engine.keys import find_key, keyring_problem, list_keys, remove_key, set_key

CANARY = "sk-canary-abcdefgh"


class Ring(KeyringBackend):
    """A keyring in memory. broken: it is locked."""

    priority = 1  # type: ignore[assignment]  # the base declares a class property

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.broken = False

    def get_password(self, service: str, username: str) -> str | None:
        if self.broken:
            raise RuntimeError(f"locked, and {CANARY} inside")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.kept.pop((service, username), None) is None:
            raise PasswordDeleteError("not there")


@pytest.fixture
def ring() -> Iterator[Ring]:
    before = keyring.get_keyring()
    mine = Ring()
    keyring.set_keyring(mine)
    yield mine
    keyring.set_keyring(before)


def run(*args: str, typed: str = "") -> str:
    done = CliRunner().invoke(quarterdeck, args, input=typed, obj=Settings(), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert CANARY not in done.output
    return done.output


def test_a_key_from_standard_input_is_kept_listed_by_name_and_removed(ring: Ring) -> None:
    run("keys", "set", "anthropic", typed=CANARY + "\n")
    found = find_key("anthropic", {})
    assert found is not None
    assert (found.value, found.origin) == (CANARY, "keyring")
    assert json.loads(run("keys", "list", "--json")) == [{"name": "anthropic", "origin": "keyring"}]
    run("keys", "remove", "anthropic")
    assert find_key("anthropic", {}) is None
    assert list_keys({}) == []


def test_a_secret_shows_in_no_text_of_itself(ring: Ring) -> None:
    set_key("openai", CANARY)
    found = find_key("openai", {})
    assert CANARY not in f"{found} {found!r}"


def test_the_environment_is_read_only_where_the_keyring_holds_nothing(ring: Ring) -> None:
    environment = {"OPENAI_API_KEY": "sk-from-outside"}
    found = find_key("openai", environment)
    assert found is not None
    assert found.origin == "OPENAI_API_KEY"
    set_key("openai", CANARY)
    found = find_key("openai", environment)
    assert found is not None
    assert found.value == CANARY
    assert find_key("ollama", environment) is None


@pytest.mark.fault("W11")
def test_a_locked_keyring_is_as_good_as_empty_and_its_words_are_not_repeated(ring: Ring) -> None:
    ring.broken = True
    assert find_key("openai", {}) is None
    with pytest.raises(UsageError, match="did not do that") as raised:
        remove_key("openai")
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize("module", ["keyrings.alt.file", "keyring.backends.null", "keyring.backends.fail"])
def test_a_keyring_that_hides_nothing_is_refused(ring: Ring, monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setattr(Ring, "__module__", module)
    with pytest.raises(UsageError, match="keeps no secret"):
        set_key("openai", CANARY)
    assert ring.kept == {}
    assert "keeps no secret" in keyring_problem()


@pytest.mark.parametrize("value", ["", "   ", "two\nlines", "Schlüssel", "x" * 5_000, "a\x1b[31m"])
def test_what_is_no_key_is_not_kept(ring: Ring, value: str) -> None:
    with pytest.raises(UsageError):
        set_key("openai", value)
    assert ring.kept == {}


@pytest.mark.parametrize("name", ["", "Names", "names", "../x", "a b"])
def test_what_is_no_name_is_refused(ring: Ring, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a key"):
        set_key(name, CANARY)
