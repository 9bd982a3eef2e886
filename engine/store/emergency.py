"""The emergency file: closing orders written down while the database takes nothing (R19: R9 holds even then).

It is allocated and opened while all is well, so that neither a full disk nor a lack of descriptors takes it away.
One line an event, with its checksum, on disk before the order leaves. A line that was cut short never sent anything:
what it announces leaves only once it is whole. The next start, or the database's recovery, takes the lines in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

from engine.domain.events import Event
from engine.errors import StoreError
from engine.store import codec
from engine.store.files import open_private

SIZE_BYTES = 131_072
"""Room for some three hundred orders."""


class EmergencyFile:
    """One store's emergency file, open for writing. Used from one thread."""

    def __init__(self, path: Path) -> None:
        """Open it, and allocate it whole. Raises StoreError when it cannot be had."""
        self._path = path
        self._file = open_private(path)
        try:
            missing = SIZE_BYTES - os.fstat(self._file).st_size
            if missing > 0:
                os.pwrite(self._file, bytes(missing), SIZE_BYTES - missing)
                os.fsync(self._file)
            self._end = _used(os.pread(self._file, SIZE_BYTES, 0))
            if os.pread(self._file, SIZE_BYTES, self._end).strip(b"\0"):  # what a line that was cut short has left
                os.pwrite(self._file, bytes(SIZE_BYTES - self._end), self._end)
        except OSError as error:
            os.close(self._file)
            raise StoreError(f"{path} cannot be allocated: {error.strerror}; free its disk.") from None

    def append(self, ts_ms: int, *events: Event) -> None:
        """Write events, all of them or none that counts; they are on disk when this returns. Raises StoreError."""
        lines = b"".join(_line(ts_ms, event) for event in events)
        if self._end + len(lines) >= SIZE_BYTES:
            raise StoreError(f"{self._path} is full; nothing more was sent. Close what is left at the venue.")
        try:
            os.pwrite(self._file, lines, self._end)
            os.fdatasync(self._file)
        except OSError as error:
            raise StoreError(f"{self._path} could not be written: {error.strerror}; nothing was sent.") from None
        self._end += len(lines)

    def events(self) -> list[tuple[int, Event]]:
        """Return what is in it, oldest first, with the instants it was written at."""
        return list(_read(os.pread(self._file, self._end, 0)))

    def clear(self) -> None:
        """Empty it, once the journal has all of it."""
        os.pwrite(self._file, bytes(self._end), 0)
        os.fsync(self._file)
        self._end = 0

    def close(self) -> None:
        """Let go of it; safe to repeat."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


def _line(ts_ms: int, event: Event) -> bytes:
    body = f"{event.KIND} {ts_ms} {codec.encode(event)}".encode()
    return b"%08x %s\n" % (crc32(body), body)


def _lines(raw: bytes) -> Iterator[bytes]:
    """Yield the whole lines, up to the first that is not."""
    for line in raw.partition(b"\0")[0].splitlines(keepends=True):
        check, _, body = line.rstrip(b"\n").partition(b" ")
        if not line.endswith(b"\n") or check != b"%08x" % crc32(body):
            return
        yield line


def _used(raw: bytes) -> int:
    return sum(len(line) for line in _lines(raw))


def _read(raw: bytes) -> Iterator[tuple[int, Event]]:
    for line in _lines(raw):
        kind, ts_ms, text = line.decode().rstrip("\n").split(" ", 3)[1:]
        yield int(ts_ms), codec.decode(int(kind), text)
