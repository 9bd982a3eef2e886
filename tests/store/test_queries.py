import asyncio
import csv
import io
import json
import sqlite3
import threading
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.clock import iso
from engine.domain.advice import OTHERWISE
from engine.domain.decision import Outcome
from engine.domain.events import (
    ApprovalAsked,
    ApprovalClosed,
    Closing,
    CycleDone,
    DifferenceClosed,
    DifferenceFound,
    DifferenceKind,
    Incident,
    OrderIntended,
    OrdersUpdated,
    StateChanged,
)
from engine.domain.order import OrderRole, OrderStatus, OrderType, Side
from engine.domain.policy import TradingState
from engine.errors import StoreError, UsageError
from engine.ids import cycle_id
from engine.paths import StorePaths
from engine.store import queries
from engine.store.explain import explain
from engine.store.export import export
from engine.store.journal import Journal
from engine.store.reader import AsyncReader, Question, Reader
from engine.store.rows import FILL_COLUMNS
from engine.store.tables import STATUSES
from engine.store.troubles import troubles
from tests.store.samples import AGENT, GENESIS, HELD, KEY, MINUTE_MS, OPENING, START_MS, filled, intended, round_trips

TRADES = 120
LATER_MS = START_MS + 10 * MINUTE_MS * TRADES
ASKED = ApprovalAsked(
    approval_id="a1",
    cycle_id="trader.manual1",
    agent="trader",
    instrument=KEY,
    role=OrderRole.ENTRY,
    side=Side.BUY,
    order_type=OrderType.LIMIT,
    qty=Decimal("0.5"),
    price=Decimal(42_000),
    limit_price=Decimal(41_900),
    stop_price=None,
    target_price=None,
    digest="d",
    expires_ms=LATER_MS + MINUTE_MS,
)


DRIFT = DifferenceFound(
    difference_id="d1",
    kind=DifferenceKind.BALANCE_DRIFT,
    subject="USDT",
    instrument="",
    asset="USDT",
    ours=Decimal(1),
    venue=Decimal(3),
    detail="the venue holds 3, we 1",
)


def manual_order() -> OrderIntended:
    order = intended(LATER_MS, Decimal(41_900), Decimal("0.5"), Side.BUY)
    return replace(order, cycle_id="trader.manual1", agent="trader", order_type=OrderType.LIMIT)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> StorePaths:
    """A store with holds, trades that acted, a manual trade that waited for its trader, a halt and an incident."""
    made = StorePaths(tmp_path_factory.mktemp("queries") / "store")
    journal = Journal.create(made, START_MS - MINUTE_MS, GENESIS, *OPENING, batch=True)
    for number, (ts_ms, event) in enumerate(round_trips(TRADES)):
        journal.record(ts_ms, event)
        if number % 4 == 3:
            for minute in range(2, 9):
                journal.record(ts_ms + minute * MINUTE_MS, HELD)
    order = manual_order()
    ids = (order.client_order_id,)
    journal.record(LATER_MS, ASKED)
    journal.record(
        LATER_MS + 1, ApprovalClosed(approval_id="a1", answer="approved", actor="trader", note="fine"), order
    )
    journal.record(LATER_MS + 2, OrdersUpdated(client_order_ids=ids, status=OrderStatus.OPEN))
    journal.record(LATER_MS + 3, filled(order, LATER_MS + 3, 9001, Decimal(41_900), Decimal("0.2")))
    journal.record(LATER_MS + 4, StateChanged(state=TradingState.HALTED, actor="trader", reason="lunch"))
    journal.record(LATER_MS + 5, Incident(code="E12", text="=1+1"))
    journal.record(LATER_MS + 6, DRIFT, replace(DRIFT, difference_id="d2", subject="EUR", asset="EUR"))
    journal.record(LATER_MS + 7, replace(DRIFT, venue=Decimal(2)))
    journal.record(
        LATER_MS + 8, DifferenceClosed(difference_id="d2", how=Closing.EXPLAINED, actor="trader", note="savings")
    )
    journal.close()
    return made


