"""agents/*.toml: one agent a file (DESIGN section 9)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.config.distances import as_fields, check_units, distance
from engine.config.fields import (
    Key,
    Parser,
    choice_of,
    duration,
    money,
    pattern,
    read_table,
    share,
    shown,
    text,
    timeframe,
    whole,
    words,
)
from engine.config.instruments import Instruments
from engine.config.models import ModelNames
from engine.config.providers import PROVIDER, with_provider
from engine.config.toml import read_toml
from engine.domain.agent import (
    EXTERNAL,
    TRADER,
    AgentConfig,
    AgentLimits,
    PromptConfig,
    Protection,
    Schedule,
    SizingMethod,
)
from engine.domain.intent import Autonomy, Mode
from engine.domain.policy import OnMissing
from engine.errors import UsageError

FOLDER = "agents"
INTERVAL_MS_MIN = 10_000

_NAME = pattern(r"[a-z0-9][a-z0-9-]{0,31}", 'up to 32 small letters, digits and hyphens, such as "dip-buyer"')
CONFIDENCE = share(zero=True)
TRADES_PER_DAY = whole(0, 100_000)
NOTIONAL = money()
INTERVAL = duration(least_ms=INTERVAL_MS_MIN, most_ms=7 * 86_400_000)
QTY = money(above_zero=True)
STOP = share(most="99%")
TARGET = share(most="1000%")
SETTINGS_MAX = 50
APPROVAL_TTL = duration(least_ms=1_000, most_ms=86_400_000)
NO_LIMITS = frozenset(
    {
        "name", "model", "provider", "timeframe", "strategy", "goal", "risk_appetite", "prompt", "shadow",
        "model_settings", "schedule", "protection.target", "on_failure.fallback",
        "mode",  # LIVE is armed at each start, by a person
    }
)  # fmt: skip
"""What an agent is, rather than what it may do: edited freely, in force from the next start on."""


def load_agent(path: Path, instruments: Instruments, models: ModelNames | None = None) -> AgentConfig:
    """Read one agent file; its instruments become keys of the list. models: that a bare name may mean."""
    read = read_table(with_provider(read_toml(path)), str(path), _top(instruments, models or ModelNames()))
    read.pop("provider", None)  # it stands before the model's name
    agent = AgentConfig(**read.pop("on_failure", {}), **read)
    check_units(agent, instruments, f"{path} [protection]")
    return agent


def agent_files(config_dir: Path) -> list[Path]:
    """Return a configuration directory's agent files, in name order."""
    return sorted((config_dir / FOLDER).glob("*.toml"))


def load_agents(config_dir: Path, instruments: Instruments) -> tuple[AgentConfig, ...]:
    """Read every agent file of a configuration directory, in agent-name order; one name twice is refused."""
    found: dict[str, tuple[AgentConfig, Path]] = {}
    models = ModelNames(config_dir)
    for path in agent_files(config_dir):
        agent = load_agent(path, instruments, models)
        if agent.name in found:
            raise UsageError(f"{path} and {found[agent.name][1]} both name their agent {agent.name}; rename one.")
        found[agent.name] = (agent, path)
    return tuple(agent for _name, (agent, _path) in sorted(found.items()))


def name(where: str, value: Any) -> str:
    """Read an agent's name; the trader's own and the outside's are taken."""
    read = _NAME(where, value)
    if read in (TRADER, EXTERNAL):
        raise UsageError(f"{where} {read} is taken by the engine itself; choose another.")
    return read


def _top(instruments: Instruments, models: ModelNames) -> dict[str, Key]:
    listed = words(instruments.key_of, least=1)
    return {
        "name": Key("name", name, required=True),
        "model": Key("model", models.full, required=True),
        "provider": Key("provider", PROVIDER),
        "instruments": Key("instruments", listed, required=True),
        "timeframe": Key("timeframe_ms", timeframe, required=True),
        "mode": Key("mode", _mode),
        "autonomy": Key("autonomy", choice_of(Autonomy)),
        "capital_share": Key("capital_share_frac", share()),
        "strategy": Key("strategy", text()),
        "goal": Key("goal", text(400)),
        "risk_appetite": Key("risk_appetite", whole(0, 100)),
        "prompt": Key("prompt", _prompt),
        "shadow": Key("shadow", or_off(models.full)),
        "approval_expires": Key("approval_ttl_ms", APPROVAL_TTL),
        "model_settings": Key("model_settings", _settings),
        "schedule": Key("schedule", _schedule),
        "protection": Key("protection", _protection),
        "limits": Key("limits", _limits(words(instruments.key_of))),
        "on_failure": Key("on_failure", _on_failure({**_FAILURE, "fallback": Key("fallback", or_off(models.full))})),
    }


