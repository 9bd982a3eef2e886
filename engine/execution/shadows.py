"""What a rejected trade would have done: priced as the paper venue prices, followed on closed candles, moving no money.

A market order takes the open of the first candle after the rejection, a limit order its price on touch. From then on
the stop and the target are watched, the stop first within one candle. After a week the trade is valued at the close.
The candle's volume is not asked: what somebody else took of it nobody can know.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from engine.clock import DAY_MS
from engine.domain.events import ShadowEnd, ShadowEnded, ShadowEntered
from engine.domain.instrument import Instrument
from engine.domain.market import Candle
from engine.domain.money import ZERO, kept
from engine.domain.order import Liquidity, OrderRole, OrderType
from engine.domain.policy import PaperSettings
from engine.domain.shadows import Shadow
from engine.execution.paper_match import against, at_limit, at_market, at_stop
from engine.execution.paper_money import fee_rate

HORIZON_MS = 7 * DAY_MS
"""So long a rejected trade is followed, from its fill, or from its rejection while it has not filled."""

Step = ShadowEntered | ShadowEnded
_Exit = tuple[ShadowEnd, Decimal, Liquidity]


def follow(shadow: Shadow, candle: Candle, instrument: Instrument, settings: PaperSettings) -> tuple[Step, ...]:
    """Return what one closed candle of its instrument means for a rejected trade; usually nothing.

    Candles that were seen before, as they are after a restart, say the same again.
    """
    entered = shadow.entered
    if entered is None:
        entered = _entry(shadow, candle, instrument, settings)
        if entered is None:
            late = candle.close_ms - shadow.since_ms >= HORIZON_MS
            return (_ended(shadow, ShadowEnd.NEVER_FILLED, None, ZERO),) if late else ()
        done = _exit(replace(shadow, entered=entered), candle, instrument, settings)
        return (entered, *done)
    return _exit(shadow, candle, instrument, settings)


def _entry(shadow: Shadow, candle: Candle, instrument: Instrument, settings: PaperSettings) -> ShadowEntered | None:
    asked, tick = shadow.asked, instrument.price_tick
    if candle.ts_ms < shadow.since_ms or not candle.volume > 0:
        return None
    price: Decimal | None = at_market(asked.side, candle.open, settings, tick)
    inside = asked.order_type is OrderType.LIMIT and asked.limit_price is not None
    if inside and asked.limit_price is not None:
        rested = candle.ts_ms - shadow.since_ms >= candle.interval_ms
        hit = at_limit(asked.side, asked.limit_price, candle, settings, tick, rested=rested)
        price = hit[0] if hit else None
    if price is None:
        return None
    return ShadowEntered(approval_id=asked.approval_id, price=price, candle_ms=candle.ts_ms, inside=inside)


def _exit(shadow: Shadow, candle: Candle, instrument: Instrument, settings: PaperSettings) -> tuple[ShadowEnded, ...]:
    entered = shadow.entered
    assert entered is not None
    if candle.ts_ms < entered.candle_ms:
        return ()
    found = _protected(shadow, entered, candle, instrument, settings)
    if found is None and candle.close_ms - entered.candle_ms >= HORIZON_MS:
        share = settings.half_spread_frac + settings.slippage_frac
        close = against(shadow.asked.side.opposite, candle.close, share, instrument.price_tick)
        found = ShadowEnd.OPEN, close, Liquidity.TAKER
    if found is None:
        return ()
    how, price, liquidity = found
    return (_ended(shadow, how, price, _profit(shadow, entered, price, liquidity, instrument)),)


def _protected(
    shadow: Shadow, entered: ShadowEntered, candle: Candle, instrument: Instrument, settings: PaperSettings
) -> _Exit | None:
    """Return how the stop or the target acts in a candle; a sale brings none."""
    asked, tick = shadow.asked, instrument.price_tick
    if asked.role is not OrderRole.ENTRY or not candle.volume > 0:
        return None
    way = asked.side.opposite
    if asked.stop_price is not None:
        stopped = at_stop(way, asked.stop_price, candle, settings, tick)
        if stopped is not None:
            return ShadowEnd.STOP, stopped, Liquidity.TAKER
    if asked.target_price is None or (entered.inside and candle.ts_ms == entered.candle_ms):
        return None
    hit = at_limit(way, asked.target_price, candle, settings, tick, rested=True)
    return None if hit is None else (ShadowEnd.TARGET, hit[0], hit[1])


def _profit(
    shadow: Shadow, entered: ShadowEntered, price: Decimal, liquidity: Liquidity, instrument: Instrument
) -> Decimal:
    """Bought 2 at 100 and sold at 110 with fees of 0.1 %: 20 - 0.20 - 0.22 = 19.58."""
    asked = shadow.asked
    moved = (price - entered.price) * asked.side.sign
    first = fee_rate(instrument, Liquidity.MAKER if entered.inside else Liquidity.TAKER)
    fees = entered.price * first + price * fee_rate(instrument, liquidity)
    return kept((moved - fees) * asked.qty)


def _ended(shadow: Shadow, how: ShadowEnd, exit_price: Decimal | None, profit: Decimal) -> ShadowEnded:
    asked = shadow.asked
    return ShadowEnded(
        approval_id=asked.approval_id, cycle_id=asked.cycle_id, agent=asked.agent, instrument=asked.instrument,
        side=asked.side, qty=asked.qty, how=how, entry_price=shadow.entered.price if shadow.entered else None,
        exit_price=exit_price, profit=profit,
    )  # fmt: skip
