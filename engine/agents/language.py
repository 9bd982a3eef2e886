"""A language model as a ModelClient: context, prompt, reservation, question, answer, drafts; each failure an outcome.

The model is asked through its provider's Asker. What it said is read strictly or not at all (R2). Where it could not be
asked, the agent's own deterministic fallback answers, and says so (R7).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from engine.agents.briefing import Brief, Briefing, briefing_of
from engine.agents.context import NEEDED, WISHED
from engine.agents.draft import AnswerError, parse_answer, repair_prompt
from engine.agents.prompts import check_templates, keep
from engine.clock import Clock
from engine.domain.agent import AgentConfig
from engine.domain.budget import Purpose
from engine.domain.decision import AnsweredBy, DecisionDraft, Direction, Outcome
from engine.domain.events import AskedBeside, ModelAsked
from engine.domain.intent import Mode
from engine.domain.money import ZERO
from engine.domain.policy import FallbackRule
from engine.ids import cycle_id
from engine.llm.asking import Asker, Attempt, Question
from engine.llm.chat import ChatReply, ChatRequest
from engine.llm.client import ModelAnswer, ModelClient, ModelRequest, Settings
from engine.llm.settings import Setting, read_settings
from engine.llm.turns import Turns
from engine.store.prompts import PromptStore

if TYPE_CHECKING:
    from engine.agents.cycle import Desk
    from engine.agents.manager import RunningAgent
    from engine.llm.meter import Meter

FALLBACK_ON = (Outcome.TIMED_OUT, Outcome.RATE_LIMITED, Outcome.PROVIDER_DOWN, Outcome.OVER_BUDGET)
"""Nobody answered: then the fallback may. A bad answer, or inputs too old, are no decision and no fallback (R7)."""
NOT_MENTIONED = "not mentioned"


SETTINGS = (
    Setting("output_tokens_max", 1_000, 16, 32_000, whole=True),
    Setting("attempts_max", 3, 1, 5, whole=True),
    Setting("deadline_s", None, 1, 600, whole=False),
    Setting("repair", 0, 0, 1, whole=True),
)


@dataclass(slots=True)
class _Tally:
    """What one cycle's attempts came to. tokens None: an attempt did not say."""

    model: str
    input_tokens: int | None = 0
    output_tokens: int | None = 0
    cost_usd: Decimal = ZERO
    latency_ms: int = 0

    def add(self, attempt: Attempt) -> None:
        usage, self.cost_usd = attempt.reply.usage, self.cost_usd + attempt.cost_usd
        self.latency_ms += attempt.reply.latency_ms
        if not attempt.reserved_usd:
            return
        if usage is None or self.input_tokens is None or self.output_tokens is None:
            self.input_tokens = self.output_tokens = None
            return
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens


