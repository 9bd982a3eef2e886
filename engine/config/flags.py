"""The flags of run-agent and replay, into an agent and a policy; read by the same rules as the files.

Flags arrive as a mapping from the flag's name without its dashes (asset_pair, stop_loss...) to what was typed;
None, false and empty mean that a flag was not given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from engine.config import agents, policy
from engine.config.distances import as_fields, check_units, distance
from engine.config.fields import share, shown, timeframe
from engine.config.instruments import Instruments
from engine.config.models import ModelNames
from engine.config.toml import refuse_secrets
from engine.domain.agent import AgentConfig, Protection, Schedule
from engine.domain.intent import Autonomy
from engine.domain.policy import Policy
from engine.errors import UsageError

Flags = Mapping[str, Any]

DEFAULT_MODEL = "heuristic:sma_cross"
DEFAULT_TIMEFRAME_MS = 300_000
_APPROVAL_MODES = {"auto": Autonomy.AUTO, "manual": Autonomy.APPROVE}

# flag -> the field it fills and how it is read
_LIMITS: dict[str, tuple[str, Callable[[str, Any], Any]]] = {
    "min_confidence": ("confidence_min", agents.CONFIDENCE),
    "max_daily_trades": ("trades_per_day", agents.TRADES_PER_DAY),
    "qty": ("qty_fixed", agents.QTY),
}
_PROTECTION = {
    "stop_loss": ("stop", agents.or_off(distance(agents.STOP))),
    "take_profit": ("target", agents.or_off(distance(agents.TARGET))),
}
_KILL = {
    "kill_switch_gain": ("gain_frac", policy.KILL_GAIN),
    "kill_switch_loss": ("loss_frac", policy.KILL_LOSS),
    "max_drawdown": ("drawdown_frac", policy.KILL_LOSS),
    "max_daily_loss": ("daily_loss_frac", policy.KILL_LOSS),
}
_ACCOUNT = {
    "risk_per_trade": ("risk_per_trade_frac", policy.RISK_PER_TRADE),
    "max_daily_trades": ("trades_per_day", policy.TRADES_PER_DAY),
    "max_daily_loss": ("daily_loss_frac", policy.KILL_LOSS),
}


def flags_to_agent(
    flags: Flags,
    instruments: Instruments,
    *,
    base: AgentConfig | None = None,
    model: str | None = None,
    pairs: Sequence[str] = (),
    timeframe_ms: int = DEFAULT_TIMEFRAME_MS,
    models: ModelNames | None = None,
) -> AgentConfig:
    """Return the agent that flags describe, over a base agent where there is one.

    model, pairs (instrument keys) and timeframe_ms stand in for flags not given. models: that a bare name may mean.
    Raises UsageError, naming the flag.
    """
    names = models or ModelNames()
    agent = base or _plain_agent(flags, model, pairs, timeframe_ms, names)
    named = _pairs(flags, instruments)
    made = replace(
        agent,
        model=names.full("--model", flags["model"]) if flags.get("model") else agent.model,
        instruments=named or agent.instruments,
        timeframe_ms=timeframe("--timeframe", flags["timeframe"]) if flags.get("timeframe") else agent.timeframe_ms,
        autonomy=_autonomy(flags) or agent.autonomy,
        model_settings={**agent.model_settings, **_settings(flags)},
        schedule=_schedule(flags) or agent.schedule,
        protection=_protection(agent, flags),
        limits=replace(agent.limits, **_given(flags, _LIMITS), **_max_position(flags)),
    )
    check_units(made, instruments, "--stop-loss or --take-profit:")
    return made


def _protection(agent: AgentConfig, flags: Flags) -> Protection:
    given = _given(flags, _PROTECTION)
    fields = {key: value for name, read in given.items() for key, value in as_fields(name, read).items()}
    return replace(agent.protection, **fields)


def flags_to_policy(flags: Flags, base: Policy) -> Policy:
    """Return the base policy with the account limits that flags name; the trader's typed word wins over the file."""
    cash = {"cash": policy.CASH("--cash", flags["cash"])} if _is_given(flags, "cash") else {}
    return replace(
        base,
        kill=replace(base.kill, **_given(flags, _KILL)),
        limits=replace(base.limits, **_given(flags, _ACCOUNT)),
        **cash,
    )


def check_flags(flags: Flags, config_dir: Path) -> None:
    """Raise UsageError when run-agent's flags, over the files of a configuration directory, cannot be used."""
    flags_to_agent(flags, Instruments.load(config_dir), models=ModelNames(config_dir))
    flags_to_policy(flags, policy.policy_of(config_dir))


def agents_of(
    words: Iterable[str],
    flags: Flags,
    instruments: Instruments,
    *,
    config_dir: Path | None = None,
    pairs: Sequence[str] = (),
    timeframe_ms: int = DEFAULT_TIMEFRAME_MS,
) -> tuple[AgentConfig, ...]:
    """Return one agent for each word: an agent file, the name of one in the configuration, or a model.

    No word: one agent from the flags. Agents of the same name are told apart by a number; in name order.
    """
    models = ModelNames(config_dir)
    made = [
        flags_to_agent(
            flags, instruments, base=base, model=None if base else word, pairs=pairs, timeframe_ms=timeframe_ms,
            models=models,
        )
        for word in (list(words) or [flags.get("model") or DEFAULT_MODEL])
        for base in [_agent_file(word, instruments, config_dir, models)]
    ]  # fmt: skip
    return tuple(sorted(_told_apart(made), key=lambda agent: agent.name))


