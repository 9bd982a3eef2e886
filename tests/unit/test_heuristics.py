"""The deterministic models: signals, strengths, settings, and what they say when they cannot answer."""

from __future__ import annotations

import math
import random
from decimal import Decimal
from typing import Any

import pytest

from engine.domain.decision import DecisionDraft, Direction, Outcome
from engine.domain.market import Candle, Source, SourceKind
from engine.errors import UsageError
from engine.llm.client import InstrumentView, ModelAnswer, ModelRequest, Settings
from engine.llm.heuristic import MODELS, HeuristicClient
from engine.llm.router import client_for, parse_model
from engine.market.indicators import Indicators
from engine.market.series import Series

KEY = "paper:BTC/USDT"
D = Decimal
NAN = math.nan
SMA = {"sma_20": 101.2, "sma_50": 100.9, "sma_20_prev": 100.8, "sma_50_prev": 100.9, "atr_14": 2.0}
RSI = {"rsi_14": 31.0, "rsi_14_prev": 24.0}
MACD = {
    "macd_12_26_9": 1.25, "macd_signal_12_26_9": 1.0, "macd_hist_12_26_9": 0.25, "macd_hist_12_26_9_prev": -0.1,
    "atr_14": 2.0,
}  # fmt: skip
BREAK = {"close": 105.0, "highest_20": 104.0, "lowest_10": 95.0, "atr_14": 2.0}
FEATURES = {"sma_cross": SMA, "rsi_reversion": RSI, "macd_momentum": MACD, "breakout": BREAK}


def view(features: dict[str, float], held: str = "0", key: str = KEY) -> InstrumentView:
    return InstrumentView(key, features, D(100), 0, D(held))


async def ask(model: str, *views: InstrumentView, settings: Settings | None = None) -> ModelAnswer:
    return await HeuristicClient().decide(ModelRequest("a", model, 0, views, settings or {}))


async def draft_of(model: str, features: dict[str, float], held: str = "0", **settings: Any) -> DecisionDraft:
    answer = await ask(model, view(features, held), settings=settings)
    assert answer.outcome is Outcome.DECIDED, answer.detail
    (draft,) = answer.drafts
    return draft


@pytest.mark.parametrize(
    ("model", "changed", "confidence", "why"),
    [
        ("sma_cross", {}, "0.80", "SMA 20 crossed above SMA 50: 101.2 over 100.9"),
        ("sma_cross", {"sma_20": 100.92}, "0.52", "SMA 20 crossed above SMA 50: 100.92 over 100.9"),
        ("sma_cross", {"sma_20_prev": 100.9}, "0.80", "SMA 20 crossed above SMA 50: 101.2 over 100.9"),
        ("sma_cross", {"sma_20": 110.0}, "0.95", "SMA 20 crossed above SMA 50: 110 over 100.9"),
        ("sma_cross", {"atr_14": 0.0}, "0.50", "SMA 20 crossed above SMA 50: 101.2 over 100.9"),
        ("rsi_reversion", {}, "0.70", "RSI 14 came back above 30: 31 after 24"),
        ("rsi_reversion", {"rsi_14_prev": 30.0}, "0.50", "RSI 14 came back above 30: 31 after 30"),
        ("macd_momentum", {}, "0.75", "MACD crossed above its signal: 1.25 over 1"),
        ("breakout", {}, "0.75", "closed above the high of 20 bars: 105 over 104"),
    ],
)
async def test_a_model_enters_on_its_signal_with_the_strength_of_the_data(
    model: str, changed: dict[str, float], confidence: str, why: str
) -> None:
    draft = await draft_of(model, {**FEATURES[model], **changed})
    assert (draft.instrument, draft.direction) == (KEY, Direction.BUY)
    assert (draft.confidence, draft.rationale) == (D(confidence), why)
    assert str(draft.confidence) == confidence


@pytest.mark.parametrize(
    ("model", "changed", "why"),
    [
        ("sma_cross", {"sma_20": 100.5, "sma_20_prev": 101.0}, "SMA 20 crossed below SMA 50: 100.5 under 100.9"),
        ("rsi_reversion", {"rsi_14": 71.0}, "RSI 14 reached 71, overbought from 70"),
        ("macd_momentum", {"macd_hist_12_26_9": -0.2, "macd_hist_12_26_9_prev": 0.1, "macd_12_26_9": 0.8},
         "MACD crossed below its signal: 0.8 under 1"),
        ("breakout", {"close": 94.0}, "closed below the low of 10 bars: 94 under 95"),
    ],
)  # fmt: skip
async def test_a_model_leaves_all_at_once_and_with_certainty(model: str, changed: dict[str, float], why: str) -> None:
    draft = await draft_of(model, {**FEATURES[model], **changed}, held="0.3")
    assert (draft.direction, draft.confidence, draft.rationale) == (Direction.FLAT, D("1.00"), why)


