"""Approving, rejecting and trading by hand from a second shell, while an engine runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from console.cli import run
from engine.control.engine import Engine
from engine.runtime import ConsoleOptions
from engine.runtime.consoles import build_console
from tests.flow.test_socket_flow import AGENT, turning, until

Shell = Callable[..., Any]


@pytest.fixture
def desk(tmp_path: Path, write_bars: Callable[..., Path]) -> Callable[[], Any]:
    """Run an engine on a recording that is played already, with one trade that waits."""
    (tmp_path / "config" / "agents").mkdir(parents=True)
    (tmp_path / "config" / "agents" / "asker.toml").write_text(AGENT)
    feed = write_bars(turning())

    @asynccontextmanager
    async def running() -> AsyncIterator[Engine]:
        options = ConsoleOptions(store=tmp_path / "s", config_dir=tmp_path / "config", feed=str(feed), speed=0)
        async with AsyncExitStack() as stack:
            engine = await build_console(stack, options)
            task = asyncio.create_task(engine.run())
            try:
                await until(lambda: engine.finished)
                yield engine
            finally:
                engine.request_stop()
                await task

    return running


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """Carry a command line out in a thread of its own; returns the exit code, stdout and stderr."""

    async def say(*args: str) -> tuple[int, str, str]:
        code = await asyncio.to_thread(run, [*args, "--store", str(tmp_path / "s")])
        out, err = capsys.readouterr()
        return code, out, err

    return say


async def test_list_shows_no_code_and_the_card_shows_everything_and_the_code(desk: Any, shell: Shell) -> None:
    async with desk() as engine:
        (card,) = engine.core.desk.approvals.waiting.values()
        _code, listed, _err = await shell("approvals")
        assert card.intent.intent_id in listed
        assert card.code not in listed
        code, shown, _err = await shell("approvals", card.intent.intent_id)
        assert code == 0
        for told in (
            card.code,
            "GROSS_EXPOSURE",
            card.policy_hash,
            "free cash after",
            "gross exposure",
            "lost at the stop",
            "quote age",
            "checks as of ",
        ):
            assert told in shown


async def test_approving_shows_the_card_and_takes_its_code_alone(desk: Any, shell: Shell) -> None:
    async with desk() as engine:
        (card,) = engine.core.desk.approvals.waiting.values()
        approval_id = card.intent.intent_id
        without, shown, told = await shell("approve", approval_id)
        assert (without, engine.core.books.count.orders) == (1, 0)
        assert card.code in shown
        assert "Nothing was approved" in told
        wrong, _out, told = await shell("approve", approval_id, "ABCD")
        assert (wrong, told) == (1, "That is not the code on the card; nothing was approved.\n")
        right, out, _err = await shell("approve", approval_id, card.code)
        assert (right, engine.core.books.count.intents) == (0, 1)
        assert "RISK_PER_TRADE" in out
        again, _out, told = await shell("approve", approval_id, card.code)
        assert again == 1
        assert "answered already" in told


async def test_rejected_trade_is_listed_with_its_reason(desk: Any, shell: Shell) -> None:
    async with desk() as engine:
        (card,) = engine.core.desk.approvals.waiting.values()
        assert (await shell("reject", card.intent.intent_id, "--reason", "not today"))[0] == 0
        _code, out, _err = await shell("approvals", "--answered", "--json")
        (row,) = json.loads(out)
        assert (row["answer"], row["note"], row["actor"], row["would_have"]) == (
            "rejected",
            "not today",
            "trader",
            None,
        )
        assert "not today" in (await shell("approvals"))[1]
        assert json.loads((await shell("approvals", "--json"))[1]) == []


async def test_trade_that_its_engine_left_waiting_is_listed_without_an_answer(desk: Any, shell: Shell) -> None:
    async with desk() as engine:
        (card,) = engine.core.desk.approvals.waiting.values()
    _code, out, _err = await shell("approvals")
    assert out.startswith("Nothing waits for you.")
    assert card.intent.intent_id in out
    assert json.loads((await shell("approvals", "--answered", "--json"))[1]) == []


async def test_ticket_is_previewed_with_every_check_and_sent_by_its_preview(desk: Any, shell: Shell) -> None:
    async with desk() as engine:
        words = ("ticket", "buy", "500 usdt", "paper:BTC/USDT", "--target", "5%")
        code, shown, _err = await shell(*words)
        assert (code, engine.core.books.count.orders) == (0, 0)
        for told in ("BUYING_POWER", "PRICE_AGE", "Nothing was sent", "free cash after"):
            assert told in shown
        preview = json.loads((await shell(*words, "--json"))[1])["data"]["preview_id"]
        assert preview in shown
        unknown, _out, told = await shell(*words, "--send", "0123")
        assert unknown == 1
        assert "preview it again" in told
        sent, out, _err = await shell(*words, "--send", preview)
        assert (sent, engine.core.books.count.intents) == (0, 1)
        assert out.startswith("BUY 0.00998 paper:BTC/USDT")


async def test_ticket_with_a_stop_and_a_target_as_prices_shows_their_distances(desk: Any, shell: Shell) -> None:
    async with desk():
        words = ("ticket", "buy", "0.1", "paper:BTC/USDT", "--limit", "50000")
        code, shown, _err = await shell(*words, "--stop", "49250", "--target", "52,500")
        assert code == 0, _err
        for told in ("49250, 1.50 % from the price", "52500, 5.00 % from the price", "75.00 USDT"):
            assert told in shown
        code, _out, told = await shell(*words, "--stop", "52500")
        assert (code, told.count("\n")) == (1, 1)
        assert "A stop of 52500 is not below the entry at 50000; write a price below it, or a distance" in told


async def test_refused_ticket_says_so_and_cannot_be_sent(desk: Any, shell: Shell) -> None:
    async with desk() as engine:
        words = ("ticket", "sell", "1", "paper:BTC/USDT")
        code, shown, told = await shell(*words)
        assert code == 1
        assert "SHORT_NOT_ALLOWED" in shown
        assert "cannot be passed" in told
        preview = json.loads((await shell(*words, "--json"))[1])["data"]["preview_id"]
        code, _out, told = await shell(*words, "--send", preview)
        assert code == 1
        assert told.startswith("Not sent: SHORT_NOT_ALLOWED")
        assert engine.core.books.count.orders == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("buy", "lots", "paper:BTC/USDT"), "Quantity lots is not a number"),
        (("buy", "1", "paper:BTC/USDT", "--stop", "2x"), "Stop 2x is no distance and no price; write 2%"),
        (("buy", "1", "paper:BTC/USDT", "--limit", "1", "--at-stop", "2"), "two kinds of order"),
        (("buy", "1", "paper:BTC/USDT", "--limit", "-5"), "must be above 0"),
    ],
)
async def test_ticket_that_cannot_be_read_is_one_sentence(words: tuple[str, ...], said: str, shell: Shell) -> None:
    code, _out, told = await shell("ticket", *words)
    assert code == 2
    assert said in told
    assert told.count("\n") == 1
