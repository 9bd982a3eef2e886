"""Follow the trades that a person rejected, candle by candle, and write down what they would have done."""

from __future__ import annotations

from engine.agents.cycle import Desk
from engine.domain.market import Instant
from engine.domain.policy import PaperSettings
from engine.execution.shadows import follow


def follow_rejected(desk: Desk, settings: PaperSettings, instant: Instant) -> None:
    """Take the candles of an instant in, warm ones too: what a store missed while it was closed is made up for."""
    journal = desk.journal
    if journal.broken is not None:
        return  # what cannot be written is not followed; the next start asks the candles again
    for candle in instant.candles:
        for shadow in list(journal.books.shadows.open.values()):
            if shadow.asked.instrument == candle.instrument:
                steps = follow(shadow, candle, journal.books.instruments[candle.instrument], settings)
                if steps:
                    journal.record(desk.clock.now_ms(), *steps)
