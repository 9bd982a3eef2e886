"""Every rule of the kill switch stops a real order: through the core, the gate, the latch and the trader's desk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from engine import api
from engine.clock import ManualClock
from engine.control import views
from engine.domain.agent import AgentConfig
from engine.domain.decision import Direction
from engine.domain.events import DifferenceFound, DifferenceKind, FundsMoved, StateChanged
from engine.domain.intent import Autonomy
from engine.domain.killing import KillAction, KillLimits, KillRule, KillTier
from engine.domain.policy import AccountLimits, PaperSettings, Policy, TradingState
from engine.runtime.reads import question, reading, verify
from tests.flow.conftest import BTC as LISTED
from tests.flow.conftest import MINUTE_MS

D = Decimal
BTC = "paper:BTC/USDT"
BUY: dict[str, object] = {"direction": Direction.BUY}
FREE = PaperSettings(half_spread_frac=D(0), slippage_frac=D(0), volume_share_frac=D(1))
FAR = D("0.9")
WIDE: dict[str, Any] = {
    "gain_frac": D(9), "loss_frac": FAR, "drawdown_frac": FAR, "daily_loss_frac": FAR, "daily_profit_frac": D(9)
}  # fmt: skip
FRIDAY_CLOSE_MS = 1_767_391_200_000
"""2026-01-02 17:00 in New York, when currencies stop trading for two days."""
Make = Callable[..., Awaitable[Any]]


def policy(**limits: Any) -> Policy:
    apart = AccountLimits(daily_loss_frac=FAR, daily_profit_frac=D(9))
    return Policy(kill=KillLimits(**{**WIDE, **limits}), limits=apart, paper=FREE)


@pytest.fixture
def bare(tester: AgentConfig) -> AgentConfig:
    """The same agent without protection, so that a fall is not stopped out."""
    return replace(tester, protection=replace(tester.protection, stop_frac=None, target_frac=None))


async def holding(make_world: Make, bare: AgentConfig, **limits: Any) -> Any:
    """Return a world that holds one coin, bought at 50,000 for 100,000 of money and a fee of 50."""
    world = await make_world({0: BUY}, agent=bare, policy=policy(**limits))
    await world.bars(2, "50000")
    assert world.position() == 1
    return world


async def ticket(world: Any, side: api.Side = api.Side.BUY, qty: str = "0.1") -> api.Reply:
    order = api.Ticket(instrument=BTC, side=side, order_type=api.OrderType.MARKET, qty=D(qty))
    shown = (await world.handlers.handle(api.PreviewTicket(ticket=order))).data
    return await world.handlers.handle(api.SubmitTicket(ticket=order, preview_id=shown.preview_id))


async def stops_orders(world: Any) -> bool:
    """Try a real order; tell whether it was refused for the trading state, and nothing of it reached the venue."""
    before, working = world.books.count.orders, len(await world.core.gateway.open_orders())
    reply = await ticket(world)
    sent = world.books.count.orders - before or len(await world.core.gateway.open_orders()) - working
    return not reply.ok and "TRADING_STATE" in reply.text and not sent


def gauge(world: Any, rule: str) -> api.KillGauge:
    shown = views.snapshot(world.core, mono_ms=0, progress=None, finished=False)
    return next(each for each in shown.kill if each.rule == rule)


# Equity: one coin bought at 50,000 with 100,000 and a fee of 50, so that equity at price p is 49,950 + p.


@pytest.mark.parametrize(
    ("rule", "limits", "warned", "off", "halted"),
    [
        ("loss", {"loss_frac": D("0.05")}, "47049.99", "46049.99", "45049.99"),
        ("drawdown", {"drawdown_frac": D("0.05")}, "47049.99", "46049.99", "45049.99"),
        ("daily_loss", {"daily_loss_frac": D("0.05")}, "47049.99", "46049.99", "45049.99"),
        ("gain", {"gain_frac": D("0.05"), "thresholds": {"gain_reduce": D("0.04")}}, "53050", "54050", "55050"),
        ("daily_profit", {"daily_profit_frac": D("0.05"), "thresholds": {"daily_profit_reduce": D("0.04")}},
         "53050", "54050", "55050"),
    ],
)  # fmt: skip
async def test_each_equity_rule_warns_turns_entries_off_and_halts_real_orders(
    make_world: Make, bare: AgentConfig, rule: str, limits: dict[str, Any], warned: str, off: str, halted: str
) -> None:
    world = await holding(make_world, bare, action=KillAction.HALT, **limits)
    await world.bar(warned)
    assert (gauge(world, rule).tier, world.books.state) == (KillTier.WARN, TradingState.ACTIVE)
    assert (await ticket(world)).ok
    await world.handlers.handle(api.CancelAll())
    await world.bar(off)
    assert (gauge(world, rule).tier, world.books.state) == (KillTier.REDUCE, TradingState.REDUCING)
    assert await stops_orders(world)
    await world.bar(halted)
    assert (gauge(world, rule).tier, world.books.state) == (KillTier.HALT, TradingState.HALTED)
    assert world.books.state_reason.startswith(f"kill switch: {rule} 5")
    assert await stops_orders(world)


async def test_entries_come_back_by_themselves_only_once_hysteresis_says_so(
    make_world: Make, bare: AgentConfig
) -> None:
    world = await holding(make_world, bare, loss_frac=D("0.05"))
    for price, state in (("46000", "REDUCING"), ("46400", "REDUCING"), ("46450", "ACTIVE"), ("46051", "ACTIVE"),
                         ("46050", "REDUCING")):  # fmt: skip
        await world.bar(price)
        assert world.books.state.value == state, price
    reply = await world.handlers.handle(api.Resume(reason="I have looked"))
    assert (reply.ok, world.books.state) == (True, TradingState.ACTIVE)
    assert "Cleared: loss" in reply.text


async def test_reducing_lets_exits_pass_and_refuses_what_adds(make_world: Make, tester: AgentConfig) -> None:
    asking = replace(
        tester, autonomy=Autonomy.APPROVE, protection=replace(tester.protection, stop_frac=None, target_frac=None)
    )
    world = await make_world({1: BUY}, agent=asking, policy=policy(loss_frac=D("0.05")))
    await world.bar("50000")
    assert (await ticket(world, qty="1")).ok
    await world.bar("50000")
    await world.bar("50000")
    (card,) = world.core.desk.approvals.waiting.values()
    await world.bar("45900")
    assert (world.books.state, world.position("trader")) == (TradingState.REDUCING, 1)
    approve = api.Approve(approval_id=card.intent.intent_id, code=card.code)
    assert not (await world.handlers.handle(approve)).ok
    assert await stops_orders(world)
    out = await ticket(world, api.Side.SELL, "1")
    assert out.ok, out.text
    await world.bar("45900")
    assert world.position("trader") == 0


async def test_reducing_is_read_again_in_the_send_section(make_world: Make, bare: AgentConfig) -> None:
    world = await make_world({0: BUY}, agent=bare, policy=policy())
    off = StateChanged(state=TradingState.REDUCING, actor="kill-switch", reason="between decision and send")

    def turn_off(_agent: str, phase: str) -> None:
        if phase == "EXECUTION":
            world.core.journal.record(world.clock.now_ms(), off)

    world.core.desk.on_phase = turn_off
    await world.bars(2, "50000")
    assert (world.position(), world.outcomes("order")[-1]) == (0, "NOT_SENT")


async def test_trip_is_recorded_with_where_each_input_came_from(make_world: Make, bare: AgentConfig) -> None:
    world = await holding(make_world, bare, loss_frac=D("0.05"), action=KillAction.HALT)
    await world.bar("45000")
    assert world.books.state_reason == "kill switch: loss 5.05% reached the limit of 5%"
    with reading(world.paths.root) as reader:
        trip = next(row for row in reader.read(question("states", {})) if row["state"] == "HALTED")
    assert trip["evidence"] == (
        f"equity=94950;start=100000;peak=100000;day_start=100000;source=SIMULATED;"
        f"{BTC}=45000@{world.clock.now_ms()} SIMULATED"
    )


async def test_deposit_and_withdrawal_move_the_baseline_and_trip_nothing(make_world: Make, bare: AgentConfig) -> None:
    world = await holding(make_world, bare, loss_frac=D("0.05"), gain_frac=D("0.05"), daily_profit_frac=D("0.05"))
    for amount in ("50000", "-80000"):
        moved = FundsMoved(asset="USDT", amount=D(amount), value=D(amount), reason="by the trader")
        world.core.journal.record(world.clock.now_ms(), moved)
        await world.bar("50000")
        assert (world.books.state, world.core.watch.kill.tiers) == (TradingState.ACTIVE, {})
    assert gauge(world, "loss").observed == (D(50) / D(70_000)).quantize(D("1e-9"))


# What is not about equity


async def test_analyses_that_fail_in_a_row_stop_orders_and_a_resume_forgives_them(
    make_world: Make, tester: AgentConfig
) -> None:
    patient = replace(tester, pause_after_failures=100, backoff_max_ms=1_000)
    world = await make_world(agent=patient, policy=policy(analysis_failures=5))

    async def fail(_request: object) -> None:
        raise ValueError("no such thing")

    world.script.decide = fail
    await world.bars(5, "50000")
    assert (gauge(world, "analysis_failures").tier, world.books.state) == (KillTier.REDUCE, TradingState.REDUCING)
    assert await stops_orders(world)
    await world.bar("50000")
    assert world.books.state_reason == "kill switch: analysis_failures 5 reached the limit of 5"
    assert await stops_orders(world)
    assert (await world.handlers.handle(api.Resume(reason="the model is back"))).ok
    assert (await ticket(world)).ok


async def test_venue_that_keeps_failing_stops_orders(make_world: Make) -> None:
    world = await make_world(policy=policy(venue_failures=5))
    await world.bar("50000")
    venue = world.core.gateway

    async def down(_asked: object) -> None:
        raise ConnectionError("no route")

    venue.create = venue.find = venue.cancel = down
    assert (await ticket(world)).text.endswith("UNKNOWN.")
    climbed = []
    while world.books.state is not TradingState.HALTED and len(climbed) < 12:  # each beat asks what became of the order
        world.clock.advance_ms(31_000)
        await world.core.on_heartbeat()
        climbed.append((world.core.watch.health.seen[KillRule.VENUE_FAILURES], world.books.state.value))
    assert climbed[-3:] == [(3, "ACTIVE"), (4, "REDUCING"), (5, "HALTED")]
    assert world.books.state_reason == "kill switch: venue_failures 5 reached the limit of 5"
    assert await stops_orders(world)


async def test_stale_data_while_exposed_stops_orders_and_a_resume_waits_for_prices(
    make_world: Make, bare: AgentConfig
) -> None:
    world = await holding(make_world, bare, stale_data_ms=300_000)
    for passed_ms, tier in ((60_000 + 179_000, None), (1_000, "warn"), (60_000, "reduce"), (60_000, "halt")):
        world.clock.advance_ms(passed_ms)
        await world.core.on_heartbeat()
        assert world.core.watch.kill.tiers.get("stale_data") == tier
    assert world.books.state is TradingState.HALTED
    assert await stops_orders(world)
    refused = await world.handlers.handle(api.Resume(reason="let me trade"))
    assert (refused.ok, "stale_data 300s reached the limit" in refused.text) == (False, True)
    await world.bar("50000")
    assert (await world.handlers.handle(api.Resume(reason="prices are back"))).ok


async def test_nothing_held_or_a_closed_market_is_not_stale(make_world: Make, bare: AgentConfig) -> None:
    world = await make_world(policy=policy(stale_data_ms=300_000))
    await world.bar("50000")
    world.clock.advance_ms(3_600_000)
    await world.core.on_heartbeat()
    assert world.core.watch.kill.tiers == {}
    at_weekdays = replace(LISTED, calendar="24/5")
    shut = await make_world({0: BUY}, agent=bare, policy=policy(stale_data_ms=300_000), instrument=at_weekdays)
    await shut.bars(2, "50000")
    assert shut.position() == 1
    shut.clock.set_ms(FRIDAY_CLOSE_MS - MINUTE_MS)
    await shut.bar("50000")
    for _hour in range(40):
        await shut.core.on_heartbeat()
        shut.clock.advance_ms(3_600_000)
    assert "stale_data" not in shut.core.watch.kill.tiers


async def test_money_that_the_venue_does_not_show_stops_orders(make_world: Make) -> None:
    world = await make_world(policy=policy(ledger_drift_frac=D("0.01")))
    await world.bar("50000")

    def differs(venue: str) -> DifferenceFound:
        return DifferenceFound(
            difference_id="d1", kind=DifferenceKind.BALANCE_DRIFT, subject="USDT", instrument="", asset="USDT",
            ours=D(100_000), venue=D(venue), detail="USDT differs",
        )  # fmt: skip

    for venue, tier in (("150000", None), ("99400", "warn"), ("99200", "reduce"), ("99000", "halt")):
        world.core.journal.record(world.clock.now_ms(), differs(venue))
        await world.core.on_heartbeat()
        assert world.core.watch.kill.tiers.get("ledger_drift") == tier
    assert await stops_orders(world)
    assert not (await world.handlers.handle(api.Resume(reason="it will turn up"))).ok


class SteppedClock(ManualClock):
    """A clock whose wall time can be set apart from the one that never steps."""

    stepped_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.stepped_ms


@pytest.mark.fault("P22")
async def test_clock_that_jumps_stops_orders_until_a_person_has_looked(make_world: Make) -> None:
    world = await make_world(policy=policy(clock_skew_ms=2_000))
    await world.bar("50000")
    clock = SteppedClock(world.clock.now_ms())
    world.core.desk.clock = clock
    world.core.watch.health.begin(clock)
    for stepped_ms, tier in ((1_199, None), (-1_200, "warn"), (1_600, "reduce"), (-2_000, "halt")):
        clock.stepped_ms = stepped_ms
        await world.core.on_heartbeat()
        assert world.core.watch.kill.tiers.get("clock_skew") == tier
    assert await stops_orders(world)
    assert (await world.handlers.handle(api.Resume(reason="the time server was wrong"))).ok
    await world.core.on_heartbeat()
    assert world.books.state is TradingState.ACTIVE


async def test_venue_clock_ahead_of_ours_counts_once_two_quotes_say_so(make_world: Make) -> None:
    world = await make_world(policy=policy(clock_skew_ms=2_000))
    await world.bar("50000")
    await world.quote("50000", old_ms=-2_500)
    await world.core.on_heartbeat()
    assert world.books.state is TradingState.ACTIVE
    await world.quote("50000", old_ms=-2_500)
    await world.core.on_heartbeat()
    assert world.books.state_reason == "kill switch: clock_skew 2.5s reached the limit of 2s"
    assert await stops_orders(world)


@pytest.mark.fault("P36")
async def test_loop_that_stood_still_turns_entries_off_until_it_moves(make_world: Make) -> None:
    world = await make_world(policy=policy(loop_lag_ms=5_000))
    await world.bar("50000")
    world.core.watch.health.lag_ms = 5_000
    await world.core.on_heartbeat()
    assert world.books.state_reason == "kill switch: loop_lag 5s reached the mark for entries off of 5s"
    assert await stops_orders(world)
    world.core.watch.health.lag_ms = 250
    await world.core.on_heartbeat()
    assert (world.books.state, world.books.state_actor) == (TradingState.ACTIVE, "kill-switch")
    assert (await ticket(world)).ok


async def test_kill_switch_that_cannot_tell_halts(make_world: Make) -> None:
    world = await make_world(policy=policy())
    await world.bar("50000")
    gone = DifferenceFound(
        difference_id="d1", kind=DifferenceKind.BALANCE_DRIFT, subject="XYZ", instrument="", asset="XYZ", ours=D(5),
        venue=D(0), detail="a coin nobody can value is gone",
    )  # fmt: skip
    world.core.journal.record(world.clock.now_ms(), gone)
    await world.core.on_heartbeat()
    assert world.books.state is TradingState.HALTED
    assert world.books.state_reason.startswith("the kill switch failed: MissingRateError")


async def test_tripped_restarted_still_tripped(make_world: Make, bare: AgentConfig, tmp_path: Any) -> None:
    root, limits = tmp_path / "kept", policy(loss_frac=D("0.05"), action=KillAction.HALT)
    world = await make_world({0: BUY}, agent=bare, policy=limits, root=root, durable=True)
    await world.bars(2, "50000")
    await world.bar("44000")
    assert world.books.state is TradingState.HALTED
    world.close()
    assert verify(root).ok
    revived = await make_world({0: BUY}, agent=bare, policy=limits, root=root, durable=True)
    await revived.bars(3, "50000")
    assert (revived.books.state, gauge(revived, "loss").tier) == (TradingState.HALTED, KillTier.HALT)
    assert await stops_orders(revived)


async def test_reducing_survives_a_restart_and_ends_by_itself_afterwards(
    make_world: Make, bare: AgentConfig, tmp_path: Any
) -> None:
    root, limits = tmp_path / "kept", policy(loss_frac=D("0.05"))
    world = await make_world({0: BUY}, agent=bare, policy=limits, root=root, durable=True)
    await world.bars(2, "50000")
    await world.bar("46000")
    world.close()
    revived = await make_world(agent=bare, policy=limits, root=root, durable=True)
    await revived.bar("46400")
    assert (revived.books.state, await stops_orders(revived)) == (TradingState.REDUCING, True)
    await revived.bar("46500")
    assert revived.books.state is TradingState.ACTIVE


# Agents whose cycles fail


async def test_agent_waits_longer_after_each_failure_is_paused_and_wakes_after_the_decay(
    make_world: Make, tester: AgentConfig
) -> None:
    world = await make_world(agent=replace(tester, pause_after_failures=4), policy=policy(analysis_failures=50))
    ran: list[int] = []
    began_ms = world.clock.now_ms()

    async def fail(_request: object) -> None:
        ran.append((world.clock.now_ms() - began_ms) // MINUTE_MS)
        raise ValueError("no such thing")

    world.script.decide = fail
    await world.bars(9, "50000")
    shown = views.snapshot(world.core, mono_ms=0, progress=None, finished=False).agents[0]
    assert ran == [1, 2, 4, 8]  # after 1 min, 2 min and 4 min
    assert (shown.status, shown.failures) == (api.AgentStatus.PAUSED, 4)
    assert [each for each in world.outcomes("agent") if each != "RUNNING"] == ["WAITS"] * 3 + ["PAUSED"]
    await world.bars(28, "50000")
    assert len(ran) == 4
    await world.bar("50000")
    assert (world.outcomes("agent")[-1], len(ran)) == ("WAITS", 5)


async def test_waiting_agent_is_shown_and_runs_at_once_when_the_trader_says_so(
    make_world: Make, tester: AgentConfig
) -> None:
    world = await make_world(agent=tester, policy=policy())

    async def fail(_request: object) -> None:
        raise ValueError("no such thing")

    decide, world.script.decide = world.script.decide, fail
    await world.bars(2, "50000")
    shown = views.snapshot(world.core, mono_ms=0, progress=None, finished=False).agents[0]
    assert (shown.failures, shown.waits_until_ms) == (2, world.clock.now_ms() + 2 * MINUTE_MS)
    world.script.decide = decide
    await world.handlers.handle(api.AgentControl(agent="tester", action="resume"))
    await world.bar("50000")
    assert len(world.script.asked) == 1