def ask(paths: StorePaths, question: Question[Any]) -> Any:
    reader = Reader(paths)
    try:
        return reader.read(question)
    finally:
        reader.close()


def test_fills_have_the_columns_of_the_contract_newest_first(paths: StorePaths) -> None:
    rows = ask(paths, queries.fills(2))
    assert [tuple(row) for row in rows] == [FILL_COLUMNS] * 2
    newest = rows[0]
    assert newest["ts"] == iso(LATER_MS + 3)
    assert newest["cycle_id"] == "trader.manual1"
    assert {name: newest[name] for name in ("venue", "instrument", "side", "qty", "price", "fee", "agent_id")} == {
        "venue": "paper",
        "instrument": KEY,
        "side": "BUY",
        "qty": "0.2",
        "price": "41900",
        "fee": "8.38",
        "agent_id": "trader",
    }
    assert rows[1]["cycle_id"] == cycle_id(AGENT, START_MS + (TRADES - 1) * 10 * MINUTE_MS)


def test_a_list_without_a_limit_is_whole(paths: StorePaths) -> None:
    assert len(ask(paths, queries.fills(None))) == TRADES + 1
    assert len(ask(paths, queries.decisions(None))) == TRADES * 8
    assert len({row["trade_id"] for row in ask(paths, queries.fills(None))}) == TRADES + 1


def test_decisions_tell_holds_with_their_cycle_and_reason(paths: StorePaths) -> None:
    (row,) = ask(paths, queries.decisions(1))
    assert (row["disposition"], row["rationale"], row["instrument"]) == ("HOLD", "no cross", KEY)
    slot_ms = START_MS + (TRADES - 1) * 10 * MINUTE_MS + MINUTE_MS + 8 * MINUTE_MS
    assert (row["ts"], row["cycle_id"]) == (iso(slot_ms), cycle_id(AGENT, slot_ms))


def test_decisions_can_be_cut_to_actions_an_agent_and_an_instrument(paths: StorePaths) -> None:
    acted = ask(paths, queries.decisions(None, acted_only=True))
    assert len(acted) == TRADES
    assert acted[0]["action"].startswith("SELL 0.")
    assert acted[0]["checks"][0] == {
        "code": "TRADING_STATE",
        "verdict": "PASS",
        "observed": "ACTIVE",
        "limit": "ACTIVE, or an exit",
    }
    assert ask(paths, queries.decisions(5, agent="nobody")) == []
    assert len(ask(paths, queries.decisions(5, agent=AGENT, instrument=KEY))) == 5
    assert ask(paths, queries.decisions(5, instrument="paper:ETH/USDT")) == []


def test_orders_show_what_became_of_them_and_open_ones_can_be_asked_for(paths: StorePaths) -> None:
    assert len(ask(paths, queries.orders(None))) == TRADES + 1
    (order,) = ask(paths, queries.orders(None, open_only=True))
    assert (order["status"], order["qty"], order["filled_qty"]) == ("PARTIALLY_FILLED", "0.5", "0.2")
    assert (order["average_price"], order["cycle_id"]) == ("41900", "trader.manual1")


def test_positions_balances_and_ledger_agree(paths: StorePaths) -> None:
    held = {row["asset"]: row["held"] for row in ask(paths, queries.balances())}
    (position,) = ask(paths, queries.positions(open_only=True))
    assert (position["agent"], position["qty"], position["average_price"]) == ("trader", "0.2", "41900")
    assert len(ask(paths, queries.positions())) == 2
    lines = ask(paths, queries.ledger(None))
    for asset, total in held.items():
        ours = [Decimal(row["amount"]) for row in lines if (row["account"], row["asset"]) == ("HOLDINGS", asset)]
        everyone = [Decimal(row["amount"]) for row in lines if row["asset"] == asset]
        assert (sum(ours), sum(everyone)) == (Decimal(total), 0)
    assert {row["reason"] for row in lines} == {"fill", "transfer"}


