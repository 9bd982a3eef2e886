"""Manual trades: stop entries, quantities in other units, and what the portfolio would be after them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from engine import api
from engine.control import views

BTC = "paper:BTC/USDT"
Make = Callable[..., Awaitable[Any]]
D = Decimal


def ticket(**changes: Any) -> api.Ticket:
    base = api.Ticket(
        instrument=BTC, side=api.Side.BUY, order_type=api.OrderType.MARKET, qty=D("0.5"), stop_frac=D("0.02")
    )
    return replace(base, **changes)


def stop_at(price: str, **changes: Any) -> api.Ticket:
    return ticket(order_type=api.OrderType.STOP, trigger_price=D(price), **changes)


def levels(stop: str, target: str | None = None, trigger: str | None = None, **changes: Any) -> api.Ticket:
    """A ticket whose stop and target are prices."""
    shape = stop_at(trigger) if trigger else ticket()
    above = None if target is None else D(target)
    return replace(shape, stop_frac=None, stop_price=D(stop), target_price=above, **changes)


async def seen(world: Any, wanted: api.Ticket) -> api.TicketPreview:
    reply = await world.handlers.handle(api.PreviewTicket(ticket=wanted))
    assert reply.data is not None, reply.text
    return reply.data


async def sent(world: Any, wanted: api.Ticket) -> api.Reply:
    shown = await seen(world, wanted)
    return await world.handlers.handle(api.SubmitTicket(ticket=wanted, preview_id=shown.preview_id))


async def test_stop_ticket_waits_for_its_price_then_buys_with_a_stop_below_it(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    shown = await seen(world, stop_at("51000"))
    assert (shown.refused, shown.price, shown.stop_price) == (False, 51_000, 49_980)
    assert (await sent(world, stop_at("51000"))).ok
    await world.bar("50000", "50900", "50000", "50900")
    assert world.position("trader") == 0
    await world.bar("50900", "51100", "50900", "51050")
    assert world.position("trader") == D("0.5")
    (stop,) = world.books.orders.values()
    assert (stop.role, stop.stop_price, stop.qty) == (api.OrderRole.STOP, 49_980, D("0.5"))


async def test_stop_and_target_as_prices_rest_where_they_were_written(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    shown = await seen(world, levels("49000.001", "52000"))
    assert (shown.refused, shown.stop_price, shown.target_price) == (False, D("49000.01"), 52_000)
    assert (shown.stop_frac, shown.target_frac) == (D("0.0199998"), D("0.04"))
    assert shown.effect is not None
    assert shown.effect.at_stop == D("0.5") * (50_000 - D("49000.01"))
    assert (await sent(world, levels("49000.001", "52000"))).ok
    await world.bar("50100")
    resting = {order.role: order.stop_price or order.limit_price for order in world.books.orders.values()}
    assert resting == {api.OrderRole.STOP: D("49000.01"), api.OrderRole.TARGET: 52_000}
    await world.bar("50100", "52100", "50100", "52100")
    assert world.position("trader") == 0


async def test_stop_price_that_the_market_has_passed_since_the_preview_is_not_sent(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    wanted = levels("49900")
    shown = await seen(world, wanted)
    await world.bar("49850")
    reply = await world.handlers.handle(api.SubmitTicket(ticket=wanted, preview_id=shown.preview_id))
    assert "A stop of 49900 is not below the entry at 49850" in reply.text
    assert world.books.count.orders == 0


async def test_waiting_stop_ticket_reserves_its_price_against_the_next_trade(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    assert (await sent(world, stop_at("54000", qty=D("1.5")))).ok
    free = world.core.desk.surroundings.free_cash(world.books.instruments[BTC])
    assert free == 100_000 - D("1.5") * 54_000 * D("1.01") * D("1.001")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (stop_at("50000"), "A BUY STOP waits above the market, which is at 50000"),
        (stop_at("50500", side=api.Side.SELL), "A SELL STOP waits below the market"),
        (ticket(trigger_price=D(51_000)), "A MARKET ticket has no stop price"),
        (ticket(order_type=api.OrderType.STOP), "A STOP ticket needs a stop price"),
        (stop_at("51000", limit_price=D(50_000)), "A STOP ticket has no limit price"),
        (ticket(order_type=api.OrderType.LIMIT), "A LIMIT ticket needs a limit price"),
        (ticket(order_type=api.OrderType.TAKE_PROFIT), "A ticket is MARKET, LIMIT or STOP"),
        (stop_at("NaN"), "not above 0"),
        (ticket(qty=D("NaN")), "not above 0"),
        (levels("50000"), "A stop of 50000 is not below the entry at 50000; write a price below it"),
        (levels("49000", "49500"), "A target of 49500 is not above the entry at 50000; write a price above it"),
        (levels("50500", "50900", "51000"), "A target of 50900 is not above the entry at 51000"),
        (levels("2"), "A stop of 2 is a price more than 99% below the entry at 50000; for a distance write it with"),
        (levels("49000", "600000"), "more than 1000% above the entry"),
        (levels("NaN"), "The stop NaN is not above 0"),
        (levels("49000", side=api.Side.SELL), "A SELL only sells what is held and brings no stop"),
        (ticket(stop_price=D(49_000)), "A stop is a price or a distance; write 49000 or 2%."),
        (ticket(unit="ETH"), "write BTC, USDT, or a percentage of equity"),
        (ticket(unit="%", qty=D("1.5")), "150% of equity is more than all of it"),
        (ticket(unit="USDT", qty=D("0.01")), "buys less than one step of 0.00001 BTC"),
    ],
)
async def test_ticket_that_is_not_whole_is_refused_with_what_to_write(
    make_world: Make, wanted: api.Ticket, said: str
) -> None:
    world = await make_world()
    await world.bar("50000")
    reply = await world.handlers.handle(api.PreviewTicket(ticket=wanted))
    assert not reply.ok
    assert said in reply.text


async def test_instrument_may_be_written_as_its_symbol(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    assert (await sent(world, ticket(instrument="BTC/USDT"))).ok
    reply = await world.handlers.handle(api.PreviewTicket(ticket=ticket(instrument="ETH/USDT")))
    assert "there are: paper:BTC/USDT" in reply.text


async def test_stop_far_from_the_median_is_refused_by_the_collar(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    shown = await seen(world, stop_at("56000"))
    assert shown.refused
    assert shown.checks[-1].code is api.CheckCode.PRICE_COLLAR


async def test_one_position_has_one_stop(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    await sent(world, ticket())
    await world.bar("50000")
    reply = await world.handlers.handle(api.PreviewTicket(ticket=stop_at("48000", side=api.Side.SELL)))
    assert "A stop for 0.5 rests at 49000 already" in reply.text


async def test_unprotected_position_is_sold_by_a_stop_ticket_when_the_price_falls_to_it(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    await sent(world, ticket(stop_frac=None))
    await world.bar("50000")
    assert (await sent(world, stop_at("49000", side=api.Side.SELL, stop_frac=None))).ok
    await world.bar("49500")
    assert world.position("trader") == D("0.5")
    await world.bar("49500", "49500", "48900", "48900")
    assert world.position("trader") == 0


@pytest.mark.parametrize(
    ("wanted", "qty"),
    [
        (ticket(qty=D(500), unit="USDT"), "0.01"),
        (ticket(qty=D("0.02"), unit="%"), "0.04"),
        (ticket(qty=D("0.25"), unit="BTC"), "0.25"),
        (stop_at("51000", qty=D(510), unit="USDT"), "0.01"),
        (ticket(order_type=api.OrderType.LIMIT, limit_price=D(49_999), qty=D(1), unit="USDT"), "0.00002"),
    ],
)
async def test_quantity_in_quote_or_in_percent_of_equity_becomes_whole_steps(
    make_world: Make, wanted: api.Ticket, qty: str
) -> None:
    world = await make_world()
    await world.bar("50000")
    shown = await seen(world, wanted)
    assert shown.asked_qty == D(qty)


async def test_quantity_in_quote_stays_what_the_preview_said_as_the_price_moves(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    wanted = ticket(qty=D(500), unit="USDT")
    shown = await seen(world, wanted)
    await world.bar("50200")
    assert (await world.handlers.handle(api.SubmitTicket(ticket=wanted, preview_id=shown.preview_id))).ok
    await world.bar("50200")
    assert world.position("trader") == D("0.01")


async def test_preview_shows_the_portfolio_after_the_trade(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    effect = (await seen(world, ticket())).effect
    assert effect is not None
    assert (effect.cash_before, effect.cash_after, effect.free_after) == (100_000, 74_975, 74_975)
    assert (effect.qty_before, effect.qty_after) == (0, D("0.5"))
    assert (effect.gross_before_frac, effect.gross_after_frac) == (0, D("0.25"))
    assert (effect.at_stop, effect.at_stop_frac, effect.fee) == (500, D("0.005"), 25)
    await sent(world, ticket())
    await world.bar("50000")
    assert world.books.balances["USDT"] == effect.cash_after


async def test_preview_of_a_sale_brings_cash_back_and_needs_no_stop(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    await sent(world, ticket())
    await world.bar("50000")
    effect = (await seen(world, ticket(side=api.Side.SELL))).effect
    assert effect is not None
    assert (effect.cash_before, effect.cash_after) == (74_975, 99_950)
    assert (effect.gross_after_frac, effect.at_stop) == (0, None)


async def test_a_resume_before_the_first_candle_leaves_the_days_loss(make_world: Make) -> None:
    world = await make_world()
    await world.quote("50000")
    assert (await sent(world, ticket(stop_frac=None))).ok
    await world.quote("48000")
    await world.core.on_heartbeat()
    await world.handlers.handle(api.Halt())
    before = views.snapshot(world.core, mono_ms=0, progress=None, finished=False)
    assert (await world.handlers.handle(api.Resume(reason="looked at it"))).ok
    after = views.snapshot(world.core, mono_ms=0, progress=None, finished=False)
    assert before.day_pnl is not None
    assert before.day_pnl < -900
    assert (after.day_pnl, after.day_start) == (before.day_pnl, before.day_start)


async def test_equity_follows_a_fill_without_a_further_price(make_world: Make) -> None:
    world = await make_world()
    await world.quote("50000", "50010")
    assert (await sent(world, ticket())).ok
    await world.core.on_heartbeat()
    shown = views.snapshot(world.core, mono_ms=0, progress=None, finished=False)
    assert world.position("trader") == D("0.5")
    assert shown.equity is not None
    assert shown.equity == world.core.desk.surroundings.equity() != world.books.funded
