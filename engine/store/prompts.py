"""What models were asked and answered, word for word: compressed files by hash, outside the chain (DESIGN section 9).

The journal names a text by its hash, so that one which was altered is not believed; deleting one breaks no proof, and
that is what retention does. Files are 0600 in folders of 0700. A file is whole or not there: it gets its name last.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

from engine.ids import new_token

DAY_MS = 86_400_000
HASH_DIGITS = 32
_NAME = re.compile(rf"([0-9a-f]{{{HASH_DIGITS}}})\.([a-z]+)")
_WORDS = (
    '"gross_exposure":"previous_decisions":"agent_performance":"max_drawdown":"avg_holding_s":"recent_performance_score"'
    '"current_prices":{"price":"change_frac":{"volume":"age_s":"indicators":{"rsi_14":"macd_12_26_9":"sma_20":"sma_50":'
    '"bollinger_upper_20_2":"atr_14":"positions":[{"symbol":"quantity":"avg_cost":"unrealized_pnl":"pnl_frac":'
    '{"decision":"buy","symbol":"quantity":"order_type":"market","reasoning":"confidence":0.'
    '{"items":[{"instrument":"action":"target_qty":"rationale":'
)
_DICTIONARY = _WORDS.encode()
"""Part of the form of the files: what is kept was packed against it."""
_EFFORT = 5
"""Of 1 to 9. At 9 the bars behind one decision take ten times as long, to save 5 %, and the engine's loop waits."""


def text_hash(text: str) -> str:
    """Return the 32 hex digits that name a text."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_DIGITS]


class PromptStore:
    """Texts by hash in one folder. redact: takes out what must never be kept, before anything is hashed."""

    def __init__(self, folder: Path, redact: Callable[[str], str] | None = None) -> None:
        self.folder = folder
        self._redact = redact

    def put(self, kind: str, text: str) -> str:
        """Keep a text of a kind, such as "prompt" or "answer"; return its hash. The same text is kept once.

        Raises OSError when it cannot be written.
        """
        text = text if self._redact is None else self._redact(text)
        name = text_hash(text)
        path = self._path(name, kind)
        if path.exists():
            os.utime(path)
            return name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_name(f"{new_token()}.part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(_packed(text))
        part.replace(path)
        return name

    def get(self, name: str) -> str | None:
        """Return a text by its hash; None when it is gone, or is not what its hash says."""
        if not re.fullmatch(rf"[0-9a-f]{{{HASH_DIGITS}}}", name):
            return None
        for path in (self.folder / name[:2]).glob(f"{name}.*"):
            text = _unpacked(path)
            if text is not None and text_hash(text) == name:
                return text
        return None

    def prune(self, now_ms: int, days: int) -> int:
        """Delete what was last kept longer ago than so many days; return how many files. 0 days keep nothing."""
        gone = 0
        for path in list(self._files()):
            if path.stat().st_mtime * 1000 <= now_ms - days * DAY_MS:
                path.unlink(missing_ok=True)
                gone += 1
        return gone

    def size(self) -> tuple[int, int]:
        """Return how many files there are, and their bytes."""
        sizes = [path.stat().st_size for path in self._files()]
        return len(sizes), sum(sizes)

    def _files(self) -> Iterator[Path]:
        return (path for path in self.folder.glob("??/*") if _NAME.fullmatch(path.name) or path.suffix == ".part")

    def _path(self, name: str, kind: str) -> Path:
        return self.folder / name[:2] / f"{name}.{kind}"


def _packed(text: str) -> bytes:
    packer = zlib.compressobj(_EFFORT, zdict=_DICTIONARY)
    return packer.compress(text.encode("utf-8", "surrogatepass")) + packer.flush()


def _unpacked(path: Path) -> str | None:
    try:
        return zlib.decompressobj(zdict=_DICTIONARY).decompress(path.read_bytes()).decode("utf-8", "surrogatepass")
    except (OSError, zlib.error, UnicodeDecodeError):
        return None
