"""The counterfactual lane of an agent: a second model decides on the same inputs, and nothing of it is traded.

What it would have done goes through the same sizing and the same guardrails, on figures of the lane's own: its capital
is the agent's at the lane's beginning, its trades are filled at the next candle's open with the paper venue's spread,
slippage and fee, and its stop and target act inside a candle as that venue's do. Volume is taken to be enough. A trade
that waits for its fill when the engine stops is forgotten.

A language model is asked beside the cycle, in a task of its own that nothing waits for. Its calls are held and posted
under a purpose of their own, in the agent's caps, and are the lane's cost; how each ended is journaled and shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.agents.beside import PurposeMeter
from engine.agents.lane_view import briefing_in_lane, money_of
from engine.agents.language import LanguageClient
from engine.agents.manager import RunningAgent, hire
from engine.domain.agent import AgentConfig
from engine.domain.book_state import BookState
from engine.domain.budget import Purpose
from engine.domain.decision import DecisionDraft, Direction, Disposition, Outcome
from engine.domain.events import BesideDone, CycleItem, Event, Incident, LaneDecided, LaneFilled, LaneOpened
from engine.domain.intent import Intent
from engine.domain.lane_standing import LaneStanding
from engine.domain.lanes import LANE, Lane
from engine.domain.market import Candle
from engine.domain.money import ZERO, kept
from engine.domain.order import OrderType, Side
from engine.domain.policy import PaperSettings
from engine.domain.valuation import Valuation
from engine.errors import StoreError, UsageError
from engine.execution.paper_match import at_limit, at_market, at_stop
from engine.ids import cycle_id
from engine.llm.client import InstrumentView, ModelAnswer, ModelClient, ModelRequest
from engine.llm.router import is_deterministic
from engine.risk.gate import Ruling, judge
from engine.risk.situation import Situation
from engine.risk.surroundings import Seen

if TYPE_CHECKING:
    from engine.agents.cycle import Desk

UNDER_WAY = "its last question is still under way"
_SITUATION = {field.name for field in fields(Situation)}


ShadowFinder = Callable[[AgentConfig], ModelClient | None]
"""Finds what answers for an agent's twin that runs its shadow; None where that may not be asked at all."""


def second_agents(agents: Iterable[AgentConfig], find: ShadowFinder) -> dict[str, RunningAgent]:
    """Return agent -> the second model that decides beside it, for those that name one. Raises UsageError for none."""
    found: dict[str, RunningAgent] = {}
    for config in agents:
        if config.shadow is None:
            continue
        same_kind = not is_deterministic(config.model) and not is_deterministic(config.shadow)
        twin = replace(config, model=config.shadow, model_settings=config.model_settings if same_kind else {})
        client = find(twin)
        if client is not None:
            found[config.name] = hire(twin, client)
    return found


