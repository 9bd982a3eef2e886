"""One run of one agent, from perception to order: the story on one page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.agents.keeping import Keeper, features_of
from engine.agents.lanes import LaneRunner
from engine.agents.manager import RunningAgent
from engine.clock import Clock
from engine.domain.books import Books
from engine.domain.decision import AnsweredBy, DecisionDraft, Direction, Disposition, Outcome, describe_action
from engine.domain.events import CycleDone, CycleHeld, CycleItem, Event
from engine.domain.intent import Autonomy, Intent
from engine.domain.money import ZERO
from engine.domain.policy import AskFor
from engine.domain.risk import Verdict
from engine.domain.values import quick_value
from engine.execution.router import Prepared, Router
from engine.ids import cycle_id
from engine.llm.client import InstrumentView, ModelAnswer, ModelRequest
from engine.llm.journal_meter import JournalMeter
from engine.market.state import MarketState
from engine.risk.approvals import Approvals, Waiting, digest_of
from engine.risk.gate import Ruling, judge
from engine.risk.record import listening
from engine.risk.situation import Situation
from engine.risk.surroundings import Seen, Surroundings
from engine.store.journal import Journal

PhaseListener = Callable[[str, str], None]
"""Told (agent name, phase) as a cycle walks; ephemeral, never journaled (R3)."""


@dataclass(slots=True)
class Desk:
    """What a cycle works with. meter: what paid calls run through, None where no model is paid for."""

    journal: Journal
    market: MarketState
    surroundings: Surroundings
    approvals: Approvals
    router: Router
    clock: Clock
    policy_hash: str
    on_phase: PhaseListener | None = None
    meter: JournalMeter | None = None
    keeper: Keeper | None = None
    lanes: LaneRunner | None = None


@quick_value
class Judged:
    """One draft after the gate, in its situation. prepared: the order to write and send now, when there is one."""

    item: CycleItem
    situation: Situation
    prepared: Prepared | None = None
    asked: Event | None = None


async def run_cycle(desk: Desk, agent: RunningAgent, trigger: str, instruments: Sequence[str]) -> None:
    """Perceive, reason, check, ask or execute, and write down what became of it."""
    began_ms, config = desk.clock.now_ms(), agent.config
    _enter(desk, agent, "PERCEPTION")
    request = _perceive(desk, agent, began_ms, trigger, instruments)
    _enter(desk, agent, "REASONING")
    if desk.lanes is not None:
        desk.lanes.decide(agent, request)
    try:
        answer = await agent.client.decide(request)
    except Exception as error:  # none may raise: one that does fails this cycle of this agent and nothing else (P37)
        answer = _model_error(agent, f"{type(error).__name__}: {error}")
    if agent.config is not config:  # it was changed while its model was asked: what it says was asked by another (C09)
        answer = replace(answer, outcome=Outcome.STALE_INPUT, drafts=(), detail="the agent was changed meanwhile")
    agent.cycles += 1
    held = _as_hold(agent, answer)
    if held is not None:
        _hold(desk, agent, began_ms, answer, held)
    else:
        await _act(desk, agent, began_ms, trigger, request, answer)
    _enter(desk, agent, "IDLE")


def _perceive(desk: Desk, agent: RunningAgent, now_ms: int, trigger: str, instruments: Sequence[str]) -> ModelRequest:
    books, market, around, config = desk.journal.books, desk.market, desk.surroundings, agent.config
    if len(instruments) == 1:  # as nearly always
        views: tuple[InstrumentView, ...] = (instrument_view(books, market, around, agent, instruments[0]),)
    else:
        views = tuple([instrument_view(books, market, around, agent, key) for key in instruments])
    return ModelRequest(config.name, config.model, now_ms, views, config.model_settings, trigger)


def instrument_view(
    books: Books, market: MarketState, surroundings: Surroundings, agent: RunningAgent, instrument: str
) -> InstrumentView:
    """Return what a model sees of one instrument now."""
    config = agent.config
    series = market.series(instrument, config.timeframe_ms)
    mark = surroundings.valuation.marks[instrument]
    position = books.positions.get((config.name, instrument))
    # what is left below one step can never be sold: a model that saw it would hold it for ever
    qty = ZERO if position is None or not position.qty or books.is_dust(position) else position.qty
    return InstrumentView(instrument, agent.indicators[instrument].compute(series), mark.price, mark.ts_ms, qty)


def _model_error(agent: RunningAgent, detail: str) -> ModelAnswer:
    return ModelAnswer(outcome=Outcome.MODEL_ERROR, model=agent.config.model, drafts=(), detail=detail)


def _fitting(agent: RunningAgent, request: ModelRequest, answer: ModelAnswer) -> ModelAnswer:
    """Return the answer when it has one whole draft for each instrument asked about, else a failure (T2, A10)."""
    if answer.outcome is not Outcome.DECIDED and not answer.drafts:
        return answer
    for draft in answer.drafts:
        if wrong := draft.misshapen():
            return _model_error(agent, f"the draft for {draft.instrument} has {wrong}")
    said, asked = [draft.instrument for draft in answer.drafts], [view.instrument for view in request.views]
    if sorted(said) == sorted(asked):
        return answer
    return _model_error(agent, f"drafts for {', '.join(said) or 'nothing'}, asked about {', '.join(asked)}")


def _as_hold(agent: RunningAgent, answer: ModelAnswer) -> CycleHeld | None:
    """Return the row of an answer that only holds; None when there is something to judge."""
    if answer is agent.hold_answer:  # a deterministic model gives the very same answer for nearly every bar
        return agent.hold_row
    if (
        answer.asked
        or answer.outcome is not Outcome.DECIDED
        or any(draft.direction is not Direction.HOLD for draft in answer.drafts)
    ):
        return None
    items = ";".join([f"{draft.instrument}={draft.rationale}" for draft in answer.drafts])
    agent.hold_answer, agent.hold_row = answer, CycleHeld(agent=agent.config.name, items=items)
    return agent.hold_row


def _hold(desk: Desk, agent: RunningAgent, began_ms: int, answer: ModelAnswer, held: CycleHeld) -> None:
    agent.failures = 0
    agent.decisions["hold"] = agent.decisions.get("hold", 0) + len(answer.drafts)
    agent.last, agent.last_ms = answer.drafts[0].rationale if answer.drafts else "", began_ms
    desk.journal.record_hold(began_ms, held)


async def _act(
    desk: Desk, agent: RunningAgent, began_ms: int, trigger: str, request: ModelRequest, answer: ModelAnswer
) -> None:
    cycle = cycle_id(agent.name, began_ms)
    _enter(desk, agent, "RISK_CHECK")
    answer = _fitting(agent, request, answer)
    views = {view.instrument: view for view in request.views}
    judged: list[Judged] = []
    for draft in answer.drafts:
        beside = [one.prepared.intent for one in judged if one.prepared is not None]
        judged.append(_judge(desk, agent, cycle, draft, began_ms, views[draft.instrument], beside))
    done = CycleDone(
        cycle_id=cycle,
        agent=agent.name,
        trigger=trigger,
        model=answer.model,
        outcome=answer.outcome,
        answered_by=answer.answered_by,
        detail=answer.detail[:300],
        items=tuple(one.item for one in judged),
    )
    _remember(agent, began_ms, done)
    _enter(desk, agent, "APPROVAL")
    asked = [*_kept(desk, agent, cycle, judged), *(one.asked for one in judged if one.asked is not None)]
    orders = [one.prepared for one in judged if one.prepared is not None]
    intended = [event for order in orders for event in order.events]
    desk.journal.record(desk.clock.now_ms(), done, *asked, *intended)
    _enter(desk, agent, "EXECUTION")
    for order in orders:
        await desk.router.send(order)
    _enter(desk, agent, "LEARNING")


def _judge(
    desk: Desk, agent: RunningAgent, cycle: str, draft: DecisionDraft, seen_ms: int, view: InstrumentView,
    beside: Sequence[Intent],
) -> Judged:  # fmt: skip
    """Take one draft through the gate, and to the queue or the router's desk as the agent's autonomy says.

    seen_ms, view: when the model was asked, and what it was shown. beside: what this cycle has already decided to
    send; the limits count it.
    """
    decision_id = f"{cycle}:{draft.instrument}"
    now_ms, seen = desk.clock.now_ms(), Seen(view.price, seen_ms)
    situation = desk.surroundings.gather(agent.config, draft, decision_id, now_ms, beside, seen=seen)
    if desk.keeper is not None and desk.keeper.wants(agent):
        situation = listening(situation)
    if draft.direction is Direction.HOLD:
        current = situation.current_qty
        mark = situation.mark
        return Judged(
            CycleItem(
                draft.instrument, draft.direction, Disposition.HOLD, current, current, draft.confidence,
                mark.price if mark else None, mark.ts_ms if mark else 0, draft.rationale, "", "", (),
            ),
            situation,
        )  # fmt: skip
    ruling = judge(situation, cycle, decision_id)
    disposition, prepared, asked = _dispose(desk, agent, draft, ruling)
    return Judged(item_of(ruling, disposition, _feature_text(view.features)), situation, prepared, asked)


def _kept(desk: Desk, agent: RunningAgent, cycle: str, judged: Sequence[Judged]) -> list[Event]:
    """Keep what the decisions were judged on, where it could not be made again from a recording."""
    if desk.keeper is None or not judged or not desk.keeper.wants(agent):
        return []
    features = features_of(desk.market, agent, [one.item.instrument for one in judged])
    return [desk.keeper.keep(cycle, [one.situation for one in judged], features)]


def item_of(ruling: Ruling, disposition: Disposition, features: str) -> CycleItem:
    """Return what the journal keeps of one decision and of every check on it."""
    decision = ruling.decision
    return CycleItem(
        decision.instrument,
        decision.direction,
        disposition,
        decision.current_qty,
        decision.target_qty,
        decision.confidence,
        decision.price,
        decision.price_ms,
        decision.rationale[:500],
        features,
        ruling.bound_by,
        ruling.assessment.checks,
    )


def _dispose(
    desk: Desk, agent: RunningAgent, draft: DecisionDraft, ruling: Ruling
) -> tuple[Disposition, Prepared | None, Event | None]:
    if ruling.assessment.refused:
        return Disposition.REFUSED, None, None
    if ruling.intent is None:
        return Disposition.NO_CHANGE, None, None
    if agent.config.autonomy is Autonomy.OBSERVE:
        return Disposition.OBSERVED, None, None
    if _must_ask(desk, agent, ruling.intent):
        return Disposition.AWAITING_APPROVAL, None, _ask(desk, agent, draft, ruling, ruling.intent)
    return Disposition.ACTED, desk.router.prepare(ruling.intent), None


def _must_ask(desk: Desk, agent: RunningAgent, intent: Intent) -> bool:
    """A person is asked when the agent's file says so, or when the policy does for all agents."""
    rule = desk.surroundings.policy.approvals.ask
    by_policy = rule is AskFor.EVERY_TRADE or (rule is AskFor.ENTRIES and not intent.reduce_only)
    return by_policy or agent.config.autonomy is Autonomy.APPROVE


