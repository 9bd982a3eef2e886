"""The meter every paid call runs through: reserve the worst case, durably; then post what it cost (R25, B1-B6).

One attempt, one hold: a retry holds again. The caps are checked against the books right before the row is written,
with nothing in between that could let another agent in, and the row itself cannot be written above them
(engine/domain/spending.py). What is held and never posted is posted in full by the next start.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from engine.clock import Clock
from engine.domain.budget import Caps, HowPosted, OpenHold, Purpose
from engine.domain.events import AiSwitched, BudgetCapped, BudgetHeld, BudgetPosted, Event, HoldTagged, Incident
from engine.domain.money import ZERO, plain
from engine.domain.prices import PriceList
from engine.domain.spending import charge
from engine.errors import StoreError
from engine.llm.meter import TOKENS_MAX, BudgetCode, Hold, OverBudget, Usage
from engine.store.journal import Journal

METER = "meter"
OVERRUN = "AI_OVERRUN"


class JournalMeter:
    """Holds and posts in one store's journal; on the engine's own thread.

    prices and caps are read at every hold, so that both can be replaced while the engine runs.
    """

    def __init__(self, journal: Journal, clock: Clock, *, prices: PriceList, caps: Callable[[], Caps]) -> None:
        self.prices = prices
        self.caps = caps
        self._journal = journal
        self._clock = clock
        self._late: dict[str, BudgetPosted] = {}

    def hold(
        self, *, provider: str, model: str, agent: str, cycle_id: str, input_tokens: int, output_tokens_max: int,
        now_ms: int, purpose: Purpose | None = None,
    ) -> Hold | OverBudget:  # fmt: skip
        """Reserve the worst case of one call, or say why it may not be made. The hold is on disk when this returns.

        purpose: of a call beside trading.
        """
        held = self._wanted(provider, model, agent, cycle_id, input_tokens, output_tokens_max, now_ms)
        if isinstance(held, OverBudget):
            return held
        return self._refusal(held, now_ms) or self._held(held, now_ms, purpose)

    def quote(
        self, *, provider: str, model: str, agent: str, input_tokens: int, output_tokens_max: int, now_ms: int
    ) -> Decimal | OverBudget:
        """Return what one call would reserve now, in USD, or why it may not be made. Nothing is written."""
        held = self._wanted(provider, model, agent, "", input_tokens, output_tokens_max, now_ms)
        return held if isinstance(held, OverBudget) else self._refusal(held, now_ms) or held.usd

    def _wanted(
        self, provider: str, model: str, agent: str, cycle_id: str, input_tokens: int, output_tokens_max: int,
        now_ms: int,
    ) -> BudgetHeld | OverBudget:  # fmt: skip
        if not (0 < input_tokens <= TOKENS_MAX and 0 < output_tokens_max <= TOKENS_MAX):
            text = f"{input_tokens} and {output_tokens_max} tokens cannot be reserved; both must be above 0."
            return OverBudget(code=BudgetCode.BAD_COUNT, sentence=text)
        price = self.prices.find(provider, model, now_ms)
        if isinstance(price, str):
            return OverBudget(code=BudgetCode.NO_PRICE, sentence=price)
        if 0 < price.context_tokens < input_tokens + output_tokens_max:
            text = (
                f"{input_tokens:,} tokens asked and {output_tokens_max:,} answered are more than the "
                f"{price.context_tokens:,} that {provider}:{model} takes by {price.origin}."
            )
            return OverBudget(code=BudgetCode.TOO_LONG, sentence=text)
        return BudgetHeld(
            hold_id=f"h{self._journal.books.spend.made + 1}",
            cycle_id=cycle_id,
            agent=agent,
            provider=provider,
            model=model,
            input_tokens=input_tokens,
            output_tokens_max=output_tokens_max,
            rates=price.rates,
            usd=price.rates.worst(input_tokens, output_tokens_max),
        )

    def post(self, hold: Hold, usage: Usage | None) -> Decimal:
        """Put what a call cost in its hold's place and return it, in USD; posting twice charges once.

        None, or counts that cannot be: the whole hold (B3). More than was held: it is recorded, and models are off
        until a person says otherwise (B6). Where nothing can be written the whole hold stays reserved; it is posted
        with the next hold, or in full by the next start.
        """
        open_hold = self._journal.books.spend.holds.get(hold.hold_id)
        if open_hold is None or hold.hold_id in self._late:
            return ZERO
        posted = _posted(open_hold, usage if usage is not None and usage.is_sound else None)
        try:
            self._write(self._clock.now_ms(), *_with_alarm(open_hold, posted))
        except StoreError:
            self._late[hold.hold_id] = posted
            return max(hold.usd, posted.usd)
        return posted.usd

    def switch(self, on: bool, reason: str, actor: str, *, provider: str = "", until_ms: int = 0) -> None:
        """Switch the models of a provider, or all of them, on or off; durable, also over a restart.

        until_ms: when they are on again by themselves, 0: when a person says so; one that is off for longer already
        stays so, with its reason. Raises StoreError when it cannot be written.
        """
        was = self._journal.books.spend.off.get(provider)
        if not on and was is not None and (not was.until_ms or 0 < until_ms <= was.until_ms):
            return
        event = AiSwitched(on=on, provider=provider, actor=actor, reason=reason, until_ms=until_ms)
        self._write(self._clock.now_ms(), event)

    def post_left_open(self, now_ms: int) -> int:
        """Post in full what an engine that ended left open, and return how many there were (B3, P11)."""
        left = [_posted(hold, None, HowPosted.CRASH) for hold in self._journal.books.spend.holds.values()]
        if left:
            self._write(now_ms, *left)
        return len(left)

    def _refusal(self, held: BudgetHeld, now_ms: int) -> OverBudget | None:
        spend = self._journal.books.spend.rolled(now_ms)
        off = spend.why_off(held.provider, now_ms)
        if off is not None:
            return OverBudget(code=BudgetCode.AI_OFF, sentence=f"models are off: {off.reason}")
        tokens = held.input_tokens + held.output_tokens_max
        over = spend.over(self.caps(), held.provider, held.agent, held.usd, tokens)
        return OverBudget(code=BudgetCode.OVER_CAP, sentence=str(over), over=over) if over is not None else None

    def _held(self, held: BudgetHeld, now_ms: int, purpose: Purpose | None) -> Hold | OverBudget:
        caps = self.caps()
        events: list[Event] = [] if caps == self._journal.books.spend.caps else [BudgetCapped(caps=caps)]
        try:
            self._post_late()
            tag = () if purpose is None else (HoldTagged(hold_id=held.hold_id, purpose=purpose),)
            self._write(now_ms, *events, held, *tag)
        except StoreError as error:
            return OverBudget(code=BudgetCode.NOT_WRITTEN, sentence=f"the reservation was not written: {error}")
        return Hold(hold_id=held.hold_id, usd=held.usd)

    def _write(self, ts_ms: int, *events: Event) -> None:
        """Record events, on disk at once: a replay's journal would keep them for its next batch (B1)."""
        self._journal.record(ts_ms, *events)
        self._journal.flush()

    def _post_late(self) -> None:
        for hold_id, posted in list(self._late.items()):
            hold = self._journal.books.spend.holds[hold_id]
            self._write(self._clock.now_ms(), *_with_alarm(hold, posted))
            del self._late[hold_id]


def _posted(hold: OpenHold, usage: Usage | None, how: HowPosted = HowPosted.NO_USAGE) -> BudgetPosted:
    if usage is None:
        return BudgetPosted(
            hold_id=hold.hold_id, how=how, input_tokens=0, output_tokens=0, cached_tokens=0, usd=hold.usd
        )
    return BudgetPosted(
        hold_id=hold.hold_id,
        how=HowPosted.USAGE,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        usd=hold.rates.cost(usage.input_tokens, usage.output_tokens, usage.cached_tokens),
    )


def _with_alarm(hold: OpenHold, posted: BudgetPosted) -> tuple[Event, ...]:
    """Return what to write: the post, and where it is above its hold, that models are off, and an alarm (B6)."""
    usd, tokens = charge(hold, posted)
    if usd <= hold.usd and tokens <= hold.tokens:
        return (posted,)
    reason = (
        f"{hold.provider}:{hold.model} used {tokens:,} tokens for {plain(usd)} USD where {hold.tokens:,} for "
        f"{plain(hold.usd)} USD was the most it could; check its price and its bill."
    )
    off = AiSwitched(on=False, provider="", actor=METER, reason=reason)
    return (posted, off, Incident(code=OVERRUN, text=reason))
