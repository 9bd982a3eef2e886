"""A running engine and its control socket: commands from a second shell, and everything that is not one."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine import api
from engine.control.engine import Engine
from engine.control.link import send_over, snapshot_over
from engine.domain.policy import TradingState
from engine.errors import StoreLockedError, UsageError
from engine.market.feed import FeedSummary
from engine.paths import StorePaths
from engine.runtime import ConsoleOptions, connect, query, verify
from engine.runtime.consoles import build_console
from engine.store.journal import Journal

AGENT = """
name = "asker"
model = "heuristic:sma_cross"
autonomy = "approve"
instruments = ["paper:BTC/USDT"]
timeframe = "1m"
approval_expires = "1d"
[model_settings]
confidence = 0.9
"""
Bars = list[tuple[float, float, float, float, float]]
Start = Callable[..., Any]


def turning() -> Bars:
    """Return 90 bars that sink a little and then rise, so that averages cross up once: the agent asks to buy."""
    closes = [50_000.0 - i for i in range(60)] + [49_940.0 + 4 * i for i in range(30)]
    return [(close, close, close, close, 1e6) for close in closes]


@pytest.fixture
def start(tmp_path: Path, write_bars: Callable[..., Path]) -> Start:
    """Run an engine on a recording that is played already, with one trade that waits."""
    (tmp_path / "config" / "agents").mkdir(parents=True)
    (tmp_path / "config" / "agents" / "asker.toml").write_text(AGENT)
    feed = write_bars(turning())

    @asynccontextmanager
    async def running(store: Path | None = None) -> AsyncIterator[Engine]:
        root = store or tmp_path / "s"
        options = ConsoleOptions(store=root, config_dir=tmp_path / "config", feed=str(feed), speed=0)
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


async def until(true: Callable[[], bool]) -> None:
    """Let the loop run until something holds; the test's own timeout ends what never does."""
    while not true():  # noqa: ASYNC110
        await asyncio.sleep(0.002)


def sock(engine: Engine) -> Path:
    return engine.core.journal.paths.socket


async def send(engine: Engine, command: api.Command) -> api.Reply:
    return await asyncio.to_thread(send_over, sock(engine), command, 2.0)


