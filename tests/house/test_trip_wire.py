"""The trip wire of tests/conftest.py: a test that could leave this machine would prove nothing about the rest."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import conftest

DOCUMENTATION_ONLY = "192.0.2.1"  # reserved: no host will ever answer there


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Let these tests pull the wire without failing for it."""
    yield
    conftest.attempts.clear()


def test_a_connection_beyond_the_loopback_is_refused() -> None:
    with socket.socket() as sock, pytest.raises(conftest.OutsideConnectionError):
        sock.connect((DOCUMENTATION_ONLY, 443))


def test_connect_ex_is_refused_too() -> None:
    with socket.socket() as sock, pytest.raises(conftest.OutsideConnectionError):
        sock.connect_ex((DOCUMENTATION_ONLY, 443))


def test_a_name_is_not_looked_up() -> None:
    with pytest.raises(conftest.OutsideConnectionError):
        socket.getaddrinfo("example.invalid", 443)


async def test_asyncio_is_refused_too() -> None:
    with pytest.raises(conftest.OutsideConnectionError):
        await asyncio.open_connection(DOCUMENTATION_ONLY, 443)


def test_an_attempt_is_remembered_when_the_code_swallows_the_error() -> None:
    with socket.socket() as sock, contextlib.suppress(OSError):
        sock.connect((DOCUMENTATION_ONLY, 443))
    assert conftest.attempts == [f"socket.connect {DOCUMENTATION_ONLY!r}"]


def test_the_loopback_and_unix_sockets_are_open(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
    path = str(conftest.HOME / "run" / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
    Path(path).unlink()
    assert conftest.attempts == []


@pytest.mark.parametrize("name", sorted(conftest.DIRECTORIES))
def test_no_directory_is_the_users_own(name: str) -> None:
    assert Path(os.environ[name]).is_relative_to(conftest.HOME)
