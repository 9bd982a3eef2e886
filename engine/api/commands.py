"""What a user interface may ask of the engine; everything here the command line can ask as well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from engine.domain.order import OrderType, Side

EQUITY_UNIT = "%"
"""The unit of a ticket whose quantity is a share of equity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Stop all new exposure at once; needs no confirmation."""

    actor: str = "trader"
    reason: str = "halted by the trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Let trading go on; needs a typed reason (R17)."""

    reason: str
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelAll:
    """Cancel every working order that is not protection; include_protection cancels those too."""

    include_protection: bool = False
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flatten:
    """Halt, cancel, close every position, and certify it."""

    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """Approve one waiting trade by the code its card shows; single use."""

    approval_id: str
    code: str
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """Reject one waiting trade."""

    approval_id: str
    note: str = ""
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolve:
    """Say what became of an order in doubt (R10). client_order_id: or how it begins, where only one does.

    assume: not-sent or canceled. Without a reason nothing is done, and the answer says what would be assumed.
    """

    client_order_id: str
    assume: str
    reason: str = ""
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unblock:
    """Let an instrument be entered again that an order which came back to life holds up (E04); needs a reason."""

    instrument: str
    reason: str = ""
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Protect:
    """Say where the stop and the target of a position of `external` or of the trader belong, in quote (R16).

    agent: whose, "" the one of the two who holds it. None: as it is. stop_frac, target_frac: in place of a price, its
    distance from the average entry. bare: the position is to stand without either, and is not called unprotected any
    more.
    """

    instrument: str
    agent: str = ""
    stop: Decimal | None = None
    target: Decimal | None = None
    stop_frac: Decimal | None = None
    target_frac: Decimal | None = None
    bare: bool = False
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainDifference:
    """Account for a difference with the venue as it is; the ledger does not change. Needs a note."""

    difference_id: str
    note: str
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveDifference:
    """Let the ledger follow the venue in one difference. Needs a note.

    entry: what it was (deposit, withdrawal, dust, funding, interest, airdrop, staking, external, other); "" where an
    instrument is meant is external. price: of one unit in account currency, None: the last one known.
    """

    difference_id: str
    note: str
    entry: str = ""
    price: Decimal | None = None
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchAi:
    """Let models be asked, or not; needs a typed reason. provider: one of them, "" for all."""

    on: bool
    reason: str
    provider: str = ""
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class AskAgain:
    """Ask a language model a recorded cycle's question again; nothing of it is traded.

    model: "provider:model". usd_max: what the trader agreed to; None: nothing is asked, and the answer says what it
    would cost at most.
    """

    cycle_id: str
    model: str
    usd_max: Decimal | None = None
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentControl:
    """Start, pause, resume or stop one agent. action: one of those words."""

    agent: str
    action: str
    reason: str = ""
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A manual trade. limit_price for LIMIT, trigger_price for STOP.

    stop_frac and target_frac attach protection as shares of the entry, stop_price and target_price as prices; one of
    the two at most for each, neither: none.

    unit: what qty counts: "" or the base asset: units of base; the quote asset: that much of it; EQUITY_UNIT: a share
    of equity, 0.02 for 2 %. The engine turns it into whole steps of base at the order's price.
    """

    instrument: str
    side: Side
    order_type: OrderType
    qty: Decimal
    limit_price: Decimal | None = None
    stop_frac: Decimal | None = None
    target_frac: Decimal | None = None
    unit: str = ""
    trigger_price: Decimal | None = None
    stop_price: Decimal | None = None
    target_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewTicket:
    """Ask what the guardrails say to a ticket, sending nothing."""

    ticket: Ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitTicket:
    """Send a ticket through the guardrails; preview_id: from the preview the trader saw (R26)."""

    ticket: Ticket
    preview_id: str
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposeChange:
    """Ask for other values of the policy (R24). changes: field -> value as the policy file writes it.

    What tightens applies at once, what loosens waits for the admin. via: trader (the console) or cli.
    """

    changes: Mapping[str, str]
    reason: str
    via: str = "trader"
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveChange:
    """Let a waiting change of the policy take effect. code: as its card shows it, for exactly this change."""

    request_id: str
    code: str
    passphrase: str = field(repr=False)
    note: str = ""
    actor: str = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectChange:
    """Reject a waiting change of the policy, an approved one that cools off too."""

    request_id: str
    passphrase: str = field(repr=False)
    note: str = ""
    actor: str = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPassphrase:
    """Set the admin's passphrase. old: the present one, "" where there is none."""

    old: str = field(repr=False)
    new: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlockKeys:
    """Open the key file with its passphrase; it stays open until the engine ends."""

    passphrase: str = field(repr=False)
    actor: str = "trader"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackUp:
    """Make a proven copy of the store. to: the folder it goes into, "" for the store's own backups."""

    to: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Read from the store: decisions, orders, fills, positions, explain, agents, status... args are texts."""

    name: str
    args: Mapping[str, str] = field(default_factory=dict)
