"""A question's way to a provider: a reservation before each attempt, the cost after it, and another attempt or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from zlib import crc32

from engine.clock import DAY_MS, Clock
from engine.domain.decision import Outcome
from engine.domain.money import ZERO
from engine.llm.breaker import Breaker
from engine.llm.chat import ChatClient, ChatReply, ChatRequest, schema_text
from engine.llm.meter import Hold, Meter, OverBudget
from engine.llm.turns import Turns

ATTEMPTS_DOWN_MAX = 2
"""A provider that is down is asked once more in a cycle (A04)."""
BACKOFF_MS = 500
SPREAD_MS = 250
OVERHEAD_TOKENS = 600
"""What a vendor may add to a request: roles, and its own words about the form of the answer."""
_HALF = bytes(range(65, 91)) + bytes(range(97, 123)) + b" "


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One cycle's question. attempts_max: in all; deadline_ms: by the clock that never steps, when it must be over."""

    cycle_id: str
    agent: str
    provider: str
    request: ChatRequest
    attempts_max: int
    deadline_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt that is over. number: from 1. reserved_usd: 0 where nothing was reserved, and so nothing sent."""

    number: int
    reply: ChatReply
    reserved_usd: Decimal = ZERO
    cost_usd: Decimal = ZERO


Note = Callable[[Attempt], None]
"""Told each attempt when it is over, also one that is cancelled, before anything else is done."""


def never_locked() -> str:
    """Say that a provider's key is at hand."""
    return ""


class Asker:
    """Asks one provider for all agents. now_ms: the engine's own clock, for the windows of budgets.

    locked: why the provider's key is locked, "" when it is not; then it is neither down nor asked.
    """

    def __init__(
        self, name: str, chat: ChatClient, wall: Clock, now_ms: Callable[[], int], turns: Turns | None = None,
        locked: Callable[[], str] = never_locked,
    ) -> None:  # fmt: skip
        self.name = name
        self.locked = locked
        self.chat = chat
        self.breaker = Breaker(wall)
        self._wall = wall
        self._now_ms = now_ms
        self._turns = turns or Turns()

    async def ask(self, question: Question, meter: Meter, note: Note) -> ChatReply:
        """Ask until there is an answer, or no use or time in asking again; each attempt has its own reservation."""
        number = 0
        while True:
            number += 1
            attempt = await self._attempt(number, question, meter, note)
            note(attempt)
            self._mind_the_vendors_cap(attempt.reply, meter)
            wait_ms = self._wait_ms(question, attempt)
            if wait_ms is None:
                return attempt.reply
            await self._wall.sleep_ms(wait_ms)

    async def _attempt(self, number: int, question: Question, meter: Meter, note: Note) -> Attempt:
        refusal = self.breaker.refusal()
        if refusal:
            return Attempt(
                number=number, reply=_not_sent(Outcome.PROVIDER_DOWN, f"{self.name} was not asked: {refusal}")
            )
        problem = self.chat.prepare()
        if problem:
            self.breaker.tell(None)
            outcome = Outcome.KEYS_LOCKED if self.locked() else Outcome.PROVIDER_DOWN
            return Attempt(number=number, reply=_not_sent(outcome, problem))
        request = self._within_deadline(question)
        async with self._turns.one():
            hold = self._hold(question, request, meter)
        if isinstance(hold, OverBudget):
            self.breaker.tell(None)
            return Attempt(number=number, reply=_not_sent(Outcome.OVER_BUDGET, hold.sentence))
        try:
            reply = await self.chat.ask(request)
            async with self._turns.one():
                cost = meter.post(hold, reply.usage)
        except asyncio.CancelledError:  # nobody knows what the provider made of it: all of it is owed (B3)
            self.breaker.tell(None)
            gone = _not_sent(Outcome.TIMED_OUT, "the engine stopped waiting")
            note(Attempt(number=number, reply=gone, reserved_usd=hold.usd, cost_usd=meter.post(hold, None)))
            raise
        self.breaker.tell(reply.outcome)
        return Attempt(number=number, reply=reply, reserved_usd=hold.usd, cost_usd=cost)

    def _hold(self, question: Question, request: ChatRequest, meter: Meter) -> Hold | OverBudget:
        return meter.hold(
            provider=question.provider, model=request.model, agent=question.agent, cycle_id=question.cycle_id,
            input_tokens=worst_tokens(request), output_tokens_max=request.output_tokens_max, now_ms=self._now_ms(),
        )  # fmt: skip

    def _within_deadline(self, question: Question) -> ChatRequest:
        left_ms = max(1, int(question.deadline_ms - self._wall.mono_ms()))
        request = question.request
        return replace(request, timeout_ms=min(request.timeout_ms, left_ms))

    def _wait_ms(self, question: Question, attempt: Attempt) -> float | None:
        """Return how long to wait before another attempt, None when there is none."""
        reply, number = attempt.reply, attempt.number
        most = {Outcome.RATE_LIMITED: question.attempts_max, Outcome.PROVIDER_DOWN: ATTEMPTS_DOWN_MAX}
        if reply.final or number >= min(question.attempts_max, most.get(reply.outcome, 1)):
            return None
        # Agents that were turned away together come back apart, and in a replay at the same instants.
        wait_ms = BACKOFF_MS * 2 ** (number - 1) + crc32(question.agent.encode()) % SPREAD_MS
        if reply.retry_after_ms is not None:
            wait_ms = max(wait_ms, reply.retry_after_ms)
        return wait_ms if self._wall.mono_ms() + wait_ms < question.deadline_ms else None

    def _mind_the_vendors_cap(self, reply: ChatReply, meter: Meter) -> None:
        """A spending limit at the vendor's end ends on its day, not in this cycle: nobody asks until then (A03)."""
        if reply.outcome is not Outcome.RATE_LIMITED or not reply.final:
            return
        now_ms = self._now_ms()
        until_ms = now_ms + reply.retry_after_ms if reply.retry_after_ms else (now_ms // DAY_MS + 1) * DAY_MS
        meter.switch(False, reply.detail, "provider", provider=self.name, until_ms=until_ms)


def _not_sent(outcome: Outcome, detail: str) -> ChatReply:
    return ChatReply(outcome=outcome, detail=detail, final=True)


def worst_tokens(request: ChatRequest) -> int:
    """Return at least as many tokens as a request can come to, for no tokenizer is at hand for every model.

    A token holds one byte at least, and runs of letters and spaces hold two or more a token.

    >>> worst_tokens(ChatRequest(system="", user="ab 12", schema=None, model="m", output_tokens_max=1, timeout_ms=1))
    604
    """
    text = (request.system + request.user + schema_text(request.schema)).encode("utf-8", "replace")
    dense = len(text.translate(None, _HALF))
    return OVERHEAD_TOKENS + dense + (len(text) - dense + 1) // 2
