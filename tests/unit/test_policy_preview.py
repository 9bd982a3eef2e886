"""What another policy would have done, reckoned by hand: one recorded check a case."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from engine.domain.decision import Direction, Disposition
from engine.domain.events import CycleItem
from engine.domain.governance import PolicyChange, Sense
from engine.domain.risk import CheckCode, RiskCheck, Verdict
from engine.governance.preview import number, preview
from engine.risk.guardrails import table
from engine.store.history import Decided, History
from tests.unit.situations import KEY

D = Decimal
LIMITS = {row[0]: row[3] for row in table() if row[3]}
HOUR_MS = 3_600_000


def decided(code: CheckCode, verdict: Verdict, observed: str, limit: str, ts_ms: int = 0) -> Decided:
    refused = verdict is Verdict.REFUSE
    item = CycleItem(
        KEY, Direction.BUY, Disposition.REFUSED if refused else Disposition.ACTED, D(0), D(2), D("0.8"), D(100), ts_ms,
        "why", "", "", (RiskCheck(code, verdict, observed, limit),),
    )  # fmt: skip
    return Decided(ts_ms, "a", item)


def under(change: tuple[str, str, str, Sense], *past: Decided, prices: Any = ()) -> Any:
    history = History(0, list(past), {KEY: list(prices)})
    return preview(history, [PolicyChange(*change)], LIMITS)


L, T = Sense.LOOSENS, Sense.TIGHTENS
C, PASS, REDUCE, REFUSE = CheckCode, Verdict.PASS, Verdict.REDUCE, Verdict.REFUSE


@pytest.mark.parametrize(
    ("change", "past", "how"),
    [
        (("limits.open_positions", "5", "6", L), (C.OPEN_POSITIONS, REFUSE, "5 others open", "5"), "PASS"),
        (("limits.open_positions", "5", "6", L), (C.OPEN_POSITIONS, REFUSE, "6 others open", "5"), ""),
        (("limits.open_positions", "5", "3", T), (C.OPEN_POSITIONS, PASS, "3 others open", "5"), "REFUSE"),
        (("limits.open_positions", "5", "4", T), (C.OPEN_POSITIONS, PASS, "3 others open", "5"), ""),
        (("limits.price_age", "90s", "2m", L), (C.PRICE_AGE, REFUSE, "100s old", "90s"), "PASS"),
        (("limits.price_collar", "10%", "1%", T), (C.PRICE_COLLAR, PASS, "2% off", "10% off"), "REFUSE"),
        (("limits.gross_exposure", "100%", "50%", T), (C.GROSS_EXPOSURE, PASS, "80%", "100%"), "SMALLER"),
        (("limits.gross_exposure", "100%", "0%", T), (C.GROSS_EXPOSURE, PASS, "80%", "100%"), "REFUSE"),
        (("limits.risk_per_trade", "1%", "2%", L), (C.RISK_PER_TRADE, REDUCE, "15 at risk", "1% of 1000"), "LARGER"),
        (("limits.risk_per_trade", "1%", "0.5%", T), (C.RISK_PER_TRADE, PASS, "9 at risk", "1% of 1000"), "SMALLER"),
        (("limits.risk_per_trade", "1%", "0.95%", T), (C.RISK_PER_TRADE, PASS, "9 at risk", "1% of 1000"), ""),
        (("limits.confidence_min", "0.6", "0.5", L), (C.CONFIDENCE, REFUSE, "0.55", "0.6"), "PASS"),
        (("limits.confidence_min", "0.4", "0.3", L), (C.CONFIDENCE, REFUSE, "0.35", "0.6"), ""),
        (("agents.a.limits.confidence_min", "0.6", "0.9", T), (C.CONFIDENCE, PASS, "0.8", "0.6"), "REFUSE"),
        (("agents.b.limits.confidence_min", "0.6", "0.9", T), (C.CONFIDENCE, PASS, "0.8", "0.6"), ""),
        (("agents.a.limits.cooldown_after_loss", "30m", "10m", L), (C.COOLDOWN, REFUSE, "20m ago", "30m"), "PASS"),
        (("limits.leverage", "1x", "0.5x", T), (C.LEVERAGE, PASS, "0.8x", "1x"), "SMALLER"),
    ],
)  # fmt: skip
def test_recorded_check_under_another_limit(
    change: tuple[str, str, str, Sense], past: tuple[CheckCode, Verdict, str, str], how: str
) -> None:
    made = under(change, decided(*past))
    assert [case.how for case in made.cases] == ([how] if how else [])


def test_outcome_is_the_last_price_within_a_day_for_the_size_that_was_asked() -> None:
    refused = decided(C.OPEN_POSITIONS, REFUSE, "5 others open", "5")
    prices = [(0, D(100)), (HOUR_MS, D(97)), (23 * HOUR_MS, D(103)), (25 * HOUR_MS, D(50))]
    made = under(("limits.open_positions", "5", "6", L), refused, prices=prices)
    assert (made.cases[0].moved_frac, made.cases[0].value) == (D("0.03"), D(6))
    assert made.outcome("PASS") == (1, 1, D(6))


def test_outcome_without_a_later_price_is_not_known_and_that_is_said() -> None:
    refused = decided(C.OPEN_POSITIONS, REFUSE, "5 others open", "5")
    made = under(("limits.open_positions", "5", "6", L), refused, prices=[(0, D(100))])
    assert made.outcome("PASS") == (0, 0, D(0))
    assert any("no later price" in each for each in made.unknown)
    assert any("later ones would have passed" in each for each in made.unknown)


def test_field_that_no_recorded_check_depends_on_is_named_as_not_known() -> None:
    made = under(("kill_switch.loss", "5%", "10%", L), decided(C.OPEN_POSITIONS, PASS, "1 others open", "5"))
    assert (made.cases, "kill_switch.loss" in made.unknown[0]) == ([], True)


@pytest.mark.parametrize("text", ["", "missing", "no price", "12abc"])
def test_words_without_a_plain_number_are_no_number(text: str) -> None:
    assert number(text) is None
