"""What one question to a language model is made of: the context's prompt, and how its answer may name things."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.agents.context import StaleInputError, build_context
from engine.agents.prompts import Prompt, render
from engine.llm.client import ModelRequest

if TYPE_CHECKING:
    from engine.agents.cycle import Desk
    from engine.agents.manager import RunningAgent


@dataclass(frozen=True, slots=True, kw_only=True)
class Brief:
    """One question. symbols: as the model may write them -> instrument key; held: key -> the agent's position."""

    prompt: Prompt
    symbols: Mapping[str, str]
    held: Mapping[str, Decimal]


Briefing = Callable[[ModelRequest], Brief | str]
"""Makes a brief of what the engine knows now, or says in one sentence which input is missing or too old (A30)."""


def briefing_of(desk: Desk, agent: RunningAgent) -> Briefing:
    """Return what briefs an agent's model."""

    def brief(request: ModelRequest) -> Brief | str:
        keys = [view.instrument for view in request.views]
        try:
            context = build_context(desk, agent, request.trigger, keys, request.slot_ms)
            prompt = render(context, agent.config)
        except StaleInputError as error:
            return error.sentence
        return Brief(prompt=prompt, symbols=context.symbols, held=context.held)

    return brief
