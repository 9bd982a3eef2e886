"""When markets are open, and that nobody guesses."""

from __future__ import annotations

from datetime import datetime

import pytest

from engine.market.sessions import is_open

# the calendars' own use of pandas
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text + "+00:00").timestamp() * 1000)


CASES = [
    ("24/7", "2026-01-03 12:00", True),
    ("XNYS", "2026-08-03 13:29:59", False),
    ("XNYS", "2026-08-03 13:30", True),
    ("XNYS", "2026-08-03 19:59:59", True),
    ("XNYS", "2026-08-03 20:00", False),
    ("XNYS", "2026-08-01 15:00", False),
    ("XNYS", "2026-12-25 15:00", False),
    ("XNYS", "2026-11-27 17:59", True),  # the day after Thanksgiving closes at 13:00
    ("XNYS", "2026-11-27 18:00", False),
    ("XNYS", "2026-01-05 14:30", True),  # winter: an hour later in UTC
    ("XNYS", "2026-01-05 14:29", False),
    ("XTKS", "2026-08-03 02:29", True),
    ("XTKS", "2026-08-03 03:00", False),  # lunch
    ("XTKS", "2026-08-03 03:30", True),
    ("24/5", "2026-01-02 21:59", True),  # Friday in winter
    ("24/5", "2026-01-02 22:00", False),
    ("24/5", "2026-01-03 12:00", False),
    ("24/5", "2026-01-04 21:59", False),
    ("24/5", "2026-01-04 22:00", True),
    ("24/5", "2026-01-07 03:00", True),
    ("24/5", "2026-07-03 21:00", False),  # Friday in summer
    ("24/5", "2026-07-05 21:00", True),
]


@pytest.mark.parametrize(("calendar", "when", "expected"), CASES)
def test_a_known_calendar_says_open_or_closed(calendar: str, when: str, expected: bool) -> None:
    assert is_open(calendar, ms(when)) is expected


@pytest.mark.fault("C10")
@pytest.mark.parametrize(
    ("calendar", "when"),
    [
        ("NOPE", "2026-08-03 15:00"),
        ("", "2026-08-03 15:00"),
        ("XNYS", "1985-01-02 15:00"),
        ("XNYS", "2090-01-03 15:00"),
    ],
)
def test_what_no_calendar_says_is_not_known(calendar: str, when: str) -> None:
    assert is_open(calendar, ms(when)) is None