@pytest.mark.parametrize(
    ("model", "changed", "held", "reason"),
    [
        ("sma_cross", {}, "0.3", "holding"),
        ("sma_cross", {"sma_20_prev": 101.0}, "0", "no_cross"),
        ("sma_cross", {"sma_20": 100.5, "sma_20_prev": 101.0}, "0", "no_cross"),
        ("sma_cross", {"sma_50_prev": NAN}, "0", "warming_up"),
        ("sma_cross", {"sma_50": NAN}, "0.3", "warming_up"),
        ("sma_cross", {"atr_14": NAN}, "0", "warming_up"),
        ("rsi_reversion", {"rsi_14": 29.0}, "0", "no_signal"),
        ("rsi_reversion", {"rsi_14_prev": 31.0}, "0", "no_signal"),
        ("rsi_reversion", {}, "0.3", "holding"),
        ("rsi_reversion", {"rsi_14_prev": NAN}, "0", "warming_up"),
        ("macd_momentum", {"macd_hist_12_26_9_prev": 0.1}, "0", "no_cross"),
        ("macd_momentum", {}, "0.3", "holding"),
        ("macd_momentum", {"macd_hist_12_26_9_prev": NAN}, "0", "warming_up"),
        ("breakout", {"close": 104.0}, "0", "no_signal"),
        ("breakout", {}, "0.3", "holding"),
        ("breakout", {"highest_20": NAN}, "0", "warming_up"),
    ],
)
async def test_a_hold_gives_a_short_reason(model: str, changed: dict[str, float], held: str, reason: str) -> None:
    draft = await draft_of(model, {**FEATURES[model], **changed}, held)
    assert (draft.direction, draft.rationale, draft.confidence) == (Direction.HOLD, reason, None)


@pytest.mark.parametrize(
    ("close", "direction", "why"), [(99.0, Direction.HOLD, "against_trend"), (101.0, Direction.BUY, "")]
)
async def test_reversion_buys_only_with_the_trend_when_one_is_set(close: float, direction: Direction, why: str) -> None:
    draft = await draft_of("rsi_reversion", {**RSI, "close": close, "sma_200": 100.0}, trend_period=200)
    assert draft.direction is direction
    assert why in draft.rationale


async def test_the_setting_confidence_replaces_the_rule_and_its_feature() -> None:
    features = {name: value for name, value in SMA.items() if name != "atr_14"}
    assert (await draft_of("sma_cross", features, confidence=1)).confidence == D(1)
    leaving = {**features, "sma_20": 100.5, "sma_20_prev": 101.0}
    assert (await draft_of("sma_cross", leaving, "1", confidence=0.29)).confidence == D("0.29")
    assert HeuristicClient().features_needed("sma_cross", {"confidence": 1}) == ("sma:20", "sma:50")


async def test_settings_choose_the_periods() -> None:
    features = {"sma_3": 2.0, "sma_5": 1.0, "sma_3_prev": 1.0, "sma_5_prev": 1.0, "atr_14": 1.0}
    assert (await draft_of("sma_cross", features, fast=3, slow=5)).rationale == "SMA 3 crossed above SMA 5: 2 over 1"


async def test_holds_are_answered_with_the_same_values_again() -> None:
    client, settings = HeuristicClient(), {}
    request = ModelRequest("a", "heuristic:sma_cross", 0, (view(SMA, "1"),), settings)
    first = await client.decide(request)
    assert await client.decide(request) is first
    assert (first.model, first.input_tokens, first.cost_usd) == ("heuristic:sma_cross", 0, D(0))


async def test_every_instrument_asked_about_gets_its_draft() -> None:
    answer = await ask("sma_cross", view(SMA), view(SMA, "1", "paper:ETH/USDT"))
    assert [(draft.instrument, draft.direction) for draft in answer.drafts] == [
        (KEY, Direction.BUY),
        ("paper:ETH/USDT", Direction.HOLD),
    ]


async def test_agents_on_one_client_keep_their_own_settings() -> None:
    client = HeuristicClient()
    loud: Settings = {"confidence": 0.9}
    for settings, confidence in ((loud, "0.90"), ({}, "0.80"), (loud, "0.90")):
        answer = await client.decide(ModelRequest("a", "sma_cross", 0, (view(SMA),), settings))
        assert answer.drafts[0].confidence == D(confidence)


@pytest.mark.parametrize(
    ("model", "features", "settings", "detail"),
    [
        ("sma_cros", SMA, {}, 'did you mean "sma_cross"?'),
        ("sma_cross", SMA, {"fst": 3}, 'did you mean "fast"?'),
        ("sma_cross", {"sma_20": 1.0}, {}, "the feature 'sma_50' is not there"),
        ("sma_cross", {**SMA, "sma_20": None}, {}, "TypeError"),
    ],
)
async def test_what_cannot_be_answered_is_an_outcome_of_its_own(
    model: str, features: dict[str, Any], settings: Settings, detail: str
) -> None:
    answer = await ask(model, view(features), settings=settings)
    assert (answer.outcome, answer.drafts) == (Outcome.MODEL_ERROR, ())
    assert detail in answer.detail