class LaneRunner:
    """Runs lanes on a desk whose money it never touches. What breaks in one ends the lanes, never a cycle."""

    def __init__(self, desk: Desk, seconds: dict[str, RunningAgent], paper: PaperSettings) -> None:
        self._desk, self._paper, self._seconds = desk, paper, seconds
        self._waiting: dict[tuple[str, str], Intent] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        for second in seconds.values():
            if isinstance(second.client, LanguageClient):
                self._attach(second, second.client)

    def _attach(self, second: RunningAgent, client: LanguageClient) -> None:
        client.briefing = briefing_in_lane(self._desk, second, self._lane, self._waiting_of)
        meter = None if self._desk.meter is None else PurposeMeter(self._desk.meter, Purpose.SHADOW)
        client.attach(self._desk, second, meter)

    def _waiting_of(self, agent: str) -> list[Intent]:
        return [intent for (name, _key), intent in self._waiting.items() if name == agent]

    async def settle(self) -> None:
        """Wait until no question is under way."""
        while self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    async def close(self) -> None:
        """Give up every question under way: what was reserved for it is posted."""
        for task in list(self._tasks.values()):
            task.cancel()
        await self.settle()

    # What is filled, by the candles that closed

    def on_candles(self, candles: Iterable[Candle]) -> None:
        """Fill what waited at the open, then let stops and targets act."""
        with self._contained():
            for candle in candles:
                for name in self._seconds:
                    self._on_candle(name, candle)

    @contextmanager
    def _contained(self) -> Iterator[None]:
        try:
            yield
        except StoreError:  # the core finds the broken store by itself
            self._waiting.clear()
        except Exception as error:
            self._seconds, why = {}, f"the lanes were ended: {error!r}"[:300]
            self._desk.journal.record(self._desk.clock.now_ms(), Incident(code="LANE_FAILED", text=why))

    def _on_candle(self, agent: str, candle: Candle) -> None:
        key = candle.instrument
        tick = self._desk.journal.books.instruments[key].price_tick
        waiting = self._waiting.pop((agent, key), None)
        if waiting is not None and waiting.order_type is OrderType.MARKET:
            price = at_market(waiting.side, candle.open, self._paper, tick)
            self._fill(agent, waiting.side, waiting.qty, price, candle, "decided", waiting)
        elif waiting is not None:
            self._limit(agent, waiting, candle, tick)
        self._protect(agent, candle, tick)

    def _limit(self, agent: str, waiting: Intent, candle: Candle, tick: Decimal) -> None:
        assert waiting.limit_price is not None
        found = at_limit(waiting.side, waiting.limit_price, candle, self._paper, tick, rested=False)
        if found is None:
            self._waiting[agent, candle.instrument] = waiting
        else:
            self._fill(agent, waiting.side, waiting.qty, found[0], candle, "decided", waiting)

    def _protect(self, agent: str, candle: Candle, tick: Decimal) -> None:
        lane = self._lane(agent)
        held = lane.of(candle.instrument) if lane else None
        if held is None or not held.position.qty:
            return
        side, qty = (Side.SELL if held.position.qty > 0 else Side.BUY), abs(held.position.qty)
        stopped = at_stop(side, held.stop, candle, self._paper, tick) if held.stop else None
        if stopped is not None:
            self._fill(agent, side, qty, stopped, candle, "stop", None)
        elif held.target and (hit := at_limit(side, held.target, candle, self._paper, tick, rested=True)):
            self._fill(agent, side, qty, hit[0], candle, "target", None)

    def _fill(
        self, agent: str, side: Side, qty: Decimal, price: Decimal, candle: Candle, why: str, intent: Intent | None
    ) -> None:
        fee = kept(qty * price * self._desk.journal.books.instruments[candle.instrument].taker_fee)
        filled = LaneFilled(
            agent=agent, instrument=candle.instrument, side=side, qty=qty, price=price, fee=fee, why=why,
            stop=intent.stop_price if intent else None, target=intent.target_price if intent else None,
        )  # fmt: skip
        self._desk.journal.record(candle.close_ms, filled)

    # What it decides, on what the agent is about to be asked

    def decide(self, agent: RunningAgent, request: ModelRequest) -> None:
        """Let an agent's second model decide on the instruments of a request; before its own model is asked.

        A language model is only begun to be asked.
        """
        second = self._seconds.get(agent.name)
        if second is not None:
            with self._contained():
                self._decide(second, request)

    def _decide(self, second: RunningAgent, request: ModelRequest) -> None:
        lane = self._lane(second.name)
        if lane is None or lane.model != second.config.model:
            lane = self._begin(second)
        if lane is None:
            return
        if second.waits:
            self._begin_asking(second, request)
            return
        answer = _at_once(second.client.decide(self._request(second, lane, request)))
        for draft in answer.drafts if answer.outcome is Outcome.DECIDED else ():
            if draft.direction is not Direction.HOLD:
                self._judge(second, lane, draft, request.slot_ms)

    # A language model: asked in a task, judged when it has answered

    def _begin_asking(self, second: RunningAgent, request: ModelRequest) -> None:
        if second.name in self._tasks:
            late = ModelAnswer(
                outcome=Outcome.TIMED_OUT, model=second.config.model, drafts=(), cost_usd=ZERO, latency_ms=0,
                detail=UNDER_WAY,
            )  # fmt: skip
            self._desk.journal.record(self._desk.clock.now_ms(), _done(second, request, late))
            return
        task = asyncio.create_task(self._ask(second, request), name=f"shadow of {second.name}")
        self._tasks[second.name] = task
        task.add_done_callback(lambda _done: self._tasks.pop(second.name, None))

    async def _ask(self, second: RunningAgent, request: ModelRequest) -> None:
        with self._contained():
            settings = second.config.model_settings
            asked = replace(request, agent=second.name, model=second.config.model, settings=settings)
            self._answered(second, request, await second.client.decide(asked))

    def _answered(self, second: RunningAgent, request: ModelRequest, answer: ModelAnswer) -> None:
        events: list[Event] = [_done(second, request, answer)]
        lane = self._lane(second.name)
        if answer.outcome is Outcome.DECIDED and lane is not None and lane.model == second.config.model:
            seen = {view.instrument: Seen(view.price, request.slot_ms) for view in request.views}
            items = tuple(self._item(second, lane, draft, seen[draft.instrument]) for draft in answer.drafts)
            events.append(LaneDecided(agent=second.name, cycle_id=_cycle(second, request), items=items))
        self._desk.journal.record(self._desk.clock.now_ms(), *events)

    def _item(self, second: RunningAgent, lane: Lane, draft: DecisionDraft, seen: Seen) -> CycleItem:
        held, mark = lane.of(draft.instrument).position.qty, self._desk.surroundings.valuation.marks[draft.instrument]
        target, disposition, bound_by, checks = held, Disposition.HOLD, "", ()
        if draft.direction is not Direction.HOLD:
            ruling = self._judge(second, lane, draft, self._desk.clock.now_ms(), seen)
            target, bound_by, checks = ruling.decision.target_qty, ruling.bound_by, ruling.assessment.checks
            unchanged = Disposition.NO_CHANGE if ruling.intent is None else Disposition.ACTED
            disposition = Disposition.REFUSED if ruling.assessment.refused else unchanged
        return CycleItem(
            draft.instrument, draft.direction, disposition, held, target, draft.confidence, mark.price, mark.ts_ms,
            draft.rationale[:500], "", bound_by, checks,
        )  # fmt: skip

    def _lane(self, agent: str) -> Lane | None:
        return self._desk.journal.books.lanes.open.get(agent)

    def _begin(self, second: RunningAgent) -> Lane | None:
        books, around = self._desk.journal.books, self._desk.surroundings
        equity, net = around.equity(), agent_net(books, around.valuation, second.name)
        if equity is None or net is None:
            return None
        opened = LaneOpened(
            agent=second.name, model=second.config.model, capital=kept(equity * second.config.capital_share_frac),
            agent_net=kept(net),
        )  # fmt: skip
        self._desk.journal.record(self._desk.clock.now_ms(), opened)
        return books.lanes.open[second.name]

    def _request(self, second: RunningAgent, lane: Lane, request: ModelRequest) -> ModelRequest:
        views = tuple(self._view(second, lane, view) for view in request.views)
        return ModelRequest(second.name, second.config.model, request.slot_ms, views, {})

    def _view(self, second: RunningAgent, lane: Lane, view: InstrumentView) -> InstrumentView:
        series = self._desk.market.series(view.instrument, second.config.timeframe_ms)
        features = second.indicators[view.instrument].compute(series)
        return InstrumentView(
            view.instrument, features, view.price, view.price_ms, lane.of(view.instrument).position.qty
        )

    def _judge(
        self, second: RunningAgent, lane: Lane, draft: DecisionDraft, now_ms: int, seen: Seen | None = None
    ) -> Ruling:
        name = f"{second.name}.{LANE}"
        real = self._desk.surroundings.gather(second.config, draft, f"{name}:{draft.instrument}", now_ms, seen=seen)
        ruling = judge(self._in_lane(real, lane), name, f"{name}:{draft.instrument}")
        if ruling.intent is not None:
            self._waiting[second.name, draft.instrument] = ruling.intent
        return ruling

    def _in_lane(self, real: Situation, lane: Lane) -> Situation:
        """Return a situation with the lane's figures where the account's and the agent's stand."""
        key = real.instrument.key
        money = money_of(lane, self._desk.surroundings.valuation)
        share = real.agent.capital_share_frac
        own: dict[str, Any] = {
            "current_qty": lane.of(key).position.qty,
            "account_qty": lane.of(key).position.qty,
            "open_instruments": len(set(money.worth) - {key}),
            "exposure": money.exposure,
            "net_exposure": sum(money.worth.values(), ZERO),
            "agent_exposure": money.exposure,
            "held": money.worth,
            "free_cash": money.cash,
            "capital": money.capital,
            "equity": money.capital / share if share else money.capital,
            "trades_today": lane.trades_on(real.now_ms),
            "account_trades_today": lane.trades_on(real.now_ms),
            "last_loss_ms": lane.of(key).lost_ms,
            "last_refusal_ms": None,
            "working": int((lane.agent, key) in self._waiting),
            "already_decided": False,
            "in_doubt": "",
        }
        return replace(real, **{name: value for name, value in own.items() if name in _SITUATION})


