"""Halting, flattening, the kill switch, approvals and tickets, through the commands a person has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from engine import api
from engine.control import views
from engine.domain.agent import AgentConfig
from engine.domain.decision import Direction
from engine.domain.intent import Autonomy
from engine.domain.policy import KillLimits, PaperSettings, Policy, TradingState

BTC = "paper:BTC/USDT"
BUY: dict[str, object] = {"direction": Direction.BUY}
FREE = PaperSettings(half_spread_frac=Decimal(0), slippage_frac=Decimal(0), volume_share_frac=Decimal(1))
FAR = Decimal("0.9")
Make = Callable[..., Awaitable[Any]]


async def test_halt_stops_cycles_and_orders_until_a_person_resumes(make_world: Make) -> None:
    world = await make_world({0: BUY, 1: BUY})
    reply = await world.handlers.handle(api.Halt())
    await world.bars(2, "50000")
    assert (reply.ok, world.books.state, world.books.count.orders) == (True, TradingState.HALTED, 0)
    assert not (await world.handlers.handle(api.Resume(reason="  "))).ok
    assert (await world.handlers.handle(api.Resume(reason="looked at it"))).ok
    await world.bars(2, "50000")
    assert world.position() == 1


async def test_resume_rebases_the_kill_switch_and_leaves_the_days_figure_and_the_peak(
    make_world: Make, tester: AgentConfig
) -> None:
    bare = replace(tester, protection=replace(tester.protection, stop_frac=None, target_frac=None))
    world = await make_world({0: BUY}, agent=bare)
    for price in ("50000", "50000", "50500", "48000"):
        await world.bar(price)
    await world.handlers.handle(api.Halt())
    before = views.snapshot(world.core, mono_ms=0, progress=None, finished=False)
    reply = await world.handlers.handle(api.Resume(reason="looked at it"))
    after = views.snapshot(world.core, mono_ms=0, progress=None, finished=False)
    assert before.day_pnl is not None
    assert before.day_pnl < 0
    assert before.equity_peak == 100_450
    assert (after.day_pnl, after.day_start, after.equity_peak) == (before.day_pnl, before.day_start, before.equity_peak)
    assert {gauge.observed for gauge in after.kill} == {0}
    assert "measures anew, from equity 97950 USD" in reply.text
    world.close()
    revived = await make_world(agent=bare, root=world.paths.root)
    assert views.snapshot(revived.core, mono_ms=0, progress=None, finished=False).equity_peak == 100_450


@pytest.mark.fault("P10", "U11")
async def test_halt_survives_a_restart(make_world: Make, tmp_path: Any) -> None:
    world = await make_world(root=tmp_path / "kept", durable=True)
    await world.handlers.handle(api.Halt())
    again = await world.handlers.handle(api.Halt())
    world.close()
    revived = await make_world({0: BUY}, root=tmp_path / "kept", durable=True)
    await revived.bars(3, "50000")
    assert again.text == "HALTED already."
    assert (revived.books.state, revived.books.count.orders) == (TradingState.HALTED, 0)


async def test_halt_between_decision_and_send_holds_the_order_back(make_world: Make) -> None:
    world = await make_world({0: BUY})
    world.core.desk.on_phase = lambda _agent, phase: world.core.latch.close() if phase == "EXECUTION" else None
    await world.bars(3, "50000")
    assert (world.position(), world.outcomes("order")[-1]) == (0, "NOT_SENT")
    assert await world.core.gateway.open_orders() == []


@pytest.mark.fault("U10")
async def test_halt_file_from_outside_is_obeyed(make_world: Make) -> None:
    world = await make_world({1: BUY}, durable=True)
    await world.bar("50000")
    world.paths.halt_latch.touch()
    await world.core.on_heartbeat()
    await world.bars(2, "50000")
    assert (world.books.state, world.books.count.orders) == (TradingState.HALTED, 0)
    assert not (await world.handlers.handle(api.Resume(reason="file still there"))).ok


@pytest.mark.parametrize(
    ("rule", "limits", "closes"),
    [
        ("loss", KillLimits(loss_frac=Decimal("0.05"), drawdown_frac=FAR, daily_loss_frac=FAR),
         ["49000", "44950"]),
        ("drawdown", KillLimits(loss_frac=FAR, drawdown_frac=Decimal("0.04"), daily_loss_frac=FAR),
         ["54000", "49500"]),
        ("daily_loss", KillLimits(loss_frac=FAR, drawdown_frac=FAR, daily_loss_frac=Decimal("0.02")),
         ["49000", "47900"]),
        ("gain", KillLimits(gain_frac=Decimal("0.03")), ["52000", "53200"]),
    ],
    ids=["loss", "drawdown", "daily_loss", "gain"],
)  # fmt: skip
async def test_each_kill_rule_trips_where_hand_arithmetic_says_and_ends_flat_by_certificate(
    make_world: Make, tester: AgentConfig, rule: str, limits: KillLimits, closes: list[str]
) -> None:
    bare = replace(tester, protection=replace(tester.protection, stop_frac=None, target_frac=None))
    world = await make_world({0: BUY}, agent=bare, policy=Policy(kill=limits, paper=FREE))
    await world.bars(2, "50000")
    for close in closes[:-1]:
        await world.bar(close)
        assert world.books.state is TradingState.ACTIVE, close
    await world.bar(closes[-1])
    assert world.books.state is TradingState.HALTED
    assert world.books.state_reason.startswith(f"kill switch: {rule} ")
    await world.bar(closes[-1])
    certificate = world.books.last_certificate
    assert certificate is not None
    assert certificate.flat
    assert (world.position(), world.books.balances["BTC"]) == (0, 0)
    assert [(line.start_qty, line.end_qty) for line in certificate.lines] == [(1, 0)]


async def test_flatten_works_while_halted_and_certifies_only_what_the_venue_shows(make_world: Make) -> None:
    thin = replace(FREE, volume_share_frac=Decimal("0.1"))
    world = await make_world({0: BUY}, policy=Policy(paper=thin))
    await world.bars(2, "50000")
    await world.handlers.handle(api.Halt())
    reply = await world.handlers.handle(api.Flatten())
    assert reply.ok
    assert world.books.last_certificate is None
    again = await world.handlers.handle(api.Flatten())
    assert again.text == "A flatten is under way already."
    await world.bar("50000", volume="4")
    assert (world.position(), world.books.last_certificate) == (Decimal("0.6"), None)
    await world.bar("50000", volume="100")
    certificate = world.books.last_certificate
    assert certificate is not None
    assert certificate.flat
    assert world.position() == 0


async def test_flatten_goes_on_after_a_restart(make_world: Make, tmp_path: Any) -> None:
    world = await make_world({0: BUY}, root=tmp_path / "kept", durable=True)
    await world.bars(2, "50000")
    await world.handlers.handle(api.Flatten())
    world.close()
    revived = await make_world(root=tmp_path / "kept", durable=True)
    await revived.bars(2, "50000")
    assert revived.books.last_certificate.flat
    assert revived.books.balances["BTC"] == 0


async def test_leaving_and_coming_back_trades_nothing_and_keeps_the_protection(make_world: Make, tmp_path: Any) -> None:
    world = await make_world({0: BUY}, root=tmp_path / "kept", durable=True)
    await world.bars(2, "50000")
    before = (dict(world.books.balances), set(world.books.orders))
    world.close()
    revived = await make_world(root=tmp_path / "kept", durable=True)
    assert (dict(revived.books.balances), set(revived.books.orders)) == before
    await revived.bar("48000")
    assert revived.position() == 0


async def test_cancel_all_leaves_protection_unless_told_otherwise(make_world: Make) -> None:
    world = await make_world({0: BUY})
    await world.bars(2, "50000")
    assert (await world.handlers.handle(api.CancelAll())).ok
    assert len(world.books.orders) == 2
    assert (await world.handlers.handle(api.CancelAll(include_protection=True))).ok
    assert not world.books.orders


@pytest.mark.parametrize("protection_too", [False, True])
async def test_cancel_all_leaves_the_closing_orders_of_a_flatten(make_world: Make, protection_too: bool) -> None:
    world = await make_world({0: BUY})
    await world.bars(2, "50000")
    await world.handlers.handle(api.Flatten())
    closing = [order.role for order in world.books.orders.values() if not order.role.is_protection]
    reply = await world.handlers.handle(api.CancelAll(include_protection=protection_too))
    assert (reply.ok, closing) == (True, [api.OrderRole.FLATTEN])
    assert "closing orders of the flatten under way stay" in reply.text
    assert [o.role for o in world.books.orders.values() if not o.role.is_protection] == closing
    await world.bar("50000")
    assert world.books.last_certificate.flat


# Approvals (R26)


async def waiting(make_world: Make, tester: AgentConfig, ttl_ms: int = 300_000) -> Any:
    world = await make_world({0: BUY}, agent=replace(tester, autonomy=Autonomy.APPROVE, approval_ttl_ms=ttl_ms))
    await world.bar("50000")
    return world, next(iter(world.core.desk.approvals.waiting.values()))


async def test_approved_trade_is_sent_once(make_world: Make, tester: AgentConfig) -> None:
    world, card = await waiting(make_world, tester)
    wrong = await world.handlers.handle(api.Approve(approval_id=card.intent.intent_id, code="????"))
    first = await world.handlers.handle(api.Approve(approval_id=card.intent.intent_id, code=card.code.lower()))
    second = await world.handlers.handle(api.Approve(approval_id=card.intent.intent_id, code=card.code))
    await world.bar("50000")
    assert (wrong.ok, first.ok, second.ok) == (False, True, False)
    assert (world.position(), world.books.count.intents) == (1, 1)


@pytest.mark.fault("U07")
async def test_approval_expires_and_is_then_refused(make_world: Make, tester: AgentConfig) -> None:
    world, card = await waiting(make_world, tester, ttl_ms=60_000)
    await world.bar("50000")
    reply = await world.handlers.handle(api.Approve(approval_id=card.intent.intent_id, code=card.code))
    assert not reply.ok
    assert world.outcomes("approval")[-1] == "EXPIRED"
    assert world.books.count.orders == 0


@pytest.mark.fault("U08")
async def test_approval_after_the_price_moved_is_refused_with_both_numbers(
    make_world: Make, tester: AgentConfig
) -> None:
    world, card = await waiting(make_world, tester)
    await world.bar("50600")
    reply = await world.handlers.handle(api.Approve(approval_id=card.intent.intent_id, code=card.code))
    assert not reply.ok
    assert "50000" in reply.text
    assert "50600" in reply.text
    assert world.books.count.orders == 0


@pytest.mark.fault("U09")
async def test_approval_under_a_policy_that_was_changed_meanwhile_is_refused_with_both(
    make_world: Make, tester: AgentConfig
) -> None:
    world, card = await waiting(make_world, tester)
    world.core.desk.policy_hash = "another policy"
    reply = await world.handlers.handle(api.Approve(approval_id=card.intent.intent_id, code=card.code))
    assert not reply.ok
    assert "the policy is now another" in reply.text
    assert card.policy_hash[:8] in reply.text
    assert world.books.count.orders == 0


@pytest.mark.fault("U09")
async def test_order_edited_after_the_card_was_drawn_is_refused(make_world: Make, tester: AgentConfig) -> None:
    world, card = await waiting(make_world, tester)
    edited = replace(card, intent=replace(card.intent, qty=card.intent.qty / 2))
    world.core.desk.approvals.waiting[card.intent.intent_id] = edited
    reply = await world.handlers.handle(api.Approve(approval_id=card.intent.intent_id, code=card.code))
    assert not reply.ok
    assert "not the one on the card" in reply.text
    assert world.books.count.orders == 0


@pytest.mark.fault("U06")
async def test_of_two_places_that_approve_at_once_one_sends_and_the_other_hears_it_was_answered(
    make_world: Make, tester: AgentConfig
) -> None:
    world, card = await waiting(make_world, tester)
    yes = api.Approve(approval_id=card.intent.intent_id, code=card.code)
    replies = await asyncio.gather(*(world.handlers.handle(replace(yes, actor=who)) for who in ("here", "there")))
    assert sorted(reply.ok for reply in replies) == [False, True]
    assert "answered already" in next(reply.text for reply in replies if not reply.ok)
    await world.bar("50000")
    assert (world.position(), world.books.count.intents) == (1, 1)


@pytest.mark.fault("U05")
async def test_trade_nobody_answers_expires_and_one_that_waits_at_a_restart_expires_there(
    make_world: Make, tester: AgentConfig
) -> None:
    world, _card = await waiting(make_world, tester, ttl_ms=600_000)
    world.close()
    revived = await make_world(agent=world.plan.agents[0], root=world.paths.root)
    assert not revived.core.desk.approvals.waiting
    assert not revived.books.approvals
    assert revived.outcomes("approval") == ["EXPIRED"]
    assert revived.books.count.orders == 0


async def test_card_shows_policy_quote_checks_and_the_portfolio_after_the_trade(
    make_world: Make, tester: AgentConfig
) -> None:
    world, waited = await waiting(make_world, tester)
    world.clock.advance_ms(2_000)
    (card,) = views.snapshot(world.core, mono_ms=0, progress=None, finished=False).approvals
    assert (card.policy, card.quote_age_ms) == (waited.policy_hash, 2_000)
    assert len(card.checks) > 20
    effect = card.effect
    assert effect is not None
    assert effect.value == effect.cash_before - effect.cash_after - effect.fee, "one price for the order and its cash"
    assert (effect.cash_after, effect.qty_after, effect.gross_after_frac) == (49_950, 1, Decimal("0.5"))
    assert (effect.at_stop, effect.at_stop_frac) == (1_000, Decimal("0.01"))


async def test_rejected_trade_is_gone(make_world: Make, tester: AgentConfig) -> None:
    world, card = await waiting(make_world, tester)
    assert (await world.handlers.handle(api.Reject(approval_id=card.intent.intent_id, note="no"))).ok
    assert not (await world.handlers.handle(api.Approve(approval_id=card.intent.intent_id, code=card.code))).ok
    await world.bar("50000")
    assert world.position() == 0


async def test_approval_while_halted_sends_nothing(make_world: Make, tester: AgentConfig) -> None:
    world, card = await waiting(make_world, tester)
    await world.handlers.handle(api.Halt())
    reply = await world.handlers.handle(api.Approve(approval_id=card.intent.intent_id, code=card.code))
    assert not reply.ok
    assert "TRADING_STATE" in reply.text


# Tickets


def ticket(**changes: Any) -> api.Ticket:
    return replace(
        api.Ticket(instrument=BTC, side=api.Side.BUY, order_type=api.OrderType.MARKET, qty=Decimal("0.5"),
                   stop_frac=Decimal("0.02")),
        **changes,
    )  # fmt: skip


async def test_ticket_whose_stop_could_never_be_reached_is_refused_with_that_stop(make_world: Make) -> None:
    world = await make_world()
    shown = (await world.handlers.handle(api.PreviewTicket(ticket=ticket(stop_frac=Decimal("1.01"))))).data
    assert (shown.refused, shown.qty) == (True, 0)
    assert (shown.checks[-1].code, shown.checks[-1].observed) == (api.CheckCode.STOP_INVALID, "stop -500")


async def test_ticket_is_previewed_then_sent_once_with_its_stop(make_world: Make) -> None:
    world = await make_world()
    await world.bars(1, "50000")
    shown = (await world.handlers.handle(api.PreviewTicket(ticket=ticket()))).data
    assert not shown.refused
    assert shown.qty == Decimal("0.5")
    assert shown.stop_price == Decimal(49000)
    sent = await world.handlers.handle(api.SubmitTicket(ticket=ticket(), preview_id=shown.preview_id))
    twice = await world.handlers.handle(api.SubmitTicket(ticket=ticket(), preview_id=shown.preview_id))
    await world.bar("50000")
    assert (sent.ok, twice.ok, world.position("trader")) == (True, False, Decimal("0.5"))
    assert [o.stop_price for o in world.books.orders.values()] == [Decimal(49000)]


async def test_ticket_edited_after_the_preview_is_not_sent(make_world: Make) -> None:
    world = await make_world()
    await world.bars(1, "50000")
    shown = (await world.handlers.handle(api.PreviewTicket(ticket=ticket()))).data
    changed = ticket(qty=Decimal("0.6"))
    reply = await world.handlers.handle(api.SubmitTicket(ticket=changed, preview_id=shown.preview_id))
    assert not reply.ok
    assert world.books.count.orders == 0


async def test_ticket_beyond_the_account_is_reduced_or_refused_by_the_same_guardrails(make_world: Make) -> None:
    world = await make_world()
    await world.bars(1, "50000")
    big = (await world.handlers.handle(api.PreviewTicket(ticket=ticket(qty=Decimal(50))))).data
    short = (await world.handlers.handle(api.PreviewTicket(ticket=ticket(side=api.Side.SELL)))).data
    large = (await world.handlers.handle(api.PreviewTicket(ticket=ticket(qty=Decimal(2))))).data
    assert big.refused
    assert short.refused
    assert Decimal("1.9") < large.qty < 2
    assert [check.code for check in large.checks if check.verdict is api.Verdict.REDUCE] == [api.CheckCode.BUYING_POWER]


async def test_ticket_while_halted_is_refused(make_world: Make) -> None:
    world = await make_world()
    await world.bars(1, "50000")
    await world.handlers.handle(api.Halt())
    shown = (await world.handlers.handle(api.PreviewTicket(ticket=ticket()))).data
    assert shown.refused
    assert shown.checks[-1].code is api.CheckCode.TRADING_STATE


async def test_agent_is_paused_resumed_and_stopped_by_name(make_world: Make) -> None:
    world = await make_world({0: BUY})
    await world.handlers.handle(api.AgentControl(agent="tester", action="pause"))
    await world.bars(2, "50000")
    assert world.script.asked == []
    await world.handlers.handle(api.AgentControl(agent="tester", action="resume"))
    await world.bars(2, "50000")
    assert world.position() == 1
    await world.handlers.handle(api.AgentControl(agent="tester", action="stop"))
    asked = len(world.script.asked)
    await world.bars(2, "50000")
    assert len(world.script.asked) == asked
    assert not (await world.handlers.handle(api.AgentControl(agent="nobody", action="stop"))).ok
