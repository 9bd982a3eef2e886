"""Rejected trades that are still followed: part of the books, so that a restart goes on with them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from engine.domain.events import ApprovalAsked, ApprovalClosed, ShadowEnded, ShadowEntered

REJECTED = "rejected"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """One rejected trade. since_ms: when it was rejected. entered: how it would have filled; None: not yet."""

    asked: ApprovalAsked
    since_ms: int
    entered: ShadowEntered | None = None


@dataclass(slots=True)
class Shadows:
    """Those that have not ended, by approval id."""

    open: dict[str, Shadow] = field(default_factory=dict)

    def reject(self, ts_ms: int, asked: ApprovalAsked | None, event: ApprovalClosed) -> None:
        """Begin to follow a trade, if it was rejected by a person; one that expired or was refused is not followed."""
        if asked is not None and event.answer == REJECTED:
            self.open[event.approval_id] = Shadow(asked=asked, since_ms=ts_ms)

    def take(self, event: ShadowEntered | ShadowEnded) -> None:
        """Take a step of one in."""
        shadow = self.open.pop(event.approval_id, None)
        if shadow is not None and isinstance(event, ShadowEntered):
            self.open[event.approval_id] = replace(shadow, entered=event)
