"""Where the stores of these tests lie: in memory, where there is a file system for that."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.memory import MEMORY


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Make a directory that goes with its test; nothing here needs what the syncs of a disk cost."""
    with tempfile.TemporaryDirectory(prefix="qd-", dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a directory on a disk, for a store that may lie nowhere else."""
    return tmp_path_factory.mktemp("disk")
