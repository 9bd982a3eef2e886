"""TA-Lib without pandas and polars: its package would load them, where they are installed, to take their series too.

We give it arrays. Without them a start takes a tenth of a second and 30 MB less.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NOT_NEEDED = ("pandas", "polars")


@contextmanager
def _as_if_missing(*names: str) -> Iterator[None]:
    """Let the import of packages that are not loaded yet fail, as it does where they are not installed."""
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is how Python marks such a name
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with _as_if_missing(*_NOT_NEEDED):
    import talib

__all__ = ["talib"]