def _agent_file(word: str, instruments: Instruments, config_dir: Path | None, models: ModelNames) -> AgentConfig | None:
    if ":" in word and not word.endswith(".toml"):
        return None
    named = config_dir / agents.FOLDER / f"{word}.toml" if config_dir and "/" not in word else None
    if named is not None and named.exists():
        return agents.load_agent(named, instruments, models)
    if word.endswith(".toml"):
        return agents.load_agent(Path(word), instruments, models)
    if models.knows(word):
        return None
    raise UsageError(
        f"--agent {word} is neither an agent file, nor the name of one in the configuration, nor a model; "
        f'write a path ending in .toml, or a model such as "{DEFAULT_MODEL}".'
    )


def _told_apart(made: Iterable[AgentConfig]) -> list[AgentConfig]:
    taken: dict[str, int] = {}
    apart = []
    for agent in made:
        number = taken[agent.name] = taken.get(agent.name, 0) + 1
        apart.append(agent if number == 1 else replace(agent, name=f"{agent.name[:29]}-{number}"))
    return apart


def _plain_agent(
    flags: Flags, model: str | None, pairs: Sequence[str], timeframe_ms: int, models: ModelNames
) -> AgentConfig:
    chosen = models.full("--model", flags.get("model") or model or DEFAULT_MODEL)
    if not pairs and not flags.get("asset_pair"):
        raise UsageError('--asset-pair is missing; name what to trade, such as "--asset-pair BTC/USDT".')
    name = re.sub(r"[^a-z0-9]+", "-", chosen.partition(":")[2].lower()).strip("-")[:32]
    return AgentConfig(name=name or "agent", model=chosen, instruments=tuple(pairs), timeframe_ms=timeframe_ms)


def _pairs(flags: Flags, instruments: Instruments) -> tuple[str, ...]:
    written = flags.get("asset_pair") or ()
    items = [written] if isinstance(written, str) else written
    names = [name.strip() for item in items for name in item.split(",") if name.strip()]
    return tuple(dict.fromkeys(instruments.resolve(name, where="--asset-pair").key for name in names))


def _is_given(flags: Flags, flag: str) -> bool:
    return flags.get(flag) not in (None, "", ())


def _given(flags: Flags, table: Mapping[str, tuple[str, Callable[[str, Any], Any]]]) -> dict[str, Any]:
    return {
        field: parse("--" + flag.replace("_", "-"), flags[flag])
        for flag, (field, parse) in table.items()
        if _is_given(flags, flag)
    }


def _max_position(flags: Flags) -> dict[str, Decimal]:
    """A share bounds the part of equity in one instrument, an amount its value."""
    if not _is_given(flags, "max_position"):
        return {}
    written = str(flags["max_position"]).strip()
    if written.endswith(("%", "bps")):
        return {"portfolio_share_frac": share(zero=True)("--max-position", written)}
    return {"position_notional_max": agents.NOTIONAL("--max-position", written)}


def _autonomy(flags: Flags) -> Autonomy | None:
    """Who says yes, by --autonomous, --observe or --approval-mode; two that disagree are refused."""
    asked = {"--autonomous": Autonomy.AUTO} if flags.get("autonomous") else {}
    if flags.get("observe"):
        asked["--observe"] = Autonomy.OBSERVE
    if flags.get("approval_mode"):
        asked["--approval-mode"] = _approval_mode(str(flags["approval_mode"]))
    if len(set(asked.values())) > 1:
        raise UsageError(f"{' and '.join(asked)} contradict each other; keep one of them.")
    return next(iter(asked.values()), None)


def _approval_mode(written: str) -> Autonomy:
    if written in ("telegram", "redis"):
        raise UsageError(
            f"--approval-mode {written} does not exist here; write auto, or manual to approve in the console "
            "or with `quarterdeck approve`."
        )
    if written not in _APPROVAL_MODES:
        raise UsageError(f"--approval-mode {shown(written)} is not known; write auto or manual.")
    return _APPROVAL_MODES[written]


def _schedule(flags: Flags) -> Schedule | None:
    """A bare number is seconds, as run-agent always had it; "candle" is each closed candle."""
    if not _is_given(flags, "analysis_frequency"):
        return None
    written = str(flags["analysis_frequency"]).strip()
    if written == "candle":
        return Schedule()
    text = written + "s" if written.isdigit() else written
    return Schedule(every_candle=False, interval_ms=agents.INTERVAL("--analysis-frequency", text))


def _settings(flags: Flags) -> dict[str, str | int | float | bool]:
    read: dict[str, str | int | float | bool] = {}
    for item in flags.get("set") or ():
        key, equals, value = str(item).partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_]\w{0,60}", key):
            raise UsageError(f'--set {shown(str(item))} is not key=value; write one such as "--set fast=10".')
        refuse_secrets({key: value}, "--set")
        read[key] = _typed(key, value.strip())
    return read


def _typed(key: str, value: str) -> str | int | float | bool:
    if value in ("true", "false"):
        return value == "true"
    if re.fullmatch(r"[+-]?\d{1,18}", value):
        return int(value)
    try:
        return agents.setting(f"--set {key}", Decimal(value))
    except InvalidOperation:
        return value
