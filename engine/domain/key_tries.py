"""Wrong passphrases of the key file: how many in a row, and how long no other is looked at."""

from __future__ import annotations

from dataclasses import dataclass

from engine.domain.events.keys import KeysTried

FREE_TRIES = 3
LOCK_MS = 30_000
LOCK_MS_MAX = 3_600_000


def lock_ms(wrong_tries: int) -> int:
    """Return how long to wait after so many wrong passphrases in a row, each one after the third doubling it.

    >>> [lock_ms(tries) for tries in (1, 2, 3, 4, 5, 12)]
    [0, 0, 30000, 60000, 120000, 3600000]
    """
    return min(LOCK_MS_MAX, LOCK_MS * 2 ** min(20, wrong_tries - FREE_TRIES)) if wrong_tries >= FREE_TRIES else 0


@dataclass(slots=True)
class KeyTries:
    """As the journal has it, so that a restart forgets no try."""

    wrong: int = 0
    until_ms: int = 0

    def take(self, event: KeysTried) -> None:
        """Take one event in."""
        self.wrong, self.until_ms = event.wrong_tries, event.locked_until_ms
