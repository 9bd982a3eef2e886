"""Double entry: every entry nets to zero per asset (R13, L3). Accounts are ours, the venue's side and fees."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from engine.domain.instrument import Instrument
from engine.domain.money import ZERO
from engine.domain.order import Fill


class Account(StrEnum):
    """Where an amount is: what we hold, the market's other side, fees paid, outside."""

    HOLDINGS = "HOLDINGS"
    MARKET = "MARKET"
    FEES = "FEES"
    OUTSIDE = "OUTSIDE"


@dataclass(frozen=True, slots=True)
class Posting:
    """One line of an entry: amount > 0 comes into the account."""

    account: Account
    asset: str
    amount: Decimal


def fill_postings(fill: Fill, instrument: Instrument) -> tuple[Posting, ...]:
    """Return the entry of a fill: base and quote change hands, the fee leaves in its own asset.

    Bought 2 BTC at 100 USDT with a fee of 0.2 USDT: +2 BTC, -200 USDT, -0.2 USDT.
    """
    base, quote = fill.signed_qty, -fill.signed_qty * fill.price
    lines = [
        Posting(Account.HOLDINGS, instrument.base, base),
        Posting(Account.MARKET, instrument.base, -base),
        Posting(Account.HOLDINGS, instrument.quote, quote),
        Posting(Account.MARKET, instrument.quote, -quote),
    ]
    if fill.fee:
        lines.append(Posting(Account.HOLDINGS, fill.fee_asset, -fill.fee))
        lines.append(Posting(Account.FEES, fill.fee_asset, fill.fee))
    return tuple(lines)


def transfer_postings(asset: str, amount: Decimal) -> tuple[Posting, ...]:
    """Return the entry of a deposit (amount > 0) or withdrawal (< 0)."""
    return (Posting(Account.HOLDINGS, asset, amount), Posting(Account.OUTSIDE, asset, -amount))


def imbalance(postings: tuple[Posting, ...]) -> dict[str, Decimal]:
    """Return the assets whose lines do not net to zero, with the difference; empty when the entry is sound.

    >>> imbalance(transfer_postings("USD", Decimal(5)))
    {}
    """
    sums: dict[str, Decimal] = {}
    for line in postings:
        sums[line.asset] = sums.get(line.asset, ZERO) + line.amount
    return {asset: total for asset, total in sums.items() if total}