def test_states_incidents_and_approvals_are_told(paths: StorePaths) -> None:
    (state,) = ask(paths, queries.states())
    assert (state["state"], state["reason"]) == ("HALTED", "lunch")
    (incident,) = ask(paths, queries.incidents())
    assert incident["code"] == "E12"
    told = {row["code"]: row["what_to_do"] for row in ask(paths, troubles())}
    assert told["E12"] == OTHERWISE
    assert len(told) > 1, "differences with the venue count as incidents"
    (approval,) = ask(paths, queries.approvals())
    assert (approval["answer"], approval["note"], approval["answered"]) == ("approved", "fine", iso(LATER_MS + 1))


def test_explain_shows_a_cycle_from_its_checks_to_its_ledger(paths: StorePaths) -> None:
    name = cycle_id(AGENT, START_MS)
    told = ask(paths, explain(name))
    assert (told["cycle_id"], told["model"], told["outcome"]) == (name, "heuristic:sma_cross", "DECIDED")
    (item,) = told["items"]
    assert len(item["checks"]) == 22
    assert item["rationale"].startswith("SMA 20")
    (order,) = told["orders"]
    assert (order["status"], order["cycle_id"]) == ("FILLED", name)
    assert [each["status"] for each in order["updates"]] == ["OPEN"]
    (fill,) = order["fills"]
    assert fill["cycle_id"] == name
    assert {row["asset"] for row in fill["ledger"]} == {"BTC", "USDT"}
    assert sum(Decimal(row["amount"]) for row in fill["ledger"] if row["asset"] == "USDT") == 0


def test_explain_finds_a_hold_by_its_slot(paths: StorePaths) -> None:
    told = ask(paths, explain(cycle_id(AGENT, START_MS + 5 * MINUTE_MS)))
    assert [item["rationale"] for item in told["items"]] == ["no cross"]
    assert told["orders"] == []


def test_explain_finds_every_cycle_there_is(paths: StorePaths) -> None:
    for row in ask(paths, queries.decisions(None))[::50]:
        assert ask(paths, explain(row["cycle_id"]))["ts"] == row["ts"]


def test_explain_shows_a_manual_cycle_with_its_approval(paths: StorePaths) -> None:
    told = ask(paths, explain("trader.manual1"))
    assert told["agent"] == "trader"
    assert [each["answer"] for each in told["approvals"]] == ["approved"]
    assert [each["filled_qty"] for each in told["orders"]] == ["0.2"]


@pytest.mark.parametrize("name", ["demo-sma.zzzz", "demo-sma.0", "nonsense", "", "x.%", "demo-sma." + "z" * 60])
def test_an_unknown_cycle_is_answered_with_the_nearest(paths: StorePaths, name: str) -> None:
    with pytest.raises(UsageError, match=r"no cycle .*nearest are demo-sma\."):
        ask(paths, explain(name))


def test_an_unknown_cycle_of_an_empty_store_says_there_is_none(tmp_path: Path) -> None:
    made = StorePaths(tmp_path / "store")
    Journal.create(made, START_MS, GENESIS, batch=True).close()
    with pytest.raises(UsageError, match="there is none yet"):
        ask(made, explain("demo-sma.k5x1b3"))


def exported(paths: StorePaths, table: str, form: str) -> tuple[int, str]:
    out, reader = io.StringIO(), Reader(paths)
    count = export(reader, table, form, out)
    reader.close()
    return count, out.getvalue()


def test_differences_show_their_latest_figures_and_how_they_closed(paths: StorePaths) -> None:
    explained, open_one = ask(paths, queries.differences())
    assert (explained["difference_id"], explained["how"], explained["note"]) == ("d2", "EXPLAINED", "savings")
    assert (open_one["difference_id"], open_one["ts"], open_one["venue"], open_one["how"]) == (
        "d1", iso(LATER_MS + 6), "2", None,
    )  # fmt: skip
    assert ask(paths, queries.differences(open_only=True)) == [open_one]


