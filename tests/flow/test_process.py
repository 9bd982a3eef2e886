"""The real program in a real terminal: how it starts, is used, is left, is killed, and goes on."""

from __future__ import annotations

import random
import re
import signal
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.runtime import verify
from tests.flow.cli_kit import answered, cli
from tests.flow.pty_kit import Console, Desk, answer, eventually, is_free, one_rise, restored, shell, waves

BARS = 20_000
"""More than any of these consoles plays: at the fastest, three minutes."""
SIGNALS = {"TERM": signal.SIGTERM, "INT": signal.SIGINT, "QUIT": signal.SIGQUIT}


@pytest.fixture
def place() -> Iterator[Path]:
    """Make a directory with a short name: a control socket's path may have about 100 bytes."""
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        yield Path(folder)


@pytest.fixture
def make_desk(place: Path) -> Iterator[Callable[..., Desk]]:
    """Make trading desks; what still runs at the end is ended."""
    made: list[Desk] = []

    def make(closes: list[float], *agents: str) -> Desk:
        folder = place / str(len(made))
        folder.mkdir()
        made.append(Desk(folder, closes, *agents))
        return made[-1]

    yield make
    for desk in made:
        desk.close()


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    """A desk whose one agent buys once and then holds."""
    return make_desk(one_rise(BARS), "quick")


def money_rows(desk: Desk) -> tuple[Any, Any]:
    """Return every order and fill there is."""
    return desk.ask("orders"), desk.ask("fills")


# -- the demo --------------------------------------------------------------------------------------------------------


def test_the_demo_trades_and_leaves_the_terminal_as_it_was(place: Path) -> None:
    (place / "tmp").mkdir()
    consoles = [
        Console(place, "demo", "--speed", "1200", size=size, env={"TMPDIR": str(place / "tmp")})
        for size in ((80, 24), (120, 40))
    ]
    try:
        for console in consoles:
            console.shows("PAPER", "REPLAY", "ACTIVE")
            before = console.finds(r"DAY \S+")[0]
            console.finds(r"FILLED|HIT", 30)
            console.finds("REFUSED", 30)
            eventually(lambda c=console, b=before: c.finds(r"DAY \S+")[0] != b, "the day's profit moves")
        for console in consoles:
            console.press("q")
            assert console.ended() == 0
            assert restored(console.raw) == []
    finally:
        for console in consoles:
            console.close()
    assert list((place / "tmp").iterdir()) == []


# -- leaving ---------------------------------------------------------------------------------------------------------


@pytest.mark.fault("P13", "P14", "P15", "U05")
@pytest.mark.parametrize("way", ["q", "TERM", "INT", "QUIT", "ctrl+c twice", "hang-up"])
def test_leaving_trades_nothing_and_leaves_a_sound_store(desk: Desk, way: str) -> None:
    console = desk.open(speed=6000)
    console.finds("FILLED")
    assert len(desk.ask("orders")) == 3  # an entry, its stop and its target
    before = money_rows(desk)
    console.press("f10")  # an open question: leaving answers nothing
    console.shows("Type FLATTEN")
    if way in SIGNALS:
        console.signal(SIGNALS[way])
    elif way == "hang-up":
        console.hang_up()
    else:
        console.send(b"\x03\x03" if way == "ctrl+c twice" else b"\x1b")
    if way == "q":
        console.shows("Decisions")
        console.press("q")
    assert console.ended() == 0
    assert restored(console.raw) == [] or way == "hang-up"
    assert is_free(desk.store)
    assert verify(desk.store).first_breach is None
    assert money_rows(desk) == before


def test_a_recording_at_real_speed_is_left_at_once_and_taken_up_where_it_stopped(desk: Desk) -> None:
    console = desk.open(speed=6000)
    console.finds("FILLED")
    console.press("q")
    assert console.ended() == 0
    rows = verify(desk.store).rows
    console = desk.open(speed=1)
    console.shows("ACTIVE", "holding", "0.16")
    now = desk.ask("status")["now_ms"]
    assert now >= 1_767_225_600_000 + 40 * 60_000
    console.press("q")
    assert console.ended() == 0
    assert verify(desk.store).rows >= rows
    assert len(desk.ask("fills")) == 1


