"""F8, F9 and F10 work everywhere, at once; nothing else can be made to mean them."""

from __future__ import annotations

import asyncio
from itertools import product
from pathlib import Path

import pytest
from textual import events
from textual.binding import Binding
from textual.widgets import Input

from console.app import QuarterdeckApp, known_bindings
from console.keymap import EMERGENCY, KeymapError, checked, read_keymap
from engine.api import CancelAll, Command, Flatten, Halt, Reply, TradingState
from screens.flatten import FlattenScreen
from screens.overview import OverviewScreen
from screens.widgets.guard import event_clock_s
from tests.ui.fakes import (
    CERTIFICATE,
    FakeClient,
    back,
    console,
    first_row,
    keys,
    line,
    position,
    screen_text,
    snapshot,
    started,
)

PLACES = {
    "overview": (),
    "filter": ("slash",),
    "approve": ("a",),
    "approve, typing the code": ("a", "tab", "tab"),
    "ticket": ("t", "down", "down"),
    "resume": ("r",),
    "help": ("question_mark",),
    "details": ("enter",),
    "certificate": ("c",),
    "palette": ("ctrl+p",),
    "flatten": ("f10",),
}


async def test_the_emergency_keys_work_in_every_place() -> None:
    reducing = snapshot(state=TradingState.REDUCING, certificate=CERTIFICATE)
    client = FakeClient(reducing, [line(1)])
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        for place, way in PLACES.items():
            await back(pilot, reducing)
            assert "REDUCING" in first_row(app), place
            await pilot.press("escape", *way)
            await pilot.pause(0.05)
            client.calls.clear()
            client.sent.clear()
            await pilot.press("f8")
            await pilot.pause()
            assert client.calls[:2] == ["halt_now", "Halt"], place
            await pilot.press("f9")
            await pilot.pause()
            assert CancelAll() in client.sent, place
            assert "HALTED" in first_row(app), place
            await pilot.press("f10")
            await pilot.pause()
            assert isinstance(app.screen, FlattenScreen), place
            assert Flatten() not in client.sent, place


async def test_the_halt_is_latched_before_anything_is_awaited() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test() as pilot:
        await started(pilot)
        app.action_halt()
        assert client.calls == ["halt_now"]


async def test_halted_is_on_the_screen_before_the_engine_has_its_turn_to_write_it() -> None:
    class Busy(FakeClient):
        async def send(self, command: Command) -> Reply:
            await turn.wait()
            return await super().send(command)

    turn, client = asyncio.Event(), Busy()
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await pilot.press("f8")
        assert "HALTED" in first_row(app)
        assert client.sent == []
        turn.set()
        await pilot.pause()
        assert client.sent == [Halt()]


