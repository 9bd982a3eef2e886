"""Whatever a model, the news, a venue or a file wrote is drawn as it stands, and does nothing (R29, T1)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from rich.cells import cell_len

from console.app import QuarterdeckApp
from engine.api import CheckCode, EventBatch, PolicyChange, Query, Reply, RiskCheck, Sense, TradingState, Verdict
from screens.format import fit, safe, wrap
from tests.ui.fakes import (
    CERTIFICATE,
    FakeClient,
    agent,
    approval,
    back,
    change,
    console,
    line,
    order,
    policy,
    position,
    screen_text,
    snapshot,
    started,
)

TEXTS = {
    "a click": "[@click=app.halt()]x",
    "a closing tag": "[/b]",
    "an unknown tag": "[50%]",
    "an open style": "[red on $error 90%",
    "escape sequences": "\x1b[2J\x1b]52;c;aGk=\x07\x1b]8;;http://x\x07link",
    "C1 controls": "\x9b31m\x85\x90",
    "bidi": "\u202egnp.exe\u2066\u200f",
    "zero width": "a\u200bb\u200d\u2060\ufeff",
    "combining": "z" + "\u0301" * 5_000,
    "lines": "one\r\ntwo\n\n\tthree\x0bfour\u2028five",
    "wide": "漢字" * 200 + "👩‍👩‍👧",
    "a lone surrogate": "\ud800x",
    "ten thousand": "A" * 10_000,
    "nothing": "",
    "a format string": "{0.__class__} %s %n",
}
SHARE = 5
"""How many texts one console is shown, one after the other: it is opened far less often than it draws."""
FORBIDDEN = {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))} | set(
    "\u202e\u2066\u200f\u200b\u2060\ufeff\u2028"
)


def hostile(text: str) -> FakeClient:
    check = RiskCheck(CheckCode.CONFIDENCE, Verdict.REDUCE, text, text)
    client = FakeClient(
        snapshot(
            state=TradingState.HALTED,
            state_reason=text,
            state_actor=text,
            source_label=text,
            currency=text,
            fees={text: Decimal("1.5")},
            positions=(position(agent=text, instrument=text),),
            orders=(order(agent=text, instrument=text, cycle_id=text),),
            approvals=(approval(agent=text, instrument=text, rationale=text, checks=(check,), code="QDXF"),),
            agents=(agent(name=text, model=text, last=text, phase=text),),
            markets=tuple(_renamed(each, text) for each in snapshot().markets),
            kill=tuple(_gauge(each, text) for each in snapshot().kill),
            certificate=_certificate(text),
            policy=policy(_change(text)),
        ),
        [
            line(n, agent=text, instrument=text, action=text, outcome=text, why=text, cycle_id=text or "c")
            for n in (1, 2)
        ],
    )
    told = {
        "rationale": text,
        text: [text, {"deep": text}],
        "checks": [{"code": text, "verdict": text, "observed": text}],
    }
    client.replies[Query] = Reply(ok=True, text=text, data=told)
    return client


def _renamed(market: Any, text: str) -> Any:
    return replace(market, instrument=text)


def _gauge(gauge: Any, text: str) -> Any:
    return replace(gauge, rule=text)


def _change(text: str) -> Any:
    moved = PolicyChange(f"agents.{text}.limits.allowed", text, text, Sense.LOOSENS)
    return change(actor=text, reason=text, changes=(moved,), asked_by="agent")


def _certificate(text: str) -> Any:
    return replace(CERTIFICATE, flatten_id=text, lines=((text, Decimal(1), Decimal(1), text),))


@pytest.mark.fault("U15", "U16", "A24")
@pytest.mark.parametrize("first", range(0, len(TEXTS), SHARE))
async def test_hostile_text_is_inert_on_every_screen(first: int) -> None:
    client = hostile("")
    app, _host = console(client)
    async with app.run_test(size=(120, 40)) as pilot:
        await started(pilot)
        for place, (case, text) in enumerate(list(TEXTS.items())[first : first + SHARE]):
            other = hostile(text)
            client.replies = other.replies
            lines = [replace(each, seq=each.seq + 2 * place) for each in other.batches[0].lines]
            client.batches.append(EventBatch(lines=tuple(lines), upto_seq=lines[-1].seq, gap=False))
            await back(pilot, other.now)
            for way in ways_to_show(app, text):
                way()
                await pilot.pause(0.05)
                check_inert(screen_text(app), case)
                if len(app.screen_stack) > 1:
                    app.pop_screen()
        assert client.calls.count("halt_now") == 0


def ways_to_show(app: QuarterdeckApp, text: str) -> list[Callable[[], None]]:
    return [
        lambda: None,
        app.action_approve,
        app.action_policy,
        app.action_ticket,
        app.action_resume,
        app.action_flatten,
        lambda: app.action_details(line(1, agent=text, why=text, cycle_id=text or "c")),
        app.action_certificate,
        lambda: app.action_resolve(order(client_order_id=text, agent=text, instrument=text)),
        app.action_command_palette,
    ]


def check_inert(drawn: str, case: str) -> None:
    assert not FORBIDDEN & set(drawn.replace("\n", "")), case
    assert not any("\ud800" <= char <= "\udfff" for char in drawn), case
    assert all(cell_len(row) == 120 for row in drawn.split("\n")), case


@pytest.mark.fault("U15")
async def test_a_click_on_marked_up_text_runs_nothing() -> None:
    client = hostile("[@click=app.halt()]x")
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        rows = screen_text(app).split("\n")
        places = [(match.start() + 1, y) for y, row in enumerate(rows) for match in re.finditer(r"\[@cl", row)]
        assert len(places) > 5
        for offset in places:
            await pilot.click(offset=offset)
        assert "halt_now" not in client.calls


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
@pytest.mark.parametrize("width", [0, 1, 2, 7, 40])
def test_cut_text_is_never_wider_than_its_room(text: str, width: int) -> None:
    cuts: list[Callable[[str, int], str]] = [safe, lambda text, width: fit(safe(text, width), width)]
    for cut in cuts:
        shown = cut(text, width)
        assert cell_len(shown) <= width
        assert not FORBIDDEN & set(shown)
    assert all(cell_len(each) <= max(2, width) for each in wrap(text, width, 5))
    assert len(wrap(text, width, 5)) <= 5
