"""policy.toml: the account's limits. A key that is not there takes its documented default, never "no limit" (R20)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.config.contradictions import refuse_contradictions
from engine.config.fields import (
    Key,
    Parser,
    choice_of,
    duration,
    money,
    multiple,
    or_word_off,
    pattern,
    read_table,
    share,
    suggestion,
    text,
    truth,
    whole,
    words,
)
from engine.config.toml import read_toml
from engine.domain.caps import AiBudget, ShareBudget
from engine.domain.intent import Autonomy
from engine.domain.killing import EQUITY_RULES, KillAction, KillLimits, KillRule, KillUnit, steps_of
from engine.domain.money import percent
from engine.domain.policy import (
    AccountLimits,
    AiRules,
    ApprovalRules,
    AskFor,
    FallbackRule,
    FlattenLimits,
    GovernanceRules,
    OnMissing,
    PaperSettings,
    Policy,
    ProtectionRules,
)
from engine.errors import UsageError

FILE_NAME = "policy.toml"
PRESETS = Path(__file__).parent / "presets"

CURRENCY = pattern(r"[A-Z0-9]{2,10}", 'a currency in capitals, such as "USD"')
CASH = money(most="1e12")
KILL_GAIN = share(most="10000%", zero=True)
KILL_LOSS = share(zero=True)
FAILURES = whole(1, 1_000)
TRADES_PER_DAY = whole(0, 100_000)
RISK_PER_TRADE = share(zero=True)


def _confidence(where: str, value: Any) -> Decimal:
    """Read how sure value at risk is to be; beyond 99 % the kept bars have no tail to read it from."""
    read: Decimal = share()(where, value)
    if not Decimal("0.9") <= read <= Decimal("0.99"):
        raise UsageError(f'{where} {percent(read)} is out of bounds; write "90%" to "99%".')
    return read


_KILL = {
    "gain": Key("gain_frac", KILL_GAIN),
    "loss": Key("loss_frac", KILL_LOSS),
    "drawdown": Key("drawdown_frac", KILL_LOSS),
    "daily_loss": Key("daily_loss_frac", KILL_LOSS),
    "daily_profit": Key("daily_profit_frac", KILL_GAIN),
    "analysis_failures": Key("analysis_failures", FAILURES),
    "venue_failures": Key("venue_failures", FAILURES),
    "stale_data": Key("stale_data_ms", duration(least_ms=1_000, most_ms=7 * 86_400_000)),
    "ledger_drift": Key("ledger_drift_frac", KILL_LOSS),
    "clock_skew": Key("clock_skew_ms", duration(least_ms=100, most_ms=86_400_000)),
    "loop_lag": Key("loop_lag_ms", duration(least_ms=500, most_ms=3_600_000)),
    "warn_at": Key("warn_at_frac", share()),
    "reduce_at": Key("reduce_at_frac", share()),
    "hysteresis": Key("hysteresis_frac", share(most="90%", zero=True)),
    "thresholds": Key("thresholds", lambda where, value: _thresholds(where, value)),
    "action": Key("action", choice_of(KillAction)),
}
_SHARE_TO_1000 = share(most="1000%", zero=True)
_LIMITS = {
    "open_positions": Key("open_positions", whole(0, 1_000)),
    "trades_per_day": Key("trades_per_day", TRADES_PER_DAY),
    "confidence_min": Key("confidence_min", share(zero=True)),
    "autonomy": Key("autonomy", choice_of(Autonomy)),
    "gross_exposure": Key("gross_exposure_frac", _SHARE_TO_1000),
    "net_exposure": Key("net_exposure_frac", _SHARE_TO_1000),
    "leverage": Key("leverage", multiple(most="10", zero=True)),
    "group_share": Key("group_share_frac", _SHARE_TO_1000),
    "risk_per_trade": Key("risk_per_trade_frac", RISK_PER_TRADE),
    "stop_distance": Key("stop_distance_frac", share(most="50%", zero=True)),
    "reward_risk": Key("reward_risk", or_word_off(multiple(most="100"))),
    "daily_loss": Key("daily_loss_frac", share(zero=True)),
    "daily_profit": Key("daily_profit_frac", or_word_off(share(most="1000%"))),
    "price_age": Key("price_age_ms", duration(most_ms=86_400_000)),
    "price_collar": Key("price_collar_frac", share(zero=True)),
    "spread": Key("spread_frac", share(zero=True)),
    "decision_age": Key("decision_age_ms", duration(most_ms=86_400_000)),
    "decision_drift": Key("decision_drift_frac", share(zero=True)),
    "volatility_index": Key("volatility_index", or_word_off(money(most="1000", above_zero=True))),
    "volatility_index_file": Key("volatility_index_file", text(300)),
    "volatility": Key("volatility_frac", or_word_off(share(most="10000%"))),
    "average_volume": Key("average_volume", or_word_off(money(above_zero=True))),
    "correlation": Key("correlation", share(zero=True)),
    "correlated_positions": Key("correlated_positions", whole(0, 1_000)),
    "value_at_risk": Key("value_at_risk_frac", or_word_off(share())),
    "value_at_risk_confidence": Key("value_at_risk_confidence", _confidence),
    "win_rate": Key("win_rate_frac", or_word_off(share())),
    "agent_loss": Key("agent_loss_frac", or_word_off(share())),
}
_BUDGET = {
    "usd_per_day": Key("usd_per_day", money(most="100000")),
    "tokens_per_day": Key("tokens_per_day", whole(0, 10**12)),
    "usd_per_month": Key("usd_per_month", money(most="1000000")),
    "tokens_per_month": Key("tokens_per_month", whole(0, 10**13)),
}
_AI_RULES = {
    "live_inference": Key("live_inference", truth),
    "fallback_paper": Key("fallback_paper", choice_of(FallbackRule)),
    "fallback_live": Key("fallback_live", choice_of(FallbackRule)),
    "prompts_kept_days": Key("prompts_kept_days", whole(0, 3_650)),
}
_APPROVALS = {
    "ask": Key("ask", choice_of(AskFor)),
    "expires_max": Key("expires_max_ms", duration(least_ms=1_000, most_ms=86_400_000)),
}
_GOVERNANCE = {
    "require_approval": Key("require_approval", truth),
    "cooling_off": Key("cooling_off_ms", duration(most_ms=30 * 86_400_000)),
}
_PAPER = {
    "half_spread": Key("half_spread_frac", share(most="10%", zero=True)),
    "slippage": Key("slippage_frac", share(most="10%", zero=True)),
    "volume_share": Key("volume_share_frac", share()),
    "latency": Key("latency_ms", duration(most_ms=60_000)),
}
_PROTECTION = {
    "missing": Key("missing", choice_of(OnMissing)),
    "deadline": Key("deadline_ms", duration(least_ms=1_000, most_ms=600_000)),
    "stop": Key("stop_frac", share(most="50%")),
    "external_stop": Key("external_stop_frac", or_word_off(share(most="50%"))),
}
_FLATTEN = {
    "slippage_max": Key("slippage_max_frac", share(most="50%")),
    "steps": Key("steps", whole(1, 20)),
    "step_wait": Key("step_ms", duration(least_ms=500, most_ms=600_000)),
    "manual_url": Key("manual_url", lambda where, value: _urls(where, value)),
}


@dataclass(frozen=True, slots=True)
class Section:
    """A table of the file: the value it makes, and its keys; called, it reads the table."""

    kind: Callable[..., Any]
    keys: Mapping[str, Key]
    name: str

    def __call__(self, where: str, value: Any) -> Any:
        place = where.rpartition(" ")[0].removesuffix(f" [{self.name.rpartition('.')[0]}]")
        inside = f"{place} [{self.name}]"
        return self.made(inside, read_table(value, inside, self.keys))

    def made(self, inside: str, read: Mapping[str, Any]) -> Any:
        """Return the table's value; UsageError, naming the place, for values that do not go together."""
        try:
            return self.kind(**read)
        except UsageError as error:
            raise UsageError(f"{inside}: {error}") from None


