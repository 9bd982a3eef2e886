"""The latch every send reads last: halted in memory at once, from any thread, and by a file from outside (R19)."""

from __future__ import annotations

from pathlib import Path

from engine.domain.books import Books
from engine.domain.intent import Intent
from engine.domain.order import OrderRole
from engine.domain.policy import TradingState


class SendLatch:
    """Says whether an intent may leave now. halted is set before anything is written, and read after.

    held: why nothing that adds exposure may leave for the moment, "" when it may; unlike a halt it ends by itself.
    """

    def __init__(self, books: Books, halt_file: Path | None = None) -> None:
        self.halted = False
        self.held = ""
        self._books = books
        self._halt_file = halt_file

    def close(self) -> None:
        """Stop every send but a flatten's; safe from any thread, one attribute write."""
        self.halted = True

    def open(self) -> None:
        """Let sends pass again, once a person has resumed."""
        self.halted = False
        self.held = ""

    @property
    def file_exists(self) -> bool:
        """Whether someone outside asked for a halt."""
        return self._halt_file is not None and self._halt_file.exists()

    def refusal(self, intent: Intent) -> str:
        """Return why the intent may not leave, or "" when it may; read in the send section itself (S2)."""
        if intent.role is OrderRole.FLATTEN or (intent.role.is_protection and intent.reduce_only):
            return ""  # what closes, and what protects, leaves in every state
        if self.halted or self._books.state is TradingState.HALTED:
            return "trading is HALTED"
        if self.file_exists:
            return "a HALT file is in the store"
        if self.held and not intent.reduce_only:
            return f"entries are held: {self.held}"
        if self._books.state is TradingState.REDUCING and not intent.reduce_only:
            return "trading is REDUCING: only orders that reduce may leave"
        return ""
