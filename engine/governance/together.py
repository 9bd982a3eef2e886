"""Settings that only mean something beside each other, which are held or applied as one (R24)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from engine.domain.governance import PolicyChange
from engine.governance.agent_fields import AGENT_PREFIX, parts_of
from engine.governance.document import loosening

OF_POLICY = (
    ("limits.spread", "paper.half_spread"),
    ("limits.volatility_index", "limits.volatility_index_file"),
)
OF_AGENT = (
    ("limits.sizing", "limits.qty_fixed", "limits.volatility_target", "limits.notional_fixed", "limits.kelly_share"),
)  # fmt: skip


def unit_of(field: str) -> str:
    """Return what a field is held or applied with: the first field of its group, or itself where it stands alone.

    >>> unit_of("agents.a.limits.kelly_share"), unit_of("limits.leverage")
    ('agents.a.limits.sizing', 'limits.leverage')
    """
    if not field.startswith(AGENT_PREFIX):
        return next((group[0] for group in OF_POLICY if field in group), field)
    name, key = parts_of(field)
    return next((f"{AGENT_PREFIX}{name}.{group[0]}" for group in OF_AGENT if key in group), field)


def is_grouped(field: str) -> bool:
    """Tell whether a field is in a group with others."""
    return any(parts_of(field)[1] in group for group in OF_AGENT) or any(field in group for group in OF_POLICY)


def apart(changes: Iterable[PolicyChange]) -> tuple[tuple[PolicyChange, ...], tuple[PolicyChange, ...]]:
    """Part what applies at once from what waits: all that loosens, and what is in a group with it."""
    found = tuple(changes)
    loose = loosening(found)
    units = {unit_of(each.field) for each in loose if is_grouped(each.field)}
    waits = tuple(each for each in found if each in loose or unit_of(each.field) in units)
    return tuple(each for each in found if each not in waits), waits


def fitting(
    changes: Iterable[PolicyChange], stands: Callable[[tuple[PolicyChange, ...]], bool]
) -> tuple[PolicyChange, ...]:
    """Return as many of some changes as can be in force together, in groups; all, where it does not stand without any.

    stands: tells whether the limits contradict each other with some changes in them.
    """
    wanted = tuple(changes)
    if stands(wanted) or not stands(()):
        return wanted
    taken, left = (), list(dict.fromkeys(unit_of(each.field) for each in wanted))
    while left:
        tries = ((unit, (*taken, *(each for each in wanted if unit_of(each.field) == unit))) for unit in left)
        found = next(((unit, more) for unit, more in tries if stands(more)), None)
        if found is None:
            break
        taken = found[1]
        left.remove(found[0])
    return tuple(each for each in wanted if each in taken)
