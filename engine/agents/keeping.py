"""What a decision was judged on, kept by hash beside the prompts, so that it can be judged again from the record alone.

One text a cycle: the situations without the agent and the policy, which are kept once each, and the features that
deterministic models read, so that one of them can be asked about the same instant later.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite, nan

from engine.agents.manager import RunningAgent
from engine.domain.events import SituationKept
from engine.errors import StoreError, UsageError
from engine.llm.heuristic import MODELS
from engine.market.indicators import Indicators
from engine.market.state import MarketState
from engine.risk.record import freeze, thaw
from engine.risk.situation import Situation
from engine.store.prompts import PromptStore

_SHARED = ("agent", "policy", "instrument")
"""Fields that are the same in many situations: each text of them is kept once."""
Features = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Kept:
    """One cycle's record. features: instrument key -> name -> value, NaN where it was not warm."""

    situations: tuple[Situation, ...]
    features: Features


class Keeper:
    """Keeps situations. always: of deterministic models' decisions too, for there is no recording to make them from."""

    def __init__(self, store: PromptStore, *, always: bool) -> None:
        self.store, self.always = store, always

    def wants(self, agent: RunningAgent) -> bool:
        """Tell whether an agent's decisions are to be kept."""
        return self.always or agent.client.provider != "heuristic"

    def keep(self, cycle_id: str, situations: Sequence[Situation], features: Features) -> SituationKept:
        """Keep one cycle's situations; return the event that names them. A full disk costs the record, no trade."""
        try:
            return SituationKept(
                cycle_id=cycle_id, digest=self.store.put("situation", self._text(situations, features))
            )
        except (OSError, StoreError):
            return SituationKept(cycle_id=cycle_id, digest="")

    def _text(self, situations: Sequence[Situation], features: Features) -> str:
        told = {
            key: {name: value if isfinite(value) else None for name, value in values.items()}
            for key, values in features.items()
        }
        return json.dumps({"situations": [self._parts(each) for each in situations], "features": told})

    def _parts(self, situation: Situation) -> dict[str, str]:
        parts = freeze(situation)
        return parts | {name: self.store.put("part", parts[name]) for name in _SHARED}


def load(store: PromptStore, digest: str) -> Kept | None:
    """Return a cycle's record; None when it is gone. Raises StoreError when this version cannot read it."""
    text = store.get(digest) if digest else None
    if text is None:
        return None
    said = json.loads(text)
    whole = [_whole(store, parts) for parts in said["situations"]]
    features = {
        key: {name: nan if value is None else float(value) for name, value in values.items()}
        for key, values in said["features"].items()
    }
    return None if None in whole else Kept(tuple(thaw(each) for each in whole if each is not None), features)


def _whole(store: PromptStore, parts: Mapping[str, str]) -> Mapping[str, str] | None:
    shared = {name: store.get(parts[name]) for name in _SHARED}
    found = {name: text for name, text in shared.items() if text is not None}
    return {**parts, **found} if len(found) == len(_SHARED) else None


@cache
def deterministic_specs() -> tuple[str, ...]:
    """Return the indicators that the deterministic models read at their default settings."""
    return tuple(dict.fromkeys(spec for model in MODELS.values() for spec in model.features(model.read("", {}))))


def features_of(market: MarketState, agent: RunningAgent, instruments: Iterable[str]) -> Features:
    """Return what deterministic models would read now, of the bars that the market has kept."""
    if agent.wide is None:
        agent.wide = Indicators(deterministic_specs())
    found: dict[str, Mapping[str, float]] = {}
    for key in instruments:
        try:
            series = market.series(key, agent.config.timeframe_ms)
        except UsageError:
            continue
        series.reserve(agent.wide.window)
        enough = series.end >= min(series.count, agent.wide.window)
        found[key] = agent.wide.compute(series) if enough else {}
    return found
