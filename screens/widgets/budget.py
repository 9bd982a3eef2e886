"""What the models cost today: spent, held for calls in flight, and the caps."""

from __future__ import annotations

from engine.api import BudgetView, KeysView
from screens.format import bar, clock, money, safe
from screens.model import ConsoleModel
from screens.rows import Row, row_width
from screens.widgets.lines import Lines

NEAR_FRAC = 0.8


class BudgetLine(Lines):
    """One line, one gauge."""

    def show(self, model: ConsoleModel) -> None:
        """Draw the newest snapshot."""
        snapshot = model.snapshot
        if snapshot is None:
            self.put([(("AI today  starting…", "dim"),)])
        elif snapshot.keys is not None:
            self.put([waiting_row(snapshot.keys, self.size.width)])
        else:
            self.put([budget_row(snapshot.budget, self.size.width)])


def waiting_row(keys: KeysView, width: int) -> Row:
    """Say which keys the models wait for, and what to press."""
    told = f"for locked keys ({', '.join(keys.names)}): u unlocks them"
    return (("AI WAITS  ", "warn"), (safe(told, max(10, width - 10)), "warn"))


def budget_row(budget: BudgetView | None, width: int) -> Row:
    """Spent and held of the cap, a gauge of the scarcest of money, tokens and the month's money, tokens and calls."""
    if budget is None:
        return (("AI today  no model is paid for", "dim"),)
    if budget.off_reason:
        return (("AI OFF  ", "danger"), (safe(budget.off_reason, max(10, width - 8)), "danger"))
    used = max(
        (budget.usd_spent + budget.usd_reserved) / budget.usd_cap if budget.usd_cap else 0,
        (budget.tokens_spent + budget.tokens_reserved) / budget.tokens_cap if budget.tokens_cap else 0,
        (budget.usd_month_spent + budget.usd_month_reserved) / budget.usd_month_cap if budget.usd_month_cap else 0,
    )
    ink = "danger" if used >= 1 else "warn" if used >= NEAR_FRAC else "accent"
    word = " CAP REACHED" if used >= 1 else ""
    head: Row = (
        ("AI today  ", "head"),
        (f"${money(budget.usd_spent)} + ${money(budget.usd_reserved)} held of ${money(budget.usd_cap)}", ""),
    )
    tail: Row = (
        (f" {used * 100:.0f}%{word}", ink),
        (f"  {budget.tokens_spent:,} of {budget.tokens_cap:,} tokens", "dim"),
    )
    calls: Row = ((f"  {budget.calls} calls", "dim"), *_pace(budget))
    if row_width(head + tail + calls) + 10 > width:
        tail, calls = tail[:1], ((f"  {_short(budget.tokens_spent)}/{_short(budget.tokens_cap)} tok", "dim"), *calls)
    full, empty = bar(float(used), min(24, width - row_width(head + tail + calls) - 2))
    return (*head, ("  ", ""), (full, ink), (empty, "dim"), *tail, *calls)


def _pace(budget: BudgetView) -> Row:
    """When the day's cap is reached at this pace, where it is before the day ends."""
    return ((f"  out at {clock(budget.runs_out_ms)[:5]}", "warn"),) if budget.runs_out_ms else ()


def _short(count: int) -> str:
    return f"{count // 1000}k" if count >= 10_000 else str(count)