def _or_off(parse: Parser) -> Parser:
    """Read a cap, or "off": no cap of its own."""
    return lambda where, value: None if value == "off" else parse(where, value)


_SHARE = {name: Key(key.field, _or_off(key.parse)) for name, key in _BUDGET.items()}


def _by_name(table: str) -> Parser:
    """Read tables under a table, by name: [ai_budget.agents.dip-buyer]."""

    def parse(where: str, value: Any) -> dict[str, ShareBudget]:
        if not isinstance(value, dict):
            raise UsageError(f"{where} must hold tables such as [{table}.NAME].")
        place = where.rpartition(" ")[0].removesuffix(f" [{table.rpartition('.')[0]}]")
        for name in value:
            _NAME(f"{where} {table}", name)
        return {
            name: ShareBudget(**read_table(each, f"{place} [{table}.{name}]", _SHARE)) for name, each in value.items()
        }

    return parse


_URL = pattern(r"https?://[!-~]{1,300}", 'a page such as "https://example.com/orders"')
_NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", "a name of letters, digits, - and _")
_AI = {
    **_BUDGET,
    "each_provider": Key("each_provider", Section(ShareBudget, _SHARE, "ai_budget.each_provider")),
    "each_agent": Key("each_agent", Section(ShareBudget, _SHARE, "ai_budget.each_agent")),
    "providers": Key("providers", _by_name("ai_budget.providers")),
    "agents": Key("agents", _by_name("ai_budget.agents")),
}


def _kill_switch(**read: Any) -> KillLimits:
    """Make the kill switch's limits; a rule whose tiers are out of order is refused."""
    limits = KillLimits(**read)
    for rule in KillRule:
        steps_of(limits, rule)
    idle = [name for name in limits.thresholds if name.endswith("_halt")]
    if idle and limits.action is KillAction.HALT:
        raise UsageError(f'thresholds {idle[0]} has no meaning beside action = "halt": its limit halts; take it out.')
    return limits


