"""Configuration for the runs that are compared: a fixed size, and nothing that stands between a cross and its fill."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FAST, SLOW = 20, 50
CASH = 1_000_000
UNITS = 1
AGENT = "sma-cross"


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """What is traded. key: "paper:BASE/QUOTE"; alias: what the recording's file name begins with."""

    key: str
    alias: str
    tick: str
    step: str
    timeframe: str
    units: int = UNITS


BTC = Market(key="paper:BTC/USDT", alias="BTCUSDT", tick="0.01", step="0.00001", timeframe="1m")
EUR = Market(key="paper:EUR/USD", alias="EURUSD", tick="0.00001", step="1", timeframe="1h", units=100_000)


def write_config(folder: Path, market: Market, *, protected: bool = False, holds_only: bool = False) -> Path:
    """Write instruments, policy and one agent; return the agent's file.

    protected: with a stop and a target at the venue. holds_only: a model that never finds its signal.
    """
    (folder / "agents").mkdir(parents=True, exist_ok=True)
    base, quote = market.key.removeprefix("paper:").split("/")
    (folder / "instruments.toml").write_text(
        f'[instruments."{market.key}"]\naliases = ["{market.alias}"]\nbase = "{base}"\nquote = "{quote}"\n'
        f'price_tick = "{market.tick}"\nqty_step = "{market.step}"\nmin_notional = "1"\n'
        'maker_fee = "0%"\ntaker_fee = "0%"\nfee_asset = "quote"\ncalendar = "24/7"\n'
    )
    (folder / "policy.toml").write_text(_POLICY)
    cross = "sma_cross", f"fast = {FAST}\nslow = {SLOW}"
    model, settings = ("rsi_reversion", "oversold = 1") if holds_only else cross
    stop, target = ("2%", "5%") if protected else ("off", "off")
    agent = folder / "agents" / f"{AGENT}.toml"
    agent.write_text(
        f'name = "{AGENT}"\nmodel = "heuristic:{model}"\ninstruments = ["{market.key}"]\n'
        f'timeframe = "{market.timeframe}"\n\n[model_settings]\n{settings}\nconfidence = 1\n\n'
        f'[protection]\nstop = "{stop}"\ntarget = "{target}"\n\n{_LIMITS}qty_fixed = "{market.units}"\n'
    )
    return agent


_LIMITS = """[limits]
confidence_min = 0
trades_per_day = 100000
position_notional_max = "1000000000"
portfolio_share = "100%"
cooldown_after_loss = "0s"
"""
_POLICY = f"""account_currency = "USD"
cash = "{CASH}"
usd_peg = ["USDT"]

[kill_switch]
gain = "10000%"
loss = "99%"
drawdown = "99%"
daily_loss = "99%"

[limits]
trades_per_day = 100000
gross_exposure = "1000%"
price_age = "1d"
price_collar = "100%"
decision_drift = "100%"

[paper]
half_spread = "0%"
slippage = "0%"
volume_share = "100%"
latency = "0ms"
"""
