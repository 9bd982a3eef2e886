"""Protective orders at the paper venue (R16, O8): they rest, grow and die with what the group holds."""

import pytest

from engine.execution.gateway import OrderRejectedError
from tests.unit.paper_kit import BTC, Venue


async def entered(qty: object = 1, **rest: object) -> Venue:
    """Return a venue where e1 bought at 100.20, with its stop at 95 and its target at 110."""
    venue = Venue(**rest)  # type: ignore[arg-type]
    await venue.buy("e1", qty, bracket=(95, 110))
    venue.flat()
    venue.told()
    return venue


async def test_a_bracket_waits_for_its_entry_then_rests_for_what_filled() -> None:
    venue = Venue()
    await venue.buy("e1", 15, bracket=(95, 110))
    assert await venue.working() == {"e1": "15"}
    assert await venue.status("e1-stop") == "SUBMITTING 0"
    venue.flat()
    assert venue.told()[1:] == ["e1-stop OPEN", "e1-target OPEN", "e1-stop covers 10", "e1-target covers 10"]
    venue.flat()
    assert venue.told()[1:] == ["e1-stop covers 15", "e1-target covers 15"]
    assert await venue.working() == {"e1-stop": "15", "e1-target": "15"}


async def test_in_a_candle_that_touches_both_the_stop_comes_first() -> None:
    venue = await entered()
    venue.candle(100, 115, 94, 112)
    assert venue.told() == [
        "e1-stop SELL 1 @ 94.81 TAKER fee 0.18962 USDT",
        "e1-target CANCELED: position closed",
    ]


async def test_a_target_takes_its_stop_along() -> None:
    venue = await entered()
    venue.candle(100, 115, 96, 112)
    assert venue.told() == ["e1-target SELL 1 @ 110 MAKER fee 0.11 USDT", "e1-stop CANCELED: position closed"]
    assert await venue.working() == {}


@pytest.mark.parametrize(
    ("high", "low", "exit_"),
    [(112, 99, "e1-target SELL 1 @ 110 MAKER"), (101, 94, "e1-stop SELL 1 @ 94.81 TAKER")],
)
async def test_protection_of_an_entry_at_the_open_acts_in_the_same_candle(high: int, low: int, exit_: str) -> None:
    venue = Venue()
    await venue.buy("e1", 1, bracket=(95, 110))
    venue.candle(100, high, low, 100)
    assert [text.split(" fee")[0] for text in venue.told() if "@" in text] == ["e1 BUY 1 @ 100.2 TAKER", exit_]


@pytest.mark.parametrize("entry", [{"limit": 98}, {"stop": 102}])
async def test_of_an_entry_inside_a_candle_only_the_stop_may_act_there(entry: dict[str, int]) -> None:
    venue = Venue()
    await venue.buy("e1", 1, bracket=(95, 110), **entry)
    venue.candle(100, 111, 96, 100)
    assert await venue.working() == {"e1-stop": "1", "e1-target": "1"}
    await venue.buy("e2", 1, bracket=(95, 110), **entry)
    venue.candle(100, 108, 95, 100)
    assert await venue.working() == {}


async def test_protection_that_acts_ends_the_rest_of_its_entry() -> None:
    venue = Venue()
    await venue.buy("e1", 15, bracket=(95, 110))
    venue.flat()
    venue.told()
    venue.candle(90, 91, 89, 90, volume=0.001)  # touched, and no volume for anyone
    assert venue.told() == ["e1 CANCELED: its protection ended"]
    venue.flat(90)
    assert venue.told()[0].startswith("e1-stop SELL 10 @ 89.82")
    assert await venue.money() == {"USDT": "9892.3996"}  # 10000 - 1002 - 2.004 + 898.2 - 1.7964


async def test_a_target_that_fills_partly_ends_the_rest_of_its_entry() -> None:
    venue = Venue()
    await venue.buy("e1", 15, limit=98, bracket=(95, 110))
    venue.candle(100, 101, 98, 100)
    venue.told()
    venue.candle(105, 111, 100, 105, volume=50)
    assert venue.told() == [
        "e1-target SELL 5 @ 110 MAKER fee 0.55 USDT",
        "e1 CANCELED: its protection ended",
        "e1-stop covers 5",
    ]


async def test_an_exit_takes_the_protection_along_in_the_same_step() -> None:
    venue = await entered()
    await venue.sell("x1", 1, reduce=True)
    venue.flat()
    assert venue.told() == [
        "x1 SELL 1 @ 99.8 TAKER fee 0.1996 USDT",
        "e1-stop CANCELED: position closed",
        "e1-target CANCELED: position closed",
    ]


async def test_a_partial_exit_shrinks_the_protection() -> None:
    venue = await entered(3)
    await venue.sell("x1", 1, reduce=True)
    venue.flat()
    assert venue.told()[1:] == ["e1-stop covers 2", "e1-target covers 2"]


async def test_an_exit_of_two_entries_shrinks_the_oldest_protection_first() -> None:
    venue = await entered(2)
    await venue.buy("e2", 2, bracket=(90, 120))
    venue.flat()
    await venue.sell("x1", 3, reduce=True)
    venue.flat()
    assert await venue.working() == {"e2-stop": "1", "e2-target": "1"}
    assert await venue.status("e1-stop") == "CANCELED 0"


async def test_groups_do_not_touch_each_others_protection() -> None:
    venue = await entered()
    await venue.buy("e2", 2, group="trend", bracket=(90, 120))
    venue.flat()
    await venue.sell("x2", 2, group="trend", reduce=True)
    venue.flat()
    assert await venue.working() == {"e1-stop": "1", "e1-target": "1"}


