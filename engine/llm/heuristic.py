"""Deterministic models: they answer at once, cost nothing, and give the same answer to the same features (R6, R7).

They enter only when flat and leave all at once. Each entry's confidence follows from the data by the rule its model
states, so that weak signals are weak: from 0.50 up to 0.95, where an agent's confidence_min draws the line. An exit
says 1.00, for leaving needs no conviction. The setting `confidence` replaces both, for tests and comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from engine.domain.decision import DecisionDraft, Direction, Outcome
from engine.domain.money import ZERO
from engine.errors import UsageError
from engine.llm.client import InstrumentView, ModelAnswer, ModelRequest, Settings
from engine.llm.settings import Setting, closest, read_settings

# Why a model holds: short constants, for a hold is what nearly every bar gets.
WARMING_UP = "warming_up"
HOLDING = "holding"
NO_CROSS = "no_cross"
NO_SIGNAL = "no_signal"
AGAINST_TREND = "against_trend"

Numbers = Mapping[str, int | float]
Said = str | DecisionDraft
"""A reason to hold, or a draft to trade."""
Rule = Callable[[InstrumentView], Said]


@dataclass(frozen=True, slots=True)
class Heuristic:
    """One model: what it may be set to, what it reads, and how its rule is made."""

    settings: tuple[Setting, ...]
    in_order: tuple[tuple[str, str], ...]
    features: Callable[[Numbers], tuple[str, ...]]
    rule: Callable[[Numbers], Rule]

    def read(self, model: str, settings: Settings) -> Numbers:
        """Return every setting's number. Raises UsageError on an unknown name or a number out of bounds."""
        numbers = read_settings(f"heuristic:{model}", self.settings, settings)
        for low, high in self.in_order:
            if not numbers[low] < numbers[high]:
                raise UsageError(
                    f"heuristic:{model} has {low} = {numbers[low]:g} and {high} = {numbers[high]:g}; "
                    f"{low} must be the smaller one."
                )
        return numbers


def sma_cross(n: Numbers) -> Rule:
    """Buy when the fast average crosses above the slow one, leave when it crosses below.

    Confidence: 0.5 + 2 x the distance of the averages in ATRs.
    """
    a, b = f"sma_{n['fast']}", f"sma_{n['slow']}"
    a_prev, b_prev = f"{a}_prev", f"{b}_prev"
    fast_title, slow_title = f"SMA {n['fast']}", f"SMA {n['slow']}"

    def rule(view: InstrumentView) -> Said:
        f = view.features
        fast, slow, fast_prev, slow_prev = f[a], f[b], f[a_prev], f[b_prev]
        total = fast + slow + fast_prev + slow_prev
        if total != total:
            return WARMING_UP
        if view.position_qty > ZERO:
            if fast_prev >= slow_prev and fast < slow:
                return _leave(n, view, f"{fast_title} crossed below {slow_title}: {fast:.7g} under {slow:.7g}")
            return HOLDING
        if not (fast_prev <= slow_prev and fast > slow):
            return NO_CROSS
        why = f"{fast_title} crossed above {slow_title}: {fast:.7g} over {slow:.7g}"
        return _enter(n, view, 2 * _in_atrs(n, f, fast - slow), why)

    return rule


def rsi_reversion(n: Numbers) -> Rule:
    """Buy when RSI comes back above oversold, above the trend average if one is set; leave at overbought.

    Confidence: 0.5 + how far below oversold RSI was, as a share of oversold.
    """
    name, low, high = f"rsi_{n['rsi_period']}", n["oversold"], n["overbought"]
    name_prev, trend = f"{name}_prev", f"sma_{n['trend_period']}" if n["trend_period"] else ""

    def rule(view: InstrumentView) -> Said:
        f = view.features
        rsi, rsi_prev = f[name], f[name_prev]
        total = rsi + rsi_prev + (f[trend] if trend else 0.0)
        if total != total:
            return WARMING_UP
        if view.position_qty > ZERO:
            if rsi >= high:
                return _leave(n, view, f"RSI {n['rsi_period']} reached {rsi:.4g}, overbought from {high:g}")
            return HOLDING
        if not (rsi_prev <= low < rsi):
            return NO_SIGNAL
        if trend and not f["close"] > f[trend]:
            return AGAINST_TREND
        why = f"RSI {n['rsi_period']} came back above {low:g}: {rsi:.4g} after {rsi_prev:.4g}"
        return _enter(n, view, (low - rsi_prev) / low, why)

    return rule


