"""What became of an order in doubt: the card says what a word means before it does anything."""

from __future__ import annotations

from engine.api import OrderStatus, Reply, Resolve
from screens.resolve import ResolveScreen
from tests.ui.fakes import FakeClient, console, keys, order, screen_text, snapshot, started

SIZE = (80, 24)
LOST = order(status=OrderStatus.UNKNOWN)
MEANS = Reply(ok=False, text="Nothing assumed yet. Assumed: it never reached the venue.")


async def test_word_is_explained_first_and_done_when_it_is_entered_again() -> None:
    client = FakeClient(snapshot(orders=(LOST,)))
    client.replies[Resolve] = MEANS
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        app.action_resolve(LOST)
        await pilot.pause()
        assert "UNKNOWN" in screen_text(app)
        assert "never assumed" in screen_text(app)
        await keys(pilot, "enter")
        assert client.sent == []
        await keys(pilot, *"n seen", "enter", after_s=20)
        await pilot.pause()
        assert client.sent == [Resolve(client_order_id=LOST.client_order_id, assume="not-sent")]
        assert "never reached the venue" in screen_text(app)
        client.replies[Resolve] = Reply(ok=True, text="Assumed.")
        await keys(pilot, "enter", after_s=40)
        await pilot.pause()
        assert client.sent[1:] == [Resolve(client_order_id=LOST.client_order_id, assume="not-sent", reason="seen")]
        assert not isinstance(app.screen, ResolveScreen)


async def test_another_word_is_explained_anew() -> None:
    client = FakeClient(snapshot(orders=(LOST,)))
    client.replies[Resolve] = MEANS
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        app.action_resolve(LOST)
        await pilot.pause()
        await keys(pilot, *"n seen", "enter", after_s=20)
        await pilot.pause()
        word = app.screen.query_one("#word")
        word.value = "c seen"  # type: ignore[attr-defined]
        await keys(pilot, "enter", after_s=40)
        await pilot.pause()
        assert [(each.assume, each.reason) for each in client.sent if isinstance(each, Resolve)] == [
            ("not-sent", ""),
            ("canceled", ""),
        ]


async def test_palette_names_orders_in_doubt_and_no_others() -> None:
    client = FakeClient(snapshot(orders=(LOST, order(client_order_id="f" * 32))))
    app, _host = console(client)
    async with app.run_test(size=(100, 50)) as pilot:
        await started(pilot)
        await pilot.press("ctrl+p")
        await pilot.pause(0.2)
        text = screen_text(app)
        assert "Resolve order 0123abcd" in text
        assert "Resolve order ffff" not in text
