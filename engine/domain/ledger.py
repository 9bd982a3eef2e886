"""Double entry: every entry nets to zero per asset (R13, L3). Accounts are ours, the venue's side and fees.

A rebate is a negative fee. A fee is posted in its own asset, be that base, quote or a third one; one that the venue
names later is an entry of its own. A correction takes the old entry back and makes the new one.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from engine.domain.instrument import Instrument
from engine.domain.money import ZERO
from engine.domain.order import Fill
from engine.domain.values import quick_value


class Account(StrEnum):
    """Where an amount is: what we hold, the market's other side, fees paid, outside, adjusted for, or AI spend.

    ADJUSTED: differences with the venue that a person approved. FUNDING: funding and interest, paid or earned.
    AI_SPEND: what models cost; AI_OWED: what their providers are owed for it. Neither is in the trading account (R38).
    """

    HOLDINGS = "HOLDINGS"
    MARKET = "MARKET"
    FEES = "FEES"
    OUTSIDE = "OUTSIDE"
    ADJUSTED = "ADJUSTED"
    FUNDING = "FUNDING"
    AI_SPEND = "AI_SPEND"
    AI_OWED = "AI_OWED"


@quick_value
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
        lines += fee_postings(fill.fee_asset, fill.fee)
    return tuple(lines)


def fee_postings(asset: str, fee: Decimal) -> tuple[Posting, ...]:
    """Return the lines of a fee that is paid (> 0) or of a rebate (< 0)."""
    return (Posting(Account.HOLDINGS, asset, -fee), Posting(Account.FEES, asset, fee))


def spend_postings(usd: Decimal) -> tuple[Posting, ...]:
    """Return the entry of what a model's call cost; none where it was free."""
    return (Posting(Account.AI_SPEND, "USD", usd), Posting(Account.AI_OWED, "USD", -usd)) if usd else ()


def transfer_postings(asset: str, amount: Decimal, other: Account = Account.OUTSIDE) -> tuple[Posting, ...]:
    """Return the entry of a deposit (amount > 0) or withdrawal (< 0), or of an adjustment by its own account."""
    return (Posting(Account.HOLDINGS, asset, amount), Posting(other, asset, -amount))


def correction_postings(was: Fill, now: Fill, instrument: Instrument) -> tuple[Posting, ...]:
    """Return the entry that takes one fill back and books another in its place; none where now has no quantity.

    >>> from dataclasses import replace
    >>> from engine.domain.order import Liquidity, Side
    >>> coin = Instrument(venue="v", symbol="B/Q", base="B", quote="Q", price_tick=ZERO, qty_step=ZERO,
    ...                   min_notional=ZERO, maker_fee=ZERO, taker_fee=ZERO)
    >>> was = Fill(venue="v", account="a", instrument="v:B/Q", trade_id="1", client_order_id="", side=Side.BUY,
    ...            qty=Decimal(2), price=Decimal(100), fee=ZERO, fee_asset="Q", liquidity=Liquidity.TAKER, ts_ms=0)
    >>> [(str(p.account), p.asset, int(p.amount)) for p in correction_postings(was, replace(was, qty=ZERO), coin)]
    [('HOLDINGS', 'B', -2), ('MARKET', 'B', 2), ('HOLDINGS', 'Q', 200), ('MARKET', 'Q', -200)]
    """
    back = tuple(Posting(line.account, line.asset, -line.amount) for line in fill_postings(was, instrument))
    return back + (fill_postings(now, instrument) if now.qty else ())


def imbalance(postings: tuple[Posting, ...]) -> dict[str, Decimal]:
    """Return the assets whose lines do not net to zero, with the difference; empty when the entry is sound.

    >>> imbalance(transfer_postings("USD", Decimal(5)))
    {}
    """
    sums: dict[str, Decimal] = {}
    for line in postings:
        sums[line.asset] = sums.get(line.asset, ZERO) + line.amount
    return {asset: total for asset, total in sums.items() if total}
