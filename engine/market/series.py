"""The last bars of one instrument and timeframe as float columns, each kept only from when it is first asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from operator import attrgetter

import numpy as np

from engine.domain.market import Candle

COLUMNS = ("open", "high", "low", "close", "volume")
_Getter = Callable[[Candle], Decimal]


class Series:
    """Rolling float64 columns over the last bars; append is cheap, and a tail is one contiguous view.

    window: bars kept at least. count: bars appended in all. Columns in use are buffers twice the window long, and
    all have their latest value at end - 1; when they are full, the latest window moves to the front.
    """

    __slots__ = ("_recent", "_used", "close", "count", "end", "high", "low", "open", "volume", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.count = self.end = 0
        self._recent: deque[Candle] = deque(maxlen=window)
        self._used: list[tuple[np.ndarray, _Getter]] = []
        self.open = self.high = self.low = self.close = self.volume = np.empty(0)

    def append(self, candle: Candle) -> None:
        """Take a closed bar in."""
        self._recent.append(candle)
        self.count += 1
        end = self.end
        if end == 2 * self.window:
            end = self._move_to_front()
        for buffer, value in self._used:
            buffer[end] = value(candle)
        self.end = end + 1

    @property
    def last(self) -> Candle | None:
        """The latest bar; None before the first."""
        return self._recent[-1] if self._recent else None

    def use(self, columns: Iterable[str]) -> None:
        """Keep columns from here on, the bars still at hand included. Raises KeyError for a name that is none."""
        for name in columns:
            if name not in COLUMNS:
                raise KeyError(name)
            if not len(getattr(self, name)):
                self._start(name, attrgetter(name))

    def reserve(self, window: int) -> None:
        """Keep at least so many bars from here on."""
        if window <= self.window:
            return
        used = [name for name in COLUMNS if len(getattr(self, name))]
        self._recent = deque(self._recent, maxlen=window)
        self.window, self.end, self._used = window, len(self._recent), []
        for name in used:
            self._start(name, attrgetter(name))

    def tail(self, name: str, length: int, back: int = 0) -> np.ndarray:
        """Return the last length values of a column, without the latest back bars; shorter when there are fewer.

        A view: use it before the next append.
        """
        self.use((name,))
        end = self.end - back
        return getattr(self, name)[max(0, end - length) : max(0, end)]

    def _start(self, name: str, value: _Getter) -> None:
        buffer = np.full(2 * self.window, np.nan)
        if self._recent:
            buffer[self.end - len(self._recent) : self.end] = [float(value(candle)) for candle in self._recent]
        setattr(self, name, buffer)
        self._used.append((buffer, value))

    def _move_to_front(self) -> int:
        for buffer, _value in self._used:
            buffer[: self.window] = buffer[self.window :]
        return self.window
