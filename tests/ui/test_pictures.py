"""The overview as it was accepted; `pytest tests/ui/test_pictures.py --snapshot-update` accepts a new one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ui.fakes import FakeClient, console, line, started


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_the_overview_looks_as_accepted(snap_compare: Any, size: tuple[int, int]) -> None:
    lines = [
        line(1, outcome="HOLD", why="RSI 48 is in the middle"),
        line(2),
        line(3, outcome="REFUSED", why="too dear"),
    ]
    app, _host = console(FakeClient(lines=lines))
    assert snap_compare(app, terminal_size=size, run_before=started)
