"""Money at the paper venue: balances, fees, and what each sub-position holds. Nothing goes below zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal

from engine.domain.instrument import Instrument
from engine.domain.money import ONE, ZERO, floor_to
from engine.domain.order import Fill, Liquidity, Side
from engine.execution.paper_order import PaperOrder

FEE_QUANTUM = Decimal("1e-8")


def fee_rate(instrument: Instrument, liquidity: Liquidity) -> Decimal:
    """Return the share of the notional a fill pays; negative is a rebate."""
    return instrument.maker_fee if liquidity is Liquidity.MAKER else instrument.taker_fee


def dearest_rate(instrument: Instrument) -> Decimal:
    """Return the most a fill can cost, for reserving."""
    return max(ZERO, instrument.maker_fee, instrument.taker_fee)


def round_fee(amount: Decimal) -> Decimal:
    """Round to 1e-8, halves against us: a fee up, a rebate down."""
    return amount.quantize(FEE_QUANTUM, ROUND_HALF_UP if amount > 0 else ROUND_HALF_DOWN)


class PaperMoney:
    """Balances per asset, and what each (instrument, group) holds.

    fee_rates: the price in quote of an asset that fees are paid in when it is neither base nor quote. When that
    asset runs short, the fee is taken in quote, so that an exit is never held up by it.
    """

    def __init__(self, instruments: Mapping[str, Instrument], fee_rates: Mapping[str, Decimal]) -> None:
        self._instruments = instruments
        self._fee_rates = fee_rates
        self.balances: dict[str, Decimal] = {}
        self.holdings: dict[tuple[str, str], Decimal] = {}
        self.by_base: dict[str, list[str]] = {}
        for key, instrument in instruments.items():
            self.by_base.setdefault(instrument.base, []).append(key)

    def total(self, asset: str) -> Decimal:
        """Return what the account has of an asset, reserved or not."""
        return self.balances.get(asset, ZERO)

    def free(self, asset: str, others: Iterable[PaperOrder]) -> Decimal:
        """Return what is left of an asset beside what the given orders reserve."""
        return self.total(asset) - sum((o.open_qty * o.lock_each for o in others if o.lock_asset == asset), ZERO)

    def lock(self, instrument: Instrument, side: Side, price: Decimal) -> tuple[str, Decimal]:
        """Return the asset an order reserves, and how much of it for one unit of base, the dearest fee included."""
        rate = dearest_rate(instrument)
        in_base = instrument.fee_currency == instrument.base
        if side is Side.BUY:
            return instrument.quote, price * (ONE if in_base else ONE + rate)
        return instrument.base, ONE + rate if in_base else ONE

    def fee_trouble(self, instrument: Instrument) -> str:
        """Return why fees cannot be charged, "" when they can."""
        asset = instrument.fee_currency
        if asset in (instrument.base, instrument.quote) or self._fee_rates.get(asset, ZERO) > 0:
            return ""
        return f"no price is declared for {asset}, the fee asset of {instrument.key}"

    def fee(self, instrument: Instrument, qty: Decimal, price: Decimal, liquidity: Liquidity) -> tuple[Decimal, str]:
        """Return what a fill pays (negative: gets) and in which asset."""
        rate, asset = fee_rate(instrument, liquidity), instrument.fee_currency
        if asset == instrument.base:
            return round_fee(qty * rate), asset
        if asset != instrument.quote:
            amount = round_fee(qty * price * rate / self._fee_rates[asset])
            if amount <= self.total(asset):
                return amount, asset
        return round_fee(qty * price * rate), instrument.quote

    def affordable(
        self, instrument: Instrument, wanted: Decimal, price: Decimal, liquidity: Liquidity, free: Decimal
    ) -> Decimal:
        """Return how much of a buy the free quote balance pays for, fee included, in whole steps."""
        fee, asset = self.fee(instrument, wanted, price, liquidity)
        if wanted * price + (fee if asset == instrument.quote else ZERO) <= free:
            return wanted
        _, each = self.lock(instrument, Side.BUY, price)
        return instrument.floor_qty(max(ZERO, free - FEE_QUANTUM) / each)

    def sellable(self, instrument: Instrument, qty: Decimal) -> Decimal:
        """Return how much of a holding can be sold, in whole steps, when the fee may come out of it."""
        _, each = self.lock(instrument, Side.SELL, ONE)
        return max(ZERO, instrument.floor_qty(qty / each))

    def holding(self, instrument: Instrument, group: str) -> Decimal:
        """Return what a group holds; without a group, what the account holds."""
        if not group:
            return self.total(instrument.base)
        return max(ZERO, min(self.holdings.get((instrument.key, group), ZERO), self.total(instrument.base)))

    def post(self, fill: Fill, group: str) -> None:
        """Book a fill: base, quote, fee, and the group's holding."""
        instrument = self._instruments[fill.instrument]
        self.add(instrument.base, fill.signed_qty)
        self.add(instrument.quote, -fill.signed_qty * fill.price)
        self.add(fill.fee_asset, -fill.fee)
        if group:
            in_base = fill.fee if fill.fee_asset == instrument.base else ZERO
            key = (instrument.key, group)
            self.holdings[key] = self.holdings.get(key, ZERO) + fill.signed_qty - in_base

    def add(self, asset: str, amount: Decimal) -> None:
        """Change a balance."""
        self.balances[asset] = self.total(asset) + amount

    def clamp(self, asset: str) -> None:
        """Cut the groups down, pro rata, when together they claim more of an asset than the account has."""
        keys = self.by_base.get(asset, ())
        held = {key: qty for key, qty in self.holdings.items() if key[0] in keys and qty > 0}
        claimed, total = sum(held.values(), ZERO), self.total(asset)
        if claimed > total:
            for key, qty in held.items():
                self.holdings[key] = floor_to(qty * total / claimed, self._instruments[key[0]].qty_step)
