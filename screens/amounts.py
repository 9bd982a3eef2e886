"""What a person typed as a number or a share, read so that no sign of it is ever passed over (R8, R21)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from engine.api import EQUITY_UNIT, AmountError, OrderType, amount, frac, percent, plain
from screens.format import safe

OFF = "off"
SHOWN_MAX = 40
STOP_MAX = Decimal("0.99")
TARGET_MAX = Decimal(10)
_NUMBER = re.compile(r"[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?|[0-9]+\.?[0-9]*|\.[0-9]+")
_SIZE = re.compile(r"(?P<number>\S+?)(?:\s*(?P<share>%|bps)|\s+(?P<asset>[A-Za-z][A-Za-z0-9]{0,11}))?", re.IGNORECASE)
_JOINED = re.compile(r"(?P<number>[-−]?[0-9.,]+)(?P<asset>(?!bps$)[A-Za-z]{2}[A-Za-z0-9]{0,10})", re.IGNORECASE)
"""An amount and its asset without a blank; two letters at least, so that 1e5 stays no number."""


class FieldError(ValueError):
    """One field cannot be read; the sentence goes beside it."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.name = name


@dataclass(frozen=True, slots=True)
class Level:
    """Where a stop or a target is to rest: a share of the entry, or a price; neither: off."""

    frac: Decimal | None = None
    price: Decimal | None = None


def read_number(text: str) -> Decimal:
    """Read digits with a point, and commas only where they part clean groups of thousands. Raises AmountError.

    >>> read_number("1,000.5"), read_number("0.25")
    (Decimal('1000.5'), Decimal('0.25'))
    >>> read_number("1,5")
    Traceback (most recent call last):
    engine.domain.money.AmountError: 1,5 is not a number
    """
    if not _NUMBER.fullmatch(text):
        raise AmountError(f"{text} is not a number")
    return amount(text.replace(",", ""))


def positive(name: str, label: str, text: str) -> Decimal:
    """Read a quantity or a price above 0. Raises FieldError."""
    shown = safe(text, SHOWN_MAX)
    if not text:
        raise FieldError(name, f"{label} is empty; write a number above 0.")
    if text.startswith(("-", "−")):
        raise FieldError(name, f"{label} {shown} must be above 0; the side says which way.")
    if not _NUMBER.fullmatch(text):
        comma = "; a comma only parts thousands, as in 1,000.5" if "," in text else ""
        raise FieldError(name, f"{label} {shown} is not a number; write it like 0.25{comma}.")
    try:
        value = read_number(text)
    except AmountError:
        raise FieldError(name, f"{label} {shown} is too long; write at most 18 digits on either side.") from None
    if not value > 0:
        raise FieldError(name, f"{label} must be above 0; the side says which way.")
    return value


def size(text: str) -> tuple[Decimal, str]:
    """Read a quantity and what it counts: units, an amount of an asset, or a share of equity. Raises FieldError.

    >>> size("0.25"), size("500 usdt"), size("500USDT"), size("2%")
    ((Decimal('0.25'), ''), (Decimal('500'), 'USDT'), (Decimal('500'), 'USDT'), (Decimal('0.02'), '%'))
    """
    if joined := _JOINED.fullmatch(text):
        text = f"{joined['number']} {joined['asset']}"
    read = _SIZE.fullmatch(text)
    if read is None or not (read["share"] or read["asset"]):
        return positive("qty", "Quantity", text), ""
    if read["asset"]:
        return positive("qty", "Quantity", read["number"]), read["asset"].upper()
    positive("qty", "Quantity", read["number"])
    share = frac(f"{plain(read_number(read['number']))}{read['share'].lower()}", name="Quantity")
    if share > 1:
        raise FieldError("qty", f"Quantity {safe(text, SHOWN_MAX)} is more than all of the equity; write 100% or less.")
    return share, EQUITY_UNIT


def own_price(order_type: OrderType, text: str) -> Decimal | None:
    """Read the price of a LIMIT or STOP order; a MARKET order has none. Raises FieldError."""
    if order_type is OrderType.MARKET and text:
        raise FieldError("limit", "A MARKET order has no price of its own; empty it, or choose LIMIT or STOP.")
    if order_type is not OrderType.MARKET and not text:
        raise FieldError("limit", f"A {order_type.value} order needs its price.")
    return positive("limit", "Price", text) if text else None


def stop(text: str) -> Level:
    """Read a stop: a distance with its unit, a price without one, or off. Raises FieldError.

    >>> stop("2%"), stop("98.50"), stop("off")
    (Level(frac=Decimal('0.02'), price=None), Level(frac=None, price=Decimal('98.50')), Level(frac=None, price=None))
    """
    if not text:
        raise FieldError("stop", "Stop is empty; write a distance such as 2%, a price such as 98.50, or off.")
    return _level("stop", "Stop", "2%", text, STOP_MAX)


def target(text: str) -> Level:
    """Read a target, as a stop; off may be left empty as well. Raises FieldError."""
    return _level("target", "Target", "5%", text or OFF, TARGET_MAX)


def _level(name: str, label: str, such: str, text: str, most: Decimal) -> Level:
    if text.casefold() == OFF:
        return Level()
    shown = safe(text, SHOWN_MAX)
    number, unit = _split(text)
    if number.startswith(("-", "−")):
        raise FieldError(name, f"{label} {shown} is negative; write {such} for a distance, a price, or off.")
    try:
        value = read_number(number)
    except AmountError:
        raise FieldError(
            name, f"{label} {shown} is no distance and no price; write {such}, a price such as 98.50, or off."
        ) from None
    if unit:
        return Level(frac=_bounded(name, f"{label} {shown}", such, f"{plain(value)}{unit}", most))
    return Level(price=positive(name, label, text))


def _bounded(name: str, told: str, such: str, written: str, most: Decimal) -> Decimal:
    try:
        share = frac(written, name=told.split(" ", 1)[0])
    except AmountError as error:
        raise FieldError(name, str(error)) from None
    if not share > 0:
        raise FieldError(name, f"{told} must be above 0; write {such}, or off.")
    if share > most:
        raise FieldError(name, f"{told} is above {percent(most)}; write less, such as {such}.")
    return share


def _split(text: str) -> tuple[str, str]:
    for unit in ("%", "bps"):
        if text.casefold().endswith(unit):
            return text[: -len(unit)].strip(), unit
    return text, ""
