"""What can be traded: venue and symbol, with the venue's rules. Never inferred from a name."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from engine.domain.money import floor_to


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One tradable pair at one venue.

    price_tick: smallest price step, in quote per base. qty_step: smallest quantity step, in base.
    min_notional: least order value, in quote. maker_fee, taker_fee: fractions of the notional.
    fee_asset: "quote", "base" or an asset code. calendar: "24/7" or an exchange calendar's code.
    assumed: True when the rules are stated defaults, not the trader's file.
    """

    venue: str
    symbol: str
    base: str
    quote: str
    price_tick: Decimal
    qty_step: Decimal
    min_notional: Decimal
    maker_fee: Decimal
    taker_fee: Decimal
    fee_asset: str = "quote"
    calendar: str = "24/7"
    group: str = ""
    aliases: tuple[str, ...] = ()
    assumed: bool = False

    @property
    def key(self) -> str:
        """The one name everything else uses, such as "paper:BTC/USDT"."""
        return f"{self.venue}:{self.symbol}"

    @property
    def fee_currency(self) -> str:
        """The asset fees are posted in."""
        return {"quote": self.quote, "base": self.base}.get(self.fee_asset, self.fee_asset)

    def floor_qty(self, qty: Decimal) -> Decimal:
        """Round a quantity towards zero to the venue's step."""
        return floor_to(qty, self.qty_step)
