"""All that a user interface may see of the engine: values, commands, and one protocol.

Texts that a model, the news or a venue wrote arrive here as plain str and are drawn as Content, never as markup
(R29). Money is Decimal; times are UTC milliseconds; a field is None when the value is not known.
"""

from __future__ import annotations

from typing import Protocol

from engine.api.commands import (
    EQUITY_UNIT,
    AgentControl,
    Approve,
    ApproveChange,
    ApproveDifference,
    AskAgain,
    BackUp,
    CancelAll,
    ExplainDifference,
    Flatten,
    Halt,
    PreviewTicket,
    ProposeChange,
    Protect,
    Query,
    Reject,
    RejectChange,
    Resolve,
    Resume,
    SetPassphrase,
    SubmitTicket,
    SwitchAi,
    Ticket,
    Unblock,
    UnlockKeys,
)
from engine.api.views import (
    AgentView,
    ApprovalView,
    BudgetView,
    CertificateView,
    ChangeView,
    DifferenceView,
    DrillView,
    EventBatch,
    KeysView,
    KillGauge,
    MarketView,
    OrderView,
    PolicyView,
    PositionView,
    Reply,
    Snapshot,
    StreamLine,
    TicketPreview,
    TradeEffect,
)
from engine.domain.agent import AgentStatus
from engine.domain.decision import Direction, Disposition, describe_action
from engine.domain.governance import PolicyChange, Sense
from engine.domain.intent import Autonomy, Mode
from engine.domain.killing import KillTier, KillUnit
from engine.domain.market import SourceKind
from engine.domain.money import AmountError, amount, frac, percent, plain
from engine.domain.order import OrderRole, OrderStatus, OrderType, Side
from engine.domain.policy import TradingState
from engine.domain.risk import CheckCode, RiskCheck, Verdict

API_VERSION = 1


Command = (
    Halt | Resume | CancelAll | Flatten | Approve | Reject | Resolve | Unblock | ExplainDifference | ApproveDifference
    | AgentControl | PreviewTicket | SubmitTicket | BackUp | Query | ProposeChange | ApproveChange | RejectChange
    | SetPassphrase | SwitchAi | UnlockKeys | AskAgain | Protect
)  # fmt: skip


class EngineClient(Protocol):
    """The boundary: the same in one process and over a socket."""

    async def snapshot(self) -> Snapshot:
        """Return the newest snapshot; never waits for the engine's work in hand."""
        ...

    async def events(self, since: int) -> EventBatch:
        """Return stream lines after a journal seq."""
        ...

    async def send(self, command: Command) -> Reply:
        """Carry a command out and return its answer. PreviewTicket answers with data = TicketPreview."""
        ...

    def halt_now(self) -> None:
        """Latch HALTED in memory at once, from any thread; the Halt command then makes it durable."""
        ...


__all__ = [
    "API_VERSION", "EQUITY_UNIT", "AgentControl", "AgentStatus", "AgentView", "AmountError", "ApprovalView",
    "Approve", "ApproveChange", "ApproveDifference", "AskAgain", "Autonomy", "BackUp", "BudgetView", "CancelAll",
    "CertificateView", "ChangeView", "CheckCode", "Command", "DifferenceView", "Direction", "Disposition", "DrillView",
    "EngineClient", "EventBatch", "ExplainDifference", "Flatten", "Halt", "KeysView", "KillGauge", "KillTier",
    "KillUnit", "MarketView", "Mode",
    "OrderRole", "OrderStatus", "OrderType", "OrderView", "PolicyChange", "PolicyView", "PositionView",
    "PreviewTicket", "ProposeChange", "Protect", "Query", "Reject", "RejectChange", "Reply", "Resolve", "Resume",
    "RiskCheck", "Sense", "SetPassphrase", "Side", "Snapshot", "SourceKind", "StreamLine", "SubmitTicket", "SwitchAi",
    "Ticket", "TicketPreview", "TradeEffect", "TradingState", "Unblock", "UnlockKeys", "Verdict", "amount",
    "describe_action", "frac", "percent", "plain",
]  # fmt: skip
