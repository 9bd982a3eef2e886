"""Events of the key file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysTried:
    """Somebody gave the key file's passphrase, rightly or not; never what was given.

    wrong_tries: in a row by now, 0 after a right one. locked_until_ms: before which no other is looked at, 0 for none.
    """

    KIND: ClassVar[int] = 125
    right: bool
    actor: str
    wrong_tries: int
    locked_until_ms: int
