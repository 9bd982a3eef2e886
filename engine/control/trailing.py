"""Trailing stops: they follow the best price a position has seen, at a distance, and only ever in its favour."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from engine.agents.cycle import Desk
from engine.domain.agent import AgentConfig
from engine.domain.events import StopTrailed
from engine.domain.market import Instant
from engine.domain.money import round_price
from engine.domain.portfolio import Position
from engine.domain.wishes import Who
from engine.execution.protection import in_doubt, is_growing, stops_of
from engine.execution.stops import rest_stop
from engine.ids import base36

STEPS_PER_DISTANCE = 10
"""A stop moves by at least this part of its distance, so that a slow rise is not an order a candle."""


class Trailing:
    """Moves the resting stops of agents that ask for it. Every method runs on the engine's own thread.

    The best price is that of a closed candle, or of two quotes in a row (R39): one odd price moves nothing. After a
    restart it begins at the entry's price again, and the resting stop, which never moves back, still has the rest.
    """

    def __init__(self, desk: Desk, configs: Mapping[str, AgentConfig]) -> None:
        self._desk = desk
        self._books = desk.journal.books
        self._configs = {name: config for name, config in configs.items() if config.protection.trail is not None}
        self._best: dict[Who, Decimal] = {}
        self._quoted: dict[str, Decimal] = {}

    @property
    def is_asked(self) -> bool:
        """Tell whether any agent has a stop to move."""
        return bool(self._configs)

    async def on_candles(self, instant: Instant) -> None:
        """Follow the closes of an instant."""
        for candle in instant.candles:
            await self._follow(candle.instrument, candle.close)

    async def on_quote(self, instrument: str, price: Decimal) -> None:
        """Follow what two quotes in a row have reached."""
        before, self._quoted[instrument] = self._quoted.get(instrument, price), price
        await self._follow(instrument, min(before, price))

    async def _follow(self, instrument: str, price: Decimal) -> None:
        for config in self._configs.values():
            position = self._books.positions.get((config.name, instrument))
            if position is None or not position.qty > 0:
                self._best.pop((config.name, instrument), None)
                continue
            best = max(self._best.get((config.name, instrument), position.average_price or price), price)
            self._best[config.name, instrument] = best
            await self._move(config, position, best)

    async def _move(self, config: AgentConfig, position: Position, best: Decimal) -> None:
        books, key = self._books, position.instrument
        stops = [order.stop_price for order in stops_of(books, position) if order.stop_price is not None]
        distance = self._distance(config, key, best)
        if not stops or distance is None or books.flatten_id:
            return
        tick, was = books.instruments[key].price_tick, max(stops)
        now = round_price(best - distance, tick, up=True)
        price = self._desk.surroundings.valuation.price(key)
        if now < was + max(tick, distance / STEPS_PER_DISTANCE) or price is None or not now < price:
            return
        if in_doubt(books, position) or is_growing(books, position):
            return
        moved = StopTrailed(agent=config.name, instrument=key, was=was, now=now, best=best)
        desk = self._desk
        name = f"trail.{base36(desk.journal.seq)}"
        await rest_stop(desk.journal, desk.router, desk.clock, position, now, price, name, moved)

    def _distance(self, config: AgentConfig, instrument: str, price: Decimal) -> Decimal | None:
        trail = config.protection.trail
        known = self._desk.surroundings.atr(config, instrument)
        return None if trail is None else trail.of(price, known.get(trail.period))
