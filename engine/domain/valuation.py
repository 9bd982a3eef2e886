"""What the account is worth: balances at the last marks, each with its time and source (R18, R38)."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

from engine.domain.instrument import Instrument
from engine.domain.market import Source
from engine.domain.money import ONE, ZERO
from engine.domain.values import quick_value


@quick_value
class Mark:
    """The price an instrument is valued at, when it was true, and where it came from."""

    price: Decimal
    ts_ms: int
    source: Source


class MissingRateError(Exception):
    """An asset is held that no declared pair or peg can value; the kill switch trips on it (R38)."""


@lru_cache(maxsize=64)
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
        self._running: Decimal | None = None
        self._weights: dict[str, Decimal] = {}
        self._version = -1

    def list_instrument(self, instrument: Instrument) -> None:
        """Let an instrument value its base asset, when it is quoted in money; the first one listed wins."""
        if instrument.quote in self._unit:
            self._by_base.setdefault(instrument.base, instrument.key)
            self._running = None

    def mark(self, instrument: str, mark: Mark) -> None:
        """Take a new price in."""
        if self._running is not None:
            weight = self._weights.get(instrument)
            if weight is not None:
                self._running += weight * (mark.price - self.marks[instrument].price)
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

    def running_equity(self, balances: dict[str, Decimal], version: int) -> Decimal:
        """Return equity(balances) without adding it all up again: each mark moved it by what is held of its instrument.

        version: a number that changes whenever the balances do.
        """
        if self._running is None or version != self._version:
            self._running = None
            self._running, self._version = self.equity(balances), version
            held = {self._by_base.get(asset): qty for asset, qty in balances.items() if qty and asset not in self._unit}
            self._weights = {key: qty for key, qty in held.items() if key is not None}
        return self._running

    def is_money(self, asset: str) -> bool:
        """Tell whether an asset is the account currency or pegged to it."""
        return asset in self._unit
