"""A recorded decision judged again: the same, bit for bit, from what was kept or from the recording; or otherwise."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.agents.context import NEEDED, WISHED
from engine.domain.decision import Direction
from engine.domain.intent import Autonomy
from engine.domain.policy import AccountLimits, Policy
from engine.errors import StoreError, UsageError
from engine.paths import StorePaths
from engine.runtime.explaining import with_kept
from engine.runtime.rerun import RerunOptions, rerun
from engine.store import queries
from engine.store.explain import explain
from engine.store.prompts import PromptStore
from engine.store.reader import Reader
from tests.flow.conftest import Bar

BTC = "paper:BTC/USDT"
Make = Callable[..., Awaitable[Any]]
SCRIPT: dict[int, dict[str, object]] = {
    0: {"direction": Direction.BUY, "quantity": Decimal("0.5"), "stop": Decimal("49000.009"), "rationale": "why\n\x1b"},
    2: {"direction": Direction.BUY, "confidence": Decimal("0.10")},
    4: {"direction": Direction.SELL, "quantity": Decimal("0.2")},
    6: {"direction": Direction.FLAT},
}


def cycles(paths: StorePaths, acted_only: bool = False) -> list[str]:
    with closing(Reader(paths)) as reader:
        rows = reader.read(queries.decisions(None, acted_only=acted_only))
    return [row["cycle_id"] for row in reversed(rows) if row["disposition"] != "HOLD"]


def explained(paths: StorePaths, cycle: str) -> dict[str, Any]:
    with closing(Reader(paths)) as reader:
        return with_kept(paths, reader.read(explain(cycle)))


async def traded(make_world: Make, **more: Any) -> Any:
    world = await make_world(SCRIPT, features=(*NEEDED, *WISHED), **more)
    for at in range(60):
        await world.bar(str(50_000 + 10 * (at % 7)), warm=True)
    for price in ("50000", "50100", "50100", "50200", "50300", "50300", "50400", "50400"):
        await world.bar(price)
    return world


def test_every_decision_of_a_replay_is_made_again_from_journal_and_recording(
    write_bars: Callable[..., Path], waves: list[Bar], run: Callable[..., dict[str, Any]]
) -> None:
    path = write_bars(waves)
    result = run(path, agents=("heuristic:sma_cross", "heuristic:rsi_reversion"))
    paths = StorePaths(result["store"])
    found = cycles(paths)
    assert len(found) > 8
    for cycle in found:
        answer = rerun(paths, RerunOptions(cycle=cycle, recordings=(path,)))
        assert (answer["same"], answer["off"]) == (True, []), cycle
        assert answer["made_from"] == "the journal and the recording"
    assert not paths.prompts.exists()


def test_a_recording_that_is_another_is_not_taken_for_it(
    write_bars: Callable[..., Path], waves: list[Bar], run: Callable[..., dict[str, Any]]
) -> None:
    path = write_bars(waves)
    paths = StorePaths(run(path)["store"])
    path.write_text(path.read_text().replace("50", "51", 1))
    with pytest.raises(UsageError, match="is not here; name it with --recording FILE"):
        rerun(paths, RerunOptions(cycle=cycles(paths)[0], recordings=(path,)))


async def test_a_model_s_decision_is_judged_again_from_what_was_kept_of_it(make_world: Make) -> None:
    world = await traded(make_world)
    found = cycles(world.paths)
    assert len(found) == 4
    for cycle in found:
        answer = rerun(world.paths, RerunOptions(cycle=cycle))
        assert (answer["same"], answer["off"], answer["made_from"]) == (True, [], "what was kept of it")
    bought = rerun(world.paths, RerunOptions(cycle=found[0]))["decisions"][0]
    assert bought["intent"]["qty"] == "0.5"
    assert bought["intent"]["stop_price"] == "49000.01"
    assert bought["intent"]["client_order_id"] == world.rows_of("OrderIntended")[0].client_order_id


async def test_another_policy_or_model_shows_what_would_have_been_otherwise_and_sends_nothing(
    make_world: Make,
) -> None:
    world = await traded(make_world)
    first = cycles(world.paths)[0]
    rows = world.parts.journal.seq
    tight = Policy(limits=AccountLimits(gross_exposure_frac=Decimal("0.10")))
    answer = rerun(world.paths, RerunOptions(cycle=first, policy=tight))
    assert answer["same"]
    changed = {each["field"]: each["now"] for each in answer["differences"]}
    assert changed["bound_by"] == "GROSS_EXPOSURE"
    assert Decimal(changed["target_qty"]) < Decimal("0.5")
    same = rerun(world.paths, RerunOptions(cycle=first, policy=world.plan.policy))
    assert same["differences"] == []
    other = rerun(world.paths, RerunOptions(cycle=first, model="heuristic:sma_cross"))
    assert {"field": "direction", "instrument": BTC, "was": "buy", "now": "hold"} in other["differences"]
    assert world.parts.journal.seq == rows


async def test_what_was_altered_or_deleted_is_said_and_not_guessed(make_world: Make) -> None:
    world = await traded(make_world)
    first, second = cycles(world.paths)[:2]
    digest = explained(world.paths, first)["situation"]
    store = PromptStore(world.paths.prompts)
    path = next(world.paths.prompts.rglob(f"{digest}.*"))
    path.write_bytes(b"x")
    with pytest.raises(StoreError, match="no longer kept"):
        rerun(world.paths, RerunOptions(cycle=first))
    assert explained(world.paths, first)["inputs"] == [{"situation": "no longer kept"}]
    told = json.loads(store.get(explained(world.paths, second)["situation"]) or "")
    told["situations"][0]["current_qty"] = '"0.49"'
    forged = store.put("situation", json.dumps(told))
    next(world.paths.prompts.rglob(f"{explained(world.paths, second)['situation']}.*")).write_bytes(
        next(world.paths.prompts.rglob(f"{forged}.*")).read_bytes()
    )
    with pytest.raises(StoreError, match="no longer kept"):
        rerun(world.paths, RerunOptions(cycle=second))


async def test_a_waiting_trade_is_judged_again_as_well(make_world: Make, tester: Any) -> None:
    world = await traded(make_world, agent=replace(tester, autonomy=Autonomy.APPROVE))
    answer = rerun(world.paths, RerunOptions(cycle=cycles(world.paths)[0]))
    assert answer["same"]
    assert answer["decisions"][0]["disposition"] == "AWAITING_APPROVAL"
    assert answer["decisions"][0]["intent"]["target_price"] is not None


async def test_explain_says_what_a_decision_was_judged_on_and_what_became_of_it(make_world: Make) -> None:
    world = await traded(make_world)
    first, _refused, _sold, out = cycles(world.paths)
    told = explained(world.paths, first)
    (draft,), (inputs,), (item,) = told["drafts"], told["inputs"], told["items"]
    assert draft["quantity"] == "0.5"
    assert (inputs["price"], inputs["price_age_ms"], inputs["position"]) == ("50000", 0, "0")
    became = item["became"]
    assert became["still_open"] == "0"
    assert (
        Decimal(became["result"]) == Decimal("-50.24") + Decimal("100.2") - Decimal("0.5") * 0
        or became["fills_since"] == 3
    )
    assert explained(world.paths, out)["items"][0]["became"]["still_open"] == "0"
