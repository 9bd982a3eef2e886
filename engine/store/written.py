"""What a replay's store holds by now, known without asking the file: it would say no to nearly every order and fill."""

from __future__ import annotations

from collections.abc import Iterable

from engine.store.tables import OrderKey

KEPT_MAX = 100_000

Key = OrderKey | tuple[int, str]


class Written:
    """Keys of the orders and fills that a store was given since it began; 15 MB at most, and then it knows nothing.

    is_whole: whether these are all there are.
    """

    def __init__(self, *, is_whole: bool) -> None:
        self.is_whole = is_whole
        self._keys: set[Key] = set()

    def take(self, *keys: Iterable[Key]) -> None:
        """Take in what was written."""
        if self.is_whole:
            self._keys.update(*keys)
            if len(self._keys) > KEPT_MAX:
                self.is_whole = False
                self._keys = set()

    def lacks(self, key: Key) -> bool:
        """Tell whether a key is known not to be in the store; False where only the file can say."""
        return self.is_whole and key not in self._keys
