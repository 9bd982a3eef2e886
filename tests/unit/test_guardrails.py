"""Each guardrail refuses or reduces in a test of its own; none ever moves a target away from the position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.agent import AgentStatus, SizingMethod
from engine.domain.conduct import RoundTrips
from engine.domain.decision import Direction
from engine.domain.intent import Autonomy
from engine.domain.market import Candle
from engine.domain.policy import TradingState
from engine.domain.risk import CheckCode, RiskCheck, Verdict
from engine.market.daily_index import IndexClose
from engine.risk.gate import judge
from engine.risk.guardrails import GUARDRAILS, Applies, Assessment, Guardrail, assess, table
from engine.risk.situation import Situation
from engine.risk.sizing import size
from tests.unit.situations import KEY, NOW_MS, D, bars, mark, quote, situation, swinging

BUY, SELL, FLAT, HOLD = Direction.BUY, Direction.SELL, Direction.FLAT, Direction.HOLD
ORDER = [
    "TRADING_STATE",
    "AGENT_STATE",
    "AUTONOMY",
    "CONFIDENCE",
    "NOT_ALLOWED",
    "BLOCKED",
    "DUPLICATE_DECISION",
    "ORDER_WORKING",
    "INSTRUMENT_BLOCKED",
    "MARKET_CLOSED",
    "PRICE_AGE",
    "PRICE_COLLAR",
    "DECISION_AGE",
    "PRICE_DRIFT",
    "SPREAD",
    "VOLATILITY_INDEX",
    "SHORT_NOT_ALLOWED",
    "STOP_INVALID",
    "STOP_DISTANCE",
    "REWARD_RISK",
    "COOLDOWN",
    "REFUSAL_COOLDOWN",
    "DAILY_LOSS",
    "DAILY_PROFIT",
    "WIN_RATE",
    "AGENT_LOSS",
    "TRADES_PER_DAY",
    "ACCOUNT_TRADES_PER_DAY",
    "OPEN_POSITIONS",
    "VOLATILITY",
    "AVERAGE_VOLUME",
    "CORRELATION",
    "SIZING",
    "SIZE_CAP",
    "RISK_PER_TRADE",
    "POSITION_NOTIONAL",
    "PORTFOLIO_SHARE",
    "GROUP_SHARE",
    "CAPITAL_SHARE",
    "NET_EXPOSURE",
    "GROSS_EXPOSURE",
    "LEVERAGE",
    "VALUE_AT_RISK",
    "BUYING_POWER",
    "QTY_STEP",
    "MIN_NOTIONAL",
]


def judged(**parts: Any) -> Assessment:
    s = situation(**parts)
    return assess(s, size(s).target_qty)


def word(assessment: Assessment) -> str:
    return assessment.refused.code.value if assessment.refused else ""


def test_a_plain_buy_passes_every_guardrail_in_order() -> None:
    assessment = judged()
    assert assessment.refused is None
    assert assessment.target == D(500)
    assert assessment.bound_by == ""
    assert [check.code.value for check in assessment.checks] == ORDER
    assert {check.verdict for check in assessment.checks} == {Verdict.PASS}
    assert all(0 < len(text) <= 30 for check in assessment.checks for text in (check.observed, check.limit))


TODAY = NOW_MS // 86_400_000
VIX: dict[str, Any] = {"volatility_index": D(40), "volatility_index_file": "vix.csv"}
ALIKE = {"paper:ETH/USDT": D(1), "paper:SOL/USDT": D(1), "paper:ADA/USDT": D(1)}


def held_bars(closes: Sequence[object]) -> Callable[[str], Sequence[Candle]]:
    """Every instrument has these closes."""
    return lambda key: bars(closes, key)


# From the offer of 100.02 the target is 2.4 ways to the stop away; from a limit above it, it would be fewer.
REWARDING: dict[str, Any] = {"stop": D(95), "target": D(112)}
SWINGS = held_bars(swinging(240, "0.02"))
STEADY: dict[str, Any] = {"sizing": SizingMethod.VOLATILITY, "history": SWINGS}
RISKY: dict[str, Any] = {"value_at_risk_frac": D("0.05"), "history": SWINGS}

REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("TRADING_STATE", "halted", {"state": TradingState.HALTED}),
    ("TRADING_STATE", "only reducing", {"state": TradingState.REDUCING}),
    ("AGENT_STATE", "paused", {"agent_status": AgentStatus.PAUSED}),
    ("AGENT_STATE", "stopped", {"agent_status": AgentStatus.STOPPED}),
    ("CONFIDENCE", "missing", {"confidence": None}),
    ("CONFIDENCE", "below", {"confidence": "0.59"}),
    ("CONFIDENCE", "a percentage", {"confidence": "85"}),
    ("CONFIDENCE", "negative", {"confidence": "-0.1", "confidence_min": "-1"}),
    ("NOT_ALLOWED", "not on the allow list", {"allowed": ("paper:ETH/USDT",)}),
    ("BLOCKED", "by key", {"blocked": (KEY,)}),
    ("BLOCKED", "by alias", {"blocked": ("BTCUSDT",)}),
    ("DUPLICATE_DECISION", "traded before", {"already_decided": True}),
    ("ORDER_WORKING", "an entry works", {"working": 1}),
    ("INSTRUMENT_BLOCKED", "an order nobody knows the end of", {"in_doubt": "order x of b is UNKNOWN"}),
    ("MARKET_CLOSED", "closed", {"market_open": False}),
    ("MARKET_CLOSED", "no calendar", {"market_open": None}),
    ("PRICE_AGE", "no price", {"price": None}),
    ("PRICE_AGE", "NaN", {"price": "NaN"}),
    ("PRICE_AGE", "zero", {"price": "0"}),
    ("PRICE_AGE", "negative", {"price": "-100"}),
    ("PRICE_AGE", "old", {"mark": mark("100", 90_001)}),
    ("PRICE_AGE", "from the future", {"mark": mark("100", -1_001)}),
    ("PRICE_AGE", "no age allowed", {"price_age_ms": 0}),
    ("PRICE_COLLAR", "far above", {"median": D("90.9")}),
    ("PRICE_COLLAR", "far below", {"median": D("111.2")}),
    ("PRICE_COLLAR", "no median", {"median": None}),
    ("PRICE_COLLAR", "limit price far off", {"limit_price": D(80)}),
    ("SHORT_NOT_ALLOWED", "nothing held", {"direction": SELL}),
    ("SHORT_NOT_ALLOWED", "a buy of a short", {"target_qty": D(-1)}),
    ("STOP_INVALID", "stop at the price", {"stop": D(100)}),
    ("STOP_INVALID", "stop above", {"stop": D(101)}),
    ("STOP_INVALID", "stop of zero", {"stop": D(0)}),
    ("STOP_INVALID", "stop negative", {"stop": D(-3)}),
    ("STOP_INVALID", "stop above the limit price", {"stop": D(97), "limit_price": D(96)}),
    ("STOP_INVALID", "target below", {"target": D(99)}),
    ("STOP_INVALID", "target infinite", {"target": D("Infinity")}),
    ("STOP_INVALID", "the agent's own stop below zero", {"stop_frac": "1.01"}),
    ("STOP_INVALID", "the agent's own stop within a tick", {"stop_frac": "0.00001"}),
    ("AUTONOMY", "more than the account allows", {"autonomy": Autonomy.APPROVE}),
    ("AUTONOMY", "none allowed", {"autonomy": Autonomy.OBSERVE}),
    ("CONFIDENCE", "below the account's own", {"account_confidence": D("0.9")}),
    ("DECISION_AGE", "decided long ago", {"seen_ms": NOW_MS - 120_001}),
    ("DECISION_AGE", "decided in the future", {"seen_ms": NOW_MS + 1}),
    ("DECISION_AGE", "no age allowed", {"seen_ms": NOW_MS - 1, "decision_age_ms": 0}),
    ("PRICE_DRIFT", "moved up", {"seen_price": D("98.9")}),
    ("PRICE_DRIFT", "moved down", {"seen_price": D("101.1")}),
    ("SPREAD", "wide", {"bid_ask": quote(99, 101)}),
    ("SPREAD", "crossed", {"bid_ask": quote(101, 100)}),
    ("SPREAD", "the paper venue's own is too wide", {"spread_frac": D("0.0003")}),
    ("VOLATILITY_INDEX", "closed above", {**VIX, "index": IndexClose(TODAY - 1, D("40.01"))}),
    ("STOP_DISTANCE", "too near", {"stop": D("99.95")}),
    ("STOP_DISTANCE", "near the real entry, not the hinted one", {"stop": D("99.95"), "limit_price": D(110)}),
    ("REWARD_RISK", "no target", {"reward_risk": D(1)}),
    ("REWARD_RISK", "less than asked for", {"reward_risk": D(2), "stop": D(95), "target": D(109)}),
    (
        "REWARD_RISK",
        "from the limit, which is the entry",
        {"reward_risk": D(3), **REWARDING, "limit_price": D("99.5")},
    ),
    (
        "REFUSAL_COOLDOWN",
        "a refusal just now",
        {"last_refusal_ms": NOW_MS - 59_999, "cooldown_after_refusal_ms": 60_000},
    ),
    ("REFUSAL_COOLDOWN", "a refusal in the future", {"last_refusal_ms": NOW_MS + 1}),
    ("DAILY_LOSS", "more than 3 %", {"day_start": D(103_100)}),
    ("DAILY_LOSS", "none allowed", {"daily_loss_frac": D(0)}),
    ("DAILY_PROFIT", "reached", {"daily_profit_frac": D("0.02"), "day_start": D(98_000)}),
    ("WIN_RATE", "below", {"win_rate_frac": D("0.5"), "trips": RoundTrips(10, 4, D(900), D(10))}),
    ("AGENT_LOSS", "lost more", {"agent_loss_frac": D("0.01"), "trips": RoundTrips(10, 4, D(10), D(1_011))}),
    ("VOLATILITY", "too volatile", {"volatility_frac": D("0.6"), "history": SWINGS}),
    ("AVERAGE_VOLUME", "too little", {"average_volume": D(24_001), "history": held_bars([100] * 240)}),
    (
        "CORRELATION",
        "three move alike",
        {"correlated_positions": 3, "held": ALIKE, "history": SWINGS},
    ),
    ("CORRELATION", "none allowed", {"correlated_positions": 0}),
    ("SIZING", "Kelly sees no edge", {"sizing": SizingMethod.KELLY, "trips": RoundTrips(20, 8, D(80), D(120))}),
    ("SIZING", "a notional of nothing", {"sizing": SizingMethod.NOTIONAL}),
    ("SIZING", "no volatility wanted", {**STEADY, "volatility_target_frac": D(0)}),
    ("GROUP_SHARE", "none allowed", {"group_share_frac": D(0)}),
    ("GROUP_SHARE", "others hold it all", {"group_exposure": D(100_000)}),
    ("NET_EXPOSURE", "none allowed", {"net_exposure_frac": D(0)}),
    ("NET_EXPOSURE", "all in use", {"net_exposure": D(100_000)}),
    ("LEVERAGE", "none allowed", {"leverage": D(0)}),
    ("LEVERAGE", "all in use", {"exposure": D(100_000), "gross_exposure_frac": D(2)}),
    ("VALUE_AT_RISK", "more held than may be lost", {**RISKY, "held": {"paper:ETH/USDT": D(90_000)}}),
    ("COOLDOWN", "a loss just now", {"last_loss_ms": NOW_MS - 1_799_999}),
    ("COOLDOWN", "a loss in the future", {"last_loss_ms": NOW_MS + 1}),
    ("TRADES_PER_DAY", "used up", {"trades_today": 10, "trades_per_day": 10}),
    ("TRADES_PER_DAY", "none allowed", {"trades_per_day": 0}),
    ("ACCOUNT_TRADES_PER_DAY", "used up", {"account_trades_today": 50}),
    ("ACCOUNT_TRADES_PER_DAY", "none allowed", {"account_per_day": 0}),
    ("OPEN_POSITIONS", "all open", {"open_instruments": 5}),
    ("OPEN_POSITIONS", "none allowed", {"open_positions": 0}),
    ("SIZE_CAP", "quantity above", {"quantity": D(11), "qty_max": D(10)}),
    ("SIZE_CAP", "target above", {"target_qty": D(11), "qty_max": D(10)}),
    ("SIZE_CAP", "more than the capital buys", {"quantity": D(1_001)}),
    ("SIZE_CAP", "none allowed", {"qty_max": D(0)}),
    ("SIZE_CAP", "a quantity of zero", {"quantity": D(0)}),
    ("RISK_PER_TRADE", "none allowed", {"risk": "0"}),
    ("RISK_PER_TRADE", "fixed at zero", {"qty_fixed": D(0)}),
    ("POSITION_NOTIONAL", "none allowed", {"position_notional_max": D(0)}),
    ("POSITION_NOTIONAL", "less than a step", {"position_notional_max": D("0.09")}),
    ("PORTFOLIO_SHARE", "none allowed", {"portfolio_share_frac": D(0)}),
    ("PORTFOLIO_SHARE", "others hold it all", {"account_qty": D(1_000)}),
    ("CAPITAL_SHARE", "all in use", {"agent_exposure": D(100_000)}),
    ("GROSS_EXPOSURE", "none allowed", {"gross_exposure_frac": D(0)}),
    ("GROSS_EXPOSURE", "all in use", {"exposure": D(100_000)}),
    ("BUYING_POWER", "nothing free", {"free_cash": D(0)}),
    ("BUYING_POWER", "less than nothing", {"free_cash": D(-5)}),
    ("BUYING_POWER", "less than a step", {"free_cash": D("0.05")}),
    ("QTY_STEP", "rounds to zero", {"qty_step": D(1_000)}),
    ("QTY_STEP", "dust", {"direction": FLAT, "current": D("0.0004")}),
    ("MIN_NOTIONAL", "too small", {"quantity": D("0.049")}),
    ("MIN_NOTIONAL", "dust", {"direction": FLAT, "current": D("0.04")}),
]


@pytest.mark.fault("E15", "E16", "A12", "A13", "C08", "C10", "E27", "E28", "E43")
@pytest.mark.parametrize(("code", "parts"), [pytest.param(c, p, id=f"{c}: {why}") for c, why, p in REFUSED])
def test_a_guardrail_refuses(code: str, parts: dict[str, Any]) -> None:
    assessment = judged(**parts)
    assert word(assessment) == code, assessment.refused
    assert assessment.checks[-1] is assessment.refused
    assert assessment.target == situation(**parts).current_qty
    assert all(check.verdict is not Verdict.REFUSE for check in assessment.checks[:-1])


def test_every_guardrail_has_a_refusal() -> None:
    assert {code for code, _why, _parts in REFUSED} == {guardrail.code.value for guardrail in GUARDRAILS}


# Sized at 500 units of 100: what each limit leaves of them.
@pytest.mark.parametrize(
    ("code", "parts", "left"),
    [
        ("POSITION_NOTIONAL", {"position_notional_max": D(10_000)}, "100"),
        ("POSITION_NOTIONAL", {"position_notional_max": D(10_000), "current": D(60)}, "100"),
        ("PORTFOLIO_SHARE", {"portfolio_share_frac": D("0.25")}, "250"),
        ("PORTFOLIO_SHARE", {"portfolio_share_frac": D("0.25"), "account_qty": D(50)}, "200"),
        ("CAPITAL_SHARE", {"agent_exposure": D(90_000)}, "100"),
        ("GROSS_EXPOSURE", {"exposure": D(80_000)}, "200"),
        ("GROSS_EXPOSURE", {"gross_exposure_frac": D("0.1")}, "100"),
        ("GROUP_SHARE", {"group_share_frac": D("0.25")}, "250"),
        ("GROUP_SHARE", {"group_exposure": D(90_000)}, "100"),
        ("NET_EXPOSURE", {"net_exposure": D(80_000)}, "200"),
        ("LEVERAGE", {"leverage": D("0.1")}, "100"),
        # The 11th worst of 239 hours lost 2/102: 4 % of 100,000 / (2/102 x sqrt(24)) = 41,641.
        ("VALUE_AT_RISK", {**RISKY, "value_at_risk_frac": D("0.04")}, "416.413"),
        # 10,000 / (100 x 1.001 fee x 1.01 head-room) = 98.9109...
        ("BUYING_POWER", {"free_cash": D(10_000)}, "98.910"),
        ("BUYING_POWER", {"free_cash": D(10_000), "limit_price": D(105), "stop": D(98)}, "94.200"),
    ],
)
def test_a_guardrail_reduces_to_its_limit(code: str, parts: dict[str, Any], left: str) -> None:
    assessment = judged(**parts)
    assert assessment.refused is None
    assert assessment.target == D(left)
    assert assessment.bound_by == code
    assert [check.code.value for check in assessment.checks if check.verdict is Verdict.REDUCE] == [code]


def test_the_cap_on_the_agents_size_and_its_risk_hold_for_targets_from_elsewhere() -> None:
    assert assess(situation(qty_max=D(10)), D(20)).bound_by == "SIZE_CAP"
    assert assess(situation(qty_max=D(10)), D(20)).target == D(10)
    assert assess(situation(), D(600)).bound_by == "RISK_PER_TRADE"
    assert assess(situation(), D(600)).target == D(500)
    assert assess(situation(qty_fixed=D(2)), D(3)).target == D(2)


def test_the_stop_and_target_that_would_be_attached_are_what_is_checked() -> None:
    def word(**parts: Any) -> tuple[str, str]:
        check = next(c for c in judged(**parts).checks if c.code is CheckCode.STOP_INVALID)
        return check.observed, check.limit

    assert word(stop_frac="0.02") == ("stop 98", "below 100")
    assert word(stop_frac="0.02", stop=D(95)) == ("stop 95", "below 100")
    assert word(stop_frac="1.01") == ("stop -1", "above 0, below 100")
    assert word(stop_frac=None) == ("no stop", "below 100")


def test_a_fixed_quantity_says_that_risk_did_not_size_it() -> None:
    check = next(c for c in judged(qty_fixed=D(2)).checks if c.code is CheckCode.RISK_PER_TRADE)
    assert (check.observed, check.limit) == ("2", "not sized by risk: fixed quantity 2")


def test_a_refused_trade_is_bound_by_what_refused_it() -> None:
    assert judge(situation(qty_max=D(10), free_cash=D(0)), "c", "c:x").bound_by == "BUYING_POWER"
    assert judge(situation(qty_max=D(10)), "c", "c:x").bound_by == "SIZE_CAP"


def test_a_later_tighter_limit_is_what_bound_the_size() -> None:
    assessment = judged(position_notional_max=D(20_000), free_cash=D(10_000))
    assert assessment.bound_by == "BUYING_POWER"


def test_an_exit_leaves_the_odd_part_that_no_order_can_carry() -> None:
    assessment = judged(direction=FLAT, current=D("1.2345"))
    assert assessment.refused is None
    assert assessment.target == D("0.0005")


EXIT_ANYWAY: dict[str, Any] = {
    "state": TradingState.REDUCING,
    "blocked": (KEY,),
    "median": None,
    "last_loss_ms": NOW_MS,
    "trades_per_day": 0,
    "account_per_day": 0,
    "open_positions": 0,
    "qty_max": D(0),
    "risk": "0",
    "position_notional_max": D(0),
    "portfolio_share_frac": D(0),
    "gross_exposure_frac": D(0),
    "free_cash": D(0),
    "equity": None,
    "capital": None,
    "quote": "EUR",
    "stop": D(500),
}


@pytest.mark.parametrize("direction", [SELL, FLAT])
@pytest.mark.parametrize("name", EXIT_ANYWAY)
def test_an_exit_is_not_held_up_by_what_only_concerns_entries(direction: Direction, name: str) -> None:
    parts: dict[str, Any] = {name: EXIT_ANYWAY[name]}
    assessment = judged(direction=direction, current=D(10), **parts)
    assert assessment.refused is None
    assert assessment.target == D(0)


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        ("TRADING_STATE", {"state": TradingState.HALTED}),
        ("CONFIDENCE", {"confidence": None}),
        ("PRICE_AGE", {"mark": mark("100", 90_001)}),
        ("ORDER_WORKING", {"working": 1}),
        ("INPUT_MISSING", {"limit_price": D(-5)}),
    ],
)
def test_an_exit_too_needs_state_confidence_and_a_price(code: str, parts: dict[str, Any]) -> None:
    assert word(judged(direction=FLAT, current=D(10), **parts)) == code


def test_a_hold_is_asked_nothing_and_moves_nothing() -> None:
    assert assess(situation(direction=HOLD, current=D(3), state=TradingState.HALTED), D(9)) == Assessment(
        (), D(3), None, ""
    )


def test_a_repeated_buy_is_no_change_and_no_refusal() -> None:
    assessment = judged(current=D(500), last_loss_ms=NOW_MS, trades_per_day=0)
    assert assessment.refused is None
    assert assessment.target == D(500)


@pytest.mark.parametrize("listed", [(KEY,), ("BTC/USDT",), ("BTCUSDT",)])
def test_a_listed_instrument_is_allowed_by_any_of_its_names(listed: tuple[str, ...]) -> None:
    assert word(judged(allowed=listed)) == ""


def test_an_instrument_the_agent_was_not_given_is_refused() -> None:
    s = situation()
    s = replace(s, agent=replace(s.agent, instruments=("paper:ETH/USDT",)))
    assert word(assess(s, D(1))) == "NOT_ALLOWED"


@pytest.mark.parametrize(
    ("parts", "names"),
    [
        ({"equity": None}, "DAILY_LOSS: no equity"),
        ({"equity": D("NaN")}, "DAILY_LOSS: no equity"),
        ({"capital": None}, "SIZING: no capital"),
        ({"quote": "EUR"}, "SIZING: no rate for EUR"),
        ({"confidence": D("NaN")}, "CONFIDENCE: no number"),
        ({"stop": D("NaN")}, "STOP_INVALID: no number"),
        ({"free_cash": D("NaN")}, "BUYING_POWER: no number"),
        ({"exposure": D("NaN")}, "GROSS_EXPOSURE: no exposure"),
        ({"exposure": D(-1)}, "GROSS_EXPOSURE: no exposure"),
        ({"agent_exposure": D("Infinity")}, "CAPITAL_SHARE: no agent exposure"),
        ({"median": D("NaN")}, "PRICE_COLLAR: no median"),
        ({"position_notional_max": D("NaN")}, "POSITION_NOTIONAL: no notional limit"),
        ({"portfolio_share_frac": D(-1)}, "PORTFOLIO_SHARE: no share limit"),
        ({"quantity": D("NaN")}, "SIZE_CAP: no number"),
        ({"risk": D("NaN")}, "SIZING: no risk per trade"),
        ({"qty_step": D(0)}, "QTY_STEP: no quantity step"),
    ],
    ids=str,
)
def test_what_is_missing_or_no_number_is_a_refusal_that_names_it(parts: dict[str, Any], names: str) -> None:
    s = situation(**parts)
    assessment = assess(s, D(500))
    assert word(assessment) == "INPUT_MISSING"
    assert assessment.refused is not None
    assert assessment.refused.observed == names


def rule(*answer: Any) -> Callable[[Situation, Decimal], Any]:
    return lambda s, target: answer


def broken(s: Situation, target: Decimal) -> Any:
    raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (broken, "RuntimeError"),
        (rule(D(501), "", ""), "moved the target away"),
        (rule(D(-1), "", ""), "moved the target away"),
        (rule(D("NaN"), "", ""), "no number"),
        (rule(True), "ValueError"),
    ],
)
def test_a_guardrail_that_breaks_or_moves_a_target_away_refuses(bad: Any, why: str) -> None:
    guardrail = Guardrail(CheckCode.COOLDOWN, "", Applies.EVERY, "", "", bad)
    assessment = assess(situation(), D(500), (guardrail,))
    assert word(assessment) == ("INPUT_MISSING" if why == "no number" else "CHECK_FAILED")
    assert assessment.refused is not None
    assert assessment.refused.observed == f"COOLDOWN: {why}"
    assert assessment.target == D(0)


@pytest.mark.parametrize(
    ("direction", "current", "target"),
    [(BUY, "5", "4"), (SELL, "5", "6"), (FLAT, "5", "6"), (FLAT, "5", "-6"), (BUY, "0", "NaN"), (BUY, "0", "Infinity")],
)
def test_a_target_that_is_not_what_the_draft_asked_for_is_refused(
    direction: Direction, current: str, target: str
) -> None:
    assert word(assess(situation(direction=direction, current=D(current)), D(target))) == "CHECK_FAILED"


def test_a_draft_of_another_instrument_is_refused() -> None:
    s = situation()
    s = replace(s, draft=replace(s.draft, instrument="paper:ETH/USDT"))
    assert word(assess(s, D(1))) == "CHECK_FAILED"


def test_the_table_for_the_documentation_has_a_row_per_guardrail() -> None:
    rows = table()
    assert [row[0] for row in rows] == ORDER
    assert all(row[1] and row[2] for row in rows)
    assert (
        "CONFIDENCE",
        "the confidence is there and high enough",
        "every order",
        "limits.confidence_min, policy limits.confidence_min",
        "0.6",
    ) in rows


def mostly(usual: st.SearchStrategy[Any], odd: list[Any]) -> st.SearchStrategy[Any]:
    """Draw the odd ones seldom, so that many situations get as far as the last guardrails."""
    return st.integers(0, 19).flatmap(lambda n: st.sampled_from(odd) if n == 19 else usual)


BAD = [D("NaN"), D("Infinity"), D(-1), D(0)]
money = st.decimals("0", "200000", places=2)
plenty = st.decimals("20000", "200000", places=2)
anything = st.fixed_dictionaries(
    {
        "direction": mostly(st.just(BUY), [SELL, FLAT, HOLD]) | mostly(st.just(FLAT), [SELL]),
        "current": mostly(st.sampled_from([D(0), D("0.5004"), D(30)]), [D("-0.5"), D(2_000)]),
        "confidence": mostly(st.decimals("0.6", "1", places=2), [None, D("0.2"), *BAD]),
    },
    optional={
        "quantity": mostly(st.decimals("0.001", "300", places=3), [None, D(100_000), *BAD]),
        "target_qty": mostly(st.decimals("0.001", "300", places=3), [None, D(-5), *BAD]),
        "limit_price": mostly(st.decimals("95", "105", places=2), [None, D(50), *BAD]),
        "stop": mostly(st.decimals("60", "94", places=2), [None, D(120), *BAD]),
        "state": mostly(st.just(TradingState.ACTIVE), [TradingState.HALTED, TradingState.REDUCING]),
        "price": mostly(st.decimals("95", "105", places=2), [None, *BAD]),
        "median": mostly(st.decimals("95", "105", places=2), [None, D(50), *BAD]),
        "equity": mostly(plenty, [None, *BAD]),
        "capital": mostly(plenty, [None, *BAD]),
        "exposure": mostly(money, BAD),
        "agent_exposure": mostly(money, BAD),
        "net_exposure": mostly(money, BAD),
        "group_exposure": mostly(money, BAD),
        "group_share_frac": mostly(st.decimals("0.3", "1", places=2), BAD),
        "net_exposure_frac": mostly(st.decimals("0.3", "1", places=2), BAD),
        "leverage": mostly(st.decimals("0.3", "2", places=2), BAD),
        "day_start": mostly(plenty, [None, *BAD]),
        "free_cash": mostly(money, BAD),
        "position_notional_max": mostly(money, BAD),
        "portfolio_share_frac": mostly(st.decimals("0.1", "1", places=2), BAD),
        "qty_max": mostly(st.decimals("100", "1000", places=3), [None, *BAD]),
        "qty_fixed": mostly(st.decimals("0.001", "1000", places=3), [None, *BAD]),
        "trades_today": mostly(st.integers(0, 99), [-1, 100]),
        "open_instruments": mostly(st.integers(0, 4), [-1, 5]),
        "last_loss_ms": mostly(st.none(), [NOW_MS, NOW_MS - 1_800_000, NOW_MS + 1]),
        "market_open": mostly(st.just(True), [None, False]),
    },
)


@given(anything)
def test_the_end_lies_between_position_and_size_and_a_refusal_moves_nothing(parts: dict[str, Any]) -> None:
    s = situation(**parts)
    sized = size(s).target_qty
    assessment = assess(s, sized)
    assert min(s.current_qty, sized) <= assessment.target <= max(s.current_qty, sized)
    if assessment.refused or s.draft.direction is HOLD:
        assert assessment.target == s.current_qty
    if assessment.target != s.current_qty:
        assert s.state is not TradingState.HALTED
        assert (s.draft.confidence or 0) >= s.agent.limits.confidence_min
        delta = assessment.target - s.current_qty
        assert delta % s.instrument.qty_step == 0
        assert abs(delta) * max(s.price, s.draft.limit_price or s.price) >= s.instrument.min_notional


@given(anything)
def test_what_gets_through_as_an_entry_is_within_every_limit(parts: dict[str, Any]) -> None:
    s = situation(**parts)
    target = assess(s, size(s).target_qty).target
    if abs(target) <= abs(s.current_qty):
        return
    limits, added = s.agent.limits, (abs(target) - abs(s.current_qty)) * s.price
    assert s.state is TradingState.ACTIVE
    assert s.capital is not None
    assert s.equity is not None
    assert target * s.price <= limits.position_notional_max
    assert s.agent_exposure + added <= s.capital
    assert s.exposure + added <= s.equity * s.policy.limits.gross_exposure_frac
    assert s.group_exposure + added <= s.equity * s.policy.limits.group_share_frac
    assert s.net_exposure + added <= s.equity * s.policy.limits.net_exposure_frac
    assert s.exposure + added <= s.equity * s.policy.limits.leverage
    assert s.day_start is not None
    assert s.equity >= s.day_start * (1 - s.policy.limits.daily_loss_frac)
    assert added < s.free_cash
    assert limits.qty_max is None or target <= limits.qty_max


@given(anything, st.sampled_from([each.name for each in fields(Situation)]))
def test_the_absence_of_any_input_never_lets_more_through(parts: dict[str, Any], name: str) -> None:
    s = situation(**parts)
    if name in ("draft", "instrument", "current_qty", "last_loss_ms"):
        return  # without these there is no decision at all; no last loss is a value of its own
    target = size(s).target_qty
    before, after = assess(s, target).target, assess(replace(s, **{name: None}), target).target
    assert abs(after - s.current_qty) <= abs(before - s.current_qty)


def test_a_check_says_what_it_saw_against_its_limit() -> None:
    assessment = judged(confidence="0.41")
    assert assessment.refused == RiskCheck(CheckCode.CONFIDENCE, Verdict.REFUSE, "0.41", "0.6")
