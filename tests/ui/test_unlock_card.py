"""Locked keys: said on the first line, and unlocked on a card that shows nothing of what is typed."""

from __future__ import annotations

from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot

from console.app import QuarterdeckApp
from engine.api import KeysView, Reply, UnlockKeys
from screens.unlock import UnlockScreen
from tests.ui.fakes import FakeClient, console, first_row, keys, screen_text, snapshot, started

SIZES = [(80, 24), (120, 40)]
WORDS = "correct horse battery"
PROBLEM = "keys.sealed has mode 0644, so others may have read it: chmod 600 keys.sealed."


def locked(**changes: Any) -> FakeClient:
    return FakeClient(snapshot(keys=KeysView(names=("anthropic", "openai"), **changes)))


async def opened(pilot: Pilot[Any], app: QuarterdeckApp) -> UnlockScreen:
    await started(pilot)
    await pilot.press("u")
    await pilot.pause()
    assert isinstance(app.screen, UnlockScreen)
    return app.screen


@pytest.mark.parametrize("size", SIZES)
async def test_locked_keys_are_said_where_ai_is_and_on_the_first_line(size: tuple[int, int]) -> None:
    app, _host = console(locked())
    async with app.run_test(size=size) as pilot:
        await started(pilot)
        assert "KEYS" in first_row(app)
        assert "AI WAITS  for locked keys (anthropic, openai): u unlocks them" in screen_text(app)
        await opened(pilot, app)
        for told in ("anthropic, openai", "nothing stands in", "Passphrase", "until this engine ends"):
            assert told in screen_text(app)
        assert app.focused is app.screen.query_one("#passphrase")


async def test_a_passphrase_may_be_pasted_is_never_shown_and_unlocks() -> None:
    client = locked()
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        screen.query_one("#passphrase").post_message(events.Paste(WORDS))
        await pilot.pause()
        assert WORDS not in screen_text(app)
        assert "•" in screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert client.sent == [UnlockKeys(passphrase=WORDS)]
        assert WORDS not in repr(client.sent)
        assert not isinstance(app.screen, UnlockScreen)


async def test_a_wrong_passphrase_is_said_on_the_card_and_the_field_is_empty_again() -> None:
    client = locked(wait_ms=29_000, problem=PROBLEM)
    client.replies[UnlockKeys] = Reply(ok=False, text="That passphrase does not open the key file.")
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot, app)
        assert "looked at in" in screen_text(app)
        assert "has mode 0644" in screen_text(app)
        await pilot.press("enter")
        assert client.sent == []
        await keys(pilot, *"wrong", "enter")
        await pilot.pause()
        assert "does not open the key file" in screen_text(app)
        assert screen.query_one("#passphrase").value == ""  # type: ignore[attr-defined]
        assert app.screen is screen


async def test_without_locked_keys_u_says_so_and_opens_nothing() -> None:
    app, _host = console(FakeClient())
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await pilot.press("u")
        await pilot.pause()
        assert "No key is locked." in screen_text(app)
        assert not isinstance(app.screen, UnlockScreen)


@pytest.mark.fault("W11")
async def test_a_crash_of_the_program_prints_no_variable() -> None:
    app, _host = console(locked())
    said: list[Any] = []
    app.panic = lambda *each: said.extend(each)  # type: ignore[method-assign]
    async with app.run_test(size=(80, 24)):
        try:
            passphrase = " ".join(("correct", "horse", "battery"))  # in no line of the source as a whole
            raise RuntimeError(f"{len(passphrase)} letters")
        except RuntimeError:
            app._fatal_error()
        with app.console.capture() as captured:
            app.console.print(*said, style="")
        assert "RuntimeError" in captured.get()
        assert WORDS not in captured.get()
