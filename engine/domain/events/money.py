"""Events of money that no order explains: adjustments, corrections, differences with the venue."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from engine.domain.order import Fill


class AdjustmentKind(StrEnum):
    """What a person says a difference with the venue was."""

    DUST = "DUST"
    FUNDING = "FUNDING"
    INTEREST = "INTEREST"
    AIRDROP = "AIRDROP"
    STAKING = "STAKING"
    EXTERNAL = "EXTERNAL"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjusted:
    """The ledger follows the venue in one asset, by a person's word (L8, E34); a result, unlike FundsMoved.

    amount: signed. value: what it counts for in account currency; a position takes it as cost. agent, instrument: the
    position that changes, "" where the asset is money. difference_id: what it settles, "" for none.
    """

    KIND: ClassVar[int] = 60
    kind: AdjustmentKind
    asset: str
    amount: Decimal
    value: Decimal
    agent: str
    instrument: str
    difference_id: str
    actor: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FillCorrected:
    """The venue took a fill back (now has no quantity) or changed it: a reversing entry, never a deletion (E14).

    was: the fill as it stood in our books, now: as it stands from here on; both of the same trade.
    """

    KIND: ClassVar[int] = 61
    agent: str
    was: Fill
    now: Fill
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeePosted:
    """The venue named the fee of a fill that came without one, fee_asset "" (E36). fill: as it came."""

    KIND: ClassVar[int] = 62
    agent: str
    fill: Fill
    fee: Decimal
    fee_asset: str


class DifferenceKind(StrEnum):
    """How the venue can differ from the journal.

    EXTERNAL_ORDER: it works an order that is not ours. LOST_ORDER: one with our mark that the journal does not know.
    EXTERNAL_POSITION: it holds more or less of an instrument than our fills add up to, or fills not ours changed it.
    MISSED_FILL: a fill of ours we had not been told of. MISSING_ORDER: it does not know an order it had taken.
    BALANCE_DRIFT: it holds more or less of an asset that is no instrument's base.
    """

    EXTERNAL_ORDER = "EXTERNAL_ORDER"
    LOST_ORDER = "LOST_ORDER"
    EXTERNAL_POSITION = "EXTERNAL_POSITION"
    MISSED_FILL = "MISSED_FILL"
    MISSING_ORDER = "MISSING_ORDER"
    BALANCE_DRIFT = "BALANCE_DRIFT"


class Closing(StrEnum):
    """How a difference ended: accounted for as it is, followed by the ledger, or no longer there."""

    EXPLAINED = "EXPLAINED"
    APPROVED = "APPROVED"
    GONE = "GONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceFound:
    """Venue and journal differ (R14). The same id again: it is still open, and its figures moved.

    subject: the order, trade or asset it is about, or the instrument of fills not ours. instrument: whose entries it
    holds up, "" for all. asset: set where approving it makes an entry. ours, venue: quantities.
    """

    KIND: ClassVar[int] = 63
    difference_id: str
    kind: DifferenceKind
    subject: str
    instrument: str
    asset: str
    ours: Decimal
    venue: Decimal
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DifferenceClosed:
    """A difference was explained, approved, or is gone; by whom, and with what note."""

    KIND: ClassVar[int] = 64
    difference_id: str
    how: Closing
    actor: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """All fills that the venue had booked by an instant are in this journal; the next start asks from there on."""

    KIND: ClassVar[int] = 69
    upto_ms: int
