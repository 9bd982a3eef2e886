"""Balances, fees, reservations and refusals of the paper venue."""

from dataclasses import replace
from decimal import Decimal

import pytest

from engine.domain.instrument import Instrument
from engine.domain.order import Bracket, OrderType, Side
from engine.execution.gateway import DuplicateIdError, OrderRejectedError
from tests.unit.paper_kit import BTC, ETH, ETHBTC, Venue, request

IN_BASE = replace(BTC, fee_asset="base")
IN_BNB = replace(BTC, fee_asset="BNB")


def with_fees(maker: str, taker: str, asset: str = "quote") -> Instrument:
    return replace(BTC, maker_fee=Decimal(maker), taker_fee=Decimal(taker), fee_asset=asset)


async def test_fees_in_quote_are_paid_on_both_sides_and_half_a_unit_rounds_up() -> None:
    venue = Venue(with_fees("0.001", "0.0000125"))
    await venue.buy("e1", "0.05")  # 5.01 * 0.0000125 = 0.000062625
    venue.flat()
    assert venue.told() == ["e1 BUY 0.05 @ 100.2 TAKER fee 0.00006263 USDT"]
    assert await venue.money() == {"USDT": "9994.98993737", "BTC": "0.05"}


@pytest.mark.fault("E35")
async def test_a_rebate_is_a_negative_fee_and_is_received() -> None:
    venue = Venue(with_fees("-0.0001", "0.002"))
    await venue.buy("e1", 1, limit=95)
    venue.candle(100, 100, 95, 95)
    assert venue.told() == ["e1 BUY 1 @ 95 MAKER fee -0.0095 USDT"]
    assert (await venue.money())["USDT"] == "9905.0095"


@pytest.mark.fault("E35")
async def test_a_fee_in_base_comes_out_of_what_was_bought_and_protection_covers_the_rest() -> None:
    venue = Venue(IN_BASE)
    await venue.buy("e1", 2, bracket=(95, None))
    venue.flat()
    assert venue.told()[0] == "e1 BUY 2 @ 100.2 TAKER fee 0.004 BTC"
    assert await venue.money() == {"USDT": "9799.6", "BTC": "1.996"}
    assert await venue.working() == {"e1-stop": "1.996"}


@pytest.mark.fault("E35")
async def test_an_exit_whose_fee_is_in_base_leaves_room_for_it_and_ends_with_dust() -> None:
    venue = Venue(IN_BASE)
    await venue.buy("e1", 2, bracket=(95, None))
    venue.flat()
    venue.told()
    await venue.sell("x1", "1.996", reduce=True)
    venue.flat()
    assert venue.told() == [  # 1.996 / 1.002 = 1.99201...
        "x1 SELL 1.992 @ 99.8 TAKER fee 0.003984 BTC",
        "e1-stop CANCELED: position closed",
        "x1 CANCELED: position closed",
    ]
    assert (await venue.money())["BTC"] == "0.000016"


@pytest.mark.fault("E35")
async def test_a_fee_in_a_third_asset_is_paid_at_its_declared_price() -> None:
    venue = Venue(IN_BNB, fee_rates={"BNB": Decimal(500)}, deposits={"USDT": "1000", "BNB": "1"})
    await venue.buy("e1", 1)
    venue.flat()
    assert venue.told() == ["e1 BUY 1 @ 100.2 TAKER fee 0.0004008 BNB"]
    assert await venue.money() == {"USDT": "899.8", "BTC": "1", "BNB": "0.9995992"}


@pytest.mark.fault("E35")
async def test_a_fee_asset_that_runs_short_is_replaced_by_quote() -> None:
    venue = Venue(IN_BNB, fee_rates={"BNB": Decimal(500)})
    await venue.buy("e1", 1)
    venue.flat()
    assert venue.told() == ["e1 BUY 1 @ 100.2 TAKER fee 0.2004 USDT"]


