"""`quarterdeck rerun`: judge a recorded decision again, from the record alone, and send nothing.

A language model is asked by the engine that owns the store, which alone may reserve and write; this side only reads.

What a language model's decision was judged on is kept beside the journal, and so is any decision made on live prices.
A deterministic model's decision in a replay is made again: the books from the journal, the market from the recording
that the journal names by its hash.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.agents import keeping
from engine.agents.keeping import Kept
from engine.config import load_policy
from engine.domain.decision import DecisionDraft, Direction, Disposition, Outcome, describe_action
from engine.domain.events import ApprovalAsked, CycleDone, CycleItem, OrderIntended
from engine.domain.intent import Autonomy, Intent
from engine.domain.money import plain
from engine.domain.order import OrderRole
from engine.domain.policy import Policy
from engine.errors import StoreError, UsageError
from engine.ids import client_order_id
from engine.llm.client import InstrumentView, ModelRequest
from engine.llm.router import client_for, is_deterministic, parse_model
from engine.paths import StorePaths
from engine.risk.gate import Ruling, judge
from engine.risk.situation import Situation
from engine.runtime.paid import Agree, ask_again
from engine.runtime.remaking import at_once, remade
from engine.runtime.stores import there
from engine.store.explain import explain
from engine.store.past import CycleRows, books_before, cycle_rows
from engine.store.prompts import PromptStore
from engine.store.reader import Reader

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunOptions:
    """Which cycle, and what to change: a policy, a deterministic model, or another model's answer word for word.

    recordings: files to look for the replay's prices in.
    """

    cycle: str
    policy: Policy | None = None
    model: str | None = None
    answer: str | None = None
    recordings: tuple[Path, ...] = ()


def rerun_cycle(
    store: Path, cycle: str, *, policy: Path | None = None, model: str | None = None, answer: Path | None = None,
    recordings: tuple[Path, ...] = (), agree: Agree | None = None,
) -> Answer:  # fmt: skip
    """Judge a cycle of a store again, as rerun() says. policy, answer: files of what to judge it with as well.

    agree: asked before a language model is, with what it may cost; without it none is asked.
    """
    adopted = None if policy is None else load_policy(policy)
    text = None if answer is None else answer.read_text(encoding="utf-8", errors="surrogateescape")
    options = RerunOptions(cycle=cycle, policy=adopted, model=model, answer=text, recordings=recordings)
    paths = there(store)
    if model is None or is_deterministic(model):
        return rerun(paths, options)
    if text is not None:
        raise UsageError("Both --model and --answer were given; name one of them.")
    return _with_paid(paths, options, model, agree)


def _with_paid(paths: StorePaths, options: RerunOptions, model: str, agree: Agree | None) -> Answer:
    """Ask a language model through the store's engine, and judge what it answered."""
    first = rerun(paths, replace(options, model=None))  # nothing is spent on what cannot be judged
    told = ask_again(paths.root, options.cycle, model, agree)
    under: Answer = {"policy": options.policy is not None, "model": model, "answer": False}
    if told["outcome"] != Outcome.DECIDED.value:
        return first | {"under": under, "asked": told}
    answer = rerun(paths, replace(options, model=None, answer=told["text"]))
    return answer | {"under": under, "asked": told}


def rerun(paths: StorePaths, options: RerunOptions) -> Answer:
    """Judge a cycle again. same: the intents, decisions and checks are the recorded ones, bit for bit."""
    reader = Reader(paths)
    try:
        told = reader.read(explain(options.cycle))
        if "seq" not in told:
            raise UsageError(f"{options.cycle} is a trade of the trader's own, which no model decided; name a cycle.")
        rows = reader.read(cycle_rows(options.cycle, told["seq"]))
        record, made_from = _record(paths, reader, rows, options)
    finally:
        reader.close()
    store_id = _store_id(paths, rows)
    recorded = [_recorded(item, rows, store_id) for item in _items(rows)]
    again = [_again(each, options, store_id) for each in _judged(record.situations, rows)]
    answer: Answer = {
        "cycle_id": options.cycle,
        "made_from": made_from,
        "answer": _read_again(paths, told.get("asked", []), record),
    }
    answer |= _compared(recorded, again) if _items(rows) else _held(record)
    if options.policy is not None or options.model is not None or options.answer is not None:
        changed = _changed(record, options)
        others = [_again(each, options, store_id) for each in _judged(changed, rows)]
        answer["under"] = {
            "policy": options.policy is not None,
            "model": options.model,
            "answer": options.answer is not None,
        }
        answer["differences"] = list(_differences(again, others))
    return answer


