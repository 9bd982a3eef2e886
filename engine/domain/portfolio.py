"""Positions, derived only from fills and transfers; worked figures run as tests.

A position at average cost depends on the order of its fills, but fills arrive in any order (R12, E09). So a position is
the sum of its moves in their own order: the venue's time and trade id, never the order of arrival. The trail keeps the
position after each move; a move that comes last, as nearly all do, costs one step, a late one the steps after it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from engine.domain.money import ZERO, cost_share, plain


@dataclass(frozen=True, slots=True)
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
        """Return the position after base came (qty > 0) or left that was not traded; its value changes the cost.

        >>> Position("a", "x", Decimal(1), Decimal(100)).after_transfer(Decimal(1), Decimal(120), 0).figures
        ('2', '220', '0')
        """
        entered = self.entered_ms if self.qty else ts_ms
        return replace(self, qty=self.qty + qty, cost=self.cost + value, entered_ms=entered)

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


MoveKey = tuple[int, int, str, str]


def move_key(ts_ms: int, trade_id: str, account: str) -> MoveKey:
    """Return a move's place among all moves of its position: by time, then by trade id, "9" before "10"."""
    return ts_ms, len(trade_id), trade_id, account


@dataclass(frozen=True, slots=True)
class Move:
    """One thing that changed a position: a fill, or with price None a transfer of qty worth value.

    qty: signed, in base. fee: taken in base. value: signed, in quote.
    """

    key: MoveKey
    qty: Decimal
    price: Decimal | None
    fee: Decimal = ZERO
    value: Decimal = ZERO

    def applied_to(self, position: Position) -> Position:
        """Return a position after this move; one that was busted to nothing changes nothing."""
        ts_ms = self.key[0]
        if self.price is None:
            return position.after_transfer(self.qty, self.value, ts_ms)
        after = position.after_fill(self.qty, self.price, ts_ms) if self.qty else position
        return after.after_base_fee(self.fee) if self.fee else after


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Trail:
    """A position's last move in their own order, the position after it, and the trail before it."""

    move: Move
    position: Position
    before: Trail | None


def placed(trail: Trail | None, move: Move, start: Position) -> Trail:
    """Return the trail with one more move in its place. start: the position before any move.

    >>> key, flat = move_key, Position("a", "x")
    >>> buy = Move(key(1, "t1", ""), Decimal(1), Decimal(100))
    >>> sell = Move(key(2, "t2", ""), Decimal(-1), Decimal(110))
    >>> placed(placed(None, buy, flat), sell, flat).position.figures
    ('0', '0', '10')
    >>> placed(placed(None, sell, flat), buy, flat).position.figures
    ('0', '0', '10')
    """
    if trail is None or trail.move.key < move.key:
        return Trail(move, move.applied_to(start if trail is None else trail.position), trail)
    return _again(*_split(trail, move.key), (move,), start)


def amended(trail: Trail | None, move: Move, start: Position) -> Trail:
    """Return the trail with the move of the same key replaced; KeyError when there is none.

    A busted or corrected fill was never what the position came from, so what follows it is reckoned again (E14).
    """
    before, later = _split(trail, move.key)
    if not later or later[-1].key != move.key:
        raise KeyError(move.key)
    return _again(before, later[:-1], (move,), start)


def move_of(trail: Trail | None, key: MoveKey) -> Move:
    """Return the move of a key as it stands now; KeyError when there is none."""
    while trail is not None and trail.move.key > key:
        trail = trail.before
    if trail is None or trail.move.key != key:
        raise KeyError(key)
    return trail.move


def _split(trail: Trail | None, key: MoveKey) -> tuple[Trail | None, list[Move]]:
    """Return what lies before a key, and the moves from it on, latest first."""
    later: list[Move] = []
    while trail is not None and trail.move.key >= key:
        later.append(trail.move)
        trail = trail.before
    return trail, later


def _again(trail: Trail | None, later: list[Move], first: tuple[Move, ...], start: Position) -> Trail:
    for move in (*first, *reversed(later)):
        trail = Trail(move, move.applied_to(start if trail is None else trail.position), trail)
    assert trail is not None
    return trail