def macd_momentum(n: Numbers) -> Rule:
    """Buy when MACD crosses above its signal line, leave when it crosses below.

    Confidence: 0.5 + 2 x the distance of the two lines in ATRs.
    """
    tail = f"{n['fast']}_{n['slow']}_{n['signal']}"
    line, signal, gap, gap_before = f"macd_{tail}", f"macd_signal_{tail}", f"macd_hist_{tail}", f"macd_hist_{tail}_prev"

    def rule(view: InstrumentView) -> Said:
        f = view.features
        hist, hist_prev = f[gap], f[gap_before]
        total = hist + hist_prev
        if total != total:
            return WARMING_UP
        if view.position_qty > ZERO:
            if hist_prev >= 0 > hist:
                return _leave(n, view, f"MACD crossed below its signal: {f[line]:.5g} under {f[signal]:.5g}")
            return HOLDING
        if not hist_prev <= 0 < hist:
            return NO_CROSS
        why = f"MACD crossed above its signal: {f[line]:.5g} over {f[signal]:.5g}"
        return _enter(n, view, 2 * _in_atrs(n, f, hist), why)

    return rule


def breakout(n: Numbers) -> Rule:
    """Buy when a bar closes above the highest high before it, leave when one closes below the lowest low.

    Confidence: 0.5 + half the distance beyond the old high in ATRs.
    """
    top, bottom, entry, leave = f"highest_{n['period']}", f"lowest_{n['exit_period']}", n["period"], n["exit_period"]

    def rule(view: InstrumentView) -> Said:
        f = view.features
        close, high, low = f["close"], f[top], f[bottom]
        total = close + high + low
        if total != total:
            return WARMING_UP
        if view.position_qty > ZERO:
            if close < low:
                return _leave(n, view, f"closed below the low of {leave} bars: {close:.7g} under {low:.7g}")
            return HOLDING
        if not close > high:
            return NO_SIGNAL
        why = f"closed above the high of {entry} bars: {close:.7g} over {high:.7g}"
        return _enter(n, view, _in_atrs(n, f, close - high) / 2, why)

    return rule


def _in_atrs(n: Numbers, features: Mapping[str, float], distance: float) -> float:
    if "confidence" in n:
        return 0.0
    atr = features["atr_14"]
    return distance / atr if atr else 0.0


def _enter(n: Numbers, view: InstrumentView, strength: float, why: str) -> Said:
    if strength != strength:
        return WARMING_UP
    share = n["confidence"] if "confidence" in n else min(0.95, 0.5 + max(0.0, strength))
    return DecisionDraft(
        instrument=view.instrument, direction=Direction.BUY, rationale=why, confidence=_hundredths(share)
    )


def _leave(n: Numbers, view: InstrumentView, why: str) -> DecisionDraft:
    return DecisionDraft(
        instrument=view.instrument,
        direction=Direction.FLAT,
        rationale=why,
        confidence=_hundredths(n.get("confidence", 1.0)),
    )


def _hundredths(share: float) -> Decimal:
    # By way of a whole number: no float becomes a Decimal (R8). The 1e-9 undoes 0.29 * 100 = 28.999999999999996.
    return Decimal(math.floor(share * 100 + 1e-9)).scaleb(-2)


_CONFIDENCE = Setting("confidence", None, 0, 1, whole=False)
_WITH_ATR = ("atr:14",)


def _atr(n: Numbers) -> tuple[str, ...]:
    return () if "confidence" in n else _WITH_ATR


def _period(name: str, default: int, low: int = 2) -> Setting:
    return Setting(name, default, low, 1_000, whole=True)


