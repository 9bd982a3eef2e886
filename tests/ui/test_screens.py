"""What the overview and the cards show, and what they send."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from textual.widgets import Button, Input

from engine.api import (
    AgentControl,
    AgentStatus,
    CheckCode,
    EventBatch,
    OrderType,
    PreviewTicket,
    Query,
    Reply,
    Resume,
    RiskCheck,
    Side,
    SubmitTicket,
    Ticket,
    TradingState,
    Verdict,
)
from screens.checks import ChecksPane
from screens.rows import plain_text
from screens.ticket import TicketScreen
from screens.widgets.lines import Lines
from screens.widgets.stream import StreamPane
from tests.ui.fakes import (
    BTC,
    CERTIFICATE,
    EFFECT,
    ETH,
    FakeClient,
    agent,
    back,
    console,
    keys,
    line,
    preview,
    screen_text,
    snapshot,
    started,
    until,
)

SIZE = (80, 24)


async def test_the_overview_shows_every_pane() -> None:
    lines = [line(1), line(2, outcome="REFUSED", why="CONFIDENCE refused: 0.41")]
    app, _host = console(FakeClient(snapshot(unprotected=("trend -1.5 ETH: no stop",)), lines=lines))
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        for size in ((80, 24), (120, 40), (200, 60)):
            await back(pilot, size=size)
            text = screen_text(app)
            for title in (
                "Profit and loss",
                "Kill switch",
                "Positions · 2 · 1 UNPROTECTED",
                "Agents",
                "Orders",
                "AI today",
                "Decisions",
            ):
                assert title in text, size
            for told in (
                "100,012.34",
                "2.4% of 3%",
                "80% near",
                "64,120.55",
                "NO STOP",
                "BUY 0.2 (0 -> 0.2)",
                "0.72",
                "REFUSED",
            ):
                assert told in text, size
            assert "F8 HALT" in text, size
            assert "F10 FLATTEN" in text, size


async def test_before_the_engine_is_up_the_panes_say_starting() -> None:
    app, _host = console(FakeClient(), ready=False)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.pause(0.1)
        text = screen_text(app)
        assert text.lstrip().startswith("ENGINE STARTING")
        assert text.count("starting…") >= 6


async def test_a_failed_engine_says_its_whole_sentence_and_q_still_leaves() -> None:
    sentence = (
        "The store /srv/quarterdeck is owned by another engine (pid 4711); stop that one, or attach to it instead."
    )
    app, _host = console(FakeClient(), error=sentence)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.model.error is not None)
        await pilot.pause()
        text = screen_text(app)
        assert text.lstrip().startswith("ENGINE FAILED")
        assert sentence in " ".join(text.split())
        await pilot.press("q")
    assert app.return_code == 0


async def test_an_engine_that_dies_later_is_said_and_its_numbers_grey_out() -> None:
    client = FakeClient(lines=[line(1)])
    app, host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        host.error = "The store's disk is full; free some space and start again."
        host.request_stop()
        await until(pilot, lambda: app.model.error is not None)
        await pilot.pause()
        text = screen_text(app)
        assert "FAILED" in text.split("\n", 1)[0]
        assert "disk is full" in text
        assert "BUY 0.2 (0 -> 0.2)" in text


async def test_lost_lines_are_marked_and_a_new_snapshot_is_taken() -> None:
    client = FakeClient(lines=[line(1), line(2)])
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        taken = client.snapshots
        client.batches.append(EventBatch(lines=(line(50),), upto_seq=50, gap=True))
        await app._pull()
        await pilot.pause()
        assert client.snapshots >= taken + 2
        assert "… lines lost" in screen_text(app)


@pytest.mark.fault("U16")
async def test_a_flood_of_lines_is_bounded() -> None:
    app, _host = console(FakeClient(lines=[line(seq) for seq in range(1, 5_001)]))
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        assert len(app.model.lines) == 2_000
        assert app.screen.query_one(StreamPane).chosen().seq == 5_000


async def test_the_stream_follows_until_the_trader_moves_up() -> None:
    client = FakeClient(lines=[line(seq) for seq in range(1, 101)])
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        stream = app.screen.query_one(StreamPane)
        await pilot.press("up", "up")
        assert stream.chosen().seq == 98
        client.batches.append(EventBatch(lines=(line(101), line(102)), upto_seq=102, gap=False))
        await app._pull()
        assert stream.chosen().seq == 98
        await pilot.press("end")
        assert stream.chosen().seq == 102


async def test_the_filter_shows_only_lines_that_contain_the_text() -> None:
    lines = [line(1, agent="alpha"), line(2, agent="beta"), line(3, agent="alpha")]
    app, _host = console(FakeClient(lines=lines))
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        stream = app.screen.query_one(StreamPane)
        await pilot.press("slash", *"BETA", "enter")
        assert [each.seq for each in stream.items] == [2]
        await pilot.press("escape")
        assert len(stream.items) == 3


async def test_acted_only_leaves_the_holds_out() -> None:
    lines = [line(1, outcome="HOLD"), line(2), line(3, kind="fill", outcome="FILLED"), line(4, outcome="NO_CHANGE")]
    app, _host = console(FakeClient(lines=lines))
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        await pilot.press("f")
        assert [each.seq for each in app.screen.query_one(StreamPane).items] == [2, 3]


async def test_enter_on_a_line_asks_for_everything_behind_it() -> None:
    client = FakeClient(lines=[line(1)])
    checks = [{"code": "CONFIDENCE", "verdict": "REFUSE", "observed": "0.41", "limit": "0.6"}]
    client.replies[Query] = Reply(ok=True, text="", data={"items": [{"instrument": BTC, "checks": checks}]})
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        await pilot.press("enter")
        await pilot.pause(0.05)
        assert client.sent == [Query(name="explain", args={"cycle": "dip-buyer.1"})]
        text = screen_text(app)
        assert "REFUSE" in text
        assert "0.41, limit 0.6" in text


async def test_pausing_acts_on_the_agent_under_the_cursor() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        await pilot.press("p")  # not yet: which agent?
        assert client.sent == []
        await pilot.press("down", "p", "s")
        await pilot.pause()
    assert client.sent == [AgentControl(agent="swing", action="resume"), AgentControl(agent="swing", action="stop")]


async def test_a_single_agent_needs_no_choosing() -> None:
    client = FakeClient(snapshot(agents=(agent(status=AgentStatus.STOPPED),)))
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        await pilot.press("p")
        await pilot.pause()
    assert client.sent == [AgentControl(agent="dip-buyer", action="start")]


async def test_resuming_needs_a_reason() -> None:
    client = FakeClient(snapshot(state=TradingState.HALTED))
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        await pilot.press("r")
        await pilot.pause()
        assert "It does not reopen positions" in screen_text(app)
        await keys(pilot, "enter")
        assert client.sent == []
        await keys(pilot, *"news", "enter", after_s=20)
        await pilot.pause()
    assert client.sent == [Resume(reason="news")]


async def test_the_certificate_is_on_the_overview_and_names_the_residual() -> None:
    app, _host = console(FakeClient(snapshot(certificate=CERTIFICATE)))
    async with app.run_test(size=(120, 40)) as pilot:
        await started(pilot)
        assert "NOT FLAT after 1.2 s: BTC/USDT 0.05" in screen_text(app)
        await pilot.press("c")
        await pilot.pause()
        assert "no liquidity" in screen_text(app)


# -- the ticket --------------------------------------------------------------------------


async def on_ticket(pilot: Any, **fields: str) -> TicketScreen:
    await started(pilot)
    await pilot.press("t")
    await pilot.pause()
    screen = pilot.app.screen
    assert isinstance(screen, TicketScreen)
    for name, value in fields.items():
        screen.query_one(f"#{name}", Input).value = value
    await pilot.pause()
    return screen


async def press_in(pilot: Any, name: str, key: str, after_s: float = 30.0) -> None:
    pilot.app.screen.query_one(f"#{name}").focus()
    await pilot.pause()
    await keys(pilot, key, after_s=after_s)
    await pilot.pause()


async def test_a_ticket_is_sent_only_as_it_was_previewed() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        screen = await on_ticket(pilot, qty="0.2", stop="2%")
        assert screen.query_one("#send", Button).disabled
        await press_in(pilot, "qty", "enter")
        ticket = Ticket(
            instrument=BTC, side=Side.BUY, order_type=OrderType.MARKET, qty=Decimal("0.2"), stop_frac=Decimal("0.02")
        )
        await until(pilot, lambda: not screen.query_one("#send").disabled)
        assert client.sent == [PreviewTicket(ticket=ticket)]
        assert "RISK_PER_TRADE" in screen_text(app)
        assert not screen.query_one("#send", Button).disabled
        await press_in(pilot, "send", "enter")
        assert client.sent[1:] == [SubmitTicket(ticket=ticket, preview_id="pv-1")]


async def test_digits_typed_as_the_ticket_opens_or_on_a_choice_are_the_quantity() -> None:
    app, _host = console(FakeClient())
    async with app.run_test(size=SIZE) as pilot:
        screen = await on_ticket(pilot)
        await pilot.press("0", ".", "2")
        assert screen.query_one("#qty", Input).value == "0.2"
        screen.query_one("#side").focus()
        await pilot.pause()
        await pilot.press("1")
        await pilot.press("5")
        assert screen.query_one("#qty", Input).value == "15"
        assert app.focused is screen.query_one("#qty")


async def test_an_edit_after_the_preview_needs_a_new_one() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        screen = await on_ticket(pilot, qty="0.2")
        await press_in(pilot, "qty", "enter")
        await until(pilot, lambda: not screen.query_one("#send").disabled)
        screen.query_one("#qty", Input).value = "2"
        await pilot.pause()
        assert screen.query_one("#send", Button).disabled
        screen._submit()
        assert [type(each) for each in client.sent] == [PreviewTicket]


@pytest.mark.fault("U04")
async def test_a_held_enter_does_not_send_the_ticket_it_previewed() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        screen = await on_ticket(pilot, qty="0.2")
        await press_in(pilot, "qty", "enter")
        await until(pilot, lambda: not screen.query_one("#send").disabled)
        screen.query_one("#send").focus()
        await pilot.pause()
        await keys(pilot, *["enter"] * 30, after_s=0.0, gap_s=0.033)
        assert [type(each) for each in client.sent] == [PreviewTicket]


async def test_a_refused_preview_cannot_be_sent() -> None:
    client = FakeClient()
    client.replies[PreviewTicket] = Reply(ok=True, text="", data=preview(refused=True, qty=Decimal(0)))
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        screen = await on_ticket(pilot, qty="0.2")
        await press_in(pilot, "qty", "enter")
        assert screen.query_one("#send", Button).disabled
        assert "REFUSED" in screen_text(app)


WRONG: list[tuple[dict[str, str], str]] = [
    ({}, "Quantity is empty"),
    ({"qty": "lots"}, "is not a number"),
    ({"qty": "NaN"}, "is not a number"),
    ({"qty": "-1"}, "must be above 0"),
    ({"qty": "1,5"}, "1,5 is not a number; write it like 0.25; a comma only parts thousands"),
    ({"qty": "1.000,5"}, "is not a number"),
    ({"qty": "10_0"}, "10_0 is not a number"),
    ({"qty": "1e3"}, "is not a number"),
    ({"qty": "12345678901234567890123456"}, "12345678901234567890123456 is too long"),
    ({"qty": "1", "stop": ""}, "Stop is empty; write a distance such as 2%, a price such as 98.50, or off."),
    ({"qty": "1", "stop": "0"}, "Stop must be above 0"),
    ({"qty": "1", "stop": "-2%"}, "Stop -2% is negative"),
    ({"qty": "1", "stop": "1,5%"}, "is no distance and no price"),
    ({"qty": "1", "target": "high"}, "Target high is no distance and no price; write 5%"),
    ({"qty": "1", "stop": "0%"}, "above 0"),
    ({"qty": "1", "stop": "99.1%"}, "above 99%"),
    ({"qty": "1", "target": "1001%"}, "above 1000%"),
    ({"qty": "500 US DT"}, "is not a number"),
    ({"qty": "101%"}, "more than all of the equity"),
    ({"qty": "-2%"}, "must be above 0"),
    ({"qty": "1", "limit": "64000"}, "MARKET order has no price of its own"),
]


async def test_wrong_input_is_one_sentence_and_nothing_is_lost() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await on_ticket(pilot)
        right = {name: screen.query_one(f"#{name}", Input).value for name in ("qty", "limit", "stop", "target")}
        for tries, (fields, said) in enumerate(WRONG, 1):
            for name, value in (right | fields).items():
                screen.query_one(f"#{name}", Input).value = value
            await press_in(pilot, "target", "enter", after_s=30.0 * tries)
            assert said in " ".join(" ".join(plain_text(row) for each in screen.query(".said").results(Lines)
                                             for row in each.rows).split()), fields  # fmt: skip
            assert client.sent == []
            for name, value in fields.items():
                assert screen.query_one(f"#{name}", Input).value == value


async def test_every_field_that_cannot_be_read_is_named_at_once() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=(120, 40)) as pilot:
        await on_ticket(pilot, qty="lots", stop="", target="-5%")
        await press_in(pilot, "target", "enter")
        assert "Cannot be read: Quantity, Stop, Target" in screen_text(app)
        assert client.sent == []


TYPED: list[tuple[dict[str, str], tuple[str, str, str | None, str | None]]] = [
    ({"qty": "1,000.5"}, ("1000.5", "", "0.02", None)),
    ({"qty": ".5", "stop": "off", "target": "off"}, ("0.5", "", None, None)),
    ({"qty": "1,234,567", "stop": "150bps", "target": "1000%"}, ("1234567", "", "0.015", "10")),
    ({"qty": "500 USDT"}, ("500", "USDT", "0.02", None)),
    ({"qty": "500USDT"}, ("500", "USDT", "0.02", None)),
    ({"qty": "0.25 btc"}, ("0.25", "BTC", "0.02", None)),
    ({"qty": "2%"}, ("0.02", "%", "0.02", None)),
    ({"qty": "1,500 usdt"}, ("1500", "USDT", "0.02", None)),
    ({"qty": "50bps"}, ("0.005", "%", "0.02", None)),
]


async def test_a_ticket_is_what_was_typed_its_quantity_in_whatever_unit() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await started(pilot)
        for fields, (qty, unit, stop, target) in TYPED:
            client.sent.clear()
            await back(pilot)
            await on_ticket(pilot, **fields)
            await press_in(pilot, "qty", "enter")
            (sent,) = client.sent
            assert isinstance(sent, PreviewTicket), fields
            asked, wanted = sent.ticket, (stop, target)
            assert (asked.qty, asked.unit or "") == (Decimal(qty), unit), fields
            assert (asked.stop_frac, asked.target_frac) == tuple(x and Decimal(x) for x in wanted), fields


async def test_a_stop_ticket_has_its_price_and_shows_the_portfolio_after_it() -> None:
    client = FakeClient()
    client.replies[PreviewTicket] = Reply(ok=True, text="", data=preview(asked_qty=Decimal("0.2"), effect=EFFECT))
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        screen = await on_ticket(pilot, qty="13,000 USDT")
        screen.query_one("#type").focus()
        await pilot.pause()
        await pilot.press("right", "right")
        screen.query_one("#limit", Input).value = "64120.55"
        await press_in(pilot, "qty", "enter")
        (sent,) = client.sent
        assert isinstance(sent, PreviewTicket)
        assert (sent.ticket.order_type, sent.ticket.trigger_price) == (OrderType.STOP, Decimal("64120.55"))
        assert sent.ticket.limit_price is None
        await until(pilot, lambda: "Waits for" in screen_text(app))
        text = " ".join(screen_text(app).split())
        for told in ("13,000 USDT is", "0.2 units", "87,000 -> 80,333", "133.20 (0.13%)"):
            assert told in text


async def test_a_ticket_without_a_stop_says_so_in_its_preview() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await on_ticket(pilot, qty="0.2", stop="OFF")
        await press_in(pilot, "qty", "enter")
        await until(pilot, lambda: "NO STOP will guard this" in screen_text(app))


async def test_a_limit_between_two_ticks_is_said_to_be_rounded() -> None:
    client = FakeClient()
    client.replies[PreviewTicket] = Reply(ok=True, text="", data=preview(price=Decimal("306.12")))
    app, _host = console(client)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await on_ticket(pilot, qty="0.2")
        screen.query_one("#type").focus()
        await pilot.pause()
        await pilot.press("right")
        screen.query_one("#limit", Input).value = "306.12345"
        await press_in(pilot, "qty", "enter")
        await until(pilot, lambda: "306.12345 is between two price ticks; 306.12" in screen_text(app))


async def test_stop_and_target_as_prices_are_shown_with_their_distance_and_the_money_at_risk() -> None:
    client = FakeClient()
    levels = preview(
        stop_price=Decimal("63120.55"), stop_frac=Decimal("0.015595624"),
        target_price=Decimal(66_000), target_frac=Decimal("0.02931089"), effect=EFFECT,
    )  # fmt: skip
    client.replies[PreviewTicket] = Reply(ok=True, text="", data=levels)
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        await on_ticket(pilot, qty="0.2", stop="63,120.55", target="66000")
        await press_in(pilot, "qty", "enter")
        (sent,) = client.sent
        assert isinstance(sent, PreviewTicket)
        assert (sent.ticket.stop_price, sent.ticket.target_price) == (Decimal("63120.55"), Decimal(66_000))
        assert (sent.ticket.stop_frac, sent.ticket.target_frac) == (None, None)
        await until(pilot, lambda: "Stop 1.56%" in screen_text(app))
        text = " ".join(screen_text(app).split())
        for told in ("63,120.55", "Target 2.93%", "66,000", "Lost at the stop", "133.20 (0.13%)"):
            assert told in text


async def test_the_check_that_refuses_is_shown_whole() -> None:
    client = FakeClient()
    check = RiskCheck(CheckCode.SIZE_CAP, Verdict.REFUSE, "asked 100000", "32.6 units at the largest notional of 10000")
    refused = preview(refused=True, qty=Decimal(0), checks=(check,))
    client.replies[PreviewTicket] = Reply(ok=True, text="", data=refused)
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        screen = await on_ticket(pilot, qty="100,000")
        await press_in(pilot, "qty", "enter")
        await until(pilot, lambda: "REFUSE" in screen_text(app))
        shown = " ".join(plain_text(row).strip() for row in screen.query_one(ChecksPane).rows)
        assert "asked 100000, limit 32.6 units at the largest notional of 10000" in shown


async def test_the_other_instrument_is_chosen_with_the_arrows() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        screen = await on_ticket(pilot, qty="1")
        screen.query_one("#instrument").focus()
        await pilot.pause()
        await pilot.press("right")
        await press_in(pilot, "qty", "enter")
        sent = client.sent[0]
        assert isinstance(sent, PreviewTicket)
        assert sent.ticket.instrument == ETH


@pytest.mark.fault("U12")
async def test_the_silent_engine_takes_no_ticket() -> None:
    client = FakeClient()
    app, _host = console(client)
    async with app.run_test(size=SIZE) as pilot:
        screen = await on_ticket(pilot, qty="0.2")
        await press_in(pilot, "qty", "enter")
        await until(pilot, lambda: not screen.query_one("#send").disabled)
        client.now = replace(client.now, built_mono_ms=client.now.built_mono_ms - 60_000)
        await app._pull()
        await press_in(pilot, "send", "enter")
        assert [type(each) for each in client.sent] == [PreviewTicket]
        assert "silent" in screen_text(app)
