"""Keys: kept where nobody can read them, or not kept; named, never shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import keyring
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

from console.cli import quarterdeck
from console.options import Settings
from engine.errors import UsageError
from engine.keys import Keychain, KeysLockedError, WrongPassphraseError, find_key, keyring_problem
from engine.keys.sealed import lock_of, new_lock, open_sealed, read_sealed, seal

CANARY = "sk-canary-abcdefgh"


def _encodes(text: str) -> bool:
    return not any(0xD800 <= ord(letter) <= 0xDFFF for letter in text)


def set_key(name: str, value: str) -> None:
    Keychain(None, {}).keep(name, value, in_file=False)


def list_keys() -> list[dict[str, str]]:
    return Keychain(None, {}).rows()


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
    assert list_keys() == []


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
        Keychain(None, {}).remove("openai")
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(
    "module", ["keyrings.alt.file", "keyring.backends.null", "keyring.backends.fail", "keyrings.cryptfile.cryptfile"]
)
def test_a_keyring_that_hides_nothing_or_asks_on_the_terminal_is_refused(
    ring: Ring, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    monkeypatch.setattr(Ring, "__module__", module)
    with pytest.raises(UsageError, match="keys set --file"):
        set_key("openai", CANARY)
    assert ring.kept == {}
    assert module in keyring_problem()


@pytest.mark.parametrize("value", ["", "   ", "two\nlines", "Schlüssel", "x" * 5_000, "a\x1b[31m"])
def test_what_is_no_key_is_not_kept(ring: Ring, value: str) -> None:
    with pytest.raises(UsageError):
        set_key("openai", value)
    assert ring.kept == {}


@pytest.mark.parametrize("name", ["", "Names", "names", "../x", "a b"])
def test_what_is_no_name_is_refused(ring: Ring, name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a key"):
        set_key(name, CANARY)


# -- the key file ---------------------------------------------------------------------------------------------------

PASSPHRASE = "correct horse battery"
CHEAP = 10  # scrypt at 2^10: the form is the same


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def no_ring(monkeypatch: pytest.MonkeyPatch, ring: Ring) -> None:
    monkeypatch.setattr(Ring, "__module__", "keyring.backends.fail")


def chain_of(folder: Path, **environment: str) -> Keychain:
    return Keychain(folder, environment, log2_n=CHEAP)


def sealed(folder: Path, **values: str) -> Keychain:
    """Return the chain that has made a key file."""
    chain = chain_of(folder)
    chain.key_file().begin(PASSPHRASE)
    for name, value in (values or {"openai": CANARY}).items():
        chain.keep(name, value, in_file=True)
    return chain


@pytest.mark.usefixtures("no_ring")
def test_a_locked_file_says_which_keys_it_holds_and_its_passphrase_gives_them(folder: Path) -> None:
    sealed(folder, openai=CANARY, ollama="x1")
    chain = chain_of(folder, OPENAI_API_KEY="sk-of-another-account")
    assert chain.rows() == [{"name": "ollama", "origin": "key file"}, {"name": "openai", "origin": "key file"}]
    with pytest.raises(KeysLockedError, match="keys unlock"):
        chain.find("openai")
    assert chain.why_locked("openai")
    assert chain.find("anthropic") is None
    chain.unlock(PASSPHRASE)
    found = chain.find("openai")
    assert found is not None
    assert (found.value, found.origin, chain.why_locked("openai")) == (CANARY, "key file", "")


@pytest.mark.usefixtures("no_ring")
def test_a_wrong_passphrase_is_one_sentence_and_opens_nothing(folder: Path) -> None:
    sealed(folder)
    chain = chain_of(folder)
    for wrong in ("", "correct horse batterx", PASSPHRASE.upper(), "\udcff" * 12, PASSPHRASE + "x" * 300):
        with pytest.raises(WrongPassphraseError) as raised:
            chain.unlock(wrong)
        assert str(raised.value).count(".") == 1
        assert not wrong or wrong not in str(raised.value)
    assert not chain.key_file().is_open


@pytest.mark.usefixtures("no_ring")
def test_a_passphrase_is_the_same_however_the_keyboard_writes_its_letters(folder: Path) -> None:
    chain = chain_of(folder)
    chain.key_file().begin("Schl\u00fcsselbund")
    chain.keep("openai", CANARY, in_file=True)
    chain_of(folder).unlock("Schlu\u0308sselbund")


@pytest.mark.usefixtures("no_ring")
def test_every_changed_byte_of_the_file_is_found(folder: Path) -> None:
    path = sealed(folder).key_file().path
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ (1 << at % 7),)) + whole[at + 1 :])
        with pytest.raises(UsageError, match="is damaged"):
            chain_of(folder).unlock(PASSPHRASE)
    for cut in (whole[:-1], whole[: len(whole) // 2], b"", whole + b"\n", whole.upper()):
        path.write_bytes(cut)
        with pytest.raises(UsageError, match="is damaged"):
            chain_of(folder).unlock(PASSPHRASE)


@pytest.mark.usefixtures("no_ring")
@pytest.mark.parametrize("change", [('"ollama"', '"openai"'), ('"log2_n":10', '"log2_n":11'), ("\n", "\n00")])
def test_a_forged_file_with_a_sum_that_fits_does_not_open(folder: Path, change: tuple[str, str]) -> None:
    path = sealed(folder, ollama=CANARY).key_file().path
    header, closed, _sum = path.read_text().splitlines()
    body = f"{header}\n{closed}\n".replace(*change, 1)
    path.write_text(body + sha256(body.encode()).hexdigest()[:32] + "\n")
    with pytest.raises(WrongPassphraseError):
        chain_of(folder).unlock(PASSPHRASE)


@pytest.mark.usefixtures("no_ring")
def test_a_file_of_a_newer_version_is_not_guessed_at(folder: Path) -> None:
    path = sealed(folder).key_file().path
    header, closed, _sum = path.read_text().splitlines()
    newer = header.replace('keys":1', 'keys":2')
    body = f"{newer}\n{closed}\n"
    path.write_text(body + sha256(body.encode()).hexdigest()[:32] + "\n")
    with pytest.raises(UsageError, match="newer version"):
        chain_of(folder).unlock(PASSPHRASE)


@pytest.mark.usefixtures("no_ring")
@pytest.mark.fault("W09")
def test_a_file_that_others_may_read_or_swap_is_refused_and_locks(folder: Path) -> None:
    path = sealed(folder).key_file().path
    assert path.stat().st_mode & 0o777 == 0o600
    for mode in (0o640, 0o604, 0o660):
        path.chmod(mode)
        chain = chain_of(folder, OPENAI_API_KEY="sk-other")
        with pytest.raises(KeysLockedError, match=f"mode 0{mode:o}"):
            chain.find("openai")
    path.chmod(0o600)
    folder.chmod(0o770)
    with pytest.raises(UsageError, match="Others may write"):
        chain_of(folder).unlock(PASSPHRASE)
    folder.chmod(0o700)
    path.rename(folder / "elsewhere")
    path.symlink_to(folder / "elsewhere")
    with pytest.raises(UsageError, match="file of yours"):
        chain_of(folder).unlock(PASSPHRASE)


@pytest.mark.usefixtures("no_ring")
def test_nothing_of_the_secrets_is_in_the_file_in_a_name_beside_it_or_in_a_repr(folder: Path) -> None:
    chain = sealed(folder)
    written = b"".join(path.read_bytes() for path in folder.iterdir())
    shown = f"{chain.key_file()!r} {chain.find('openai')!r} {chain.rows()!r}"
    for secret in (CANARY, PASSPHRASE, CANARY.encode().hex()):
        assert secret.encode() not in written
        assert secret not in shown
    assert [path.name for path in folder.iterdir()] == ["keys.sealed"]


@pytest.mark.usefixtures("no_ring")
def test_a_write_that_fails_leaves_the_file_as_it_was(folder: Path) -> None:
    chain = sealed(folder)
    before = chain.key_file().path.read_bytes()
    (folder / ".keys.sealed.part").mkdir()  # what is not a file cannot be replaced
    with pytest.raises(UsageError, match="could not be written"):
        chain.keep("ollama", "x", in_file=True)
    assert chain.key_file().path.read_bytes() == before


@pytest.mark.usefixtures("no_ring")
def test_two_processes_change_one_file_and_neither_undoes_the_other(folder: Path) -> None:
    one = sealed(folder)
    two = chain_of(folder)
    two.unlock(PASSPHRASE)
    two.keep("ollama", "x1", in_file=True)
    one.keep("anthropic", "x2", in_file=True)
    assert [row["name"] for row in two.rows()] == ["anthropic", "ollama", "openai"]
    two.remove("openai")
    assert one.find("openai") is None


@pytest.mark.usefixtures("no_ring")
def test_another_passphrase_locks_whoever_opened_it_with_the_old_one(folder: Path) -> None:
    chain, old = sealed(folder), chain_of(folder)
    old.unlock(PASSPHRASE)
    with pytest.raises(UsageError, match="10 to 200"):
        chain.key_file().change_passphrase("short")
    chain.key_file().change_passphrase("another passphrase")
    with pytest.raises(KeysLockedError):
        old.find("openai")
    with pytest.raises(WrongPassphraseError):
        old.unlock(PASSPHRASE)
    old.unlock("another passphrase")


def test_a_key_moved_into_the_file_leaves_none_in_the_keyring(folder: Path, ring: Ring) -> None:
    chain = chain_of(folder)
    chain.keep("openai", "sk-old", in_file=False)
    chain.key_file().begin(PASSPHRASE)
    chain.keep("openai", CANARY, in_file=True)
    found = chain.find("openai")
    assert found is not None
    assert (found.value, found.origin) == (CANARY, "key file")
    assert CANARY not in ring.kept.values()


@given(
    values=st.dictionaries(
        st.from_regex(r"[a-z0-9_-]{1,40}", fullmatch=True), st.text(max_size=60).filter(_encodes), max_size=5
    ),
    passphrase=st.text(min_size=10, max_size=40).filter(_encodes),
)
@settings(max_examples=20)
def test_what_is_sealed_comes_back_and_nothing_else_opens_it(values: dict[str, str], passphrase: str) -> None:
    lock = new_lock(passphrase, CHEAP)
    one = read_sealed(seal(values, lock), "here")
    assert one.header.names == tuple(sorted(values))
    assert open_sealed(one, lock_of(one.header, passphrase)) == values
    with pytest.raises(WrongPassphraseError):
        open_sealed(one, lock_of(one.header, passphrase + "x"))


@pytest.mark.usefixtures("no_ring")
def test_the_commands_of_the_key_file_take_what_is_secret_from_standard_input_alone(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUARTERDECK_HOME", str(tmp_path))
    sealed(folder)
    assert json.loads(run("keys", "test", "--json", typed=PASSPHRASE)) == {"opens": True, "names": ["openai"]}
    run("keys", "set", "anthropic", typed=f"{PASSPHRASE}\n{CANARY}2\n")
    assert [row["origin"] for row in json.loads(run("keys", "list", "--json"))] == ["key file", "key file"]
    run("keys", "remove", "openai", typed=PASSPHRASE)
    own = folder / "passphrase"
    own.write_text(PASSPHRASE + "\n")
    own.chmod(0o600)
    monkeypatch.setenv("QUARTERDECK_KEYS_PASSPHRASE_FILE", str(own))
    run("keys", "set", "anthropic", typed=f"{CANARY}3\n")
    chain = chain_of(folder)
    chain.unlock(PASSPHRASE)
    found = chain.find("anthropic")
    assert found is not None
    assert found.value == f"{CANARY}3"
    assert chain.key_file().names() == ("anthropic",)
