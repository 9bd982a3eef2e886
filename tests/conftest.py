"""What holds for every test: no network beyond this machine, no file of the user's, no key that could buy anything."""

import gc
import ipaddress
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Short, for a Unix socket's path holds about 100 bytes. Made at import, before any test module reads a directory.
HOME = Path(tempfile.mkdtemp(prefix="qd-"))
DIRECTORIES = {
    "QUARTERDECK_HOME": "quarterdeck",
    "HOME": "home",
    "XDG_CONFIG_HOME": "config",
    "XDG_DATA_HOME": "data",
    "XDG_STATE_HOME": "state",
    "XDG_CACHE_HOME": "cache",
    "XDG_RUNTIME_DIR": "run",
}
KEYS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY")

settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci")


class OutsideConnectionError(OSError):
    """A test tried to leave this machine."""


# Kept as well as raised: code under test may catch the error, the test must fail all the same.
attempts: list[str] = []


def is_this_machine(host: object) -> bool:
    """Say whether a host is the loopback; None and '' are what a listener binds to."""
    if host is None or host in ("", b"", "localhost", b"localhost"):
        return True
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


def trip_wire(event: str, args: tuple[object, ...]) -> None:
    """Raise when Python is about to connect, send or look up a name beyond the loopback."""
    if event == "socket.getaddrinfo":
        host = args[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = args[1]
        if not isinstance(address, tuple):  # AF_UNIX: a path
            return
        host = address[0]
    else:
        return
    if not is_this_machine(host):
        attempts.append(f"{event} {host!r}")
        raise OutsideConnectionError(f"a test may not leave this machine: {event} {host!r}")


def pytest_configure() -> None:
    for name, folder in DIRECTORIES.items():
        path = HOME / folder
        path.mkdir(mode=0o700, exist_ok=True)
        os.environ[name] = str(path)
    for key in KEYS:
        os.environ.pop(key, None)
    sys.addaudithook(trip_wire)


def pytest_unconfigure() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def no_outside_connection() -> Iterator[None]:
    attempts.clear()
    yield
    assert not attempts, f"the test tried to leave this machine: {attempts}"


def pytest_collection_finish() -> None:
    """Thousands of collected tests are garbage to nobody: they are not looked through again at each collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
