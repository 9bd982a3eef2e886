"""Limits that cannot both be meant: one trade that would stop everything, or a limit that never acts."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from engine.domain.money import percent
from engine.domain.policy import Off
from engine.errors import UsageError

RISK = "limits.risk_per_trade"
LOSSES = ("kill_switch.loss", "kill_switch.drawdown", "kill_switch.daily_loss", "limits.daily_loss")
ACTS_BEFORE = (
    ("limits.group_share", "limits.gross_exposure"),
    ("limits.net_exposure", "limits.gross_exposure"),
    ("limits.gross_exposure", "limits.leverage"),
    ("kill_switch.daily_loss", "kill_switch.loss"),
    ("limits.daily_loss", "kill_switch.daily_loss"),
)
"""The second always acts first where the first is larger: refused where both are written down."""


def refuse_contradictions(where: str, value_of: Callable[[str], Any], written: Collection[str]) -> None:
    """Raise UsageError for two values of a policy that contradict each other.

    where: what the message begins with. value_of: gives a value by its name in the file. written: the names that stand
    in the file; a default that never acts does no harm, but a trade that risks more than the account may lose does,
    whoever chose the figures.
    """
    for loss in LOSSES:
        if value_of(loss) < value_of(RISK):
            raise UsageError(
                f"{where} {_shown(RISK, value_of)} is more than {_shown(loss, value_of)}: one trade at its stop would "
                "stop trading; lower the first or raise the second."
            )
    for name, first in ACTS_BEFORE:
        if name in written and first in written and value_of(name) > value_of(first):
            raise UsageError(
                f"{where} {_shown(name, value_of)} is more than {_shown(first, value_of)}, which always acts first; "
                "lower the first or raise the second."
            )
    if not isinstance(value_of("limits.volatility_index"), Off) and not value_of("limits.volatility_index_file"):
        raise UsageError(
            f"{where} [limits] volatility_index needs volatility_index_file, a CSV with DATE and CLOSE; "
            'name it, or write "off".'
        )
    if value_of("limits.spread") < 2 * value_of("paper.half_spread"):
        raise UsageError(
            f"{where} {_shown('limits.spread', value_of)} is less than twice {_shown('paper.half_spread', value_of)}: "
            "nothing could trade; raise the first."
        )


def _shown(name: str, value_of: Callable[[str], Any]) -> str:
    table, _dot, key = name.partition(".")
    return f"[{table}] {key} {percent(value_of(name))}"