async def test_a_halt_before_the_engine_is_up_comes_first() -> None:
    client = FakeClient()
    app, host = console(client, ready=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("f8")
        await pilot.pause()
        assert "HALT COMES FIRST" in first_row(app)
        host.ready.set()
        await started(pilot)
        assert client.calls[0] == "halt_now"
        await pilot.pause()
        assert Halt() in client.sent


@pytest.mark.fault("U11")
async def test_a_held_f8_is_one_state_and_f10_one_card() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test() as pilot:
        await started(pilot)
        await pilot.press("f8", "f8", "f8", "f10", "f10", "f10")
        await pilot.pause()
        assert app.model.snapshot is not None
        assert app.model.snapshot.state is TradingState.HALTED
        assert len(app.screen_stack) == 2


async def test_flatten_takes_the_typed_word() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await pilot.press("f10")
        await pilot.pause()
        assert "2 positions to close; 1 working order to cancel" in screen_text(app)
        await keys(pilot, "enter")
        await keys(pilot, *"flat", "enter", after_s=20)
        assert client.sent == []
        await keys(pilot, *"flatten", "enter", after_s=30)
        await pilot.pause()
        assert client.sent == [Flatten()]
        assert isinstance(app.screen, OverviewScreen)


async def test_the_word_counts_when_a_slow_line_delivers_it_at_once() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        for gap_s in (0.0, 0.005, 0.015):
            client.sent.clear()
            await back(pilot)
            await pilot.press("f10")
            await pilot.pause()
            await keys(pilot, *"FLATTEN", "enter", gap_s=gap_s)
            assert client.sent == [Flatten()], gap_s


@pytest.mark.fault("U03")
async def test_a_pasted_word_flattens_nothing_and_the_card_says_so() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await pilot.press("f10")
        await pilot.pause()
        pasted = events.Paste("FLATTEN")
        pasted.time = event_clock_s() + 10
        word = app.screen.query_one("#word", Input)
        word.post_message(pasted)
        await keys(pilot, *"FLATTEN", "enter", after_s=10.02, gap_s=0.005)
        assert client.sent == []
        assert word.value == ""
        assert "what was pasted" in screen_text(app)


@pytest.mark.fault("U02")
async def test_keys_in_flight_as_the_flatten_card_opens_flatten_nothing_and_it_says_so() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await pilot.press("f10")
        await pilot.pause()
        await keys(pilot, *"FLATTEN", "enter", after_s=0.0, gap_s=0.001)
        assert client.sent == []
        assert "as the card opened" in screen_text(app)


async def test_the_flatten_field_and_the_emergency_keys_are_seen_in_every_window() -> None:
    app, _host = console(FakeClient())
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        for size, positions in product([(40, 10), (40, 12), (80, 24), (60, 15)], [0, 2, 40]):
            held = tuple(position(agent=f"agent {n}") for n in range(positions))
            await back(pilot, snapshot(positions=held), size)
            app.model.note("Canceled 3 of 3 working orders. Protective stops and targets stay.")
            await pilot.press("f10")
            await pilot.pause()
            text = screen_text(app)
            assert "Type FLATTEN" in text, (size, positions)
            assert "and press enter" in text, (size, positions)
            assert "F8 HALT" in text.splitlines()[-1], (size, positions)
            assert "F10 FLATTEN" in text.splitlines()[-1], (size, positions)
            assert "Canceled 3" not in text, (size, positions)
            if positions == 40:
                assert "below" in text, size
                await pilot.press("down", "down")
                assert "2 above" in screen_text(app), size


async def test_a_window_too_small_for_the_card_is_told_the_command() -> None:
    app, _host = console(FakeClient())
    async with app.run_test(size=(20, 20)) as pilot:
        await started(pilot)
        await pilot.press("f10")
        await pilot.pause(0.05)
        text = screen_text(app)
        assert isinstance(app.screen, OverviewScreen)
        assert "quarterdeck flatten" in " ".join(text.split())
        assert text.splitlines()[-1].split() == ["F8", "HALT", "F9", "F10", "FLAT"]
        assert text.startswith("PAPER│ACTIVE")


# -- the trader's own keymap ---------------------------------------------------------------


def test_the_emergency_bindings_are_the_apps_own_with_priority_and_not_printable() -> None:
    mine = {each.id: each for each in QuarterdeckApp.BINDINGS if isinstance(each, Binding)}
    for name, key in EMERGENCY.items():
        assert mine[name].key == key
        assert mine[name].priority


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"ticket": "f8"}, "f8 is halt already"),
        ({"approve": "x,f10"}, "f10 is flatten already"),
        ({"halt": "f12"}, "halt must keep F8"),
        ({"halt": "f9,f8"}, "f9 is cancel_all already"),
        ({"halt": "f8,h"}, "only have function keys"),
        ({"tickets": "n"}, "is no binding"),
        ({"ticket": 3}, "must be keys as text"),
        ({"ticket": ""}, "must be keys as text"),
        ({"ticket": "a"}, "already; give"),
        ({"ticket": "tab"}, "tab is the next pane already"),
        ({"ticket": "ctrl+p"}, "ctrl[+]p is the command palette already"),
        ({"ticket": "ctrl-n"}, 'ticket has "ctrl-n", which is no key'),
        ({"ticket": "f99"}, "is no key"),
        ({"ticket": "bananas"}, "is no key"),
    ],
)
def test_a_keymap_that_would_cost_an_emergency_key_is_refused(document: dict[str, object], sentence: str) -> None:
    with pytest.raises(KeymapError, match=sentence):
        checked(document, known_bindings(), "keymap.toml")


def test_a_keymap_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "keymap.toml"
    assert read_keymap(path, known_bindings()) == {}
    path.write_text('ticket = "n"\nhalt = "f8, f12"\n')
    assert read_keymap(path, known_bindings()) == {"ticket": "n", "halt": "f8,f12"}
    path.write_text("ticket = \n")
    with pytest.raises(KeymapError, match="not TOML"):
        read_keymap(path, known_bindings())


async def test_the_console_shows_the_keys_that_the_trader_chose() -> None:
    mine = checked({"ticket": "n", "filter": "ctrl+f", "leave": "Q"}, known_bindings(), "keymap.toml")
    app, _host = console(FakeClient(), keymap=mine)
    async with app.run_test(size=(140, 50)) as pilot:
        await started(pilot)
        for told in ("n ticket", "ctrl+f filter", "Q quit", "a approve"):
            assert told in screen_text(app).splitlines()[-1]
        await pilot.press("t")
        assert isinstance(app.screen, OverviewScreen)
        await pilot.press("question_mark")
        await pilot.pause()
        lines = [line.split() for line in screen_text(app).splitlines()]
        assert any([w for w in line if w.isalnum()][:4] == ["n", "Write", "a", "trade"] for line in lines), lines


async def test_an_added_key_halts_too() -> None:
    client = FakeClient()
    app, _host = console(client, keymap=checked({"halt": "f8,f12", "ticket": "n"}, known_bindings(), "keymap.toml"))
    async with app.run_test() as pilot:
        await started(pilot)
        await pilot.press("n", "f12")
        await pilot.pause()
        assert client.calls[0] == "halt_now"
        assert type(app.screen).__name__ == "TicketScreen"