@dataclass(slots=True)
class LanguageClient:
    """Answers for one agent. model: without its provider; fallback: what stands in; timeout_ms: of one attempt.

    barred: why it may not be asked here at all, "" when it may. waits: its cycles run beside the engine's other work,
    for an answer takes seconds. purpose: of what is asked beside trading.
    """

    config: AgentConfig
    model: str
    asker: Asker
    fallback: ModelClient | None
    store: PromptStore
    wall: Clock
    turns: Turns
    timeout_ms: int
    barred: str = ""
    briefing: Briefing | None = None
    desk: Desk | None = None
    meter: Meter | None = None
    waits: bool = True
    provider: str = ""
    purpose: Purpose | None = None
    _settings: Mapping[str, int | float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.provider = self.asker.name

    def attach(self, desk: Desk, agent: RunningAgent, meter: Meter | None) -> None:
        """Say what it works on, once that is built."""
        self.desk, self.meter = desk, meter
        self.briefing = self.briefing or briefing_of(desk, agent)

    def features_needed(self, model: str, settings: Settings) -> tuple[str, ...]:
        """Return what the model is told of, and what the fallback reads; UsageError on a template's odd placeholder."""
        self._settings = read_settings(model, SETTINGS, settings)
        check_templates(self.config)
        stand_in: tuple[str, ...] = ()
        if self.fallback is not None and self.config.fallback is not None:
            stand_in = self.fallback.features_needed(self.config.fallback, {})
        return tuple(dict.fromkeys((*NEEDED, *WISHED, *stand_in)))

    async def decide(self, request: ModelRequest) -> ModelAnswer:
        """As of ModelClient; a cancellation passes through, with what was reserved posted."""
        tally = _Tally(f"{self.provider}:{self.model}")
        outcome, drafts, detail = await self._ask(request, tally)
        answer = ModelAnswer(
            outcome=outcome, model=tally.model, drafts=drafts, detail=detail, asked=True,
            input_tokens=tally.input_tokens, output_tokens=tally.output_tokens, cost_usd=tally.cost_usd,
            latency_ms=tally.latency_ms,
        )  # fmt: skip
        return await self._fall_back(request, answer) if outcome in FALLBACK_ON else answer

    async def _ask(self, request: ModelRequest, tally: _Tally) -> tuple[Outcome, tuple[DecisionDraft, ...], str]:
        desk, meter, briefing = self.desk, self.meter, self.briefing
        if self.barred or desk is None or meter is None or briefing is None:
            return Outcome.OVER_BUDGET, (), self.barred or "there is no budget to ask a model with"
        if not desk.surroundings.policy.ai.live_inference:
            return Outcome.OVER_BUDGET, (), "live inference is off by policy"
        if why := self.asker.locked():  # the trader has only to type: nothing stands in
            return Outcome.KEYS_LOCKED, (), why
        deadline_ms = self.wall.mono_ms() + self._deadline_ms()
        async with self.turns.one():
            brief = briefing(request)
        if isinstance(brief, str):
            return Outcome.STALE_INPUT, (), brief
        cycle = cycle_id(request.agent, request.slot_ms)
        reply = await self._question(cycle, brief, deadline_ms, meter, tally)
        if reply.outcome is not Outcome.DECIDED:
            return reply.outcome, (), reply.detail
        try:
            async with self.turns.one():
                return Outcome.DECIDED, self._read(request, brief, reply.text), ""
        except AnswerError as error:
            if not self._settings["repair"]:
                return Outcome.PARSE_FAILED, (), str(error)
            prompt = replace(brief.prompt, user=f"{brief.prompt.user}\n{repair_prompt(error)}\n")
            repaired = replace(brief, prompt=prompt)
            return await self._repair(request, cycle, repaired, deadline_ms, meter, tally, error)

    async def _repair(
        self, request: ModelRequest, cycle: str, brief: Brief, deadline_ms: float, meter: Meter, tally: _Tally,
        why: AnswerError,
    ) -> tuple[Outcome, tuple[DecisionDraft, ...], str]:  # fmt: skip
        """Ask once more, with what was wrong; a second bad answer is the end of it (A29)."""
        reply = await self._question(cycle, brief, deadline_ms, meter, tally)
        if reply.outcome is not Outcome.DECIDED:
            return Outcome.PARSE_FAILED, (), f"{why}; asked again: {reply.outcome.value}"
        try:
            return Outcome.DECIDED, self._read(request, brief, reply.text), ""
        except AnswerError as error:
            return Outcome.PARSE_FAILED, (), f"{why}; asked again: {error}"

    def _deadline_ms(self) -> float:
        given = self._settings.get("deadline_s")
        return 2 * self.timeout_ms if given is None else given * 1000

    async def _question(self, cycle: str, brief: Brief, deadline_ms: float, meter: Meter, tally: _Tally) -> ChatReply:
        request = ChatRequest(
            system=brief.prompt.system, user=brief.prompt.user, schema=brief.prompt.schema, model=self.model,
            output_tokens_max=int(self._settings["output_tokens_max"]), timeout_ms=self.timeout_ms,
        )  # fmt: skip
        question = Question(
            cycle_id=cycle, agent=self.config.name, provider=self.provider, request=request,
            attempts_max=int(self._settings["attempts_max"]), deadline_ms=deadline_ms,
        )  # fmt: skip
        digest = keep(self.store, brief.prompt)

        def note(attempt: Attempt) -> None:
            tally.add(attempt)
            self._write(question, brief.prompt.version, digest, attempt)

        return await self.asker.ask(question, meter, note)

    def _write(self, question: Question, template: str, digest: str, attempt: Attempt) -> None:
        assert self.desk is not None
        reply, usage = attempt.reply, attempt.reply.usage
        row = ModelAsked if self.purpose is None else partial(AskedBeside, purpose=self.purpose)
        asked = row(
            cycle_id=question.cycle_id, agent=question.agent, attempt=attempt.number, provider=question.provider,
            model=self.model, answered=reply.model[:100], outcome=reply.outcome, prompt=digest,
            answer=self.store.put("answer", reply.text) if reply.text else "", template=template,
            input_tokens=usage.input_tokens if usage else None, output_tokens=usage.output_tokens if usage else None,
            cached_tokens=usage.cached_tokens if usage else None, reserved_usd=attempt.reserved_usd,
            cost_usd=attempt.cost_usd, latency_ms=reply.latency_ms, detail=reply.detail[:300],
        )  # fmt: skip
        self.desk.journal.record(self.desk.clock.now_ms(), asked)

    def _read(self, request: ModelRequest, brief: Brief, text: str) -> tuple[DecisionDraft, ...]:
        """Return a draft for each instrument asked about: what the model did not mention, it holds."""
        drafts = {draft.instrument: draft for draft in parse_answer(text, brief.symbols, brief.held)}
        return tuple(drafts.get(view.instrument) or _hold(view.instrument, NOT_MENTIONED) for view in request.views)

    async def _fall_back(self, request: ModelRequest, failed: ModelAnswer) -> ModelAnswer:
        """Let the agent's deterministic model answer in its place; the outcome stays what it was (R7)."""
        if self.fallback is None or self.config.fallback is None:
            return failed
        stand_in = replace_request(request, self.config.fallback)
        answer = await self.fallback.decide(stand_in)
        if answer.outcome is not Outcome.DECIDED:
            return replace(failed, detail=f"{failed.detail}; the fallback failed too: {answer.detail}")
        drafts = tuple(self._allowed(draft) for draft in answer.drafts)
        return replace(failed, model=answer.model, drafts=drafts, answered_by=AnsweredBy.FALLBACK)

    def _allowed(self, draft: DecisionDraft) -> DecisionDraft:
        """Leave of a fallback's draft what the policy lets it do in the agent's mode."""
        assert self.desk is not None
        rules = self.desk.surroundings.policy.ai
        rule = rules.fallback_live if self.config.mode is Mode.LIVE else rules.fallback_paper
        if draft.direction is Direction.HOLD or rule is FallbackRule.MAY_ENTER:
            return draft
        if rule is FallbackRule.ONLY_REDUCE and draft.direction in (Direction.FLAT, Direction.SELL):
            return draft  # a cash account has nothing short, so a sale leaves something
        return _hold(draft.instrument, f"the policy lets a fallback do {rule.value}: {draft.rationale}"[:300])


def replace_request(request: ModelRequest, model: str) -> ModelRequest:
    """Return the same question for another model, with that model's own settings left as they are by default."""
    return replace(request, model=model, settings={})


def _hold(instrument: str, why: str) -> DecisionDraft:
    return DecisionDraft(instrument=instrument, direction=Direction.HOLD, rationale=why)
