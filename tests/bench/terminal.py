"""A terminal that a program can be run in: just enough of one to see when it paints, and what words are on it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence

import pyte

COLUMNS, ROWS = 120, 40
_SYNC_ASKED, _SYNC_KNOWN = b"\x1b[?2026$p", b"\x1b[?2026;2$y"
_CONTROL = re.compile(
    rb"\x1b\[[0-9;:<=>?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[P_^X][^\x1b]*\x1b\\"
    rb"|\x1b[ -/]*[0-~]|[\x00-\x1f\x7f]"
)
_NOT_PYTES = re.compile(rb"\x1b\[[<=>][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*(?:\$p|u)|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_CUT_SHORT = re.compile(rb"\x1b(?:\[[0-9;:<=>?]*[ -/]*|\][^\x07\x1b]*)?$")
_NO_BYTES = re.compile(rb"[\x80-\xbf]")


class Terminal:
    """One program in a pseudo-terminal. began: when it was started; heard: all it has written."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: str | os.PathLike[str]) -> None:
        self.heard = bytearray()
        self.ended = False
        self.began = time.perf_counter()
        self.pid, self._fd = pty.fork()
        if self.pid == 0:
            _become(command, environment, folder)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def read(self, seconds: float) -> bytes:
        """Wait for bytes, at most so long; return what came, and answer what a terminal is asked."""
        if self.ended or not select.select([self._fd], [], [], max(0.0, seconds))[0]:
            return b""
        try:
            data = os.read(self._fd, 1 << 16)
        except OSError:
            data = b""
        self.ended = not data
        self.heard += data
        if _SYNC_ASKED in data:
            self.send(_SYNC_KNOWN)
        return data

    def read_for(self, seconds: float) -> None:
        """Let the program run, and read what it writes."""
        deadline = time.perf_counter() + seconds
        while not self.ended and (left := deadline - time.perf_counter()) > 0:
            self.read(left)

    def send(self, data: bytes) -> None:
        """Type something."""
        with contextlib.suppress(OSError):
            os.write(self._fd, data)

    def until_painted(self, cells: int, seconds: float) -> float:
        """Return the ms from the start until so many cells have been written; RuntimeError when they are not."""
        deadline = self.began + seconds
        while (now := time.perf_counter()) < deadline and not self.ended:
            if self.read(deadline - now) and count_cells(bytes(self.heard)) >= cells:
                return (time.perf_counter() - self.began) * 1000
        raise RuntimeError(f"the program did not paint within {seconds:g} s: {bytes(self.heard[-300:])!r}")

    def close(self) -> None:
        """End the program, whatever it is doing, and the terminal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        os.close(self._fd)


class Watched(Terminal):
    """A terminal whose first line can be read: what was written, drawn when it is asked for."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: str | os.PathLike[str]) -> None:
        super().__init__(command, environment, folder)
        self._screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._kept = b""

    def until(self, word: str, seconds: float) -> float:
        """Return when the first line said a word, in perf_counter seconds; RuntimeError when it did not in time.

        The time is that of reading: drawing comes after it, and delays nothing.
        """
        deadline = time.perf_counter() + seconds
        while not self.ended:
            data, at = self.read(0.05), time.perf_counter()
            self._draw(data)
            if word in self._screen.display[0]:
                return at
            if at > deadline:
                break
        raise RuntimeError(f"the console did not say {word} within {seconds:g} s: {self._screen.display[0]}")

    def read_for(self, seconds: float) -> None:
        deadline = time.perf_counter() + seconds
        while not self.ended and (left := deadline - time.perf_counter()) > 0:
            self._draw(self.read(left))

    def _draw(self, data: bytes) -> None:
        data = self._kept + data
        cut = found.start() if (found := _CUT_SHORT.search(data)) else len(data)
        self._kept = data[cut:]
        self._stream.feed(_NOT_PYTES.sub(b"", data[:cut]))


def count_cells(data: bytes) -> int:
    """Count the cells that bytes have written, blanks included: a screen of nothing but background is painted too."""
    return len(_NO_BYTES.sub(b"", _CONTROL.sub(b"", data)))


def _become(command: Sequence[str], environment: Mapping[str, str], folder: str | os.PathLike[str]) -> None:
    try:
        os.chdir(folder)
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        os.execvpe(command[0], list(command), dict(environment))
    finally:
        os._exit(127)
