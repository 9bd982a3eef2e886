"""A policy file as a proposal: what it says, and nothing of what it leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.config import load_policy
from engine.config.toml import read_toml
from engine.governance.document import texts_of


def changes_of_file(path: Path) -> dict[str, str]:
    """Return field -> value for the keys that a policy file has. Raises UsageError as reading it to run would."""
    values = texts_of(load_policy(path))
    return {name: values[name] for name in _names(read_toml(path)) if name in values}


def _names(table: dict[str, Any], before: str = "") -> Iterator[str]:
    for key, value in table.items():
        yield before + key
        if isinstance(value, dict):
            yield from _names(value, f"{before}{key}.")