@pytest.mark.parametrize("table", list(queries.PAGES))
def test_all_forms_of_an_export_hold_the_same_rows_in_order(paths: StorePaths, table: str) -> None:
    count, lines = exported(paths, table, "jsonl")
    rows = [json.loads(line) for line in lines.splitlines()]
    assert count == len(rows) > 0
    assert json.loads(exported(paths, table, "json")[1]) == rows
    cells = list(csv.DictReader(io.StringIO(exported(paths, table, "csv")[1])))
    assert [list(row) for row in cells] == [list(row) for row in rows]
    if "ts" in rows[0]:
        assert rows == sorted(rows, key=lambda row: row["ts"])


def test_fills_are_exported_past_a_hundred_with_the_columns_of_the_contract(paths: StorePaths) -> None:
    count, text = exported(paths, "fills", "csv")
    header, *lines = text.splitlines()
    assert header == (
        "ts,venue,instrument,side,qty,price,fee,fee_asset,liquidity,order_id,client_order_id,trade_id,cycle_id,agent_id"
    )
    assert count == len(lines) == TRADES + 1
    assert all(cell for line in lines for cell in line.split(","))


def test_pages_neither_repeat_nor_lose_a_row(tmp_path: Path) -> None:
    made = StorePaths(tmp_path / "store")
    journal = Journal.create(made, START_MS, GENESIS, *OPENING, batch=True)
    for ts_ms, event in round_trips(queries.PAGE_ROWS + 1):
        journal.record(ts_ms, event)
    journal.close()
    for table, wanted in (("fills", 501), ("orders", 501), ("decisions", 501), ("ledger", 501 * 6 + 2)):
        _count, lines = exported(made, table, "jsonl")
        assert len(lines.splitlines()) == wanted
    assert len(ask(made, queries.fills(None))) == 501
    assert len({row["trade_id"] for row in ask(made, queries.fills(None))}) == 501


def test_an_export_of_no_fills_still_has_its_header(tmp_path: Path) -> None:
    made = StorePaths(tmp_path / "store")
    Journal.create(made, START_MS, GENESIS, batch=True).close()
    assert exported(made, "fills", "csv") == (0, ",".join(FILL_COLUMNS) + "\n")
    assert exported(made, "fills", "json") == (0, "[]\n")


def test_a_text_from_outside_is_no_formula_in_a_spreadsheet(paths: StorePaths) -> None:
    assert "'=1+1" in exported(paths, "incidents", "csv")[1]
    assert '"=1+1"' in exported(paths, "incidents", "jsonl")[1]
    assert "'-" not in exported(paths, "ledger", "csv")[1]


def test_an_unknown_table_or_form_names_those_there_are(paths: StorePaths) -> None:
    with pytest.raises(UsageError, match="decisions, orders, fills"):
        exported(paths, "secrets", "csv")
    with pytest.raises(UsageError, match="csv or json or jsonl"):
        exported(paths, "fills", "xml")


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"


def endless() -> Question[Any]:
    return (yield ENDLESS, ())


@pytest.mark.fault("P33")
async def test_a_read_past_its_time_is_aborted_while_the_loop_goes_on_and_the_next_is_answered(
    paths: StorePaths,
) -> None:
    reader = AsyncReader(paths, limit_ms=60)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.005)

    counting = asyncio.create_task(count())
    with pytest.raises(StoreError, match="took too long"):
        await reader.read(endless())
    counting.cancel()
    assert turns > 3
    assert len(await reader.read(queries.fills(3))) == 3
    await reader.close()
    await reader.close()
    assert not [thread for thread in threading.enumerate() if "aiosqlite" in repr(thread).lower()]


