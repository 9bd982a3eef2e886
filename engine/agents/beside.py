"""Questions to language models beside trading: a rerun, or a shadow. The same way to a model, and nothing is traded.

The same client, deadline, reservation and reader as a cycle's, but a connection, a breaker and a vendor's refusal of
their own, so that none of them can change how an agent's own question ends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from engine.agents.draft import AnswerError
from engine.clock import Clock
from engine.domain.budget import Purpose
from engine.domain.decision import DecisionDraft, Outcome
from engine.domain.events import AskedBeside, BesideDone
from engine.domain.money import ZERO
from engine.llm.asking import Asker, Attempt, Question
from engine.llm.chat import ChatRequest
from engine.llm.journal_meter import JournalMeter
from engine.llm.meter import BudgetCode, Hold, OverBudget, Usage
from engine.store.journal import Journal
from engine.store.prompts import PromptStore

Reads = Callable[[str], tuple[DecisionDraft, ...]]
"""Reads an answer as strictly as any. Raises AnswerError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """One such question. agent: whose cycle it is about; payer: whose caps it counts against.

    prompt, template: hash of what is asked, and the version of its templates.
    """

    purpose: Purpose
    cycle_id: str
    agent: str
    payer: str
    prompt: str
    template: str
    request: ChatRequest
    attempts_max: int
    deadline_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AsideAnswer:
    """What came of one. text, answer: the answer and its hash, "" for none. Tokens None: not known."""

    outcome: Outcome
    drafts: tuple[DecisionDraft, ...] = ()
    detail: str = ""
    text: str = ""
    answer: str = ""
    answered: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal = ZERO
    latency_ms: int = 0


class PurposeMeter:
    """A meter whose calls have a purpose. A vendor's spending limit rests only what is asked through it."""

    def __init__(self, meter: JournalMeter, purpose: Purpose) -> None:
        self._meter = meter
        self._purpose = purpose
        self._resting: dict[str, tuple[int, str]] = {}

    def hold(
        self, *, provider: str, model: str, agent: str, cycle_id: str, input_tokens: int, output_tokens_max: int,
        now_ms: int,
    ) -> Hold | OverBudget:  # fmt: skip
        """As of Meter."""
        until_ms, why = self._resting.get(provider, (0, ""))
        if now_ms < until_ms:
            return OverBudget(code=BudgetCode.AI_OFF, sentence=why)
        return self._meter.hold(
            provider=provider, model=model, agent=agent, cycle_id=cycle_id, input_tokens=input_tokens,
            output_tokens_max=output_tokens_max, now_ms=now_ms, purpose=self._purpose,
        )  # fmt: skip

    def post(self, hold: Hold, usage: Usage | None) -> Decimal:
        """As of Meter."""
        return self._meter.post(hold, usage)

    def switch(self, on: bool, reason: str, actor: str, *, provider: str = "", until_ms: int = 0) -> None:
        """Let a provider rest for this purpose until an instant; the agents' own questions find out by themselves."""
        self._resting[provider] = (0 if on else until_ms, reason)


async def ask_beside(
    aside: Aside, asker: Asker, meter: PurposeMeter, reads: Reads, journal: Journal, clock: Clock, store: PromptStore
) -> AsideAnswer:
    """Ask, read and write down; every failure is an outcome, a cancellation passes through with all of it posted."""
    model = f"{asker.name}:{aside.request.model}"
    cost, latency_ms, answer = ZERO, 0, ""

    def note(attempt: Attempt) -> None:
        nonlocal cost, latency_ms, answer
        cost, latency_ms = cost + attempt.cost_usd, latency_ms + attempt.reply.latency_ms
        answer = store.put("answer", attempt.reply.text) if attempt.reply.text else ""
        journal.record(clock.now_ms(), _row(aside, asker.name, attempt, answer))

    question = Question(
        cycle_id=aside.cycle_id, agent=aside.payer, provider=asker.name, request=aside.request,
        attempts_max=aside.attempts_max, deadline_ms=aside.deadline_ms,
    )  # fmt: skip
    reply = await asker.ask(question, meter, note)
    outcome, drafts, detail = reply.outcome, (), reply.detail
    if outcome is Outcome.DECIDED:
        try:
            drafts = reads(reply.text)
        except AnswerError as error:
            outcome, detail = Outcome.PARSE_FAILED, str(error)
    done = BesideDone(
        purpose=aside.purpose, cycle_id=aside.cycle_id, agent=aside.agent, model=model, outcome=outcome,
        detail=detail[:300], cost_usd=cost, latency_ms=latency_ms,
    )  # fmt: skip
    journal.record(clock.now_ms(), done)
    used = reply.usage
    return AsideAnswer(
        outcome=outcome, drafts=drafts, detail=detail, text=reply.text, answer=answer, answered=reply.model[:100],
        input_tokens=used.input_tokens if used else None, output_tokens=used.output_tokens if used else None,
        cost_usd=cost, latency_ms=latency_ms,
    )  # fmt: skip


def _row(aside: Aside, provider: str, attempt: Attempt, answer: str) -> AskedBeside:
    reply, usage = attempt.reply, attempt.reply.usage
    return AskedBeside(
        purpose=aside.purpose, cycle_id=aside.cycle_id, agent=aside.agent, attempt=attempt.number, provider=provider,
        model=aside.request.model, answered=reply.model[:100], outcome=reply.outcome, prompt=aside.prompt,
        answer=answer, template=aside.template,
        input_tokens=usage.input_tokens if usage else None, output_tokens=usage.output_tokens if usage else None,
        cached_tokens=usage.cached_tokens if usage else None, reserved_usd=attempt.reserved_usd,
        cost_usd=attempt.cost_usd, latency_ms=reply.latency_ms, detail=reply.detail[:300],
    )  # fmt: skip