def _urls(where: str, value: Any) -> Mapping[str, str]:
    """Read where a person closes by hand, by venue: { binance = "https://..." }."""
    if not isinstance(value, dict):
        raise UsageError(f'{where} must name a page for each venue, such as {{ binance = "https://..." }}.')
    for name in value:
        _NAME(f"{where} {name}", name)
    return {name: _URL(f"{where} {name}", url) for name, url in value.items()}


def _thresholds(where: str, value: Any) -> Mapping[str, Decimal]:
    """Read thresholds of single tiers, such as loss_warn = "3%"; each in the unit of its rule's limit."""
    return read_table(value, where, _THRESHOLDS)


def _threshold_keys() -> Iterator[tuple[str, Key]]:
    read = {KillUnit.FRAC: share(most="10000%"), KillUnit.COUNT: FAILURES, KillUnit.MS: duration(least_ms=1)}
    for rule in KillRule:
        tiers = ("warn", "reduce", "halt") if rule in EQUITY_RULES else ("warn", "reduce")
        for tier in tiers if rule is not KillRule.LOOP_LAG else ("warn",):
            yield f"{rule}_{tier}", Key(f"{rule}_{tier}", _as_decimal(read[rule.unit]))
        yield f"{rule}_hysteresis", Key(f"{rule}_hysteresis", share(most="90%", zero=True))


def _as_decimal(parse: Parser) -> Parser:
    return lambda where, value: Decimal(parse(where, value))


_THRESHOLDS = dict(_threshold_keys())

_TOP = {
    "account_currency": Key("account_currency", CURRENCY),
    "cash": Key("cash", CASH),
    "usd_peg": Key("usd_peg", words(CURRENCY)),
    "kill_switch": Key("kill", Section(_kill_switch, _KILL, "kill_switch")),
    "limits": Key("limits", Section(AccountLimits, _LIMITS, "limits")),
    "ai_budget": Key("ai_budget", Section(AiBudget, _AI, "ai_budget")),
    "ai": Key("ai", Section(AiRules, _AI_RULES, "ai")),
    "approvals": Key("approvals", Section(ApprovalRules, _APPROVALS, "approvals")),
    "governance": Key("governance", Section(GovernanceRules, _GOVERNANCE, "governance")),
    "paper": Key("paper", Section(PaperSettings, _PAPER, "paper")),
    "protection": Key("protection", Section(ProtectionRules, _PROTECTION, "protection")),
    "flatten": Key("flatten", Section(FlattenLimits, _FLATTEN, "flatten")),
}


def presets() -> dict[str, Path]:
    """Return the policies that come with the program, by name."""
    return {path.stem: path for path in sorted(PRESETS.glob("*.toml"))}


def preset(name: str) -> Path:
    """Return a preset's file. Raises UsageError for a name that is none."""
    known = presets()
    if name not in known:
        raise UsageError(f"There is no preset {name}; {suggestion(name, known, 'there are')}")
    return known[name]


def load_policy(path: Path) -> Policy:
    """Read one policy file, or the preset of that name where there is no such file.

    Raises UsageError for what cannot be read, and for limits that contradict each other.
    """
    if not path.exists() and len(path.parts) == 1 and not path.suffix:
        path = preset(path.name)
    table = read_toml(path)
    policy = Policy(**read_table(table, str(path), _TOP))
    written = {f"{name}.{key}" for name, inner in table.items() if isinstance(inner, dict) for key in inner}
    check_policy(policy, str(path), written)
    return policy


def check_policy(policy: Policy, where: str, written: Collection[str] = ()) -> None:
    """Raise UsageError for limits that contradict each other. written: names of values that a file holds."""
    for key in _TOP.values():
        if isinstance(key.parse, Section):
            value = getattr(policy, key.field)
            key.parse.made(
                f"{where} [{key.parse.name}]", {each.name: getattr(value, each.name) for each in fields(value)}
            )
    known = policy_fields()
    refuse_contradictions(where, lambda name: known[name].of(policy), written)


def policy_of(config_dir: Path) -> Policy:
    """Read a configuration directory's policy.toml; the documented defaults where there is none."""
    path = config_dir / FILE_NAME
    return load_policy(path) if path.exists() else Policy()


@dataclass(frozen=True, slots=True)
class PolicyField:
    """One value of the policy. name: as in the file, "limits.open_positions"; path: the attributes that lead to it."""

    name: str
    path: tuple[str, ...]
    key: Key

    def of(self, policy: Policy) -> Any:
        """Return this field's value."""
        value: Any = policy
        for attribute in self.path:
            value = getattr(value, attribute)
        return value


def policy_fields() -> dict[str, PolicyField]:
    """Return every value that a policy has, by its name, in the file's order."""
    return {each.name: each for each in _flat(_TOP, (), ())}


def _flat(keys: Mapping[str, Key], names: tuple[str, ...], path: tuple[str, ...]) -> Iterator[PolicyField]:
    for name, key in keys.items():
        if isinstance(key.parse, Section):
            yield from _flat(key.parse.keys, (*names, name), (*path, key.field))
        else:
            yield PolicyField(".".join((*names, name)), (*path, key.field), key)
