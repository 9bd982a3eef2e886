"""Positions, derived only from fills; worked figures run as tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from engine.domain.money import ZERO, cost_share, plain


@dataclass(frozen=True, slots=True)
class Position:
    """What one agent holds of one instrument.

    qty: signed, in base, after fees taken in base. cost: signed cost basis of qty, in quote.
    realized: profit of closed parts before fees, in quote. entered_ms: when qty last left zero.
    """

    agent: str
    instrument: str
    qty: Decimal = ZERO
    cost: Decimal = ZERO
    realized: Decimal = ZERO
    entered_ms: int = 0

    @property
    def average_price(self) -> Decimal | None:
        """Mean entry price in quote; None when flat."""
        return self.cost / self.qty if self.qty else None

    @property
    def figures(self) -> tuple[str, str, str]:
        """Quantity, cost and realised profit as texts, for tests and exports."""
        return plain(self.qty), plain(self.cost), plain(self.realized)

    def unrealized(self, mark: Decimal) -> Decimal:
        """Profit if closed at the mark, before fees, in quote.

        >>> Position("a", "x", Decimal(2), Decimal(200)).unrealized(Decimal(110))
        Decimal('20')
        """
        return self.qty * mark - self.cost

    def after_fill(self, signed_qty: Decimal, price: Decimal, ts_ms: int) -> Position:
        """Return the position after a fill: increase, reduce, close or flip.

        Increase: bought 1 at 100, 1 more at 110: cost 210.
        >>> one = Position("a", "x").after_fill(Decimal(1), Decimal(100), 0)
        >>> two = one.after_fill(Decimal(1), Decimal(110), 0); two.figures
        ('2', '210', '0')

        Reduce: sold 1 at 120; half the cost, 105, leaves; 15 is realised.
        >>> half = two.after_fill(Decimal(-1), Decimal(120), 0); half.figures
        ('1', '105', '15')

        Close: sold the other at 100; 5 of it is lost again.
        >>> half.after_fill(Decimal(-1), Decimal(100), 0).figures
        ('0', '0', '10')

        Flip: sold 3 at 120 while holding 2 at 105: 30 realised, short 1 from 120.
        >>> two.after_fill(Decimal(-3), Decimal(120), 0).figures
        ('-1', '-120', '30')
        """
        if not self.qty or (self.qty > 0) == (signed_qty > 0):
            return self._increased(signed_qty, price, ts_ms)
        if abs(signed_qty) <= abs(self.qty):
            return self._reduced(signed_qty, price)
        rest = signed_qty + self.qty
        return self._reduced(-self.qty, price)._increased(rest, price, ts_ms)

    def after_base_fee(self, fee: Decimal) -> Position:
        """Take a fee paid in base out of the quantity; the cost stays, so the fee shows as a dearer entry."""
        return replace(self, qty=self.qty - fee)

    def _increased(self, signed_qty: Decimal, price: Decimal, ts_ms: int) -> Position:
        entered = self.entered_ms if self.qty else ts_ms
        return replace(self, qty=self.qty + signed_qty, cost=self.cost + signed_qty * price, entered_ms=entered)

    def _reduced(self, signed_qty: Decimal, price: Decimal) -> Position:
        cost_out = cost_share(self.cost, -signed_qty, self.qty)
        return replace(
            self,
            qty=self.qty + signed_qty,
            cost=self.cost - cost_out,
            realized=self.realized - signed_qty * price - cost_out,
        )
