"""The journal's events: everything that must survive, in the order it happened.

Each class is one kind of row; KIND is its number in the store and never changes meaning. Fields hold text,
whole numbers, Decimals, enums, and tuples or values of these, so that one codec writes and reads them all.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.domain.events.asking import CycleSkipped, ModelAsked
from engine.domain.events.beside import AskedBeside, BesideDone, HoldTagged
from engine.domain.events.budget import AiSwitched, BudgetCapped, BudgetHeld, BudgetPosted
from engine.domain.events.cycles import ApprovalAsked, ApprovalClosed, CycleDone, CycleHeld, CycleItem
from engine.domain.events.governance import (
    AdminTried,
    ChangeAnswered,
    ChangeRequested,
    PolicyFileSeen,
    PolicyVersioned,
)
from engine.domain.events.keys import KeysTried
from engine.domain.events.killing import AgentWaits, KillTierMoved
from engine.domain.events.money import (
    Adjusted,
    AdjustmentKind,
    Closing,
    DifferenceClosed,
    DifferenceFound,
    DifferenceKind,
    FeePosted,
    FillCorrected,
    Reconciled,
)
from engine.domain.events.orders import Filled, OrderIntended, OrderResized, OrderShown, OrdersResolved, OrdersUpdated
from engine.domain.events.records import LaneDecided, LaneFilled, LaneOpened, SituationKept
from engine.domain.events.safety import (
    AgentChanged,
    BaselineReset,
    EntriesBlocked,
    EquityMarked,
    FlattenEnded,
    FlattenProven,
    FlattenStarted,
    FlattenStep,
    Incident,
    ProtectionAsked,
    ResidualLine,
    StateChanged,
    StopTrailed,
    VenueProof,
)
from engine.domain.events.shadows import ShadowEnd, ShadowEnded, ShadowEntered
from engine.domain.events.stores import (
    AgentRegistered,
    Checkpoint,
    EngineStarted,
    FundsMoved,
    Genesis,
    InstrumentListed,
    PolicyAdopted,
    RecordingOpened,
)

Event = (
    Genesis | InstrumentListed | AgentRegistered | PolicyAdopted | RecordingOpened | FundsMoved | EngineStarted
    | Checkpoint | CycleHeld | CycleDone | OrderIntended | OrdersUpdated | OrderResized | OrderShown | OrdersResolved
    | Filled | ApprovalAsked | ApprovalClosed | StateChanged | AgentChanged | EquityMarked | BaselineReset
    | EntriesBlocked | FlattenStarted | FlattenEnded | Incident | Adjusted | FillCorrected | FeePosted
    | DifferenceFound | DifferenceClosed | Reconciled | PolicyVersioned | ChangeRequested | ChangeAnswered | AdminTried
    | PolicyFileSeen | KillTierMoved | AgentWaits | FlattenProven | StopTrailed | ShadowEntered | ShadowEnded
    | ProtectionAsked | BudgetHeld | BudgetPosted | BudgetCapped | AiSwitched
    | ModelAsked | CycleSkipped | SituationKept | LaneOpened
    | LaneFilled | KeysTried | HoldTagged | AskedBeside | BesideDone | LaneDecided
)  # fmt: skip

EVENT_TYPES: dict[int, type] = {cls.KIND: cls for cls in Event.__args__}  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event as it stands in the journal. seq: gapless from 1."""

    seq: int
    ts_ms: int
    event: Event


__all__ = [
    "EVENT_TYPES",
    "Adjusted",
    "AdjustmentKind",
    "AdminTried",
    "AgentChanged",
    "AgentRegistered",
    "AgentWaits",
    "AiSwitched",
    "ApprovalAsked",
    "ApprovalClosed",
    "AskedBeside",
    "BaselineReset",
    "BesideDone",
    "BudgetCapped",
    "BudgetHeld",
    "BudgetPosted",
    "ChangeAnswered",
    "ChangeRequested",
    "Checkpoint",
    "Closing",
    "CycleDone",
    "CycleHeld",
    "CycleItem",
    "CycleSkipped",
    "DifferenceClosed",
    "DifferenceFound",
    "DifferenceKind",
    "EngineStarted",
    "EntriesBlocked",
    "EquityMarked",
    "Event",
    "FeePosted",
    "FillCorrected",
    "Filled",
    "FlattenEnded",
    "FlattenProven",
    "FlattenStarted",
    "FlattenStep",
    "FundsMoved",
    "Genesis",
    "HoldTagged",
    "Incident",
    "InstrumentListed",
    "KeysTried",
    "KillTierMoved",
    "LaneDecided",
    "LaneFilled",
    "LaneOpened",
    "ModelAsked",
    "OrderIntended",
    "OrderResized",
    "OrderShown",
    "OrdersResolved",
    "OrdersUpdated",
    "PolicyAdopted",
    "PolicyFileSeen",
    "PolicyVersioned",
    "ProtectionAsked",
    "Reconciled",
    "Recorded",
    "RecordingOpened",
    "ResidualLine",
    "ShadowEnd",
    "ShadowEnded",
    "ShadowEntered",
    "SituationKept",
    "StateChanged",
    "StopTrailed",
    "VenueProof",
]
