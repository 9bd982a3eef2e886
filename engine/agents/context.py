"""What a language model is told: built from what the engine knows at one instant, each part with its age.

A missing or stale input is no input: StaleInputError, and nobody is asked (A30). What is not known by its nature, such
as an average over more bars than there are yet, is null and said to be so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

from engine.agents.digest import digest, performance
from engine.agents.manager import RunningAgent
from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS, iso
from engine.domain.agent import AgentConfig
from engine.domain.memory import Remembered
from engine.domain.money import ZERO
from engine.domain.news import NewsItem
from engine.domain.order import Order
from engine.domain.portfolio import Position
from engine.domain.risk import CheckCode
from engine.domain.valuation import Mark
from engine.errors import UsageError
from engine.market.indicators import Indicators
from engine.market.sessions import is_open

if TYPE_CHECKING:
    from engine.agents.cycle import Desk
    from engine.domain.instrument import Instrument

NEEDED = ("rsi:14", "macd:12,26,9", "sma:20", "sma:50", "bollinger:20,2", "atr:14", "volume_avg:20")
"""Indicators of the agent's own timeframe that must be warm before a model is asked."""
WISHED = ("sma:200", "volatility:20", "highest:20", "lowest:20")
"""Further ones, null until they are warm. A language model's features_needed() names both, so that bars are kept."""
FRAMES_MS = (MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS, HOUR_MS, 4 * HOUR_MS, DAY_MS)
FRAMES_MAX = 4
CHANGES_MS = (HOUR_MS, DAY_MS)
NEWS_MAX = 20
Data = Mapping[str, Any]