_PROMPT = {
    "system": Key("system", text(20_000)),
    "user": Key("user", text(20_000)),
    "tokens_max": Key("tokens_max", whole(1_000, 1_000_000)),
}


def _prompt(where: str, value: Any) -> PromptConfig:
    return PromptConfig(**read_table(value, _inside(where, "prompt"), _PROMPT))


def _mode(where: str, value: Any) -> Mode:
    if value == "live":
        raise UsageError(f'{where} "live" is not available yet; write "paper".')
    if value != "paper":
        raise UsageError(f'{where} {shown(value)} is not known; write "paper".')
    return Mode.PAPER


def _settings(where: str, value: Any) -> Mapping[str, str | int | float | bool]:
    """Pass a model's settings on; which ones it knows, the model itself checks."""
    if not isinstance(value, dict) or len(value) > SETTINGS_MAX:
        raise UsageError(f"{where} must be a table of at most {SETTINGS_MAX} settings.")
    return {key: setting(f"{_inside(where, 'model_settings')} {key}", each) for key, each in value.items()}


def setting(where: str, value: Any) -> str | int | float | bool:
    """Read one model setting: text, a finite number, true or false."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise UsageError(f"{where} {value} is not a finite number; write one such as 0.5.")
        return float(value)
    if not isinstance(value, str | int):
        raise UsageError(f"{where} must be text, a number, true or false.")
    return value


def _schedule(where: str, value: Any) -> Schedule:
    inside = _inside(where, "schedule")
    read = read_table(value, inside, _SCHEDULE)
    kinds = [key for key in ("every", "interval", "cron") if _SCHEDULE[key].field in read]
    if len(kinds) > 1:
        raise UsageError(f"{inside} has {' and '.join(kinds)}; keep one of every, interval and cron.")
    if "zone" in read and kinds != ["cron"]:
        raise UsageError(f"{inside} zone only has a meaning beside cron; take it out.")
    if kinds == ["cron"] and "zone" not in read:
        raise UsageError(f'{inside} cron needs a zone, such as zone = "America/New_York".')
    return Schedule(**{"every_candle": kinds in ([], ["every"]), **read})


def _every(where: str, value: Any) -> bool:
    if value != "candle":
        raise UsageError(f'{where} {shown(value)} is not known; write "candle", or use interval or cron instead.')
    return True


def _cron(where: str, value: Any) -> str:
    fields = value.split() if isinstance(value, str) else []
    if len(fields) != 5 or not all(re.fullmatch(r"[0-9A-Za-z*/,-]+", each) for each in fields):
        raise UsageError(
            f"{where} {shown(value)} is not a cron line of five fields; write one such as "
            '"*/15 9-16 * * 1-5" (minute, hour, day, month, weekday).'
        )
    return " ".join(fields)


def _zone(where: str, value: Any) -> str:
    import zoneinfo  # only schedules need it

    try:
        zoneinfo.ZoneInfo(str(value))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f'{where} {shown(value)} is not a time zone; write one such as "America/New_York".') from None
    return str(value)


_SCHEDULE = {
    "every": Key("every_candle", _every),
    "interval": Key("interval_ms", INTERVAL),
    "cron": Key("cron", _cron),
    "zone": Key("zone", _zone),
}


def or_off(parse: Parser) -> Parser:
    """Read a value, or "off" as None."""
    return lambda where, value: None if value == "off" else parse(where, value)


def _protection(where: str, value: Any) -> Protection:
    inside = _inside(where, "protection")
    read = read_table(value, inside, _PROTECTION)
    asked = {**_as_fields("stop", read), **_as_fields("target", read), **read}
    protection = Protection(**asked)
    if protection.missing is not None and protection.stop is None:
        raise UsageError(f"{inside} missing has no meaning without a stop; write stop or trailing, or take it out.")
    return protection


def _as_fields(name: str, read: dict[str, Any]) -> dict[str, Any]:
    return as_fields(name, read.pop(name)) if name in read else {}


_PROTECTION = {
    "stop": Key("stop", or_off(distance(STOP))),
    "target": Key("target", or_off(distance(TARGET))),
    "trailing": Key("trail", or_off(distance(STOP))),
    "missing": Key("missing", choice_of(OnMissing)),
}


def limit_keys(listed: Parser) -> dict[str, Key]:
    """Return the keys of an agent's [limits]. listed: reads a list of instruments."""
    return {
        "confidence_min": Key("confidence_min", CONFIDENCE),
        "trades_per_day": Key("trades_per_day", TRADES_PER_DAY),
        "position_notional_max": Key("position_notional_max", NOTIONAL),
        "portfolio_share": Key("portfolio_share_frac", share(zero=True)),
        "cooldown_after_loss": Key("cooldown_after_loss_ms", duration(most_ms=7 * 86_400_000)),
        "cooldown_after_refusal": Key("cooldown_after_refusal_ms", duration(most_ms=7 * 86_400_000)),
        "allowed": Key("allowed", listed),
        "blocked": Key("blocked", listed),
        "qty_fixed": Key("qty_fixed", QTY),
        "qty_max": Key("qty_max", QTY),
        "sizing": Key("sizing", choice_of(SizingMethod)),
        "volatility_target": Key("volatility_target_frac", share(zero=True)),
        "notional_fixed": Key("notional_fixed", NOTIONAL),
        "kelly_share": Key("kelly_share_frac", share(zero=True)),
    }


