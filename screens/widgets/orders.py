"""What waits: trades for an answer, orders for the market."""

from __future__ import annotations

from engine.api import ApprovalView, OrderView
from screens.format import age, countdown, price, qty, safe, symbol
from screens.model import ConsoleModel
from screens.rows import Column, Row, table_row
from screens.widgets.pane import Pane

COLUMNS = (
    Column(title="ROLE", width=7),
    Column(title="ORDER", width=18, grow=8),
    Column(title="PRICE", width=10, right=True),
    Column(title="STATUS", width=7, keep=6),
    Column(title="AGENT", width=10, keep=4),
    Column(title="AGE", width=6, right=True, keep=5),
)
STATUS = {"PARTIALLY_FILLED": "PARTIAL", "INTENT_RECORDED": "NEW", "CANCEL_PENDING": "CANCEL…", "SUBMITTING": "SENDING"}


class OrdersPane(Pane):
    """Approvals first: they run out."""

    TITLE = "Orders and approvals"
    CURSOR = True

    def show(self, model: ConsoleModel) -> None:
        """Draw the newest snapshot."""
        snapshot = model.snapshot
        if snapshot is None:
            self.fill((), f"{self.TITLE} · starting…")
            return
        waiting, working = len(snapshot.approvals), len(snapshot.orders)
        changes = len(snapshot.policy.changes) if snapshot.policy else 0
        words = [f"{waiting} to approve: a"] * (waiting > 0) + [f"{changes} policy: g"] * (changes > 0)
        words += [f"{working} working"] * (working > 0)  # last: a narrow title loses its end
        self.fill(
            (*snapshot.approvals, *snapshot.orders), " · ".join(["Orders", *words]) if words else f"{self.TITLE} · none"
        )

    def key(self, item: ApprovalView | OrderView) -> object:
        return item.approval_id if isinstance(item, ApprovalView) else item.client_order_id

    def row(self, item: ApprovalView | OrderView, width: int) -> Row:
        cells = _approval(item) if isinstance(item, ApprovalView) else _order(item)
        return table_row(COLUMNS, cells, width)


def _approval(item: ApprovalView) -> tuple[tuple[str, str], ...]:
    return (
        ("APPROVE", "warn"),
        (f"{item.side.value} {qty(item.qty)} {safe(symbol(item.instrument), 16)}", "strong"),
        (price(item.limit_price or item.price), ""),
        ("WAITING", "warn"),
        (safe(item.agent, 16), ""),
        (countdown(item.expires_in_ms), "warn"),
    )


def _order(item: OrderView) -> tuple[tuple[str, str], ...]:
    status = item.status.value
    done = f"{qty(item.filled_qty)}/" if item.filled_qty else ""
    return (
        (item.role.value, "dim" if item.role.is_protection else ""),
        (f"{item.side.value} {done}{qty(item.qty)} {safe(symbol(item.instrument), 16)}", ""),
        (price(item.stop_price or item.limit_price) if item.stop_price or item.limit_price else "market", ""),
        (STATUS.get(status, status), "danger" if status == "UNKNOWN" else "dim"),
        (safe(item.agent, 16), ""),
        (age(item.age_ms), "dim"),
    )