class StaleInputError(Exception):
    """Something a model must be told is missing, or too old, or does not fit: nobody is asked."""

    def __init__(self, sentence: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What one question of one agent rests on.

    data: plain values by name, in the order they are told; numbers are Decimals or floats. symbols: as the model may
    write them -> instrument key. held: instrument key -> the agent's position. ages_ms: how old each input is.
    has_news: text of others is in it (R30).
    """

    agent: str
    now_ms: int
    trigger: str
    data: Data
    symbols: Mapping[str, str]
    held: Mapping[str, Decimal]
    ages_ms: Mapping[str, int]
    has_news: bool = False


def timeframes(timeframe_ms: int, interval_ms: int) -> tuple[int, ...]:
    """Return the bar lengths an agent is told of: its own, then longer ones that the feed's bars can make.

    >>> [each // 60_000 for each in timeframes(300_000, 60_000)], timeframes(86_400_000, 86_400_000)
    ([5, 15, 60, 240], (86400000,))
    """
    longer = [span for span in FRAMES_MS if span > timeframe_ms and span % interval_ms == 0]
    return (timeframe_ms, *longer[: FRAMES_MAX - 1])


def frames_read(agent: RunningAgent, interval_ms: int) -> tuple[int, ...]:
    """Return the bar lengths the market must keep for an agent: its own, and where it is told of several, those too."""
    specs = {spec.spec for each in agent.indicators.values() for spec in each.indicators}
    span_ms = agent.config.timeframe_ms
    return timeframes(span_ms, interval_ms) if specs.issuperset(NEEDED) else (span_ms,)


def build_context(
    desk: Desk, agent: RunningAgent, trigger: str, instruments: Sequence[str], now_ms: int,
    news: Sequence[NewsItem] = (), view: View | None = None,
) -> Context:  # fmt: skip
    """Return what an agent's model is told about instruments. Raises StaleInputError, in one sentence.

    view: of whose money it is told; the agent's own without one.
    """
    view = view or View(desk, agent, now_ms)
    symbols = view.symbols(instruments)
    prices = {symbol: view.price(key) for symbol, key in symbols.items()}
    pulse = {symbol: view.pulse(key) for symbol, key in symbols.items()}
    config, data = agent.config, dict[str, Any]()
    data["timestamp"] = iso(now_ms)
    data["trigger"] = {"type": trigger.partition(":")[0], "reason": trigger, "age_s": 0}
    data["agent"] = {"name": config.name, "goal": config.goal, "risk_appetite": config.risk_appetite}
    data["trading_state"] = desk.journal.books.state.value
    data["market_hours"] = all(each["market_open"] for each in prices.values())
    data["risk_limits"] = view.limits()
    data["portfolio"] = view.portfolio(symbols)
    data["open_orders"] = view.orders()
    data["current_prices"] = prices
    data["indicators"] = pulse
    data["digest"] = view.digest(symbols)
    data["agent_performance"] = view.performance()
    data["previous_decisions"] = [view.decision(each) for each in view.memory.decisions.get(agent.name, ())]
    data["news"] = [view.news(each) for each in sorted(news, key=lambda one: -one.published_ms)[:NEWS_MAX]]
    return Context(
        agent=agent.name, now_ms=now_ms, trigger=trigger, data=data, symbols=symbols,
        held={key: view.held(key) for key in symbols.values()}, ages_ms=view.ages_ms, has_news=bool(data["news"]),
    )  # fmt: skip


class View:
    """One agent's view of the desk at an instant. ages_ms: filled while it looks."""

    def __init__(self, desk: Desk, agent: RunningAgent, now_ms: int) -> None:
        self.desk, self.agent, self.now_ms = desk, agent, now_ms
        self.books, self.market = desk.journal.books, desk.market
        self.memory, self.policy = self.books.memory, desk.surroundings.policy
        self.config: AgentConfig = agent.config
        self.ages_ms: dict[str, int] = {}
        equity = desk.surroundings.equity()
        if equity is None:
            raise StaleInputError("the account cannot be valued: an asset in it has no price.")
        self.equity = equity

    def symbols(self, instruments: Sequence[str]) -> dict[str, str]:
        """Return what the model may write -> key: the venue's symbol, or the key where two venues share one."""
        named = [self._listed(key).symbol for key in instruments]
        return {
            symbol if named.count(symbol) == 1 else key: key for symbol, key in zip(named, instruments, strict=True)
        }

    def _listed(self, key: str) -> Instrument:
        listed = self.books.instruments.get(key)
        if listed is None:
            raise StaleInputError(f"{key} is not listed.")
        return listed

    # Prices and indicators

    def price(self, key: str) -> dict[str, Any]:
        mark = self.desk.surroundings.valuation.marks.get(key)
        if mark is None or not (mark.price.is_finite() and mark.price > 0):
            raise StaleInputError(f"{key} has no price.")
        self._fresh(f"price of {key}", mark.ts_ms, self.policy.limits.price_age_ms)
        opened = is_open(self._listed(key).calendar, self.now_ms)
        if opened is None:
            raise StaleInputError(f"it is not known whether the market of {key} is open.")
        quote, bar = self.market.quote(key), self._series(key, self.config.timeframe_ms).last
        return {
            "price": mark.price,
            "age_s": self._age_s(mark.ts_ms),
            "source": mark.source.kind.value,
            **({"bid": quote.bid, "ask": quote.ask} if quote else {}),
            **self._changes(key, mark),
            "volume": None if bar is None else bar.volume,
            "market_open": opened,
        }

    def _changes(self, key: str, mark: Mark) -> dict[str, Any]:
        """Return how far the price is from where it was, by span; None where the bars do not reach so far back."""
        span_ms = self.config.timeframe_ms
        closes = self._series(key, span_ms).tail("close", 1 + DAY_MS // span_ms)
        found: dict[str, Any] = {}
        for back_ms in CHANGES_MS:
            bars = back_ms // span_ms
            name = f"change_{_span(back_ms)}_percent"
            if bars:
                then = float(closes[-1 - bars]) if len(closes) > bars else None
                found[name] = None if not then else round((float(mark.price) / then - 1) * 100, 4)
        return found

    def pulse(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for span_ms in timeframes(self.config.timeframe_ms, self.market.interval_ms):
            try:
                values, closed_ms = self._values(key, span_ms), self.market.closed_at(key, span_ms)
            except UsageError:  # a longer frame that nobody asked the market to keep
                continue
            if span_ms == self.config.timeframe_ms:
                self._require_warm(key, span_ms, values, closed_ms)
            if closed_ms is not None:
                found[_span(span_ms)] = {"age_s": self._age_s(closed_ms), **_now_and_before(values)}
        return found

    def _values(self, key: str, span_ms: int) -> Mapping[str, float]:
        """Return the indicators of one timeframe; NaN where its bars were not kept, which is not the same as warm."""
        pulse, series = self._indicators(), self._series(key, span_ms)
        series.reserve(pulse.window)
        if series.end < min(series.count, pulse.window):
            return dict.fromkeys([name for each in pulse.names for name in (each, f"{each}_prev")], nan)
        return pulse.compute(series)

    def _require_warm(self, key: str, span_ms: int, values: Mapping[str, float], closed_ms: int | None) -> None:
        if closed_ms is None:
            raise StaleInputError(f"{key} has no closed bar of {_span(span_ms)}.")
        self._fresh(f"bar of {key}", closed_ms, 2 * span_ms + self.policy.limits.price_age_ms)
        cold = [name for name in _NEEDED_NAMES if not isfinite(values[name])]
        if cold:
            raise StaleInputError(f"{key} has too few bars of {_span(span_ms)} for {', '.join(cold[:3])}.")

    def _indicators(self) -> Indicators:
        if self.agent.pulse is None:
            self.agent.pulse = Indicators((*NEEDED, *WISHED))
        return self.agent.pulse

    def _series(self, key: str, span_ms: int) -> Any:
        return self.market.series(key, span_ms)

    def _fresh(self, what: str, ts_ms: int, most_ms: int) -> None:
        age_ms = self.now_ms - ts_ms
        if not age_ms <= most_ms:
            raise StaleInputError(f"the {what} is {age_ms / 1000:g} s old; {most_ms / 1000:g} s is the most.")
        self.ages_ms[what] = max(0, age_ms)

    def _age_s(self, ts_ms: int) -> float:
        return round(max(0, self.now_ms - ts_ms) / 1000, 1)

    # The account, the agent's part of it, and what it may do

    def limits(self) -> dict[str, Any]:
        own, account = self.config.limits, self.policy.limits
        spent = self.trades_today()
        return {
            "max_position_size": own.position_notional_max,
            "max_portfolio_allocation": own.portfolio_share_frac * 100,
            "max_daily_trades": own.trades_per_day,
            "trades_left_today": max(0, own.trades_per_day - spent),
            "max_quantity": own.qty_max,
            "min_confidence": own.confidence_min,
            "risk_per_trade_percent": account.risk_per_trade_frac * 100,
            "max_open_positions": account.open_positions,
            "max_gross_exposure_percent": account.gross_exposure_frac * 100,
            "shorts_allowed": False,
        }

    def trades_today(self) -> int:
        """Return how many trades it made today."""
        return self.books.trades_on(self.config.name, self.now_ms)

    def portfolio(self, symbols: Mapping[str, str]) -> dict[str, Any]:
        others = [p for p in self.books.open_positions() if p.agent != self.config.name]
        quotes = {self._listed(key).quote: self._listed(key) for key in symbols.values()}
        free = {quote: self.desk.surroundings.free_cash(listed) for quote, listed in quotes.items()}
        worth = [abs(self._worth(position)) for position in self.books.open_positions()]
        cash = sum((self.books.balances.get(quote, ZERO) for quote in quotes), ZERO)
        self.ages_ms["portfolio"] = 0
        return {
            "total_value": self.equity,
            "agent_capital": self.equity * self.config.capital_share_frac,
            "cash_balance": cash,
            "buying_power": sum(free.values(), ZERO),
            "gross_exposure": sum(worth, ZERO),
            "positions": [self.told_position(name, key) for name, key in symbols.items() if self.held(key)],
            "positions_of_other_agents": len(others),
            "age_s": 0,
        }

    def held(self, key: str) -> Decimal:
        """Return the agent's position; what is below one step can never be sold, and is none."""
        position = self.position(key)
        return ZERO if not position.qty or self.books.is_dust(position) else position.qty

    def position(self, key: str) -> Position:
        """Return its position in an instrument."""
        return self.books.position(self.config.name, key)

    def told_position(self, name: str, key: str) -> dict[str, Any]:
        position = self.position(key)
        mark = self.desk.surroundings.valuation.price(key) or ZERO
        gain = position.unrealized(mark)
        return {
            "symbol": name,
            "quantity": position.qty,
            "avg_cost": _short(position.average_price),
            "current_price": mark,
            "notional": _short(position.qty * mark),
            "unrealized_pnl": _short(gain),
            "pnl_percent": _short(gain / abs(position.cost) * 100) if position.cost else None,
            "realized_pnl": _short(position.realized),
            "held_s": self._age_s(position.entered_ms),
        }

    def _worth(self, position: Position) -> Decimal:
        price = self.desk.surroundings.valuation.price(position.instrument)
        return position.cost if price is None else position.qty * price

    def orders(self) -> list[dict[str, Any]]:
        """Return its working orders."""
        return [self._order(each) for each in self.books.working(self.config.name)]

    def _order(self, order: Order) -> dict[str, Any]:
        return {
            "symbol": self._listed(order.instrument).symbol,
            "role": order.role.value,
            "side": order.side.value,
            "type": order.order_type.value,
            "quantity": order.open_qty,
            "limit_price": order.limit_price,
            "stop_price": order.stop_price,
            "status": order.status.value,
            "age_s": self._age_s(order.created_ms),
        }

    # What came of earlier decisions

    def digest(self, symbols: Mapping[str, str]) -> dict[str, Any]:
        names = {key: name for name, key in symbols.items()}
        return {
            names[entry.instrument]: {
                "trade_count": entry.trade_count,
                "realized_pnl": _short(entry.realized_pnl),
                "win_rate": _rounded(entry.win_rate),
                "avg_holding_s": None if entry.avg_holding_ms is None else entry.avg_holding_ms // 1000,
                "last_trade_age_s": None if entry.last_trade_ts is None else self._age_s(entry.last_trade_ts),
                "avg_entry_price": _short(entry.avg_entry_price),
                "max_drawdown": _short(entry.max_drawdown),
                "recent_performance_score": _rounded(entry.recent_performance_score),
                "cooling_down": self._cooling(entry.instrument),
            }
            for entry in digest(self.memory, self.config.name, tuple(symbols.values()))
        }

    def _cooling(self, key: str) -> bool:
        lost_ms = self.lost_ms(key)
        return lost_ms is not None and self.now_ms - lost_ms < self.config.limits.cooldown_after_loss_ms

    def lost_ms(self, key: str) -> int | None:
        """Return when it last closed at a loss in an instrument."""
        return self.books.last_loss_ms.get((self.config.name, key))

    def performance(self) -> dict[str, Any]:
        told = performance(self.memory, self.config.name, self.now_ms)
        return {
            "win_rate_last_30_days": _rounded(told.win_rate_30_days),
            "total_pnl_last_30_days": _short(told.total_pnl_30_days),
            "trades_last_30_days": told.trades_30_days,
            "recent_trades": [
                {
                    "symbol": each.instrument.partition(":")[2],
                    "side": "long" if each.side > 0 else "short",
                    "pnl": _short(each.result),
                    "age_s": self._age_s(each.ended_ms),
                }
                for each in told.recent_trades
            ],
        }

    def decision(self, one: Remembered) -> dict[str, Any]:
        price = self.desk.surroundings.valuation.price(one.instrument)
        moved = None if not (price and one.price) else _short((price / one.price - 1) * 100)
        refused = one.bound_by if one.bound_by in CheckCode.__members__ and one.disposition == "REFUSED" else ""
        return {
            "symbol": one.instrument.partition(":")[2],
            "age_s": self._age_s(one.ts_ms),
            "decision": one.direction.value,
            "from_quantity": one.current_qty,
            "to_quantity": one.target_qty,
            "confidence": one.confidence,
            "became": one.disposition.value,
            **({"refused_by": refused} if refused else {}),
            "price_then": one.price,
            "price_moved_percent_since": moved,
            "pnl": _short(one.result),
            "reasoning": one.rationale,
        }

    def news(self, item: NewsItem) -> dict[str, Any]:
        return {
            "title": item.title,
            "summary": item.summary,
            "source": item.source,
            "symbols": list(item.symbols),
            "age_s": self._age_s(item.published_ms),
        }


_NEEDED_NAMES = tuple(Indicators(NEEDED).names)


def _now_and_before(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return the values without those of the bar before, but for the two that crossings are seen by."""
    told = {name: value for name, value in values.items() if not name.endswith("_prev")}
    told |= {name: values[name] for name in ("rsi_14_prev", "macd_hist_12_26_9_prev")}
    return {name: float(f"{value:.7g}") if isfinite(value) else None for name, value in told.items()}


def _short(value: Decimal | None) -> Decimal | None:
    """Round a figure that is only told to 10 digits; quantities and prices are told in full."""
    return None if value is None else Decimal(f"{value:.10g}")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _span(length_ms: int) -> str:
    for unit, unit_ms in (("d", DAY_MS), ("h", HOUR_MS), ("m", MINUTE_MS)):
        if length_ms % unit_ms == 0:
            return f"{length_ms // unit_ms}{unit}"
    return f"{length_ms // 1000}s"
