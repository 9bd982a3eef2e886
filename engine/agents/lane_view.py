"""A lane's own money: for its sizing and guardrails, and as a language model that decides in it is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.agents.briefing import Brief, Briefing
from engine.agents.context import StaleInputError, View, build_context
from engine.agents.manager import RunningAgent
from engine.agents.prompts import render
from engine.domain.intent import Intent
from engine.domain.lanes import Lane
from engine.domain.money import ZERO
from engine.domain.portfolio import Position
from engine.domain.valuation import Valuation
from engine.llm.client import ModelRequest

if TYPE_CHECKING:
    from engine.agents.cycle import Desk


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneMoney:
    """What a lane has, in account currency. worth: signed, of what it holds, by instrument; at cost without a price."""

    capital: Decimal
    worth: Mapping[str, Decimal]

    @property
    def exposure(self) -> Decimal:
        """Absolute worth of all it holds."""
        return sum(map(abs, self.worth.values()), ZERO)

    @property
    def cash(self) -> Decimal:
        """What it has not invested."""
        return self.capital - sum(self.worth.values(), ZERO)


def money_of(lane: Lane, valuation: Valuation) -> LaneMoney:
    """Return what a lane has at the last prices."""

    def worth(position: Position) -> Decimal:
        price = valuation.price(position.instrument)
        return position.cost if price is None else position.qty * price

    held = {key: each.position for key, each in lane.held.items() if each.position.qty}
    values = {key: worth(position) for key, position in held.items()}
    gains = sum((values[key] - position.cost for key, position in held.items()), ZERO)
    return LaneMoney(capital=lane.capital + lane.realized + gains, worth=values)


class LaneView(View):
    """The desk as a lane's model is told of it: the agent's inputs, and the lane's own money, trades and decisions.

    waiting: what it has decided and is not filled yet.
    """

    def __init__(self, desk: Desk, agent: RunningAgent, now_ms: int, lane: Lane, waiting: Iterable[Intent]) -> None:
        super().__init__(desk, agent, now_ms)
        self.lane, self.waiting = lane, tuple(waiting)
        self.money = money_of(lane, desk.surroundings.valuation)
        share = agent.config.capital_share_frac
        self.equity = self.money.capital / share if share else self.money.capital
        self.memory = self.books.lanes.memory

    def trades_today(self) -> int:
        """As of View, the lane's."""
        return self.lane.trades_on(self.now_ms)

    def portfolio(self, symbols: Mapping[str, str]) -> dict[str, Any]:
        """As of View, the lane's."""
        self.ages_ms["portfolio"] = 0
        return {
            "total_value": self.equity,
            "agent_capital": self.money.capital,
            "cash_balance": self.money.cash,
            "buying_power": self.money.cash,
            "gross_exposure": self.money.exposure,
            "positions": [self.told_position(name, key) for name, key in symbols.items() if self.held(key)],
            "positions_of_other_agents": 0,
            "age_s": 0,
        }

    def position(self, key: str) -> Position:
        """As of View, the lane's."""
        return self.lane.of(key).position

    def orders(self) -> list[dict[str, Any]]:
        """Return what waits for its fill; stops and targets stand with the positions they would rest for."""
        return [
            {
                "symbol": self.books.instruments[each.instrument].symbol,
                "role": each.role.value,
                "side": each.side.value,
                "type": each.order_type.value,
                "quantity": each.qty,
                "limit_price": each.limit_price,
                "stop_price": each.stop_price,
                "status": "WAITING",
            }
            for each in self.waiting
        ]

    def lost_ms(self, key: str) -> int | None:
        """As of View, the lane's."""
        return self.lane.of(key).lost_ms


def briefing_in_lane(
    desk: Desk, second: RunningAgent, lane_of: Callable[[str], Lane | None], waiting: Callable[[str], Iterable[Intent]]
) -> Briefing:
    """Return what briefs a lane's language model."""

    def brief(request: ModelRequest) -> Brief | str:
        lane = lane_of(second.name)
        if lane is None:
            return "its lane has not begun."
        keys = [view.instrument for view in request.views]
        try:
            view = LaneView(desk, second, request.slot_ms, lane, waiting(second.name))
            context = build_context(desk, second, request.trigger, keys, request.slot_ms, view=view)
            prompt = render(context, second.config)
        except StaleInputError as error:
            return error.sentence
        return Brief(prompt=prompt, symbols=context.symbols, held=context.held)

    return brief
