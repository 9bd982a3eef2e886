"""What is kept of a decision outside the journal, put beside what the journal says of it: prompt, answer, inputs."""

from __future__ import annotations

from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.agents import keeping
from engine.agents.draft import AnswerError, parse_answer
from engine.agents.lanes import standing
from engine.agents.prompts import kept as kept_prompt
from engine.clock import iso
from engine.control.wire import to_json
from engine.domain.decision import DecisionDraft
from engine.domain.money import plain
from engine.domain.valuation import Valuation
from engine.errors import StoreError
from engine.paths import StorePaths
from engine.risk.situation import Situation
from engine.runtime.link import query
from engine.runtime.stores import there
from engine.store.lock import lock_owner
from engine.store.past import books_before
from engine.store.prompts import PromptStore

GONE = "no longer kept"
_WHERE_THERE = ("drafts", "inputs", "asked", "beside")
_EVER = 2**62
Told = dict[str, Any]


def with_kept(paths: StorePaths, told: Told) -> Told:
    """Return what `explain` found, with prompts and answers word for word, drafts, and the age of each input."""
    store = PromptStore(paths.prompts)
    digest = told.get("situation", "")
    drafts, inputs = _judged_on(store, digest)
    asked = [_asked(store, each) for each in told.get("asked", [])]
    beside = [_asked(store, each) for each in told.get("beside", [])]
    found = {**told, "asked": asked, "beside": beside, "drafts": drafts, "inputs": inputs}
    return {name: value for name, value in found.items() if name not in _WHERE_THERE or value}


def shadows(store: Path) -> list[Told]:
    """Return each agent that has a shadow beside it: from the running engine, or from the store at rest.

    At rest nothing has a price: what is open cannot be valued, and then what it came to is not known.
    """
    paths = there(store)
    if lock_owner(paths) is not None:
        return [row["shadow"] for row in query(store, "agents", {}) if row.get("shadow")]
    books = books_before(paths, _EVER)
    assert books.genesis is not None
    unpriced = Valuation(books.genesis.account_currency, books.genesis.usd_peg)
    return [to_json(standing(books, unpriced, name)) for name in sorted(books.lanes.open)]


def _asked(store: PromptStore, one: Told) -> Told:
    """Put the texts of one question where the journal has their hashes."""
    shown = dict(one)
    if one.get("prompt"):
        shown["prompt"] = {"hash": one["prompt"], **_prompt(store, one["prompt"])}
    if one.get("answer"):
        shown["answer"] = {"hash": one["answer"], "text": store.get(one["answer"]) or GONE}
    return shown


def _prompt(store: PromptStore, digest: str) -> Told:
    text = store.get(digest)
    if text is None:
        return {"text": GONE}
    try:
        told = kept_prompt(store, digest)
    except (ValueError, TypeError, KeyError):
        return {"text": text}  # kept whole, as one text
    if told is None:
        return {"text": GONE}
    return {name: told.get(name) or GONE if name in ("system", "user") else told.get(name) for name in _SHOWN}


_SHOWN = ("version", "dropped", "system", "user")


def _judged_on(store: PromptStore, digest: str) -> tuple[list[Told], list[Told]]:
    try:
        record = keeping.load(store, digest)
    except StoreError as error:
        return [], [{"situation": str(error)}]
    if record is None:
        return [], [{"situation": GONE}] if digest else []
    return [draft_row(each.draft) for each in record.situations], [_inputs(each) for each in record.situations]


def draft_row(draft: DecisionDraft) -> Told:
    """Return a draft as JSON can carry it; what it does not say is left out."""
    return {
        each.name: _plain(getattr(draft, each.name)) for each in fields(draft) if getattr(draft, each.name) is not None
    }


def _inputs(situation: Situation) -> Told:
    """Return what one draft was judged on, with ages."""
    mark = situation.mark
    return {
        "instrument": situation.instrument.key,
        "judged_at": iso(situation.now_ms),
        "price": None if mark is None else plain(mark.price),
        "price_age_ms": None if mark is None else situation.now_ms - mark.ts_ms,
        "price_source": None if mark is None else mark.source.kind.value,
        "median": _plain(situation.median),
        "position": plain(situation.current_qty),
        "account_position": plain(situation.account_qty),
        "equity": _plain(situation.equity),
        "capital": _plain(situation.capital),
        "free_cash": plain(situation.free_cash),
        "exposure": plain(situation.exposure),
        "trades_today": situation.trades_today,
        "market_open": situation.market_open,
        "trading_state": situation.state.value,
    }


def _plain(value: Any) -> Any:
    return plain(value) if isinstance(value, Decimal) else getattr(value, "value", value)


def drafts_of_answer(text: str, situations: tuple[Situation, ...]) -> tuple[DecisionDraft, ...] | str:
    """Read a kept answer again with the symbols of its cycle; in words, why it is none."""
    allowed: dict[str, str] = {}
    for each in situations:
        allowed |= {each.instrument.symbol: each.instrument.key, each.instrument.key: each.instrument.key}
    try:
        return parse_answer(text, allowed)
    except AnswerError as error:
        return str(error)
