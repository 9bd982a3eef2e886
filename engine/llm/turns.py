"""Turns: the agents' own work happens one piece at a time, with room for the engine's between any two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Shared by all agents of an engine.

    Fifty agents that wake at one instant, or are answered at one, would otherwise hold the loop for fifty prompts or
    fifty commits in a row.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for the turn; the work inside must not wait for anything."""
        async with self._lock:
            await asyncio.sleep(0)
            yield
