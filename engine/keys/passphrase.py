"""The passphrase of the key file from a file of its own, for a server where nobody sits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.errors import UsageError
from engine.keys.files import read_private
from engine.keys.sealed import PASSPHRASE_MAX

PASSPHRASE_FILE = "QUARTERDECK_KEYS_PASSPHRASE_FILE"


def passphrase_in_file(environ: Mapping[str, str]) -> str | None:
    """Return the first line of the file that the environment names; None: it names none.

    Raises UsageError for a file that is missing, empty, or that anybody else may read.
    """
    name = environ.get(PASSPHRASE_FILE, "")
    if not name:
        return None
    lines = (read_private(Path(name), 4 * PASSPHRASE_MAX) or "").splitlines()
    if not lines or not lines[0]:
        raise UsageError(f"{PASSPHRASE_FILE} names {name}, which holds no passphrase; write one, on its first line.")
    return lines[0]
