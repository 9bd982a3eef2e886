"""Approving takes the card's code, typed by a person who has seen the card; everything else decides nothing (R26)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from textual import events
from textual.widgets import Input

from engine.api import Approve, CheckCode, Reject, Reply, RiskCheck, Verdict
from screens.approve import ApproveScreen
from screens.flatten import FlattenScreen
from screens.format import clock
from screens.model import ConsoleModel
from screens.overview import OverviewScreen
from screens.widgets.guard import TypingGuard, event_clock_s
from tests.ui.fakes import (
    EFFECT,
    NOW_MS,
    FakeClient,
    approval,
    back,
    console,
    keys,
    screen_text,
    snapshot,
    started,
    until,
)  # fmt: skip

SIZE = (80, 24)


async def opened(pilot: Any, *, at_code: bool = True) -> ApproveScreen:
    await started(pilot)
    await pilot.press("a")
    await pilot.pause()
    screen = pilot.app.screen
    assert isinstance(screen, ApproveScreen)
    if at_code:
        screen.query_one("#code").focus()
        await pilot.pause()
    return screen


async def test_nothing_opens_by_itself() -> None:
    app, _host = console(FakeClient())
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        assert len(app.screen_stack) == 1


async def test_the_oldest_is_opened_and_reject_has_the_focus() -> None:
    client = FakeClient(snapshot(approvals=(approval(approval_id="young", expires_in_ms=290_000), approval())))
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, at_code=False)
        assert screen.card.approval_id == "ap-1"
        assert screen.focused is not None
        assert screen.focused.id == "reject"
        text = screen_text(app)
        for told in (
            "BUY 2 ETH/USDT",
            "0 -> 2",
            "6,660.20",
            "3,263.50",
            "4m12s",
            "RISK_PER_TRADE",
            "higher low",
            "QDXF",
        ):
            assert told in text


MANY = tuple(RiskCheck(code, Verdict.PASS, "seen", "limit") for code in list(CheckCode)[:25])


async def test_the_card_shows_policy_quote_and_the_portfolio_after_the_trade() -> None:
    app, _host = console(FakeClient())
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, at_code=False)
        text = " ".join(screen_text(app).split())
    for told in (
        "Price, 48s old", "Policy 3f2a1b9c", "Lost at the stop 133.20 (0.13%)", "Gross exposure 12.8% -> 19.5%",
        "87,000 -> 80,333", "Free cash after 80,333.14", "1 passed, 1 reduced",
    ):  # fmt: skip
        assert told in text


@pytest.mark.fault("U08")
async def test_the_card_says_when_its_checks_were_made_and_values_the_order_as_its_cash() -> None:
    now = replace(EFFECT, value=Decimal("6666.86"), cash_after=Decimal("80326.48"))
    shown = approval(asked_ms=NOW_MS - 3_120_000, quote_age_ms=3_120_000, effect=now)
    app, _host = console(FakeClient(snapshot(approvals=(shown,))))
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, at_code=False)
        text = " ".join(screen_text(app).split())
    for told in (
        f"Checked at {clock(shown.asked_ms)}, anew on approval", "Price, 52m old", "Order value 6,666.86", "-> 80,326",
    ):  # fmt: skip
        assert told in text, told


async def test_the_card_says_when_the_price_has_moved_too_far_to_be_approved() -> None:
    client = FakeClient(snapshot(approvals=(approval(price_now=Decimal("3370.1")),)))
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, at_code=False)
        assert "Now, TOO FAR 3,370.10 (+1.20%)" in " ".join(screen_text(app).split())


async def test_every_check_can_be_reached_without_leaving_the_answer() -> None:
    bitten = RiskCheck(CheckCode.BUYING_POWER, Verdict.REDUCE, "2.1", "2")
    client = FakeClient(snapshot(approvals=(approval(checks=(*MANY, bitten)),)))
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot)
        assert screen_text(app).index("BUYING_POWER") < screen_text(app).index(MANY[0].code.value)
        seen = set[str]()
        for _ in range(12):
            seen |= {check.code.value for check in MANY if check.code.value in screen_text(app)}
            await pilot.press("pagedown")
            await pilot.pause()
        assert seen == {check.code.value for check in MANY}
        assert screen.focused is not None
        assert screen.focused.id == "code"
    assert client.sent == []


async def test_what_is_answered_and_where_is_on_the_card_in_every_window() -> None:
    app, _host = console(FakeClient(snapshot(approvals=(approval(checks=MANY),))))
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        for size in ((80, 24), (120, 40), (200, 60), (60, 14), (42, 11)):
            await back(pilot, size=size)
            await opened(pilot, at_code=False)
            text = screen_text(app)
            for told in ("BUY 2 ETH/USDT", "0 -> 2", "4m12s", "Reject", "QDXF"):
                assert told in text, size


async def test_the_bell_rings_once_for_trades_that_begin_to_wait_together() -> None:
    client, rung = FakeClient(snapshot(approvals=())), list[bool]()
    model = ConsoleModel(lambda: at_ms)
    at_ms = 100_000.0
    model.attach(client)
    for waiting, later_ms in (((), 0), (("a", "b"), 250), (("a", "b", "c"), 250), (("c", "d"), 20_000), (("c",), 250)):
        at_ms += later_ms
        client.now = snapshot(approvals=tuple(approval(approval_id=each) for each in waiting))
        await model.pull()
        rung.append(model.rings())
    assert rung == [False, True, False, True, False]


async def test_the_bell_can_be_turned_off_and_no_card_opens_by_it() -> None:
    client = FakeClient(snapshot(approvals=()))
    app, _host = console(client)
    rung: list[int] = []
    app.bell = lambda: rung.append(1)  # type: ignore[method-assign]
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        client.now = snapshot()
        await app._pull()
        assert (rung, len(app.screen_stack)) == ([1], 1)
        app.action_toggle_bell()
        client.now = snapshot(approvals=(approval(approval_id="another"),))
        app.model._rang_ms = -1e9
        await app._pull()
        assert rung == [1]
        assert "The bell is off." in screen_text(app)


async def test_the_typed_code_approves_this_trade() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await keys(pilot, *"qdxf", "enter")
        await pilot.pause()
    assert client.sent == [Approve(approval_id="ap-1", code="QDXF")]


async def test_a_wrong_code_asks_again() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await keys(pilot, *"qdxx", "enter")
        assert client.sent == []
        assert "That is not this trade's code" in screen_text(app)
        await keys(pilot, "q", after_s=20)
        assert "That is not this trade's code" not in screen_text(app)


@pytest.mark.fault("U02", "U04")
async def test_a_raw_paste_or_a_held_key_approves_nothing() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        for typed, gap_s in (
            (("Q", "D", "X", "F", "enter"), 0.0),
            (("Q", "D", "X", "F", "enter"), 0.005),
            (("y", "enter", "Q", "D", "X", "F", "enter"), 0.012),
            (("Q", *["Q"] * 50, "enter"), 0.033),
            (("enter",) * 50, 0.033),
        ):
            await back(pilot)
            await opened(pilot)
            await keys(pilot, *typed, gap_s=gap_s)
            assert client.sent == [], (typed, gap_s)


@pytest.mark.fault("U03")
async def test_a_paste_and_what_breaks_out_of_it_approve_nothing() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot)
        pasted = events.Paste("QDXF")
        pasted.time = event_clock_s() + 10
        assert screen.focused is not None
        screen.focused.post_message(pasted)
        await keys(pilot, *"QDXF", "enter", after_s=10.02, gap_s=0.09)
        assert client.sent == []
        assert "do not count" in screen_text(app)


@pytest.mark.fault("U02")
async def test_keys_in_flight_when_the_card_opens_answer_nothing() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        for focus in ("code", "reject"):
            await back(pilot)
            screen = await opened(pilot)
            screen.query_one(f"#{focus}").focus()
            await pilot.pause()
            screen.guard.open(event_clock_s())
            await keys(pilot, "y", "enter", after_s=0.0)
            assert client.sent == [], focus


async def test_reject_sends_the_reason() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, at_code=False)
        screen.query_one("#note", Input).value = "too late in the day"
        await keys(pilot, "enter")
        assert "Enter again rejects it with this reason" in " ".join(screen_text(app).split())
        assert client.sent == []
        await pilot.pause(0.25)  # the button shows its first press for so long
        await keys(pilot, "enter", after_s=20)
        await until(pilot, lambda: bool(client.sent))
    assert client.sent == [Reject(approval_id="ap-1", note="too late in the day")]


@pytest.mark.fault("U02")
async def test_one_enter_or_two_in_a_breath_reject_nothing() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot, at_code=False)
        await pilot.pause(0.6)
        await keys(pilot, "enter", "enter", after_s=0.0, gap_s=0.2)
        assert client.sent == []


async def test_the_code_typed_on_reject_is_seen_and_approves() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, at_code=False)
        await keys(pilot, "q")
        assert screen.query_one("#code", Input).value == "q"
        await keys(pilot, *"dxf", "enter", after_s=20)
        await pilot.pause()
    assert client.sent == [Approve(approval_id="ap-1", code="QDXF")]


@pytest.mark.fault("U02", "U04")
async def test_a_burst_typed_on_reject_approves_and_rejects_nothing() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        for gap_s in (0.0, 0.005):
            await back(pilot)
            await opened(pilot, at_code=False)
            await keys(pilot, *"QDXF", "enter", "enter", gap_s=gap_s)
            assert client.sent == [], gap_s


async def test_letters_in_flight_as_the_card_opens_begin_no_code() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        screen = await opened(pilot, at_code=False)
        screen.guard.open(event_clock_s())  # it has just opened, however slow the machine is
        await keys(pilot, "q", after_s=0.0)
        assert screen.query_one("#code", Input).value == ""
        assert "do not count" in screen_text(app)


@pytest.mark.fault("U05")
async def test_escape_decides_nothing() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await pilot.press("escape")
        await pilot.pause()
        assert len(app.screen_stack) == 1
    assert client.sent == []


GONE = {
    "expired": ((approval(expires_in_ms=0),), "EXPIRED"),
    "answered elsewhere": ((), "waits no longer"),
    "changed": ((approval(qty=Decimal(3)),), "was changed"),
}


@pytest.mark.fault("U06", "U07", "U09")
async def test_what_is_no_longer_the_trade_on_the_card_cannot_be_approved() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        for case, (waiting, said) in GONE.items():
            await back(pilot, snapshot())
            screen = await opened(pilot)
            client.now = replace(client.now, approvals=waiting)
            await app._pull()
            await pilot.pause()
            assert said in screen_text(app), case
            assert screen.query_one("#code", Input).disabled, case
            screen._approve()
            await pilot.pause()
            assert client.sent == [], case


@pytest.mark.fault("U08")
async def test_the_engines_refusal_stays_on_the_card() -> None:
    client = FakeClient()
    refusal = "The price moved from 3330.1 to 3401.7, more than 1%; nothing was sent."
    client.replies[Approve] = Reply(ok=False, text=refusal)
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await keys(pilot, *"QDXF", "enter")
        await pilot.pause()
        assert refusal in screen_text(app)


async def test_an_answer_that_came_too_late_leaves_the_engines_own_reason_on_the_card() -> None:
    client = FakeClient()
    refusal = "Approved too late: paper:ETH/USDT moved 2.1% from 3330.1 to 3401.7, more than the 1% allowed."
    client.replies[Approve] = Reply(ok=False, text=refusal)
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        client.gate = asyncio.Event()
        await keys(pilot, *"QDXF", "enter")
        await until(pilot, lambda: bool(client.sent))
        client.now = replace(client.now, approvals=())  # answering took it out of the queue
        await app._pull()
        client.gate.set()
        await until(pilot, lambda: refusal in " ".join(screen_text(app).replace("│", " ").split()))
        text = " ".join(screen_text(app).replace("│", " ").split())
        assert refusal in text
        assert "answered elsewhere" not in text
        assert "expires in" not in text


@pytest.mark.fault("U12")
async def test_on_old_numbers_nothing_is_approved() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        client.now = replace(client.now, built_mono_ms=client.now.built_mono_ms - 60_000)
        await app._pull()
        await keys(pilot, *"QDXF", "enter")
        assert client.sent == []
        assert "silent" in screen_text(app)


async def test_an_answer_that_comes_under_another_card_closes_only_its_own() -> None:
    client = FakeClient()
    client.gate = asyncio.Event()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await opened(pilot)
        await keys(pilot, *"QDXF", "enter")
        await pilot.press("f10")
        await pilot.pause()
        client.gate.set()
        await pilot.pause(0.05)
        assert isinstance(app.screen, FlattenScreen)
        await pilot.press("escape")
        await pilot.pause(0.05)
        assert isinstance(app.screen, OverviewScreen)


# -- the guard itself ----------------------------------------------------------------------


def typed(*keyed: tuple[str, float]) -> list[bool]:
    guard = TypingGuard()
    guard.open(0.0)
    return [guard.accepts(key, at) for key, at in keyed]


@pytest.mark.parametrize(
    ("keyed", "expected"),
    [
        ([("a", 0.1)], [False]),
        ([("a", 1.0), ("b", 1.08), ("b", 1.2)], [True, True, True]),
        ([("a", 1.0), ("b", 1.001), ("c", 1.2)], [True, False, False]),
        ([("a", 1.0), ("b", 1.001), ("c", 1.6)], [True, False, True]),
        ([("a", 1.0), ("a", 1.033), ("a", 1.066), ("a", 1.7)], [True, False, False, True]),
        ([(key, 1.0 + n * 0.015) for n, key in enumerate("abcdef")], [True] * 5 + [False]),
    ],
    ids=["too early", "typing", "a burst locks", "quiet unlocks", "a held key", "six keys in 100 ms"],
)
def test_the_guard_tells_typing_from_the_rest(keyed: list[tuple[str, float]], expected: list[bool]) -> None:
    assert typed(*keyed) == expected
