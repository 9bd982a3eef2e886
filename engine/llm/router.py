"""From a model's name to the provider that answers for it (R6)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from engine.errors import UsageError
from engine.llm.client import ModelClient
from engine.llm.heuristic import MODELS, HeuristicClient
from engine.llm.settings import closest

PROVIDERS: Mapping[str, Callable[[], ModelClient]] = {"heuristic": HeuristicClient}
DEFAULT_PROVIDER = "heuristic"


def parse_model(model: str, also: Collection[str] = ()) -> tuple[str, str]:
    """Split "provider:name"; a name alone is the heuristic's. Raises UsageError when nothing answers to it.

    also: names of further providers, whose models only they know.

    >>> parse_model("heuristic:sma_cross"), parse_model("breakout")
    (('heuristic', 'sma_cross'), ('heuristic', 'breakout'))
    """
    provider, colon, name = model.partition(":")
    if not colon:
        provider, name = DEFAULT_PROVIDER, model
    if provider not in PROVIDERS and provider not in also:
        known = {*PROVIDERS, *also}
        raise UsageError(f'no provider "{provider}" for the model "{model}"; {closest(provider, known)}')
    if provider == DEFAULT_PROVIDER and name not in MODELS:
        raise UsageError(f'no model "{name}" of the provider {provider}; {closest(name, MODELS)}')
    return provider, name


def client_for(model: str) -> ModelClient:
    """Return a client that answers for a model. Raises UsageError as parse_model does."""
    provider, _name = parse_model(model)
    return PROVIDERS[provider]()


def is_deterministic(model: str) -> bool:
    """Tell whether a model costs nothing and needs no asking.

    >>> is_deterministic("sma_cross"), is_deterministic("heuristic:breakout"), is_deterministic("ollama:llama3:8b")
    (True, True, False)
    """
    return model.partition(":")[0] == "heuristic" or ":" not in model
