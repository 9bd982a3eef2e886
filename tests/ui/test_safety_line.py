"""The safety line is on every screen, at every width, in words."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from engine.api import Mode, Query, Reply, SourceKind, TradingState
from screens.model import ConsoleModel
from screens.rows import plain_text, row_width
from screens.widgets.safety import safety_row
from tests.ui.fakes import (
    CERTIFICATE,
    MONO_MS,
    FakeClient,
    approval,
    back,
    console,
    first_row,
    line,
    screen_text,
    snapshot,
    started,
    until,
)  # fmt: skip


def drawn(width: int, age_ms: float = 200.0, **changes: Any) -> str:
    model = ConsoleModel(lambda: MONO_MS + age_ms)
    model.snapshot = snapshot(**changes)
    row = safety_row(model, width)
    assert row_width(row) == width
    return plain_text(row)


def test_at_80_columns_every_field_is_there() -> None:
    assert drawn(80).rstrip() == "PAPER│REPLAY x60│ACTIVE│EQ 100,012.34│DAY +12.34 (+0.01%)│DATA 2s│ENG <1s│APPR 1"


def test_at_200_columns_it_is_spelled_out() -> None:
    told = (
        "PAPER REPLAY x60 43% ACTIVE · trading EQUITY 100,012.34 USDT DAY +12.34 (+0.01%) "
        "DATA 2s old ENGINE <1s APPROVALS 1 waiting"
    )
    assert " ".join(drawn(200).split()) == told


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_the_worst_words_fit_and_nothing_is_left_out(width: int) -> None:
    told = drawn(
        width,
        age_ms=61_000,
        source_kind=SourceKind.SIMULATED,
        source_label="SIMULATED",
        state=TradingState.REDUCING,
        equity=Decimal("1234567.89"),
        day_start=Decimal(1_000_000),
        day_pnl=Decimal("-12345.67"),
        connected=False,
        approvals=tuple(approval(approval_id=str(n)) for n in range(12)),
        unprotected=("external 1 BTC: no stop",),
    )
    for word in ("PAPER", "SIMULATED", "REDUCING", "1,234,56", "-1.23%", "CUT", "SILENT 1m"):
        assert word in told
    assert "12" in told.rsplit("APPR", 1)[1] or width == 80
    assert "UNPROTECTED 1" in told or "BARE 1" in told


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"mode": Mode.LIVE, "source_label": "LIVE DATA"}, "LIVE"),
        ({"source_label": "LIVE DATA"}, "LIVE DATA"),
        ({"source_label": "REPLAY MAX"}, "REPLAY MAX"),
        ({"state": TradingState.HALTED}, "HALTED"),
        ({"flattening": True}, "FLATTENING"),
        ({"connected": False}, "CUT"),
        ({"equity": None, "day_pnl": None}, "EQUITY –"),
        ({"incidents": 2, "day_pnl": None}, "INC 2"),
        ({"unprotected": ("external 1 BTC: no stop",), "day_pnl": None}, "UNPROTECTED 1"),
    ],
)
@pytest.mark.fault("U13")
def test_every_condition_is_a_word(changes: dict[str, Any], word: str) -> None:
    assert word in drawn(120, **changes)


@pytest.mark.fault("U12")
def test_a_silent_engine_is_said() -> None:
    assert "ENG SILENT 12s" in drawn(120, age_ms=12_000)


def test_before_the_engine_is_up_it_says_so() -> None:
    model = ConsoleModel(lambda: 0.0)
    assert plain_text(safety_row(model, 80)).lstrip().startswith("ENGINE STARTING")
    model.error = "The store is locked by another engine; stop it first."
    assert plain_text(safety_row(model, 80)).lstrip().startswith("ENGINE FAILED")
    assert "locked by another engine" in plain_text(safety_row(model, 80))


OPENED_BY = {
    "ApproveScreen": "a",
    "TicketScreen": "t",
    "ResumeScreen": "r",
    "HelpScreen": "question_mark",
    "FlattenScreen": "f10",
    "Palette": "ctrl+p",
    "DetailScreen": "enter",
    "CertificateScreen": "c",
}


async def test_it_is_the_first_row_of_every_card_and_moves_there() -> None:
    halted = snapshot(state=TradingState.HALTED, certificate=CERTIFICATE)
    client = FakeClient(halted, [line(1)])
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        for name, key in OPENED_BY.items():
            await back(pilot, halted)
            assert first_row(app).startswith("PAPER│REPLAY x60│HALTED"), name
            await pilot.press(key)
            await pilot.pause(0.05)
            assert type(app.screen).__name__ == name
            assert first_row(app).startswith("PAPER│REPLAY x60│HALTED"), name
            client.now = replace(client.now, equity=Decimal(7777), state=TradingState.REDUCING)
            await app._pull()
            await pilot.pause()
            assert "REDUCING" in first_row(app), name
            assert "EQ 7,777" in first_row(app), name


async def test_key_of_the_incidents_lists_each_with_what_to_do() -> None:
    client = FakeClient(snapshot(incidents=1))
    row = {"ts": "2026-11-29T16:12:03.000Z", "code": "RESTORED", "text": "restored from a [b]", "what_to_do": "Look."}
    client.replies[Query] = Reply(ok=True, text="", data=[row])
    app, _host = console(client)
    async with app.run_test(size=(80, 24)) as pilot:
        await started(pilot)
        await pilot.press("i")
        await until(pilot, lambda: "RESTORED" in screen_text(app))
        for told in ("2026-11-29 16:12:03 UTC", "restored from a [b]", "Do: Look."):
            assert told in screen_text(app)
        assert client.sent == [Query(name="incidents", args={"limit": "100"})]
