"""How events change the spend book: each returns the book after it, or refuses what may not have happened.

A hold above a cap, a cost that does not follow from its tokens and rates, a hold posted twice: StoreError. So none can
be written, and `verify` finds one in a journal that was tampered with (B1, B2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from engine.domain.budget import NOTHING, PURPOSE, AiOff, HowPosted, OpenHold, SpendBook, Tally, scopes_of
from engine.domain.events.beside import HoldTagged
from engine.domain.events.budget import AiSwitched, BudgetCapped, BudgetHeld, BudgetPosted
from engine.domain.money import plain
from engine.errors import StoreError

SpendingEvent = BudgetHeld | BudgetPosted | BudgetCapped | AiSwitched | HoldTagged


def after(book: SpendBook, ts_ms: int, event: SpendingEvent) -> SpendBook:
    """Return the book after an event."""
    return SPENDING[type(event)](book, ts_ms, event)


def after_held(book: SpendBook, ts_ms: int, event: BudgetHeld) -> SpendBook:
    """Return the book with one more hold in it."""
    book = book.rolled(ts_ms)
    tokens = event.input_tokens + event.output_tokens_max
    wrong = _wrong_hold(book, ts_ms, event, tokens)
    if wrong:
        raise StoreError(f"the hold {event.hold_id} cannot be: {wrong}")
    hold = OpenHold(
        hold_id=event.hold_id,
        provider=event.provider,
        model=event.model,
        agent=event.agent,
        cycle_id=event.cycle_id,
        usd=event.usd,
        tokens=tokens,
        rates=event.rates,
        day=book.day,
        month=book.month,
        held_ms=ts_ms,
    )
    holds = {**book.holds, event.hold_id: hold}
    return replace(book, holds=holds, made=book.made + 1, first_ms=book.first_ms or ts_ms)


def _wrong_hold(book: SpendBook, ts_ms: int, event: BudgetHeld, tokens: int) -> str:
    if not (event.input_tokens > 0 and event.output_tokens_max > 0 and event.hold_id not in book.holds):
        return "it has no tokens, or is there already."
    if event.usd != event.rates.worst(event.input_tokens, event.output_tokens_max):
        return f"{plain(event.usd)} USD is not the worst case of its tokens."
    off = book.why_off(event.provider, ts_ms)
    if off is not None:
        return f"models are off: {off.reason}"
    over = book.over(book.caps, event.provider, event.agent, event.usd, tokens)
    return str(over) if over is not None else ""


def after_tagged(book: SpendBook, ts_ms: int, event: HoldTagged) -> SpendBook:
    """Return the book with a hold's purpose in it."""
    hold = book.holds.get(event.hold_id)
    if hold is None or hold.purpose is not None:
        raise StoreError(f"the hold {event.hold_id} is not open, or has a purpose already.")
    return replace(book, holds={**book.holds, event.hold_id: replace(hold, purpose=event.purpose)})


def after_posted(book: SpendBook, ts_ms: int, event: BudgetPosted) -> SpendBook:
    """Return the book with a hold's cost in the hold's place. The windows are those it was made in."""
    hold = book.holds.get(event.hold_id)
    if hold is None:
        raise StoreError(f"the hold {event.hold_id} is not open, so nothing can be posted to it.")
    usd, tokens = charge(hold, event)
    if event.usd != usd:
        raise StoreError(f"the hold {event.hold_id} was posted at {plain(event.usd)} USD, not at {plain(usd)}.")
    holds = {key: each for key, each in book.holds.items() if key != event.hold_id}
    decides = hold.purpose is None
    cost = Tally(usd, tokens, 1, int(decides and book.cycle_of.get(hold.agent) != hold.cycle_id))
    over = usd > hold.usd or tokens > hold.tokens
    return replace(
        book,
        holds=holds,
        daily=_added(book.daily, hold, cost) if hold.day == book.day else book.daily,
        monthly=_added(book.monthly, hold, cost) if hold.month == book.month else book.monthly,
        total=_sum(book.total, cost),
        cycle_of={**book.cycle_of, hold.agent: hold.cycle_id} if decides else book.cycle_of,
        overruns=book.overruns + over,
    )


def charge(hold: OpenHold, event: BudgetPosted) -> tuple[Decimal, int]:
    """Return what posting a hold costs, USD and tokens: by its usage, or all of it."""
    if event.how is not HowPosted.USAGE:
        return hold.usd, hold.tokens
    usd = hold.rates.cost(event.input_tokens, event.output_tokens, event.cached_tokens)
    return usd, event.input_tokens + event.output_tokens


def after_capped(book: SpendBook, ts_ms: int, event: BudgetCapped) -> SpendBook:
    """Return the book with other caps; what is held stays held."""
    return replace(book, caps=event.caps)


def after_switched(book: SpendBook, ts_ms: int, event: AiSwitched) -> SpendBook:
    """Return the book with models on or off.

    By switching on, a person has also seen a clock that was set back: the windows are its own again, with what they
    hold.
    """
    off = {key: each for key, each in book.off.items() if key != event.provider and (event.provider or not event.on)}
    if not event.on:
        off[event.provider] = AiOff(event.reason, event.actor, ts_ms, event.until_ms)
        return replace(book, off=off)
    return _moved_back(replace(book, off=off), ts_ms)


def _moved_back(book: SpendBook, ts_ms: int) -> SpendBook:
    now = SpendBook().rolled(ts_ms)
    day, month = min(book.day, now.day), min(book.month, now.month)
    if (day, month) == (book.day, book.month):
        return book
    holds = {
        key: replace(hold, day=min(hold.day, day), month=min(hold.month, month)) for key, hold in book.holds.items()
    }
    return replace(book, day=day, month=month, holds=holds)


def _added(tallies: Mapping[str, Tally], hold: OpenHold, cost: Tally) -> dict[str, Tally]:
    beside = () if hold.purpose is None else (f"{PURPOSE}:{hold.purpose.value}",)
    scopes = (*scopes_of(hold.provider, hold.agent), *beside)
    added = {scope: _sum(tallies.get(scope, NOTHING), cost) for scope in scopes}
    return {**tallies, **added}


def _sum(one: Tally, other: Tally) -> Tally:
    return Tally(one.usd + other.usd, one.tokens + other.tokens, one.calls + other.calls, one.cycles + other.cycles)


SPENDING: Mapping[type, Callable[[SpendBook, int, Any], SpendBook]] = {
    BudgetHeld: after_held,
    HoldTagged: after_tagged,
    BudgetPosted: after_posted,
    BudgetCapped: after_capped,
    AiSwitched: after_switched,
}
