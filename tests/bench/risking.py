"""What the risk pipeline costs a decision: its surroundings gathered, sized, every guardrail asked, an intent made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

from engine.domain.agent import SizingMethod
from engine.domain.decision import DecisionDraft, Direction
from engine.risk.gate import Ruling, judge
from tests.bench.report import Row, middle, percentile
from tests.flow.guard_kit import BTC, ETH, SOL, Exchange

AREA = "Guardrails: a decision to buy, from its surroundings to an intent"
WARM_BARS, WARM_CALLS = 240, 20
# All prices are the same here, so nothing may count as too alike to trade.
MEASURED: Mapping[str, object] = {
    "volatility_frac": Decimal(99), "average_volume": Decimal(1), "value_at_risk_frac": Decimal("0.9"),
    "correlated_positions": 1, "correlation": Decimal(2),
}  # fmt: skip


def measure_guardrails(folder: Path, decisions: int) -> Iterator[Row]:
    """Ask so many times with the documented limits, and with every check that reads the last 240 bars."""
    cases: tuple[tuple[str, Mapping[str, object], Mapping[str, object], float], ...] = (
        ("documented limits, median", {}, {}, 500),
        (
            "volatility, volume, correlation with 2, value at risk of 3, volatility sizing, median", MEASURED,
            {"qty_fixed": None, "sizing": SizingMethod.VOLATILITY}, 10_000,
        ),
    )  # fmt: skip
    for place, (what, limits, own, most) in enumerate(cases):
        root = folder / f"guardrails{place}"
        root.mkdir()
        taken = asyncio.run(_taken(root, limits, own, decisions))
        note = f"p99 {percentile(taken, 0.99):,.0f} us, {len(taken):,} decisions"
        yield Row(area=AREA, what=what, value=middle(taken), unit="us", at_most=most, note=note)


async def _taken(root: Path, limits: Mapping[str, object], own: Mapping[str, object], decisions: int) -> list[float]:
    bought = {0: {ETH.key: _BUY, SOL.key: _BUY}}
    there = Exchange(root, bought, limits={"correlated_positions": 9, **limits}, own=own, agent={}, policy={})
    try:
        await there.open([_price(bar) for bar in range(WARM_BARS)])
        for bar in range(2):
            await there.bar(_price(bar))
        for _ in range(WARM_CALLS):
            _decide(there)
        return [_timed(there) for _ in range(decisions)]
    finally:
        there.close()


_BUY: Mapping[str, object] = {"direction": Direction.BUY, "quantity": Decimal("0.1")}


def _price(bar: int) -> Decimal:
    return Decimal(50_000) + 37 * (bar % 11) - 23 * (bar % 5)


def _timed(there: Exchange) -> float:
    began = time.perf_counter_ns()
    ruling = _decide(there)
    took_us = (time.perf_counter_ns() - began) / 1_000
    if ruling.intent is None:
        raise AssertionError(f"what is measured must trade: {ruling.assessment.refused}")
    return took_us


def _decide(there: Exchange) -> Ruling:
    draft = DecisionDraft(
        instrument=BTC.key, direction=Direction.BUY, rationale="measured", confidence=Decimal("0.9")
    )  # fmt: skip
    situation = there.core.desk.surroundings.gather(there.config, draft, "measured.1:x", there.clock.now_ms())
    return judge(situation, "measured.1", "measured.1:x")
