"""What tells a person's typing from a paste, a burst, and a key held down (U02, U03, U04)."""

from __future__ import annotations

from collections import deque

from textual import events
from textual.message import Message
from textual.widgets import Input

DWELL_S = 0.5
QUIET_S = 0.5
BURST_GAP_S = 0.010
BURST_KEYS = 5
BURST_SPAN_S = 0.100
REPEAT_GAP_S = 0.060


def event_clock_s() -> float:
    """Return now on the clock that events carry."""
    return Message().time


class TypingGuard:
    """Judges keys by the times they arrived at; times are seconds of the events' own clock.

    A key counts when the screen has stood for the dwell, nothing arrived within the last 10 ms, at most five keys
    arrived within 100 ms, and the same key did not arrive within 60 ms. What fails locks the guard until half a
    second has passed without a key.
    """

    def __init__(self) -> None:
        self._opened: float | None = None
        self._locked_until = 0.0
        self._last: tuple[str, float] = ("", -1e9)
        self._times: deque[float] = deque(maxlen=BURST_KEYS)

    def open(self, at: float) -> None:
        """Start the dwell: from now on the screen is in front of the person."""
        self._opened = at

    def accepts(self, key: str, at: float, *, bursts: bool = False) -> bool:
        """Say whether this key was typed by a person who can have seen the screen.

        bursts: keys that came together count all the same, as over a slow line; those of a paste never do.
        """
        last_key, last_at = self._last
        burst = at - last_at < BURST_GAP_S or (len(self._times) == BURST_KEYS and at - self._times[0] < BURST_SPAN_S)
        held = key == last_key and at - last_at < REPEAT_GAP_S
        self._last = (key, at)
        self._times.append(at)
        if self._opened is None or at - self._opened < DWELL_S:
            return False
        if at < self._locked_until or ((burst or held) and not bursts):
            self._locked_until = at + QUIET_S
            return False
        return True

    def pasted(self, at: float) -> None:
        """A paste arrived: nothing counts until it is quiet again."""
        self._last = ("", at)
        self._locked_until = at + QUIET_S


class GuardedInput(Input):
    """An input that a paste, a burst or a held key cannot answer with.

    strict: such keys empty it. Otherwise they may fill it (a sentence may be pasted), but its enter does not count.
    bursts: for a whole word to type: keys may come together, as they do over a slow line, but not from a paste.
    whole: for what is not seen: after an ignored key none counts until it is quiet, so that no part of it is taken.
    """

    class Ignored(Message):
        """Keys were not taken."""

    def __init__(
        self,
        guard: TypingGuard,
        *,
        placeholder: str = "",
        max_length: int = 16,
        strict: bool = True,
        bursts: bool = False,
        whole: bool = False,
        id: str,
    ) -> None:
        super().__init__(placeholder=placeholder, max_length=max_length, compact=True, select_on_focus=False, id=id)
        self._guard = guard
        self._strict = strict
        self._bursts = bursts
        self._whole = whole

    def _on_key(self, event: events.Key) -> None:  # type: ignore[override]
        if not (event.is_printable or event.key == "enter"):
            return
        accepted = self._guard.accepts(event.key, event.time, bursts=self._bursts)
        if not accepted and (self._strict or event.key == "enter"):
            self._ignore(event)

    def begin(self, event: events.Key) -> None:
        """Take a key that was typed before this field had the focus, judged as if it had."""
        if self._guard.accepts(event.key, event.time, bursts=self._bursts):
            self.insert_text_at_cursor(event.character or "")
        else:
            self._ignore(event)

    def _on_paste(self, event: events.Paste) -> None:
        self._guard.pasted(event.time)
        if self._strict:
            self._ignore(event)

    def _ignore(self, event: events.Key | events.Paste) -> None:
        event.stop()
        event.prevent_default()
        if self._strict:
            self.value = ""
        if self._whole:
            self._guard.pasted(event.time)
        self.post_message(self.Ignored())

    def action_paste(self) -> None:
        """Paste from the app's own clipboard: no typing either."""
        if self._strict:
            self.post_message(self.Ignored())
        else:
            super().action_paste()
