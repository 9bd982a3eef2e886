"""The engine's side of a paid rerun: the recorded question, its price, and the one way to ask it.

Only who owns the store may reserve and write, so a rerun goes to that engine and never past it: over its socket while
one runs, and by being it for a moment when none does. What the answer would have changed is then judged by the caller,
who only reads.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from engine.agents import keeping
from engine.agents.beside import Aside, AsideAnswer, PurposeMeter, ask_beside
from engine.agents.cycle import Desk
from engine.agents.draft import parse_answer
from engine.agents.language import SETTINGS
from engine.agents.prompts import kept as kept_prompt
from engine.api import AskAgain, Reply
from engine.control.wire import to_json
from engine.domain.agent import TRADER
from engine.domain.budget import Purpose
from engine.domain.money import plain
from engine.errors import RefusedError, UsageError
from engine.llm.asking import Asker, worst_tokens
from engine.llm.chat import ChatRequest
from engine.llm.meter import OverBudget
from engine.llm.settings import read_settings
from engine.paths import StorePaths
from engine.risk.situation import Situation
from engine.runtime.models import Models
from engine.store.explain import explain
from engine.store.past import cycle_rows
from engine.store.prompts import PromptStore
from engine.store.reader import Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A cycle's question as it was kept. symbols: as a model may write them -> instrument key."""

    agent: str
    prompt: str
    told: Mapping[str, Any]
    symbols: Mapping[str, str]
    output_tokens_max: int


class Again:
    """Asks recorded questions again, on the engine's own loop, at the trader's cost."""

    def __init__(self, paths: StorePaths, desk: Desk, models: Models) -> None:
        self._paths = paths
        self._desk = desk
        self._models = models
        self._store = PromptStore(paths.prompts)
        self._meter = None if desk.meter is None else PurposeMeter(desk.meter, Purpose.RERUN)

    async def ask(self, command: AskAgain) -> Reply:
        """Ask, or say what it would cost at most. Raises RefusedError, UsageError where it may not or cannot be."""
        asker, name = self._models.beside(command.model, Purpose.RERUN)
        self._require_allowed()
        found = await asyncio.to_thread(recorded, self._paths, command.cycle_id)
        request = self._request(found, name)
        usd = self._quote(asker, request)
        if command.usd_max is None:
            text = f"{command.model} would be asked what {command.cycle_id} asked, for at most {plain(usd)} USD."
            return Reply(ok=True, text=text, data={"usd_max": plain(usd), "within_ms": request.timeout_ms})
        if not usd <= command.usd_max:
            raise RefusedError(
                f"It would cost up to {plain(usd)} USD now, and {plain(command.usd_max)} USD was agreed to; "
                "nothing was asked."
            )
        # Loading an SDK takes longer than a loop may stand still.
        problem = self._models.locked(asker.name) or await asyncio.to_thread(asker.chat.prepare)
        if problem:
            raise RefusedError(f"Nothing was asked: {problem}.")
        answer = await self._ask(command, asker, found, request)
        text = f"{command.model}: {answer.outcome.value}, for {plain(answer.cost_usd)} USD."
        return Reply(ok=True, text=text, data=_data(command, found, answer))

    def _require_allowed(self) -> None:
        if self._models.barred:
            raise RefusedError(f"Nothing was asked: {self._models.barred}.")
        if not self._desk.surroundings.policy.ai.live_inference:
            raise RefusedError("Nothing was asked: live inference is off by policy.")

    def _request(self, found: Recorded, model: str) -> ChatRequest:
        told = found.told
        return ChatRequest(
            system=told["system"], user=told["user"], schema=told["schema"], model=model,
            output_tokens_max=found.output_tokens_max, timeout_ms=self._models.timeout_ms,
        )  # fmt: skip

    def _quote(self, asker: Asker, request: ChatRequest) -> Decimal:
        meter = self._desk.meter
        if meter is None:
            raise RefusedError("This engine asks no models.")
        usd = meter.quote(
            provider=asker.name, model=request.model, agent=TRADER, input_tokens=worst_tokens(request),
            output_tokens_max=request.output_tokens_max, now_ms=self._desk.clock.now_ms(),
        )  # fmt: skip
        if isinstance(usd, OverBudget):
            raise RefusedError(f"Nothing was asked: {usd.sentence}")
        return usd

    async def _ask(self, command: AskAgain, asker: Asker, found: Recorded, request: ChatRequest) -> AsideAnswer:
        assert self._meter is not None
        aside = Aside(
            purpose=Purpose.RERUN, cycle_id=command.cycle_id, agent=found.agent, payer=TRADER, prompt=found.prompt,
            template=str(found.told["version"]), request=request, attempts_max=1,
            deadline_ms=self._models.wall.mono_ms() + request.timeout_ms,
        )  # fmt: skip
        return await ask_beside(
            aside, asker, self._meter, lambda text: parse_answer(text, found.symbols), self._desk.journal,
            self._desk.clock, self._store,
        )  # fmt: skip


def recorded(paths: StorePaths, cycle_id: str) -> Recorded:
    """Return what a cycle asked. Raises UsageError where nothing was asked, decided or kept."""
    reader = Reader(paths)
    try:
        told = reader.read(explain(cycle_id))
        if "seq" not in told:
            raise UsageError(f"{cycle_id} is a trade of the trader's own, which no model decided; name a cycle.")
        rows = reader.read(cycle_rows(cycle_id, told["seq"]))
    finally:
        reader.close()
    asked = next((each for each in told.get("asked", ()) if each["prompt"]), None)
    if asked is None:
        raise UsageError(f"{cycle_id} asked no language model, so there is no question to ask again.")
    store = PromptStore(paths.prompts)
    prompt, record = _prompt(store, asked["prompt"]), keeping.load(store, rows.situation)
    if prompt is None or (rows.situation and record is None):
        raise UsageError(f"what {cycle_id} asked is no longer kept; the policy says for how long.")
    if record is None or not record.situations:
        raise UsageError("There was no decision in that cycle, so there is nothing another model could be asked about.")
    config = record.situations[0].agent
    settings = read_settings(config.model, SETTINGS, config.model_settings)
    return Recorded(
        agent=config.name, prompt=asked["prompt"], told=prompt, symbols=_symbols(record.situations),
        output_tokens_max=int(settings["output_tokens_max"]),
    )  # fmt: skip


def _symbols(situations: tuple[Situation, ...]) -> dict[str, str]:
    """Return what a model may write, as in the question: the venue's symbol, or the key where two venues share one."""
    named = [each.instrument.symbol for each in situations]
    keys = [each.instrument.key for each in situations]
    return {symbol if named.count(symbol) == 1 else key: key for symbol, key in zip(named, keys, strict=True)}


def _prompt(store: PromptStore, digest: str) -> Mapping[str, Any] | None:
    told = kept_prompt(store, digest)
    if told is None or told["system"] is None or told["schema"] is None:
        return None
    return {**told, "schema": json.loads(told["schema"])}


def _data(command: AskAgain, found: Recorded, answer: AsideAnswer) -> dict[str, Any]:
    return to_json(
        {
            "model": command.model,
            "answered": answer.answered,
            "outcome": answer.outcome,
            "detail": answer.detail,
            "prompt": found.prompt,
            "answer": answer.answer,
            "text": answer.text,
            "input_tokens": answer.input_tokens,
            "output_tokens": answer.output_tokens,
            "usd": answer.cost_usd,
            "latency_ms": answer.latency_ms,
        }
    )
