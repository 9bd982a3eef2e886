"""The other end of the control socket: a command from a second shell, with nothing of the engine loaded."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from engine.api import Command, Reply
from engine.control.wire import pack_command
from engine.errors import StoreLockedError


def send_over(path: Path, command: Command, timeout_s: float) -> Reply:
    """Send a command to the engine that serves a socket; StoreLockedError when it does not answer in time."""
    answer = _request(path, "POST", "/v1/command", pack_command(command), timeout_s)
    return Reply(ok=bool(answer.get("ok")), text=str(answer.get("text", "")), data=answer.get("data"))


def snapshot_over(path: Path, timeout_s: float) -> dict[str, Any]:
    """Fetch the engine's snapshot as a plain object."""
    return _request(path, "GET", "/v1/snapshot", None, timeout_s)


def _request(path: Path, method: str, target: str, body: Any, timeout_s: float) -> dict[str, Any]:
    connection = http.client.HTTPConnection("localhost", timeout=timeout_s)
    try:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(timeout_s)
        connection.sock.connect(str(path))
        headers = {"Content-Type": "application/json"}
        connection.request(method, target, json.dumps(body) if body is not None else None, headers)
        return json.loads(connection.getresponse().read())
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise StoreLockedError(
            f"The engine that owns {path.parent} does not answer on {path.name} within {timeout_s:g} s "
            f"({type(error).__name__}); nothing leaves while a file named HALT lies there."
        ) from None
    finally:
        connection.close()
