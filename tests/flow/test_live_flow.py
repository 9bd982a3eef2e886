"""Quotes and order books into the core: marks, the kill switch, ages, fills, protection, and what fails on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine import api
from engine.agents.cycle import Desk
from engine.clock import ManualClock
from engine.control.core import Core
from engine.domain.agent import AgentConfig
from engine.domain.decision import Direction
from engine.domain.events import FundsMoved, Incident
from engine.domain.instrument import Instrument
from engine.domain.intent import Autonomy
from engine.domain.killing import KillAction
from engine.domain.market import Instant, Source, SourceKind
from engine.domain.order import OrderRole
from engine.domain.policy import AccountLimits, KillLimits, PaperSettings, Policy, TradingState
from engine.domain.valuation import Valuation
from engine.market.state import MarketState
from engine.risk.approvals import Approvals
from engine.risk.surroundings import Surroundings
from engine.runtime.compose import Plan, cash_asset
from engine.runtime.reads import verify
from tests.unit.desk_kit import Bench, FakeVenue, bare, fill_of

BTC = "paper:BTC/USDT"
BUY: dict[str, object] = {"direction": Direction.BUY}
FLAT: dict[str, object] = {"direction": Direction.FLAT}
FREE = PaperSettings(half_spread_frac=Decimal(0), slippage_frac=Decimal(0), volume_share_frac=Decimal(1))
FAR = Decimal("0.9")
LOSS = KillLimits(gain_frac=Decimal(9), loss_frac=Decimal("0.05"), drawdown_frac=FAR, daily_loss_frac=FAR)
Make = Callable[..., Awaitable[Any]]


@pytest.fixture
def bare_agent(tester: AgentConfig) -> AgentConfig:
    """The tester without stop and target."""
    return replace(tester, protection=replace(tester.protection, stop_frac=None, target_frac=None))


async def ticket(world: Any, side: api.Side = api.Side.BUY, **changes: Any) -> api.Reply:
    """Preview and send a market ticket of half a coin."""
    fields: dict[str, Any] = {"order_type": api.OrderType.MARKET, "qty": Decimal("0.5"), **changes}
    order = api.Ticket(instrument=BTC, side=side, **fields)
    shown = (await world.handlers.handle(api.PreviewTicket(ticket=order))).data
    return await world.handlers.handle(api.SubmitTicket(ticket=order, preview_id=shown.preview_id))


async def holding(make_world: Make, agent: AgentConfig, kill: KillLimits = LOSS, **options: Any) -> Any:
    """Return a world whose tester holds one coin bought at 50,000."""
    world = await make_world({0: BUY}, agent=agent, policy=Policy(kill=kill, paper=FREE), **options)
    await world.bars(2, "50000")
    assert world.position() == 1
    return world


# Marks and fills


async def test_quote_marks_the_middle_and_equity_follows(make_world: Make, bare_agent: AgentConfig) -> None:
    world = await holding(make_world, bare_agent)
    before = world.core.watch.equity
    await world.quote("50990", "51010")
    assert world.core.desk.surroundings.valuation.price(BTC) == 51_000
    assert world.core.watch.equity == before + 1_000


async def test_market_order_fills_at_the_side_of_the_quote_it_takes(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    await world.quote("49990", "50010")
    assert (await ticket(world)).ok
    assert world.books.position("trader", BTC).average_price == 50_010
    await world.quote("50090", "50110")
    assert (await ticket(world, api.Side.SELL)).ok
    assert world.books.position("trader", BTC).realized == Decimal("0.5") * (50_090 - 50_010)


async def test_two_tickets_in_one_instant_are_two_decisions(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    await world.quote("49990", "50010")
    first, second = await ticket(world), await ticket(world, api.Side.SELL)
    assert (first.ok, second.ok) == (True, True), second.text
    assert world.position("trader") == 0


async def test_bracket_of_an_order_that_walks_a_book_covers_all_that_came_in(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    await world.book([("49990", "5")], [("50000", "0.2"), ("50010", "0.2"), ("50020", "5")])
    assert (await ticket(world, stop_frac=Decimal("0.02"))).ok
    stop = next(order for order in world.books.orders.values() if order.role is OrderRole.STOP)
    assert (world.position("trader"), stop.qty) == (Decimal("0.5"), Decimal("0.5"))


@pytest.mark.fault("E29")
async def test_crossed_book_fills_nothing(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    assert (await ticket(world)).ok
    await world.book([("50020", "5")], [("50000", "5")])
    await world.book([], [("50000", "5")])
    assert world.position("trader") == 0
    await world.book([("49990", "5")], [("50000", "5")])
    assert world.position("trader") == Decimal("0.5")


@pytest.mark.fault("E27")
@pytest.mark.parametrize("price", ["0", "-1", "NaN", "Infinity"])
async def test_quote_without_a_price_changes_nothing(make_world: Make, bare_agent: AgentConfig, price: str) -> None:
    world = await holding(make_world, bare_agent)
    before = world.core.watch.equity
    await world.quote(price)
    await world.quote(price)
    assert (world.core.watch.equity, world.books.state) == (before, TradingState.ACTIVE)


# Ages


@pytest.mark.parametrize(("age_ms", "sent"), [(90_000, True), (90_001, False)])
async def test_entry_on_a_stale_price_is_refused_by_its_age(make_world: Make, age_ms: int, sent: bool) -> None:
    world = await make_world(policy=Policy(limits=AccountLimits(price_age_ms=90_000), paper=FREE))
    await world.bar("50000")
    world.clock.advance_ms(age_ms)
    reply = await ticket(world)
    assert (reply.ok, "PRICE_AGE" in reply.text) == (sent, not sent)


@pytest.mark.fault("E26")
async def test_quote_that_arrives_old_is_as_old_as_the_venue_says(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    await world.quote("50000", after_ms=200_000, old_ms=100_000)
    reply = await ticket(world)
    assert not reply.ok
    assert "PRICE_AGE" in reply.text


# The kill switch on quotes (R39)


@pytest.mark.fault("E28")
async def test_one_spike_does_not_trip_and_the_second_sample_does(make_world: Make, bare_agent: AgentConfig) -> None:
    world = await holding(make_world, bare_agent)
    await world.quote("44000")
    assert world.books.state is TradingState.ACTIVE
    await world.quote("50000")
    await world.quote("44000")
    assert world.books.state is TradingState.ACTIVE
    await world.quote("44000")
    assert world.books.state is TradingState.HALTED
    assert world.books.state_reason.startswith("kill switch: loss ")
    assert world.books.last_certificate.flat
    assert world.position() == 0


@pytest.mark.fault("E28")
async def test_one_spike_upwards_leaves_no_peak_to_fall_from(make_world: Make, bare_agent: AgentConfig) -> None:
    limits = KillLimits(gain_frac=Decimal(9), loss_frac=FAR, drawdown_frac=Decimal("0.05"), daily_loss_frac=FAR)
    world = await holding(make_world, bare_agent, limits)
    await world.quote("60000")
    for _ in range(3):
        await world.quote("50000")
    await world.bar("50000")
    assert (world.books.state, world.core.watch.peak) == (TradingState.ACTIVE, 100_000)
    await world.bar("52000")
    await world.bar("46000")
    assert world.books.state_reason.startswith("kill switch: drawdown ")


async def test_day_begins_at_the_last_close_even_when_a_quote_comes_first(
    make_world: Make, bare_agent: AgentConfig
) -> None:
    world = await holding(make_world, bare_agent)
    await world.bar("51000")
    closed = world.core.watch.equity
    await world.quote("55000", after_ms=86_400_000)
    assert (world.books.baseline.day_start, world.books.baseline.day) == (closed, world.clock.now_ms() // 86_400_000)


async def test_trip_after_a_manual_halt_still_flattens_and_only_once(make_world: Make, bare_agent: AgentConfig) -> None:
    world = await holding(make_world, bare_agent)
    await world.handlers.handle(api.Halt())
    await world.bar("44000")
    assert (world.books.state_actor, world.core.flattening.is_under_way) == ("trader", True)
    assert "KILL_SWITCH" in world.incidents()
    await world.bar("44000")
    certificate = world.books.last_certificate
    assert certificate.flat
    assert world.position() == 0
    await world.bars(3, "43000")
    assert world.outcomes("flatten") == ["STARTED", "CERTIFIED FLAT"]


async def test_rule_that_flattened_in_vain_does_not_begin_again_before_a_resume(
    make_world: Make, bare_agent: AgentConfig
) -> None:
    world = await holding(make_world, bare_agent)
    await world.bar("44000")
    await world.core.end_of_data()
    assert (world.books.last_certificate.flat, world.position()) == (False, 1)
    order = next(iter(world.books.orders))
    await world.core.desk.router.cancel([order])
    await world.bars(2, "43000")
    assert world.outcomes("flatten") == ["STARTED", "NOT FLAT"]
    assert (await world.handlers.handle(api.Resume(reason="I hold it on purpose"))).ok
    await world.bars(2, "35000")
    assert world.outcomes("flatten") == ["STARTED", "NOT FLAT", "STARTED", "CERTIFIED FLAT"]


async def test_trip_while_halted_with_nothing_open_starts_no_flatten(make_world: Make, bare_agent: AgentConfig) -> None:
    world = await make_world({0: BUY, 2: FLAT}, agent=bare_agent, policy=Policy(kill=LOSS, paper=FREE))
    await world.bars(2, "50000")
    await world.bar("45500")
    await world.handlers.handle(api.Halt())
    await world.bars(3, "44000")
    assert world.position() == 0
    assert world.core.watch.equity < 95_000
    assert (world.outcomes("flatten"), world.incidents()) == ([], [])


async def test_policy_that_only_halts_never_flattens(make_world: Make, bare_agent: AgentConfig) -> None:
    world = await holding(make_world, bare_agent, replace(LOSS, action=KillAction.HALT))
    await world.bars(3, "44000")
    assert (world.books.state, world.position(), world.outcomes("flatten")) == (TradingState.HALTED, 1, [])


async def test_equity_that_cannot_be_known_halts_and_sells_nothing(make_world: Make, bare_agent: AgentConfig) -> None:
    world = await holding(make_world, bare_agent, root=None)
    gift = FundsMoved(asset="DOGE", amount=Decimal(1), value=Decimal(0), reason="a gift nobody can value")
    world.core.journal.record(world.clock.now_ms(), gift)
    await world.quote("50000")
    assert (world.books.state, world.position(), world.outcomes("flatten")) == (TradingState.HALTED, 1, [])


async def test_resume_lets_the_kill_switch_measure_from_the_present_equity(
    make_world: Make, bare_agent: AgentConfig
) -> None:
    world = await holding(make_world, bare_agent, replace(LOSS, action=KillAction.HALT))
    await world.bar("44000")
    assert (await world.handlers.handle(api.Resume(reason="seen"))).ok
    await world.bar("44000")
    assert world.books.state is TradingState.ACTIVE
    await world.bar("39000")
    assert world.books.state is TradingState.HALTED


# The latch


async def test_latch_closed_in_memory_is_written_by_the_next_heartbeat_and_opened_by_a_resume(make_world: Make) -> None:
    world = await make_world({0: BUY})
    world.core.latch.close()
    assert world.core.shown_state is TradingState.HALTED
    reply = await world.handlers.handle(api.Resume(reason="a slip of the hand"))
    assert (reply.ok, world.core.shown_state) == (True, TradingState.ACTIVE)
    world.core.latch.close()
    await world.core.on_heartbeat()
    assert world.books.state is TradingState.HALTED


@pytest.mark.fault("P23")
async def test_halt_holds_without_a_disk_and_is_written_once_there_is_one(make_world: Make) -> None:
    world = await make_world({0: BUY})
    world.core.journal.broken = "database or disk is full"
    reply = await world.handlers.handle(api.Halt(reason="out of space"))
    assert reply.ok
    assert "not on disk" in reply.text
    assert (world.core.shown_state, world.books.state) == (TradingState.HALTED, TradingState.ACTIVE)
    world.core.journal.broken = None
    await world.core.on_heartbeat()
    assert (world.books.state, world.books.state_reason) == (TradingState.HALTED, "out of space")
    assert world.core.shown_reason == "out of space"


# Flatten


async def test_flatten_cancels_an_entry_that_waits_before_it_certifies(make_world: Make) -> None:
    world = await make_world()
    await world.bar("50000")
    limit = {"order_type": api.OrderType.LIMIT, "limit_price": Decimal(48_000)}
    assert (await ticket(world, **limit)).ok
    assert (await world.handlers.handle(api.Flatten())).ok
    assert (world.books.last_certificate.flat, world.books.orders) == (True, {})
    await world.bar("47000")
    assert world.position("trader") == 0


async def test_flatten_after_the_last_price_names_what_is_left_and_lets_a_person_resume(
    make_world: Make, bare_agent: AgentConfig
) -> None:
    world = await holding(make_world, bare_agent)
    await world.core.end_of_data()
    reply = await world.handlers.handle(api.Flatten())
    assert (reply.ok, world.books.last_certificate.flat) == (False, False)
    assert [line.end_qty for line in world.books.last_certificate.lines] == [1]
    assert (await world.handlers.handle(api.Resume(reason="nothing more will come"))).ok


async def test_flatten_taken_up_after_a_restart_sends_a_further_round_under_a_new_id(
    make_world: Make, tmp_path: Path, bare_agent: AgentConfig
) -> None:
    world = await holding(make_world, bare_agent, root=tmp_path / "kept", durable=True)
    await world.handlers.handle(api.Flatten())
    started_ms = world.clock.now_ms()
    first = next(iter(world.books.orders))
    await world.core.gateway.cancel(first)
    world.close()
    revived = await make_world(
        agent=bare_agent, policy=Policy(kill=LOSS, paper=FREE), root=tmp_path / "kept", durable=True
    )
    await revived.bars(3, "50000")
    certificate = revived.books.last_certificate
    assert (certificate.flat, revived.position()) == (True, 0)
    assert [(line.start_qty, line.end_qty) for line in certificate.lines] == [(1, 0)]
    assert certificate.took_ms == revived.books.last_ts_ms - started_ms or certificate.took_ms > 0
    assert first in revived.books.closed_orders


# Starting


async def test_venue_account_that_was_lost_is_said_and_not_made_up(
    make_world: Make, tmp_path: Path, bare_agent: AgentConfig
) -> None:
    world = await holding(make_world, bare_agent, root=tmp_path / "kept", durable=True)
    before = dict(world.books.balances)
    world.close()
    for file in (tmp_path / "kept").glob("paper.db*"):
        file.unlink()
    revived = await make_world(agent=bare_agent, root=tmp_path / "kept", durable=True)
    assert {"BALANCE_DRIFT", "EXTERNAL_POSITION"} <= set(revived.incidents())
    assert "the venue holds 0" in revived.books.blocked[BTC]
    assert (dict(revived.books.balances), await revived.core.gateway.balances()) == (before, {})


async def test_fill_that_was_booked_at_the_venue_alone_is_booked_by_the_next_start(
    make_world: Make, tmp_path: Path, bare_agent: AgentConfig
) -> None:
    world = await make_world({0: BUY}, agent=bare_agent, root=tmp_path / "kept", durable=True)
    await world.bar("50000")
    candle = world.core.desk.market.last_candle(BTC)
    later = replace(candle, ts_ms=candle.close_ms)
    world.core.gateway.on_instant(Instant(later.close_ms, (later,)))
    assert world.position() == 0
    world.close()
    revived = await make_world(agent=bare_agent, root=tmp_path / "kept", durable=True)
    assert (revived.position(), revived.books.state) == (1, TradingState.ACTIVE)
    assert revived.incidents() == []


# Protection (R16)


async def test_position_whose_protection_was_canceled_raises_one_alarm_for_each_part(make_world: Make) -> None:
    world = await make_world({0: BUY})
    await world.bars(2, "50000")
    await world.handlers.handle(api.CancelAll(include_protection=True))
    await world.core.on_heartbeat()
    assert "UNPROTECTED" not in world.incidents()
    world.clock.advance_ms(10_000)
    await world.core.on_heartbeat()
    await world.core.on_heartbeat()
    assert world.incidents() == ["UNPROTECTED", "NO_TARGET"]


async def test_dust_of_base_fees_is_no_position_to_a_model_and_needs_no_stop(
    make_world: Make, tester: AgentConfig, in_base: Instrument
) -> None:
    odd = replace(tester, limits=replace(tester.limits, qty_fixed=Decimal("0.12345")))
    world = await make_world({0: BUY, 2: FLAT}, agent=odd, instrument=in_base)
    await world.bars(2, "50000")
    held = world.position()
    assert held == Decimal("0.12345") * Decimal("0.999")
    world.clock.advance_ms(20_000)
    await world.core.on_heartbeat()
    await world.core.on_heartbeat()
    assert world.incidents() == []
    await world.bars(3, "50000")
    assert 0 < world.position() < in_base.qty_step
    assert world.script.asked[2].views[0].position_qty == held
    assert world.script.asked[-1].views[0].position_qty == 0


# Approvals


async def test_trade_that_waits_already_is_not_asked_for_again(make_world: Make, tester: AgentConfig) -> None:
    asking = replace(tester, autonomy=Autonomy.APPROVE)
    world = await make_world({0: BUY, 1: BUY, 3: BUY}, agent=asking)
    await world.bars(2, "50000")
    (card,) = world.core.desk.approvals.waiting.values()
    assert world.outcomes("decision") == ["AWAITING_APPROVAL", "REFUSED"]
    assert (await world.handlers.handle(api.Approve(approval_id=card.intent.intent_id, code=card.code))).ok
    await world.bars(2, "50000")
    assert (world.position(), world.books.count.intents) == (1, 1)


async def test_trade_at_its_limit_can_be_approved_after_the_price_rose_a_little(
    make_world: Make, tester: AgentConfig
) -> None:
    limits = replace(tester.limits, qty_fixed=None, position_notional_max=Decimal(10_000))
    world = await make_world({0: BUY}, agent=replace(tester, autonomy=Autonomy.APPROVE, limits=limits))
    await world.bar("50000")
    (card,) = world.core.desk.approvals.waiting.values()
    await world.bar("50400")
    reply = await world.handlers.handle(api.Approve(approval_id=card.intent.intent_id, code=card.code))
    await world.bar("50400")
    assert reply.ok, reply.text
    assert world.position() == card.intent.qty == Decimal("0.2")


# What fails


async def test_model_that_raises_fails_its_cycle_and_pauses_its_agent_after_some(
    make_world: Make, tester: AgentConfig
) -> None:
    world = await make_world(agent=replace(tester, pause_after_failures=3))

    async def fail(request: object) -> None:
        raise ValueError("no such thing")

    world.script.decide = fail
    await world.bars(5, "50000")
    assert world.outcomes("decision") == ["MODEL_ERROR"] * 3
    assert world.outcomes("agent")[-1] == "PAUSED"
    assert world.books.state is TradingState.ACTIVE
    await world.handlers.handle(api.AgentControl(agent="tester", action="resume"))
    await world.bar("50000")
    assert world.outcomes("agent")[-2:] == ["RUNNING", "WAITS"]


async def test_overfill_is_booked_whole_and_halts_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "s", MarketVenue())
    core = core_of(bench)
    await bench.place(bare())
    order_id = bench.venue.created[0].client_order_id
    bench.venue.told = [fill_of(order_id), fill_of(order_id, "t2", qty=Decimal("0.5"))]
    await core.on_event(Instant(bench.clock.now_ms(), ()))
    assert bench.books.state is TradingState.HALTED
    assert order_id in bench.books.state_reason
    assert bench.books.position("a", "fake:BTC/USDT").qty == Decimal("1.5")
    assert [incident.code for incident in bench.rows(Incident)] == ["OVERFILL", "LEDGER_BREACH"]
    await core.resume("trader", "corrected at the venue")
    await core.on_heartbeat()
    assert bench.books.state is TradingState.ACTIVE
    bench.journal.close()
    assert verify(bench.paths.root).ok


class MarketVenue(FakeVenue):
    """A fake venue that no candle moves."""

    @property
    def has_news(self) -> bool:
        return bool(self.told)

    def on_instant(self, instant: Instant) -> None:
        """Do nothing."""


def core_of(bench: Bench) -> Core:
    valuation = Valuation("USD", ("USDT",))
    policy = Policy()
    around = Surroundings(bench.books, MarketState(60_000), valuation, policy)
    clock = ManualClock(bench.clock.now_ms())
    desk = Desk(bench.journal, around.market, around, Approvals(), bench.router, clock, "policy")
    source = Source(kind=SourceKind.SIMULATED, name="test")
    return Core(desk, bench.venue, bench.latch, policy, [], source)  # type: ignore[arg-type]


# Money


@pytest.mark.parametrize(
    ("currency", "pegs", "quote", "known"),
    [
        ("USD", ("USDT",), "USDT", True),
        ("USDT", ("USDT",), "USDT", True),
        ("EUR", ("USDT",), "EUR", True),
        ("EUR", ("USDT",), "USDT", False),
        ("USD", (), "USDT", False),
    ],
)
def test_starting_cash_is_in_what_the_valuation_takes_for_money(
    make_world: Make, in_base: Instrument, tester: AgentConfig, currency: str, pegs: tuple[str, ...], quote: str,
    known: bool,
) -> None:  # fmt: skip
    plan = Plan(
        policy=Policy(account_currency=currency, usd_peg=pegs), instruments=(replace(in_base, quote=quote),),
        agents=(tester,), source=Source(kind=SourceKind.SIMULATED, name="test"), interval_ms=60_000,
    )  # fmt: skip
    if known:
        assert cash_asset(plan) == quote
    else:
        with pytest.raises(Exception, match=f"quoted in {quote}"):
            cash_asset(plan)
