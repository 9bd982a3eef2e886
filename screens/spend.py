"""What models cost, in full; and the card that switches them on or off with a typed reason."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from engine.api import AgentView, BudgetView, Command, Query, Snapshot, SwitchAi
from screens.detail import labelled, outline
from screens.format import UNKNOWN, clock, money, share, wrap
from screens.model import ConsoleModel
from screens.reading import AskedReading
from screens.reason import ReasonScreen
from screens.rows import Row, text_row

PLACES = 4
DAYS = "30"
ON = "It lets models be asked again, within the caps; your reason is journaled. Read the bill first."
OFF = "No model is asked from here on, also after a restart; deterministic ones answer, as the policy lets them."


class SpendScreen(AskedReading):
    """Today and this month from the engine; the last 30 days from the store."""

    TITLE_TEXT = "AI spend"
    QUESTION = Query(name="spend", args={"days": DAYS})

    def rows(self, width: int) -> list[Row]:
        snapshot = self.model.snapshot
        rows = budget_facts(snapshot, width) if snapshot is not None else []
        return [*rows, text_row(""), text_row(f"The last {DAYS} days", "head"), *super().rows(width)]

    def answer_rows(self, data: Any, width: int) -> list[Row]:
        return list(outline(data, width))


def budget_facts(snapshot: Snapshot, width: int) -> list[Row]:
    """Say what is spent, held and left, the pace, and what that is for a decision, a trade and of the profit."""
    budget = snapshot.budget
    if budget is None:
        return [text_row("No model is paid for.", "dim")]
    parts = [
        ("Models", f"OFF: {budget.off_reason}" if budget.off_reason else "on", "danger" if budget.off_reason else ""),
        ("Today", _window(budget.usd_spent, budget.usd_reserved, budget.usd_cap), "strong"),
        ("tokens", f"{budget.tokens_spent:,} + {budget.tokens_reserved:,} held of {budget.tokens_cap:,}", ""),
        ("calls", f"{budget.calls} for {budget.decisions} decisions and {budget.trades} trades", ""),
        ("This month", _window(budget.usd_month_spent, budget.usd_month_reserved, budget.usd_month_cap), ""),
        ("Pace", _pace(budget), ""),
        ("A decision", _dollars(budget.usd_per_decision), ""),
        ("A trade", _dollars(budget.usd_per_trade), ""),
        *([("Beside them", f"{_dollars(budget.usd_beside)} for shadows and reruns", "")] if budget.usd_beside else []),
        ("Day's P&L", _profit(snapshot, budget), ""),
    ]
    parts += [("Added", _added(agent), "") for agent in snapshot.agents if agent.shadow is not None]
    rows = [row for label, value, ink in parts for row in labelled(label, value, ink, width, 0)]
    return rows + [text_row(line, "warn") for line in wrap(budget.notice, width, 3)] if budget.notice else rows


def _window(spent: Decimal, held: Decimal, cap: Decimal) -> str:
    return f"${money(spent, places=PLACES)} + ${money(held, places=PLACES)} held of ${money(cap)}"


def _pace(budget: BudgetView) -> str:
    pace = f"${money(budget.usd_per_hour, places=PLACES)} an hour"
    return f"{pace}: the cap is reached at {clock(budget.runs_out_ms)} UTC" if budget.runs_out_ms else pace


def _dollars(value: Decimal | None) -> str:
    return UNKNOWN if value is None else f"${money(value, places=PLACES)}"


def _profit(snapshot: Snapshot, budget: BudgetView) -> str:
    if snapshot.day_pnl is None or budget.day_pnl_after is None:
        return UNKNOWN
    before, after = money(snapshot.day_pnl, signed=True), money(budget.day_pnl_after, signed=True)
    told = f"{before} before, {after} after what models cost"
    return f"{told}, {share(budget.share_of_pnl)} of it" if budget.share_of_pnl is not None else told


def _added(agent: AgentView) -> str:
    """Say what an agent's model made beyond what its shadow would have, both after fees and tokens."""
    shadow = agent.shadow
    if shadow is None:
        return UNKNOWN
    mine, theirs = money(shadow.agent_after, signed=True), money(shadow.lane_after, signed=True)
    ended = ", ".join(f"{count} {outcome}" for outcome, count in shadow.outcomes.items())
    return (
        f"{money(shadow.added, signed=True)} by {agent.name}: {mine} of {agent.model} against {theirs} of "
        f"{shadow.model}, both after fees and tokens" + (f"; the shadow's questions: {ended}" if ended else "")
    )


class AiScreen(ReasonScreen):
    """One reason to type; enter switches models on where they are off, and off where they are on."""

    TITLE_TEXT = "Models"
    KEYS = (("enter", "switch"), ("esc", "stay as it is"))
    COMMAND = "quarterdeck ai"

    def __init__(self, model: ConsoleModel) -> None:
        self._to_on = _is_off(model.snapshot)
        super().__init__(model, "why models may be asked again" if self._to_on else "why no model may be asked")

    def rows(self, width: int) -> list[Row]:
        return switch_rows(self.model.snapshot, self._to_on, width)

    def command(self, reason: str) -> Command:
        return SwitchAi(on=self._to_on, reason=reason)


def switch_rows(snapshot: Snapshot | None, to_on: bool, width: int) -> list[Row]:
    """Say why models are off, and what switching does."""
    budget = snapshot.budget if snapshot is not None else None
    rows = (
        [text_row(line, "danger") for line in wrap(f"OFF: {budget.off_reason}", width, 4)]
        if _is_off(snapshot) and budget
        else []
    )
    return [*rows, *(text_row(line) for line in wrap(ON if to_on else OFF, width, 4)), text_row("")]


def _is_off(snapshot: Snapshot | None) -> bool:
    return bool(snapshot is not None and snapshot.budget is not None and snapshot.budget.off_reason)
