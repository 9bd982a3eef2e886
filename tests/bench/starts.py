"""How long a person waits: for the command line to answer, and for the console to paint."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.candles import ROOT
from tests.bench.report import Row, middle, spread
from tests.bench.terminal import COLUMNS, ROWS, Terminal

EMPTY_APP = "from textual.app import App; App().run()"
VERSION = [sys.executable, "-m", "console.cli", "--version"]
DEMO = [sys.executable, "-m", "console.cli", "demo"]
PAINTED_CELLS = COLUMNS * ROWS // 2
AREA = "Cold start"


def environment(home: Path) -> Mapping[str, str]:
    """Return an environment in which nothing of the user's is read or written."""
    kept = {name: value for name, value in os.environ.items() if name not in ("SSH_CONNECTION", "COLUMNS", "LINES")}
    return {**kept, "QUARTERDECK_HOME": str(home), "TERM": "xterm-256color", "COLORTERM": "truecolor"}


def measure_starts(home: Path, rounds: int) -> list[Row]:
    """Measure both: the command line so many times and half as many again, the two consoles in turns."""
    version = [_ran_ms(VERSION, home) for _ in range(rounds * 3 // 2 + 1)]
    nothing = [_ran_ms([sys.executable, "-c", "pass"], home) for _ in range(rounds)]
    empty, demo = [], []
    for _ in range(rounds):
        empty.append(_painted_ms([sys.executable, "-c", EMPTY_APP], home))
        demo.append(_painted_ms(DEMO, home))
    return [
        Row(area=AREA, what="quarterdeck --version", value=middle(version), unit="ms", at_most=300,
            note=f"{spread(version, 'ms')}; Python by itself {middle(nothing):.0f} ms"),
        Row(area=AREA, what="first paint, empty Textual app", value=middle(empty), unit="ms", note=spread(empty, "ms")),
        Row(area=AREA, what="first paint, quarterdeck demo", value=middle(demo), unit="ms", note=spread(demo, "ms")),
        Row(area=AREA, what="demo against the empty app", value=middle(demo) / middle(empty), unit="x", at_most=2,
            note=f"half of {COLUMNS}x{ROWS} cells written, in turns"),
    ]  # fmt: skip


def _ran_ms(command: Sequence[str], home: Path) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, env=dict(environment(home)), capture_output=True, check=True)
    return (time.perf_counter() - began) * 1000


def _painted_ms(command: Sequence[str], home: Path) -> float:
    terminal = Terminal(command, environment(home), ROOT)
    try:
        return terminal.until_painted(PAINTED_CELLS, 30)
    finally:
        terminal.close()