MODELS: Mapping[str, Heuristic] = {
    "sma_cross": Heuristic(
        (_period("fast", 20), _period("slow", 50), _CONFIDENCE),
        (("fast", "slow"),),
        lambda n: (f"sma:{n['fast']}", f"sma:{n['slow']}", *_atr(n)),
        sma_cross,
    ),
    "rsi_reversion": Heuristic(
        (
            _period("rsi_period", 14),
            Setting("oversold", 30, 1, 99, whole=False),
            Setting("overbought", 70, 1, 99, whole=False),
            _period("trend_period", 0, 0),
            _CONFIDENCE,
        ),
        (("oversold", "overbought"),),
        lambda n: (f"rsi:{n['rsi_period']}", *(("close", f"sma:{n['trend_period']}") if n["trend_period"] else ())),
        rsi_reversion,
    ),
    "macd_momentum": Heuristic(
        (_period("fast", 12), _period("slow", 26), _period("signal", 9), _CONFIDENCE),
        (("fast", "slow"),),
        lambda n: (f"macd:{n['fast']},{n['slow']},{n['signal']}", *_atr(n)),
        macd_momentum,
    ),
    "breakout": Heuristic(
        (_period("period", 20), _period("exit_period", 10), _CONFIDENCE),
        (),
        lambda n: ("close", f"highest:{n['period']}", f"lowest:{n['exit_period']}", *_atr(n)),
        breakout,
    ),
}


@dataclass(slots=True)
class _Plan:
    """A model as one agent set it: its rule, and the hold answers it has given, for reuse."""

    model: str
    settings: Settings
    title: str
    rule: Rule
    drafts: dict[tuple[str, str], DecisionDraft] = field(default_factory=dict)
    holds: dict[tuple[str, ...], ModelAnswer] = field(default_factory=dict)


class HeuristicClient:
    """Answers for every heuristic model; keeps what is compiled and cached per agent."""

    provider = "heuristic"

    def __init__(self) -> None:
        self._plans: dict[str, _Plan] = {}

    def features_needed(self, model: str, settings: Settings) -> tuple[str, ...]:
        heuristic, name = _find(model)
        return heuristic.features(heuristic.read(name, settings))

    async def decide(self, request: ModelRequest) -> ModelAnswer:
        """Answer at once. An unknown model or setting, or a feature that is not there, is MODEL_ERROR."""
        try:
            plan = self._plans.get(request.agent)
            if plan is None or plan.settings is not request.settings or plan.model != request.model:
                plan = self._plans[request.agent] = _compile(request.model, request.settings)
            rule = plan.rule
            if len(request.views) == 1:
                view = request.views[0]
                said = rule(view)
                held = plan.holds.get((view.instrument, said)) if type(said) is str else None
                return held or _answer(plan, (view,), (said,))
            return _answer(plan, request.views, tuple([rule(view) for view in request.views]))
        except UsageError as error:
            return _no_answer(request.model, str(error))
        except KeyError as error:
            return _no_answer(request.model, f"the feature {error} is not there")
        except Exception as error:  # every failure is an outcome; nothing escapes into the engine's loop
            return _no_answer(request.model, repr(error))


def _find(model: str) -> tuple[Heuristic, str]:
    name = model.removeprefix("heuristic:")
    heuristic = MODELS.get(name)
    if heuristic is None:
        raise UsageError(f'heuristic model "{name}" is not known; {closest(name, MODELS)}')
    return heuristic, name


def _compile(model: str, settings: Settings) -> _Plan:
    heuristic, name = _find(model)
    return _Plan(model, settings, f"heuristic:{name}", heuristic.rule(heuristic.read(name, settings)))


def _answer(plan: _Plan, views: tuple[InstrumentView, ...], said: tuple[Said, ...]) -> ModelAnswer:
    drafts = tuple(
        _hold(plan, view.instrument, one) if isinstance(one, str) else one
        for view, one in zip(views, said, strict=True)
    )
    answer = ModelAnswer(
        outcome=Outcome.DECIDED,
        model=plan.title,
        drafts=drafts,
        input_tokens=0,
        output_tokens=0,
        cost_usd=ZERO,
        latency_ms=0,
    )
    if len(views) == 1 and isinstance(said[0], str):
        plan.holds[views[0].instrument, said[0]] = answer
    return answer


def _hold(plan: _Plan, instrument: str, reason: str) -> DecisionDraft:
    draft = plan.drafts.get((instrument, reason))
    if draft is None:
        draft = DecisionDraft(instrument=instrument, direction=Direction.HOLD, rationale=reason)
        plan.drafts[instrument, reason] = draft
    return draft


def _no_answer(model: str, detail: str) -> ModelAnswer:
    name = model.removeprefix("heuristic:")
    return ModelAnswer(outcome=Outcome.MODEL_ERROR, model=f"heuristic:{name}", drafts=(), detail=detail)
