"""Decimal arithmetic for money, prices and quantities (R8), and the one reading of a percentage (R21)."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal, InvalidOperation
from functools import lru_cache

ZERO = Decimal(0)
ONE = Decimal(1)
COST_QUANTUM = Decimal("1e-12")
"""Cost bases are kept to twelve places: finer than any asset, so that parts add up to the whole."""
MAX_EXPONENT = 18
FRAC_QUANTUM = Decimal("1e-9")


class AmountError(ValueError):
    """A text is not a finite decimal amount that money may be kept in."""


def amount(text: str | int | Decimal) -> Decimal:
    """Read a finite Decimal of at most 18 places or 18 zeros; a float is refused (R8, L7).

    >>> amount("0.10")
    Decimal('0.10')
    """
    if isinstance(text, (float, bool)):
        raise AmountError(f"{text!r} is a {type(text).__name__}, not a decimal amount; write it as text")
    try:
        value = Decimal(text)
    except (InvalidOperation, TypeError, ValueError):
        raise AmountError(f"{text!r} is not a decimal amount") from None
    if not is_amount(value):
        raise AmountError(f"{text!r} is not a finite amount of at most {MAX_EXPONENT} digits on a side")
    return value


def is_amount(value: Decimal) -> bool:
    """Tell whether a Decimal is one that amount() would read."""
    return value.is_finite() and value.adjusted() <= MAX_EXPONENT and -int(value.as_tuple().exponent) <= MAX_EXPONENT


def plain(value: Decimal) -> str:
    """Write a Decimal without exponent and without trailing zeros: the one canonical text.

    >>> plain(Decimal("1.500")), plain(Decimal("1E+3")), plain(Decimal("-0.0"))
    ('1.5', '1000', '0')
    """
    text = str(value)
    if "E" in text:
        text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Round towards zero to a multiple of the step, so that an order never exceeds what was meant.

    >>> floor_to(Decimal("1.237"), Decimal("0.01")), floor_to(Decimal("-1.237"), Decimal("0.01"))
    (Decimal('1.23'), Decimal('-1.23'))
    """
    whole = (abs(value) / step).to_integral_value(ROUND_FLOOR) * step
    return whole if value >= 0 else -whole


def round_price(price: Decimal, tick: Decimal, *, up: bool) -> Decimal:
    """Round a price to the tick, up or down as told: against us, whichever way that is.

    >>> round_price(Decimal("10.001"), Decimal("0.01"), up=True)
    Decimal('10.01')
    """
    return (price / tick).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * tick


def nearest_price(price: Decimal, tick: Decimal) -> Decimal:
    """Round a price to the nearest tick, half to even."""
    return (price / tick).to_integral_value(ROUND_HALF_EVEN) * tick


def kept(value: Decimal) -> Decimal:
    """Round a computed figure to twelve places, so that it fits into a journal row; a shorter one stays as it is.

    >>> kept(Decimal("1.25")), kept(Decimal(1) / 3)
    (Decimal('1.25'), Decimal('0.333333333333'))
    """
    return value if -int(value.as_tuple().exponent) <= 12 else value.quantize(COST_QUANTUM, ROUND_HALF_EVEN)


def cost_share(cost: Decimal, part: Decimal, whole: Decimal) -> Decimal:
    """Return the part/whole share of a cost basis, to twelve places.

    >>> cost_share(Decimal(100), Decimal(1), Decimal(3))
    Decimal('33.333333333333')
    """
    return cost if part == whole else (cost * part / whole).quantize(COST_QUANTUM, ROUND_HALF_EVEN)


def frac(text: str | int | float | Decimal, *, name: str = "value") -> Decimal:
    """Read a share: "5%", "500bps", or a number strictly between 0 and 1 (R21).

    >>> frac("5%"), frac("500bps"), frac("0.05")
    (Decimal('0.05'), Decimal('0.05'), Decimal('0.05'))
    >>> frac("5", name="stop-loss")
    Traceback (most recent call last):
    engine.domain.money.AmountError: stop-loss 5 can be read as 5% or as 500%; write "5%" or "500%".
    """
    written = str(text).strip()
    for suffix, divisor in (("%", 100), ("bps", 10_000)):
        if written.endswith(suffix):
            return _finite_share(written[: -len(suffix)].strip(), name) / divisor
    value = _finite_share(written, name)
    if value >= 1:
        raise AmountError(
            f"{name} {written} can be read as {written}% or as {plain(value * 100)}%; "
            f'write "{written}%" or "{plain(value * 100)}%".'
        )
    if not 0 < value < 1:
        raise AmountError(f'{name} {written} is not a share between 0 and 1; write it as "5%", "500bps" or 0.05.')
    return value


def _finite_share(written: str, name: str) -> Decimal:
    try:
        value = amount(written)
    except AmountError:
        raise AmountError(f'{name} {written!r} is not a number; write it as "5%", "500bps" or 0.05.') from None
    if value < 0:
        raise AmountError(f"{name} {written} is negative; write a share above 0.")
    return value


@lru_cache(maxsize=256)
def percent(value: Decimal) -> str:
    """Echo a share back as a percentage.

    >>> percent(Decimal("0.025"))
    '2.5%'
    """
    return plain(value * 100) + "%"


def signed_frac(part: Decimal, whole: Decimal) -> Decimal:
    """Return part/whole to nine places; 0 where there is no whole."""
    return (part / whole).quantize(FRAC_QUANTUM) if whole else ZERO
