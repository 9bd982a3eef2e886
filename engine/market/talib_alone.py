"""TA-Lib without pandas and polars: its package would load them, where they are installed, to take their series too.

We give it arrays. Without them a start takes a tenth of a second and 30 MB less.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from threading import get_ident
from types import ModuleType

_NOT_NEEDED = ("pandas", "polars")


class _Missing(MetaPathFinder):
    """Finds packages to be missing, for one thread. A None in sys.modules would not do: compiled modules take it."""

    def __init__(self) -> None:
        self._thread = get_ident()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in _NOT_NEEDED and get_ident() == self._thread:
            raise ModuleNotFoundError(f"{fullname} is not needed here", name=fullname)
        return None


@contextmanager
def _as_if_missing() -> Iterator[None]:
    """Let the import of packages that are not loaded yet fail, as it does where they are not installed."""
    missing = _Missing()
    sys.meta_path.insert(0, missing)
    try:
        yield
    finally:
        sys.meta_path.remove(missing)


with _as_if_missing():
    import talib

__all__ = ["talib"]
