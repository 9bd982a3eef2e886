"""All that a guardrail may look at, gathered once per decision, so that each is a pure function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, field
from decimal import Decimal

from engine.domain.agent import AgentConfig, AgentStatus
from engine.domain.conduct import RoundTrips
from engine.domain.decision import DecisionDraft
from engine.domain.instrument import Instrument
from engine.domain.market import Candle, Quote
from engine.domain.policy import Policy, TradingState
from engine.domain.valuation import Mark
from engine.domain.values import quick_value
from engine.market.daily_index import IndexClose

History = Callable[[str], Sequence[Candle]]
"""Gives an instrument's latest bars of the feed's own length, oldest first; asked only by checks that measure."""


@quick_value
class Situation:
    """One decision's surroundings at an instant. Quantities in base, money in quote or account currency.

    mark: the price it is sized at; None: there is none. median: of the last closes, the collar's centre; None: too few.
    quote: the venue's bid and ask; None: it gives none. seen_price, seen_ms: the price that the decision was made on.
    current_qty: the agent's own position, signed. account_qty: over all agents.
    open_instruments: other (agent, instrument) sub-positions that are open. exposure: absolute value of all positions,
    this one included; net_exposure: their signed value; group_exposure: absolute value of those in the instrument's
    group. held: signed value by instrument, dust left out. All of these count entries on their way as filled.
    free_cash: quote balance less what working orders reserve. equity, capital: account currency;
    capital: the agent's share of equity. agent_exposure: absolute value of the agent's positions.
    day_start: equity at the first mark of the UTC day. trips: the agent's round trips of 30 days.
    last_loss_ms: when this agent last closed at a loss here. last_refusal_ms: when its last entry here was refused.
    working: the agent's working orders here that are not protection. already_decided: this decision id has traded
    before. market_open None: the calendar is not known. index: the volatility index's last close before today.
    in_doubt: why nobody may add exposure in this instrument; "": nothing stands against it.
    atr: average true ranges of the agent's candles here, in quote, by the period its protection is measured in.
    """

    _: KW_ONLY
    now_ms: int
    draft: DecisionDraft
    agent: AgentConfig
    agent_status: AgentStatus
    instrument: Instrument
    policy: Policy
    state: TradingState
    mark: Mark | None
    median: Decimal | None
    quote: Quote | None
    seen_price: Decimal | None
    seen_ms: int | None
    current_qty: Decimal
    account_qty: Decimal
    open_instruments: int
    exposure: Decimal
    net_exposure: Decimal
    group_exposure: Decimal
    held: Mapping[str, Decimal]
    agent_exposure: Decimal
    free_cash: Decimal
    equity: Decimal | None
    capital: Decimal | None
    day_start: Decimal | None
    trades_today: int
    account_trades_today: int
    trips: RoundTrips
    last_loss_ms: int | None
    last_refusal_ms: int | None
    working: int
    already_decided: bool
    market_open: bool | None
    history: History
    index: IndexClose | None = None
    in_doubt: str = ""
    atr: Mapping[int, Decimal] = field(default_factory=dict)

    @property
    def price(self) -> Decimal:
        """The mark's price; only asked for once PRICE_AGE has passed."""
        if self.mark is None:
            raise ValueError(f"no price for {self.instrument.key}")
        return self.mark.price
