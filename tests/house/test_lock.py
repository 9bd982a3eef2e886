"""The locks: every distribution by hash, and no address of any index (W19)."""

import re
import tomllib
from dataclasses import dataclass

import pytest

from tests.house.sources import ROOT

LOCKS = {
    "requirements.lock": ("build",),
    "requirements-test.lock": ("build", "test"),
    "requirements-check.lock": ("build", "test", "check"),
    "requirements-bench.lock": ("build", "bench"),
}
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s\\;]+)((?:\s*\\\n\s+--hash=sha256:[0-9a-f]{64})*)\s*$")


@dataclass(frozen=True)
class Pin:
    """One distribution at one version, with the number of files it may come from."""

    version: str
    hashes: int


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def statements(lock: str) -> list[str]:
    """Return the logical lines of a lock, without comments; a backslash carries a line on."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / lock).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [each for each in re.split(r"(?<!\\)\n", text) if each.strip()]


def pins(lock: str) -> dict[str, Pin]:
    found = [PIN.match(each) for each in statements(lock)]
    return {canonical(each[1]): Pin(each[2], each[3].count("--hash=")) for each in found if each}


def required(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(each for extra in extras for each in project["optional-dependencies"][extra])]
    return {canonical(re.split(r"[\[<>=!~; ]", each)[0]) for each in wanted}


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.fault("W19")
def test_every_line_is_a_pin_with_hashes(lock: str) -> None:
    assert [each for each in statements(lock) if not PIN.match(each)] == []
    assert [name for name, pin in pins(lock).items() if not pin.hashes] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_no_address_and_no_path_is_written_in(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert re.findall(r"^.*(?:://|--index|--extra-index|--find-links|--trusted-host| /\w).*$", text, re.MULTILINE) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_what_pyproject_asks_for_is_locked(lock: str) -> None:
    assert required(*LOCKS[lock]) - set(pins(lock)) == set()


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock != "requirements.lock"])
def test_the_other_locks_only_add_to_the_first(lock: str) -> None:
    assert pins("requirements.lock").items() <= pins(lock).items()


def test_textual_is_pinned_exactly() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"textual=={pins('requirements.lock')['textual'].version}" in project["dependencies"]
