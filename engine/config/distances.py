"""How far a stop or a target is from a price: "2%", "2 ATR", "2 ATR(20)", or an amount such as "500 USDT"."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from engine.config.fields import Parser, shown
from engine.config.instruments import Instruments
from engine.domain.agent import ATR_PERIOD, AgentConfig, Distance, Measure
from engine.domain.money import percent, plain
from engine.errors import UsageError

_RANGES = re.compile(r"(\d{1,3}(?:\.\d{1,6})?) *ATR(?:\((\d{1,4})\))?")
_AMOUNT = re.compile(r"(\d{1,12}(?:\.\d{1,12})?) +([A-Z0-9]{2,10})")
RANGES_MAX = Decimal(50)
PERIOD_MIN, PERIOD_MAX = 2, 500


def distance(share: Parser) -> Parser:
    """Read a distance; share reads one that is a share of the price, within its bounds."""

    def parse(where: str, value: Any) -> Distance:
        text = value.strip() if isinstance(value, str) else ""
        if found := _RANGES.fullmatch(text):
            return _ranges(where, Decimal(found[1]), int(found[2] or ATR_PERIOD))
        if found := _AMOUNT.fullmatch(text):
            return _amount(where, Decimal(found[1]), found[2])
        if re.search(r"[A-Za-z]", text) and not text.endswith("bps"):
            raise UsageError(
                f'{where} {shown(value)} is not a distance; write one such as "2%", "2 ATR", "2 ATR(20)" or "500 USDT".'
            )
        return Distance(measure=Measure.SHARE, amount=share(where, value))

    return parse


def distance_text(read: Distance) -> str:
    """Write a distance as a file does.

    >>> distance_text(Distance(measure=Measure.ATR, amount=Decimal(2)))
    '2 ATR(14)'
    """
    if read.measure is Measure.SHARE:
        return percent(read.amount)
    return f"{plain(read.amount)} {read.unit if read.measure is Measure.PRICE else f'ATR({read.period})'}"


def as_fields(name: str, read: Distance | None) -> dict[str, Any]:
    """Return the fields of a Protection that "stop" or "target" fills: its share, or what stands in its place."""
    if read is None or read.measure is Measure.SHARE:
        return {f"{name}_frac": None if read is None else read.amount, f"{name}_by": None}
    return {f"{name}_frac": None, f"{name}_by": read}


def check_units(agent: AgentConfig, instruments: Instruments, where: str) -> None:
    """Raise UsageError when a distance is an amount of something that not all the agent's prices are in."""
    asked = agent.protection
    for name, read in (("stop", asked.stop_by), ("target", asked.target_by), ("trailing", asked.trail)):
        for key in agent.instruments if read is not None and read.measure is Measure.PRICE else ():
            quote = instruments.resolve(key).quote
            if read is not None and read.unit != quote:
                raise UsageError(
                    f"{where} {name} is an amount of {read.unit}, and {key} is priced in {quote}; "
                    'write a share such as "2%", or give that instrument an agent of its own.'
                )


def _ranges(where: str, amount: Decimal, period: int) -> Distance:
    if not 0 < amount <= RANGES_MAX:
        raise UsageError(f"{where} {amount} ATR is out of bounds; write above 0 and up to {RANGES_MAX} ATR.")
    if not PERIOD_MIN <= period <= PERIOD_MAX:
        raise UsageError(f"{where} ATR({period}) is out of bounds; write a period of {PERIOD_MIN} to {PERIOD_MAX}.")
    return Distance(measure=Measure.ATR, amount=amount, period=period)


def _amount(where: str, amount: Decimal, unit: str) -> Distance:
    if not amount > 0:
        raise UsageError(f"{where} {amount} {unit} must be above 0.")
    return Distance(measure=Measure.PRICE, amount=amount, unit=unit)