@pytest.mark.parametrize(
    ("model", "settings", "words"),
    [
        ("sma_cross", {"fast": 50}, "fast must be the smaller one"),
        ("sma_cross", {"fast": 1}, "write a whole number from 2 to 1000"),
        ("sma_cross", {"fast": 2.5}, "write a whole number"),
        ("sma_cross", {"fast": True}, "write a whole number"),
        ("sma_cross", {"fast": "20"}, "write a whole number"),
        ("sma_cross", {"slow": 1_001}, "from 2 to 1000"),
        ("sma_cross", {"confidence": 85}, "write a number from 0 to 1"),
        ("sma_cross", {"confidence": NAN}, "write a number from 0 to 1"),
        ("rsi_reversion", {"oversold": 80}, "oversold must be the smaller one"),
        ("rsi_reversion", {"overbought": 100}, "from 1 to 99"),
        ("macd_momentum", {"slow": 12}, "fast must be the smaller one"),
        ("breakout", {"exit_periods": 5}, 'did you mean "exit_period"?'),
        ("nonsense", {}, "breakout, macd_momentum, rsi_reversion, sma_cross"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_when_loaded(model: str, settings: Settings, words: str) -> None:
    with pytest.raises(UsageError, match="heuristic") as caught:
        HeuristicClient().features_needed(model, settings)
    assert words in str(caught.value)


def walk(count: int, seed: int) -> list[Candle]:
    """Return candles of a seeded random walk around 100."""
    rng, price, source = random.Random(seed), 10_000, Source(kind=SourceKind.SIMULATED, name="walk")
    candles = []
    for n in range(count):
        start, price = price, max(1_000, price + rng.randint(-60, 60))
        high, low = max(start, price) + rng.randint(0, 20), min(start, price) - rng.randint(0, 20)
        prices = [D(each) / 100 for each in (start, high, low, price)]
        candles.append(Candle(KEY, n * 60_000, 60_000, prices[0], prices[1], prices[2], prices[3], D(1), source))
    return candles


@pytest.mark.parametrize(
    ("model", "settings"),
    [
        *((model, {}) for model in MODELS),
        *((model, {"confidence": 0.7}) for model in MODELS),
        ("rsi_reversion", {"trend_period": 200, "oversold": 40}),
    ],
    ids=str,
)
async def test_on_real_features_entries_and_exits_alternate_and_some_signals_are_weak(
    model: str, settings: Settings
) -> None:
    client = HeuristicClient()
    indicators, series = Indicators(client.features_needed(model, settings)), Series(64)
    held, said, strengths = D(0), [], []
    for candle in walk(4_000, seed=7):
        series.append(candle)
        seen = InstrumentView(KEY, indicators.compute(series), candle.close, candle.close_ms, held)
        answer = await client.decide(ModelRequest("a", model, candle.close_ms, (seen,), settings))
        assert answer.outcome is Outcome.DECIDED, answer.detail
        draft = answer.drafts[0]
        if draft.direction is not Direction.HOLD:
            held = D(1) if draft.direction is Direction.BUY else D(0)
            said.append(draft.direction)
            strengths += [draft.confidence] if held else []
    assert len(said) > 10
    assert set(said[0::2]) == {Direction.BUY}
    assert set(said[1::2]) == {Direction.FLAT}
    if "confidence" in settings:
        assert set(strengths) == {D("0.70")}
    else:
        assert all(D("0.50") <= each <= D("0.95") for each in strengths)
        assert any(each < D("0.60") for each in strengths)
        assert any(each >= D("0.60") for each in strengths)


def test_the_crosses_are_those_of_a_plain_reckoning_of_averages() -> None:
    candles = walk(1_500, seed=11)
    closes = [candle.close for candle in candles]
    means = {n: [sum(closes[i - n + 1 : i + 1], D(0)) / n for i in range(49, 1_500)] for n in (20, 50)}
    ups = [
        i + 49 for i in range(1, 1_451)
        if means[20][i - 1] <= means[50][i - 1] and means[20][i] > means[50][i]
    ]  # fmt: skip
    client, series = HeuristicClient(), Series(64)
    indicators = Indicators(client.features_needed("sma_cross", {"confidence": 1}))
    rule = MODELS["sma_cross"].rule({"fast": 20, "slow": 50, "confidence": 1})
    found = []
    for n, candle in enumerate(candles):
        series.append(candle)
        said = rule(view(indicators.compute(series)))
        if isinstance(said, DecisionDraft):
            found.append(n)
    assert found == ups


@pytest.mark.parametrize("model", MODELS)
def test_the_router_finds_a_client_with_and_without_the_providers_name(model: str) -> None:
    assert parse_model(f"heuristic:{model}") == parse_model(model) == ("heuristic", model)
    assert client_for(f"heuristic:{model}").provider == "heuristic"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("anthropic:claude", "the known ones are: heuristic."),
        ("heuristc:sma_cross", 'did you mean "heuristic"?'),
        ("heuristic:sma_cros", 'did you mean "sma_cross"?'),
        ("heuristic:", "the known ones are"),
        ("", "the known ones are"),
    ],
)
def test_the_router_says_which_models_there_are(model: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        client_for(model)
    assert words in str(caught.value)
