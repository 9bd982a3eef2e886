"""The overview as it was accepted; `pytest tests/ui/test_pictures.py --snapshot-update` accepts a new one."""

from __future__ import annotations

from typing import Any

import pytest

from engine.api import CheckCode, RiskCheck, Verdict
from tests.ui.fakes import CHECKS, FakeClient, approval, console, line, snapshot, started

CARD_CODES = (CheckCode.TRADING_STATE, CheckCode.PRICE_AGE, CheckCode.BUYING_POWER, CheckCode.MIN_NOTIONAL)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_the_overview_looks_as_accepted(snap_compare: Any, size: tuple[int, int]) -> None:
    lines = [
        line(1, outcome="HOLD", why="RSI 48 is in the middle"),
        line(2),
        line(3, outcome="REFUSED", why="too dear"),
    ]
    app, _host = console(FakeClient(lines=lines))
    assert snap_compare(app, terminal_size=size, run_before=started)


def test_the_card_of_a_waiting_trade_looks_as_accepted(snap_compare: Any) -> None:
    passed = tuple(RiskCheck(code, Verdict.PASS, "seen", "its limit") for code in CARD_CODES)
    client = FakeClient(snapshot(approvals=(approval(checks=(*passed, *CHECKS)),)))
    app, _host = console(client)

    async def opened(pilot: Any) -> None:
        await started(pilot)
        await pilot.press("a")
        await pilot.pause()

    assert snap_compare(app, terminal_size=(80, 24), run_before=opened)
