"""One life of an engine's meter with 200 agents that ask a provider over loopback until nothing fits any more.

Run as `python -m tests.flow.spend_child STORE URL CAP_USD`; prints one JSON line at its end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp

from engine.llm.meter import Hold, OverBudget, Usage
from tests.unit.meter_kit import MeterBench, capped

AGENTS = 200
ASKED, ANSWERED = 1000, 100


class Office:
    """All agents of one process, on one meter."""

    def __init__(self, bench: MeterBench, session: aiohttp.ClientSession, url: str) -> None:
        self.bench, self.session, self.url = bench, session, url
        self.refused: list[OverBudget] = []

    async def agent(self, name: str) -> None:
        """Ask until refused."""
        while True:
            given = self.bench.hold(ASKED, ANSWERED, agent=name, cycle=f"{name}.1")
            if isinstance(given, OverBudget):
                self.refused.append(given)
                return
            self.bench.meter.post(given, await self._ask(given))

    async def _ask(self, hold: Hold) -> Usage | None:
        try:
            async with self.session.post(self.url, json={"hold": hold.hold_id}) as answer:
                told: dict[str, Any] = await answer.json()
        except aiohttp.ClientError:
            return None
        return Usage(**told["usage"]) if "usage" in told else None


async def live(root: Path, url: str, cap: str) -> dict[str, Any]:
    """Take the store up, run all agents to their end, and say what became of them."""
    bench = MeterBench(root, capped(cap))
    left_open = bench.meter.post_left_open(bench.clock.now_ms())
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        office = Office(bench, session, url)
        await asyncio.gather(*(office.agent(f"agent-{number}") for number in range(AGENTS)))
    codes = sorted({each.code.value for each in office.refused})
    bench.journal.close()
    return {"left_open": left_open, "refused": len(office.refused), "codes": codes}


def main() -> None:
    root, url, cap = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(live(Path(root), url, cap))) + "\n")


if __name__ == "__main__":
    main()