def test_a_read_past_its_time_is_aborted_without_a_loop_too(paths: StorePaths) -> None:
    reader = Reader(paths, limit_ms=30)
    with pytest.raises(StoreError, match="took too long"):
        reader.read(endless())
    reader.close()


async def test_both_readers_give_the_same_answers(paths: StorePaths) -> None:
    reader = AsyncReader(paths, limit_ms=10_000)
    name = cycle_id(AGENT, START_MS)
    together = await asyncio.gather(reader.read(queries.fills(None)), reader.read(explain(name)))
    assert together == [ask(paths, queries.fills(None)), ask(paths, explain(name))]
    with pytest.raises(UsageError):
        await reader.read(explain("nobody.0"))
    await reader.close()


def test_a_reader_cannot_write(paths: StorePaths) -> None:
    def write() -> Question[Any]:
        return (yield "DELETE FROM journal", ())

    with pytest.raises(StoreError, match="readonly"):
        ask(paths, write())


async def test_an_engine_is_read_while_it_writes_and_closes_to_one_file(tmp_path: Path) -> None:
    made = StorePaths(tmp_path / "store")
    journal = Journal.create(made, START_MS, GENESIS, *OPENING)
    reader = AsyncReader(made)
    for number, (ts_ms, event) in enumerate(round_trips(3)):
        journal.record(ts_ms, event)
        assert len(await reader.read(queries.decisions(None))) == number // 4 + 1
    await reader.close()
    journal.close()
    assert sorted(path.name for path in made.root.iterdir()) == ["anchor", "lock", "store.db"]
    with sqlite3.connect(made.store_db) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_failed_cycle_has_a_row_of_its_own(tmp_path: Path) -> None:
    made = StorePaths(tmp_path / "store")
    journal = Journal.create(made, START_MS, GENESIS, *OPENING, batch=True)
    done = next(event for _ts, event in round_trips(1) if isinstance(event, CycleDone))
    journal.record(START_MS, replace(done, outcome=Outcome.PARSE_FAILED, detail="no JSON", items=()))
    journal.close()
    (row,) = ask(made, queries.decisions())
    assert (row["outcome"], row["disposition"], row["detail"]) == ("PARSE_FAILED", "FAILED", "no JSON")
    assert ask(made, explain(done.cycle_id))["items"] == []


@pytest.mark.parametrize(
    "asked",
    [queries.fills(50), queries.orders(50), queries.orders(50, open_only=True), queries.decisions(50, acted_only=True),
     queries.states(50), queries.incidents(50)],
)  # fmt: skip
def test_a_list_of_the_newest_rows_reads_no_older_ones(paths: StorePaths, asked: Question[Any]) -> None:
    sql, values = next(asked)
    with sqlite3.connect(paths.store_db) as connection:
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    connection.close()
    assert not any("TEMP B-TREE" in step for step in plan), plan
    assert all(step.startswith("SEARCH") for step in plan), plan


def test_the_index_of_open_orders_has_the_statuses_that_may_still_fill() -> None:
    assert [number for number, status in enumerate(STATUSES) if status.is_working] == list(range(6))


@pytest.mark.parametrize("table", ["fills", "orders", "ledger", "decisions"])
def test_an_export_of_a_time_holds_the_rows_of_that_time(paths: StorePaths, table: str) -> None:
    _count, whole = exported(paths, table, "jsonl")
    rows = [json.loads(line) for line in whole.splitlines()]
    since, until = START_MS + 20 * MINUTE_MS, START_MS + 90 * MINUTE_MS
    wanted = [row for row in rows if iso(since) <= row["ts"] < iso(until)]
    assert 0 < len(wanted) < len(rows)
    out, reader = io.StringIO(), Reader(paths)
    assert export(reader, table, "jsonl", out, since_ms=since, until_ms=until) == len(wanted)
    reader.close()
    assert [json.loads(line) for line in out.getvalue().splitlines()] == wanted