async def test_a_pair_quoted_in_a_coin_pays_in_that_coin_and_shrinks_its_holders_protection() -> None:
    venue = Venue(BTC, ETHBTC)
    await venue.buy("e1", 2, bracket=(90, None))
    venue.flat()
    venue.candle("0.05", "0.05", "0.05", "0.05", key=ETHBTC.key)
    await venue.gateway.create(request("e2", Side.BUY, 9, key=ETHBTC.key, limit="0.05", group="eth"))
    venue.candle("0.05", "0.05", "0.05", "0.05", key=ETHBTC.key)
    assert await venue.money() == {"USDT": "9799.1992", "BTC": "1.5491", "ETH": "9"}  # 2 - 0.45 - 0.0009
    assert await venue.working() == {"e1-stop": "1.549"}


GOOD = request("e1", Side.BUY, 1, limit=95)
BOTH = Bracket(stop_order_id="s", stop_price=Decimal(90), target_order_id="t", target_price=Decimal(110))


@pytest.mark.fault("E15")
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"instrument": "paper:XRP/USDT"}, "not traded here"),
        ({"qty": Decimal("0.0005")}, "not a positive multiple of 0.001"),
        ({"qty": Decimal(-1)}, "not a positive multiple"),
        ({"qty": Decimal("NaN")}, "not a positive multiple"),
        ({"qty": Decimal("Infinity")}, "not a positive multiple"),
        ({"qty": Decimal("1e40")}, "not a positive multiple"),
        ({"limit_price": Decimal("95.001")}, "limit price 95.001 is not a positive multiple of 0.01"),
        ({"limit_price": Decimal(0)}, "not a positive multiple"),
        ({"limit_price": None}, "LIMIT order needs a limit price"),
        ({"order_type": OrderType.MARKET}, "MARKET order takes no limit price"),
        ({"order_type": OrderType.STOP}, "STOP order takes no limit price"),
        ({"stop_price": Decimal(90)}, "LIMIT order takes no stop price"),
        ({"qty": Decimal("0.052")}, "value 4.94 is below the minimum 5 USDT"),
        ({"reduce_only": True}, "no short position"),
        ({"side": Side.SELL, "bracket": BOTH}, "takes no bracket"),
        ({"bracket": replace(BOTH, stop_price=Decimal("90.005"))}, "stop price 90.005"),
        ({"bracket": replace(BOTH, stop_price=Decimal(96))}, "rising order"),
        ({"bracket": replace(BOTH, target_price=Decimal(95))}, "rising order"),
        ({"bracket": replace(BOTH, target_order_id="s")}, "id of its own"),
        ({"bracket": replace(BOTH, stop_order_id="")}, "id of its own"),
    ],
)
async def test_an_order_against_the_venues_rules_is_refused_and_does_not_exist(
    bad: dict[str, object], reason: str
) -> None:
    venue = Venue()
    with pytest.raises(OrderRejectedError, match=reason):
        await venue.gateway.create(replace(GOOD, **bad))
    assert await venue.status("e1") == "unknown"
    await venue.gateway.create(GOOD)


@pytest.mark.fault("E16")
async def test_a_quantity_of_nothing_is_refused() -> None:
    with pytest.raises(OrderRejectedError, match="quantity 0 is not a positive multiple"):
        await Venue().buy("e1", 0)


async def test_an_order_for_an_instrument_without_a_price_yet_is_refused() -> None:
    venue = Venue(BTC, ETH)
    with pytest.raises(OrderRejectedError, match="no price is known for paper:ETH/USDT"):
        await venue.gateway.create(request("e1", Side.BUY, 1, key=ETH.key))


async def test_an_order_whose_fee_cannot_be_priced_is_refused() -> None:
    with pytest.raises(OrderRejectedError, match="no price is declared for BNB"):
        await Venue(IN_BNB).buy("e1", 1)