def _record(paths: StorePaths, reader: Reader, rows: CycleRows, options: RerunOptions) -> tuple[Kept, str]:
    if rows.situation:
        record = keeping.load(PromptStore(paths.prompts), rows.situation)
        if record is None:
            raise StoreError(f"what {options.cycle} was judged on is no longer kept; the policy says for how long.")
        return record, "what was kept of it"
    if isinstance(rows.event, CycleDone) and rows.event.outcome is not Outcome.DECIDED and not rows.event.items:
        return Kept((), {}), "its outcome alone: there was no decision"
    return remade(paths, reader, rows, options.recordings), "the journal and the recording"


def _store_id(paths: StorePaths, rows: CycleRows) -> str:
    found = next((each.client_order_id[:8] for each in rows.caused if isinstance(each, OrderIntended)), "")
    genesis = None if found else books_before(paths, 2).genesis
    return found or (genesis.store_id if genesis else "")


def _items(rows: CycleRows) -> Sequence[CycleItem]:
    return rows.event.items if isinstance(rows.event, CycleDone) else ()


# What is recorded and what comes out again, in the same words.


def _recorded(item: CycleItem, rows: CycleRows, store_id: str) -> Answer:
    mine = [each for each in rows.caused if each.instrument == item.instrument]
    return _words(item) | {"intent": _intent_of_events(mine)}


def _words(item: CycleItem) -> Answer:
    return {
        "instrument": item.instrument,
        "direction": item.direction.value,
        "current_qty": plain(item.current_qty),
        "target_qty": plain(item.target_qty),
        "action": describe_action(item.direction.value, item.current_qty, item.target_qty),
        "confidence": None if item.confidence is None else plain(item.confidence),
        "price": None if item.price is None else plain(item.price),
        "price_ms": item.price_ms,
        "rationale": item.rationale,
        "disposition": item.disposition.value,
        "bound_by": item.bound_by,
        "checks": [[c.code.value, c.verdict.value, c.observed, c.limit] for c in item.checks],
    }


def _intent_of_events(events: Sequence[OrderIntended | ApprovalAsked]) -> Answer | None:
    asked = next((each for each in events if isinstance(each, ApprovalAsked)), None)
    if asked is not None:
        return _intent_words(asked.approval_id, "", asked, asked.stop_price, asked.target_price)
    orders = [each for each in events if isinstance(each, OrderIntended)]
    main = next((each for each in orders if not each.role.is_protection), None)
    if main is None:
        return None
    stop = next((each.trigger_price for each in orders if each.role is OrderRole.STOP), None)
    take = next((each.limit_price for each in orders if each.role is OrderRole.TARGET), None)
    return _intent_words(main.intent_id, main.client_order_id, main, stop, take)


def _intent_words(intent_id: str, order_id: str, one: Any, stop: Any, take: Any) -> Answer:
    def text(value: Any) -> str | None:
        return None if value is None else plain(value)

    return {
        "intent_id": intent_id,
        "client_order_id": order_id,
        "role": one.role.value,
        "side": one.side.value,
        "order_type": one.order_type.value,
        "qty": text(one.qty),
        "price": text(one.price),
        "limit_price": text(one.limit_price),
        "stop_price": text(stop),
        "target_price": text(take),
    }


@dataclass(frozen=True, slots=True)
class _Again:
    situation: Situation
    ruling: Ruling | None
    disposition: Disposition


def _judged(situations: Sequence[Situation], rows: CycleRows) -> Iterator[_Again]:
    cycle = rows.event.cycle_id if isinstance(rows.event, CycleDone) else ""
    for situation in situations:
        if situation.draft.direction is Direction.HOLD:
            yield _Again(situation, None, Disposition.HOLD)
            continue
        ruling = judge(situation, cycle, f"{cycle}:{situation.draft.instrument}")
        yield _Again(situation, ruling, _disposition(situation, ruling))


def _disposition(situation: Situation, ruling: Ruling) -> Disposition:
    if ruling.assessment.refused:
        return Disposition.REFUSED
    if ruling.intent is None:
        return Disposition.NO_CHANGE
    said = {Autonomy.OBSERVE: Disposition.OBSERVED, Autonomy.APPROVE: Disposition.AWAITING_APPROVAL}
    return said.get(situation.agent.autonomy, Disposition.ACTED)


def _again(one: _Again, options: RerunOptions, store_id: str) -> Answer:
    situation, ruling = one.situation, one.ruling
    mark, draft, current = situation.mark, situation.draft, situation.current_qty
    decision = None if ruling is None else ruling.decision
    item = CycleItem(
        draft.instrument, draft.direction, one.disposition, current,
        current if decision is None else decision.target_qty, draft.confidence,
        mark.price if mark else None, mark.ts_ms if mark else 0, draft.rationale[:500], "",
        "" if ruling is None else ruling.bound_by, () if ruling is None else ruling.assessment.checks,
    )  # fmt: skip
    intent = ruling.intent if ruling else None
    sent = intent is not None and one.disposition in (Disposition.ACTED, Disposition.AWAITING_APPROVAL)
    return _words(item) | {"intent": _intent_again(intent, one.disposition, store_id) if sent else None}