async def test_a_stop_that_fills_partly_shrinks_the_target_and_itself_stays() -> None:
    venue = await entered(8)
    venue.candle(94, 94, 93, 93, volume=30)
    assert venue.told() == ["e1-stop SELL 3 @ 93.81 TAKER fee 0.56286 USDT", "e1-target covers 5"]


async def test_an_exit_larger_than_the_group_never_flips_it() -> None:
    venue = await entered()
    await venue.buy("e2", 5, group="trend")
    venue.flat()
    await venue.sell("x1", 4, reduce=True)
    venue.told()
    venue.flat()
    assert venue.told()[0] == "x1 SELL 1 @ 99.8 TAKER fee 0.1996 USDT"
    assert await venue.status("x1") == "CANCELED 1"
    assert (await venue.money())["BTC"] == "5"


async def test_two_exits_for_one_position_sell_it_once() -> None:
    venue = await entered()
    await venue.sell("x1", 1, reduce=True)
    await venue.sell("x2", 1, reduce=True)
    venue.flat()
    assert await venue.status("x2") == "CANCELED 0"
    assert "BTC" not in await venue.money()


async def test_an_exit_without_a_position_is_refused() -> None:
    venue = Venue()
    with pytest.raises(OrderRejectedError, match="no position to reduce"):
        await venue.sell("x1", 1, reduce=True)


async def test_a_flatten_without_a_group_clears_every_groups_protection() -> None:
    venue = await entered()
    await venue.buy("e2", 2, group="trend", bracket=(90, 120))
    venue.flat()
    await venue.sell("flatten", 3, group="", reduce=True)
    venue.flat()
    assert await venue.working() == {}
    assert "BTC" not in await venue.money()


async def test_a_partial_flatten_without_a_group_cuts_the_groups_pro_rata() -> None:
    venue = await entered()
    await venue.buy("e2", 3, group="trend", bracket=(90, 120))
    venue.flat()
    await venue.sell("flatten", 2, group="", reduce=True)
    venue.flat()
    assert await venue.working() == {"e1-stop": "0.5", "e1-target": "0.5", "e2-stop": "1.5", "e2-target": "1.5"}


async def test_a_newer_stop_takes_the_older_ones_place() -> None:
    venue = await entered()
    await venue.sell("trail", 1, stop=98, reduce=True)
    assert venue.told() == ["e1-stop CANCELED: replaced by a newer order"]
    assert await venue.working() == {"e1-target": "1", "trail": "1"}


async def test_a_stop_for_more_than_is_held_is_cut_to_what_is_held() -> None:
    venue = await entered()
    await venue.sell("wide", 5, stop=90, reduce=True)
    assert venue.told() == ["e1-stop CANCELED: replaced by a newer order", "wide covers 1"]


@pytest.mark.fault("E11")
async def test_a_cancel_of_a_partly_filled_entry_keeps_the_protection_of_what_filled() -> None:
    venue = Venue()
    await venue.buy("e1", 15, bracket=(95, 110))
    venue.flat()
    venue.told()
    shown = await venue.gateway.cancel("e1")
    assert shown is not None
    assert (str(shown.status), shown.filled_qty) == ("CANCELED", 10)
    assert venue.told() == ["e1 CANCELED: canceled"]
    assert await venue.working() == {"e1-stop": "10", "e1-target": "10"}
    await venue.buy("e2", 89)  # 8,935.63 of the 8,995.99 left, of which the canceled rest had reserved 502


async def test_a_cancel_of_an_unfilled_entry_ends_its_protection_too() -> None:
    venue = Venue()
    await venue.buy("e1", 1, limit=90, bracket=(80, 110))
    await venue.gateway.cancel("e1")
    assert venue.told() == [
        "e1 CANCELED: canceled",
        "e1-stop CANCELED: entry never filled",
        "e1-target CANCELED: entry never filled",
    ]


@pytest.mark.fault("E12", "E37")
async def test_a_cancel_that_comes_after_the_fill_shows_the_filled_order_and_keeps_the_fill() -> None:
    venue = Venue()
    await venue.buy("e1", 1)
    venue.flat()
    shown = await venue.gateway.cancel("e1")
    assert shown is not None
    assert (str(shown.status), shown.filled_qty) == ("FILLED", 1)
    assert venue.told() == ["e1 BUY 1 @ 100.2 TAKER fee 0.2004 USDT"]


@pytest.mark.fault("E38")
async def test_a_repeated_cancel_changes_nothing() -> None:
    venue = Venue()
    await venue.buy("e1", 1, limit=90)
    first = await venue.gateway.cancel("e1")
    venue.told()
    assert await venue.gateway.cancel("e1") == first
    assert venue.told() == []
    assert await venue.gateway.cancel("nobody") is None


async def test_a_canceled_stop_is_the_clients_choice_and_leaves_the_entry_working() -> None:
    venue = Venue()
    await venue.buy("e1", 15, bracket=(95, 110))
    venue.flat()
    await venue.gateway.cancel("e1-stop")
    venue.flat()
    assert await venue.working() == {"e1-target": "15"}


async def test_a_bracket_with_a_stop_alone_rests_a_stop_alone() -> None:
    venue = Venue(BTC)
    await venue.buy("e1", 1, bracket=(95, None))
    venue.flat()
    assert await venue.working() == {"e1-stop": "1"}
