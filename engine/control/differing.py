"""The trader's word on what differs between the venue and the ledger: accounted for as it is, or followed (R14, L8).

Approving a balance makes an entry that says what it was: a deposit or withdrawal moves the baselines, anything else is
a result. What the venue holds more of an instrument becomes `external`; what it holds less is taken from `external`
first, then from the agents by what they hold. Neither is a trade, and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from engine.api import ApproveDifference, ExplainDifference
from engine.control.core import Core
from engine.domain.agent import EXTERNAL
from engine.domain.books import Books
from engine.domain.decision import AnsweredBy, Direction, Disposition, Outcome
from engine.domain.events import (
    Adjusted,
    AdjustmentKind,
    Closing,
    CycleDone,
    CycleItem,
    DifferenceFound,
    DifferenceKind,
    Event,
    FundsMoved,
    OrderIntended,
    OrdersUpdated,
)
from engine.domain.instrument import Instrument
from engine.domain.money import ONE, ZERO, cost_share, plain
from engine.domain.order import OrderRole, OrderStatus, Side
from engine.domain.portfolio import Position
from engine.errors import RefusedError
from engine.execution.differences import Findings, closed, instrument_of
from engine.execution.gateway import VenueOrder
from engine.ids import cycle_id

FUNDS = ("deposit", "withdrawal")
ENTRIES = (*FUNDS, *(kind.value.lower() for kind in AdjustmentKind))


@dataclass(frozen=True, slots=True)
class _Word:
    """What the trader said, checked. entry: one of ENTRIES. price: of one unit in account currency."""

    found: DifferenceFound
    actor: str
    note: str
    entry: str = ""
    price: Decimal = ONE

    @property
    def amount(self) -> Decimal:
        """What the venue holds more (> 0) or less."""
        return self.found.venue - self.found.ours


def explain(core: Core, command: ExplainDifference) -> str:
    """Account for a difference without any entry; it may stay as it is. Returns a sentence."""
    found, note = _open(core.books, command.difference_id), _note(command.note)
    word = _Word(found, command.actor, note)
    core.journal.record(_now(core), *_decision(core, word), closed(found, Closing.EXPLAINED, note, command.actor))
    return f"Explained: {found.detail}. It holds up nothing while it stays as it is; the ledger has not changed."


async def approve(core: Core, command: ApproveDifference) -> str:
    """Let the ledger follow the venue in one difference, as it was shown. Returns a sentence."""
    found, note = _open(core.books, command.difference_id), _note(command.note)
    word = _Word(found, command.actor, note)
    if found.kind is DifferenceKind.EXTERNAL_ORDER:
        raise RefusedError("A foreign order is never adopted; explain it, or cancel it at the venue.")
    if found.asset:
        await _require_unchanged(core, found)
        word = _Word(found, command.actor, note, *_entry(core, found, command))
        events = [*_entries(core, word)]
    elif found.kind is DifferenceKind.LOST_ORDER:
        events = [*_adopted(await _shown(core, found), word)]
    else:
        events = [*_decision(core, word)]
    core.journal.record(_now(core), *events, closed(found, Closing.APPROVED, note, command.actor))
    return f"Approved: {found.detail}{f', as {word.entry}' if word.entry else ''}."


def _open(books: Books, difference_id: str) -> DifferenceFound:
    found = books.differences.get(difference_id)
    if found is None:
        known = ", ".join(books.differences) or "none"
        raise RefusedError(f"No difference {difference_id!r} is open; those that are: {known}.")
    return found


def _note(note: str) -> str:
    if not note.strip():
        raise RefusedError("Nothing done: write a note, it goes into the journal.")
    return note.strip()[:300]


def _now(core: Core) -> int:
    return core.desk.clock.now_ms()


async def _require_unchanged(core: Core, found: DifferenceFound) -> None:
    """Refuse what is no longer as it was shown; the new figures go on record."""
    core.desk.router.pump()
    venue = (await core.gateway.balances()).get(found.asset, ZERO)
    ours = core.books.balances.get(found.asset, ZERO)
    if (ours, venue) == (found.ours, found.venue):
        return
    if ours == venue:
        gone = closed(found, Closing.GONE, "the venue does not show it any more")
        core.journal.record(_now(core), gone)
        raise RefusedError(f"Not approved: {found.asset} does not differ any more.")
    core.journal.record(_now(core), *Findings(core.books).balance(found.asset, ours, venue))
    raise RefusedError(
        f"Not approved: the venue now holds {plain(venue)} {found.asset} and our entries add up to {plain(ours)}; "
        "look again."
    )


def _entry(core: Core, found: DifferenceFound, command: ApproveDifference) -> tuple[str, Decimal]:
    """Return what the difference is booked as, and the price of one unit in account currency."""
    entry = command.entry.strip().lower()
    if not entry and found.kind is DifferenceKind.EXTERNAL_POSITION:
        entry = AdjustmentKind.EXTERNAL.value.lower()
    if entry not in ENTRIES:
        raise RefusedError(f"Say what the difference in {found.asset} was: {', '.join(ENTRIES)}.")
    if entry in FUNDS and (found.venue > found.ours) != (entry == "deposit"):
        raise RefusedError(f"The venue holds {plain(found.venue)} and we {plain(found.ours)}: that is no {entry}.")
    valuation = core.desk.surroundings.valuation
    if valuation.is_money(found.asset):
        return entry, ONE
    listed = instrument_of(core.books, found.asset)
    if listed is None or not valuation.is_money(listed.quote):
        raise RefusedError(f"Nothing here values {found.asset}, so it cannot be booked; explain it instead.")
    price = command.price or valuation.price(listed.key)
    if price is None or not price > 0:
        raise RefusedError(f"No price of {found.asset} is known here; give the price of one with the command.")
    return entry, price


def _entries(core: Core, word: _Word) -> Iterator[Event]:
    found, amount = word.found, word.amount
    listed = instrument_of(core.books, found.asset)
    if listed is None or core.desk.surroundings.valuation.is_money(found.asset):
        yield _booked(word, amount, amount)
    elif amount > 0:
        yield _booked(word, amount, amount * word.price, listed)
        yield from _decision(core, word)
    else:
        yield from _taken(core, word, listed)


def _booked(word: _Word, amount: Decimal, value: Decimal, listed: Instrument | None = None) -> Event:
    if word.entry in FUNDS:
        return FundsMoved(asset=word.found.asset, amount=amount, value=value, reason=f"{word.entry}: {word.note}")
    return _adjusted(word, amount, value, EXTERNAL if listed else "", listed)


def _adjusted(word: _Word, amount: Decimal, value: Decimal, agent: str, listed: Instrument | None) -> Adjusted:
    kind = AdjustmentKind.EXTERNAL if word.entry in FUNDS else AdjustmentKind(word.entry.upper())
    return Adjusted(
        kind=kind, asset=word.found.asset, amount=amount, value=value, agent=agent, actor=word.actor, note=word.note,
        instrument=listed.key if listed else "", difference_id=word.found.difference_id,
    )  # fmt: skip


def _taken(core: Core, word: _Word, listed: Instrument) -> Iterator[Event]:
    """Take what is not there any more out of the positions, at cost; a withdrawal leaves by way of `external`."""
    for agent, qty, cost in shares(core.books, listed.base, -word.amount):
        if word.entry not in FUNDS:
            yield _adjusted(word, -qty, -cost, agent, listed)
        elif agent != EXTERNAL:
            yield _adjusted(word, -qty, -cost, agent, listed)
            yield _adjusted(word, qty, cost, EXTERNAL, listed)
    if word.entry in FUNDS:
        yield _booked(word, word.amount, word.amount * word.price, listed)


def shares(books: Books, base: str, missing: Decimal) -> list[tuple[str, Decimal, Decimal]]:
    """Split a missing quantity over those who hold it, `external` first, then pro rata: (agent, qty, cost)."""
    mine = [p for p in books.open_positions() if p.qty > 0 and books.instruments[p.instrument].base == base]
    first = [p for p in mine if p.agent == EXTERNAL]
    rest = sorted((p for p in mine if p.agent != EXTERNAL), key=lambda p: p.agent)
    out: list[tuple[str, Decimal, Decimal]] = []
    for group in (first, rest):
        held = sum((p.qty for p in group), ZERO)
        wanted = min(missing, held)
        for place, position in enumerate(group):
            left = wanted if place == len(group) - 1 else cost_share(wanted, position.qty, held)
            held, wanted, missing = held - position.qty, wanted - left, missing - left
            if left:
                out.append((position.agent, left, cost_share(position.cost, left, position.qty)))
    return [*out, (EXTERNAL, missing, ZERO)] if missing else out


async def _shown(core: Core, found: DifferenceFound) -> VenueOrder:
    shown = await core.gateway.find(found.subject)
    if shown is None or not shown.status.is_working:
        raise RefusedError(f"Not adopted: order {found.subject} works no more; it is gone with the next look.")
    return shown


def _adopted(shown: VenueOrder, word: _Word) -> Iterator[Event]:
    """Take an order into the journal as one of `external`: what of it is still open."""
    role = OrderRole.ENTRY if shown.side is Side.BUY else OrderRole.EXIT
    yield OrderIntended(
        intent_id=f"adopted:{shown.client_order_id}", client_order_id=shown.client_order_id, cycle_id="",
        agent=EXTERNAL, instrument=shown.instrument, role=role, side=shown.side, order_type=shown.order_type,
        qty=shown.qty - shown.filled_qty, price=shown.limit_price or shown.stop_price or ZERO,
        limit_price=shown.limit_price, trigger_price=shown.stop_price,
    )  # fmt: skip
    reason = f"adopted by {word.actor}"
    yield OrdersUpdated(client_order_ids=(shown.client_order_id,), status=OrderStatus.OPEN, reason=reason)


def _decision(core: Core, word: _Word) -> Iterator[Event]:
    """Yield the decision that stands behind a position no order of ours explains, for those who look back on it."""
    found = word.found
    if found.kind is not DifferenceKind.EXTERNAL_POSITION:
        return
    now_ms, amount = _now(core), word.amount
    held = core.books.position(EXTERNAL, found.instrument)
    before = held.qty if found.asset else held.qty - amount  # foreign fills are booked already
    if found.asset and not word.entry:
        return  # explained: it stays outside of the books
    item = _item(core, held, before, amount, f"{found.detail}; {word.note}", now_ms)
    yield CycleDone(
        cycle_id=cycle_id(EXTERNAL, now_ms), agent=EXTERNAL, trigger="recovered", model=word.actor,
        outcome=Outcome.DECIDED, answered_by=AnsweredBy.LIVE, detail=found.difference_id, items=(item,),
    )  # fmt: skip


def _item(core: Core, held: Position, before: Decimal, amount: Decimal, why: str, now_ms: int) -> CycleItem:
    mark = core.desk.surroundings.valuation.marks.get(held.instrument)
    return CycleItem(
        instrument=held.instrument,
        direction=Direction.BUY if amount > 0 else Direction.SELL,
        disposition=Disposition.ACTED,
        current_qty=before,
        target_qty=before + amount,
        confidence=None,
        price=mark.price if mark else None,
        price_ms=mark.ts_ms if mark else now_ms,
        rationale=why[:500],
        features="",
        bound_by="",
        checks=(),
    )
