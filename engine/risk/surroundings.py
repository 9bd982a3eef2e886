"""Gather a decision's surroundings from the books, the market and the policy."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.domain.agent import AgentConfig, AgentStatus
from engine.domain.books import Books
from engine.domain.decision import DecisionDraft, Direction
from engine.domain.instrument import Instrument
from engine.domain.money import ONE, ZERO
from engine.domain.order import Order, OrderRole, OrderStatus, Side
from engine.domain.policy import Policy
from engine.domain.portfolio import Position
from engine.domain.valuation import MissingRateError, Valuation
from engine.ids import client_order_id
from engine.market.sessions import is_open
from engine.market.state import MarketState
from engine.risk.situation import Situation


@dataclass(slots=True)
class Surroundings:
    """The live state that situations are read from; the policy is replaced when another is adopted."""

    books: Books
    market: MarketState
    valuation: Valuation
    policy: Policy

    def gather(self, agent: AgentConfig, draft: DecisionDraft, decision_id: str, now_ms: int) -> Situation:
        """Return everything a guardrail may look at for one draft of one agent, as of now."""
        books, instrument = self.books, self.books.instruments[draft.instrument]
        position = books.position(agent.name, instrument.key)
        equity = self.equity()
        return Situation(
            now_ms=now_ms,
            draft=draft,
            agent=agent,
            agent_status=books.agent_status.get(agent.name, AgentStatus.STOPPED),
            instrument=instrument,
            policy=self.policy,
            state=books.state,
            mark=self.valuation.marks.get(instrument.key),
            median=self.market.median_close(instrument.key),
            current_qty=position.qty,
            account_qty=books.held(instrument.key),
            open_instruments=self._other_open(agent.name, instrument.key),
            exposure=sum((self._value(p) for p in books.open_positions()), ZERO),
            agent_exposure=sum((self._value(p) for p in books.open_positions() if p.agent == agent.name), ZERO),
            free_cash=self.free_cash(instrument),
            equity=equity,
            capital=None if equity is None else equity * agent.capital_share_frac,
            trades_today=books.trades_on(agent.name, now_ms),
            account_trades_today=books.trades_on("", now_ms),
            last_loss_ms=books.last_loss_ms.get((agent.name, instrument.key)),
            working=self._in_the_way(agent.name, instrument.key, entering=draft.direction is Direction.BUY),
            already_decided=self._traded(decision_id),
            market_open=is_open(instrument.calendar, now_ms),
        )

    def equity(self) -> Decimal | None:
        """Return equity in account currency, unrealised included; None when an asset cannot be valued."""
        try:
            return self.valuation.equity(self.books.balances)
        except MissingRateError:
            return None

    def free_cash(self, instrument: Instrument) -> Decimal:
        """Return the quote balance less what working buys reserve; an UNKNOWN order reserves in full (R10)."""
        balance = self.books.balances.get(instrument.quote, ZERO)
        return balance - sum(
            (self._reserved(o) for o in self.books.orders.values() if self._spends(o, instrument)), ZERO
        )

    def _spends(self, order: Order, instrument: Instrument) -> bool:
        quote = self.books.instruments[order.instrument].quote
        return order.side is Side.BUY and not order.role.is_protection and quote == instrument.quote

    def _reserved(self, order: Order) -> Decimal:
        qty = order.qty if order.status is OrderStatus.UNKNOWN else order.open_qty
        instrument = self.books.instruments[order.instrument]
        price = order.limit_price or self.valuation.price(order.instrument) or ZERO
        return qty * price * (ONE + instrument.taker_fee)

    def _value(self, position: Position) -> Decimal:
        price = self.valuation.price(position.instrument)
        return abs(position.cost if price is None else position.qty * price)

    def _other_open(self, agent: str, instrument: str) -> int:
        """Count open sub-positions, entries on their way included, other than this one."""
        slots = {(p.agent, p.instrument) for p in self.books.open_positions()}
        slots |= {(o.agent, o.instrument) for o in self.books.orders.values() if o.role is OrderRole.ENTRY}
        return len(slots - {(agent, instrument)})

    def _in_the_way(self, agent: str, instrument: str, *, entering: bool) -> int:
        """Count the agent's own working orders; an UNKNOWN one of anybody's keeps entries out too (R10, O6)."""
        return sum(
            not order.role.is_protection
            and (order.agent == agent or (entering and order.status is OrderStatus.UNKNOWN))
            for order in self.books.working(instrument=instrument)
        )

    def _traded(self, decision_id: str) -> bool:
        books = self.books
        store_id = books.genesis.store_id if books.genesis else ""
        return books.order(client_order_id(store_id, decision_id)) is not None
