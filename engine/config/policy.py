"""policy.toml: the account's limits. A key that is not there takes its documented default, never "no limit" (R20)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from engine.config.fields import Key, choice_of, duration, money, pattern, read_table, share, whole, words
from engine.config.toml import read_toml
from engine.domain.policy import AccountLimits, AiBudget, KillAction, KillLimits, PaperSettings, Policy

FILE_NAME = "policy.toml"

CURRENCY = pattern(r"[A-Z0-9]{2,10}", 'a currency in capitals, such as "USD"')
CASH = money(most="1e12")
KILL_GAIN = share(most="10000%", zero=True)
KILL_LOSS = share(zero=True)
TRADES_PER_DAY = whole(0, 100_000)
RISK_PER_TRADE = share(zero=True)

_KILL = {
    "gain": Key("gain_frac", KILL_GAIN),
    "loss": Key("loss_frac", KILL_LOSS),
    "drawdown": Key("drawdown_frac", KILL_LOSS),
    "daily_loss": Key("daily_loss_frac", KILL_LOSS),
    "action": Key("action", choice_of(KillAction)),
}
_LIMITS = {
    "open_positions": Key("open_positions", whole(0, 1_000)),
    "trades_per_day": Key("trades_per_day", TRADES_PER_DAY),
    "gross_exposure": Key("gross_exposure_frac", share(most="1000%", zero=True)),
    "risk_per_trade": Key("risk_per_trade_frac", RISK_PER_TRADE),
    "price_age": Key("price_age_ms", duration(most_ms=86_400_000)),
    "price_collar": Key("price_collar_frac", share(zero=True)),
    "decision_drift": Key("decision_drift_frac", share(zero=True)),
}
_AI = {
    "usd_per_day": Key("usd_per_day", money(most="100000")),
    "tokens_per_day": Key("tokens_per_day", whole(0, 10**12)),
}
_PAPER = {
    "half_spread": Key("half_spread_frac", share(most="10%", zero=True)),
    "slippage": Key("slippage_frac", share(most="10%", zero=True)),
    "volume_share": Key("volume_share_frac", share()),
    "latency": Key("latency_ms", duration(most_ms=60_000)),
}


def _section(kind: type, keys: dict[str, Key], name: str) -> Any:
    return lambda where, value: kind(**read_table(value, f"{where.rpartition(' ')[0]} [{name}]", keys))


_TOP = {
    "account_currency": Key("account_currency", CURRENCY),
    "cash": Key("cash", CASH),
    "usd_peg": Key("usd_peg", words(CURRENCY)),
    "kill_switch": Key("kill", _section(KillLimits, _KILL, "kill_switch")),
    "limits": Key("limits", _section(AccountLimits, _LIMITS, "limits")),
    "ai_budget": Key("ai_budget", _section(AiBudget, _AI, "ai_budget")),
    "paper": Key("paper", _section(PaperSettings, _PAPER, "paper")),
}


def load_policy(path: Path) -> Policy:
    """Read one policy file."""
    return Policy(**read_table(read_toml(path), str(path), _TOP))


def policy_of(config_dir: Path) -> Policy:
    """Read a configuration directory's policy.toml; the documented defaults where there is none."""
    path = config_dir / FILE_NAME
    return load_policy(path) if path.exists() else Policy()
