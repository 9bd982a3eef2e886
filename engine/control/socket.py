"""The control socket: the engine that holds the lock takes commands of the same user on it (DESIGN section 4)."""

from __future__ import annotations

import json
import os
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from engine.control.engine import Engine
from engine.control.wire import to_json, unpack_command
from engine.errors import UsageError

if TYPE_CHECKING:
    from aiohttp import web

BODY_MAX_BYTES = 65_536
LEAVE_WITHIN_S = 0.25
PEERCRED = struct.Struct("3i")


class ControlServer:
    """Serves one engine on a Unix socket of mode 0600; other users are refused by their uid (W21)."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self._path = path
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen; a socket file that a killed engine left behind is replaced, since we hold the lock."""
        from aiohttp import web  # 0.2 s, after the first paint

        app = web.Application(client_max_size=BODY_MAX_BYTES)
        app.router.add_post("/v1/command", self._command)
        app.router.add_get("/v1/snapshot", self._snapshot)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=LEAVE_WITHIN_S)
        await runner.setup()
        self._runner = runner
        await web.SockSite(runner, self._listener()).start()

    def _listener(self) -> socket.socket:
        """Bind the socket and close it to others before anyone can connect."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        try:
            listener.bind(str(self._path))
            self._path.chmod(0o600)
        except OSError as error:
            listener.close()
            raise UsageError(
                f"The control socket {self._path} cannot be made ({error}); name a store with a shorter path, "
                "on a disk of this machine."
            ) from None
        return listener

    async def stop(self) -> None:
        """Stop listening and remove the socket file."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._path.unlink(missing_ok=True)

    async def _command(self, request: web.Request) -> web.Response:
        from aiohttp import web  # loaded by start()

        if not _same_user(request):
            return web.json_response({"ok": False, "text": "Another user's engine."}, status=403)
        try:
            command = unpack_command(json.loads(await request.read()))
        except web.HTTPRequestEntityTooLarge:
            text = f"The command is larger than {BODY_MAX_BYTES} bytes; shorten its texts."
            return web.json_response({"ok": False, "text": text}, status=413)
        except UsageError as error:
            return web.json_response({"ok": False, "text": str(error)}, status=400)
        except (ValueError, RecursionError) as error:
            text = f"The request is not JSON that can be read: {error}."
            return web.json_response({"ok": False, "text": text}, status=400)
        return web.json_response(to_json(await self._engine.handlers.handle(command)))

    async def _snapshot(self, request: web.Request) -> web.Response:
        from aiohttp import web  # loaded by start()

        if not _same_user(request):
            return web.json_response({"ok": False, "text": "Another user's engine."}, status=403)
        self._engine.refresh()
        return web.json_response(to_json(self._engine.latest))


def _same_user(request: web.Request) -> bool:
    transport = request.transport
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or not hasattr(socket, "SO_PEERCRED"):
        return sock is not None  # where the kernel does not tell, the file's mode 0600 guards it
    creds = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEERCRED.size)
    return PEERCRED.unpack(creds)[1] == os.getuid()