def post(path: Path, body: bytes, target: str = "/v1/command", **headers: str) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("localhost", timeout=2)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(2)
    connection.sock.connect(str(path))
    try:
        connection.request("POST", target, body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


async def test_commands_reach_the_engine_and_are_answered(start: Start) -> None:
    async with start() as engine:
        status = await send(engine, api.Query(name="status"))
        assert (status.ok, status.data["state"], status.data["source_kind"]) == (True, "ACTIVE", "REPLAY")
        halted = await send(engine, api.Halt(reason="from a shell"))
        again = await send(engine, api.Halt())
        assert (halted.ok, halted.data, again.text) == (True, {"trading_state": "HALTED"}, "HALTED already.")
        assert (engine.core.books.state, engine.core.books.state_reason) == (TradingState.HALTED, "from a shell")
        refused = await send(engine, api.Resume(reason=" "))
        resumed = await send(engine, api.Resume(reason="all is well"))
        assert (refused.ok, resumed.ok) == (False, True)
        shown = await asyncio.to_thread(snapshot_over, sock(engine), 2.0)
        assert (shown["state"], shown["equity"]) == ("ACTIVE", "100000")


async def test_waiting_trade_is_listed_and_approved_once_over_the_socket(start: Start) -> None:
    async with start() as engine:
        (card,) = (await send(engine, api.Query(name="approvals"))).data
        wrong = await send(engine, api.Approve(approval_id=card["approval_id"], code="????"))
        right = await send(engine, api.Approve(approval_id=card["approval_id"], code=card["code"]))
        twice = await send(engine, api.Approve(approval_id=card["approval_id"], code=card["code"]))
        assert (wrong.ok, right.ok, twice.ok) == (False, True, False), right.text
        assert engine.core.books.count.intents == 1
        orders = (await send(engine, api.Query(name="orders"))).data
        assert [row["status"] for row in orders if row["role"] == "ENTRY"] == ["OPEN"]


async def test_every_command_survives_the_way_over_the_wire(start: Start) -> None:
    order = api.Ticket(
        instrument="paper:BTC/USDT", side=api.Side.BUY, order_type=api.OrderType.LIMIT, qty=api.amount("0.10"),
        limit_price=api.amount("49000"), stop_frac=api.frac("2%"),
    )  # fmt: skip
    async with start() as engine:
        preview = await send(engine, api.PreviewTicket(ticket=order))
        assert (preview.ok, preview.data["qty"], preview.data["stop_price"]) == (True, "0.1", "48020")
        sent = await send(engine, api.SubmitTicket(ticket=order, preview_id=preview.data["preview_id"]))
        assert sent.ok, sent.text
        assert (await send(engine, api.CancelAll())).data["asked"] == 1
        assert (await send(engine, api.AgentControl(agent="asker", action="pause"))).ok
        (card,) = (await send(engine, api.Query(name="approvals"))).data
        assert (await send(engine, api.Reject(approval_id=card["approval_id"], note="no"))).ok
        assert "Flat by certificate" in (await send(engine, api.Flatten())).text


def ticket(fields: bytes) -> bytes:
    start = (
        b'{"version": 1, "command": "PreviewTicket", "fields": {"ticket": {"instrument": "x", "order_type": "MARKET", '
    )
    return start + fields + b"}}}"


BAD = [
    (b"{", 400, "not JSON"),
    (b"", 400, "not JSON"),
    (b"\xff\xfe", 400, "not JSON"),
    (b"[" * 50_000, 400, "not JSON"),
    (b"[]", 400, "version 1"),
    (b'{"version": 2, "command": "Halt", "fields": {}}', 400, "version 1"),
    (b'{"version": 1, "command": "Launch", "fields": {}}', 400, "No command 'Launch'"),
    (b'{"version": 1, "command": ["Halt"], "fields": {}}', 400, "No command"),
    (b'{"version": 1, "command": "Halt", "fields": {"resaon": "x"}}', 400, "has no field 'resaon'"),
    (b'{"version": 1, "command": "Halt", "fields": {"reason": 5}}', 400, "Halt.reason must be str, not 5"),
    (b'{"version": 1, "command": "Halt"}', 400, "needs an object of fields"),
    (b'{"version": 1, "command": "Resume", "fields": {}}', 400, "Resume needs reason"),
    (b'{"version": 1, "command": "CancelAll", "fields": {"include_protection": "yes"}}', 400, "must be bool"),
    (b'{"version": 1, "command": "Query", "fields": {"name": "orders", "args": {"limit": 3}}}', 400, "object of texts"),
    (ticket(b'"side": "BUY", "qty": "NaN"'), 400, "Ticket.qty"),
    (ticket(b'"side": "BUY", "qty": 0.1'), 400, "Ticket.qty"),
    (ticket(b'"side": "UP", "qty": "1"'), 400, "Ticket.side"),
    (b'{"version": 1, "command": "' + b"x" * 60_000 + b'"}', 400, "No command"),
    (b'{"version": 1, "command": "Halt", "fields": {"reason": "' + b"x" * 70_000 + b'"}}', 413, "65536 bytes"),
]


async def test_what_is_no_command_is_answered_in_one_sentence_and_harms_nothing(start: Start) -> None:
    async with start() as engine:
        rows = engine.core.journal.seq
        for body, code, said in BAD:
            status, answer = await asyncio.to_thread(post, sock(engine), body)
            assert (status, answer["ok"]) == (code, False), body[:60]
            assert said in answer["text"], answer["text"]
            assert answer["text"].count("\n") == 0
            assert len(answer["text"]) < 300
        assert engine.core.journal.seq == rows
        assert (await send(engine, api.Query(name="status"))).data["state"] == "ACTIVE"


@pytest.mark.parametrize(
    ("name", "args", "said"),
    [
        ("orders", {"limit": "many"}, "limit"),
        ("orders", {"limit": "-1"}, "limit"),
        ("secrets", {}, "No table 'secrets'"),
        ("explain", {"cycle": "nobody.0"}, "nobody.0"),
    ],
)
async def test_question_that_cannot_be_answered_is_one_sentence(
    start: Start, name: str, args: dict[str, str], said: str
) -> None:
    async with start() as engine:
        reply = await send(engine, api.Query(name=name, args=args))
        assert (reply.ok, reply.text.count("\n")) == (False, 0)
        assert said in reply.text


@pytest.mark.fault("W21")
async def test_socket_is_for_its_owner_alone_and_replaces_a_dead_one(start: Start, tmp_path: Path) -> None:
    root = tmp_path / "s"
    async with start() as engine:
        path = sock(engine)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_ISSOCK(path.stat().st_mode)
    assert not path.exists()
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(root / "control.sock"))
    dead.close()
    async with start() as engine:
        assert (await send(engine, api.Query(name="status"))).ok


async def test_path_too_long_for_a_socket_is_said(start: Start, tmp_path: Path) -> None:
    root = tmp_path / ("long" * 25)
    with pytest.raises(UsageError, match="shorter path"):
        async with start(root):
            pass
    async with start() as engine:
        assert engine.finished


