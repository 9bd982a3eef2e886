"""What follows for an agent whose cycles fail: it waits, longer each time, then it is paused, and later woken (001)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.agents.manager import RunningAgent
from engine.domain.agent import AgentStatus
from engine.domain.events import AgentChanged, AgentWaits
from engine.domain.failing import wait_ms
from engine.domain.standing import ENGINE

if TYPE_CHECKING:
    from engine.control.core import Core


def waits_until(core: Core, agent: RunningAgent) -> int:
    """Return the instant before which an agent skips its slots because its cycles failed; 0 when it skips none."""
    return core.books.standing.failing.until_ms.get(agent.name, 0)


def after_failure(core: Core, agent: RunningAgent) -> None:
    """Let an agent wait after a cycle that failed, or pause it after too many in a row."""
    failures, config = core.books.standing.failing.by_agent.get(agent.name, 0), agent.config
    if not failures or core.books.agent_status.get(agent.name) is not AgentStatus.RUNNING:
        return  # a person may have said otherwise since
    now_ms = core.desk.clock.now_ms()
    if failures >= config.pause_after_failures:
        why = f"{failures} cycles in a row failed"
        paused = AgentChanged(agent=agent.name, status=AgentStatus.PAUSED, actor=ENGINE, reason=why)
        core.journal.record(now_ms, paused)
        return
    until_ms = now_ms + wait_ms(failures, config.backoff_ms, config.backoff_max_ms)
    said = f"{failures} of its cycles in a row failed, last {agent.last}"[:200]
    core.journal.record(now_ms, AgentWaits(agent=agent.name, failures=failures, until_ms=until_ms, reason=said))


def wake(core: Core, now_ms: int) -> None:
    """Let agents run again that were paused for failures which are old by now; whoever paused one by hand wakes it."""
    for name, paused_ms in list(core.books.standing.failing.paused_ms.items()):
        agent = core.agents.get(name)
        decay_ms = agent.config.failures_decay_ms if agent is not None else 0
        if agent is None or not decay_ms or now_ms < paused_ms + decay_ms:
            continue
        why = f"its failures are {decay_ms // 60_000} min old: it tries again"
        core.journal.record(now_ms, AgentChanged(agent=name, status=AgentStatus.RUNNING, actor=ENGINE, reason=why))
        agent.failures = 0
