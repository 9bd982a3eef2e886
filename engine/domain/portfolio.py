"""Positions, derived only from fills and transfers; worked figures run as tests.

A position at average cost depends on the order of its fills, but fills arrive in any order (R12, E09). So a position is
the sum of its moves in their own order: the venue's time and trade id, never the order of arrival. The trail keeps the
position after each of the last moves; a move that comes last, as nearly all do, costs one step, a late one the steps
after it. One that belongs before the trail begins needs the whole trail, which only the journal has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from engine.domain.money import ZERO, cost_share, plain
from engine.domain.values import quick_value


@quick_value
class Position:
    """What one agent holds of one instrument.

    qty: signed, in base, after fees taken in base. cost: signed cost basis of qty, in quote.
    realized: profit of closed parts before fees, in quote. entered_ms: when qty last left zero, by the venue's clock.
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

    def after_transfer(self, qty: Decimal, value: Decimal, ts_ms: int) -> Position:
        """Return the position after base came (qty > 0) or left untraded, counted at a value of the same sign.

        What comes adds its value to the cost; what leaves takes its share of the cost along, and the rest is realised.
        >>> one = Position("a", "x", Decimal(1), Decimal(100))
        >>> one.after_transfer(Decimal(1), Decimal(120), 0).figures
        ('2', '220', '0')
        >>> one.after_transfer(Decimal(-1), Decimal(-130), 0).figures
        ('0', '0', '30')
        """
        if not self.qty or (self.qty > 0) == (qty > 0):
            entered = self.entered_ms if self.qty else ts_ms
            return replace(self, qty=self.qty + qty, cost=self.cost + value, entered_ms=entered)
        if abs(qty) > abs(self.qty):
            closing = cost_share(value, -self.qty, qty)
            closed = self.after_transfer(-self.qty, closing, ts_ms)
            return closed.after_transfer(qty + self.qty, value - closing, ts_ms)
        cost_out = cost_share(self.cost, -qty, self.qty)
        return replace(self, qty=self.qty + qty, cost=self.cost - cost_out, realized=self.realized - value - cost_out)

    def _increased(self, signed_qty: Decimal, price: Decimal, ts_ms: int) -> Position:
        entered = self.entered_ms if self.qty else ts_ms
        qty, cost = self.qty + signed_qty, self.cost + signed_qty * price
        return Position(self.agent, self.instrument, qty, cost, self.realized, entered)

    def _reduced(self, signed_qty: Decimal, price: Decimal) -> Position:
        cost_out = cost_share(self.cost, -signed_qty, self.qty)
        realized = self.realized - signed_qty * price - cost_out
        qty, cost = self.qty + signed_qty, self.cost - cost_out
        return Position(self.agent, self.instrument, qty, cost, realized, self.entered_ms)


MoveKey = tuple[int, int, str, str]


def move_key(ts_ms: int, trade_id: str, account: str) -> MoveKey:
    """Return a move's place among all moves of its position: by time, then by trade id, "9" before "10"."""
    return ts_ms, len(trade_id), trade_id, account


STEPS_KEPT = 32
"""So late may a fill be, in fills of its position, before the journal must be read for it."""


class LateMoveError(Exception):
    """A move belongs before all that is kept of its position's trail."""


@quick_value
class Move:
    """One thing that changed a position: a fill, or with price None a transfer of qty worth value, or a fee alone.

    qty: signed, in base. fee: taken in base. value: in quote, of the sign of qty.
    """

    key: MoveKey
    qty: Decimal
    price: Decimal | None
    fee: Decimal = ZERO
    value: Decimal = ZERO

    def applied_to(self, position: Position) -> Position:
        """Return a position after this move; one that was busted to nothing changes nothing."""
        ts_ms, after = self.key[0], position
        if self.qty and self.price is not None:
            after = position.after_fill(self.qty, self.price, ts_ms)
        elif self.qty:
            after = position.after_transfer(self.qty, self.value, ts_ms)
        return after.after_base_fee(self.fee) if self.fee else after


@quick_value
class Step:
    """A move, and the position after it."""

    move: Move
    position: Position


@quick_value
class Trail:
    """A position's last moves in their own order. whole: they are all there ever were, none was left out."""

    steps: tuple[Step, ...] = ()
    whole: bool = True

    @classmethod
    def of(cls, moves: Iterable[Move], start: Position) -> Trail:
        """Return the whole trail that moves in their order make, however long."""
        steps: list[Step] = []
        for move in moves:
            start = move.applied_to(start)
            steps.append(Step(move, start))
        return cls(tuple(steps))

    def with_move(self, move: Move, start: Position, keep: int = STEPS_KEPT) -> Trail:
        """Return the trail with one more move in its place. start: the position before any move.

        Raises LateMoveError when that place is before what is kept.

        >>> flat = Position("a", "x")
        >>> buy = Move(move_key(1, "t1", ""), Decimal(1), Decimal(100))
        >>> sell = Move(move_key(2, "t2", ""), Decimal(-1), Decimal(110))
        >>> for moves in ((buy, sell), (sell, buy)):
        ...     Trail().with_move(moves[0], flat).with_move(moves[1], flat).steps[-1].position.figures
        ('0', '0', '10')
        ('0', '0', '10')
        """
        return self._again(self._place_of(move.key), move, 0, start, keep)

    def with_change(self, move: Move, start: Position, keep: int = STEPS_KEPT) -> Trail:
        """Return the trail with the move of the same key replaced; KeyError when there never was one.

        A busted or corrected fill was never what the position came from, so what follows it is reckoned again (E14).
        """
        at = self._place_of(move.key)
        if at == len(self.steps) or self.steps[at].move.key != move.key:
            raise KeyError(str(move.key))
        return self._again(at, move, 1, start, keep)

    def _place_of(self, key: MoveKey) -> int:
        at = len(self.steps)
        while at and self.steps[at - 1].move.key >= key:
            at -= 1
        if at == 0 and not self.whole:
            raise LateMoveError(key)
        return at

    def _again(self, at: int, move: Move, replaced: int, start: Position, keep: int) -> Trail:
        """Reckon from a place on: the move, then those that were there, the replaced ones left out."""
        count = len(self.steps)
        if at == count:  # it comes last, as nearly all do
            step = Step(move, move.applied_to(self.steps[-1].position if count else start))
            return Trail((*self.steps[max(0, count + 1 - keep) :], step), self.whole and count < keep)
        steps = list(self.steps[:at])
        position = steps[-1].position if steps else start
        for each in (move, *(step.move for step in self.steps[at + replaced :])):
            position = each.applied_to(position)
            steps.append(Step(each, position))
        return Trail(tuple(steps[-keep:]), self.whole and len(steps) <= keep)