@pytest.mark.fault("E17")
@pytest.mark.parametrize(
    ("rest", "most"),
    [
        ({}, "9.96"),  # 1000 / (100.20 * 1.002) = 9.960...
        ({"limit": 100}, "9.98"),  # 1000 / (100 * 1.002) = 9.980...
        ({"stop": 105}, "9.485"),  # 1000 / (105.21 * 1.002) = 9.4858...
    ],
)
async def test_a_buy_needs_its_money_with_spread_slippage_and_fee(rest: dict[str, int], most: str) -> None:
    venue = Venue(deposits={"USDT": "1000"})
    with pytest.raises(OrderRejectedError, match=r"insufficient funds: .* USDT needed, 1000 free"):
        await venue.buy("e1", Decimal(most) + Decimal("0.001"), **rest)
    await venue.buy("e1", most, **rest)


@pytest.mark.fault("E17")
async def test_money_that_a_working_buy_reserves_is_not_spent_twice_and_a_cancel_frees_it() -> None:
    venue = Venue(deposits={"USDT": "1000"})
    await venue.buy("e1", 6, limit=90)
    with pytest.raises(OrderRejectedError, match="insufficient funds"):
        await venue.buy("e2", 6, limit=90)
    await venue.gateway.cancel("e1")
    await venue.buy("e3", 6, limit=90)


@pytest.mark.fault("E17")
async def test_a_cash_account_refuses_to_sell_what_it_does_not_hold_or_sells_already() -> None:
    venue = Venue(deposits={"BTC": "2"})
    with pytest.raises(OrderRejectedError, match="insufficient funds: 3 BTC needed, 2 free"):
        await venue.sell("s1", 3, limit=110)
    await venue.sell("s2", 2, limit=110)
    with pytest.raises(OrderRejectedError, match="1 BTC needed, 0 free"):
        await venue.sell("s3", 1)


async def test_orders_that_only_reduce_reserve_nothing_and_know_no_minimum() -> None:
    venue = Venue()
    await venue.buy("e1", 1, bracket=(95, 110))
    venue.flat()
    await venue.sell("x1", "0.001", reduce=True)
    await venue.sell("x2", 1, limit=120, reduce=True)
    await venue.sell("s1", 1, limit=130)


async def test_a_buy_that_gapped_beyond_its_money_fills_what_it_can_and_ends() -> None:
    venue = Venue(deposits={"USDT": "1000"})
    await venue.buy("e1", "9.96")
    venue.flat(110)
    assert venue.told() == [  # 1000 / (110.22 * 1.002) = 9.0546...
        "e1 BUY 9.054 @ 110.22 TAKER fee 1.99586376 USDT",
        "e1 CANCELED: not enough USDT",
    ]


async def test_a_gap_never_takes_money_that_another_order_reserves() -> None:
    venue = Venue(deposits={"USDT": "1000"})
    await venue.buy("rest", 1, limit=50)
    await venue.buy("e1", 9)
    venue.flat(200)
    assert Decimal((await venue.money())["USDT"]) >= Decimal("50.1")
    venue.flat(50)
    assert await venue.status("rest") == "FILLED 1"


async def test_a_sell_whose_coins_a_stop_has_sold_ends() -> None:
    venue = Venue()
    await venue.buy("e1", 1, bracket=(95, 110))
    venue.flat()
    await venue.sell("s1", 1, limit=96)
    venue.candle(95, 97, 94, 95)
    assert await venue.status("e1-stop") == "FILLED 1"
    assert await venue.status("s1") == "CANCELED 0"


async def test_a_duplicate_id_is_refused_and_an_identical_request_shows_the_same_order() -> None:
    venue = Venue()
    await venue.buy("e1", 1)
    venue.flat()
    again = await venue.gateway.create(request("e1", Side.BUY, "1.0"))
    assert (str(again.status), again.filled_qty) == ("FILLED", 1)
    guarded = replace(request("e2", Side.BUY, 1), bracket=Bracket(stop_order_id="e1", stop_price=Decimal(90)))
    for other in (request("e1", Side.BUY, 2), guarded):
        with pytest.raises((DuplicateIdError, OrderRejectedError), match="duplicate id e1"):
            await venue.gateway.create(other)
    assert (await venue.money())["BTC"] == "1"


@pytest.mark.parametrize("amount", ["0", "-1", "NaN", "Infinity"])
def test_a_deposit_of_nothing_or_less_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Venue().gateway.deposit("USDT", Decimal(amount))
