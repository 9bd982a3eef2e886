"""The real program in a pseudo-terminal: what it drew, what it wrote, and keys that reach it as a terminal's do."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import pty
import re
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pyte

from engine.store.lock import lock_owner

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 30.0
LOOK_S = 0.03
START_MS = 1_767_225_600_000  # 2026-01-01T00:00Z
T = TypeVar("T")

# setsid and a controlling terminal, so that a hang-up reaches the program as the kernel sends it
_BECOME = "import os, sys; os.login_tty(0); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
_KEYS = {"f8": "\x1b[19~", "f9": "\x1b[20~", "f10": "\x1b[21~", "enter": "\r", "escape": "\x1b", "tab": "\t"}
_ANSWERS = {b"\x1b[?2026$p": b"\x1b[?2026;2$y", b"\x1b[?2048$p": b"\x1b[?2048;0$y", b"\x1b[c": b"\x1b[?62;22c"}
_QUESTION_MAX = max(map(len, _ANSWERS))
# pyte draws these as text: private sequences that are not ?..h or ?..l, and mode questions
_UNKNOWN_TO_PYTE = re.compile(rb"\x1b\[[<=>][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*(?:\$p|u)|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-9;:<=>?]*[ -/]*|\][^\x07\x1b]*)?$")


def eventually(look: Callable[[], T], what: str, within_s: float = DEADLINE_S) -> T:
    """Look until something true comes back; fails, saying what was waited for, when the time is up."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(LOOK_S)
    return found


