"""Where things are kept: QUARTERDECK_HOME when set, else the platform's own folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class StorePaths:
    """The files of one store directory (DESIGN section 9); each path is made once, for the send path asks for them."""

    root: Path

    @cached_property
    def store_db(self) -> Path:
        """Journal and tables."""
        return self.root / "store.db"

    @cached_property
    def paper_db(self) -> Path:
        """The paper venue's own truth."""
        return self.root / "paper.db"

    @cached_property
    def anchor(self) -> Path:
        """Last seq and hash, outside the database."""
        return self.root / "anchor"

    @cached_property
    def lock(self) -> Path:
        """Held by the one engine of this store."""
        return self.root / "lock"

    @cached_property
    def halt_latch(self) -> Path:
        """While this file exists, nothing is sent."""
        return self.root / "HALT"

    @cached_property
    def prompts(self) -> Path:
        """What models were asked and answered, by hash."""
        return self.root / "prompts"

    @cached_property
    def emergency(self) -> Path:
        """Closing orders sent while the database could not be written; the next start takes them in."""
        return self.root / "emergency"

    @cached_property
    def drill(self) -> Path:
        """What the last drill measured."""
        return self.root / "drill.json"

    @cached_property
    def backups(self) -> Path:
        """Proven copies, one directory each."""
        return self.root / "backups"

    @cached_property
    def restoring(self) -> Path:
        """A backup on its way into the store's place; while it is here, a restore was cut off."""
        return self.root / "restoring"

    @cached_property
    def socket(self) -> Path:
        """The control socket of the engine that holds the lock."""
        return self.root / "control.sock"


def default_store() -> Path:
    """Return the store directory the bare command uses."""
    home = os.environ.get("QUARTERDECK_HOME")
    if home:
        return Path(home) / "store"
    import platformdirs  # costs 5 ms, and most commands name their store

    return Path(platformdirs.user_data_dir("quarterdeck", appauthor=False)) / "store"


def config_dir() -> Path:
    """Return the directory of instruments.toml, policy.toml and agents/."""
    home = os.environ.get("QUARTERDECK_HOME")
    if home:
        return Path(home) / "config"
    import platformdirs  # as above

    return Path(platformdirs.user_config_dir("quarterdeck", appauthor=False))
