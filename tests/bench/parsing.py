"""How fast answers are read, and what one decision of a language model takes on the disk."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

from engine.agents.draft import AnswerError, parse_answer
from engine.domain.policy import Policy
from tests.bench.asking import ROOM, WARM_BARS
from tests.bench.report import Row
from tests.flow.model_double import ModelDouble, Says
from tests.flow.model_kit import FREE, WIDE, Table, agent_of
from tests.unit.answer_fuzz import ALLOWED, bent, valid_answers

AREA = "Answers of language models"
DECISIONS = 40
ANSWER = (
    '{"decision": "buy", "symbol": "BTC/USDT", "reasoning": "The index came back above thirty while the long average '
    "still rises, and the last three dips of this kind were bought within the hour. Volume is ordinary, so the size "
    'stays small.", "confidence": 0.72, "quantity": 0.01, "risk_assessment": "medium"}'
)


def measure_parsing(folder: Path, answers: int) -> Iterator[Row]:
    """Yield inputs a second, of valid and of bent answers, and bytes a decision."""
    valid = valid_answers()
    texts = [valid[at % len(valid)] for at in range(answers // 4)]
    yield Row(area=AREA, what="valid answers read", value=_rate(texts), unit="a second", note="one thread")
    texts = list(islice(bent(Random(5)), answers // 4))
    yield Row(
        area=AREA, what="bent answers read or refused", value=_rate(texts), unit="a second", note="as the fuzzer's"
    )
    yield from asyncio.run(_bytes_a_decision(folder))


def _rate(texts: list[str]) -> float:
    began_s = time.perf_counter()
    for text in texts:
        try:
            parse_answer(text, ALLOWED)
        except AnswerError:
            continue
    return len(texts) / (time.perf_counter() - began_s)


async def _bytes_a_decision(folder: Path) -> list[Row]:
    """Ask a double so many times, with the prompts and the record that the trader's own engine has."""
    policy = Policy(kill=WIDE, paper=FREE, ai_budget=ROOM)
    async with ModelDouble(*[Says(ANSWER)] * (DECISIONS + 1)) as double:
        table = Table(folder, double.url, agent_of(), policy=policy, composed=True)
        await table.start()
        try:
            for at in range(WARM_BARS):
                await table.bar(str(50_000 + at % 7), warm=True)
            await table.decide()
            before, chained = table.kept.size(), _chained(table)
            for at in range(DECISIONS):
                await table.decide(str(50_000 + at % 11))
            after, chained_after = table.kept.size(), _chained(table)
        finally:
            await table.close()
    beside, inside = (after[1] - before[1]) / DECISIONS, (chained_after - chained) / DECISIONS
    files = (after[0] - before[0]) / DECISIONS
    return [
        Row(area=AREA, what="kept beside the journal for one decision", value=beside, unit="bytes",
            note=f"prompt, answer and situation in {files:.1f} files, compressed; gone after prompts_kept_days"),
        Row(area=AREA, what="in the journal for one decision", value=inside, unit="bytes",
            note="reservation, question, cycle with every check, record, order and fills, hashes included"),
    ]  # fmt: skip


def _chained(table: Table) -> int:
    import sqlite3

    with sqlite3.connect(table.paths.store_db) as db:
        sql = "SELECT COALESCE(SUM(LENGTH(CAST(payload AS BLOB)) + LENGTH(hash) + 12), 0) FROM journal"
        return int(db.execute(sql).fetchone()[0])