def _intent_again(intent: Intent | None, disposition: Disposition, store_id: str) -> Answer | None:
    if intent is None:
        return None
    order_id = client_order_id(store_id, intent.intent_id) if disposition is Disposition.ACTED else ""
    return _intent_words(intent.intent_id, order_id, intent, intent.stop_price, intent.target_price)


def _compared(recorded: list[Answer], again: list[Answer]) -> Answer:
    off = list(_differences(recorded, again))
    return {"same": not off, "off": off, "decisions": again}


def _held(record: Kept) -> Answer:
    traded = [each.draft.instrument for each in record.situations if each.draft.direction is not Direction.HOLD]
    return {"same": not traded, "off": [{"instrument": key, "recorded": "hold"} for key in traded], "decisions": []}


def _differences(before: list[Answer], after: list[Answer]) -> Iterator[Answer]:
    """Yield each field that is not the same, by instrument."""
    was, now = ({each["instrument"]: each for each in side} for side in (before, after))
    for key in dict.fromkeys([*was, *now]):
        one, other = was.get(key, {}), now.get(key, {})
        for name in dict.fromkeys([*one, *other]):
            if one.get(name) != other.get(name):
                yield {"instrument": key, "field": name, "was": one.get(name), "now": other.get(name)}


# Under another policy or model.


def _changed(record: Kept, options: RerunOptions) -> list[Situation]:
    situations = list(record.situations)
    if options.answer is not None:
        drafts = _drafts_in(record, options.answer)
        situations = [replace(each, draft=drafts[each.instrument.key]) for each in situations]
    elif options.model is not None:
        drafts = _drafts_of(record, options.model)
        situations = [replace(each, draft=drafts[each.instrument.key]) for each in situations]
    if options.policy is not None:
        situations = [replace(each, policy=options.policy) for each in situations]
    return situations


def _drafts_in(record: Kept, text: str) -> dict[str, DecisionDraft]:
    """Read another model's answer as strictly as any; what it does not mention, it holds."""
    from engine.runtime.explaining import drafts_of_answer

    said = drafts_of_answer(text, record.situations)
    if isinstance(said, str):
        raise UsageError(f"The answer is no decision, so nothing would have been traded: {said}")
    holds = {
        each.instrument.key: DecisionDraft(
            instrument=each.instrument.key, direction=Direction.HOLD, rationale="not mentioned"
        )
        for each in record.situations
    }
    return holds | {draft.instrument: draft for draft in said}


def _drafts_of(record: Kept, model: str) -> dict[str, DecisionDraft]:
    """Ask a deterministic model about the same instant. Raises UsageError when the record has not what it reads."""
    provider, name = parse_model(model)
    client = client_for(f"{provider}:{name}")
    client.features_needed(model, {})
    views = tuple(
        InstrumentView(
            s.instrument.key, record.features.get(s.instrument.key, {}), s.price, s.mark.ts_ms if s.mark else 0,
            s.current_qty,
        )
        for s in record.situations
    )  # fmt: skip
    if not views:
        raise UsageError("There was no decision in that cycle, so there is nothing another model could be asked about.")
    request = ModelRequest(record.situations[0].agent.name, model, record.situations[0].now_ms, views, {})
    try:
        answer = at_once(client.decide(request))
    except KeyError as missing:
        raise UsageError(f"The record has no {missing.args[0]}, which {model} reads; choose another model.") from None
    return {draft.instrument: draft for draft in answer.drafts}


def _read_again(paths: StorePaths, asked: list[Answer], record: Kept) -> Answer | None:
    """Read the kept answer again: its drafts must be the ones that were judged."""
    from engine.runtime.explaining import draft_row, drafts_of_answer

    last = next((each for each in reversed(asked) if each.get("answer")), None)
    if last is None:
        return None
    text = PromptStore(paths.prompts).get(last["answer"])
    if text is None:
        return {"hash": last["answer"], "same": None, "detail": "no longer kept"}
    drafts = drafts_of_answer(text, record.situations)
    if isinstance(drafts, str):
        return {"hash": last["answer"], "same": not record.situations, "detail": drafts}
    judged = {each.draft.instrument: draft_row(each.draft) for each in record.situations}
    said = {each.instrument: draft_row(each) for each in drafts}
    same = all(judged.get(key) == row for key, row in said.items())
    return {"hash": last["answer"], "same": same, "drafts": list(said.values())}
