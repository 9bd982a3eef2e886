"""Recordings made to measure, and the pipeline run over them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from engine.runtime.replay import ReplayOptions, replay

MINUTE_MS = 60_000
START_MS = 1_767_225_600_000  # 2026-01-01T00:00Z

Bar = tuple[float, float, float, float, float]
"""open, high, low, close, volume"""


def bars_of(closes: Sequence[float], volume: float = 1000.0) -> list[Bar]:
    """Return bars that open where the last one closed."""
    opens = [closes[0], *closes[:-1]]
    return [(o, max(o, c), min(o, c), c, volume) for o, c in zip(opens, closes, strict=True)]


@pytest.fixture
def write_bars(tmp_path: Path) -> Callable[..., Path]:
    """Write bars as a candle CSV; returns its path."""

    def write(bars: Iterable[Bar], name: str = "BTCUSDT_1m.csv", start_ms: int = START_MS, step_ms: int = MINUTE_MS) -> Path:
        path = tmp_path / name
        lines = ["timestamp,open,high,low,close,volume"]
        for place, bar in enumerate(bars):
            lines.append(f"{start_ms + place * step_ms}," + ",".join(f"{value:.2f}" for value in bar))
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture
def waves() -> list[Bar]:
    """Return 600 bars of seeded waves around 50,000: crosses enough for every model."""
    rng = random.Random(7)
    closes = [50_000 + 600 * math.sin(i / 23) + 250 * math.sin(i / 7) + rng.uniform(-40, 40) for i in range(600)]
    return bars_of(closes)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict]:
    """Replay files with flags through the whole pipeline."""
    places = iter(range(1000))

    def go(*files: Path, agents: Sequence[str] = ("heuristic:sma_cross",), **options: object) -> dict:
        flags = options.pop("flags", {})
        store = options.pop("store", tmp_path / f"store{next(places)}")
        chosen = ReplayOptions(
            files=files, agents=tuple(agents), flags=flags, store=store, config_dir=tmp_path / "config", **options
        )  # type: ignore[arg-type]
        return replay(chosen) | {"store": store}

    return go
