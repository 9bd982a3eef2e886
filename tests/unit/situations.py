"""Situations for tests of the risk room: a plain one, in which a BUY at 100 passes, with any part replaced."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from engine.domain.agent import AgentConfig, AgentLimits, AgentStatus, Protection
from engine.domain.conduct import RoundTrips
from engine.domain.decision import DecisionDraft, Direction
from engine.domain.instrument import Instrument
from engine.domain.market import Candle, Quote, Source, SourceKind
from engine.domain.policy import AccountLimits, Policy, TradingState
from engine.domain.valuation import Mark
from engine.risk.situation import Situation

D = Decimal
NOW_MS = 1_800_000_000_000
KEY = "paper:BTC/USDT"
SOURCE = Source(kind=SourceKind.REPLAY, name="test", speed=0)
INSTRUMENT = Instrument(
    venue="paper",
    symbol="BTC/USDT",
    base="BTC",
    quote="USDT",
    price_tick=D("0.01"),
    qty_step=D("0.001"),
    min_notional=D(5),
    maker_fee=D("0.001"),
    taker_fee=D("0.001"),
    aliases=("BTCUSDT",),
)
DRAFT = DecisionDraft(instrument=KEY, direction=Direction.BUY, rationale="a reason", confidence=D("0.8"))
AGENT = AgentConfig(name="a", model="heuristic:sma_cross", instruments=(KEY,), timeframe_ms=300_000)
WIDE = AgentLimits(position_notional_max=D(1_000_000), portfolio_share_frac=D(1))
_DRAFT = set(DecisionDraft.__dataclass_fields__)
_LIMITS = set(AgentLimits.__dataclass_fields__)
_ACCOUNT = set(AccountLimits.__dataclass_fields__) - _LIMITS
_INSTRUMENT = set(Instrument.__dataclass_fields__)
_SITUATION = set(Situation.__dataclass_fields__)


def quote(bid: object, ask: object, age_ms: int = 0) -> Quote:
    return Quote(
        instrument=KEY, ts_ms=NOW_MS - age_ms, received_ms=NOW_MS, bid=D(str(bid)), ask=D(str(ask)), source=SOURCE
    )


def mark(price: str | None, age_ms: int = 0) -> Mark | None:
    return None if price is None else Mark(D(price), NOW_MS - age_ms, SOURCE)


def bars(closes: Iterable[object], key: str = KEY, *, volume: object = 10, minutes: int = 60) -> tuple[Candle, ...]:
    """Return hourly bars with these closes, the last of which has just ended."""
    prices = [D(str(close)) for close in closes]
    span, first = minutes * 60_000, NOW_MS - minutes * 60_000 * len(prices)
    return tuple(
        Candle(key, first + place * span, span, price, price, price, price, D(str(volume)), SOURCE)
        for place, price in enumerate(prices)
    )


def swinging(count: int, by: object, at: object = 100) -> list[Decimal]:
    """Return closes that go up and down by a share of the price."""
    return [D(str(at)) * (1 + D(str(by)) * (place % 2)) for place in range(count)]


def situation(**parts: Any) -> Situation:
    """Build a situation. A text stands for a Decimal; parts go where their names belong.

    price, current, capital, risk and stop_frac are short for the mark, current_qty, capital, risk_per_trade_frac and
    the protection's stop; account_per_day and account_confidence for the account's own; bid_ask for the quote. agent,
    draft, policy replace the whole.
    """
    parts = {name: D(value) if _is_number(value) else value for name, value in parts.items()}
    price, current = parts.pop("price", D(100)), parts.pop("current", D(0))
    stop_frac = parts.pop("stop_frac", D("0.02"))
    account = {name: parts.pop(name) for name in list(parts) if name in _ACCOUNT}
    if "risk" in parts:
        account["risk_per_trade_frac"] = parts.pop("risk")
    if "account_per_day" in parts:
        account["trades_per_day"] = parts.pop("account_per_day")
    if "account_confidence" in parts:
        account["confidence_min"] = parts.pop("account_confidence")
    draft = replace(DRAFT, **{name: parts.pop(name) for name in list(parts) if name in _DRAFT and name != "instrument"})
    limits = replace(WIDE, **{name: parts.pop(name) for name in list(parts) if name in _LIMITS})
    instrument = replace(INSTRUMENT, **{name: parts.pop(name) for name in list(parts) if name in _INSTRUMENT})
    fields: dict[str, Any] = {
        "now_ms": NOW_MS,
        "draft": draft,
        "agent": replace(AGENT, limits=limits, protection=Protection(stop_frac=stop_frac)),
        "agent_status": AgentStatus.RUNNING,
        "instrument": instrument,
        "policy": Policy(account_currency="USDT", limits=AccountLimits(**account)),
        "state": TradingState.ACTIVE,
        "mark": None if price is None else Mark(price, NOW_MS, SOURCE),
        "median": D(100),
        "quote": parts.pop("bid_ask", None),
        "seen_price": price,
        "seen_ms": NOW_MS,
        "current_qty": current,
        "account_qty": current,
        "open_instruments": 0,
        "exposure": abs(current) * 100,
        "net_exposure": current * 100,
        "group_exposure": abs(current) * 100,
        "held": {KEY: current * 100} if current.is_finite() and current else {},
        "agent_exposure": abs(current) * 100,
        "free_cash": D(100_000),
        "equity": D(100_000),
        "capital": D(100_000),
        "day_start": D(100_000),
        "trades_today": 0,
        "account_trades_today": 0,
        "trips": RoundTrips(),
        "last_loss_ms": None,
        "last_refusal_ms": None,
        "working": 0,
        "already_decided": False,
        "market_open": True,
        "history": lambda key: (),
    }
    unknown = set(parts) - _SITUATION
    if unknown:
        raise TypeError(f"no part of a situation: {sorted(unknown)}")
    return Situation(**{**fields, **parts})


def _is_number(value: object) -> bool:
    if not isinstance(value, str) or isinstance(value, (TradingState, AgentStatus, Direction)):
        return False
    return value in ("NaN", "Infinity") or value.lstrip("-").replace(".", "", 1).isdigit()
