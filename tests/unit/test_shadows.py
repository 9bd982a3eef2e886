"""What a rejected trade would have done, with figures that were worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.domain.events import ApprovalAsked, ShadowEnd, ShadowEnded, ShadowEntered
from engine.domain.market import Candle
from engine.domain.order import OrderRole, OrderType, Side
from engine.domain.policy import PaperSettings
from engine.domain.shadows import Shadow
from engine.execution.shadows import HORIZON_MS, follow
from tests.unit.paper_kit import BTC, SOURCE

MINUTE_MS = 60_000
SINCE_MS = 1_000 * MINUTE_MS
D = Decimal
FREE = PaperSettings(half_spread_frac=D(0), slippage_frac=D(0))
DEAR = PaperSettings(half_spread_frac=D("0.001"), slippage_frac=D("0.001"))
ASKED = ApprovalAsked(
    approval_id="a.1:paper:BTC/USDT", cycle_id="a.1", agent="a", instrument=BTC.key, role=OrderRole.ENTRY,
    side=Side.BUY, order_type=OrderType.MARKET, qty=D(2), price=D(100), limit_price=None, stop_price=D(95),
    target_price=D(110), digest="d", expires_ms=SINCE_MS + 1,
)  # fmt: skip


def candle(minute: int, o: object, h: object, l: object, c: object, volume: object = 10) -> Candle:  # noqa: E741
    prices = [D(str(each)) for each in (o, h, l, c)]
    return Candle(BTC.key, SINCE_MS + minute * MINUTE_MS, MINUTE_MS, *prices, D(str(volume)), SOURCE)  # type: ignore[arg-type]


def run(candles: list[Candle], settings: PaperSettings = FREE, **asked: Any) -> list[ShadowEntered | ShadowEnded]:
    """Follow one rejected trade over candles; what it says, in order."""
    shadow: Shadow | None = Shadow(asked=replace(ASKED, **asked), since_ms=SINCE_MS)
    said: list[ShadowEntered | ShadowEnded] = []
    for each in candles:
        for step in follow(shadow, each, BTC, settings) if shadow else ():
            said.append(step)
            shadow = replace(shadow, entered=step) if shadow and isinstance(step, ShadowEntered) else None
    return said


def end(candles: list[Candle], settings: PaperSettings = FREE, **asked: Any) -> ShadowEnded:
    last = run(candles, settings, **asked)[-1]
    assert isinstance(last, ShadowEnded)
    return last


def test_market_entry_takes_the_first_open_after_the_rejection_with_spread_and_slippage() -> None:
    (entered,) = run([candle(-1, 90, 90, 90, 90), candle(0, 101, 102, 100, 101)], DEAR)
    assert entered == ShadowEntered(approval_id=ASKED.approval_id, price=D("101.21"), candle_ms=SINCE_MS, inside=False)


def test_target_makes_the_way_less_both_fees() -> None:
    ended = end([candle(0, 100, 101, 99, 100), candle(1, 105, 111, 104, 109)])
    # 2 x 10 less 2 x 100 x 0.2 % as taker less 2 x 110 x 0.1 % as maker
    assert (ended.how, ended.exit_price, ended.profit) == (ShadowEnd.TARGET, 110, D("19.38"))
    assert ended.sentence == "made 19.38: 100 -> 110, its target"


def test_stop_comes_first_where_a_candle_touches_both_and_a_gap_takes_the_open() -> None:
    ended = end([candle(0, 100, 101, 99, 100), candle(1, 93, 111, 92, 100)])
    assert (ended.how, ended.exit_price, ended.profit) == (ShadowEnd.STOP, 93, D("-14.772"))


def test_limit_entry_waits_for_its_price_and_its_target_waits_for_the_next_candle() -> None:
    limit = {"order_type": OrderType.LIMIT, "limit_price": D(98)}
    assert run([candle(0, 100, 101, 99, 100)], **limit) == []
    said = run([candle(0, 100, 101, 99, 100), candle(1, 99, 112, 97, 111), candle(2, 111, 112, 110, 111)], **limit)
    assert isinstance(said[0], ShadowEntered)
    assert (said[0].price, said[0].inside) == (98, True)
    assert isinstance(said[1], ShadowEnded)
    assert (said[1].how, said[1].exit_price) == (ShadowEnd.TARGET, 111)  # a gap over it gives the open


def test_limit_that_is_never_reached_ends_after_a_week_without_profit() -> None:
    week = HORIZON_MS // MINUTE_MS
    ended = end([candle(week - 1, 100, 101, 99, 100)], order_type=OrderType.LIMIT, limit_price=D(50))
    assert (ended.how, ended.profit, ended.sentence) == (ShadowEnd.NEVER_FILLED, 0, "never filled")


def test_trade_that_neither_stop_nor_target_ends_is_valued_at_the_close_after_a_week() -> None:
    week = HORIZON_MS // MINUTE_MS
    ended = end([candle(0, 100, 101, 99, 100), candle(week - 1, 103, 104, 102, 104)])
    assert (ended.how, ended.exit_price, ended.profit) == (ShadowEnd.OPEN, 104, D("7.184"))


def test_rejected_sale_is_measured_against_holding_on() -> None:
    week = HORIZON_MS // MINUTE_MS
    sale = {"side": Side.SELL, "role": OrderRole.EXIT, "stop_price": None, "target_price": None}
    ended = end([candle(0, 100, 101, 99, 100), candle(week - 1, 90, 90, 90, 90)], **sale)
    assert (ended.how, ended.profit) == (ShadowEnd.OPEN, D("19.24"))


def test_candle_without_volume_fills_nothing() -> None:
    assert run([candle(0, 100, 101, 94, 100, volume=0)]) == []


PRICES = st.integers(80, 120)


@given(st.lists(st.tuples(PRICES, PRICES, PRICES), min_size=1, max_size=20), st.integers(0, 20))
def test_seeing_candles_again_after_a_restart_changes_nothing(rows: list[tuple[int, int, int]], again: int) -> None:
    candles = [candle(n, o, max(row), min(row), c) for n, row in enumerate(rows) for o, c in [row[:2]]]
    shadow, whole = Shadow(asked=ASKED, since_ms=SINCE_MS), run(candles)
    entered = next((each for each in whole if isinstance(each, ShadowEntered)), None)
    assert entered is not None
    seen = candles[: min(again, len(candles))]
    if any(isinstance(each, ShadowEnded) for each in run(seen)):
        return
    kept = replace(shadow, entered=next((e for e in run(seen) if isinstance(e, ShadowEntered)), None))
    resumed: list[Any] = []
    for each in candles:
        steps = follow(kept, each, BTC, FREE)
        resumed += steps
        kept = replace(kept, entered=next((s for s in steps if isinstance(s, ShadowEntered)), kept.entered))
        if any(isinstance(step, ShadowEnded) for step in steps):
            break
    ended = [each for each in whole if isinstance(each, ShadowEnded)]
    assert [each for each in resumed if isinstance(each, ShadowEnded)] == ended
