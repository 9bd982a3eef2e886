"""The agents: what each is doing, and what it last decided."""

from __future__ import annotations

from engine.api import AgentStatus, AgentView
from screens.format import UNKNOWN, age, money, safe
from screens.model import ConsoleModel
from screens.rows import Column, Row, signed_ink, table_row
from screens.widgets.pane import Pane

COLUMNS = (
    Column(title="AGENT", width=13),
    Column(title="STATUS", width=7),
    Column(title="PHASE", width=10, keep=6),
    Column(title="TRADES", width=6, right=True, keep=3),
    Column(title="P&L", width=9, right=True, keep=5),
    Column(title="MODEL", width=24, keep=2),
    Column(title="AUTONOMY", width=8, keep=1),
    Column(title="LAST", width=16, grow=40, keep=7),
    Column(title="AGE", width=4, right=True, keep=3),
)
STATUS_INK = {AgentStatus.RUNNING: "good", AgentStatus.PAUSED: "warn", AgentStatus.STOPPED: "danger"}


class AgentsPane(Pane):
    """One row an agent; p and s act on the one under the cursor."""

    TITLE = "Agents"
    CURSOR = True

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._now_ms = 0

    def show(self, model: ConsoleModel) -> None:
        """Draw the newest snapshot."""
        snapshot = model.snapshot
        self._now_ms = snapshot.now_ms if snapshot else 0
        agents = snapshot.agents if snapshot else ()
        running = sum(each.status is AgentStatus.RUNNING for each in agents)
        word = f"{running} of {len(agents)} running" if agents else "none" if snapshot else "starting…"
        self.fill(agents, f"{self.TITLE} · {word}")

    def key(self, item: AgentView) -> object:
        return item.name

    def row(self, item: AgentView, width: int) -> Row:
        total = item.realized + item.unrealized if item.unrealized is not None else None
        waits = item.waits_until_ms
        left = f", waits {age(max(0, waits - self._now_ms))}" if waits is not None else ""
        failing = f" · {item.failures} failed{left}" if item.failures else ""
        beside = _beside(item)
        since = age(max(0, self._now_ms - item.last_ms)) if item.last_ms is not None else UNKNOWN
        return table_row(
            COLUMNS,
            (
                (safe(item.name, 40), "strong"),
                (item.status.value, STATUS_INK[item.status]),
                (safe(item.phase, 12), "dim"),
                (f"{item.trades_today}/{item.trades_per_day}", ""),
                (money(total, signed=True), signed_ink(total)),
                (safe(item.model, 40), "dim"),
                (item.autonomy.value, "dim"),
                (safe(item.last + failing + beside, 200), "warn" if failing else ""),
                (since, "dim"),
            ),
            width,
        )


def _beside(item: AgentView) -> str:
    """Say what the agent's model added to what its shadow would have made, after fees and tokens."""
    if item.shadow is None:
        return ""
    failed = f" ({item.shadow.last})" if item.shadow.last not in ("", "DECIDED") else ""
    return f" · {money(item.shadow.added, signed=True)} after fees and tokens against {item.shadow.model}{failed}"
