"""Watch the account: what it is worth, what that is measured from, and what the kill switch says of it (R18)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal

from engine.agents.cycle import Desk
from engine.clock import DAY_MS, HOUR_MS, MINUTE_MS
from engine.control.health import Health
from engine.domain.events import BaselineReset, EquityMarked
from engine.domain.killing import KILL_SWITCH, KillRule
from engine.domain.money import ZERO, kept
from engine.domain.policy import Policy
from engine.execution.heard import HeardGateway
from engine.risk.killswitch import KillSwitch, Trip, TwoSample

CURVE_POINTS = 480  # twice what the widest pane draws

Halt = Callable[[str, str], Awaitable[object]]
"""Halts trading, given an actor and a reason."""
Act = Callable[[tuple[Trip, ...]], Awaitable[None]]
"""Does what the rules that moved ask for."""


class Watch:
    """The account's equity and the kill switch over it. Every method runs on the engine's own thread.

    equity: None while an asset cannot be valued. peak: the highest equity of a closed candle since the last reset.
    curve: (ts_ms, equity), oldest first. health: what is watched besides equity.
    """

    def __init__(self, desk: Desk, policy: Policy, venue: HeardGateway, halt: Halt, act: Act) -> None:
        self.kill = KillSwitch(policy.kill)
        self.health = Health(desk, venue)
        self.equity: Decimal | None = None
        self.max_drawdown_frac = ZERO
        self.curve: list[tuple[int, Decimal]] = []
        self._desk = desk
        self._books = desk.journal.books
        self._halt = halt
        self._act = act
        self.peak = self._low = self._books.baseline.peak
        self._funded = self._books.funded
        self._peak_step = 1 + policy.kill.drawdown_frac / 10
        self._plot_step_ms = MINUTE_MS
        self._plot_ms = 0
        self._hour = -1
        self._sure: Decimal | None = None
        self._two = TwoSample(self.kill)

    def adopt(self, policy: Policy) -> None:
        """Measure by another policy's limits from the next mark on; each rule stays in its tier until then."""
        self.kill = KillSwitch(policy.kill, self.kill.tiers)
        self._two = TwoSample(self.kill)
        self._peak_step = 1 + policy.kill.drawdown_frac / 10

    def take_up(self) -> None:
        """Go on from the books, once they stand as the venue has them."""
        self._peak_is(self._books.baseline.peak)
        self._funded = self._books.funded
        self.equity = self._desk.surroundings.equity()
        for rule, tier in self._books.standing.tiers.items():
            self.kill.take(rule, tier)
        self.health.begin(self._desk.clock)

    def look(self, now_ms: int, *, confirmed: bool, instrument: str = "") -> Awaitable[object] | None:
        """Value the account and ask the kill switch; return what must be awaited now, None after an ordinary mark.

        confirmed: the mark is a closed candle's. instrument: whose quote it is, where it is a quote. An exception in
        here is HALTED (R18).
        """
        base = self._books.baseline
        try:
            equity = self._desk.surroundings.equity()
            self._keep_baselines(now_ms, equity, confirmed)
            trips = self.kill.evaluate(equity, base.start, self.peak, base.day_start)
            trips = self._two.confirm(trips, confirmed, instrument)
        except Exception as error:
            return self._halt(KILL_SWITCH, f"the kill switch failed: {error!r}"[:300])
        return self._act(trips) if trips else None

    async def check(self, now_ms: int) -> None:
        """Ask the rules that are not about equity, and value the account, which fills and fees move between prices.

        An exception in them is HALTED, too.
        """
        try:
            self.equity = self._desk.surroundings.equity()
            trips = tuple(self._moved(now_ms))
        except Exception as error:
            await self._halt(KILL_SWITCH, f"the kill switch failed: {error!r}"[:300])
            return
        if trips:
            await self._act(trips)

    def lasting(self, now_ms: int) -> tuple[str, ...]:
        """Say what would halt at once again after a resume, for what it saw is still so."""
        fresh, seen = KillSwitch(self.kill.limits), self.health.look(now_ms, self.equity)
        trips = [fresh.assess(rule, seen[rule]) for rule in (KillRule.STALE_DATA, KillRule.LEDGER_DRIFT)]
        return tuple(trip.sentence for trip in trips if trip is not None and trip.tier.is_latched)

    def _moved(self, now_ms: int) -> Iterator[Trip]:
        for rule, figure in self.health.look(now_ms, self.equity).items():
            if figure or rule in self.kill.tiers:
                trip = self.kill.assess(rule, figure, self.health.evidence(rule))
                if trip is not None:
                    yield trip

    def rebase(self) -> None:
        """Let the kill switch measure from the present equity on; a person resumed and said why (R17).

        Without it a tripped rule would trip again with the next price. The account's own figures stay: a peak that was
        only in memory is written down first. Where equity is not known, the baselines stay as well.
        """
        self.kill.begin_anew()
        self.health.forgive(self._desk.clock)
        self.equity = self._desk.surroundings.equity()
        if self.equity is None:
            return
        self._follow_funds()
        now_ms, base, equity = self._desk.clock.now_ms(), self._books.baseline, kept(self.equity)
        is_new = self._books.opened < 0  # no candle has closed here yet, and the day began with the funds
        if is_new or self.peak > self._books.peak_equity:
            peak, day = kept(max(self.peak, base.peak)), now_ms // DAY_MS if is_new else base.day
            seen = EquityMarked(equity=equity, peak=peak, day=day, day_start=kept(base.day_start))
            self._desk.journal.record(now_ms, seen)
        moved = BaselineReset(start=equity, peak=equity, day=now_ms // DAY_MS, day_start=equity)
        self._desk.journal.record(now_ms, moved)
        self._peak_is(self.equity)

    def _keep_baselines(self, now_ms: int, equity: Decimal | None, confirmed: bool) -> None:
        """Move peak and day; journal them hourly, at a new day, and when the peak rose by a tenth of the limit.

        They come from closed candles alone: one odd quote must not leave a peak that was never there (R39).
        """
        self.equity = equity
        if equity is None:
            return
        if self._books.funded is not self._funded:
            self._follow_funds()
        if now_ms >= self._plot_ms:
            self._plot(now_ms, equity)
        base = self._books.baseline
        day = max(now_ms // DAY_MS, base.day)  # a clock set back begins no day again (P22)
        if confirmed:
            self._sure = equity
        elif self._sure is None or day == base.day:
            return
        sure = self._sure
        if sure > self.peak:
            self._peak_is(sure)
        elif sure < self._low:
            self._low = sure
            self.max_drawdown_frac = max(self.max_drawdown_frac, (self.peak - sure) / self.peak)
        hour = max(now_ms // HOUR_MS, self._hour)
        if hour == self._hour and (self.peak is base.peak or self.peak <= base.peak * self._peak_step):
            return
        self._hour = hour
        day_start = sure if day != base.day else base.day_start
        marked = EquityMarked(equity=kept(equity), peak=kept(self.peak), day=day, day_start=kept(day_start))
        self._desk.journal.record(now_ms, marked)

    def _follow_funds(self) -> None:
        """Move what equity is measured from with money that came or left: that is no profit and no loss."""
        moved, self._funded = self._books.funded - self._funded, self._books.funded
        self.peak += moved
        self._low += moved
        self._sure = None if self._sure is None else self._sure + moved

    def _peak_is(self, equity: Decimal) -> None:
        """Take a new peak; the deepest fall from it is where equity is lowest until the next."""
        self.peak = self._low = equity

    def _plot(self, now_ms: int, equity: Decimal) -> None:
        """Add a point to the curve, a step apart at least; once there are too many, every second one goes."""
        self.curve.append((now_ms, equity))
        if len(self.curve) > CURVE_POINTS:
            self.curve = self.curve[::2]
            self._plot_step_ms *= 2
        self._plot_ms = self.curve[-1][0] + self._plot_step_ms