def _ask(desk: Desk, agent: RunningAgent, draft: DecisionDraft, ruling: Ruling, intent: Intent) -> Event:
    mark, rules = desk.surroundings.valuation.marks[intent.instrument], desk.surroundings.policy.approvals
    return desk.approvals.ask(
        Waiting(
            intent=intent,
            agent=agent.config,
            draft=draft,
            checks=ruling.assessment.checks,
            before_qty=ruling.decision.current_qty,
            digest=digest_of(intent, desk.policy_hash, mark.ts_ms),
            expires_ms=desk.clock.now_ms() + min(agent.config.approval_ttl_ms, rules.expires_max_ms),
            policy_hash=desk.policy_hash,
            price_ms=mark.ts_ms,
            asked_ms=desk.clock.now_ms(),
        )
    )


def _feature_text(features: Mapping[str, float]) -> str:
    return ";".join(f"{name}={value:.10g}" for name, value in features.items())


def _remember(agent: RunningAgent, now_ms: int, done: CycleDone) -> None:
    failed = done.outcome is not Outcome.DECIDED and done.answered_by is AnsweredBy.LIVE
    waits = done.outcome is Outcome.KEYS_LOCKED  # for a person: no failure that could pause it
    agent.failures = agent.failures + 1 if failed and not waits else 0
    if failed:
        agent.decisions["failed"] = agent.decisions.get("failed", 0) + 1
        agent.last, agent.last_ms = done.outcome.value, now_ms
    for item in done.items:
        if item.disposition is Disposition.REFUSED:
            refused = [check.code.value for check in item.checks if check.verdict is Verdict.REFUSE]
            agent.refusals.update({code: agent.refusals.get(code, 0) + 1 for code in refused})
        agent.decisions[item.direction.value] = agent.decisions.get(item.direction.value, 0) + 1
        agent.last = describe_action(item.direction, item.current_qty, item.target_qty) + f" {item.disposition}"
        agent.last_ms = now_ms


def _enter(desk: Desk, agent: RunningAgent, phase: str) -> None:
    agent.phase = phase
    if desk.on_phase is not None:
        desk.on_phase(agent.config.name, phase)
