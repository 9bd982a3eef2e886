"""How agents have done: their round trips by UTC day, and when one was last refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from engine.domain.decision import Direction, Disposition
from engine.domain.events import CycleItem
from engine.domain.money import ZERO
from engine.domain.risk import CheckCode
from engine.domain.values import quick_value

DAY_MS = 86_400_000
DAYS_KEPT = 30


@quick_value
class RoundTrips:
    """Trips from flat to flat that ended. won, lost: what they brought and cost, both positive, in quote."""

    count: int = 0
    wins: int = 0
    won: Decimal = ZERO
    lost: Decimal = ZERO

    @property
    def net(self) -> Decimal:
        """What they came to after fees in quote."""
        return self.won - self.lost

    def and_one(self, result: Decimal) -> RoundTrips:
        """Return them with one more; a trip that brought nothing is no win.

        >>> RoundTrips().and_one(Decimal(5)).and_one(Decimal(-2))
        RoundTrips(count=2, wins=1, won=Decimal('5'), lost=Decimal('2'))
        """
        return self.and_others(RoundTrips(1, int(result > 0), max(result, ZERO), max(-result, ZERO)))

    def and_others(self, others: RoundTrips) -> RoundTrips:
        """Return both together."""
        return RoundTrips(
            self.count + others.count, self.wins + others.wins, self.won + others.won, self.lost + others.lost
        )


@quick_value
class DayTrips:
    """The round trips that ended on one UTC day. day: whole days since 1970."""

    day: int
    trips: RoundTrips


@dataclass(slots=True)
class Conduct:
    """What counts of each agent's conduct, 30 days back at most.

    ended: each agent's days, oldest first. refused_ms: when an agent's entry in an instrument was last refused, by
    anything but the wait for that itself.
    """

    ended: dict[str, tuple[DayTrips, ...]] = field(default_factory=dict)
    refused_ms: dict[tuple[str, str], int] = field(default_factory=dict)
    _earlier: dict[str, tuple[DayTrips, int, int, RoundTrips]] = field(default_factory=dict, compare=False, repr=False)

    def came_to(self, agent: str, ended_ms: int, result: Decimal) -> None:
        """Take in a round trip that ended. result: in quote, after fees in quote."""
        day = ended_ms // DAY_MS
        days = [one for one in self.ended.get(agent, ()) if one.day > day - DAYS_KEPT]
        if days and days[-1].day >= day:  # a clock set back begins no new day (P22)
            *earlier, last = days
        else:
            earlier, last = days, DayTrips(day, RoundTrips())
        self.ended[agent] = (*earlier, DayTrips(last.day, last.trips.and_one(result)))

    def judged(self, ts_ms: int, agent: str, items: Iterable[CycleItem]) -> None:
        """Take in the refusals of one cycle."""
        for item in items:
            own = item.bound_by == CheckCode.REFUSAL_COOLDOWN
            if item.disposition is Disposition.REFUSED and item.direction is Direction.BUY and not own:
                self.refused_ms[agent, item.instrument] = ts_ms

    def trips(self, agent: str, now_ms: int) -> RoundTrips:
        """Return an agent's round trips of the last 30 days, today included."""
        since = now_ms // DAY_MS - DAYS_KEPT
        days = self.ended.get(agent, ())
        if len(days) < 2:
            return days[0].trips if days and days[0].day > since else RoundTrips()
        # Only the last day changes from trip to trip: what is before it is added up once a day.
        first, last, known = days[0], days[-1], self._earlier.get(agent)
        if known is None or known[0] is not first or known[1:3] != (len(days), since):
            earlier = RoundTrips()
            for one in days[:-1]:
                earlier = earlier.and_others(one.trips) if one.day > since else earlier
            known = self._earlier[agent] = first, len(days), since, earlier
        return known[3].and_others(last.trips) if last.day > since else known[3]