def governed_keys(listed: Parser) -> dict[str, Key]:
    """Return the keys that limit an agent, by their place in its file. listed: reads a list of instruments."""
    inside = {"limits": limit_keys(listed), "protection": _PROTECTION, "on_failure": _FAILURE}
    tables = {f"{table}.{name}": key for table, keys in inside.items() for name, key in keys.items()}
    top = {
        "instruments": Key("instruments", listed),
        "autonomy": Key("autonomy", choice_of(Autonomy)),
        "capital_share": Key("capital_share_frac", share()),
        "approval_expires": Key("approval_ttl_ms", APPROVAL_TTL),
    }
    return {name: key for name, key in {**top, **tables}.items() if name not in NO_LIMITS}


def key_names() -> set[str]:
    """Return every key that an agent's file may have, by its place in it."""
    inside = {"limits": limit_keys(text()), "protection": _PROTECTION, "on_failure": _FAILURE}
    top = set(_top(Instruments(()), ModelNames())) - set(inside)
    return top | {f"{table}.{name}" for table, keys in inside.items() for name in keys}


def _limits(listed: Parser) -> Parser:
    keys = limit_keys(listed)

    def parse(where: str, value: Any) -> AgentLimits:
        inside = _inside(where, "limits")
        limits = AgentLimits(**read_table(value, inside, keys))
        check_limits(inside, value, limits)
        return limits

    return parse


def check_limits(
    inside: str, written: Collection[str], limits: AgentLimits, mend: Callable[[str], str] = lambda key: "take it out"
) -> None:
    """Raise UsageError for a key of one way of sizing beside another, and for a way without what it needs.

    mend: says what to do about a key that is one too many.
    """
    if "qty_fixed" in written and "sizing" in written:
        raise UsageError(f"{inside} has qty_fixed and sizing; keep the one that is to make the size.")
    for key, method in _OF_METHOD.items():
        if key in written and limits.sizing is not method:
            raise UsageError(f'{inside} {key} only has a meaning beside sizing = "{method}"; {mend(key)}.')
    if limits.sizing is SizingMethod.NOTIONAL and not limits.notional_fixed:
        raise UsageError(f'{inside} sizing = "notional" needs notional_fixed, the worth of a position; add it.')


_OF_METHOD = {
    "volatility_target": SizingMethod.VOLATILITY,
    "notional_fixed": SizingMethod.NOTIONAL,
    "kelly_share": SizingMethod.KELLY,
}


_FAILURE = {
    "fallback": Key("fallback", or_off(ModelNames().full)),
    "pause_after": Key("pause_after_failures", whole(1, 1_000)),
    "backoff": Key("backoff_ms", duration(least_ms=1_000, most_ms=86_400_000)),
    "backoff_max": Key("backoff_max_ms", duration(least_ms=1_000, most_ms=86_400_000)),
    "decay": Key("failures_decay_ms", duration(most_ms=7 * 86_400_000)),
}


def _on_failure(keys: Mapping[str, Key]) -> Parser:
    return lambda where, value: read_table(value, _inside(where, "on_failure"), keys)


def _inside(where: str, table: str) -> str:
    """Turn "FILE table" into "FILE [table]", as the file itself writes it."""
    return f"{where.rpartition(' ')[0]} [{table}]"
