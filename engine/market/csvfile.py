"""A CSV file, plain or gzipped, as blocks of whole lines: what is read is small, however long the file."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Generator, Iterator
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from engine.errors import UsageError

_BLOCK_BYTES = 1 << 18
_LINE_BYTES_MAX = 1 << 20
_RUN_LINES = 64
"""Lines handed out at a time: a short recording is one block, and its progress must not be one step."""
_GZIP_MAGIC = b"\x1f\x8b"
_DAMAGE = (OSError, EOFError, zlib.error)

# A block of nothing but these holds no quotes, exponents, NaN or underscores, and a block without nineteen digits
# in a row no number of more than 18 places: then Decimal() takes exactly what amount() would.
_ORDINARY = b"0123456789.,;\t\r\n-:+ TZ"
_ZEROED = bytes.maketrans(b"123456789", b"000000000")
_TOO_MANY_DIGITS = b"0" * 19


class CsvFile:
    """One file, read from its start each time lines() is asked; a line break inside quotes is not supported."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        self._bytes_read = 0
        self._bytes_used = 0.0

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of the file's bytes, as hex."""
        with self._open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @property
    def progress(self) -> float:
        """How much of the file the latest reading has handed out, 0 to 1; 1 only at its end."""
        return min(1.0, self._bytes_used / max(1, self._size))

    @cached_property
    def _size(self) -> int:
        return self.path.stat().st_size

    def header(self) -> str:
        """Return the first line. Raises UsageError when there is none."""
        blocks = self._blocks()
        line = next(blocks, b"").decode("utf-8-sig", "replace").strip("\r\n")
        blocks.close()
        if not line.strip():
            raise UsageError(f"{self.name} is empty; give a recording with a header line and at least one row.")
        return line

    def count_rows(self) -> int:
        """Return the number of lines after the header."""
        blocks = self._blocks()
        next(blocks, None)
        return sum(block.count(b"\n") for block in blocks)

    def lines(self) -> Iterator[tuple[int, list[str], bool]]:
        """Yield runs of lines after the header: (row number of the first, lines, whether all are plain figures).

        Rows are numbered as an editor does, the header being 1. Raises UsageError when the file is damaged.
        """
        row, before, self._bytes_used = 2, 0, 0.0
        blocks = self._blocks()
        next(blocks, None)
        for block in blocks:
            ordinary = not block.translate(None, _ORDINARY) and _TOO_MANY_DIGITS not in block.translate(_ZEROED)
            text = block.decode("utf-8", "replace")
            lines = (text.replace("\r", "") if "\r" in text else text).split("\n")
            lines.pop()  # what follows the last line break
            for start in range(0, len(lines), _RUN_LINES):
                self._bytes_used = before + (self._bytes_read - before) * start / len(lines)
                yield row + start, lines[start : start + _RUN_LINES], ordinary
            row, before = row + len(lines), self._bytes_read
        self._bytes_used = self._size

    def _open(self) -> BufferedReader:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read: {error.strerror}.") from None

    def _blocks(self) -> Generator[bytes, None, None]:
        """Yield the header line alone, then blocks of whole lines."""
        with self._open() as raw:
            is_gzip = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            stream = cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if is_gzip else raw
            rest, is_first = b"", True
            while chunk := self._read(stream, raw):
                data = rest + chunk
                cut = (data.find(b"\n") if is_first else data.rfind(b"\n")) + 1
                if cut:
                    yield data[:cut]
                    is_first = False
                elif len(data) > _LINE_BYTES_MAX:
                    raise UsageError(f"{self.name} has a line of over {_LINE_BYTES_MAX} bytes; it is not a recording.")
                rest = data[cut:]
            if rest:
                yield rest if rest.endswith(b"\n") else rest + b"\n"

    def _read(self, stream: BinaryIO, raw: BinaryIO) -> bytes:
        try:
            chunk = stream.read(_BLOCK_BYTES)
        except _DAMAGE as error:
            raise UsageError(f"{self.name} is damaged and cannot be read to its end: {error}.") from None
        self._bytes_read = raw.tell()
        return chunk
