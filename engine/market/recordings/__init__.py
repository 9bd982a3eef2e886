"""The recordings that come with the program, for the demos; SOURCES.md says whose they are."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from engine.errors import UsageError


def bundled(name: str) -> Path:
    """Return the bundled recording whose file name starts with name, such as "aapl"; case does not matter.

    Raises UsageError with the names there are.
    """
    found = {path.name.partition("_")[0].lower(): path for path in folder().glob("*.csv.gz")}
    path = found.get(name.partition("_")[0].lower())
    if path is None or not path.name.lower().startswith(name.lower()):
        raise UsageError(f'There is no bundled recording "{name}"; there are: {", ".join(sorted(found))}.')
    return path


def folder() -> Path:
    """Return where they are."""
    # a wheel is unpacked when it is installed, so this is always a real directory
    return Path(str(files(__name__)))
