"""Keep the pauses of Python's garbage collector short: while it looks, every thread of the process stands still."""

from __future__ import annotations

import gc

YOUNG = 3_000
"""How many objects are made between two looks at the newest. At Python's 700, much of what a screen draws is still in
use then, and lies among the old ones later, where only a long look finds it; at 10,000 the short looks are long, too.
"""


def spare_what_is_there() -> None:
    """Take all that is loaded by now out of the collector's sight, once a process.

    A full look goes through every object: with an SDK these are 230,000, and 180 ms in which no price, no heartbeat and
    no halt is taken in. What an engine makes from here on is a tenth of that.
    """
    if not gc.get_freeze_count():
        gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
        spare_what_came()


def spare_what_came() -> None:
    """Take what has come since out of its sight as well: at an engine's start, the bars that only warm up.

    They stay for hours; those of 200 instruments are three quarters of all that a full look would go through.
    """
    gc.collect()
    gc.freeze()
