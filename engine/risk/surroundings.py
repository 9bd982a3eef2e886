"""Gather a decision's surroundings from the books, the market and the policy."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from engine.domain.agent import AgentConfig, AgentStatus
from engine.domain.books import DAY_MS, Books
from engine.domain.decision import DecisionDraft, Direction
from engine.domain.instrument import Instrument
from engine.domain.intent import Intent
from engine.domain.money import ONE, ZERO
from engine.domain.order import Order, OrderStatus, Side
from engine.domain.policy import Policy
from engine.domain.portfolio import Position
from engine.domain.valuation import MissingRateError, Valuation
from engine.domain.values import quick_value
from engine.ids import client_order_id
from engine.market.daily_index import DailyIndex, IndexClose
from engine.market.ranges import TrueRanges
from engine.market.sessions import is_open
from engine.market.state import MarketState
from engine.risk.checks import HEAD_ROOM_FRAC
from engine.risk.inputs import is_off
from engine.risk.leaving import short
from engine.risk.situation import Situation


@quick_value
class Seen:
    """The price that a decision was made on, None when there was none, and when it was looked at."""

    price: Decimal | None
    ts_ms: int


@quick_value
class Coming:
    """A buy that may still fill, as if it had: qty in base, value in quote. cost: the most it takes, before fees."""

    agent: str
    instrument: str
    qty: Decimal
    value: Decimal
    cost: Decimal


_Worth = Sequence[tuple[Position, Decimal]]
"""The open positions, each with its absolute value in quote."""


@dataclass(slots=True)
class Surroundings:
    """The live state that situations are read from; the policy is replaced when another is adopted.

    unguarded: instrument -> whose position there lacks its resting stop: nothing is entered beside it (R16).
    folder: where the files that the policy names are found.
    """

    books: Books
    market: MarketState
    valuation: Valuation
    policy: Policy
    ranges: TrueRanges = field(default_factory=TrueRanges)
    unguarded: dict[str, str] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)
    _index: DailyIndex | None = None

    def gather(
        self, agent: AgentConfig, draft: DecisionDraft, decision_id: str, now_ms: int, beside: Sequence[Intent] = (),
        *, seen: Seen | None = None,
    ) -> Situation:  # fmt: skip
        """Return everything a guardrail may look at for one draft of one agent, as of now.

        beside: intents of the same cycle that are not on record yet. They, and entries on their way, count as if
        they had filled: two decisions of one instant must not each use the same room. seen: the price that the
        decision was made on, and when; without it, it is made at this moment.
        """
        books, instrument = self.books, self.books.instruments[draft.instrument]
        name, key, conduct = agent.name, draft.instrument, self.books.memory.conduct
        equity = self.equity()
        coming = list(self._coming(beside)) if beside or books.orders else []
        worth = [(position, self._value(position)) for position in books.open_positions()]
        held, unbooked = self._held(worth, coming), self._unbooked()
        mark = self.valuation.marks.get(key)
        seen = seen or Seen(mark.price if mark else None, now_ms)
        return Situation(
            now_ms=now_ms,
            draft=draft,
            agent=agent,
            agent_status=books.agent_status.get(name, AgentStatus.STOPPED),
            instrument=instrument,
            policy=self.policy,
            state=books.state,
            mark=mark,
            median=self.market.median_close(key),
            quote=self.market.quote(key),
            seen_price=seen.price,
            seen_ms=seen.ts_ms,
            current_qty=books.position(name, key).qty,
            account_qty=books.held(key) + _qty_of(coming, key),
            open_instruments=self._other_open(name, key, coming),
            exposure=_exposure(worth, coming) + unbooked,
            net_exposure=sum(held.values(), ZERO) + unbooked,
            group_exposure=self._group(instrument, held),
            held=held,
            agent_exposure=_exposure(worth, coming, name),
            free_cash=self.left_of(instrument, coming),
            equity=equity,
            capital=None if equity is None else equity * agent.capital_share_frac,
            day_start=self._day_start(now_ms, equity),
            trades_today=books.trades_on(name, now_ms) + len(beside),
            account_trades_today=books.trades_on("", now_ms) + len(beside),
            trips=conduct.trips(name, now_ms),
            last_loss_ms=books.last_loss_ms.get((name, key)),
            last_refusal_ms=conduct.refused_ms.get((name, key)),
            working=self._in_the_way(name, key) + self._waiting(name, draft, decision_id),
            already_decided=self._traded(decision_id),
            market_open=is_open(instrument.calendar, now_ms),
            history=self.market.recent_bars,
            index=self._index_close(now_ms),
            in_doubt=self.in_doubt(key),
            atr=self.atr(agent, key),
        )

    def atr(self, agent: AgentConfig, instrument: str) -> dict[int, Decimal]:
        """Return the average true ranges that an agent's protection is measured in, by period, as far as known."""
        known = ((n, self.ranges.average(instrument, agent.timeframe_ms, n)) for n in agent.protection.periods)
        return {period: value for period, value in known if value is not None}

    def equity(self) -> Decimal | None:
        """Return equity in account currency, unrealised included; None when an asset cannot be valued."""
        try:
            return self.valuation.running_equity(self.books.balances, self.books.count.postings)
        except MissingRateError:
            return None

    def free_cash(self, instrument: Instrument, beside: Sequence[Intent] = ()) -> Decimal:
        """Return the quote balance less what buys on their way reserve; an UNKNOWN order reserves in full (R10).

        A market order reserves the head-room that it was let through with; a stop order at its trigger does too.
        """
        return self.left_of(instrument, list(self._coming(beside)))

    def shortfall(self, intent: Intent) -> str:
        """Say what is missing to pay for an intent on record and all others on their way, "" when nothing is."""
        instrument = self.books.instruments[intent.instrument]
        coming = list(self._coming((), but=intent.intent_id))
        coming.append(self._as_coming(intent, intent.qty, intent.price))  # the head-room it was let through with, once
        free = self.left_of(instrument, coming) if intent.side is Side.BUY else ZERO
        if free >= 0:
            return ""
        return f"{short(-free)} {instrument.quote} that it was checked against is gone"

    def left_of(self, instrument: Instrument, coming: Collection[Coming]) -> Decimal:
        """Return the quote balance less what these buys may take, fees included."""
        balance = self.books.balances.get(instrument.quote, ZERO)
        if not coming:
            return balance
        listed = self.books.instruments
        spending = [c for c in coming if listed[c.instrument].quote == instrument.quote]
        return balance - sum((c.cost * (ONE + listed[c.instrument].taker_fee) for c in spending), ZERO)

    def _coming(self, beside: Sequence[Intent], *, but: str = "") -> Iterator[Coming]:
        """Yield the buys on their way: working orders, without that of one intent, then those of this cycle."""
        for order in self.books.orders.values():
            if order.side is Side.BUY and not order.role.is_protection and order.intent_id != but:
                qty = order.qty if order.status is OrderStatus.UNKNOWN else order.open_qty
                yield self._as_coming(order, qty)
        for intent in beside:
            if intent.side is Side.BUY:
                yield self._as_coming(intent, intent.qty)

    def _as_coming(self, buy: Order | Intent, qty: Decimal, mark: Decimal | None = None) -> Coming:
        waits = buy.stop_price if isinstance(buy, Order) else buy.trigger_price
        price = buy.limit_price or waits or mark or self.valuation.price(buy.instrument) or buy.price
        value = qty * price
        cost = value if buy.limit_price else value * (ONE + HEAD_ROOM_FRAC)
        return Coming(buy.agent, buy.instrument, qty, value, cost)

    def _value(self, position: Position) -> Decimal:
        price = self.valuation.price(position.instrument)
        return abs(position.cost if price is None else position.qty * price)

    def _held(self, worth: _Worth, coming: Iterable[Coming]) -> dict[str, Decimal]:
        """Return the signed value of what is held and on its way, by instrument; dust is nothing."""
        values: dict[str, Decimal] = {}
        for position, value in worth:
            if not self.books.is_dust(position):
                signed = value.copy_sign(position.qty)
                values[position.instrument] = values.get(position.instrument, ZERO) + signed
        for each in coming:
            values[each.instrument] = values.get(each.instrument, ZERO) + each.value
        return values

    def _group(self, instrument: Instrument, held: Mapping[str, Decimal]) -> Decimal:
        """Return the absolute value of what is held of an instrument's group; without one it is its own."""
        listed = self.books.instruments
        if not held:
            return ZERO
        alike = {instrument.key} | {key for key in held if instrument.group and listed[key].group == instrument.group}
        return sum((abs(held[key]) for key in alike if key in held), ZERO)

    def _day_start(self, now_ms: int, equity: Decimal | None) -> Decimal | None:
        """Return equity at the UTC day's first mark; before that, what it is now."""
        base = self.books.baseline
        return base.day_start if base.day >= now_ms // DAY_MS else equity

    def _index_close(self, now_ms: int) -> IndexClose | None:
        limits = self.policy.limits
        if is_off(limits.volatility_index) or not limits.volatility_index_file:
            return None
        path = self.folder / limits.volatility_index_file
        if self._index is None or self._index.path != path:
            self._index = DailyIndex(path)
        return self._index.before(now_ms)

    def _unbooked(self) -> Decimal:
        """Return the value of coins that the venue holds beyond our ledger: nobody approved them, they count (E32)."""
        if not self.books.differences:
            return ZERO
        beyond = [d for d in self.books.differences.values() if d.asset and d.instrument and d.venue > d.ours]
        return sum(((d.venue - d.ours) * (self.valuation.price(d.instrument) or ZERO) for d in beyond), ZERO)

    def _other_open(self, agent: str, instrument: str, coming: Iterable[Coming]) -> int:
        """Count open sub-positions, entries on their way included, other than this one."""
        slots = {(p.agent, p.instrument) for p in self.books.open_positions() if not self.books.is_dust(p)}
        slots |= {(c.agent, c.instrument) for c in coming}
        return len(slots - {(agent, instrument)})

    def _in_the_way(self, agent: str, instrument: str) -> int:
        """Count the agent's own working orders that are no protection."""
        return sum(not order.role.is_protection for order in self.books.working(agent, instrument))

    def in_doubt(self, instrument: str) -> str:
        """Say why nobody may add exposure here: a person must look, or an order of anybody's is in doubt (R10, O6)."""
        books = self.books
        if why := books.why_blocked(instrument) or self.unguarded.get(instrument):
            return why
        if books.in_doubt:
            for order in books.working(instrument=instrument):
                if order.client_order_id in books.in_doubt:
                    return f"order {order.client_order_id} of {order.agent} is {order.status}"
        return ""

    def _waiting(self, agent: str, draft: DecisionDraft, decision_id: str) -> int:
        """Count the agent's trades here that wait for a person already, other than this one: one card is enough."""
        if not self.books.approvals:
            return 0
        side = Side.BUY if draft.direction is Direction.BUY else Side.SELL
        return sum(
            (asked.agent, asked.instrument, asked.side) == (agent, draft.instrument, side) and key != decision_id
            for key, asked in self.books.approvals.items()
        )

    def _traded(self, decision_id: str) -> bool:
        books = self.books
        store_id = books.genesis.store_id if books.genesis else ""
        return books.order(client_order_id(store_id, decision_id)) is not None


def _exposure(worth: _Worth, coming: Iterable[Coming], agent: str | None = None) -> Decimal:
    """Return the absolute value of positions and buys on their way, of one agent if named."""
    held = sum([value for position, value in worth if agent in (None, position.agent)], ZERO)
    return held + sum([each.value for each in coming if agent in (None, each.agent)], ZERO)


def _qty_of(coming: Iterable[Coming], instrument: str) -> Decimal:
    return sum((each.qty for each in coming if each.instrument == instrument), ZERO)
