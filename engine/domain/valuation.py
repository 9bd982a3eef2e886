"""What the account is worth: balances at the last marks, each with its time and source (R18, R38)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.domain.instrument import Instrument
from engine.domain.market import Source
from engine.domain.money import ONE, ZERO


@dataclass(frozen=True, slots=True)
class Mark:
    """The price an instrument is valued at, when it was true, and where it came from."""

    price: Decimal
    ts_ms: int
    source: Source


class MissingRateError(Exception):
    """An asset is held that no declared pair or peg can value; the kill switch trips on it (R38)."""


def money_assets(account_currency: str, usd_peg: tuple[str, ...]) -> frozenset[str]:
    """Return what counts as money, one for one: the account currency, and the pegs when it is one of them.

    >>> sorted(money_assets("USDT", ("USDC", "USDT"))), sorted(money_assets("EUR", ("USDT",)))
    (['USDC', 'USDT'], ['EUR'])
    """
    return frozenset({account_currency, *(usd_peg if account_currency in {"USD", *usd_peg} else ())})


class Valuation:
    """Marks and the rates they give: account currency and pegs are 1, a base asset is its instrument's mark."""

    def __init__(self, account_currency: str, usd_peg: tuple[str, ...]) -> None:
        self.marks: dict[str, Mark] = {}
        self._unit = money_assets(account_currency, usd_peg)
        self._by_base: dict[str, str] = {}

    def list_instrument(self, instrument: Instrument) -> None:
        """Let an instrument value its base asset, when it is quoted in money; the first one listed wins."""
        if instrument.quote in self._unit:
            self._by_base.setdefault(instrument.base, instrument.key)

    def mark(self, instrument: str, mark: Mark) -> None:
        """Take a new price in."""
        self.marks[instrument] = mark

    def price(self, instrument: str) -> Decimal | None:
        """Return the last price of an instrument in quote; None before the first."""
        mark = self.marks.get(instrument)
        return mark.price if mark else None

    def rate(self, asset: str) -> Decimal:
        """Return the worth of one unit of an asset in account currency; MissingRateError when nobody knows."""
        if asset in self._unit:
            return ONE
        mark = self.marks.get(self._by_base.get(asset, ""))
        if mark is None:
            raise MissingRateError(f"no rate for {asset}: neither a peg nor a priced pair values it")
        return mark.price

    def equity(self, balances: dict[str, Decimal]) -> Decimal:
        """Return the worth of all balances in account currency, unrealised profit included."""
        total = ZERO
        for asset, qty in balances.items():
            if qty:
                total += qty if asset in self._unit else qty * self.rate(asset)
        return total

    def is_money(self, asset: str) -> bool:
        """Tell whether an asset is the account currency or pegged to it."""
        return asset in self._unit
