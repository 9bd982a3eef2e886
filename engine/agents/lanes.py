"""The counterfactual lane of an agent: a deterministic model decides on the same inputs, and nothing of it is traded.

What it would have done goes through the same sizing and the same guardrails, on figures of the lane's own: its capital
is the agent's at the lane's beginning, its trades are filled at the next candle's open with the paper venue's spread,
slippage and fee, and its stop and target act inside a candle as that venue's do. Volume is taken to be enough. A trade
that waits for its fill when the engine stops is forgotten.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.agents.manager import RunningAgent, hire
from engine.domain.agent import AgentConfig
from engine.domain.book_state import BookState
from engine.domain.decision import DecisionDraft, Direction, Outcome
from engine.domain.events import Incident, LaneFilled, LaneOpened
from engine.domain.intent import Intent
from engine.domain.lanes import Lane, LaneStanding
from engine.domain.market import Candle
from engine.domain.money import ZERO, kept
from engine.domain.order import OrderType, Side
from engine.domain.policy import PaperSettings
from engine.domain.portfolio import Position
from engine.domain.valuation import Valuation
from engine.errors import StoreError, UsageError
from engine.execution.paper_match import at_limit, at_market, at_stop
from engine.llm.client import InstrumentView, ModelAnswer, ModelRequest
from engine.llm.router import client_for, parse_model
from engine.risk.gate import judge
from engine.risk.situation import Situation

if TYPE_CHECKING:
    from engine.agents.cycle import Desk

_SITUATION = {field.name for field in fields(Situation)}


def check_shadow(config: AgentConfig) -> None:
    """Raise UsageError when an agent's shadow is no deterministic model."""
    if config.shadow is None:
        return
    provider, _name = parse_model(config.shadow)
    if provider != "heuristic":
        raise UsageError(
            f"shadow {config.shadow} of {config.name} would cost money; name a heuristic, or leave it out."
        )


def second_agents(agents: Iterable[AgentConfig]) -> dict[str, RunningAgent]:
    """Return agent -> the second model that decides beside it, for those that name one. Raises as check_shadow does."""
    found: dict[str, RunningAgent] = {}
    for config in agents:
        check_shadow(config)
        if config.shadow is not None:
            twin = replace(config, model=config.shadow, model_settings={})
            found[config.name] = hire(twin, client_for(twin.model))
    return found


class LaneRunner:
    """Runs lanes on a desk whose money it never touches. What breaks in one ends the lanes, never a cycle."""

    def __init__(self, desk: Desk, seconds: dict[str, RunningAgent], paper: PaperSettings) -> None:
        self._desk, self._paper, self._seconds = desk, paper, seconds
        self._waiting: dict[tuple[str, str], Intent] = {}

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
        """Let an agent's second model decide on the instruments of a request; before its own model is asked."""
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
        answer = _at_once(second.client.decide(self._request(second, lane, request)))
        for draft in answer.drafts if answer.outcome is Outcome.DECIDED else ():
            if draft.direction is not Direction.HOLD:
                self._judge(second, lane, draft, request.slot_ms)

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

    def _judge(self, second: RunningAgent, lane: Lane, draft: DecisionDraft, now_ms: int) -> None:
        name = f"{second.name}.lane"
        real = self._desk.surroundings.gather(second.config, draft, f"{name}:{draft.instrument}", now_ms)
        ruling = judge(self._in_lane(real, lane), name, f"{name}:{draft.instrument}")
        if ruling.intent is not None:
            self._waiting[second.name, draft.instrument] = ruling.intent

    def _in_lane(self, real: Situation, lane: Lane) -> Situation:
        """Return a situation with the lane's figures where the account's and the agent's stand."""
        key = real.instrument.key
        worth = {each: self._worth(held.position) for each, held in lane.held.items() if held.position.qty}
        exposure = sum(map(abs, worth.values()), ZERO)
        capital = lane.capital + lane.realized + sum(self._gains(lane), ZERO)
        share = real.agent.capital_share_frac
        own: dict[str, Any] = {
            "current_qty": lane.of(key).position.qty,
            "account_qty": lane.of(key).position.qty,
            "open_instruments": len(set(worth) - {key}),
            "exposure": exposure,
            "net_exposure": sum(worth.values(), ZERO),
            "agent_exposure": exposure,
            "held": worth,
            "free_cash": capital - sum(worth.values(), ZERO),
            "capital": capital,
            "equity": capital / share if share else capital,
            "trades_today": lane.trades_on(real.now_ms),
            "account_trades_today": lane.trades_on(real.now_ms),
            "last_loss_ms": lane.of(key).lost_ms,
            "last_refusal_ms": None,
            "working": int((lane.agent, key) in self._waiting),
            "already_decided": False,
            "in_doubt": "",
        }
        return replace(real, **{name: value for name, value in own.items() if name in _SITUATION})

    def _worth(self, position: Position) -> Decimal:
        price = self._desk.surroundings.valuation.price(position.instrument)
        return position.cost if price is None else position.qty * price

    def _gains(self, lane: Lane) -> Iterator[Decimal]:
        for held in lane.held.values():
            if held.position.qty:
                yield self._worth(held.position) - held.position.cost


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
    added = None if mine is None or theirs is None else mine - lane.spent - theirs
    return LaneStanding(
        agent=agent, model=lane.model, since_ms=lane.since_ms, agent_net=mine, spent=lane.spent, lane_net=theirs,
        lane_fees=lane.fees, lane_fills=lane.fills, added=added,
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
