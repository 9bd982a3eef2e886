"""What the kill switch watches besides equity: failures, ages, the venue's books, and the clocks (R18).

Everything is read from memory and costs the same however much has happened; only what is held, and the differences that
are open, is walked through.
"""

from __future__ import annotations

from decimal import Decimal

from engine.agents.cycle import Desk
from engine.clock import Clock
from engine.domain.killing import KillRule
from engine.domain.market import Quote
from engine.domain.money import ONE, ZERO, plain, signed_frac
from engine.execution.heard import HeardGateway
from engine.market.sessions import is_open


class Health:
    """Reads the figures of the rules that are not about equity.

    lag_ms: for how long the engine's loop stood still before its last beat. seen: the figures of the last look, each in
    its rule's unit.
    """

    def __init__(self, desk: Desk, venue: HeardGateway) -> None:
        self.lag_ms = 0
        self.seen: dict[KillRule, Decimal] = {}
        self._desk = desk
        self._books = desk.journal.books
        self._venue = venue
        self._closed_ms: dict[str, int] = {}
        self._oldest = ""
        self._ahead_ms = (0, 0)
        self.begin(desk.clock)

    def begin(self, clock: Clock) -> None:
        """Begin to watch: what happened to prices and clocks before is not held against now."""
        self._since_ms = clock.now_ms()
        self._offset_ms = clock.now_ms() - clock.mono_ms()

    def forgive(self, clock: Clock) -> None:
        """A person looked: failures are forgotten, and the clock is as right as it is."""
        self._venue.begin_anew()
        self._offset_ms = clock.now_ms() - clock.mono_ms()
        self.lag_ms = 0

    def woke(self, now_ms: int) -> None:
        """The machine or the loop stood still: prices get as long as any other silence may last to come again."""
        self._since_ms = now_ms

    def heard(self, quote: Quote) -> None:
        """Take in how far the venue's clock is ahead of ours: a stamp from our future proves it, an old one nothing."""
        self._ahead_ms = (self._ahead_ms[1], quote.ts_ms - quote.received_ms)

    def is_quiet(self, prices: int) -> bool:
        """Tell whether there is nothing to look at after an instant that brought so many prices; costs next to none."""
        books = self._books
        return not (
            self._venue.failures
            or books.standing.failing.in_a_row
            or books.differences
            or prices < len(self._desk.surroundings.valuation.marks)
        )

    def look(self, now_ms: int, equity: Decimal | None) -> dict[KillRule, Decimal]:
        """Return every figure, as of now."""
        self.seen = {
            KillRule.ANALYSIS_FAILURES: Decimal(self._books.standing.failing.in_a_row),
            KillRule.VENUE_FAILURES: Decimal(self._venue.failures),
            KillRule.STALE_DATA: Decimal(self._stale_ms(now_ms)),
            KillRule.LEDGER_DRIFT: self._drift_frac(equity) if self._books.differences else ZERO,
            KillRule.CLOCK_SKEW: Decimal(self._skew_ms()),
            KillRule.LOOP_LAG: Decimal(round(self.lag_ms)),
        }
        return self.seen

    def evidence(self, rule: KillRule) -> str:
        """Return what a rule's figure was made of, as "name=value" joined by ";"."""
        books, clock = self._books, self._desk.clock
        if rule is KillRule.ANALYSIS_FAILURES:
            failing = books.standing.failing.by_agent
            return ";".join(f"failed {agent}={count}" for agent, count in sorted(failing.items()))
        if rule is KillRule.VENUE_FAILURES:
            return f"venue={self._venue.venue};last={self._venue.why}"
        if rule is KillRule.STALE_DATA:
            mark = self._desk.surroundings.valuation.marks.get(self._oldest)
            return f"instrument={self._oldest};price_ms={mark.ts_ms if mark else 'none'};now_ms={clock.now_ms()}"
        if rule is KillRule.LEDGER_DRIFT:
            missing = ((d.asset, d.ours, d.venue) for d in books.differences.values() if d.asset)
            return ";".join(f"{asset}: ours={plain(ours)}, venue={plain(venue)}" for asset, ours, venue in missing)
        if rule is KillRule.CLOCK_SKEW:
            return f"jumped_ms={self._jumped_ms()};venue_ahead_ms={self._ahead_ms[1]}"
        return f"stood_ms={self.lag_ms}"

    def _stale_ms(self, now_ms: int) -> int:
        """Return for how long the oldest price of anything held is overdue, while its market is open."""
        worst = 0
        for position in self._books.open_positions():
            if not self._books.is_dust(position):
                late_ms = self._late_ms(position.instrument, now_ms)
                if late_ms > worst:
                    worst, self._oldest = late_ms, position.instrument
        return worst

    def _late_ms(self, instrument: str, now_ms: int) -> int:
        if is_open(self._books.instruments[instrument].calendar, now_ms) is False:
            self._closed_ms[instrument] = now_ms
            return 0
        market, mark = self._desk.market, self._desk.surroundings.valuation.marks.get(instrument)
        # where no quotes come, a candle is the next price, and is not due before it has closed
        pause_ms = 0 if market.quote(instrument) is not None else market.interval_ms
        priced_ms = mark.ts_ms + pause_ms if mark is not None else 0
        return now_ms - max(priced_ms, self._closed_ms.get(instrument, 0), self._since_ms)

    def _drift_frac(self, equity: Decimal | None) -> Decimal:
        """Return the worth of what the books hold and the venue does not show, of equity.

        More than we know of is no loss: it blocks entries until somebody says what it is.
        """
        rate = self._desk.surroundings.valuation.rate
        gone = [each for each in self._books.differences.values() if each.asset and each.venue < each.ours]
        missing = sum(((each.ours - each.venue) * rate(each.asset) for each in gone), ZERO)
        return signed_frac(missing, equity) if equity else ONE if missing else ZERO

    def _jumped_ms(self) -> int:
        clock = self._desk.clock
        return round(clock.now_ms() - clock.mono_ms() - self._offset_ms)

    def _skew_ms(self) -> int:
        return max(abs(self._jumped_ms()), min(self._ahead_ms), 0)
