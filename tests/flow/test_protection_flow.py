"""R16: every position has its stop within the deadline, and what is missing is said, put back or closed."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import api
from engine.control.views import snapshot
from engine.domain.agent import AgentConfig, Distance, Measure, Protection
from engine.domain.decision import Direction, Outcome
from engine.domain.events import Adjusted, AdjustmentKind, ProtectionAsked
from engine.domain.order import OrderRole, OrderStatus
from engine.domain.policy import OnMissing, PaperSettings, Policy, ProtectionRules, TradingState
from engine.domain.portfolio import Position
from engine.execution.gateway import AmbiguousSendError, OrderRejectedError, StatusUpdate, VenueOrder
from engine.execution.protection import in_doubt, is_covered, strays_of
from engine.llm.client import ModelAnswer, ModelRequest, Settings
from tests.flow.conftest import WIDE, Scripted, World
from tests.unit.desk_kit import BTC, Bench, FakeVenue, buy

KEY = "paper:BTC/USDT"
BUY: dict[str, object] = {"direction": Direction.BUY}
FREE = PaperSettings(half_spread_frac=Decimal(0), slippage_frac=Decimal(0), volume_share_frac=Decimal(1))
Make = Callable[..., Awaitable[Any]]


def policy(missing: OnMissing) -> Policy:
    return Policy(kill=WIDE, paper=FREE, protection=ProtectionRules(missing=missing))


async def stripped(make_world: Make, missing: OnMissing = OnMissing.REPAIR, **options: Any) -> Any:
    """Return a world that holds one coin bought at 50,000 and whose stop and target were taken away."""
    world = await make_world({0: BUY}, policy=policy(missing), **options)
    await world.bars(2, "50000")
    assert (await world.handlers.handle(api.CancelAll(include_protection=True))).ok
    await world.core.on_heartbeat()
    return world


def stops(world: Any) -> list[tuple[Decimal, Decimal]]:
    found = [o for o in world.books.orders.values() if o.role is OrderRole.STOP]
    return [(order.stop_price, order.open_qty) for order in found]


def targets(world: Any) -> list[tuple[Decimal, Decimal]]:
    found = [o for o in world.books.orders.values() if o.role is OrderRole.TARGET]
    return [(order.limit_price, order.open_qty) for order in found]


async def without_target(make_world: Make, missing: OnMissing = OnMissing.REPAIR, **options: Any) -> Any:
    """Return a world that holds one coin bought at 50,000, with its stop, whose target the venue took away."""
    world = await make_world({0: BUY}, policy=policy(missing), **options)
    await world.bars(2, "50000")
    (target,) = [o for o in world.books.orders.values() if o.role is OrderRole.TARGET]
    await world.parts.gateway.cancel(target.client_order_id)  # as a venue does by itself
    world.core.desk.router.pump()
    await world.core.on_heartbeat()
    assert (len(stops(world)), targets(world)) == (1, [])
    return world


async def after(world: Any, seconds: int) -> None:
    world.clock.advance_ms(seconds * 1_000)
    await world.core.on_heartbeat()


async def at_venue(world: Any) -> list[tuple[Decimal | None, Decimal]]:
    return [(o.stop_price, o.qty) for o in await world.core.gateway.open_orders() if o.stop_price is not None]


async def test_a_missing_stop_is_put_back_after_the_deadline_and_not_before(make_world: Make) -> None:
    world = await stripped(make_world)
    world.clock.advance_ms(9_000)
    await world.core.on_heartbeat()
    assert (stops(world), world.incidents()) == ([], [])
    world.clock.advance_ms(1_000)
    await world.core.on_heartbeat()
    assert stops(world) == [(Decimal(49_000), 1)]
    assert (world.incidents(), await at_venue(world)) == (["UNPROTECTED", "NO_TARGET"], [(Decimal(49_000), 1)])


async def test_while_a_stop_is_missing_nothing_is_entered_in_its_instrument(make_world: Make) -> None:
    world = await stripped(make_world, OnMissing.ALARM)
    order = api.Ticket(instrument=KEY, side=api.Side.BUY, order_type=api.OrderType.MARKET, qty=Decimal("0.1"))
    shown = (await world.handlers.handle(api.PreviewTicket(ticket=order))).data
    assert shown.refused
    assert "tester has no resting stop for its 1" in str(shown.checks)


async def test_alarm_says_it_once_and_sends_nothing(make_world: Make) -> None:
    world = await stripped(make_world, OnMissing.ALARM)
    await world.bars(3, "50000")
    assert (stops(world), world.incidents(), world.position()) == ([], ["UNPROTECTED", "NO_TARGET"], 1)


async def test_close_closes_by_a_capped_order_and_trading_goes_on(make_world: Make) -> None:
    world = await stripped(make_world, OnMissing.CLOSE)
    await world.bars(2, "50000")
    closing = [o for o in world.books.all_orders() if o.role is OrderRole.FLATTEN]
    assert (world.position(), world.books.state) == (0, TradingState.ACTIVE)
    assert [order.limit_price for order in closing] == [Decimal("49750.00")]


async def test_a_price_already_beyond_the_stop_closes_what_a_stop_would_have_closed(make_world: Make) -> None:
    world = await stripped(make_world)
    await world.bars(2, "48900")
    await world.bar("48900")
    assert world.position() == 0


async def test_protection_is_mended_while_trading_is_halted(make_world: Make) -> None:
    world = await stripped(make_world)
    await world.handlers.handle(api.Halt())
    world.clock.advance_ms(10_000)
    await world.core.on_heartbeat()
    assert (world.books.state, stops(world)) == (TradingState.HALTED, [(Decimal(49_000), 1)])


async def test_protection_is_verified_at_a_start_before_anything_may_be_entered(
    make_world: Make, tmp_path: Path
) -> None:
    world = await stripped(make_world, root=tmp_path / "kept", durable=True)
    world.close()
    revived = await make_world({0: BUY}, policy=policy(OnMissing.REPAIR), root=tmp_path / "kept", durable=True)
    assert stops(revived) == [(Decimal(49_000), 1)]
    assert revived.script.asked == [], "no cycle has run yet"


async def test_an_agents_own_word_on_missing_protection_wins_over_the_policys(
    make_world: Make, tester: AgentConfig
) -> None:
    own = replace(tester, protection=replace(tester.protection, missing=OnMissing.ALARM))
    world = await stripped(make_world, OnMissing.CLOSE, agent=own)
    await world.bars(3, "50000")
    assert (world.position(), world.incidents()) == (1, ["UNPROTECTED", "NO_TARGET"])


async def test_the_stop_covers_what_is_open_after_every_partial_fill(make_world: Make) -> None:
    world = await make_world(
        {0: BUY}, policy=replace(policy(OnMissing.REPAIR), paper=replace(FREE, volume_share_frac=Decimal("0.1")))
    )
    await world.bar("50000")
    for held in ("0.4", "0.8", "1"):
        await world.bar("50000", volume="4")
        assert (world.position(), stops(world)) == (Decimal(held), [(Decimal(49_000), Decimal(held))])
    assert world.incidents() == []


async def test_a_stop_in_doubt_is_not_doubled(tmp_path: Path) -> None:
    bench = Bench(tmp_path, FakeVenue(answer=AmbiguousSendError("timed out")))
    assert await bench.place(buy()) is OrderStatus.UNKNOWN
    held = Position("a", BTC.key, Decimal(1))
    assert (in_doubt(bench.books, held), is_covered(bench.books, held)) == (True, False)


# Targets


async def test_a_missing_target_is_put_back_after_the_deadline_where_its_entry_had_it(make_world: Make) -> None:
    world = await without_target(make_world)
    await after(world, 9)
    assert (targets(world), world.incidents()) == ([], [])
    await after(world, 1)
    assert (targets(world), world.incidents()) == ([(Decimal(52_000), 1)], ["NO_TARGET"])
    assert len(await world.core.gateway.open_orders()) == 2
    await world.bar("52000")
    assert (world.position(), await world.core.gateway.open_orders()) == (0, []), "filled, and its stop died with it"


async def test_the_price_a_model_named_for_its_target_is_the_one_put_back(make_world: Make) -> None:
    plan = {0: {**BUY, "target": Decimal(51_234)}}
    world = await make_world(plan, policy=policy(OnMissing.REPAIR))
    await world.bars(2, "50000")
    await world.handlers.handle(api.CancelAll(include_protection=True))
    await world.core.on_heartbeat()
    await after(world, 10)
    assert targets(world) == [(Decimal(51_234), 1)]


async def test_what_a_trader_attached_to_a_ticket_is_put_back_too(make_world: Make) -> None:
    world = await make_world(policy=policy(OnMissing.REPAIR))
    await world.bar("50000")
    order = api.Ticket(
        instrument=KEY, side=api.Side.BUY, order_type=api.OrderType.MARKET, qty=Decimal("0.1"),
        stop_frac=Decimal("0.02"), target_frac=Decimal("0.03"),
    )  # fmt: skip
    shown = (await world.handlers.handle(api.PreviewTicket(ticket=order))).data
    assert (await world.handlers.handle(api.SubmitTicket(ticket=order, preview_id=shown.preview_id))).ok
    await world.bar("50000")
    assert (stops(world), targets(world)) == ([(Decimal(49_000), Decimal("0.1"))], [(51_500, Decimal("0.1"))])
    await world.handlers.handle(api.CancelAll(include_protection=True))
    await world.core.on_heartbeat()
    await after(world, 10)
    assert (stops(world), targets(world)) == ([(Decimal(49_000), Decimal("0.1"))], [(51_500, Decimal("0.1"))])


async def test_while_a_target_is_missing_nothing_is_entered_in_its_instrument(make_world: Make) -> None:
    world = await without_target(make_world)
    assert world.core.desk.surroundings.in_doubt(KEY) == "tester has no resting target for its 1"
    await after(world, 10)
    await world.core.on_heartbeat()
    assert world.core.desk.surroundings.in_doubt(KEY) == ""


@pytest.mark.parametrize(("missing", "put_back"), [(OnMissing.ALARM, False), (OnMissing.CLOSE, True)])
async def test_a_missing_target_is_never_a_reason_to_close(
    make_world: Make, missing: OnMissing, put_back: bool
) -> None:
    world = await without_target(make_world, missing)
    for _ in range(3):
        await world.bar("50000")
    assert (world.position(), len(stops(world)), world.incidents()) == (1, 1, ["NO_TARGET"])
    assert targets(world) == ([(Decimal(52_000), 1)] if put_back else [])


async def test_a_missing_target_is_put_back_while_trading_is_halted(make_world: Make) -> None:
    world = await without_target(make_world)
    await world.handlers.handle(api.Halt())
    await after(world, 10)
    assert (world.books.state, targets(world)) == (TradingState.HALTED, [(Decimal(52_000), 1)])


async def test_a_target_is_verified_at_a_start_before_anything_may_be_entered(make_world: Make, tmp_path: Path) -> None:
    world = await without_target(make_world, root=tmp_path / "kept", durable=True)
    world.close()
    revived = await make_world({0: BUY}, policy=policy(OnMissing.REPAIR), root=tmp_path / "kept", durable=True)
    assert (stops(revived), targets(revived)) == ([(Decimal(49_000), 1)], [(Decimal(52_000), 1)])
    assert (revived.script.asked, revived.incidents()) == ([], ["NO_TARGET"])


async def test_a_target_taken_away_between_two_partial_fills_is_put_back_for_all_that_is_held(make_world: Make) -> None:
    slow = replace(policy(OnMissing.REPAIR), paper=replace(FREE, volume_share_frac=Decimal("0.1")))
    world = await make_world({0: BUY}, policy=slow)
    await world.bar("50000")
    await world.bar("50000", volume="4")
    assert targets(world) == [(Decimal(52_000), Decimal("0.4"))]
    (target,) = [o for o in world.books.orders.values() if o.role is OrderRole.TARGET]
    await world.parts.gateway.cancel(target.client_order_id)
    await world.bars(3, "50000")
    assert (world.position(), sum(qty for _price, qty in targets(world))) == (1, 1)
    assert {price for price, _qty in targets(world)} == {Decimal(52_000)}


async def test_a_target_follows_a_position_down_after_a_partial_exit(make_world: Make) -> None:
    half = {3: {"direction": Direction.SELL, "quantity": Decimal("0.4")}}
    world = await make_world({0: BUY, **half}, policy=policy(OnMissing.REPAIR))
    await world.bars(6, "50000")
    assert (world.position(), targets(world), stops(world)) == (
        Decimal("0.6"), [(Decimal(52_000), Decimal("0.6"))], [(Decimal(49_000), Decimal("0.6"))]
    )  # fmt: skip
    assert world.incidents() == []


async def test_once_its_stop_acts_a_target_is_dead_and_never_made_again(make_world: Make) -> None:
    slow = replace(policy(OnMissing.REPAIR), paper=replace(FREE, volume_share_frac=Decimal("0.1")))
    world = await make_world({0: BUY}, policy=slow)
    await world.bar("50000")
    await world.bar("50000", volume="10")
    await world.bar("48990", volume="4")  # the stop sells 0.4 of it, and goes on
    assert (world.position(), targets(world)) == (Decimal("0.6"), [(Decimal(52_000), Decimal("0.6"))])
    (target,) = [o for o in world.books.orders.values() if o.role is OrderRole.TARGET]
    await world.parts.gateway.cancel(target.client_order_id)  # as the other half of a pair that cancels itself
    world.core.desk.router.pump()
    before = world.books.count.orders
    for _ in range(2):
        await world.quote("50100")
        await after(world, 30)
    assert (targets(world), world.incidents(), world.books.count.orders) == ([], [], before)
    await world.bar("48990", volume="6")
    await after(world, 30)
    assert (world.position(), await world.core.gateway.open_orders(), world.incidents()) == (0, [], [])


async def test_a_target_that_a_venue_lets_live_after_its_stop_is_called_back(make_world: Make) -> None:
    world = await make_world({0: BUY}, policy=policy(OnMissing.REPAIR))
    await world.bars(2, "50000")
    (target,) = [o.client_order_id for o in world.books.orders.values() if o.role is OrderRole.TARGET]
    await world.bar("48990")
    assert (world.position(), targets(world)) == (0, [])
    world.core.desk.router.hear([StatusUpdate(client_order_ids=(target,), status=OrderStatus.OPEN, asked=True)])
    assert [order.client_order_id for order in strays_of(world.books)] == [target]
    await world.core.on_heartbeat()
    assert (targets(world), strays_of(world.books)) == ([], [])


async def test_a_venue_that_refuses_a_target_is_asked_less_and_less_often(make_world: Make) -> None:
    world = await without_target(make_world)
    off_tick = ProtectionAsked(
        agent="tester", instrument=KEY, stop=Decimal(49_000), target=Decimal("52000.001"), actor="trader"
    )  # fmt: skip
    world.core.journal.record(world.clock.now_ms(), off_tick)
    for _ in range(12):
        await after(world, 10)
    sent = [o for o in world.books.all_orders() if o.role is OrderRole.TARGET and o.status is OrderStatus.REJECTED]
    assert len(sent) == 3, "after 10, 30 and 70 s, and not a dozen times"


# Whatever happens

STEPS = st.sampled_from(
    ["50000", "49500", "51500", "48990", "52000", "stop gone", "target gone", "halt", "resume", "late", "restart"]
)


async def lived(root: Path, steps: list[str], agent: AgentConfig) -> None:
    """Buy, sell a part, buy again, while the venue takes protection away and the engine is halted and started again."""
    plan = {0: BUY, 2: {"direction": Direction.SELL, "quantity": Decimal("0.4")}, 5: BUY}
    world = await World(root, Scripted(plan), agent, policy(OnMissing.REPAIR), durable=True).start()
    await world.bars(2, "50000")
    for step in steps:
        role = {"stop gone": OrderRole.STOP, "target gone": OrderRole.TARGET}.get(step)
        for order in [o for o in world.books.orders.values() if o.role is role]:
            await world.parts.gateway.cancel(order.client_order_id)
        if step == "restart":
            world.close()
            world = await World(root, Scripted(), agent, policy(OnMissing.REPAIR), durable=True).start()
        elif step in ("halt", "resume"):
            await world.handlers.handle(api.Halt() if step == "halt" else api.Resume(reason="go on"))
        elif role is None and step != "late":
            await world.bar(step)
        await after(world, 7 if step == "late" else 1)
    await world.handlers.handle(api.Halt())
    for _ in range(4):
        await world.bar("50000")
        await after(world, 10)
    held, shown = world.position(), await world.core.gateway.open_orders()
    kinds = [(api.OrderType.STOP, held), (api.OrderType.TAKE_PROFIT, held)] if held else []
    assert [(kind, sum(o.qty - o.filled_qty for o in shown if o.order_type is kind)) for kind, _ in kinds] == kinds
    assert len({order.order_type for order in shown}) == len(kinds), "and nothing else rests"
    world.close()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=10))
def test_whatever_happens_what_is_held_ends_up_with_its_stop_and_its_target(
    tester: AgentConfig, steps: list[str]
) -> None:
    with tempfile.TemporaryDirectory(prefix="qd-guard-") as folder:
        asyncio.run(lived(Path(folder) / "s", steps, tester))


# What nobody here opened


async def found(make_world: Make, rules: ProtectionRules | None = None, **options: Any) -> Any:
    """Return a world at 50,000 whose venue held half a coin nobody here had bought, which the trader has booked."""
    chosen = Policy(kill=WIDE, paper=FREE, protection=rules or ProtectionRules())
    world = await make_world(policy=chosen, **options)
    await world.bar("50000")
    world.parts.gateway.deposit("BTC", Decimal("0.5"))
    await world.core.reconciler.at_start()
    assert snapshot_of(world).unprotected == (
        "d1: the venue holds 0.5 more BTC than is booked, without a stop of ours: approve it, then protect it",
    )
    (await world.handlers.handle(api.ApproveDifference(difference_id="d1", note="cold wallet")))
    await world.core.on_heartbeat()
    assert world.position("external") == Decimal("0.5")
    return world


def snapshot_of(world: Any) -> api.Snapshot:
    return snapshot(world.core, mono_ms=0.0, progress=None, finished=False)


@pytest.mark.fault("E32")
async def test_what_nobody_here_opened_is_shown_unprotected_and_nothing_is_sent_for_it(make_world: Make) -> None:
    world = await found(make_world)
    shown = snapshot_of(world)
    assert shown.unprotected == ("external 0.5 paper:BTC/USDT: nobody here opened it, and no stop was asked for",)
    assert shown.positions[0].unprotected == "nobody here opened it, and no stop was asked for"
    for _ in range(3):
        await after(world, 10)
    assert [code for code in world.incidents() if code == "UNPROTECTED"] == ["UNPROTECTED"], "once"
    assert (world.books.count.orders, world.position("external")) == (0, Decimal("0.5"))


async def test_the_trader_protects_it_and_it_stays_protected_over_a_restart(make_world: Make, tmp_path: Path) -> None:
    world = await found(make_world, root=tmp_path / "kept", durable=True)
    asked = api.Protect(instrument=KEY, stop=Decimal(45_000), target=Decimal(60_000))
    reply = await world.handlers.handle(asked)
    assert (reply.ok, reply.text) == (
        True, "external's 0.5 paper:BTC/USDT: its stop at 45000 and its target at 60000 rest at the venue."
    )  # fmt: skip
    half = Decimal("0.5")
    assert (stops(world), targets(world)) == ([(Decimal(45_000), half)], [(Decimal(60_000), half)])
    await world.core.on_heartbeat()
    assert snapshot_of(world).unprotected == ()
    await world.handlers.handle(replace(asked, stop=Decimal(46_000), target=None))
    assert (stops(world), targets(world)) == ([(Decimal(46_000), half)], [(Decimal(60_000), half)])
    for order in await world.core.gateway.open_orders():
        await world.parts.gateway.cancel(order.client_order_id)
    world.close()
    revived = await make_world(
        policy=Policy(kill=WIDE, paper=FREE), root=tmp_path / "kept", durable=True, agent=None
    )  # fmt: skip
    await revived.bar("50000")
    await after(revived, 10)
    assert (stops(revived), targets(revived)) == ([(Decimal(46_000), half)], [(Decimal(60_000), half)])
    await revived.bar("45990")
    assert (revived.position("external"), await revived.core.gateway.open_orders()) == (0, [])
    assert revived.books.wishes.by == {}, "it died with its position"


async def test_a_trade_of_his_own_without_a_stop_is_protected_by_his_later_word(make_world: Make) -> None:
    world = await make_world(policy=policy(OnMissing.REPAIR))
    await world.bar("50000")
    order = api.Ticket(instrument=KEY, side=api.Side.BUY, order_type=api.OrderType.MARKET, qty=Decimal("0.1"))
    shown = (await world.handlers.handle(api.PreviewTicket(ticket=order))).data
    assert (await world.handlers.handle(api.SubmitTicket(ticket=order, preview_id=shown.preview_id))).ok
    await world.bar("50000")
    asked = api.Protect(instrument="BTC/USDT", stop_frac=Decimal("0.04"))
    reply = await world.handlers.handle(asked)
    assert (reply.ok, reply.text) == (True, "trader's 0.1 paper:BTC/USDT: its stop at 48000 rests at the venue.")
    await world.handlers.handle(api.CancelAll(include_protection=True))
    await world.core.on_heartbeat()
    await after(world, 10)
    assert stops(world) == [(Decimal(48_000), Decimal("0.1"))]


async def test_where_both_hold_it_the_command_asks_whose_is_meant(make_world: Make) -> None:
    world = await found(make_world)
    order = api.Ticket(instrument=KEY, side=api.Side.BUY, order_type=api.OrderType.MARKET, qty=Decimal("0.1"))
    shown = (await world.handlers.handle(api.PreviewTicket(ticket=order))).data
    assert (await world.handlers.handle(api.SubmitTicket(ticket=order, preview_id=shown.preview_id))).ok
    await world.bar("50000")
    reply = await world.handlers.handle(api.Protect(instrument=KEY, stop=Decimal(45_000)))
    assert (reply.ok, "external and trader hold" in reply.text, "--agent" in reply.text) == (False, True, True)
    reply = await world.handlers.handle(api.Protect(instrument=KEY, agent="trader", stop=Decimal(45_000)))
    assert (reply.ok, stops(world)) == (True, [(Decimal(45_000), Decimal("0.1"))])


async def test_left_bare_by_word_it_is_not_called_unprotected_any_more(make_world: Make) -> None:
    world = await found(make_world)
    await world.handlers.handle(api.Protect(instrument=KEY, stop=Decimal(45_000)))
    reply = await world.handlers.handle(api.Protect(instrument=KEY, bare=True))
    for _ in range(2):
        await after(world, 10)
    assert (reply.ok, stops(world), snapshot_of(world).unprotected) == (True, [], ())


async def test_a_policy_that_says_so_protects_it_at_its_distance(make_world: Make) -> None:
    world = await found(make_world, ProtectionRules(external_stop_frac=Decimal("0.1")))
    assert snapshot_of(world).unprotected == ("external 0.5 paper:BTC/USDT: no stop rests for its whole quantity",)
    await after(world, 10)
    assert stops(world) == [(Decimal(45_000), Decimal("0.5"))]
    await world.core.on_heartbeat()
    assert snapshot_of(world).unprotected == ()


async def test_its_stop_is_cut_when_some_of_it_is_gone(make_world: Make) -> None:
    world = await found(make_world)
    await world.handlers.handle(api.Protect(instrument=KEY, stop=Decimal(45_000), target=Decimal(60_000)))
    world.core.journal.record(
        world.clock.now_ms(),
        Adjusted(
            kind=AdjustmentKind.EXTERNAL, asset="BTC", amount=Decimal("-0.2"), value=Decimal(-10_000),
            agent="external", actor="trader", note="sold at the venue", instrument=KEY, difference_id="",
        ),
    )  # fmt: skip
    await world.core.on_heartbeat()
    assert stops(world) == [(Decimal(45_000), Decimal("0.3"))]
    await after(world, 10)
    assert targets(world) == [(Decimal(60_000), Decimal("0.3"))]


async def test_a_cut_that_the_venue_refuses_is_tried_ever_more_seldom_and_said_once(
    make_world: Make,
) -> None:
    async def refused(request: Any) -> VenueOrder:
        raise OrderRejectedError("not now")

    world = await found(make_world)
    await world.handlers.handle(api.Protect(instrument=KEY, stop=Decimal(45_000)))
    world.core.journal.record(
        world.clock.now_ms(),
        Adjusted(
            kind=AdjustmentKind.EXTERNAL, asset="BTC", amount=Decimal("-0.2"), value=Decimal(-10_000),
            agent="external", actor="trader", note="sold at the venue", instrument=KEY, difference_id="",
        ),
    )  # fmt: skip
    orders, accepts = world.books.count.orders, world.core.gateway.create
    world.core.gateway.create = refused
    for _ in range(60):
        await after(world, 1)
    assert world.books.count.orders - orders == 3
    assert world.incidents().count("NOT_CUT") == 1
    world.core.gateway.create = accepts
    await after(world, 60)
    assert stops(world) == [(Decimal(45_000), Decimal("0.3"))]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"agent": "tester", "stop": Decimal(1)}, "Its file says how 'tester' is protected"),
        ({"agent": "trader", "stop": Decimal(1)}, "trader holds no paper:BTC/USDT; it holds nothing"),
        ({"instrument": "ETH/USDT", "stop": Decimal(1)}, "holds ETH/USDT; they hold paper:BTC/USDT (external)"),
        ({"stop": Decimal(45_000), "stop_frac": Decimal("0.1")}, "given twice"),
        ({"stop_frac": Decimal("1.5")}, "no distance from the entry"),
        ({}, "say where the stop or the target belongs"),
        ({"target": Decimal(60_000)}, "a target alone protects nothing"),
        ({"stop": Decimal(50_000)}, "the price is 50000; a stop is below it"),
        ({"stop": Decimal("NaN")}, "no price on a tick of 0.01"),
        ({"stop": Decimal("45000.001")}, "no price on a tick of 0.01"),
        ({"stop": Decimal(45_000), "bare": True}, "both be left bare"),
    ],
)
async def test_protection_that_cannot_be_meant_is_refused(make_world: Make, asked: dict[str, Any], said: str) -> None:
    world = await found(make_world)
    wanted: dict[str, Any] = {"instrument": KEY, **asked}
    reply = await world.handlers.handle(api.Protect(**wanted))
    assert (reply.ok, said in reply.text, world.books.count.orders) == (False, True, 0), reply.text


class Thinking:
    """A model that does not answer until it is let."""

    provider = "scripted"

    def __init__(self) -> None:
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    def features_needed(self, model: str, settings: Settings) -> tuple[str, ...]:
        return ("close",)

    async def decide(self, request: ModelRequest) -> ModelAnswer:
        self.asked.set()
        await self.may_answer.wait()
        return ModelAnswer(outcome=Outcome.MODEL_ERROR, model="scripted:plan", drafts=(), detail="too late")


@pytest.mark.fault("C12")
async def test_protection_and_exits_do_not_wait_for_a_model_that_thinks(make_world: Make) -> None:
    world = await make_world({0: BUY}, policy=policy(OnMissing.REPAIR))
    await world.bars(2, "50000")
    world.core.agents["tester"].client = model = Thinking()
    bar = asyncio.create_task(world.bar("50000"))
    await model.asked.wait()
    assert (await world.handlers.handle(api.CancelAll(include_protection=True))).ok
    for _ in range(2):
        await world.core.on_heartbeat()
        world.clock.advance_ms(10_000)
    await world.core.on_heartbeat()
    assert stops(world) == [(Decimal(49_000), 1)], "put back while the model thinks"
    for _ in range(2):
        await world.quote("48900")
    assert (world.position(), bar.done()) == (0, False)
    model.may_answer.set()
    await bar


# Trailing


def trailing(tester: AgentConfig, share: str = "0.01") -> AgentConfig:
    trail = Distance(measure=Measure.SHARE, amount=Decimal(share))
    return replace(tester, protection=Protection(stop_frac=Decimal("0.02"), target_frac=None, trail=trail))


async def test_a_trailing_stop_follows_closes_upwards_only_and_takes_the_position_out(
    make_world: Make, tester: AgentConfig
) -> None:
    world = await make_world({0: BUY}, agent=trailing(tester))
    await world.bars(2, "50000")
    assert stops(world) == [(Decimal("49500.00"), 1)]  # 1 % below the close that has been seen, nearer than 2 %
    await world.bar("50000", "52000", "50000", "50000")
    assert stops(world) == [(Decimal("49500.00"), 1)], "a wick moves nothing"
    for price in ("51000", "50900", "51040"):
        await world.bar(price)
        assert await at_venue(world) == [(Decimal("50490.00"), 1)], price
    await world.bar("50400")
    assert (world.position(), await at_venue(world)) == (0, [])


async def test_from_quotes_it_takes_two_in_a_row_to_move_a_stop(make_world: Make, tester: AgentConfig) -> None:
    world = await make_world({0: BUY}, agent=trailing(tester))
    await world.bars(2, "50000")
    for price, stop in (("50000", "49500"), ("53000", "49500"), ("50040", "49500"), ("51000", "49500")):
        await world.quote(price)
        assert stops(world) == [(Decimal(stop), 1)], price
    await world.quote("51000")
    assert stops(world) == [(Decimal(50_490), 1)]


async def test_a_trailing_stop_begins_where_it_was_after_a_restart(
    make_world: Make, tester: AgentConfig, tmp_path: Path
) -> None:
    world = await make_world({0: BUY}, agent=trailing(tester), root=tmp_path / "kept", durable=True)
    await world.bars(2, "50000")
    await world.bar("52000")
    world.close()
    revived = await make_world(agent=trailing(tester), root=tmp_path / "kept", durable=True)
    await revived.bar("51600")
    assert await at_venue(revived) == [(Decimal(51_480), 1)]


async def test_a_trailed_stop_that_is_lost_is_put_back_where_it_was_last(make_world: Make, tester: AgentConfig) -> None:
    world = await make_world({0: BUY}, agent=trailing(tester))
    await world.bars(2, "50000")
    await world.bar("51000")
    assert (await world.handlers.handle(api.CancelAll(include_protection=True))).ok
    await world.core.on_heartbeat()
    await after(world, 10)
    assert stops(world) == [(Decimal("50490.00"), 1)], "and not at the 49000 of its entry"


def test_a_trailing_stop_in_a_replay_gives_the_same_journal_each_time(
    tmp_path: Path, write_bars: Any, waves: Any, run: Callable[..., dict[str, Any]]
) -> None:
    agent = tmp_path / "trend.toml"
    agent.write_text(
        'name = "trend"\nmodel = "heuristic:sma_cross"\ninstruments = ["paper:BTC/USDT"]\ntimeframe = "1m"\n'
        '[protection]\nstop = "2 ATR(20)"\ntarget = "off"\ntrailing = "0.3%"\n[limits]\ncooldown_after_loss = "0s"\n'
    )
    file = write_bars(waves)
    one, two = run(file, agents=(str(agent),)), run(file, agents=(str(agent),))
    assert (one["journal_hash"], one["orders"]) == (two["journal_hash"], two["orders"])
    assert one["orders"] > 2 * one["intents"], "stops have been moved"


# Average true range


def ranged(tester: AgentConfig, period: int = 3) -> AgentConfig:
    stop = Distance(measure=Measure.ATR, amount=Decimal(2), period=period)
    return replace(tester, protection=Protection(stop_frac=None, stop_by=stop))


async def test_a_stop_of_two_ranges_rests_where_a_calculation_by_hand_puts_it(
    make_world: Make, tester: AgentConfig
) -> None:
    world = await make_world({2: BUY}, agent=ranged(tester))
    await world.bar("50000", "50100", "49900", "50000")  # true range 200
    await world.bar("50000", "50400", "50000", "50300")  # 400
    await world.bar("50000", "50100", "50000", "50000")  # 300: from the close before it
    await world.bar("50000")
    assert stops(world) == [(Decimal(49_400), 1)]  # 50,000 - 2 x 300


async def test_without_enough_candles_a_stop_in_ranges_refuses_the_entry(make_world: Make, tester: AgentConfig) -> None:
    world = await make_world({0: BUY}, agent=ranged(tester, period=20))
    await world.bars(2, "50000")
    assert (world.position(), world.books.count.orders) == (0, 0)