class Console:
    """One program in a terminal of its own. A thread reads what it writes, unless the terminal is told to stall."""

    def __init__(
        self, home: Path, *args: object, size: tuple[int, int] = (120, 40), env: Mapping[str, str] | None = None,
        command: Sequence[str] = ("-m", "console.cli"),
    ) -> None:  # fmt: skip
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._raw = bytearray()
        self._drawn = 0
        self._reading = threading.Event()
        self._reading.set()
        self._closed = False
        self._master, slave = pty.openpty()
        _set_size(self._master, size)
        words = [sys.executable, "-I", "-S", "-c", _BECOME, *command, *map(str, args)]
        self.process = subprocess.Popen(
            words, stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=_environment(home) | dict(env or {})
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    # -- what it wrote ---------------------------------------------------------------------------------------------

    @property
    def raw(self) -> bytes:
        """Everything it has written."""
        with self._lock:
            return bytes(self._raw)

    @property
    def text(self) -> str:
        """What is on the screen."""
        with self._lock:
            data = bytes(self._raw[self._drawn :])
        data = data[: found.start()] if (found := _UNFINISHED.search(data)) else data
        self._drawn += len(data)
        self._stream.feed(_UNKNOWN_TO_PYTE.sub(b"", data))
        return "\n".join(line.rstrip() for line in self._screen.display)

    def shows(self, *words: str, within_s: float = DEADLINE_S) -> str:
        """Wait until all of these are on the screen at once; returns it."""
        return self._wait(lambda text: text if all(word in text for word in words) else "", words, within_s)

    def finds(self, pattern: str, within_s: float = DEADLINE_S) -> re.Match[str]:
        """Wait until a pattern is on the screen; returns its match."""
        return self._wait(lambda text: re.search(pattern, text), pattern, within_s)

    def _wait(self, look: Callable[[str], T | None], wanted: object, within_s: float) -> T:
        deadline = time.monotonic() + within_s
        while not (found := look(self.text)):
            over = time.monotonic() > deadline or self.process.poll() is not None or "ENGINE FAILED" in self.text
            assert not over, f"{wanted} not shown within {within_s:g} s; the screen:\n{self.text}"
            time.sleep(LOOK_S)
        return found

    # -- what a person and a terminal do ---------------------------------------------------------------------------

    def press(self, *keys: str) -> None:
        """Press keys by name; other texts are typed by type()."""
        for key in keys:
            self.send(_KEYS.get(key, key).encode())

    def type(self, text: str) -> None:
        """Type as a person does: no two keys within a tenth of a second."""
        for letter in text:
            time.sleep(0.11)
            self.send(letter.encode())
        time.sleep(0.11)

    def answer(self, text: str, done: Callable[[], bool]) -> None:
        """Type an answer and press enter, as a person does; again, when keys came in a burst on a busy machine."""
        for _try in range(4):
            time.sleep(0.6)  # nothing counts before a card has stood, and been left alone, for half a second
            self.type(text)
            self.press("enter")
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                if done():
                    return
                time.sleep(LOOK_S)
        raise AssertionError(f"{text} typed, and nothing came of it; the screen:\n{self.text}")

    def paste(self, text: str) -> None:
        """Paste as a terminal in bracketed mode does."""
        self.send(b"\x1b[200~" + text.encode() + b"\x1b[201~")

    def send(self, data: bytes) -> None:
        """Let bytes arrive as input."""
        with contextlib.suppress(OSError):
            os.write(self._master, data)

    def resize(self, size: tuple[int, int]) -> None:
        """Change the window; the kernel tells the program. 0 by 0 is what some terminals say while they are made."""
        _set_size(self._master, size)
        if all(size):
            self._screen.resize(size[1], size[0])

    def stall(self) -> None:
        """Stop reading, as a dead link does."""
        self._reading.clear()

    def unstall(self) -> None:
        """Read again."""
        self._reading.set()

    def pending(self) -> int:
        """How many bytes wait to be read."""
        return struct.unpack("i", fcntl.ioctl(self._master, termios.FIONREAD, b"\0" * 4))[0]

    @property
    def local_modes(self) -> int:
        """The terminal's local modes, as the program left them."""
        return termios.tcgetattr(self._master)[3]

    def hang_up(self) -> None:
        """Close the terminal."""
        self._closed = True
        self._reading.set()
        self._reader.join(5)
        os.close(self._master)
        self._master = -1

    # -- its end ---------------------------------------------------------------------------------------------------

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def ended(self, within_s: float = 10.0) -> int:
        """Wait for its end; returns the exit code, negative when a signal killed it."""
        code = self.process.wait(within_s)
        if not self._closed:
            self._reader.join(2)
        return code

    def close(self) -> None:
        """End it if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(5)
        if self._master >= 0:
            self.hang_up()

    def _read(self) -> None:
        tail = b""
        while not self._closed:
            if not self._reading.wait(0.1) or not select.select([self._master], [], [], 0.05)[0]:
                continue
            try:
                data = os.read(self._master, 1 << 16)
            except OSError:
                return
            with self._lock:
                self._raw += data
            tail = self._answer(tail + data)

    def _answer(self, data: bytes) -> bytes:
        """Answer what the program asks its terminal; returns what may be the start of a question."""
        end = 0
        for question, answer in _ANSWERS.items():
            at = data.find(question)
            if at >= 0:
                self.send(answer)
                end = max(end, at + len(question))
        return data[max(end, len(data) - _QUESTION_MAX + 1) :]


def _set_size(fd: int, size: tuple[int, int]) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))


def _environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("LINES", "COLUMNS", "SSH_CONNECTION")}
    return kept | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "QUARTERDECK_HOME": str(home)}


def shell(home: Path, *args: object) -> subprocess.CompletedProcess[str]:
    """Run one command as from a second shell."""
    words = [sys.executable, "-m", "console.cli", *map(str, args)]
    return subprocess.run(
        words, cwd=ROOT, env=_environment(home), capture_output=True, text=True, timeout=30, check=False
    )


def answer(home: Path, *args: object) -> Any:
    """Run one command with --json and return what it says; it must succeed."""
    done = shell(home, *args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def restored(raw: bytes) -> list[str]:
    """Return what of the terminal was left as the program wanted it; nothing, when it left as it should."""
    modes = {"alternate screen": b"1049", "mouse": b"1000", "mouse motion": b"1003", "paste brackets": b"2004"}
    left = [name for name, mode in modes.items() if raw.rfind(b"\x1b[?%bl" % mode) < raw.rfind(b"\x1b[?%bh" % mode)]
    return left + (["hidden cursor"] if raw.rfind(b"\x1b[?25h") < raw.rfind(b"\x1b[?25l") else [])


def is_free(store: Path) -> bool:
    """Say whether no engine holds the store's lock."""
    from engine.paths import StorePaths

    return lock_owner(StorePaths(store)) is None


class Desk:
    """A trader's own directory: agents that trade a lot, one store, and consoles on it.

    prices: a recording, or closes to make one of. agents: names; "asker" asks before it trades.
    """

    def __init__(self, folder: Path, prices: Path | Sequence[float], *agents: str) -> None:
        self.home, self.store, self.config = folder, folder / "s", folder / "c"
        self._consoles: list[Console] = []
        if isinstance(prices, Path):
            self.recording = prices
        else:
            self.recording = folder / "BTCUSDT_1m.csv"
            _write_recording(self.recording, prices)
        (self.config / "agents").mkdir(parents=True)
        (self.config / "policy.toml").write_text(_POLICY)
        for name in agents:
            autonomy = "approve" if name == "asker" else "auto"
            (self.config / "agents" / f"{name}.toml").write_text(_AGENT.format(name=name, autonomy=autonomy))

    def words(self, *options: object) -> tuple[object, ...]:
        """Return the command line of a console here."""
        return ("--store", self.store, "--config", self.config, "--feed", self.recording, *options)

    def open(self, speed: float, size: tuple[int, int] = (120, 40)) -> Console:
        """Open a console; speed: times real time, so 60 is a candle a second."""
        self._consoles.append(Console(self.home, *self.words("--speed", speed), size=size))
        return self._consoles[-1]

    def ask(self, name: str) -> Any:
        """Read as the commands do: over the running engine's socket, or from the store."""
        from engine.runtime import query

        return query(self.store, name, {"limit": "1000000"})

    def seq(self) -> int:
        """Return the running engine's last journal row."""
        return self.ask("status")["seq"]

    def check_books(self) -> list[Any]:
        """Compare journal and venue: each intent was sent at most once, both know the same fills, positions add up.

        No engine may be running. Returns the fills.
        """
        orders, fills = self.ask("orders"), self.ask("fills")
        with contextlib.closing(sqlite3.connect(f"file:{self.store / 'paper.db'}?mode=ro", uri=True)) as venue:
            at_venue = {row[0] for row in venue.execute("SELECT client_order_id FROM orders")}
            venue_fills = Counter(row[0] for row in venue.execute("SELECT trade_id FROM fills"))
        assert at_venue <= {order["client_order_id"] for order in orders}
        sent = Counter((order["agent"], order["cycle_id"], order["role"]) for order in orders)
        assert [key for key, times in sent.items() if times > 1] == []
        assert venue_fills == Counter(fill["trade_id"] for fill in fills)
        held: dict[str, Decimal] = defaultdict(Decimal)
        for fill in fills:
            held[fill["agent_id"]] += Decimal(fill["qty"]) * (1 if fill["side"] == "BUY" else -1)
        positions = {row["agent"]: Decimal(row["qty"]) for row in self.ask("positions")}
        assert {agent: qty for agent, qty in held.items() if qty} == positions
        return fills

    def close(self) -> None:
        """End every console that still runs."""
        for console in self._consoles:
            console.close()


def waves(bars: int) -> list[float]:
    """Return closes that cross their averages every few bars."""
    return [50_000 + 150 * math.sin(bar / 2) + 40 * math.sin(bar / 23) for bar in range(bars)]


def one_rise(bars: int) -> list[float]:
    """Return closes that dip once, rise once, and then stand still."""
    return [50_000 - (100 if 24 <= bar < 40 else 0) for bar in range(bars)]


def _write_recording(path: Path, closes: Sequence[float]) -> None:
    rows, last = ["timestamp,open,high,low,close,volume"], closes[0]
    for place, close in enumerate(closes):
        high, low = max(last, close) + 5, min(last, close) - 5
        rows.append(f"{START_MS + place * 60_000},{last:.2f},{high:.2f},{low:.2f},{close:.2f},9000.00")
        last = close
    path.write_text("\n".join(rows) + "\n")


_POLICY = """account_currency = "USD"
cash = "100000"
usd_peg = ["USDT"]
[kill_switch]
gain = "900%"
loss = "90%"
drawdown = "90%"
daily_loss = "90%"
action = "halt"
[limits]
open_positions = 5
trades_per_day = 100000
gross_exposure = "100%"
risk_per_trade = "1%"
"""
_AGENT = """name = "{name}"
model = "heuristic:sma_cross"
mode = "paper"
autonomy = "{autonomy}"
instruments = ["paper:BTC/USDT"]
timeframe = "1m"
capital_share = "40%"
approval_expires = "24h"
[model_settings]
fast = 3
slow = 8
[schedule]
every = "candle"
[protection]
stop = "5%"
target = "5%"
[limits]
confidence_min = 0
trades_per_day = 100000
position_notional_max = "10000"
cooldown_after_loss = "0s"
"""
