"""Each agent's record of 30 days, and its refusals."""

from __future__ import annotations

from decimal import Decimal

from engine.domain.conduct import Conduct, RoundTrips
from engine.domain.decision import Direction, Disposition
from engine.domain.events import CycleItem

DAY_MS = 86_400_000
D = Decimal


def item(
    bound_by: str, disposition: Disposition = Disposition.REFUSED, direction: Direction = Direction.BUY
) -> CycleItem:
    return CycleItem("x", direction, disposition, D(0), D(0), D(1), D(1), 0, "", "", bound_by, ())


def test_trips_count_for_thirty_days_today_included() -> None:
    conduct = Conduct()
    for day in range(40):
        conduct.came_to("a", day * DAY_MS, D(1) if day % 2 else D(-3))
    assert conduct.trips("a", 39 * DAY_MS) == RoundTrips(30, 15, D(15), D(45))
    assert conduct.trips("a", 39 * DAY_MS).net == -30
    assert conduct.trips("a", 60 * DAY_MS).count == 9
    assert conduct.trips("b", 39 * DAY_MS) == RoundTrips()
    assert len(conduct.ended["a"]) == 30


def test_a_clock_set_back_begins_no_new_day() -> None:
    conduct = Conduct()
    conduct.came_to("a", 5 * DAY_MS, D(1))
    conduct.came_to("a", 4 * DAY_MS, D(1))
    assert [(one.day, one.trips.count) for one in conduct.ended["a"]] == [(5, 2)]


def test_only_a_refused_entry_is_a_refusal_and_the_wait_for_it_is_none() -> None:
    conduct = Conduct()
    for one in (
        item("REFUSAL_COOLDOWN"),
        item("", Disposition.ACTED),
        item("PRICE_AGE", direction=Direction.FLAT),
    ):
        conduct.judged(7, "a", (one,))
    assert conduct.refused_ms == {}
    conduct.judged(9, "a", (item("CONFIDENCE"),))
    assert conduct.refused_ms == {("a", "x"): 9}
