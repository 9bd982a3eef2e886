"""Counterfactual lanes: what a second model would have made of an agent's inputs, on books that move no money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from engine.domain.budget import Purpose
from engine.domain.events.asking import ModelAsked
from engine.domain.events.beside import AskedBeside
from engine.domain.events.records import LaneDecided, LaneFilled, LaneOpened
from engine.domain.instrument import Instrument
from engine.domain.memory import Memory
from engine.domain.money import ZERO
from engine.domain.order import Fill, Liquidity
from engine.domain.portfolio import Position

LANE_EVENTS = (LaneOpened, LaneFilled, LaneDecided)
LANE = "lane"
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class LanePosition:
    """What a lane holds of one instrument, and the stop and target that it would rest with."""

    position: Position
    stop: Decimal | None = None
    target: Decimal | None = None
    lost_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One agent's lane. Money in account currency; quote counts as that, one for one.

    agent_net: what the agent had made when the lane began. spent: what its models cost since. lane_spent: what the
    lane's own model did. realized: of the lane, after its fees, before its model's cost. day, today: trades of the
    latest UTC day.
    """

    agent: str
    model: str
    since_ms: int
    capital: Decimal
    agent_net: Decimal
    held: dict[str, LanePosition] = field(default_factory=dict)
    realized: Decimal = ZERO
    fees: Decimal = ZERO
    spent: Decimal = ZERO
    lane_spent: Decimal = ZERO
    fills: int = 0
    day: int = -1
    today: int = 0

    def of(self, instrument: str) -> LanePosition:
        """Return what it holds of an instrument; flat where it has traded nothing."""
        return self.held.get(instrument) or LanePosition(Position(self.agent, instrument))

    def trades_on(self, ts_ms: int) -> int:
        """Return how many trades it made in the UTC day of an instant."""
        return self.today if self.day == ts_ms // DAY_MS else 0

    def after(self, ts_ms: int, event: LaneFilled) -> Lane:
        """Return the lane after one of its trades."""
        before = self.of(event.instrument)
        position = before.position.after_fill(event.side.sign * event.qty, event.price, ts_ms)
        gained = position.realized - before.position.realized
        lost_ms = ts_ms if gained < 0 else before.lost_ms
        grown = abs(position.qty) > abs(before.position.qty)
        stop, target = (event.stop, event.target) if grown else (before.stop, before.target)
        guarded = (stop, target) if position.qty else (None, None)
        return replace(
            self,
            held={**self.held, event.instrument: LanePosition(position, *guarded, lost_ms)},
            realized=self.realized + gained - event.fee,
            fees=self.fees + event.fee,
            fills=self.fills + 1,
            day=ts_ms // DAY_MS,
            today=self.trades_on(ts_ms) + 1,
        )


@dataclass(slots=True)
class Lanes:
    """The lanes by agent. memory: what each lane's own trades and decisions came to, as the agents' is of theirs."""

    open: dict[str, Lane] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)

    def take(self, ts_ms: int, event: LaneOpened | LaneFilled | LaneDecided, listed: Mapping[str, Instrument]) -> None:
        """Take a lane's event in; one of another model begins it anew."""
        if isinstance(event, LaneOpened):
            self.open[event.agent] = Lane(
                agent=event.agent, model=event.model, since_ms=ts_ms, capital=event.capital, agent_net=event.agent_net
            )
            self.memory.forget(event.agent)
        elif isinstance(event, LaneDecided):
            self.memory.decided(ts_ms, event.agent, event.items)
        elif event.agent in self.open:
            before = self.open[event.agent]
            self.open[event.agent] = lane = before.after(ts_ms, event)
            key, instrument = event.instrument, listed[event.instrument]
            self.memory.filled(
                before.of(key).position, lane.of(key).position, _fill(ts_ms, event, instrument), instrument
            )

    def asked(self, event: ModelAsked) -> None:
        """Count what the agent's own model cost."""
        lane = self.open.get(event.agent)
        if lane is not None and event.cost_usd:
            self.open[event.agent] = replace(lane, spent=lane.spent + event.cost_usd)

    def asked_beside(self, event: AskedBeside) -> None:
        """Count what the lane's own model cost."""
        lane = self.open.get(event.agent)
        if lane is not None and event.purpose is Purpose.SHADOW and event.cost_usd:
            self.open[event.agent] = replace(lane, lane_spent=lane.lane_spent + event.cost_usd)


def _fill(ts_ms: int, event: LaneFilled, listed: Instrument) -> Fill:
    return Fill(
        venue=listed.venue, account=LANE, instrument=event.instrument, trade_id="", client_order_id="",
        side=event.side, qty=event.qty, price=event.price, fee=event.fee, fee_asset=listed.quote,
        liquidity=Liquidity.TAKER, ts_ms=ts_ms,
    )  # fmt: skip
