"""Do what the kill switch says: warn, turn entries off, halt, flatten; and let entries go on again (R17, R18)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from engine.domain.events import Incident, KillTierMoved, StateChanged
from engine.domain.killing import KILL_SWITCH, KillTier
from engine.domain.money import kept
from engine.domain.policy import TradingState
from engine.errors import StoreError
from engine.risk.killswitch import EQUITY_UNKNOWN, Trip

if TYPE_CHECKING:
    from engine.control.core import Core

MARKS_NAMED = 8
EVIDENCE_CHARACTERS_MAX = 900


async def act(core: Core, trips: tuple[Trip, ...]) -> None:
    """Do what the rules that moved ask for, the strongest first: a halt is latched before anything is written."""
    inputs = provenance(core)
    for trip in sorted(trips, key=lambda each: -each.tier.rank):
        evidence = f"{trip.evidence};{inputs}".strip(";")[:EVIDENCE_CHARACTERS_MAX]
        tier = trip.tier
        if trip.is_up and tier.is_latched:
            tier = await _stop(core, trip, evidence)
        if trip.rule != EQUITY_UNKNOWN and tier is not trip.was:
            _note(core, trip, tier, evidence)
    _settle(core, trips, inputs)


async def _stop(core: Core, trip: Trip, evidence: str) -> KillTier:
    """Halt, and flatten if that is the tier, halted already or not; return the tier that was reached.

    A rule that finds nothing to flatten, or a flatten under way, only halts: should there be something later, it
    flattens then.
    """
    reason = f"kill switch: {trip.sentence}"
    newly = await core.halt(KILL_SWITCH, reason, evidence)
    if trip.tier is not KillTier.FLATTEN:
        return trip.tier
    if core.flattening.is_under_way or not (newly or _holds_something(core)):
        return KillTier.HALT
    if not newly:
        with suppress(StoreError):  # a flatten that is due waits for no disk (R19)
            said = Incident(code="KILL_SWITCH", text=f"{reason}; {evidence}"[:300])
            core.journal.record(core.desk.clock.now_ms(), said)
    await core.start_flatten(KILL_SWITCH, reason)
    return KillTier.FLATTEN


def _holds_something(core: Core) -> bool:
    return any(not core.books.is_dust(position) for position in core.books.open_positions())


def _note(core: Core, trip: Trip, tier: KillTier, evidence: str) -> None:
    """Write a move down, and let it stand; what cannot be written is found again at the next mark."""
    moved = KillTierMoved(
        rule=trip.rule, was=trip.was, tier=tier, observed=kept(trip.observed), limit=kept(trip.limit), evidence=evidence
    )
    with suppress(StoreError):
        core.journal.record(core.desk.clock.now_ms(), moved)
        core.watch.kill.take(trip.rule, tier)


def _settle(core: Core, trips: tuple[Trip, ...], inputs: str) -> None:
    """Turn entries off while a rule says so, and on again when none does any more. HALTED is never left here (R17)."""
    books = core.books
    off = any(tier.rank >= KillTier.REDUCE.rank for tier in core.watch.kill.tiers.values())
    by_us = books.state is TradingState.REDUCING and books.state_actor == KILL_SWITCH
    if off and books.state is TradingState.ACTIVE and not core.latch.halted:
        why, state = next((trip for trip in trips if trip.is_up), trips[0]), TradingState.REDUCING
    elif not off and by_us:
        why, state = trips[0], TradingState.ACTIVE
    else:
        return
    evidence = f"{why.evidence};{inputs}".strip(";")[:EVIDENCE_CHARACTERS_MAX]
    reason = f"kill switch: {why.sentence}"
    core.journal.record(
        core.desk.clock.now_ms(), StateChanged(state=state, actor=KILL_SWITCH, reason=reason, evidence=evidence)
    )


def provenance(core: Core) -> str:
    """Name the source, and each price the account is valued by, with when it was true and where it came from."""
    marks = core.desk.surroundings.valuation.marks
    held = sorted({position.instrument for position in core.books.open_positions()})
    named = [f"{key}={marks[key].price}@{marks[key].ts_ms} {marks[key].source.label}" for key in held if key in marks]
    more = [f"and {len(named) - MARKS_NAMED} more"] if len(named) > MARKS_NAMED else []
    return ";".join([f"source={core.source.label}", *named[:MARKS_NAMED], *more])
