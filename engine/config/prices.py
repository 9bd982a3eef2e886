"""prices.toml: what models charge, as of a day; and the environment's estimates where it is silent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.config.fields import Key, duration, money, pattern, read_table, shown, whole
from engine.config.toml import read_toml
from engine.domain.prices import DAY_MS, ModelPrice, PriceList, Rates, Tier
from engine.errors import UsageError

FILE_NAME = "prices.toml"
ESTIMATE_SUFFIX = "_ESTIMATED_COST_USD_PER_1K_TOKENS"
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_PLACES_MAX = 6
_MODEL = pattern(r"[a-z0-9_]{1,20}:[!-~]{1,100}", 'a provider and a model, such as "openai:gpt-5-mini"')
_DOLLARS = money(most="100000")
_LONG = ("long_from", "long_input", "long_output", "long_cached")


def load_prices(path: Path, environ: Mapping[str, str] | None = None) -> PriceList:
    """Read one price file, and what the environment estimates where it is silent."""
    tables = read_table(read_toml(path), str(path), _TOP)
    lines = tables.pop("lines", {})
    return PriceList(lines=lines, estimates=estimates_of(environ or {}), file=str(path), **tables)


def prices_of(config_dir: Path, environ: Mapping[str, str] | None = None) -> PriceList:
    """Read a configuration directory's price file; without one there are no prices but the environment's estimates."""
    path = config_dir / FILE_NAME
    if path.exists():
        return load_prices(path, environ)
    return PriceList(lines={}, estimates=estimates_of(environ or {}), file=str(path))


def estimates_of(environ: Mapping[str, str]) -> dict[str, Decimal]:
    """Return provider -> USD per million tokens from variables such as OPENAI_ESTIMATED_COST_USD_PER_1K_TOKENS.

    Raises UsageError for one that is no amount above 0: what costs nothing has a line in the price file that says so.
    """
    found: dict[str, Decimal] = {}
    for name, text in environ.items():
        if name.endswith(ESTIMATE_SUFFIX) and name != ESTIMATE_SUFFIX and text:
            if not _price(name, text) > 0:
                raise UsageError(
                    f"{name}={text[:20]} would make every call free; unset it, or write what is free into {FILE_NAME} "
                    "with prices of 0."
                )
            found[name.removesuffix(ESTIMATE_SUFFIX).lower()] = _price(name, text).scaleb(3)
    return found


def _price(where: str, value: Any) -> Decimal:
    read = _DOLLARS(where, value)
    if -int(read.as_tuple().exponent) > _PLACES_MAX:
        raise UsageError(f"{where} {shown(value)} has more than {_PLACES_MAX} places; round it up.")
    return read


def _day(where: str, value: Any) -> int:
    """Read a day into the instant it begins at: 2026-10-24, with or without quotes."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            value = None
    if type(value) is not date:
        raise UsageError(f"{where} must be the day the prices were looked up on, such as 2026-10-24.")
    return (value.toordinal() - _EPOCH_ORDINAL) * DAY_MS


def _models(where: str, value: Any) -> dict[str, ModelPrice]:
    if not isinstance(value, dict):
        raise UsageError(f'{where} must be tables such as [models."openai:gpt-5-mini"].')
    file = where.rpartition(" ")[0]
    return {_MODEL(f"{file} [models]", name): _model(file, name, table) for name, table in value.items()}


def _model(file: str, name: str, table: Any) -> ModelPrice:
    where = f'{file} [models."{name}"]'
    read = read_table(table, where, _KEYS)
    long = [key for key in _LONG if key in read]
    if long and len(long) < len(_LONG):
        missing = next(key for key in _LONG if key not in read)
        raise UsageError(f"{where} {missing} is missing; add it, or take {', '.join(long)} out.")
    tier = Tier(input=read["long_input"], output=read["long_output"], cached=read["long_cached"]) if long else None
    base = Tier(input=read["input"], output=read["output"], cached=read.get("cached", read["input"]))
    rates = Rates(base=base, long=tier, long_from=read.get("long_from", 0))
    return ModelPrice(rates=rates, context_tokens=read["context"], origin=file)


_KEYS = {
    "input": Key("input", _price, required=True),
    "output": Key("output", _price, required=True),
    "cached": Key("cached", _price),
    "context": Key("context", whole(1, 10**9), required=True),
    "long_from": Key("long_from", whole(1, 10**9)),
    "long_input": Key("long_input", _price),
    "long_output": Key("long_output", _price),
    "long_cached": Key("long_cached", _price),
}
_TOP = {
    "dated": Key("dated_ms", _day, required=True),
    "warn_after": Key("warn_after_ms", duration(least_ms=DAY_MS)),
    "refuse_after": Key("refuse_after_ms", duration(least_ms=DAY_MS)),
    "models": Key("lines", _models),
}
