"""Where a store must be: one sentence, and one exit code, wherever there is none."""

from __future__ import annotations

from pathlib import Path

from engine.errors import UsageError
from engine.paths import StorePaths
from engine.store.database import exists


def there(store: Path) -> StorePaths:
    """Return the files of a store that exists; UsageError when there is none. A cut-off creation is none."""
    paths = StorePaths(store)
    if not exists(paths):
        raise UsageError(
            f"There is no store in {store}; the console makes one at its first start, and --store names another."
        )
    return paths