@pytest.mark.fault("P14")
def test_an_engine_that_does_not_stop_is_left_behind_with_exit_code_1(place: Path) -> None:
    console = Console(place, command=("-c", STUCK))
    try:
        console.shows("ENGINE STARTING")
        console.press("q")
        assert console.ended() == 1
        assert b"The engine did not stop" in console.raw
        assert restored(console.raw) == []
    finally:
        console.close()


STUCK = """
import threading, time
from console import app

class Host:
    client, error, ready = None, None, threading.Event()
    def request_stop(self): pass
    async def run(self): time.sleep(60)

app.STOP_S = 0.3
app.QuarterdeckApp(Host).run()
"""

# -- crashing --------------------------------------------------------------------------------------------------------


# -- standing still --------------------------------------------------------------------------------------------------


@pytest.mark.fault("P17")
def test_a_stalled_or_stopped_terminal_costs_frames_and_nothing_else(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(waves(BARS), "quick", "second")
    console = desk.open(speed=1200)
    console.finds("FILLED")
    console.stall()
    full = [0, 0]

    def is_full() -> bool:
        full[:] = [console.pending(), full[1] + 1 if console.pending() == full[0] else 0]
        return full[1] > 30

    eventually(is_full, "the terminal is full")
    since, seq = time.monotonic(), desk.seq()
    while time.monotonic() - since < 3:
        last = seq
        seq = eventually(lambda last=last: (now := desk.seq()) > last and now, "the journal grows all the same", 2)
    console.unstall()
    console.finds(r"ENG(INE)? <1s")
    assert "SILENT" not in console.text

    console.signal(signal.SIGSTOP)
    time.sleep(2)
    console.signal(signal.SIGCONT)
    seq = desk.seq()
    eventually(lambda: desk.seq() > seq, "it goes on after SIGCONT")
    console.finds(r"ENG(INE)? <1s")
    console.press("q")
    assert console.ended() == 0
    assert restored(console.raw) == []
    assert console.local_modes & termios.ICANON, "the shell gets its line editing back"


@pytest.mark.fault("P17", "P14")
def test_a_stalled_terminal_does_not_hold_up_the_end(desk: Desk) -> None:
    console = desk.open(speed=6000)
    console.shows("ACTIVE")
    console.stall()
    eventually(lambda: console.pending() > 3000, "the terminal fills")
    console.signal(signal.SIGTERM)
    assert console.ended() == 0
    assert is_free(desk.store)
    assert verify(desk.store).first_breach is None


# -- from a second shell ---------------------------------------------------------------------------------------------


@pytest.mark.fault("P18")
def test_a_second_shell_reaches_the_running_console(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(one_rise(BARS), "quick", "asker")
    home, at = desk.home, ("--store", desk.store)
    console = desk.open(speed=6000)
    console.finds("FILLED")
    status = answer(home, "status", *at)
    assert (status["state"], len(status["positions"])) == ("ACTIVE", 1)
    assert [row["agent"] for row in answered(home, "approvals", *at)] == ["asker"]
    assert answered(home, "agents", "pause", "quick", *at)["ok"]
    console.shows("PAUSED")
    assert answer(home, "halt", "--reason", "from a shell", *at)["ok"]
    console.shows("HALTED", "from a shell")
    assert answered(home, "resume", "--reason", "seen to", *at)["ok"]
    console.shows("ACTIVE")
    assert answered(home, "cancel-all", *at)["ok"]
    assert "Proven" in shell(home, "verify", *at).stdout
    assert cli(home, "export", "fills", *at).stdout.count("\n") == 2
    second = shell_in_terminal(desk)
    assert f"pid {console.process.pid} " in second
    assert answer(home, "flatten", *at)["ok"]
    eventually(lambda: answered(home, "status", *at)["certificate"], "the certificate")
    console.press("c")
    console.shows("HALTED", "certificate")


def shell_in_terminal(desk: Desk) -> str:
    """Open a second console on the same store; return what it says as it ends with exit code 3."""
    second = desk.open(speed=1)
    assert second.ended() == 3
    assert b"\x1b[?1049h" not in second.raw
    return re.sub(r"\s+", " ", second.raw.decode())


# -- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.fault("U02", "U03", "U04")
def test_only_typing_approves_and_f8_and_f10_reach_the_engine(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(one_rise(BARS), "asker")
    console = desk.open(speed=6000)
    console.finds("APPROVE BUY")
    console.press("a")
    code = console.finds(r"type ([A-Z]{4})\b")[1]
    for _repeat in range(10):  # enter held down: Reject has the focus
        time.sleep(0.03)
        console.press("enter")
    console.press("tab", "tab")
    console.paste(code)
    console.send(f"\x1b[200~\x1b[201~{code}\r".encode())  # a paste that breaks out of its brackets
    console.send(f"{code}\r".encode())  # and one without any
    console.shows("do not count")
    assert len(desk.ask("approvals")) == 1
    console.answer(code, lambda: not desk.ask("approvals"))
    console.finds("FILLED")

    console.press("t")
    console.shows("Ticket")
    console.press("tab", "tab", "f8")
    console.shows("HALTED")
    assert desk.ask("status")["state"] == "HALTED"
    console.press("f10")
    console.shows("Type FLATTEN")
    console.answer("FLATTEN", lambda: desk.ask("status")["flattening"] or desk.ask("status")["certificate"])
    certificate = eventually(lambda: desk.ask("status")["certificate"], "the certificate")
    assert certificate["flat"] is True
    assert desk.ask("positions") == []


# -- poor terminals --------------------------------------------------------------------------------------------------


@pytest.mark.fault("U14")
def test_a_terminal_that_cannot_draw_is_refused_in_one_sentence_that_names_the_commands(place: Path) -> None:
    dumb = Console(place, env={"TERM": "dumb"})
    try:
        assert dumb.ended() == 2
        said = " ".join(dumb.raw.decode().split())
    finally:
        dumb.close()
    assert said == (
        "The console cannot draw with TERM=dumb; `quarterdeck status`, `halt`, `flatten` and `approve` work without it."
    )
    blind = shell(place)
    assert (blind.returncode, blind.stdout, blind.stderr.count("\n")) == (2, "", 1)
    assert "`quarterdeck status`, `halt`" in blind.stderr


def test_the_traders_keymap_is_read_and_one_that_would_cost_an_emergency_key_is_refused(desk: Desk) -> None:
    keymap = desk.config / "keymap.toml"
    keymap.write_text('ticket = "f8"\n')
    refused = desk.open(speed=600)
    assert refused.ended() == 2
    said = "".join(refused.raw.decode().split())  # the terminal wraps long lines
    assert f"{keymap}:f8ishaltalready;giveticketanotherkey." in said
    keymap.write_text('ticket = "n"\nleave = "x"\n')
    console = desk.open(speed=6000)
    console.shows("n ticket", "x quit", "FILLED")
    console.press("n")
    console.shows("a trade of your own")
    console.send(b"\x1b")
    console.shows("n ticket")
    console.press("x")
    assert console.ended() == 0


@pytest.mark.fault("U01")
def test_windows_of_any_size_are_drawn_in_and_a_storm_of_them_is_survived(desk: Desk) -> None:
    console = desk.open(speed=600, size=(40, 10))
    console.shows("PAPER", "ACTIVE")
    rng = random.Random(3)
    console.press("f10")
    console.shows("Type FLATTEN")
    for _resize in range(60):
        console.resize((rng.randint(1, 200), rng.randint(1, 60)))
        time.sleep(0.01)
    console.resize((20, 20))  # too small for the card; a busy machine may have seen no such window in the storm
    console.finds(r"F10 FLAT\b")
    for size in ((1, 1), (0, 0), (120, 40)):
        console.resize(size)
    console.shows("PAPER", "ACTIVE", "Decisions", "F8 HALT")
    assert "Type FLATTEN" not in console.text
    console.press("q")
    assert console.ended() == 0
