"""What an engine keeps out of the garbage collector's sight."""

import gc

from engine.control.pauses import spare_what_came, spare_what_is_there


def test_what_is_made_after_the_first_look_stays_with_the_collector() -> None:
    spare_what_is_there()
    spared = gc.get_freeze_count()
    made = [[number] for number in range(1_000)]
    spare_what_is_there()
    assert 0 < gc.get_freeze_count() <= spared
    assert any(each is made for each in gc.get_objects())


def test_what_has_come_by_the_end_of_the_warm_up_is_spared() -> None:
    made = [[number] for number in range(1_000)]
    spare_what_came()
    assert not any(each is made for each in gc.get_objects())