@pytest.mark.fault("P18")
async def test_second_engine_on_the_store_is_turned_away_with_the_first_ones_pid(start: Start) -> None:
    async with start() as engine:
        with pytest.raises(StoreLockedError, match=f"pid {os.getpid()}") as refused:
            async with start():
                pass
        assert refused.value.exit_code == 3
        assert (await send(engine, api.Query(name="status"))).ok


async def test_engine_that_does_not_answer_is_said_and_exits_with_3(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with pytest.raises(StoreLockedError, match="does not answer") as gone:
        await asyncio.to_thread(send_over, path, api.Halt(), 0.2)
    deaf = socket.socket(socket.AF_UNIX)
    deaf.bind(str(path))
    deaf.listen()
    with pytest.raises(StoreLockedError, match="HALT") as silent:
        await asyncio.to_thread(send_over, path, api.Halt(), 0.2)
    deaf.close()
    assert (gone.value.exit_code, silent.value.exit_code) == (3, 3)


async def test_shell_takes_the_lock_when_no_engine_has_it(start: Start, tmp_path: Path) -> None:
    root = tmp_path / "s"
    async with start() as engine:
        assert (await asyncio.to_thread(by_shell, root, api.Halt(reason="over the socket"))).ok
        assert engine.core.books.state_reason == "over the socket"
    resumed = await asyncio.to_thread(by_shell, root, api.Resume(reason="by myself"))
    assert resumed.ok, resumed.text
    assert (await asyncio.to_thread(query, root, "states", {}))[0]["reason"] == "by myself"
    assert verify(root).ok


def by_shell(root: Path, command: api.Command) -> api.Reply:
    with connect(root) as link:
        return link.send(command)


# The engine itself


class Broken:
    """A feed that fails after its first event."""

    def __init__(self, feed: Any) -> None:
        self.source, self.summary, self._feed = feed.source, FeedSummary(), feed

    async def events(self) -> AsyncIterator[Any]:
        async for event in self._feed.events():
            yield event
            break
        raise OSError("the line is cut")


async def test_feed_that_fails_halts_trading_and_leaves_the_engine_serving(
    start: Start, tmp_path: Path, write_bars: Callable[..., Path]
) -> None:
    options = ConsoleOptions(
        store=tmp_path / "s", config_dir=tmp_path / "config", feed=str(write_bars(turning())), speed=0
    )
    async with AsyncExitStack() as stack:
        engine = await build_console(stack, options)
        engine.feed = Broken(engine.feed)
        task = asyncio.create_task(engine.run())
        await until(lambda: engine.finished)
        status = await send(engine, api.Query(name="status"))
        assert (status.data["state"], status.data["state_reason"]) == ("HALTED", "the feed failed: the line is cut")
        engine.request_stop()
        await task


@pytest.mark.fault("P37")
async def test_engine_that_cannot_show_itself_halts_and_shows_itself_when_it_can_again(start: Start) -> None:
    async with start() as engine:
        kept, engine.core.watch.curve = engine.core.watch.curve, None  # type: ignore[assignment]  # as a defect in a view would
        engine.wanted = True
        await until(lambda: engine.core.books.state is TradingState.HALTED)
        assert "a snapshot failed" in engine.core.books.state_reason
        engine.core.watch.curve, engine.wanted = kept, True
        await until(lambda: engine.latest is not None and engine.latest.state is api.TradingState.HALTED)


async def test_engine_waiting_for_its_next_bar_stops_at_once(
    tmp_path: Path, start: Start, write_bars: Callable[..., Path]
) -> None:
    options = ConsoleOptions(
        store=tmp_path / "s", config_dir=tmp_path / "config", feed=str(write_bars(turning())), speed=0.001
    )
    async with AsyncExitStack() as stack:
        engine = await build_console(stack, options)
        task = asyncio.create_task(engine.run())
        await until(lambda: engine.core.data_ms is not None)
        engine.request_stop()
        await asyncio.wait_for(task, 2)
        assert not engine.finished


async def test_progress_of_a_slow_replay_counts_bars(
    tmp_path: Path, start: Start, write_bars: Callable[..., Path]
) -> None:
    options = ConsoleOptions(
        store=tmp_path / "s", config_dir=tmp_path / "config", feed=str(write_bars(turning())), speed=0.001
    )
    async with AsyncExitStack() as stack:
        engine = await build_console(stack, options)
        task = asyncio.create_task(engine.run())
        await until(lambda: engine.core.data_ms is not None)
        engine.refresh()
        assert engine.latest is not None
        assert engine.latest.progress is not None
        assert 0 < engine.latest.progress <= 2 / 90
        engine.request_stop()
        await task


async def test_store_stays_locked_to_the_journal_that_has_it(tmp_path: Path, start: Start) -> None:
    async with start() as engine:
        with pytest.raises(StoreLockedError):
            Journal.open(StorePaths(tmp_path / "s"))
        assert engine.core.journal.broken is None