def _cycle(second: RunningAgent, request: ModelRequest) -> str:
    return cycle_id(second.name, request.slot_ms)


def _done(second: RunningAgent, request: ModelRequest, answer: ModelAnswer) -> BesideDone:
    return BesideDone(
        purpose=Purpose.SHADOW, cycle_id=_cycle(second, request), agent=second.name, model=second.config.model,
        outcome=answer.outcome, detail=answer.detail[:300], cost_usd=answer.cost_usd or ZERO,
        latency_ms=answer.latency_ms or 0,
    )  # fmt: skip


def agent_net(books: BookState, valuation: Valuation, agent: str) -> Decimal | None:
    """Return what an agent has made after fees in quote, open positions included; None where one has no price."""
    made = sum((r.realized + r.running for (name, _key), r in books.memory.records.items() if name == agent), ZERO)
    for position in books.positions.values():
        if position.agent == agent and position.qty:
            price = valuation.price(position.instrument)
            if price is None:
                return None
            made += position.unrealized(price)
    return made


def standing(books: BookState, valuation: Valuation, agent: str) -> LaneStanding | None:
    """Return an agent beside its lane; None when it has none."""
    lane = books.lanes.open.get(agent)
    if lane is None:
        return None
    net = agent_net(books, valuation, agent)
    mine = None if net is None else net - lane.agent_net
    theirs = _lane_net(valuation, lane)
    mine_after = None if mine is None else mine - lane.spent
    theirs_after = None if theirs is None else theirs - lane.lane_spent
    added = None if mine_after is None or theirs_after is None else mine_after - theirs_after
    return LaneStanding(
        agent=agent, model=lane.model, since_ms=lane.since_ms, agent_net=mine, spent=lane.spent, lane_net=theirs,
        lane_fees=lane.fees, lane_fills=lane.fills, added=added, lane_spent=lane.lane_spent,
        agent_after=mine_after, lane_after=theirs_after,
        outcomes=books.beside.of(Purpose.SHADOW, agent), last=books.beside.last.get((Purpose.SHADOW.value, agent), ""),
    )  # fmt: skip


def _lane_net(valuation: Valuation, lane: Lane) -> Decimal | None:
    total = lane.realized
    for key, held in lane.held.items():
        if held.position.qty:
            price = valuation.price(key)
            if price is None:
                return None
            total += held.position.unrealized(price)
    return total


def _at_once(work: Coroutine[Any, Any, ModelAnswer]) -> ModelAnswer:
    """Return what a deterministic model says; it never waits for anything."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value
    work.close()
    raise UsageError("a shadow's model waited for something, which none may do.")
