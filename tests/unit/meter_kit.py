"""A meter on a real store, with prices and caps that a test can change."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.clock import ManualClock
from engine.domain.budget import Cap, Caps, Purpose, Window
from engine.domain.prices import ModelPrice, PriceList, Rates, Tier
from engine.llm.journal_meter import JournalMeter
from engine.llm.meter import Hold, OverBudget
from engine.paths import StorePaths
from engine.store.journal import Journal
from tests.unit.desk_kit import START_MS, first_rows

DAY_MS = 86_400_000
TIER = Tier(input=Decimal(3), output=Decimal(15), cached=Decimal("0.3"))
PRICE = ModelPrice(rates=Rates(base=TIER), context_tokens=200_000, origin="a test")
PRICES = PriceList(
    lines={"acme:small": PRICE, "acme:large": PRICE, "other:one": PRICE}, estimates={}, dated_ms=START_MS
)


def capped(usd: str = "1", tokens: int = 10**9, *more: Cap) -> Caps:
    """Return caps on a day and a month of all calls, and more."""
    return (Cap("", Window.DAY, Decimal(usd), tokens), Cap("", Window.MONTH, Decimal(usd) * 10, tokens), *more)


class MeterBench:
    """A journal, a clock and a meter; reopened on the same folder it is what a crash leaves."""

    def __init__(self, root: Path, caps: Caps = capped(), *, batch: bool = False) -> None:  # noqa: B008
        self.paths, self.clock, self.in_force = StorePaths(root), ManualClock(START_MS), caps
        if self.paths.store_db.exists():
            self.journal = Journal.open(self.paths, batch=batch)
        else:
            self.journal = Journal.create(self.paths, START_MS, *first_rows(), batch=batch)
        self.meter = JournalMeter(self.journal, self.clock, prices=PRICES, caps=lambda: self.in_force)

    def hold(
        self, tokens: int = 1000, out: int = 100, *, agent: str = "a", model: str = "acme:small", cycle: str = "a.1",
        purpose: Purpose | None = None,
    ) -> Hold | OverBudget:  # fmt: skip
        """Ask for a hold now; 1,000 tokens asked and 100 answered are 0.0045 USD at most."""
        provider, _colon, name = model.partition(":")
        return self.meter.hold(
            provider=provider, model=name, agent=agent, cycle_id=cycle, input_tokens=tokens, output_tokens_max=out,
            now_ms=self.clock.now_ms(), purpose=purpose,
        )  # fmt: skip

    def held(self, *args: int, **kwargs: Any) -> Hold:
        """Ask for a hold that must be given."""
        hold = self.hold(*args, **kwargs)
        assert isinstance(hold, Hold), hold
        return hold

    def refused(self, *args: int, **kwargs: Any) -> OverBudget:
        """Ask for a hold that must be refused."""
        refusal = self.hold(*args, **kwargs)
        assert isinstance(refusal, OverBudget), refusal
        return refusal
