"""A change of the policy: its card shows exactly what is approved, and only a typed passphrase and code answer it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot

from console.app import QuarterdeckApp
from engine.api import ApproveChange, PolicyChange, Query, RejectChange, Reply, Sense
from screens.policy import PolicyScreen
from screens.widgets.guard import event_clock_s
from tests.ui.fakes import FakeClient, back, change, console, first_row, keys, policy, screen_text, snapshot, started

SIZES = [(80, 24), (120, 40), (200, 60)]
WORDS = "correct horse"
NONE = {"count": 0, "outcome_known": 0, "won": 0, "value": "0"}
SEEN = {
    "decisions": 412, "would_pass": {"count": 3, "outcome_known": 2, "won": 1, "value": "-41.5"},
    "would_be_refused": NONE, "would_be_larger": NONE, "would_be_smaller": NONE,
    "unknown": ["A refusal ended the checks."],
}  # fmt: skip


def waiting(*changes: Any) -> FakeClient:
    client = FakeClient(snapshot(approvals=(), policy=policy(*(changes or (change(),)))))
    client.replies[Query] = Reply(ok=True, text="", data={"preview": SEEN})
    return client


async def opened(pilot: Pilot[Any], app: QuarterdeckApp) -> PolicyScreen:
    await started(pilot)
    await pilot.press("g")
    await pilot.pause()
    await pilot.pause()
    assert isinstance(app.screen, PolicyScreen)
    return app.screen


def answers(client: FakeClient) -> list[Any]:
    return [each for each in client.sent if not isinstance(each, Query)]


TOLD = (
    "cr-1 by trader (file), on version 3", "LOOSENS", "limits.open_positions: 5 -> 8", "TIGHTENS",
    "limits.price_age: 90s -> 30s", "More room", "3 refusals would have passed", "1 of 2 known won",
    "A refusal ended the checks.", "Reject", "type QDXF", "Passphrase",
)  # fmt: skip


async def test_waiting_change_is_a_badge_on_two_panes_and_its_card_shows_all_of_it_at_every_size() -> None:
    app, _host = console(waiting())
    async with app.run_test(size=SIZES[0]) as pilot:
        await started(pilot)
        for size in SIZES:
            await back(pilot, size=size)
            assert "POL" in first_row(app), size
            assert "1 policy: g" in screen_text(app), size
            await opened(pilot, app)
            text = screen_text(app)
            for told in TOLD:
                assert told in text, size
            assert app.focused is app.screen.query_one("#passphrase"), size


async def test_passphrase_and_code_approve_exactly_this_change_and_the_passphrase_is_never_shown() -> None:
    client = waiting()
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        screen.query_one("#passphrase").focus()
        await keys(pilot, *WORDS)
        assert WORDS not in screen_text(app)
        assert "•" in screen_text(app)
        screen.query_one("#code").focus()
        await keys(pilot, *"qdxf", "enter", after_s=20)
        await pilot.pause()
        assert answers(client) == [ApproveChange(request_id="cr-1", code="QDXF", passphrase=WORDS)]
        assert not isinstance(app.screen, PolicyScreen)


async def test_code_without_a_passphrase_and_a_wrong_code_send_nothing() -> None:
    client = waiting()
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        screen.query_one("#code").focus()
        await keys(pilot, *"qdxf", "enter")
        assert "passphrase first" in screen_text(app)
        screen.query_one("#code").focus()
        await keys(pilot, *"qdxg", "enter", after_s=20)
        assert answers(client) == []


async def test_reject_needs_the_passphrase_and_enter_twice() -> None:
    client = waiting()
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        screen.query_one("#reject").focus()
        await keys(pilot, "enter")
        assert "passphrase first; tab leads back to Reject" in screen_text(app)
        assert app.focused is screen.query_one("#passphrase")
        await keys(pilot, *WORDS, after_s=20)
        await pilot.press("tab")
        assert app.focused is screen.query_one("#reject")
        screen.query_one("#note").focus()
        await keys(pilot, *"no", "enter", after_s=30)
        assert answers(client) == []
        assert "Enter again rejects it" in screen_text(app)
        await keys(pilot, "enter", after_s=40)
        await pilot.pause()
        assert answers(client) == [RejectChange(request_id="cr-1", passphrase=WORDS, note="no")]


async def test_passphrase_typed_as_the_card_stands_is_hidden_and_enter_leads_to_the_code() -> None:
    client = waiting()
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        await keys(pilot, *WORDS, "enter")
        assert WORDS not in screen_text(app)
        assert "Type QDXF, then enter, to approve; shift+tab" in screen_text(app)
        assert app.focused is screen.query_one("#code")
        assert answers(client) == []
        await keys(pilot, *"qdxf", "enter", after_s=30)
        await pilot.pause()
        assert answers(client) == [ApproveChange(request_id="cr-1", code="QDXF", passphrase=WORDS)]


async def test_letters_typed_on_reject_are_the_passphrase_first_and_then_the_code() -> None:
    client = waiting()
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        screen.query_one("#reject").focus()
        await keys(pilot, WORDS[0])
        await keys(pilot, *WORDS[1:], after_s=15)
        assert screen.query_one("#passphrase").value == WORDS  # type: ignore[attr-defined]
        screen.query_one("#reject").focus()
        await keys(pilot, "q", after_s=30)
        await keys(pilot, *"dx", after_s=35)
        assert screen.query_one("#code").value == "qdx"  # type: ignore[attr-defined]
        assert answers(client) == []


async def test_passphrase_begun_too_early_is_not_taken_in_part() -> None:
    app, _host = console(waiting())
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        screen.guard.open(event_clock_s() + 9.9)
        await keys(pilot, *WORDS)
        assert screen.query_one("#passphrase").value == ""  # type: ignore[attr-defined]
        assert "wait a moment" in screen_text(app)


@pytest.mark.fault("U02", "U03", "U04")
async def test_pasted_and_held_keys_are_no_passphrase_and_no_code() -> None:
    client = waiting()
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        for name in ("#passphrase", "#code"):
            screen.query_one(name).focus()
            pasted = events.Paste("QDXF")
            pasted.time = event_clock_s() + 10
            assert screen.focused is not None
            screen.focused.post_message(pasted)
            await keys(pilot, *"qdxf", "enter", gap_s=0.005, after_s=20)
            await keys(pilot, *["q"] * 8, "enter", gap_s=0.03, after_s=30)
            assert screen.query_one(name).value == ""  # type: ignore[attr-defined]
        assert answers(client) == []


@pytest.mark.fault("U06", "U09")
async def test_change_that_moved_on_cannot_be_approved_from_its_old_card() -> None:
    client = waiting()
    before = client.now
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        for now, said in (
            (policy(), "waits no longer"),
            (policy(change(stale=True)), "stale"),
            (policy(change(code="ABCD")), "another by now"),
            (policy(change(due_in_ms=60_000)), "approved already"),
        ):
            await back(pilot, before)
            screen = await opened(pilot, app)
            client.now = replace(client.now, policy=now)
            await app._pull()
            await pilot.pause()
            assert said in screen_text(app)
            assert screen.query_one("#code").disabled, said
            assert answers(client) == [], said


async def test_diff_that_does_not_fit_cannot_be_approved_here() -> None:
    many = tuple(PolicyChange(f"limits.field_{n}", "1", "2", Sense.LOOSENS) for n in range(40))
    app, _host = console(waiting(change(changes=many)))
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        assert screen.query_one("#code").disabled
        assert "do not fit" in screen_text(app)


async def test_refusal_of_the_engine_is_read_and_the_card_stays() -> None:
    client = waiting()
    client.replies[ApproveChange] = Reply(ok=False, text="That is not the admin's passphrase: 4 more tries.")
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        screen.query_one("#passphrase").focus()
        await keys(pilot, *"wrong one")
        screen.query_one("#code").focus()
        await keys(pilot, *"qdxf", "enter", after_s=20)
        await pilot.pause()
        assert "4 more tries" in screen_text(app)
        assert screen.query_one("#passphrase").value == ""  # type: ignore[attr-defined]


async def test_without_a_change_the_key_says_which_version_is_in_force() -> None:
    app, _host = console(FakeClient(snapshot(policy=policy())))
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await pilot.press("g")
        await pilot.pause()
        assert "version 3 is in force" in screen_text(app)


async def test_change_that_waits_is_in_the_palette_by_its_name() -> None:
    app, _host = console(waiting())
    async with app.run_test(size=(100, 50)) as pilot:
        await started(pilot)
        await pilot.press("ctrl+p")
        await pilot.pause(0.2)
        assert "Policy change cr-1 of trader" in screen_text(app)
